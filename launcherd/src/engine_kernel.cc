// Starts a child by spawn_template_spawn() of a kernel with kernel/patches: one
// call that returns when the program has been loaded, or says which step has
// failed and leaves nothing.
//
// It holds its caller until the exec. So what can take long for reasons of its
// own is not done here: an open of anything but /dev/null may be one of a FIFO.
// That, what the call has no action for, scripts, and executables without a
// template are left to the next engine.
//
// SPDX-License-Identifier: Apache-2.0

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <unistd.h>

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "above_stdio.h"
#include "engine.h"
#include "spawn_template_abi.h"
#include "template_cache.h"

namespace launcher {

namespace {

using Action = sys::SpawnTemplateAction;
using Failure = sys::SpawnTemplateFailure;

uint64_t Address(const void* pointer) {
  return reinterpret_cast<uintptr_t>(pointer);
}

/// A plan as the call wants it. It points into itself and into the plan.
class Actions {
 public:
  Actions() {
    actions_.reserve(sys::kSpawnTemplateMaxActions);
    steps_.reserve(sys::kSpawnTemplateMaxActions);
    opens_.reserve(sys::kSpawnTemplateMaxActions);
    sets_.reserve(sys::kSpawnTemplateMaxActions);
  }

  /// False: the call has no words for it.
  bool Translate(const ChildPlan& plan) {
    actions_.clear();
    steps_.clear();
    opens_.clear();
    sets_.clear();
    std::span<const ChildStep> steps(plan.steps, plan.step_count);
    inherits_ = std::none_of(steps.begin(), steps.end(), [](const auto& step) {
      return step.kind == ChildStep::Kind::kCloexecAll;
    });
    scratch_ = Unused(steps);
    // Two for a step at most, and the mask.
    if (2 * steps.size() + 2 > sys::kSpawnTemplateMaxActions ||
        plan.set_fd_limit)
      return false;
    for (step_ = 0; step_ < steps.size(); ++step_)
      if (!Add(steps[step_]))
        return false;
    AddSignals(Action::kSigmask, &plan.mask);
    return true;
  }

  const std::vector<Action>& actions() const { return actions_; }
  bool inherits() const { return inherits_; }

  /// The step that an action was made for.
  size_t StepOf(uint32_t action) const { return steps_[action]; }

 private:
  /// A number that no step gives a meaning to.
  static int Unused(std::span<const ChildStep> steps) {
    int fd = 3;
    while (std::any_of(steps.begin(), steps.end(), [fd](const auto& step) {
      return step.fd == fd || step.newfd == fd;
    }))
      ++fd;
    return fd;
  }

  void Add(Action::Type type, int fd, int newfd, uint32_t flags,
           uint64_t arg = 0) {
    actions_.push_back({type, flags, fd, newfd, arg});
    steps_.push_back(step_);
  }

  void AddOpen(const char* path, int newfd, int flags, mode_t mode) {
    sys::SpawnTemplateOpen open = {Address(path), {}};
    open.how.flags = static_cast<unsigned>(flags);
    if (flags & O_CREAT)  // openat2(2) is stricter than open(2).
      open.how.mode = mode & 07777;
    opens_.push_back(open);
    Add(Action::kOpen, AT_FDCWD, newfd, 0, Address(&opens_.back()));
  }

  void AddSignals(Action::Type type, const sys::KernelSigset* signals) {
    sets_.push_back({Address(signals), sizeof(*signals)});
    Add(type, 0, 0, 0, Address(&sets_.back()));
  }

  bool Add(const ChildStep& step) {
    switch (step.kind) {
      case ChildStep::Kind::kSetpgid:
        Add(Action::kSetpgid, 0, 0, 0, static_cast<uint64_t>(step.fd));
        return true;
      case ChildStep::Kind::kCloexecAll:
        // What the call does of itself, before the first action.
        return step.fd == 3;
      case ChildStep::Kind::kClose:  // The call's own takes EBADF for an error.
        Add(Action::kCloseRange, step.fd, step.fd, 0);
        return true;
      case ChildStep::Kind::kDup2:
        if (step.fd != step.newfd) {
          Add(Action::kDup2, step.fd, step.newfd, step.flags & O_CLOEXEC);
          return true;
        }
        Add(Action::kDup2, step.fd, step.fd, 0);
        if (step.flags & O_CLOEXEC)
          Add(Action::kCloseRange, step.fd, step.fd, CLOSE_RANGE_CLOEXEC);
        return true;
      case ChildStep::Kind::kOpen: {
        constexpr int kPlain =
            O_ACCMODE | O_CLOEXEC | O_CREAT | O_TRUNC | O_APPEND;
        if (step.path != std::string_view("/dev/null") ||
            (step.flags & ~kPlain))
          return false;
        AddOpen(step.path, step.newfd, step.flags, step.mode);
        return true;
      }
      case ChildStep::Kind::kChdir:
        if (inherits_)  // Then any number may be taken.
          return false;
        AddOpen(step.path, scratch_, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
        Add(Action::kFchdir, scratch_, 0, 0);
        return true;
      case ChildStep::Kind::kFchdir:
        Add(Action::kFchdir, step.fd, 0, 0);
        return true;
      case ChildStep::Kind::kCloseRange:
        Add(Action::kCloseRange, step.fd, std::max(step.newfd, -1),
            step.flags & CLOSE_RANGE_CLOEXEC);
        return true;
      case ChildStep::Kind::kSignalDefault:
        AddSignals(Action::kSigdefault, &step.signals);
        return true;
      case ChildStep::Kind::kSetsid:
      case ChildStep::Kind::kSignalIgnore:
      case ChildStep::Kind::kFixedLayout:
      case ChildStep::Kind::kTraceMe:
        return false;
    }
    return false;
  }

  std::vector<Action> actions_;
  std::vector<size_t> steps_;
  std::vector<sys::SpawnTemplateOpen> opens_;
  std::vector<sys::SpawnTemplateSigset> sets_;
  size_t step_ = 0;
  int scratch_ = 3;
  bool inherits_ = false;
};

/// With the path of an executable; a descriptor or -errno.
long CreateTemplate(const char* path) {
  sys::SpawnTemplateCreateArgs args = {};
  // A build may write to the tools that it runs.
  args.flags = sys::kCreateCloexec | sys::kCreateAllowWrite;
  args.execfd = -1;
  args.filename = Address(path);
  return sys::SpawnTemplateCreate(&args, sizeof(args));
}

class KernelEngine : public LaunchEngine {
 public:
  explicit KernelEngine(TemplateCache* cache) : cache_(cache) {}

