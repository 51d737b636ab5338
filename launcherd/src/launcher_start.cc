// SPDX-License-Identifier: Apache-2.0

#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "above_stdio.h"
#include "launcher_impl.h"

extern char** environ;

namespace launcher {

namespace {

struct Pipe {
  Fd read_end, write_end;
};

/// The write end must block: its open file is the child's standard output.
Result<Pipe> MakePipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    return Error{errno, "pipe2", ""};
  Fd read_end(ends[0]), write_end(ends[1]);
  if (fcntl(read_end.get(), F_SETFL, O_NONBLOCK) != 0)
    return Error{errno, "fcntl", "pipe"};
  Result<Fd> reader = AboveStdio(std::move(read_end));
  if (!reader.ok())
    return reader.error();
  Result<Fd> writer = AboveStdio(std::move(write_end));
  if (!writer.ok())
    return writer.error();
  return Pipe{std::move(reader.value()), std::move(writer.value())};
}

/// Whether the program keeps some descriptors for itself beside this pipe: it
/// may want to open a file while its children run.
bool SpareDescriptors(const Pipe& pipe) {
  constexpr rlim_t kSpare = 8;
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return true;
  // The lowest free number is given out first.
  int highest = std::max(pipe.read_end.get(), pipe.write_end.get());
  return static_cast<rlim_t>(highest) + kSpare < limit.rlim_cur;
}

}  // namespace

Launcher::Impl::Block Launcher::Impl::TakeBlock() {
  // Two are looked at for each one taken, so that this keeps up without ever
  // walking the list.
  for (int i = 0; i < 2 && !leaving.empty(); ++i) {
    uint64_t id = leaving.front();
    leaving.pop_front();
    Job* job = Find(id);
    // One that is about to start again has another block by now, or the same
    // for another start.
    if (!job || !job->block ||
        (job->state != Job::State::kRunning &&
         job->state != Job::State::kExited))
      continue;
    const ChildReport& report = job->block->child.report;
    if (report.present.load(std::memory_order_acquire) != 0) {
      leaving.push_back(id);
    } else if (report.error == 0) {
      TakeTimes(job);
      ReleaseBlock(std::move(job->block));
    }
  }
  if (free_blocks.empty())
    return std::make_unique<LaunchBlock>();
  Block block = std::move(free_blocks.back());
  free_blocks.pop_back();
  return block;
}

void Launcher::Impl::ReleaseBlock(Block block) {
  constexpr size_t kKept = 64;
  if (block)
    block->ReleaseDescriptors();
  if (block && free_blocks.size() < kKept)
    free_blocks.push_back(std::move(block));
}

void Launcher::Impl::TakeTimes(Job* job) {
  const ChildReport& report = job->block->child.report;
  auto to_time = [](int64_t ns) {
    return TimePoint(std::chrono::nanoseconds(ns));
  };
  job->times.child_ran = to_time(report.ran_ns);
  job->times.exec_called = to_time(report.exec_ns);
}

Result<Launcher::Impl::Block> Launcher::Impl::StoreCommand(
    const Command& command) {
  Block block = TakeBlock();
  block->child.plan.mask = child_mask;
  Result<void> stored = block->Store(command, environ);
  if (!stored.ok()) {
    ReleaseBlock(std::move(block));
    return stored.error();
  }
  return block;
}

Result<void> Launcher::Impl::SetExecutable(const Command& command,
                                           LaunchBlock* block) {
  std::string path = command.path ? command.path : command.argv[0];
  if (!command.path && path.find('/') == path.npos) {
    Result<std::string> found =
        lookup.Find(path, block->Env("PATH"), {command.cwd_fd, command.cwd});
    if (!found.ok())
      return found.error();
    path = std::move(found.value());
  }
  Result<void> usable = UseTemplate(path);
  if (usable.ok())
    block->SetExecutable(std::move(path));
  return usable;
}

Result<void> Launcher::Impl::UseTemplate(const std::string& path) {
  Result<SpawnTemplate*> spawn_template = cache->Get(path);
  if (!spawn_template.ok())
    return spawn_template.error();
  if (spawn_template.value())
    ++spawn_template.value()->launches;
  return {};
}

