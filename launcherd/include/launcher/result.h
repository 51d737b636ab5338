// launcher/result.h - what a call returns: a value, or which step failed.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_RESULT_H_
#define LAUNCHER_RESULT_H_

#include <optional>
#include <string>
#include <utility>

namespace launcher {

/// Why something could not be done.
struct Error {
  int code = 0;           ///< An errno value.
  const char* step = "";  ///< The system call or the stage; a static string.
  std::string object;     ///< What it was done to: a path, a number, a name.

  /// "execve '/usr/bin/cc': Permission denied".
  std::string ToString() const;
};

/// Holds a T, or the Error that kept it from being made.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}      // NOLINT: implicit, as is
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: the next one.

  bool ok() const { return value_.has_value(); }
  T& value() { return *value_; }  ///< Only when ok().
  const T& value() const { return *value_; }
  const Error& error() const { return error_; }  ///< Only when not ok().

 private:
  std::optional<T> value_;
  Error error_;
};

/// For calls that return nothing but their success.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT

  bool ok() const { return !error_.has_value(); }
  const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

}  // namespace launcher

#endif  // LAUNCHER_RESULT_H_
