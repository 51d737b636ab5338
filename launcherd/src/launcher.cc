// SPDX-License-Identifier: Apache-2.0

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>

#include <algorithm>
#include <utility>

#include "launcher_impl.h"

namespace launcher {

namespace {

/// Whether a signal is pending that `mask` would let through.
bool SignalPending(const sigset_t& mask) {
  sigset_t pending;
  if (sigpending(&pending) != 0)
    return false;
  return (sys::ToKernel(pending) & ~sys::ToKernel(mask)) != 0;
}

/// `mask` (null: that of the thread) with SIGCHLD added if nothing catches it.
/// A thread of the posix_spawn engine has all signals blocked while its child
/// may already end; the kernel then keeps a SIGCHLD that it would have dropped,
/// and would break off our wait to drop it.
const sigset_t* WithoutStraySigchld(const sigset_t* mask, sigset_t* storage) {
  struct sigaction action;
  if (sigaction(SIGCHLD, nullptr, &action) != 0 ||
      (action.sa_flags & SA_SIGINFO) ||
      (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN))
    return mask;
  if (mask)
    *storage = *mask;
  else
    pthread_sigmask(SIG_SETMASK, nullptr, storage);
  sigaddset(storage, SIGCHLD);
  return storage;
}

}  // namespace

void Launcher::Impl::RaiseFdLimit() {
  if (getrlimit(RLIMIT_NOFILE, &fd_limit) != 0 ||
      fd_limit.rlim_cur == fd_limit.rlim_max)
    return;
  rlimit raised = {fd_limit.rlim_max, fd_limit.rlim_max};
  fd_limit_raised = setrlimit(RLIMIT_NOFILE, &raised) == 0;
}

void Launcher::Impl::RestoreFdLimit() {
  // posix_spawn(3) cannot set a limit in the child, so it must be right here.
  // Descriptors above it that are open already stay usable.
  if (fd_limit_raised)
    (void)setrlimit(RLIMIT_NOFILE, &fd_limit);
  fd_limit_raised = false;
}

Result<void> Launcher::Impl::UsePosixSpawn() {
  Result<std::unique_ptr<SpawnThreads>> made = SpawnThreads::Create();
  if (!made.ok())
    return made.error();
  Result<void> added = loop.Add(made.value()->event_fd(), kSpawnThreadsToken);
  if (!added.ok())
    return added;
  threads = std::move(made.value());
  engine = MakePosixSpawnEngine();
  templates.reset();  // They are made by clone3.
  RestoreFdLimit();
  return {};
}

Result<Finished> Launcher::Impl::Wait(milliseconds timeout,
                                      const sigset_t* mask) {
  TimePoint deadline = TimePoint::max();
  if (timeout >= milliseconds::zero())
    deadline = EventLoop::After(timeout);
  sigset_t storage;
  for (;;) {
    if (room_made)
      RetryWaiting();
    if (!finished.empty()) {
      Finished result = std::move(finished.front());
      finished.pop_front();
      return result;
    }
    if (jobs.empty()) {
      // What is no job's may have made PollFd() readable.
      (void)loop.Wait(steady_clock::now(), mask,
                      [this](uint64_t token) { Handle(token); });
      return Error{ECHILD, "wait", ""};
    }

    const sigset_t* now = mask;
    if (engine->blocks() || (templates && templates->IsParking()))
      now = WithoutStraySigchld(mask, &storage);
    Result<int> events =
        loop.Wait(deadline, now, [this](uint64_t token) { Handle(token); });
    if (!events.ok())
      return events.error();
    // Those that were found together are handed back in the order of their
    // start, whatever order they were found in.
    std::sort(finished.begin(), finished.end(),
              [](const Finished& a, const Finished& b) { return a.id < b.id; });
    // epoll_pwait(2) prefers events to signals: without this a child that
    // writes without end would keep an interrupt from being seen.
    if (finished.empty() && mask && SignalPending(*mask)) {
      const timespec zero = {};
      (void)ppoll(nullptr, 0, &zero, mask);  // Its handler runs here.
      return Error{EINTR, "wait", ""};
    }
    if (finished.empty() && steady_clock::now() >= deadline)
      return Error{ETIMEDOUT, "wait", ""};
  }
}

Launcher::Impl::~Impl() {
  options.on_held = nullptr;
  while (!waiting.empty())
    (void)Kill(Find(waiting.front()), SIGKILL);
  std::vector<uint64_t> ids;
  for (const auto& [id, job] : jobs)
    ids.push_back(id);
  for (uint64_t id : ids) {
    Job* job = Find(id);
    job->drain = milliseconds::zero();
    (void)Kill(job, SIGKILL);
    job = Find(id);
    if (job && job->state != Job::State::kStarting)
      DropOutput(job);
  }
  while (!jobs.empty())
    (void)loop.Wait(TimePoint::max(), nullptr,
                    [this](uint64_t token) { Handle(token); });
  templates.reset();
  warm_processes.clear();
  RestoreFdLimit();
}

Statistics Launcher::Impl::GetStatistics() const {
  Statistics result = statistics;
  result.template_hits = cache->counters().hits;
  result.template_misses = cache->counters().misses;
  result.template_stale = cache->counters().stale;
  result.template_evictions = cache->counters().evictions;
  if (templates) {
    result.warm_parked = templates->counters.parked;
    result.warm_stale = templates->counters.stale;
    result.warm_evictions = templates->counters.evicted;
    result.warm_deaths = templates->counters.ended;
    result.warm_processes = templates->size();
    result.warm_private_kib = templates->private_kib();
    result.never_warm = templates->Reasons();
  }
  return result;
}

Launcher::Launcher(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Launcher::~Launcher() = default;

Result<std::unique_ptr<Launcher>> Launcher::Create(Options options) {
  auto cache =
      TemplateCache::Create(options.template_entries, options.never_template);
  if (!cache.ok())
    return cache.error();
  Result<EventLoop> loop = EventLoop::Create();
  if (!loop.ok())
    return loop.error();
  auto impl = std::make_unique<Impl>(
      std::move(options), std::move(loop.value()), std::move(cache.value()));
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  impl->child_mask = sys::ToKernel(mask);
  if (impl->options.engine == Engine::kPosixSpawn) {
    if (Result<void> made = impl->UsePosixSpawn(); !made.ok())
      return made.error();
  } else {
    impl->engine = MakeClone3Engine();
    const Engine wanted = impl->options.engine;
    if (wanted == Engine::kKernel || wanted == Engine::kAuto) {
      Result<void> used = impl->UseKernel();
      if (!used.ok() && wanted == Engine::kKernel)
        return used.error();
    }
    // The kernel's call cannot give the child another limit than ours.
    if (impl->options.raise_fd_limit && !impl->kernel)
      impl->RaiseFdLimit();
    if (wanted == Engine::kAuto || wanted == Engine::kWarm) {
      Result<void> made = impl->UseWarm();
      if (!made.ok() && made.error().code == EINVAL)
        return made.error();
      if (!made.ok())
        impl->statistics.refusals += made.error().ToString() + "; ";
    }
  }
  return std::unique_ptr<Launcher>(new Launcher(std::move(impl)));
}

Result<ChildId> Launcher::Spawn(const Command& command) {
  Result<ChildId> spawned = impl_->Spawn(command);
  impl_->ShowWork();
  return spawned;
}

Result<pid_t> Launcher::StartProcess(const Command& command) {
  Result<pid_t> started = impl_->StartProcess(command);
  impl_->ShowWork();
  return started;
}

Result<void> Launcher::Prepare(const Command& command) {
  Result<void> prepared = impl_->Prepare(command);
  impl_->ShowWork();
  return prepared;
}

Result<ChildId> Launcher::SpawnLine(const char* line, const Command& command) {
  Result<ChildId> spawned = impl_->SpawnLine(line, command);
  impl_->ShowWork();
  return spawned;
}

std::string Launcher::WhyShell(const char* line, const Command& command) {
  return impl_->WhyShell(line, command);
}

Result<Finished> Launcher::Wait(std::chrono::milliseconds timeout,
                                const sigset_t* mask) {
  Result<Finished> done = impl_->Wait(timeout, mask);
  impl_->ShowWork();
  return done;
}

Result<int> Launcher::PollFd() {
  Result<int> fd = impl_->loop.Descriptor();
  impl_->ShowWork();
  return fd;
}

Result<pid_t> Launcher::Pid(ChildId id) const {
  Job* job = impl_->Find(static_cast<uint64_t>(id));
  if (job && job->pid > 0)
    return job->pid;
  for (const Finished& done : impl_->finished)
    if (done.id == id && done.pid > 0)
      return done.pid;
  return Error{ESRCH, "pid", std::to_string(static_cast<uint64_t>(id))};
}

Result<Fd> Launcher::OpenPidfd(ChildId id) {
  Job* job = impl_->Find(static_cast<uint64_t>(id));
  if (!job || job->pid <= 0 || job->reaped)
    return Error{ESRCH, "pidfd_open",
                 std::to_string(static_cast<uint64_t>(id))};
  // Not reaped yet: the pid is its own.
  Fd fd(static_cast<int>(sys::PidfdOpen(job->pid)));
  if (!fd)
    return Error{-fd.get(), "pidfd_open", std::to_string(job->pid)};
  return fd;
}

Result<void> Launcher::Kill(ChildId id, int signal) {
  impl_->CollectThreads();  // What has started gets its signal now.
  Job* job = impl_->Find(static_cast<uint64_t>(id));
  if (!job)
    return Error{ESRCH, "kill", std::to_string(static_cast<uint64_t>(id))};
  Result<void> killed = impl_->Kill(job, signal);
  impl_->ShowWork();
  return killed;
}

Result<void> Launcher::DropOutput(ChildId id) {
  Job* job = impl_->Find(static_cast<uint64_t>(id));
  if (!job)
    return Error{ESRCH, "drop", std::to_string(static_cast<uint64_t>(id))};
  impl_->DropOutput(job);
  impl_->ShowWork();
  return {};
}

size_t Launcher::children() const {
  return impl_->jobs.size() + impl_->finished.size();
}

Engine Launcher::engine() const {
  return impl_->kernel ? Engine::kKernel : impl_->engine->kind();
}

Statistics Launcher::statistics() const { return impl_->GetStatistics(); }

}  // namespace launcher
