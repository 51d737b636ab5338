// A list of RE2 patterns over paths of executables.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_PATTERNS_H_
#define LAUNCHER_SRC_PATTERNS_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "launcher/result.h"

namespace re2 {
class RE2;
}

namespace launcher {

class Patterns {
 public:
  Patterns();
  Patterns(Patterns&&) noexcept;
  Patterns& operator=(Patterns&&) noexcept;
  ~Patterns();

  /// Errors: EINVAL, step `name`, object the pattern and its fault.
  static Result<Patterns> Create(const char* name,
                                 const std::vector<std::string>& patterns);

  /// Whether one of them matches the whole of `path`.
  bool Match(std::string_view path) const;

 private:
  std::vector<std::unique_ptr<re2::RE2>> compiled_;
};

}  // namespace launcher

#endif  // LAUNCHER_SRC_PATTERNS_H_