Job* Launcher::Impl::AddJob(const Command& command, TimePoint requested) {
  auto owned = std::make_unique<Job>();
  Job* job = owned.get();
  job->id = next_id++;
  job->group = command.group;
  job->survivors = command.survivors;
  job->output_cap = command.output_cap;
  job->warm_only = command.warm_only;
  job->await_start = command.await_start;
  job->drain =
      command.drain < milliseconds::zero() ? options.drain : command.drain;
  job->timeout = command.timeout;
  job->tag = command.tag;
  job->times.requested = requested;
  job->had_others = AnyRunning();
  jobs.emplace(job->id, std::move(owned));
  return job;
}

void Launcher::Impl::RemoveJob(Job* job) {
  ReleaseBlock(std::move(job->block));
  ReleaseLine(job);
  jobs.erase(job->id);
}

Result<ChildId> Launcher::Impl::Spawn(const Command& command) {
  Result<Job*> added = AddCommand(command);
  if (!added.ok())
    return added.error();
  Job* job = added.value();
  Result<ChildId> id = Launch(job);
  if (id.ok() && command.await_start) {
    Result<void> runs = AwaitStart(static_cast<uint64_t>(id.value()));
    if (!runs.ok())
      return runs.error();
    return id;
  }
  // The caller's descriptors are not to outlive its own for long.
  if (id.ok() && job->warm && job->block->HoldsDescriptors())
    AwaitAnswer(static_cast<uint64_t>(id.value()));
  return id;
}

Result<Job*> Launcher::Impl::AddCommand(const Command& command) {
  TimePoint requested = steady_clock::now();
  Result<Block> block = StoreCommand(command);
  if (!block.ok())
    return block.error();
  Result<void> found = SetExecutable(command, block.value().get());
  if (!found.ok()) {
    ReleaseBlock(std::move(block.value()));
    return found.error();
  }
  Job* job = AddJob(command, requested);
  job->block = std::move(block.value());
  return job;
}

Result<pid_t> Launcher::Impl::StartProcess(const Command& command) {
  const Stdio::Kind kCapture = Stdio::Kind::kCapture;
  if (command.out.kind == kCapture || command.err.kind == kCapture ||
      command.timeout > milliseconds::zero())
    return Error{EINVAL, "command", "a process of the caller's, to be watched"};
  Result<Job*> added = AddCommand(command);
  if (!added.ok())
    return added.error();
  Job* job = added.value();
  job->await_start = job->given_away = true;
  Result<ChildId> id = Launch(job);
  if (!id.ok())
    return id.error();
  Result<void> runs = AwaitStart(job->id);
  if (!runs.ok())
    return runs.error();
  const pid_t pid = job->pid;
  if (job->warm)
    job->warm->LeaveReport(job->report);
  RemoveJob(job);
  return pid;
}

/// Nothing is run: what an engine would be asked for is all that counts.
Result<void> Launcher::Impl::Prepare(const Command& command) {
  Result<Block> stored = StoreCommand(command);
  if (!stored.ok())
    return stored.error();
  Block block = std::move(stored.value());
  Result<void> done = SetExecutable(command, block.get());
  if (done.ok()) {
    block->PlanSteps(-1, -1, -1, -1);
    block->child.plan.set_fd_limit = fd_limit_raised;
    block->child.plan.fd_limit = fd_limit;
    done = templates ? templates->Prepare(*block)
                     : Error{ENOTSUP, "warm", "warm templates are off"};
  }
  ReleaseBlock(std::move(block));
  return done;
}