  Engine kind() const override { return Engine::kKernel; }
  bool blocks() const override { return false; }

  Result<Started> Start(LaunchBlock* block, bool want_pidfd) override {
    const ChildPlan& plan = block->child.plan;
    const Error not_for_this = {ENOEXEC, "spawn_template_create", plan.path};
    SpawnTemplate* spawn_template = cache_->Find(plan.path);
    // What is in /proc depends on who looks.
    if (!spawn_template || spawn_template->needs_loader ||
        std::string_view(plan.path).starts_with("/proc/") ||
        !actions_.Translate(plan))
      return not_for_this;

    for (bool again = false;; again = true) {
      if (!spawn_template->kernel) {
        long made = CreateTemplate(plan.path);
        spawn_template->needs_loader = made == -ENOEXEC;
        if (made == -ENOSYS)
          return Error{ENOSYS, "spawn_template_create", ""};
        if (made < 0)
          return not_for_this;
        spawn_template->kernel = AboveStdioOrNone(Fd(static_cast<int>(made)));
        if (!spawn_template->kernel)
          return not_for_this;
      }
      Failure failure = {};
      int pidfd = -1;
      long pid = Spawn(spawn_template->kernel.get(), plan, &pidfd, &failure);
      if (pid > 0) {
        Started started;
        started.pid = static_cast<pid_t>(pid);
        started.pidfd.Reset(pidfd);
        if (!want_pidfd)
          started.pidfd.Reset();
        return started;
      }
      const int error = static_cast<int>(-pid);
      if (failure.step != Failure::kSetup) {
        ChildReport* report = &block->child.report;
        report->failed_step = failure.step == Failure::kAction
                                  ? actions_.StepOf(failure.action)
                                  : plan.step_count;
        // No room for the descriptor that chdir(2) does not need.
        if (error == EBADF && report->failed_step < plan.step_count &&
            plan.steps[report->failed_step].kind == ChildStep::Kind::kChdir)
          return not_for_this;
        report->error = error;
        report->ran_ns = report->exec_ns = 0;
        return Started{};
      }
      // The executable has changed since it was looked at, or we have other
      // credentials than the template.
      if ((error != ESTALE && error != EACCES) || again)
        return IsRefusal(error) ? Error{error, "spawn_template_spawn", ""}
                                : not_for_this;
      spawn_template->kernel.Reset();
    }
  }

 private:
  long Spawn(int fd, const ChildPlan& plan, int* pidfd, Failure* failure) {
    sys::SpawnTemplateSpawnArgs args = {};
    args.flags = actions_.inherits() ? sys::kSpawnInheritFds : 0;
    args.pidfd = Address(pidfd);
    args.argv = Address(plan.argv);
    args.envp = Address(plan.envp);
    args.actions = Address(actions_.actions().data());
    args.actions_len = actions_.actions().size();
    args.failure = Address(failure);
    return sys::SpawnTemplateSpawn(fd, &args);
  }

  TemplateCache* cache_;
  Actions actions_;  ///< Kept for its memory.
};

}  // namespace

Result<std::unique_ptr<LaunchEngine>> MakeKernelEngine(TemplateCache* cache) {
  // One call on a kernel that has no such number. Where it has one, it may be
  // of another call some day: the name of the descriptor tells.
  constexpr std::string_view kName = "anon_inode:spawn_template";
#if defined(__x86_64__)
  long made = sys::SpawnTemplateCreate(nullptr, 0);
  if (made == -EINVAL)
    made = CreateTemplate("/proc/self/exe");
#else
  long made = -ENOSYS;
#endif
  if (made < 0)
    return Error{static_cast<int>(-made), "spawn_template_create", ""};
  char name[64];
  const std::string link = "/proc/self/fd/" + std::to_string(made);
  ssize_t size = readlink(link.c_str(), name, sizeof(name));
  if (size < 0 || std::string_view(name, size) != kName)
    return Error{ENOSYS, "spawn_template_create", ""};
  close(static_cast<int>(made));  // Not before it is known to be one of ours.
  return std::unique_ptr<LaunchEngine>(new KernelEngine(cache));
}

}  // namespace launcher
