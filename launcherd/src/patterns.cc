// SPDX-License-Identifier: Apache-2.0

#include "patterns.h"

#include <errno.h>
#include <re2/re2.h>

namespace launcher {

Patterns::Patterns() = default;
Patterns::Patterns(Patterns&&) noexcept = default;
Patterns& Patterns::operator=(Patterns&&) noexcept = default;
Patterns::~Patterns() = default;

Result<Patterns> Patterns::Create(const char* name,
                                  const std::vector<std::string>& patterns) {
  Patterns made;
  for (const std::string& pattern : patterns) {
    auto compiled = std::make_unique<re2::RE2>(pattern, re2::RE2::Quiet);
    if (!compiled->ok())
      return Error{EINVAL, name, pattern + ": " + compiled->error()};
    made.compiled_.push_back(std::move(compiled));
  }
  return made;
}

bool Patterns::Match(std::string_view path) const {
  for (const auto& pattern : compiled_)
    if (re2::RE2::FullMatch(re2::StringPiece(path.data(), path.size()),
                            *pattern))
      return true;
  return false;
}

}  // namespace launcher
