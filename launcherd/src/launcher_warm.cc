// SPDX-License-Identifier: Apache-2.0

#include <errno.h>
#include <poll.h>

#include <utility>

#include "launcher_impl.h"
#include "reap.h"

namespace launcher {

namespace {

// How long a process that has been stopped can hold up what it was asked for.
constexpr std::chrono::milliseconds kLookAfter{200};

}  // namespace

Result<void> Launcher::Impl::UseWarm() {
  auto made = warm::WarmTemplates::Create(
      options,
      [this](const WarmPointer& process) { return WatchProcess(process); });
  if (!made.ok())
    return made.error();
  Result<void> added = loop.Add(made.value()->event_fd(), kParkedToken);
  if (!added.ok())
    return added;
  templates = std::move(made.value());
  return {};
}

/// From now on events of its socket are handled.
bool Launcher::Impl::WatchProcess(const WarmPointer& process) {
  process->id = next_id++;
  if (!loop.Add(process->socket(), process->id << kWatchBits).ok())
    return false;
  process->listened = true;
  warm_processes.emplace(process->id, process);
  return true;
}

void Launcher::Impl::Listen(const WarmPointer& process, bool listen) {
  if (process->listened == listen)
    return;
  process->listened = listen;
  loop.Listen(process->socket(), process->id << kWatchBits, listen);
}

/// Whether a reply for the job may be left in the socket until its output has
/// ended: most jobs end with their output, and a wake-up is saved. One that
/// does not is answered within kLookAfter.
bool Launcher::Impl::TellsItsEnd(const Job& job) const {
  return job.StreamTellsEnd() && job.drain < milliseconds::zero() &&
         !job.await_start && !job.block->HoldsDescriptors();
}

/// Asks a parked process for the job, if there is one that can do it. On
/// success `given` is kept until it has answered, unless that may be late.
bool Launcher::Impl::StartWarm(Job* job, std::vector<Fd>* given) {
  if (!templates || job->cold)
    return false;
  WarmPointer process = templates->Find(*job->block, &message);
  if (!process || !process->Send(job->id, &message, &job->report).ok())
    return false;
  job->block->child.report.error = 0;
  job->in_stream = TellsItsEnd(*job);
  if (!job->in_stream)
    Listen(process, true);
  else if (process->asked() == 1)
    Listen(process, false);
  job->warm = std::move(process);
  if (!job->in_stream)
    job->given = std::move(*given);
  given->clear();
  job->state = Job::State::kStarting;
  job->times.cloned = steady_clock::now();
  job->engine = Engine::kWarm;
  ++statistics.warm_launches;
  statistics.warm_saved += job->warm->parked().loader_cpu;
  SetTimeout(job);
  if (!job->warm->watched) {
    job->warm->watched = true;
    loop.SetTimer(EventLoop::After(kLookAfter), WarmTimer(job->warm->id));
  }
  return true;
}

/// Empty if it may yet come to that.
std::string Launcher::Impl::WhyNeverWarm(const LaunchBlock& block) {
  return templates ? templates->WhyNever(block) : "warm templates are off";
}

void Launcher::Impl::OnWarmEvent(uint64_t id) {
  auto found = warm_processes.find(id);
  if (found == warm_processes.end())
    return;
  WarmPointer process = found->second;
  while (std::optional<warm::Reply> reply = process->Receive()) {
    Job* job = Find(reply->id);
    if (job && job->state == Job::State::kStarting)
      OnReply(job, *reply);
  }
  if (!process->AtEnd())
    return;
  loop.Remove(process->socket());
  warm_processes.erase(id);
  if (templates)
    templates->OnEnd(process);
  for (uint64_t job : process->TakeUnanswered())
    if (Job* unanswered = Find(job))
      StartCold(unanswered);
}

void Launcher::Impl::OnReply(Job* job, const warm::Reply& reply) {
  if (reply.error != 0) {
    StartCold(job);
    return;
  }
  job->given.clear();
  job->block->ReleaseDescriptors();
  room_made |= !waiting.empty();
  Started started;
  started.pid = reply.pid;
  if (late.empty() && !pidfd_refused)
    started.pidfd.Reset(static_cast<int>(sys::PidfdOpen(reply.pid)));
  Adopt(job, std::move(started));
}

/// For a job in_stream whose output has ended. True if it has ended too; else
/// it goes on like any other, or is no more.
bool Launcher::Impl::FetchReply(Job* job) {
  std::optional<warm::Reply> reply = job->warm->ReceiveOf(job->id);
  if (!reply) {
    Listen(job->warm, true);
    return false;
  }
  if (reply->error != 0 || HasEnded(reply->pid) != 1) {
    OnReply(job, *reply);
    return false;
  }
  job->pid = reply->pid;
  job->state = Job::State::kRunning;
  OnExit(job);
  return true;
}

void Launcher::Impl::OnWarmTimer(uint64_t id) {
  OnWarmEvent(id);
  auto found = warm_processes.find(id);
  if (found == warm_processes.end())
    return;
  WarmPointer process = found->second;
  process->EndIfStuck();
  process->watched = process->TakeUsed() || process->IsAsked();
  if (process->watched)
    loop.SetTimer(EventLoop::After(kLookAfter), WarmTimer(id));
}

/// Until the job that a parked process was asked for has a pid, or is no more.
void Launcher::Impl::AwaitAnswer(uint64_t id) {
  for (;;) {
    Job* job = Find(id);
    if (!job || job->state != Job::State::kStarting || !job->warm)
      return;
    if (std::optional<warm::Reply> reply = job->warm->ReceiveOf(id)) {
      OnReply(job, *reply);
      continue;
    }
    pollfd readable = {job->warm->socket(), POLLIN, 0};
    if (poll(&readable, 1, static_cast<int>(kLookAfter.count())) == 0)
      job->warm->EndIfStuck();
    if (job->warm->AtEnd())
      OnWarmEvent(job->warm->id);
  }
}

/// Find(), once it is known whether a parked process has started it.
Job* Launcher::Impl::FindStarted(uint64_t id) {
  AwaitAnswer(id);
  return Find(id);
}

/// Starts a job again that a parked process has not started.
void Launcher::Impl::StartCold(Job* job) {
  job->warm->FreeReport(job->report);
  --statistics.warm_launches;
  statistics.warm_saved -= job->warm->parked().loader_cpu;
  job->warm.reset();
  job->cold = true;
  job->state = Job::State::kWaiting;
  if (job->warm_only) {
    job->given.clear();
    OnNotStarted(job, {ENOTSUP, "warm", job->block->child.plan.path});
    return;
  }
  job->had_others = AnyRunning();
  bool refused = false;
  Result<void> started =
      job->in_stream ? Start(job)
                     : RunEngine(job, std::exchange(job->given, {}), &refused);
  if (!started.ok())
    OnNotStarted(job, started.error());
}

/// Takes what the clone has left, once it has ended.
void Launcher::Impl::TakeReport(Job* job) {
  if (!job->warm)
    return;
  const warm::Report& report = *job->warm->report(job->report);
  ChildReport& taken = job->block->child.report;
  taken.error = report.error;
  taken.failed_step = report.failed_step;
  taken.ran_ns = report.ran_ns;
  taken.exec_ns = report.exec_ns;
  job->warm->FreeReport(job->report);
  // The process may go with this: not before the child has been reaped.
  job->ended_with = std::move(job->warm);
}

}  // namespace launcher
