// Reads a command line as /bin/sh -c would and says what there is to start: the
// plan; or that only the shell can tell, and why.
//
// A plan covers what dash, bash and busybox ash agree upon word for word: words
// with any quotes, assignments before a command, redirections to a literal
// name, `cd DIR`, true, :, false, `exit N` and `exec`, joined by &&. Nothing in
// it depends on files, variables or options of the shell. (POSIX.1-2017, Shell
// Command Language, 2.2 Quoting, 2.3 Token Recognition, 2.7 Redirection, 2.9
// Shell Commands.)
//
// No allocation, no library: it is built freestanding too.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_COMMAND_LINE_H_
#define LAUNCHER_SRC_COMMAND_LINE_H_

#include <stddef.h>
#include <stdint.h>

namespace launcher {

/// The shell whose reading counts where they differ.
enum class Shell : uint8_t { kUnknown, kDash, kBash, kBusybox };

/// One element of a plan, in the order of the line.
struct PlanToken {
  enum class Kind : uint8_t {
    kWord,        ///< `text`: program or argument, quotes removed.
    kAssignment,  ///< `text`: NAME=value for the program of this command.
    kOpen,        ///< `fd` becomes `text`, opened with `flags`, mode 0666.
    kDup,         ///< `fd` becomes a copy of descriptor `number`.
    kChangeDir,   ///< `text`: cd, the whole command.
    kStatus,      ///< The whole command: ends with status `number`.
    kExec,        ///< The program of this command replaces the shell.
    kAnd,         ///< && - the next command starts at `offset` of the line,
                  ///< with `number` newlines before it.
  };
  Kind kind;
  uint8_t fd = 0;
  int flags = 0;
  uint32_t number = 0;
  const char* text = nullptr;
  size_t offset = 0;
};

/// Why a line is not for us: "glob" and "*". `detail` is not terminated.
struct ShellReason {
  const char* what = nullptr;
  const char* detail = nullptr;
  size_t detail_size = 0;
};

struct CommandLine {
  enum class Verdict : uint8_t {
    kPlan,    ///< `token_count` tokens were written; none: nothing to do.
    kShell,   ///< `reason` says why; refers to `line`, `text` or constants.
    kNoRoom,  ///< More than `token_room` tokens: call again with more.
  };
  Verdict verdict = Verdict::kShell;
  size_t token_count = 0;
  ShellReason reason;
};

/// Reads `line`, which has `size` bytes and a null after them. `text` takes the
/// words: size + 1 bytes.
CommandLine ReadCommandLine(const char* line, size_t size, Shell shell,
                            char* text, PlanToken* tokens, size_t token_room);

}  // namespace launcher

#endif  // LAUNCHER_SRC_COMMAND_LINE_H_
