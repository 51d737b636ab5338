// Starts a child by posix_spawn(3), for kernels and machines that have nothing
// better. It follows the same plan as the other engines; what posix_spawn(3)
// lacks, marking descriptors close-on-exec, is done by closing them.
//
// SPDX-License-Identifier: Apache-2.0

#include <errno.h>
#include <limits.h>
#include <linux/close_range.h>
#include <spawn.h>
#include <string.h>
#include <sys/resource.h>

#include <algorithm>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine.h"

namespace launcher {

namespace {

/// The descriptors that the exec would close: disjoint ranges.
class CloseOnExec {
 public:
  void Add(int first, int last) { ranges_.push_back({first, last}); }

  void Remove(int fd) {
    std::vector<Range> left;
    for (const Range& range : ranges_) {
      if (fd < range.first || fd > range.last) {
        left.push_back(range);
        continue;
      }
      if (range.first < fd)
        left.push_back({range.first, fd - 1});
      if (fd < range.last)
        left.push_back({fd + 1, range.last});
    }
    ranges_ = std::move(left);
  }

  struct Range {
    int first, last;  ///< Both included; INT_MAX: and all above.
  };
  const std::vector<Range>& ranges() const { return ranges_; }

 private:
  std::vector<Range> ranges_;
};

/// posix_spawn's file actions and attributes for one plan.
class SpawnArguments {
 public:
  SpawnArguments() {
    posix_spawn_file_actions_init(&actions_);
    posix_spawnattr_init(&attributes_);
    rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < INT_MAX)
      fd_limit_ = static_cast<int>(limit.rlim_cur);
  }
  ~SpawnArguments() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnArguments(const SpawnArguments&) = delete;
  SpawnArguments& operator=(const SpawnArguments&) = delete;

  /// Returns 0 or an errno.
  int Fill(const ChildPlan& plan) {
    std::span<const ChildStep> steps(plan.steps, plan.step_count);
    for (const ChildStep& step : steps) {
      int error = step.kind == ChildStep::Kind::kCloexecAll
                      ? CloseUnused(step.fd, steps)
                      : Add(step);
      if (error)
        return error;
    }
    for (const CloseOnExec::Range& range : cloexec_.ranges())
      if (int error = Close(range.first, range.last))
        return error;

    flags_ |= POSIX_SPAWN_SETSIGMASK;
    sigset_t mask = FromKernel(plan.mask);
    posix_spawnattr_setsigmask(&attributes_, &mask);
    if (default_signals_) {
      flags_ |= POSIX_SPAWN_SETSIGDEF;
      sigset_t defaults = FromKernel(default_signals_);
      posix_spawnattr_setsigdefault(&attributes_, &defaults);
    }
    return posix_spawnattr_setflags(&attributes_, flags_);
  }

  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  static sigset_t FromKernel(sys::KernelSigset bits) {
    sigset_t set;
    sigemptyset(&set);
    memcpy(&set, &bits, sizeof(bits));  // The kernel's set comes first in it.
    return set;
  }

  /// Closes what no step needs at once rather than by the exec: the launcher
  /// goes on meanwhile and may open a pipe for the next child, which this one
  /// would hold as long as a step of it blocks. The rest is closed at the end.
  int CloseUnused(int first, std::span<const ChildStep> steps) {
    if (std::any_of(steps.begin(), steps.end(), MayNameDescriptor)) {
      cloexec_.Add(first, INT_MAX);
      return 0;
    }
    std::set<int> needed;
    for (const ChildStep& step : steps)
      if (step.kind == ChildStep::Kind::kDup2 ||
          step.kind == ChildStep::Kind::kOpen ||
          step.kind == ChildStep::Kind::kFchdir)
        needed.insert(step.fd);
    needed.erase(needed.begin(), needed.lower_bound(first));
    for (int fd : needed) {
      cloexec_.Add(fd, fd);
      if (int error = Close(first, fd - 1))
        return error;
      first = fd + 1;
    }
    return Close(first, INT_MAX);
  }

