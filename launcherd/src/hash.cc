// SPDX-License-Identifier: Apache-2.0

#include "hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace launcher {

size_t Hash::operator()(std::string_view text) const {
  return XXH3_64bits(text.data(), text.size());
}

}  // namespace launcher
