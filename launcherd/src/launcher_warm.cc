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
  warm_processes.emplace(process->id, process);
  return true;
}

/// Asks a parked process for the job, if there is one that can do it. On
/// success `given` is kept until it has answered.
bool Launcher::Impl::StartWarm(Job* job, std::vector<Fd>* given) {
  if (!templates || job->cold)
    return false;
  WarmPointer process = templates->Find(*job->block, &message);
  if (!process || !process->Send(job->id, &message, &job->report).ok())
    return false;
  job->block->child.report.error = 0;
  job->warm = std::move(process);
  job->given = std::move(*given);
  job->state = Job::State::kStarting;
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
    if (!job || job->state != Job::State::kStarting)
      continue;
    if (reply->error != 0) {
      StartCold(job);
      continue;
    }
    job->given.clear();
    job->block->ReleaseDescriptors();
    Started started;
    started.pid = reply->pid;
    if (late.empty() && !pidfd_refused)
      started.pidfd.Reset(static_cast<int>(sys::PidfdOpen(reply->pid)));
    Adopt(job, std::move(started));
    room_made |= !waiting.empty();
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

void Launcher::Impl::OnWarmTimer(uint64_t id) {
  auto found = warm_processes.find(id);
  if (found == warm_processes.end())
    return;
  WarmPointer process = found->second;
  process->EndIfStuck();
  process->watched = process->TakeUsed() || process->IsAsked();
  if (process->watched)
    loop.SetTimer(EventLoop::After(kLookAfter), WarmTimer(id));
}

/// Until the job that a parked process was asked for has a pid, or none.
void Launcher::Impl::AwaitAnswer(uint64_t id) {
  for (;;) {
    Job* job = Find(id);
    if (!job || job->state != Job::State::kStarting || !job->warm)
      return;
    pollfd readable = {job->warm->socket(), POLLIN, 0};
    if (poll(&readable, 1, static_cast<int>(kLookAfter.count())) == 0)
      job->warm->EndIfStuck();
    OnWarmEvent(job->warm->id);
  }
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
      RunEngine(job, std::exchange(job->given, {}), &refused);
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
