// SPDX-License-Identifier: Apache-2.0

#include "launcher/result.h"

#include <string.h>

namespace launcher {

std::string Error::ToString() const {
  std::string text = step;
  if (!object.empty())
    text += " '" + object + "'";
  if (code != 0) {
    // The GNU one returns the text, which need not be in the buffer.
    char buffer[128];
    text += std::string(": ") + strerror_r(code, buffer, sizeof(buffer));
  }
  return text;
}

}  // namespace launcher
