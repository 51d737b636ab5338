// One command line and the surroundings it is run in.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef TESTS_SHELL_CASE_H_
#define TESTS_SHELL_CASE_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace shell_fuzz {

/// In `line` and `env` the sandbox has no place yet: "@R@" stands for its
/// directory and "@W@" for the one in which lines are run.
struct Case {
  /// The directory a shell starts in, and how it gets there: the launcher's
  /// own, Command::cwd, Command::cwd_fd. A directory that is gone: cwd_fd.
  enum class Start : uint8_t { kWork, kReal, kLink, kSpace, kDark, kGone };
  enum class Enter : uint8_t { kChdir, kCwd, kFd };

  std::string line;
  std::vector<std::string> env = DefaultEnvironment();
  Start start = Start::kWork;
  Enter enter = Enter::kChdir;
  mode_t umask = 022;
  int ignored = 0;            ///< A signal, ignored from the start.
  int blocked = 0;            ///< A signal, blocked from the start.
  bool file_input = false;    ///< Standard input is a file, not /dev/null.
  bool split_errors = false;  ///< Standard error has a pipe of its own.
  bool extra_fd = false;      ///< Descriptor 7 is open too.

  static std::vector<std::string> DefaultEnvironment();

  /// A line of regressions.txt: settings that are not the default, each
  /// followed by a tab, then the escaped command line.
  std::string ToText() const;

  /// The reverse; false and what is wrong in `error`.
  static bool FromText(std::string_view text, Case* result, std::string* error);
};

/// Bytes that are not printable ASCII as \n, \t, \r or \xHH (two digits), and a
/// backslash as two.
std::string Escape(std::string_view bytes);
bool Unescape(std::string_view text, std::string* bytes);

/// Replaces every `from` in `text`.
std::string Replace(std::string_view text, std::string_view from,
                    std::string_view to);

}  // namespace shell_fuzz

#endif  // TESTS_SHELL_CASE_H_
