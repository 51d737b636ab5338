// SPDX-License-Identifier: Apache-2.0

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "above_stdio.h"
#include "holder.h"
#include "launcher_impl.h"
#include "reap.h"
#include "survivors.h"

namespace launcher {

namespace {

using std::chrono::milliseconds;

// A command that ran out of time has been killed: what it left behind is not
// worth a long wait.
constexpr milliseconds kTimedOutDrain{100};

// Far beyond any use; ten times it can still be counted.
constexpr milliseconds kLongestDrain{1'000'000'000'000};

// How often a child without a pidfd is looked at: while its output is open the
// end of file tells more, after that it is about to end.
constexpr milliseconds kSlowPoll{1000};
constexpr milliseconds kLongestPoll{64};

/// Whether a process that is started ends by it unless it has other plans,
/// signal(7).
bool EndsByDefault(int signal) {
  switch (signal) {
    case 0:
    case SIGCHLD:
    case SIGCONT:
    case SIGSTOP:
    case SIGTSTP:
    case SIGTTIN:
    case SIGTTOU:
    case SIGURG:
    case SIGWINCH:
      return false;
    default:
      struct sigaction action;
      return sigaction(signal, nullptr, &action) != 0 ||
             action.sa_handler != SIG_IGN;
  }
}

/// The shell of a command line would have died of it.
void NoteKill(Job* job, int signal) {
  job->group_killed |= signal == SIGKILL;
  job->stopped |= signal == 0;
  if (job->killed == 0 && EndsByDefault(signal))
    job->killed = signal;
}

// Pidfds given up at a time when descriptors run out.
constexpr int kRevokeBatch = 16;

}  // namespace

void Launcher::Impl::List(Job* job, Job::Listed where) {
  if (job->listed == Job::Listed::kWithPidfd)
    with_pidfd.erase(job->place);
  if (job->listed == Job::Listed::kLate)
    late.erase(job->place);
  job->listed = where;
  if (where == Job::Listed::kWithPidfd)
    job->place = with_pidfd.insert(with_pidfd.end(), job);
  if (where == Job::Listed::kLate)
    job->place = late.insert(late.end(), job);
}

/// Sees to it that the end of the child will be noticed.
void Launcher::Impl::WatchExit(Job* job) {
  if (job->pidfd &&
      loop.AddOnce(job->pidfd.get(), job->Token(Watch::kExit)).ok()) {
    List(job, job->StreamTellsEnd() ? Job::Listed::kWithPidfd
                                    : Job::Listed::kNowhere);
    return;
  }
  job->pidfd.Reset();
  if (!job->StreamTellsEnd() && OpenPidfd(job))
    return;
  ++statistics.late_pidfds;
  List(job, Job::Listed::kLate);
  SetTimer(job, Watch::kPoll,
           steady_clock::now() +
               (job->StreamTellsEnd() ? kSlowPoll : job->poll_interval));
}

/// The pid is ours until we reap it, so it cannot mean another process.
bool Launcher::Impl::OpenPidfd(Job* job) {
  if (pidfd_refused)
    return false;
  long pidfd = sys::PidfdOpen(job->pid);
  if (pidfd < 0) {
    if (IsRefusal(static_cast<int>(-pidfd))) {
      pidfd_refused = true;
      statistics.refusals +=
          Error{static_cast<int>(-pidfd), "pidfd_open", ""}.ToString() + "; ";
    }
    return false;
  }
  job->pidfd = AboveStdioOrNone(Fd(static_cast<int>(pidfd)));
  if (!loop.AddOnce(job->pidfd.get(), job->Token(Watch::kExit)).ok()) {
    job->pidfd.Reset();
    return false;
  }
  CancelTimer(job, Watch::kPoll);
  List(job,
       job->StreamTellsEnd() ? Job::Listed::kWithPidfd : Job::Listed::kNowhere);
  return true;
}

/// Makes room in the descriptor table. False if there is none to be made.
bool Launcher::Impl::RevokePidfds() {
  if (with_pidfd.empty())
    return false;
  for (int i = 0; i < kRevokeBatch && !with_pidfd.empty(); ++i) {
    Job* job = with_pidfd.front();
    loop.Remove(job->pidfd.get());
    job->pidfd.Reset();
    WatchExit(job);
  }
  return true;
}

Job* Launcher::Impl::Find(uint64_t id) {
  auto found = jobs.find(id);
  return found == jobs.end() ? nullptr : found->second.get();
}

void Launcher::Impl::SetTimer(Job* job, Watch watch, TimePoint when) {
  CancelTimer(job, watch);
  job->timers[static_cast<size_t>(watch) - kFirstTimer] = when;
  loop.SetTimer(when, job->Token(watch));
}

void Launcher::Impl::CancelTimer(Job* job, Watch watch) {
  TimePoint& when = job->timers[static_cast<size_t>(watch) - kFirstTimer];
  if (when != TimePoint())
    loop.CancelTimer(when, job->Token(watch));
  when = TimePoint();
}

void Launcher::Impl::Handle(uint64_t token) {
  if (token == kSpawnThreadsToken) {
    CollectThreads();
    return;
  }
  if (token == kParkedToken) {
    templates->Collect();
    return;
  }
  if (warm_processes.contains(token >> kWatchBits)) {
    if (token == WarmTimer(token >> kWatchBits))
      OnWarmTimer(token >> kWatchBits);
    else
      OnWarmEvent(token >> kWatchBits);
    return;
  }
  // A job that was finished earlier in the same batch of events is no more.
  Job* job = Find(token >> kWatchBits);
  if (!job)
    return;
  Watch watch = static_cast<Watch>(token & ((1 << kWatchBits) - 1));
  if (watch >= Watch::kTimeout)
    job->timers[static_cast<size_t>(watch) - kFirstTimer] = TimePoint();
  switch (watch) {
    case Watch::kOutput:
    case Watch::kErrorOutput:
      OnReadable(job, &job->streams[static_cast<size_t>(watch)]);
      break;
    case Watch::kExit:
      OnExit(job);
      break;
    case Watch::kStarted:
      CloseStart(job);
      return;
    case Watch::kTimeout:
      job->timed_out = true;
      if (job->state == Job::State::kWaiting) {
        (void)Kill(job, SIGKILL);  // It is no more.
        return;
      }
      (void)Kill(job, SIGKILL);
      job = Find(token >> kWatchBits);
      if (!job)
        return;  // A parked process had not started it.
      if (job->state == Job::State::kExited)
        ArmDrain(job, kTimedOutDrain);
      break;
    case Watch::kDrain:
    case Watch::kDrainLimit:
      DropOutput(job);
      return;
    case Watch::kHeld:
      OnHeld(job);
      return;
    case Watch::kPoll:
      if (job->state == Job::State::kFailed) {
        OnFailed(job);
        return;
      }
      OnPoll(job);
      break;
  }
  FinishIfDone(job);
}

void Launcher::Impl::OnReadable(Job* job, Stream* stream) {
  if (!stream->fd)
    return;
  ssize_t size = read(stream->fd.get(), buffer.get(), kReadSize);
  if (size < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  if (size <= 0) {
    job->output_complete &= size == 0;
    CloseStream(job, stream);
    return;
  }
  if (stream->bytes == 0 && job->times.first_output == TimePoint())
    job->times.first_output = steady_clock::now();
  Keep(job, stream, {buffer.get(), static_cast<size_t>(size)});

  TimePoint drain =
      job->timers[static_cast<size_t>(Watch::kDrain) - kFirstTimer];
  if (drain != TimePoint())
    ArmDrain(job, job->timed_out ? kTimedOutDrain : job->drain);
}

void Launcher::Impl::Keep(Job* job, Stream* stream, std::string_view text) {
  stream->bytes += text.size();
  size_t room =
      job->output_cap - std::min(job->output_cap, stream->text.size());
  stream->text.append(text.substr(0, room));
}

/// Idempotent. A job that loses its last stream early needs its pidfd now.
void Launcher::Impl::CloseStream(Job* job, Stream* stream) {
  if (!stream->fd)
    return;
  loop.Remove(stream->fd.get());
  stream->fd.Reset();
  stream->write_end.Reset();
  if (job->StreamsOpen() || job->state != Job::State::kRunning)
    return;
  job->times.drained = steady_clock::now();
  if (job->pidfd)
    List(job, Job::Listed::kNowhere);
  else if (!OpenPidfd(job))
    SetTimer(job, Watch::kPoll, steady_clock::now() + job->poll_interval);
}

void Launcher::Impl::CloseStreams(Job* job) {
  for (Stream& stream : job->streams)
    CloseStream(job, &stream);
}

/// At the end of a line: only what its programs have left behind keeps the
/// streams open from now on.
void Launcher::Impl::CloseWriteEnds(Job* job) {
  for (Stream& stream : job->streams) {
    if (!stream.write_end)
      continue;
    stream.write_end.Reset();
    OnReadable(job, &stream);
  }
}

void Launcher::Impl::OnExit(Job* job) {
  if (job->state != Job::State::kRunning)
    return;
  TakeReport(job);
  job->state = Job::State::kExited;
  job->times.exited = steady_clock::now();
  List(job, Job::Listed::kNowhere);
  CancelTimer(job, Watch::kPoll);

  // All that the child itself wrote is in the pipe by now, and the end of file
  // behind it unless somebody else holds it.
  for (Stream& stream : job->streams)
    for (int i = 0; i < 2 && stream.fd; ++i)
      OnReadable(job, &stream);
  if (!job->StreamsOpen())
    return;
  if (job->timed_out)
    ArmDrain(job, kTimedOutDrain);
  else if (job->drain >= milliseconds::zero())
    ArmDrain(job, job->drain);
  if (options.on_held)
    SetTimer(job, Watch::kHeld, EventLoop::After(options.held_after));
}

void Launcher::Impl::ArmDrain(Job* job, milliseconds drain) {
  SetTimer(job, Watch::kDrain, EventLoop::After(drain));
  TimePoint limit =
      job->timers[static_cast<size_t>(Watch::kDrainLimit) - kFirstTimer];
  if (limit == TimePoint())
    SetTimer(job, Watch::kDrainLimit,
             EventLoop::After(10 * std::min(drain, kLongestDrain)));
}

void Launcher::Impl::OnHeld(Job* job) {
  Holder holder;
  for (const Stream& stream : job->streams)
    if (stream.fd && holder.pid == 0)
      holder = FindPipeHolder(stream.fd.get(), job->pid);
  options.on_held(
      {ChildId{job->id}, job->tag, holder.pid, std::move(holder.comm)});
}

/// Stands in for the pidfd of a job that has none.
void Launcher::Impl::OnPoll(Job* job) {
  if (job->state == Job::State::kStarting)
    (void)Kill(job, SIGKILL);  // There was no child yet to kill.
  if (job->state != Job::State::kRunning)
    return;
  int ended = HasEnded(job->pid);
  // Where the system does not say, only the reaping tells: not before the end
  // of the output.
  if (ended == 1 || (ended < 0 && !job->StreamTellsEnd())) {
    OnExit(job);
    return;
  }
  milliseconds interval = kSlowPoll;
  if (!job->StreamTellsEnd()) {
    interval = job->poll_interval;
    job->poll_interval = std::min(2 * interval, kLongestPoll);
  }
  SetTimer(job, Watch::kPoll, steady_clock::now() + interval);
}

void Launcher::Impl::FinishIfDone(Job* job) {
  if (job->state != Job::State::kExited)
    return;
  const Progress progress =
      job->Planned() ? AdvanceLine(job) : Progress::kEnded;
  if (progress == Progress::kGoesOn)
    return;
  if (progress == Progress::kNotYet) {
    LookAgain(job);
    return;
  }
  CloseWriteEnds(job);
  if (job->StreamsOpen())
    return;
  if (job->times.drained == TimePoint())
    job->times.drained = steady_clock::now();

  Reaped reaped =
      job->reaped ? *job->reaped : ReapChild(job->pid, job->pidfd.get());
  if (reaped.state == Reaped::State::kRunning) {
    LookAgain(job);
    return;
  }

  Finished result;
  if (job->block) {
    TakeTimes(job);
    if (job->block->child.report.error != 0) {
      result.error = job->block->ReportedError();
      job->pidfd.Reset();
      if (PutOff(job, result.error))
        return;
      ++statistics.failed;
      result.cause = Finished::Cause::kNotStarted;
    }
  }
  if (result.error.code == 0) {
    result.code = reaped.code;
    result.cause = reaped.state == Reaped::State::kLost ? Finished::Cause::kLost
                   : reaped.signaled ? Finished::Cause::kSignaled
                                     : Finished::Cause::kExited;
    result.core_dumped = reaped.core_dumped;
  }
  job->usage.Add(reaped.usage);
  if (job->Planned())
    EndLine(job, &result);
  Finish(job, std::move(result));
}

/// The system has said too early that it has ended.
void Launcher::Impl::LookAgain(Job* job) {
  job->state = Job::State::kRunning;
  SetTimer(job, Watch::kPoll, steady_clock::now() + job->poll_interval);
  job->poll_interval = std::min(2 * job->poll_interval, kLongestPoll);
}

void Launcher::Impl::FinishNotStarted(Job* job, Error error) {
  ++statistics.failed;
  Finished result;
  result.cause = Finished::Cause::kNotStarted;
  result.error = std::move(error);
  Finish(job, std::move(result));
}

void Launcher::Impl::Finish(Job* job, Finished result) {
  result.id = ChildId{job->id};
  result.tag = job->tag;
  result.pid = std::max(job->pid, 0);
  result.timed_out = job->timed_out;
  result.output = std::move(job->streams[0].text);
  result.error_output = std::move(job->streams[1].text);
  result.output_bytes = job->streams[0].bytes;
  result.error_output_bytes = job->streams[1].bytes;
  result.output_complete = job->output_complete;
  result.engine = job->engine;
  result.shell_reason = std::move(job->shell_reason);
  if (job->leader > 0)
    job->usage.Add(ReapChild(job->leader, -1).usage);
  TakeSurvivors(job, &result);
  result.user_cpu = job->usage.user_cpu;
  result.system_cpu = job->usage.system_cpu;
  result.max_rss_kib = job->usage.max_rss_kib;
  job->times.reaped = steady_clock::now();
  result.times = job->times;
  finished.push_back(std::move(result));

  for (size_t i = 0; i < kTimers; ++i)
    CancelTimer(job, static_cast<Watch>(i + kFirstTimer));
  CloseStart(job);
  List(job, Job::Listed::kNowhere);
  RemoveJob(job);

  // Its descriptors are free now: one that does without gets its pidfd.
  if (!late.empty())
    (void)OpenPidfd(late.front());
  room_made = true;
}

/// When the child and the leader of its group have been reaped.
void Launcher::Impl::TakeSurvivors(Job* job, Finished* result) {
  const bool has_run =
      result->cause != Finished::Cause::kNotStarted || job->leader > 0;
  if (job->survivors == Command::Survivors::kLeave || job->group_killed ||
      !has_run || result->cause == Finished::Cause::kLost)
    return;
  const bool leads = job->leader < 0;
  const pid_t group = leads ? job->pid : job->leader;
  const int pidfd = leads ? job->pidfd.get() : -1;
  result->survivors = FindSurvivors(group, pidfd);
  if (!result->survivors.empty() && job->survivors == Command::Survivors::kKill)
    KillSurvivors(group, pidfd);
}

Result<void> Launcher::Impl::Kill(Job* job, int signal) {
  if (signal < 0 || signal >= _NSIG)
    return Error{EINVAL, "kill", std::to_string(signal)};
  switch (job->state) {
    case Job::State::kWaiting:
      std::erase(waiting, job->id);
      CloseStreams(job);
      FinishNotStarted(job, {ECANCELED, "kill", ""});
      return {};
    case Job::State::kStarting:
      if (job->warm) {
        const uint64_t id = job->id;
        AwaitAnswer(id);
        job = Find(id);
        return job ? Kill(job, signal) : Result<void>();
      }
      NoteKill(job, signal);
      if (signal != 0 && job->pending_signal != SIGKILL)
        job->pending_signal = signal;
      if (signal == SIGKILL &&
          !threads->KillChild(job->id, job->KillsDescendants())) {
        SetTimer(job, Watch::kPoll, steady_clock::now() + job->poll_interval);
        job->poll_interval = std::min(2 * job->poll_interval, kLongestPoll);
      }
      return {};
    case Job::State::kFailed:
      NoteKill(job, signal);
      return {};
    case Job::State::kRunning:
    case Job::State::kExited:
      break;
  }
  NoteKill(job, signal);
  if (signal == SIGKILL && job->KillsDescendants() &&
      job->state == Job::State::kRunning)
    KillDescendants(job->pid);
  if (job->group == Command::Group::kOwn) {
    pid_t group = job->pid;
    if (job->leader > 0) {
      // The child may not have come to its setpgid(2) yet.
      group = job->leader;
      (void)setpgid(job->pid, group);
    }
    bool reached = kill(-group, signal) == 0;
    // A later program of a line is free to leave the group.
    if (reached && (job->leader < 0 || getpgid(job->pid) == group))
      return {};
    // The child has not come to its setpgid(2) yet, nor to its exec.
    if (!reached && errno == ESRCH && setpgid(job->pid, group) == 0 &&
        kill(-group, signal) == 0)
      return {};
    if (!reached && errno == EACCES && kill(-group, signal) == 0)
      return {};  // It came to both in between.
  }
  // No group before its setsid(2); ours to make it would keep it from that.
  if (job->group == Command::Group::kSession && kill(-job->pid, signal) == 0)
    return {};
  int sent = SignalChild(job->pid, job->pidfd.get(), signal);
  if (sent < 0)
    return Error{-sent, "kill", std::to_string(job->pid)};
  return {};
}

/// May finish the job.
void Launcher::Impl::DropOutput(Job* job) {
  job->drop_output |= job->state == Job::State::kWaiting || job->line;
  for (Stream& stream : job->streams) {
    job->output_complete &= !stream.fd;
    CloseStream(job, &stream);
  }
  FinishIfDone(job);
}

}  // namespace launcher