/// Until the program of a job runs. After an Error the job is no more.
Result<void> Launcher::Impl::AwaitStart(uint64_t id) {
  for (;;) {
    Job* job = Find(id);
    if (!job) {
      auto ended = std::find_if(
          finished.begin(), finished.end(),
          [id](const Finished& one) { return one.id == ChildId{id}; });
      if (ended->cause != Finished::Cause::kNotStarted)
        return {};
      Error error = std::move(ended->error);
      finished.erase(ended);
      return error;
    }
    if (job->pid > 0 && !job->start_pipe) {
      const bool has_failed =
          job->warm ? job->warm->report(job->report)->error != 0
                    : job->block && job->block->child.report.error != 0;
      if (!has_failed)
        return {};
      if (std::exchange(job->given_away, false))
        WatchExit(job);  // To be reaped here.
    }
    // A signal is for whoever waits next: this takes no longer than an exec.
    (void)loop.Wait(TimePoint::max(), nullptr,
                    [this](uint64_t token) { Handle(token); });
  }
}

Result<ChildId> Launcher::Impl::Launch(Job* job) {
  Result<void> started = StartOrWait(job);
  if (!started.ok()) {
    RemoveJob(job);
    return started.error();
  }
  ++statistics.launches;
  return ChildId{job->id};
}

/// After an Error the job holds nothing that Start() took for it.
Result<void> Launcher::Impl::StartOrWait(Job* job) {
  Result<void> started = StartOrGiveToShell(job);
  if (!started.ok() && job->had_others && !job->await_start &&
      IsShortage(started.error().code) && job->block->HoldDescriptors().ok()) {
    waiting.push_back(job->id);
    ++statistics.deferred;
    return {};
  }
  return started;
}

/// Start(), and where a line cannot be started without its shell, the shell.
Result<void> Launcher::Impl::StartOrGiveToShell(Job* job) {
  Result<void> started = Start(job);
  if (started.ok() || !job->Planned() || !job->MayGoOn() ||
      (job->had_others && IsShortage(started.error().code)))
    return started;
  GiveToShell(job, started.error());
  return Start(job);
}

/// After an Error the job holds what it held before.
Result<void> Launcher::Impl::Start(Job* job) {
  const bool had_stream[] = {bool{job->streams[0].fd},
                             bool{job->streams[1].fd}};
  for (;;) {
    bool refused = false;
    Result<void> started = StartOnce(job, &refused);
    if (started.ok()) {
      if (job->drop_output)
        DropOutput(job);
      return started;
    }
    for (size_t i = 0; i < job->streams.size(); ++i)
      if (!had_stream[i])
        CloseStream(job, &job->streams[i]);
    CloseStart(job);
    if (refused && options.engine != Engine::kClone3) {
      statistics.refusals += started.error().ToString() + "; ";
      if (Result<void> stepped = UsePosixSpawn(); !stepped.ok())
        return stepped;
      continue;
    }
    // A pidfd tells the end of a child early, a template makes its start cheap,
    // a pipe is what it needs to run: in want of descriptors these make room.
    if (started.error().code == EMFILE &&
        (cache->CloseDescriptors() || RevokePidfds()))
      continue;
    return started;
  }
}

Result<void> Launcher::Impl::StartOnce(Job* job, bool* refused) {
  if (engine->blocks() || templates) {
    // Its thread, or a second start, may come to them after the caller has
    // closed them.
    if (Result<void> held = job->block->HoldDescriptors(); !held.ok())
      return held;
  }
  std::array<int, 3> sources = {-1, -1, -1};
  std::vector<Fd> given;  // For the child, closed here once it has them.
  Result<void> opened = OpenStreams(job, &sources, &given);
  if (!opened.ok())
    return opened;
  int until_exec = -1;
  if (job->await_start) {
    Result<Fd> end = OpenStart(job);
    if (!end.ok())
      return end.error();
    until_exec = end.value().get();
    given.push_back(std::move(end.value()));
  }
  job->block->PlanSteps(sources[0], sources[1], sources[2], until_exec);
  return RunEngine(job, std::move(given), refused);
}