  /// Whether it opens something like /proc/self/fd/7.
  static bool MayNameDescriptor(const ChildStep& step) {
    std::string_view path = step.path ? step.path : "";
    return step.kind == ChildStep::Kind::kOpen && path != "/dev/null" &&
           (path.starts_with("/proc/") || path.starts_with("/dev/"));
  }

  int Add(const ChildStep& step) {
    switch (step.kind) {
      case ChildStep::Kind::kSetpgid:
        flags_ |= POSIX_SPAWN_SETPGROUP;
        return posix_spawnattr_setpgroup(&attributes_, step.fd);
      case ChildStep::Kind::kSetsid:
        flags_ |= POSIX_SPAWN_SETSID;
        return 0;
      case ChildStep::Kind::kCloexecAll:
        break;
      case ChildStep::Kind::kClose:
        return Close(step.fd, step.fd);
      case ChildStep::Kind::kDup2:
        Placed(step);
        return posix_spawn_file_actions_adddup2(&actions_, step.fd, step.newfd);
      case ChildStep::Kind::kOpen:
        Placed(step);
        return posix_spawn_file_actions_addopen(&actions_, step.newfd,
                                                OpenPath(step).c_str(),
                                                step.flags, step.mode);
      case ChildStep::Kind::kChdir:
        return posix_spawn_file_actions_addchdir_np(&actions_, step.path);
      case ChildStep::Kind::kFchdir:
        return posix_spawn_file_actions_addfchdir_np(&actions_, step.fd);
      case ChildStep::Kind::kCloseRange: {
        int last = step.newfd < 0 ? INT_MAX : step.newfd;
        if (!(step.flags & CLOSE_RANGE_CLOEXEC))
          return Close(step.fd, last);
        cloexec_.Add(step.fd, last);
        return 0;
      }
      case ChildStep::Kind::kSignalDefault:
        default_signals_ |= step.signals;
        return 0;
      case ChildStep::Kind::kSignalIgnore:
      case ChildStep::Kind::kFixedLayout:
      case ChildStep::Kind::kTraceMe:
        return ENOTSUP;
    }
    return EINVAL;
  }

  /// Its target holds something new now, which the exec keeps or not.
  void Placed(const ChildStep& step) {
    cloexec_.Remove(step.newfd);
    if (step.flags & O_CLOEXEC)
      cloexec_.Add(step.newfd, step.newfd);
  }

  /// posix_spawn_file_actions_addopen(3) knows no directory to start from.
  static std::string OpenPath(const ChildStep& step) {
    if (step.fd == AT_FDCWD || step.path[0] == '/')
      return step.path;
    return "/proc/self/fd/" + std::to_string(step.fd) + "/" + step.path;
  }

  int Close(int first, int last) {
    if (last == INT_MAX && first < fd_limit_)  // Else EBADF.
      return posix_spawn_file_actions_addclosefrom_np(&actions_, first);
    for (int fd = first; fd <= std::min(last, fd_limit_ - 1); ++fd)
      if (int error = posix_spawn_file_actions_addclose(&actions_, fd))
        return error;
    return 0;
  }

  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
  short flags_ = 0;
  int fd_limit_ = INT_MAX;
  sys::KernelSigset default_signals_ = 0;
  CloseOnExec cloexec_;
};

class PosixSpawnEngine : public LaunchEngine {
 public:
  Engine kind() const override { return Engine::kPosixSpawn; }
  bool blocks() const override { return true; }

  Result<Started> Start(LaunchBlock* block, bool want_pidfd) override {
    const ChildPlan& plan = block->child.plan;
    SpawnArguments arguments;
    Started started;
    int error = arguments.Fill(plan);
    if (error == 0)
      error = posix_spawn(&started.pid, plan.path, arguments.actions(),
                          arguments.attributes(), plan.argv, plan.envp);
    if (error != 0)
      return Error{error, "posix_spawn", plan.path};
    if (want_pidfd)
      started.pidfd.Reset(static_cast<int>(sys::PidfdOpen(started.pid)));
    return started;
  }
};

}  // namespace

std::unique_ptr<LaunchEngine> MakePosixSpawnEngine() {
  return std::make_unique<PosixSpawnEngine>();
}

}  // namespace launcher
