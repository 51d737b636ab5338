// Everything one launch needs in memory of its own: a deep copy of the command
// and the plan for the child. It lives until the child has left it, because the
// child reads it while the launcher goes on.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_LAUNCH_BLOCK_H_
#define LAUNCHER_SRC_LAUNCH_BLOCK_H_

#include <string>
#include <string_view>
#include <vector>

#include "child_setup.h"
#include "launcher/command.h"
#include "launcher/fd.h"
#include "launcher/result.h"

namespace launcher {

class LaunchBlock {
 public:
  LaunchBlock() = default;
  ~LaunchBlock();
  LaunchBlock(const LaunchBlock&) = delete;
  LaunchBlock& operator=(const LaunchBlock&) = delete;

  /// Copies the command, except for what the Launcher keeps itself (output cap,
  /// timeout, tag); `environment` is used where it names none. What is
  /// in the plan already (mask, fd_limit) stays.
  /// Errors: EINVAL (step "command", object what is wrong).
  Result<void> Store(const Command& command, const char* const* environment);

  /// Takes the surroundings of `shell`, which must outlive this launch: all but
  /// words and environment. The caller fills in argv(), envp() and
  /// line_steps().
  void StoreProgramOf(const LaunchBlock& shell);

  /// Both end with a null. What they point to is borrowed after
  /// StoreProgramOf().
  std::vector<char*>& argv() { return argv_; }
  std::vector<char*>& envp() { return envp_; }
  char* const* env() const { return envp_.data(); }

  /// Steps after the actions of the command.
  std::vector<ChildStep>& line_steps() { return line_steps_; }

  /// The path that the child executes; copied.
  void SetExecutable(std::string path);

  /// Duplicates the descriptors that the caller named, so that they may be
  /// closed before the child is started. Errors: EMFILE (step
  /// "fcntl");
  /// nothing is held then.
  Result<void> HoldDescriptors();

  /// Closes the duplicates: the child has its own, or will never come.
  void ReleaseDescriptors() { held_.clear(); }
  bool HoldsDescriptors() const { return !held_.empty(); }

  /// Makes the steps. `in`, `out`, `err`: the descriptors to become 0, 1 and 2
  /// where the command says kCapture or kFd; above 2 or equal to their target.
  /// `until_exec`: above 2, for the child to hold until its program is loaded;
  /// negative: none.
  void PlanSteps(int in, int out, int err, int until_exec);

  /// From this number on no action touches a descriptor, but for ranges.
  int FirstUntouched() const;

  /// Whether a second try would repeat side effects of actions.
  bool HasActions() const { return !actions_.empty() || !line_steps_.empty(); }

  /// NAME's value in the child's environment, or null.
  const char* Env(std::string_view name) const;

  /// The error that `child.report` stands for.
  Error ReportedError() const;

  /// For a child that shares our memory: the lowest address of kStackSize bytes
  /// above a guard page; null when there is no memory.
  static constexpr size_t kStackSize = 16 * 1024;
  char* Stack();

  ChildLaunch child;
  Stdio in, out, err;
  Command::Group group = Command::Group::kOwn;
  pid_t group_leader = 0;  ///< The group to enter; 0: a new one.
  bool inherit_fds = false;
  const char* path = nullptr;  ///< Command::path, copied.
  const char* cwd = nullptr;
  int cwd_fd = -1;

 private:
  char* Copy(std::string_view text);
  int NameOf(int fd) const;
  Result<void> AddAction(const Action& action);
  void AddStdio(const Stdio& how, int source, int target);

  std::string text_;  ///< Reserved in full first: pointers lead into it.
  std::vector<char*> argv_;
  std::vector<char*> envp_;
  std::vector<ChildStep> actions_;
  std::vector<ChildStep> line_steps_;
  std::vector<ChildStep> steps_;
  std::vector<Fd> held_;
  std::vector<std::pair<int, int>> held_names_;  ///< A duplicate, the original.
  std::string executable_;
  void* stack_mapping_ = nullptr;
};

}  // namespace launcher

#endif  // LAUNCHER_SRC_LAUNCH_BLOCK_H_