/// Returns the child's end.
Result<Fd> Launcher::Impl::OpenStream(Job* job, Watch watch) {
  Stream* stream = &job->streams[static_cast<size_t>(watch)];
  if (stream->write_end)
    return stream->write_end.Copy();
  CloseStream(job, stream);  // Of a start that came to nothing.
  Result<Pipe> pipe = MakePipe();
  if (!pipe.ok())
    return pipe.error();
  if (job->had_others && !SpareDescriptors(pipe.value()))
    return Error{EMFILE, "pipe2", ""};
  Result<void> added = loop.Add(pipe.value().read_end.get(), job->Token(watch));
  if (!added.ok())
    return added.error();
  stream->fd = std::move(pipe.value().read_end);
  if (job->Planned() && job->line->HasNext()) {
    Result<KeptFd> kept = KeptFd::Keep(pipe.value().write_end);
    if (!kept.ok())
      return kept.error();
    stream->write_end = std::move(kept.value());
  }
  return std::move(pipe.value().write_end);
}

/// Returns the child's end of a pipe whose end of file says that its program
/// has been loaded, or never will be.
Result<Fd> Launcher::Impl::OpenStart(Job* job) {
  Result<Pipe> pipe = MakePipe();
  if (!pipe.ok())
    return pipe.error();
  // No action is to close it, or to put something else in its place.
  Fd held(fcntl(pipe.value().write_end.get(), F_DUPFD_CLOEXEC,
                job->block->FirstUntouched()));
  if (!held)
    return Error{errno, "fcntl", "pipe"};
  Result<void> added =
      loop.Add(pipe.value().read_end.get(), job->Token(Watch::kStarted));
  if (!added.ok())
    return added.error();
  job->start_pipe = std::move(pipe.value().read_end);
  return held;
}

void Launcher::Impl::CloseStart(Job* job) {
  if (!job->start_pipe)
    return;
  loop.Remove(
      job->start_pipe.get());  // A child of the same time may hold it too.
  job->start_pipe.Reset();
}

Result<void> Launcher::Impl::OpenStreams(Job* job, std::array<int, 3>* sources,
                                         std::vector<Fd>* given) {
  const Stdio* stdio[] = {&job->block->in, &job->block->out, &job->block->err};
  for (int target = 0; target < 3; ++target) {
    Fd source;
    if (stdio[target]->kind == Stdio::Kind::kCapture) {
      Watch watch = target == 1 ? Watch::kOutput : Watch::kErrorOutput;
      Result<Fd> end = OpenStream(job, watch);
      if (!end.ok())
        return end.error();
      source = std::move(end.value());
    } else if (stdio[target]->kind == Stdio::Kind::kFd) {
      int fd = stdio[target]->fd;
      if (fd > 2 || fd == target) {
        (*sources)[target] = fd;
        continue;
      }
      // One of 0 to 2 that moves: another may take its number before.
      source.Reset(fcntl(fd, F_DUPFD_CLOEXEC, 3));
      if (!source)
        return Error{errno, "fcntl", std::to_string(fd)};
    } else {
      continue;
    }
    (*sources)[target] = source.get();
    given->push_back(std::move(source));
  }
  return {};
}

/// `refused` is set if this system does not allow the engine at all.
Result<void> Launcher::Impl::RunEngine(Job* job, std::vector<Fd> given,
                                       bool* refused) {
  LaunchBlock* block = job->block.get();
  block->child.plan.set_fd_limit = fd_limit_raised;
  block->child.plan.fd_limit = fd_limit;
  bool want_pidfd = late.empty() && !pidfd_refused;
  if (StartWarm(job, &given))
    return {};
  if (job->warm_only) {
    std::string never = WhyNeverWarm(*block);
    if (never.empty())
      return Error{ENOTSUP, "warm", block->child.plan.path};
    return Error{EPERM, "warm", std::move(never)};
  }
  Result<bool> by_kernel = StartByKernel(job, want_pidfd);
  if (!by_kernel.ok())
    return by_kernel.error();
  if (by_kernel.value())
    return {};
  job->engine = engine->kind();

  if (engine->blocks()) {
    job->state = Job::State::kStarting;
    job->start = ++thread_starts;
    // By way of the C library, which keeps the signals that setuid(2) in
    // another thread depends on.
    sigset_t all, mask;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &mask);
    Result<void> started = threads->Start(job->id, engine.get(), block,
                                          want_pidfd, std::move(given));
    pthread_sigmask(SIG_SETMASK, &mask, nullptr);
    if (started.ok())
      SetTimeout(job);
    else
      job->state = Job::State::kWaiting;
    return started;
  }

  sys::KernelSigset mask = sys::BlockAllSignals();
  Result<Started> started = engine->Start(block, want_pidfd);
  if (!started.ok() && started.error().code == EMFILE && want_pidfd)
    started = engine->Start(block, false);
  sys::SetSignalMask(mask);
  if (!started.ok()) {
    *refused = IsRefusal(started.error().code);
    return started.error();
  }
  block->ReleaseDescriptors();
  leaving.push_back(job->id);
  Adopt(job, std::move(started.value()));
  return {};
}

