// A command line on its way: its plan, how far it has come, and what a shell
// would know by then.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_SHELL_LINE_H_
#define LAUNCHER_SRC_SHELL_LINE_H_

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "command_line.h"
#include "launch_block.h"
#include "launcher/fd.h"
#include "launcher/result.h"
#include "path_lookup.h"
#include "shell.h"
#include "shell_environment.h"

namespace launcher {

class ShellLine {
 public:
  /// `shell` must outlive it.
  explicit ShellLine(SystemShell* shell) : shell_(shell) {}

  /// Makes the plan of a line; `surroundings` is the launch of the shell with
  /// it. Returns why the shell is needed, or an empty text.
  std::string Plan(LaunchBlock& surroundings);

  /// Takes what Plan() has looked at, for all that follows.
  void Keep(std::unique_ptr<LaunchBlock> surroundings) {
    surroundings_ = std::move(surroundings);
  }

  /// Gives it back, at the end.
  std::unique_ptr<LaunchBlock> Release();

  /// Goes on to the next program, past everything that needs none. False at the
  /// end of the line: it ends with status(), or if that is negative with the
  /// status of its last program.
  bool Next();
  int status() const { return status_; }

  /// Whether there is more to do once the current program has ended with 0.
  bool HasNext() const { return next_ < token_count_; }

  /// The first word of the current program.
  const char* Program() const;

  /// The path to execute it by. Errors: those of PathLookup::Find().
  Result<std::string> FindProgram(PathLookup* lookup);

  /// The launch of the current program, to be found at `path`.
  /// Errors: those of open(2), step "open", object a directory of cd.
  Result<void> StoreProgram(const std::string& path, LaunchBlock* block);

  /// The launch of a shell for what has not run yet, from before the current
  /// program on. The last call.
  std::unique_ptr<LaunchBlock> TakeShell();

  /// The shell's way with a signal that has killed the current program: whether
  /// it has died of it too, or else what it writes to standard error.
  bool DiesToo() const { return shell_->RunsInPlace(place_); }
  std::string DeathNotice(int signal, bool core_dumped) const {
    return shell_->DeathNotice(signal, core_dumped);
  }

  /// Where standard error of the current program leads: to what the descriptor
  /// `fd` was when the line was started; or to a file, by its absolute path; or
  /// to nothing that can be written to (fd == -1, no path).
  struct ErrorTarget {
    int fd = -1;
    std::string path;
  };
  ErrorTarget FindErrorTarget() const;

  LaunchBlock* surroundings() const { return surroundings_.get(); }

 private:
  std::string CheckPrograms(sys::KernelSigset mask, bool has_actions) const;
  std::string CheckSearchPath(const char* name) const;

  SystemShell* shell_;
  Shell kind_ = Shell::kUnknown;  ///< As of Plan().
  std::unique_ptr<LaunchBlock> surroundings_;
  ShellEnvironment environment_;

  std::vector<char> text_;
  std::vector<PlanToken> tokens_;
  size_t token_count_ = 0;

  size_t next_ = 0;   ///< The first token that has not been dealt with.
  size_t first_ = 0;  ///< The current program: from here to last_.
  size_t last_ = 0;
  CommandPlace place_;
  int status_ = 0;
  std::vector<const char*> assignments_;
  std::vector<std::pair<std::string_view, std::string>> found_;

  // The directory: that of the surroundings, or dir_fd_ if a program has run
  // since a cd; from there chdirs_. A program may move it, so that its name is
  // not enough for the programs after that one.
  Fd dir_fd_;
  Fd new_dir_fd_;
  std::vector<const char*> chdirs_;

  // Where a shell would go on: behind the programs that have run.
  bool has_run_ = false;
  size_t resume_offset_ = 0;
  uint32_t resume_newlines_ = 0;
  std::string resume_line_;
  ShellEnvironment::Directory resume_dir_;
};

}  // namespace launcher

#endif  // LAUNCHER_SRC_SHELL_LINE_H_
