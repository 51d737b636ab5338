// A first load of a program, to find out whether a clone of a later one can
// stand in for it.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_WARM_TRIAL_H_
#define LAUNCHER_SRC_WARM_TRIAL_H_

#include <string>
#include <vector>

#include "bindings.h"
#include "file_state.h"
#include "image.h"
#include "launch_block.h"
#include "launcher/result.h"
#include "process.h"
#include "tracee.h"

namespace launcher::warm {

/// A program as a job starts it, but for its arguments.
struct Program {
  std::string path;  ///< Absolute.
  std::string name;  ///< argv[0]
  std::vector<std::string> environment;
  sys::KernelSigset mask = 0;
  bool set_fd_limit = false;  ///< As in ChildPlan.
  rlimit fd_limit = {};

  bool operator==(const Program& other) const;

  /// The launch of it with `arguments` behind argv[0], nothing on 0 to 2, in a
  /// group of its own. Errors: none but those of LaunchBlock::Store().
  Result<void> Prepare(const std::vector<std::string>& arguments,
                       std::span<const Action> actions,
                       LaunchBlock* block) const;
};

struct Trial {
  std::vector<LookedAt> looked_at;   ///< The program itself is one of them.
  std::vector<std::string> objects;  ///< Image::Objects()
  std::vector<Place> counts;         ///< Where argc may be; sorted.
  std::vector<Place> pids;
  Bindings bindings;             ///< None if it could not be loaded with them.
  bool reads_directory = false;  ///< The value of PWD or OLDPWD.
  bool holds_environment = false;  ///< The address of a text of it.
  std::chrono::nanoseconds loader_cpu{};

  /// With argv[0] alone, and with pages of pointers more: the stack is aligned
  /// alike, so that even what is copied from its dead part is the same.
  static constexpr uint64_t kManyArguments = 1 + 3 * 4096 / 8;
};

/// Loads the program twice under ptrace(2) and kills it at its entry point. The
/// two have the same addresses and texts, but another pid, number of arguments
/// and AT_RANDOM: what of their memory differs, beyond what is known to follow
/// these (an address of the arguments, argc, the pid, the canary, a pointer
/// that glibc has mangled), depends on something that a clone would not have.
/// On the way there are traps for what it must not do: an argument that cannot
/// be read, values of PWD and OLDPWD that cannot be read either, no vDSO, so
/// that a look at a clock is a system call; and its calls are watched
/// (loader_calls.h).
///
/// Then loads it once more, watched in the same way, for what its calls lead to
/// (bindings.h).
///
/// Errors: EPERM (step "entry point", object a clause: why it is ruled out);
/// EPERM (step "ptrace"): tracing is not allowed; those of Tracee::Start(), and
/// of a shortage.
Result<Trial> TryProgram(const Program& program, Canceller* canceller);

/// Why `path` is ruled out before it is executed: set-id, capabilities, not
/// readable. A clause, or empty.
std::string WhyNeverExecuted(const std::string& path);

}  // namespace launcher::warm

#endif  // LAUNCHER_SRC_WARM_TRIAL_H_
