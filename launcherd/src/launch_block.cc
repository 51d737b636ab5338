// SPDX-License-Identifier: Apache-2.0

#include "launch_block.h"

#include <errno.h>
#include <linux/close_range.h>
#include <string.h>
#include <sys/mman.h>

#include <algorithm>

namespace launcher {

namespace {

constexpr size_t kGuardSize = 4096;

/// Whether `entry` is NAME=... for this name.
bool IsEntryOf(std::string_view entry, std::string_view name) {
  return entry.size() > name.size() && entry.starts_with(name) &&
         entry[name.size()] == '=';
}

/// What stands in one environment: entries of the caller's and new ones.
struct Environment {
  std::vector<std::string_view> entries;
  std::vector<std::string> made;  ///< Backs the entries that a change made.

  Environment(const char* const* base, std::span<const EnvChange> changes) {
    made.reserve(changes.size());  // Views into it must not move.
    for (; *base; ++base)
      entries.push_back(*base);
    for (const EnvChange& change : changes)
      Apply(change);
  }

  void Apply(const EnvChange& change) {
    std::string_view fresh;
    if (change.value)
      fresh = made.emplace_back(std::string(change.name) + "=" + change.value);
    std::erase_if(entries, [&](std::string_view& entry) {
      if (!IsEntryOf(entry, change.name))
        return false;
      if (fresh.empty())
        return true;
      entry = std::exchange(fresh, {});  // In its place; duplicates go.
      return false;
    });
    if (!fresh.empty())
      entries.push_back(fresh);
  }
};

Error Invalid(const char* what) { return {EINVAL, "command", what}; }

ChildStep::Kind StepKind(Action::Kind kind) {
  switch (kind) {
    case Action::Kind::kClose:
      return ChildStep::Kind::kClose;
    case Action::Kind::kDup2:
      return ChildStep::Kind::kDup2;
    case Action::Kind::kOpen:
      return ChildStep::Kind::kOpen;
    case Action::Kind::kFchdir:
      return ChildStep::Kind::kFchdir;
    case Action::Kind::kCloseRange:
      return ChildStep::Kind::kCloseRange;
    case Action::Kind::kSignalIgnore:
      return ChildStep::Kind::kSignalIgnore;
    case Action::Kind::kSignalMask:  // Part of the plan, not a step.
    case Action::Kind::kSignalDefault:
      break;
  }
  return ChildStep::Kind::kSignalDefault;
}

/// Splits the ranges that would close one of `held`, which is sorted.
std::vector<ChildStep> Spare(const std::vector<ChildStep>& actions,
                             const std::vector<int>& held) {
  std::vector<ChildStep> split;
  for (ChildStep step : actions) {
    if (step.kind == ChildStep::Kind::kCloseRange) {
      const int last = step.newfd;
      for (int fd : held) {
        if (fd < step.fd || (last >= 0 && fd > last))
          continue;
        step.newfd = fd - 1;
        if (step.newfd >= step.fd)
          split.push_back(step);
        step.fd = fd + 1;
      }
      step.newfd = last;
      if (last >= 0 && step.fd > last)
        continue;
    }
    split.push_back(step);
  }
  return split;
}

}  // namespace

LaunchBlock::~LaunchBlock() {
  if (stack_mapping_)
    munmap(stack_mapping_, kGuardSize + kStackSize);
}

char* LaunchBlock::Copy(std::string_view text) {
  char* start = text_.data() + text_.size();
  text_.append(text).push_back('\0');
  return start;
}

Result<void> LaunchBlock::Store(const Command& command,
                                const char* const* environment) {
  if (command.argv.empty())
    return Invalid("argv is empty");
  if (command.in.kind == Stdio::Kind::kCapture ||
      command.in.kind == Stdio::Kind::kMerge)
    return Invalid("standard input cannot be captured or merged");
  if (command.out.kind == Stdio::Kind::kMerge)
    return Invalid("standard output cannot be merged");
  if (command.group == Command::Group::kJoin && command.pgid <= 0)
    return Invalid("no process group to join");
  if (command.survivors != Command::Survivors::kLeave &&
      command.group != Command::Group::kOwn &&
      command.group != Command::Group::kSession)
    return Invalid("survivors of a group that is not its own");
  for (const Stdio& stdio : {command.in, command.out, command.err})
    if (stdio.kind == Stdio::Kind::kFd && stdio.fd < 0)
      return Invalid("a negative descriptor");

  Environment env(command.env ? command.env : environment, command.env_changes);
  size_t size = 0;
  for (const char* word : command.argv)
    size += strlen(word) + 1;
  for (std::string_view entry : env.entries)
    size += entry.size() + 1;
  for (const Action& action : command.actions)
    size += action.path ? strlen(action.path) + 1 : 0;
  for (const char* text : {command.path, command.cwd})
    size += text ? strlen(text) + 1 : 0;
  text_.clear();
  text_.reserve(size);

  argv_.clear();
  for (const char* word : command.argv)
    argv_.push_back(Copy(word));
  argv_.push_back(nullptr);
  envp_.clear();
  for (std::string_view entry : env.entries)
    envp_.push_back(Copy(entry));
  envp_.push_back(nullptr);

  actions_.clear();
  for (const Action& action : command.actions)
    if (Result<void> added = AddAction(action); !added.ok())
      return added;

  path = command.path ? Copy(command.path) : nullptr;
  cwd = command.cwd ? Copy(command.cwd) : nullptr;
  cwd_fd = command.cwd_fd;
  in = command.in;
  out = command.out;
  err = command.err;
  group = command.group;
  inherit_fds = command.inherit_fds;
  group_leader = group == Command::Group::kJoin ? command.pgid : 0;
  line_steps_.clear();
  held_names_.clear();
  return {};
}

void LaunchBlock::StoreProgramOf(const LaunchBlock& shell) {
  in = shell.in;
  out = shell.out;
  err = shell.err;
  group = shell.group;
  group_leader = shell.group_leader;
  inherit_fds = shell.inherit_fds;
  cwd = shell.cwd;
  cwd_fd = shell.cwd_fd;
  path = nullptr;
  child.plan.mask = shell.child.plan.mask;
  actions_ = shell.actions_;
  argv_.clear();
  envp_.clear();
  line_steps_.clear();
  held_names_.clear();
}

Result<void> LaunchBlock::AddAction(const Action& action) {
  using Kind = Action::Kind;
  if (action.kind == Kind::kSignalMask) {
    child.plan.mask = sys::ToKernel(action.signals);
    return {};
  }
  bool has_fd =
      action.fd >= 0 || (action.kind == Kind::kOpen && action.fd == AT_FDCWD) ||
      action.kind == Kind::kSignalDefault || action.kind == Kind::kSignalIgnore;
  bool needs_newfd = action.kind == Kind::kDup2 || action.kind == Kind::kOpen;
  if (!has_fd || (needs_newfd && action.newfd < 0))
    return Invalid("a negative descriptor in an action");
  if (action.kind == Kind::kOpen && !action.path)
    return Invalid("an open action without a path");
  if (action.kind == Kind::kDup2 && (action.flags & ~O_CLOEXEC))
    return Invalid("an unknown flag in a dup2 action");
  if (action.kind == Kind::kCloseRange &&
      ((action.flags & ~CLOSE_RANGE_CLOEXEC) ||
       (action.newfd >= 0 && action.newfd < action.fd)))
    return Invalid("an unknown flag or an empty range in a close-range action");

  ChildStep step{.kind = StepKind(action.kind)};
  step.fd = action.fd;
  step.newfd = action.newfd;
  step.flags = action.flags;
  step.mode = action.mode;
  step.path = action.path ? Copy(action.path) : nullptr;
  if (action.kind == Kind::kSignalDefault || action.kind == Kind::kSignalIgnore)
    step.signals = sys::ToKernel(action.signals);
  actions_.push_back(step);
  return {};
}

Result<void> LaunchBlock::HoldDescriptors() {
  if (!held_.empty())
    return {};  // A second call, by a launch that is tried again.
  std::vector<int*> named;
  if (cwd_fd >= 0)
    named.push_back(&cwd_fd);
  for (Stdio* stdio : {&in, &out, &err})
    if (stdio->kind == Stdio::Kind::kFd)
      named.push_back(&stdio->fd);
  // 0 to 2 are the child's own by then, what an action has placed is too, and
  // what one has closed is gone.
  std::vector<int> changed = {0, 1, 2};
  auto is_changed = [&](int fd, const ChildStep* until) {
    for (const ChildStep* step = actions_.data(); step != until; ++step)
      if (step->kind == ChildStep::Kind::kCloseRange &&
          !(step->flags & CLOSE_RANGE_CLOEXEC) && fd >= step->fd &&
          (step->newfd < 0 || fd <= step->newfd))
        return true;
    return std::find(changed.begin(), changed.end(), fd) != changed.end();
  };
  for (ChildStep& step : actions_) {
    bool places = step.kind == ChildStep::Kind::kDup2 ||
                  step.kind == ChildStep::Kind::kOpen;
    bool uses = places || step.kind == ChildStep::Kind::kFchdir;
    if (uses && step.fd >= 0 && !is_changed(step.fd, &step))
      named.push_back(&step.fd);
    if (places)
      changed.push_back(step.newfd);
    else if (step.kind == ChildStep::Kind::kClose)
      changed.push_back(step.fd);
  }

  // Above all numbers that an action gives a new meaning.
  const int lowest = FirstUntouched();
  // All or none: half of them held would pass for all at the next call.
  std::vector<Fd> copies;
  std::vector<int> numbers;
  for (int* fd : named) {
    Fd copy(fcntl(*fd, F_DUPFD_CLOEXEC, lowest));
    // EBADF, EINVAL (a target above the limit): the child says so, at its step.
    if (!copy && errno != EBADF && errno != EINVAL)
      return Error{errno, "fcntl", std::to_string(*fd)};
    numbers.push_back(copy ? copy.get() : *fd);
    copies.push_back(std::move(copy));
  }
  for (size_t i = 0; i < named.size(); ++i) {
    held_names_.push_back({numbers[i], *named[i]});
    *named[i] = numbers[i];
  }
  held_ = std::move(copies);
  std::sort(numbers.begin(), numbers.end());
  actions_ = Spare(actions_, numbers);
  return {};
}

int LaunchBlock::FirstUntouched() const {
  int lowest = 3;
  for (const ChildStep& step : actions_) {
    if (step.kind == ChildStep::Kind::kClose)
      lowest = std::max(lowest, step.fd + 1);
    else if (step.kind != ChildStep::Kind::kCloseRange)
      lowest = std::max(lowest, step.newfd + 1);
  }
  return lowest;
}

void LaunchBlock::SetExecutable(std::string executable) {
  executable_ = std::move(executable);
  child.plan.path = executable_.c_str();
}

void LaunchBlock::AddStdio(const Stdio& how, int source, int target) {
  switch (how.kind) {
    case Stdio::Kind::kInherit:
      return;
    case Stdio::Kind::kNull:
      // Opened for each child: one description for all of them would share its
      // flags and locks.
      steps_.push_back({.kind = ChildStep::Kind::kOpen,
                        .fd = AT_FDCWD,
                        .newfd = target,
                        .flags = target == 0 ? O_RDONLY : O_WRONLY,
                        .path = "/dev/null"});
      return;
    case Stdio::Kind::kMerge:
      source = 1;
      break;
    case Stdio::Kind::kCapture:
    case Stdio::Kind::kFd:
      break;
  }
  steps_.push_back(
      {.kind = ChildStep::Kind::kDup2, .fd = source, .newfd = target});
}

void LaunchBlock::PlanSteps(int in_fd, int out_fd, int err_fd, int until_exec) {
  steps_.clear();
  if (group == Command::Group::kSession)
    steps_.push_back({.kind = ChildStep::Kind::kSetsid});
  else if (group != Command::Group::kInherit)
    steps_.push_back({.kind = ChildStep::Kind::kSetpgid, .fd = group_leader});
  if (cwd_fd >= 0)
    steps_.push_back({.kind = ChildStep::Kind::kFchdir, .fd = cwd_fd});
  else if (cwd)
    steps_.push_back({.kind = ChildStep::Kind::kChdir, .path = cwd});
  // Before everything that places a descriptor: the mark does no harm to a
  // source, and what is placed after it stays.
  if (!inherit_fds)
    steps_.push_back({.kind = ChildStep::Kind::kCloexecAll, .fd = 3});
  AddStdio(in, in_fd, 0);
  AddStdio(out, out_fd, 1);
  AddStdio(err, err_fd, 2);
  if (until_exec < 0) {
    steps_.insert(steps_.end(), actions_.begin(), actions_.end());
  } else {
    steps_.push_back({.kind = ChildStep::Kind::kDup2,
                      .fd = until_exec,
                      .newfd = until_exec,
                      .flags = O_CLOEXEC});
    const std::vector<ChildStep> spared = Spare(actions_, {until_exec});
    steps_.insert(steps_.end(), spared.begin(), spared.end());
  }
  steps_.insert(steps_.end(), line_steps_.begin(), line_steps_.end());
  child.plan.steps = steps_.data();
  child.plan.step_count = steps_.size();
  child.plan.argv = argv_.data();
  child.plan.envp = envp_.data();
}

const char* LaunchBlock::Env(std::string_view name) const {
  for (const char* entry : envp_)
    if (entry && IsEntryOf(entry, name))
      return entry + name.size() + 1;
  return nullptr;
}

Error LaunchBlock::ReportedError() const {
  const ChildReport& report = child.report;
  if (report.failed_step >= steps_.size())
    return {report.error, "execve", executable_};
  const ChildStep& step = steps_[report.failed_step];
  std::string object;
  if (step.path)
    object = step.path;
  else if (step.fd >= 0 && step.kind != ChildStep::Kind::kSetpgid)
    object = std::to_string(NameOf(step.fd));
  return {report.error, StepName(step.kind), std::move(object)};
}

/// The number by which the caller knows a descriptor.
int LaunchBlock::NameOf(int fd) const {
  for (const auto& [copy, original] : held_names_)
    if (copy == fd)
      return original;
  return fd;
}

char* LaunchBlock::Stack() {
  if (!stack_mapping_) {
    void* mapping = mmap(nullptr, kGuardSize + kStackSize, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (mapping == MAP_FAILED)
      return nullptr;
    if (mprotect(static_cast<char*>(mapping) + kGuardSize, kStackSize,
                 PROT_READ | PROT_WRITE) != 0) {
      munmap(mapping, kGuardSize + kStackSize);
      return nullptr;
    }
    stack_mapping_ = mapping;
  }
  return static_cast<char*>(stack_mapping_) + kGuardSize;
}

}  // namespace launcher
