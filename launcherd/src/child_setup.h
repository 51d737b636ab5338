// What happens between clone and exec. The plan is plain data that the parent
// prepares; the child follows it with raw system calls alone. It may share the
// parent's memory while the parent runs on: so no allocation, no errno, no
// stack protector, no sanitizer, nothing of libc (vfork(2), "Caveats").
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_CHILD_SETUP_H_
#define LAUNCHER_SRC_CHILD_SETUP_H_

#include <sys/resource.h>
#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "sys.h"

namespace launcher {

/// One step of a child. Paths and descriptors are borrowed from the plan's
/// owner.
struct ChildStep {
  enum class Kind : uint8_t {
    kSetpgid,  ///< setpgid(0, fd)
    kSetsid,
    kCloexecAll,  ///< mark `fd` and all above close-on-exec
    kClose,
    kDup2,  ///< fd == newfd: clear FD_CLOEXEC
    kOpen,  ///< openat(fd, path, flags, mode), moved to newfd
    kChdir,
    kFchdir,
    kCloseRange,
    kSignalDefault,  ///< each member of `signals`
    kSignalIgnore,
    kFixedLayout,  ///< no address space layout randomisation, personality(2)
    kTraceMe,      ///< ptrace(2) by the parent from the exec on
  };
  Kind kind;
  int fd = -1;
  int newfd = -1;
  int flags = 0;
  mode_t mode = 0;
  const char* path = nullptr;
  sys::KernelSigset signals = 0;
};

/// The system call that a step stands for, for messages.
const char* StepName(ChildStep::Kind kind);

struct ChildPlan {
  const ChildStep* steps = nullptr;
  size_t step_count = 0;
  const char* path = nullptr;
  char* const* argv = nullptr;
  char* const* envp = nullptr;
  sys::KernelSigset mask = 0;
  bool set_fd_limit = false;
  rlimit fd_limit = {};
};

/// What the child leaves behind for its parent. The parent may look at `error`
/// and `failed_step` once the child has ended, at the times once it has left.
struct ChildReport {
  /// Set to 1 before the clone. The kernel zeroes it when the child lets go of
  /// the shared memory, by exec or by exit (CLONE_CHILD_CLEARTID): from then on
  /// plan, report and stack may be used again.
  std::atomic<uint32_t> present{0};
  int error = 0;
  size_t failed_step = 0;  ///< == step_count: execve
  int64_t ran_ns = 0;      ///< CLOCK_MONOTONIC
  int64_t exec_ns = 0;
};

/// A plan and what became of it.
struct ChildLaunch {
  ChildPlan plan;
  ChildReport report;
};

/// CLOCK_MONOTONIC.
int64_t NowNs();

/// Takes the steps in order. Returns 0, or -errno of the one in `failed`, after
/// which none is taken.
long RunSteps(const ChildStep* steps, size_t count, size_t* failed);

/// Follows the plan of a ChildLaunch and loads the program; reports and exits
/// if it cannot. Never returns.
void RunChild(void* launch);

}  // namespace launcher

#endif  // LAUNCHER_SRC_CHILD_SETUP_H_