void Launcher::Impl::SetTimeout(Job* job) {
  TimePoint armed =
      job->timers[static_cast<size_t>(Watch::kTimeout) - kFirstTimer];
  if (job->timeout > milliseconds::zero() && armed == TimePoint() &&
      !job->timed_out)
    SetTimer(job, Watch::kTimeout, EventLoop::After(job->timeout));
}

void Launcher::Impl::Adopt(Job* job, Started started) {
  job->state = Job::State::kRunning;
  job->times.cloned = steady_clock::now();
  job->pid = started.pid;
  job->pidfd = AboveStdioOrNone(std::move(started.pidfd));
  if (!job->given_away)
    WatchExit(job);
  SetTimeout(job);
  if (job->pending_signal != 0)
    (void)Kill(job, std::exchange(job->pending_signal, 0));
}

void Launcher::Impl::CollectThreads() {
  if (!threads)
    return;
  threads->Collect([this](uint64_t id, Result<Started> result) {
    OnThreadDone(Find(id), std::move(result));
  });
}

void Launcher::Impl::OnThreadDone(Job* job, Result<Started> result) {
  if (result.ok()) {
    ReleaseBlock(std::move(job->block));  // posix_spawn(3) is through with it.
    Adopt(job, std::move(result.value()));
    room_made |= !waiting.empty();
    return;
  }
  job->state = Job::State::kWaiting;
  // Its thread and those of others may have taken each other's room: then it is
  // to have another try alone.
  job->had_others |= job->start != thread_starts;
  OnNotStarted(job, result.error());
}

/// For one whose start has failed behind the back of its caller.
void Launcher::Impl::OnNotStarted(Job* job, const Error& error) {
  if (PutOff(job, error))
    return;
  if (job->Planned() && job->MayGoOn()) {
    GiveToShell(job, error);
    StartNext(job);
    return;
  }
  CloseStreams(job);
  FinishNotStarted(job, error);
}

/// Lets a job that met a shortage in the child wait for another one to end, if
/// that can help and nothing is done twice. It must have no child.
bool Launcher::Impl::PutOff(Job* job, const Error& error) {
  if (!IsShortage(error.code) || !job->had_others || job->await_start ||
      job->pending_signal != 0 || job->killed != 0 || job->timed_out ||
      job->block->HasActions())
    return false;
  for (Watch watch : {Watch::kTimeout, Watch::kPoll, Watch::kDrain,
                      Watch::kDrainLimit, Watch::kHeld})
    CancelTimer(job, watch);
  job->state = Job::State::kWaiting;
  job->pid = -1;
  job->times = {.requested = job->times.requested};
  waiting.push_back(job->id);
  ++statistics.deferred;
  room_made |= !AnyRunning();
  return true;
}

void Launcher::Impl::RetryWaiting() {
  room_made = false;
  while (!waiting.empty()) {
    Job* job = Find(waiting.front());
    job->had_others = AnyRunning();
    Result<void> started = StartOrGiveToShell(job);
    if (!started.ok() && job->had_others && IsShortage(started.error().code))
      return;
    waiting.pop_front();
    if (!started.ok()) {
      CloseStreams(job);
      FinishNotStarted(job, started.error());
      continue;
    }
    // Whether there is room for the next is not known before its thread is
    // done: see OnThreadDone().
    if (job->state == Job::State::kStarting)
      return;
  }
}

}  // namespace launcher
