// SPDX-License-Identifier: Apache-2.0

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "launcher_impl.h"
#include "reap.h"

namespace launcher {

namespace {

/// Adds to a file as one that had it open would; best effort.
void AppendToFile(const std::string& path, const std::string& text) {
  Fd fd(open(path.c_str(),
             O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat file;
  if (fd && fstat(fd.get(), &file) == 0 && S_ISREG(file.st_mode))
    (void)!write(fd.get(), text.data(), text.size());
}

/// Writes to what the child's standard error leads to. That may be a full pipe,
/// which must not hold us, or a broken one, whose signal is not for us.
void WriteNotice(int fd, const std::string& text) {
  pollfd ready = {fd, POLLOUT, 0};
  if (poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT))
    return;
  sigset_t pipe, mask, pending;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  sigpending(&pending);
  pthread_sigmask(SIG_BLOCK, &pipe, &mask);
  if (write(fd, text.data(), text.size()) < 0 && errno == EPIPE &&
      !sigismember(&pending, SIGPIPE)) {
    const timespec now = {};
    (void)sigtimedwait(&pipe, nullptr, &now);
  }
  pthread_sigmask(SIG_SETMASK, &mask, nullptr);
}

}  // namespace

std::unique_ptr<ShellLine> Launcher::Impl::TakeLine() {
  if (free_lines.empty())
    return std::make_unique<ShellLine>(&shell);
  std::unique_ptr<ShellLine> line = std::move(free_lines.back());
  free_lines.pop_back();
  return line;
}

void Launcher::Impl::ReleaseLine(Job* job) {
  constexpr size_t kKept = 64;
  if (!job->line)
    return;
  ReleaseBlock(job->line->Release());
  if (free_lines.size() < kKept)
    free_lines.push_back(std::move(job->line));
}

/// The launch of the shell itself.
Result<Launcher::Impl::Block> Launcher::Impl::StoreShell(
    const char* line, const Command& command) {
  if (!command.argv.empty() || command.path || command.warm_only ||
      command.await_start)
    return Error{EINVAL, "command",
                 "a command line and argv, path, warm_only or await_start"};
  const char* argv[] = {"/bin/sh", "-c", line};
  Command shell_command = command;
  shell_command.argv = argv;
  return StoreCommand(shell_command);
}

std::string Launcher::Impl::WhyShell(const char* line, const Command& command) {
  if (options.shell == Options::ShellUse::kAlways)
    return "LAUNCHER_SHELL=always";
  Result<Block> block = StoreShell(line, command);
  if (!block.ok())
    return block.error().ToString();
  std::string reason = ShellLine(&shell).Plan(*block.value());
  ReleaseBlock(std::move(block.value()));
  return reason;
}

Result<ChildId> Launcher::Impl::SpawnLine(const char* line,
                                          const Command& command) {
  TimePoint requested = steady_clock::now();
  Result<Block> stored = StoreShell(line, command);
  if (!stored.ok())
    return stored.error();
  Block block = std::move(stored.value());
  block->SetExecutable(options.shell_path);

  std::unique_ptr<ShellLine> plan;
  std::string reason = "LAUNCHER_SHELL=always";
  if (options.shell == Options::ShellUse::kAuto) {
    plan = TakeLine();
    reason = plan->Plan(*block);
  }
  // The shell may have to come in when the caller has closed them.
  if (reason.empty())
    if (Result<void> held = block->HoldDescriptors(); !held.ok())
      reason = held.error().ToString();
  if (!reason.empty()) {
    if (Result<void> usable = UseTemplate(options.shell_path); !usable.ok()) {
      ReleaseBlock(std::move(block));
      return usable.error();
    }
  }

  Job* job = AddJob(command, requested);
  job->line = std::move(plan);
  if (!reason.empty()) {
    job->in_shell = true;
    job->shell_reason = std::move(reason);
    job->block = std::move(block);
    Result<ChildId> id = Launch(job);
    statistics.lines += id.ok();
    statistics.shells += id.ok();
    return id;
  }
  job->line->Keep(std::move(block));
  if (!job->line->Next()) {
    ++statistics.lines;
    ++statistics.launches;
    ChildId id{job->id};
    Finished result;
    result.code = job->line->status();
    Finish(job, std::move(result));
    return id;
  }
  PrepareProgram(job);
  Result<ChildId> id = Launch(job);
  statistics.lines += id.ok();
  return id;
}

/// Makes the launch of the line's current program, or else of the shell.
void Launcher::Impl::PrepareProgram(Job* job) {
  Result<std::string> path = job->line->FindProgram(&lookup);
  if (!path.ok()) {
    GiveToShell(job, path.error());
    return;
  }
  Result<void> usable = UseTemplate(path.value());
  if (usable.ok()) {
    job->block = TakeBlock();
    usable = job->line->StoreProgram(path.value(), job->block.get());
    if (job->leader > 0)
      job->block->group_leader = job->leader;
  }
  if (!usable.ok())
    GiveToShell(job, usable.error());
}

void Launcher::Impl::GiveToShell(Job* job, const Error& error) {
  ++statistics.shells;
  job->shell_reason = std::string("cannot start '") + job->line->Program() +
                      "': " + error.ToString();
  job->in_shell = true;
  ReleaseBlock(std::move(job->block));
  job->block = job->line->TakeShell();
  if (job->leader > 0)
    job->block->group_leader = job->leader;
}

/// The current program of a planned line has ended, but for kNotYet. Starts
/// what comes next: kGoesOn, the job may be gone then.
Launcher::Impl::Progress Launcher::Impl::AdvanceLine(Job* job) {
  if (job->block && job->block->child.report.error != 0) {
    Error error = job->block->ReportedError();
    if (!job->MayGoOn())
      return Progress::kEnded;
    if (ReapChild(job->pid, job->pidfd.get()).state == Reaped::State::kRunning)
      return Progress::kNotYet;
    job->pidfd.Reset();
    if (PutOff(job, error))
      return Progress::kGoesOn;
    GiveToShell(job, error);
    StartNext(job);
    return Progress::kGoesOn;
  }
  if (!job->line->HasNext() && !job->StreamsOpen())
    return Progress::kEnded;

  Reaped ended = PeekChild(job->pid);
  if (ended.state == Reaped::State::kLost) {
    // waitid(2) is refused.
    if (!job->reaped)
      job->reaped = ReapChild(job->pid, job->pidfd.get());
    ended = *job->reaped;
    if (ended.state == Reaped::State::kRunning)
      job->reaped.reset();
  }
  if (ended.state != Reaped::State::kReaped)
    return ended.state == Reaped::State::kRunning ? Progress::kNotYet
                                                  : Progress::kEnded;
  if (ended.signaled) {
    NoteDeath(job, ended.code, ended.core_dumped);
    return Progress::kEnded;
  }
  if (ended.code != 0 || !job->MayGoOn() || !job->line->HasNext() ||
      !job->line->Next())
    return Progress::kEnded;

  if (job->block)
    TakeTimes(job);
  ReleaseBlock(std::move(job->block));
  job->pidfd.Reset();
  // The first one stays as a zombie, for its process group.
  if (job->reaped)
    job->usage.Add(job->reaped->usage);
  else if (job->group == Command::Group::kOwn && job->leader < 0 &&
           getpgid(job->pid) == job->pid)
    job->leader = job->pid;
  else
    job->usage.Add(ReapChild(job->pid, -1).usage);
  job->reaped.reset();
  PrepareProgram(job);
  StartNext(job);
  return Progress::kGoesOn;
}

/// Starts the next program of a line, or its shell, where one has run already.
void Launcher::Impl::StartNext(Job* job) {
  for (Watch watch :
       {Watch::kDrain, Watch::kDrainLimit, Watch::kHeld, Watch::kPoll})
    CancelTimer(job, watch);
  List(job, Job::Listed::kNowhere);
  job->state = Job::State::kWaiting;
  job->pid = -1;
  job->poll_interval = milliseconds(1);
  job->times.exited = job->times.drained = TimePoint();
  job->had_others = jobs.size() > waiting.size() + 1;
  Result<void> started = StartOrWait(job);
  if (!started.ok()) {
    CloseStreams(job);
    FinishNotStarted(job, started.error());
  }
}

/// Does for a program that a signal has killed what its shell would do.
void Launcher::Impl::NoteDeath(Job* job, int signal, bool core_dumped) {
  // A Kill() would have met the shell as well: EndLine().
  if (job->noticed || job->killed || job->timed_out || job->line->DiesToo())
    return;
  job->noticed = true;
  std::string notice = job->line->DeathNotice(signal, core_dumped);
  ShellLine::ErrorTarget target = job->line->FindErrorTarget();
  if (notice.empty())
    return;
  if (!target.path.empty()) {
    AppendToFile(target.path, notice);
    return;
  }
  const LaunchBlock& line = *job->line->surroundings();
  Stdio stdio = target.fd == 2 ? line.err : target.fd == 1 ? line.out : Stdio();
  if (stdio.kind == Stdio::Kind::kMerge) {
    target.fd = 1;
    stdio = line.out;
  }
  if (stdio.kind == Stdio::Kind::kCapture) {
    Keep(job, &job->streams[target.fd - 1], notice);
  } else if (stdio.kind == Stdio::Kind::kInherit && target.fd > 0) {
    WriteNotice(target.fd, notice);
  } else if (stdio.kind == Stdio::Kind::kFd) {
    WriteNotice(stdio.fd, notice);
  }
}

/// Makes the end of the last program that of the line.
void Launcher::Impl::EndLine(Job* job, Finished* result) {
  bool is_killed = result->cause == Finished::Cause::kSignaled &&
                   result->code == job->killed;
  if (job->killed != 0 && !is_killed && !job->line->DiesToo()) {
    result->cause = Finished::Cause::kSignaled;
    result->code = job->killed;
    result->core_dumped = false;
  } else if (job->stopped && job->killed == 0 && job->line->HasNext() &&
             result->cause == Finished::Cause::kExited && result->code == 0) {
    result->cause = Finished::Cause::kNotStarted;
    result->error = {ECANCELED, "kill", job->line->Program()};
  } else if (result->cause == Finished::Cause::kSignaled) {
    NoteDeath(job, result->code, result->core_dumped);
    if (job->noticed) {
      result->cause = Finished::Cause::kExited;
      result->code += 128;
      result->core_dumped = false;
    }
  } else if (result->cause == Finished::Cause::kExited &&
             job->line->status() >= 0) {
    result->code = job->line->status();
  }
}

}  // namespace launcher
