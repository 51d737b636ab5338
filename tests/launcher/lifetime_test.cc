// From the start of a child to its end: waiting, killing, reaping.
//
// SPDX-License-Identifier: Apache-2.0

#include <sys/resource.h>
#include <sys/wait.h>

#include <string>
#include <vector>

#include "support/launcher_test.h"
#include "support/temp_dir.h"

namespace launcher {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// In which two processes have started wherever these tests run, in an emulator
/// on a machine with other work as well.
constexpr milliseconds kTimeToStart{1500};

class LifetimeTest : public LauncherTest {
 protected:
  /// A child that does `before`, tells its pid and waits for the end of its
  /// input.
  struct Waiting {
    ChildId id;
    pid_t pid = 0;
  };
  Waiting StartWaiting(Words before = {}, Command command = {}) {
    Pipe ready;
    Action action = Action::Dup2(ready.write.get(), 3);
    std::vector<const char*> argv{kProbe};
    argv.insert(argv.end(), before);
    argv.insert(argv.end(), {"pid", "3", "close", "3", "wait", "0"});
    command.argv = argv;
    command.in = Stdio::FromFd(gate_.read.get());
    command.actions = {&action, 1};
    auto started = launcher_->Spawn(command);
    EXPECT_TRUE(started.ok()) << started.error().ToString();
    pid_t pid = atoi(ready.Await().c_str());
    EXPECT_GT(pid, 0);
    return {started.ok() ? started.value() : ChildId{}, pid};
  }

  int ErrorOfWait(milliseconds timeout, const sigset_t* mask = nullptr) {
    auto done = launcher_->Wait(timeout, mask);
    if (done.ok())
      return 0;
    return done.error().code;
  }

  void OpenGate() {
    gate_.write.Reset();
    gate_.read.Reset();
  }

  Pipe gate_;
};

LAUNCHER_TEST_ENGINES(LifetimeTest);

// How it ended.

TEST_P(LifetimeTest, ExitStatus) {
  Expect(Cause::kExited, 0, Run({}));
  Expect(Cause::kExited, 1, Run({"exit", "1"}));
  Expect(Cause::kExited, 127, Run({"exit", "127"}));
  Expect(Cause::kExited, 255, Run({"exit", "255"}));
}

TEST_P(LifetimeTest, Signal) {
  for (const char* signal : {"9", "15", "64"}) {
    Finished done = Run({"raise", signal});
    Expect(Cause::kSignaled, atoi(signal), done);
    EXPECT_FALSE(done.core_dumped);
    EXPECT_FALSE(done.timed_out);
  }
}

TEST_P(LifetimeTest, TimesAreInOrder) {
  auto before = steady_clock::now();
  Timeline times = Run({"write", "1", "x"}).times;
  auto after = steady_clock::now();
  EXPECT_LE(before, times.requested);
  EXPECT_LE(times.requested, times.cloned);
  EXPECT_LE(times.requested, times.first_output);
  EXPECT_LE(times.first_output, times.drained);
  EXPECT_LE(times.requested, times.exited);
  EXPECT_LE(times.exited, times.reaped);
  EXPECT_LE(times.drained, times.reaped);
  EXPECT_LE(times.reaped, after);
  if (GetParam() == Engine::kClone3 || GetParam() == Engine::kWarm) {
    EXPECT_LE(times.requested, times.child_ran);
    EXPECT_LE(times.child_ran, times.exec_called);
    EXPECT_LE(times.exec_called, times.first_output);
  } else {
    EXPECT_EQ(Timeline::TimePoint(), times.child_ran);
    EXPECT_EQ(Timeline::TimePoint(), times.exec_called);
  }
}

/// What all children that have been collected have used, as the kernel says.
microseconds TimeOfCollected() {
  rusage usage;
  EXPECT_EQ(0, getrusage(RUSAGE_CHILDREN, &usage));
  return std::chrono::seconds(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         microseconds(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

TEST_P(LifetimeTest, ProcessorTimeIsThatOfTheChild) {
  const microseconds before = TimeOfCollected();
  Finished busy = Run({"burn", "50"});
  EXPECT_GE(busy.user_cpu + busy.system_cpu, milliseconds(40));
  EXPECT_LT(busy.user_cpu + busy.system_cpu, kHang);
  Finished idle = Run({});
  // If one had the other's time as well, they had more than there was. A few
  // microseconds are lost in each number.
  EXPECT_LE(busy.user_cpu + busy.system_cpu + idle.user_cpu + idle.system_cpu,
            TimeOfCollected() - before + microseconds(10));
}

TEST_P(LifetimeTest, PeakMemoryIsThatOfTheChild) {
  EXPECT_GE(Run({"grow", "40"}).max_rss_kib, 40 * 1024);
  EXPECT_GT(Run({}).max_rss_kib, 0);
}

// Waiting.

TEST_P(LifetimeTest, WithoutChildrenThereIsNothingToWaitFor) {
  EXPECT_EQ(0u, launcher_->children());
  EXPECT_EQ(ECHILD, ErrorOfWait(kHang));
  EXPECT_EQ(ECHILD, ErrorOfWait(milliseconds(0)));
  EXPECT_EQ(ECHILD, ErrorOfWait(milliseconds(-1)));
}

TEST_P(LifetimeTest, WaitEndsAtItsTimeout) {
  StartWaiting();
  auto before = steady_clock::now();
  EXPECT_EQ(ETIMEDOUT, Wait(milliseconds(0)).error().code);
  EXPECT_EQ(ETIMEDOUT, Wait(milliseconds(20)).error().code);
  EXPECT_GE(steady_clock::now(), before + milliseconds(20));
  EXPECT_EQ(1u, launcher_->children());
  OpenGate();
  Expect(Cause::kExited, 0, Finish());
  EXPECT_EQ(0u, launcher_->children());
}

// As a loop of somebody else's does it: never a Wait() that blocks.
TEST_P(LifetimeTest, PollFdTellsWhenToCall) {
  auto fd = launcher_->PollFd();
  ASSERT_TRUE(fd.ok());
  EXPECT_EQ(fd.value(), launcher_->PollFd().value());
  auto finish = [&] {
    for (;;) {
      auto done = Wait(milliseconds(0));
      if (done.ok())
        return std::move(done.value());
      EXPECT_EQ(ETIMEDOUT, done.error().code);
      pollfd readable = {fd.value(), POLLIN, 0};
      if (done.error().code != ETIMEDOUT ||
          poll(&readable, 1, int(kHang.count())) != 1) {
        ADD_FAILURE() << "it was not readable in time";
        return Finished{};
      }
    }
  };
  for (int i = 0; i < 3; ++i)
    Probe({"write", "1", "out", "exit", "7"});
  for (int i = 0; i < 3; ++i) {
    Finished done = finish();
    Expect(Cause::kExited, 7, done);
    EXPECT_EQ("out", done.output);
  }
  Command command;
  command.timeout = milliseconds(20);  // A timer is no descriptor.
  StartWaiting({}, command);
  Finished done = finish();
  Expect(Cause::kSignaled, SIGKILL, done);
  EXPECT_TRUE(done.timed_out);

  EXPECT_EQ(ECHILD, Wait(milliseconds(0)).error().code);
  pollfd readable = {fd.value(), POLLIN, 0};
  EXPECT_EQ(0, poll(&readable, 1, 0)) << "a loop would not come to rest";
}

TEST_P(LifetimeTest, NegativeTimeoutWaitsForTheEnd) {
  StartWaiting();
  OpenGate();
  auto done = Wait(milliseconds(-1));
  ASSERT_TRUE(done.ok());
  Expect(Cause::kExited, 0, done.value());
}

TEST_P(LifetimeTest, ChildrenComeInTheOrderOfTheirEnds) {
  Pipe gates[3];
  ChildId ids[3];
  for (int i = 0; i < 3; ++i) {
    Command command;
    command.in = Stdio::FromFd(gates[i].read.get());
    ids[i] = Probe({"wait", "0"}, command);
  }
  for (int i : {1, 2, 0}) {
    gates[i].write.Reset();
    EXPECT_EQ(ids[i], Finish().id);
  }
}

class SignalHandler {
 public:
  SignalHandler() {
    sigset_t usr1;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &usr1, &unblocked_);
    struct sigaction action = {};
    action.sa_handler = [](int) { count_ = count_ + 1; };
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &action, &old_);
    count_ = 0;
  }
  ~SignalHandler() {
    sigaction(SIGUSR1, &old_, nullptr);
    pthread_sigmask(SIG_SETMASK, &unblocked_, nullptr);
  }

  const sigset_t* unblocked() const { return &unblocked_; }
  int count() const { return count_; }

 private:
  static inline volatile sig_atomic_t count_;
  sigset_t unblocked_;
  struct sigaction old_;
};

TEST_P(LifetimeTest, SignalEndsAWait) {
  SignalHandler handler;
  StartWaiting();
  kill(getpid(), SIGUSR1);
  EXPECT_EQ(ETIMEDOUT, ErrorOfWait(milliseconds(0))) << "it is blocked";
  EXPECT_EQ(0, handler.count());
  EXPECT_EQ(EINTR, ErrorOfWait(kHang, handler.unblocked()));
  EXPECT_EQ(1, handler.count());
  // Nothing is lost by it.
  OpenGate();
  Expect(Cause::kExited, 0, Finish());
}

TEST_P(LifetimeTest, SignalIsSeenInAFloodOfOutput) {
  SignalHandler handler;
  Command command;
  command.output_cap = 0;
  ChildId id = Probe({"fill", "1", "1000000000000"}, command);
  kill(getpid(), SIGUSR1);
  EXPECT_EQ(EINTR, ErrorOfWait(kHang, handler.unblocked()));
  EXPECT_EQ(1, handler.count());
  ASSERT_TRUE(launcher_->Kill(id, SIGKILL).ok());
  Expect(Cause::kSignaled, SIGKILL, Finish());
}

TEST_P(LifetimeTest, NoSignalNoInterruption) {
  TempDir dir;
  std::string bad = dir.File("script", "text", 0755);
  for (int i = 0; i < 200; ++i) {
    if (i % 2) {
      ASSERT_TRUE(Start({bad.c_str()}).ok());
    } else {
      ASSERT_TRUE(Start({kHold}).ok());
    }
    Finish();
  }
  EXPECT_EQ(0, interruptions_);
}

// Killing.

TEST_P(LifetimeTest, KillReachesTheWholeGroup) {
  Pipe end;
  Action action = Action::Dup2(end.write.get(), 4);
  // Child, its child and the child of that hold the pipe; each would wait.
  std::vector<const char*> argv{kProbe, "fork", "fork", "wait", "0",
                                "end",  "wait", "0",    "end",  "write",
                                "1",    "x",    "wait", "0"};
  Command command;
  command.argv = argv;
  command.in = Stdio::FromFd(gate_.read.get());
  command.actions = {&action, 1};
  auto started = launcher_->Spawn(command);
  ASSERT_TRUE(started.ok());
  while (ErrorOfWait(milliseconds(1)) != ETIMEDOUT) {
  }
  ASSERT_TRUE(launcher_->Kill(started.value(), SIGKILL).ok());
  Expect(Cause::kSignaled, SIGKILL, Finish());
  end.write.Reset();
  EXPECT_EQ("", end.Await()) << "all are gone";
  ReapChildren(2);
}

TEST_P(LifetimeTest, KillSendsAnySignal) {
  Waiting child = StartWaiting();
  ASSERT_TRUE(launcher_->Kill(child.id, SIGTERM).ok());
  Expect(Cause::kSignaled, SIGTERM, Finish());
}

TEST_P(LifetimeTest, IgnoredSignalsAreSurvived) {
  Waiting child = StartWaiting({"ignore", "15"});
  ASSERT_TRUE(launcher_->Kill(child.id, SIGTERM).ok());
  OpenGate();
  Expect(Cause::kExited, 0, Finish());
}

TEST_P(LifetimeTest, SignalZeroOnlyAsks) {
  Waiting child = StartWaiting();
  EXPECT_TRUE(launcher_->Kill(child.id, 0).ok());
  OpenGate();
  Expect(Cause::kExited, 0, Finish());
}

TEST_P(LifetimeTest, KillInOurGroupReachesTheChildAlone) {
  Command command;
  command.group = Command::Group::kInherit;
  Waiting child = StartWaiting({}, command);
  ASSERT_TRUE(launcher_->Kill(child.id, SIGKILL).ok());  // And not us.
  Expect(Cause::kSignaled, SIGKILL, Finish());
}

TEST_P(LifetimeTest, KillSaysWhatIsWrong) {
  Waiting child = StartWaiting();
  auto killed = launcher_->Kill(child.id, 1000);
  ASSERT_FALSE(killed.ok());
  EXPECT_EQ(EINVAL, killed.error().code);
  EXPECT_STREQ("kill", killed.error().step);
  OpenGate();
  Finish();
  killed = launcher_->Kill(child.id, SIGTERM);
  ASSERT_FALSE(killed.ok());
  EXPECT_EQ(ESRCH, killed.error().code);
  EXPECT_EQ(ESRCH, launcher_->Kill(ChildId{12345}, SIGTERM).error().code);
}

TEST_P(LifetimeTest, KillRightAfterSpawn) {
  for (int signal : {SIGKILL, SIGTERM}) {
    for (int i = 0; i < 100; ++i) {
      Command command;
      command.in = Stdio::FromFd(gate_.read.get());
      ChildId id = Probe({"wait", "0"}, command);
      ASSERT_TRUE(launcher_->Kill(id, signal).ok());
      Finished done = Finish();
      ASSERT_EQ(id, done.id);
      ASSERT_EQ(Cause::kSignaled, done.cause) << done.error.ToString();
      ASSERT_EQ(signal, done.code);
    }
  }
}

TEST_P(LifetimeTest, LaterSignalsDoNotTakeBackAKill) {
  for (int i = 0; i < 50; ++i) {
    Command command;
    command.in = Stdio::FromFd(gate_.read.get());
    ChildId id = Probe({"wait", "0"}, command);
    ASSERT_TRUE(launcher_->Kill(id, SIGKILL).ok());
    ASSERT_TRUE(launcher_->Kill(id, 0).ok());
    ASSERT_TRUE(launcher_->Kill(id, SIGCONT).ok());
    auto done = Wait(milliseconds(10'000));
    ASSERT_TRUE(done.ok()) << done.error().ToString();
    Expect(Cause::kSignaled, SIGKILL, done.value());
  }
}

TEST_P(LifetimeTest, KillReachesWhatTheChildLeftBehind) {
  Pipe end;
  Action action = Action::Dup2(end.write.get(), 4);
  Command command;
  command.in = Stdio::FromFd(gate_.read.get());
  command.actions = {&action, 1};
  // The child is a zombie for as long as its output is held.
  ChildId id = Probe({"fork", "close", "4", "wait", "0", "end"}, command);
  end.write.Reset();
  EXPECT_EQ("", end.Await());
  EXPECT_EQ(ETIMEDOUT, Wait(milliseconds(20)).error().code);
  ASSERT_TRUE(launcher_->Kill(id, SIGKILL).ok());
  Finished done = Finish();
  Expect(Cause::kExited, 0, done);
  EXPECT_TRUE(done.output_complete);
  ExpectOrphans(1);
}

// Time limit.

TEST_P(LifetimeTest, TimeoutKillsTheWholeGroup) {
  Pipe end;
  Action action = Action::Dup2(end.write.get(), 4);
  Command command;
  command.in = Stdio::FromFd(gate_.read.get());
  command.actions = {&action, 1};
  command.timeout = kTimeToStart;
  Probe({"fork", "wait", "0", "end", "wait", "0"}, command);
  Finished done = Finish();
  EXPECT_TRUE(done.timed_out);
  Expect(Cause::kSignaled, SIGKILL, done);
  end.write.Reset();
  EXPECT_EQ("", end.Await());
  ReapChildren(1);
}

TEST_P(LifetimeTest, TimeoutOfAFastChildDoesNothing) {
  Command command;
  command.timeout = kHang;
  Finished done = Run({"write", "1", "x"}, command);
  EXPECT_FALSE(done.timed_out);
  Expect(Cause::kExited, 0, done);
}

TEST_P(LifetimeTest, TimeoutIsOfOneChildAlone) {
  Command command;
  command.in = Stdio::FromFd(gate_.read.get());
  ChildId patient = Probe({"wait", "0"}, command);
  command.timeout = milliseconds(30);
  ChildId hasty = Probe({"wait", "0"}, command);
  Finished done = Finish();
  EXPECT_EQ(hasty, done.id);
  EXPECT_TRUE(done.timed_out);
  OpenGate();
  done = Finish();
  EXPECT_EQ(patient, done.id);
  EXPECT_FALSE(done.timed_out);
}

TEST_P(LifetimeTest, TimeoutCoversAHeldPipe) {
  Command command;
  command.in = Stdio::FromFd(gate_.read.get());
  command.timeout = kTimeToStart;
  Probe({"fork", "wait", "0", "end"}, command);
  Finished done = Finish();
  EXPECT_TRUE(done.timed_out);
  Expect(Cause::kExited, 0, done);
  ExpectOrphans(1);
}

TEST_P(LifetimeTest, TimeoutDoesNotWaitForWhatHasLeftTheGroup) {
  Command command;
  command.in = Stdio::FromFd(gate_.read.get());
  command.timeout = kTimeToStart;
  Probe({"fork", "setpgid", "wait", "0", "end", "wait", "0"}, command);
  Finished done = Finish();
  EXPECT_TRUE(done.timed_out);
  EXPECT_FALSE(done.output_complete);
  OpenGate();
  ExpectOrphans(1);
}

// Zombies, and living with others.

TEST_P(LifetimeTest, ZombieStaysUntilTheOutputHasEnded) {
  Pipe ready;
  Action action = Action::Dup2(ready.write.get(), 3);
  Command command;
  command.in = Stdio::FromFd(gate_.read.get());
  command.actions = {&action, 1};
  // The child exits at once and leaves one behind that holds its output.
  Probe({"pid", "3", "fork", "close", "3", "wait", "0", "end"}, command);
  ready.write.Reset();
  pid_t pid = atoi(ready.Await().c_str());
  EXPECT_EQ("", ready.Await()) << "now it has exited";
  EXPECT_EQ(ETIMEDOUT, Wait(milliseconds(50)).error().code);
  siginfo_t info = {};
  EXPECT_EQ(0, waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT));
  EXPECT_EQ(pid, info.si_pid) << "a zombie";
  EXPECT_EQ(0, kill(-pid, 0)) << "its group is still its own";
  OpenGate();
  Finish();
  EXPECT_EQ(-1, kill(pid, 0));
  EXPECT_EQ(ESRCH, errno);
  ExpectOrphans(1);
}

TEST_P(LifetimeTest, DestructorKillsAndReapsEverything) {
  Pipe end;
  Action action = Action::Dup2(end.write.get(), 4);
  Command command;
  command.in = Stdio::FromFd(gate_.read.get());
  command.actions = {&action, 1};
  Probe({"ignore", "15", "wait", "0"}, command);
  Probe({"fork", "wait", "0", "end", "wait", "0"}, command);
  Probe({"close", "1", "close", "2", "wait", "0"}, command);
  Probe({"fork-exit", "wait", "0", "end"}, command);
  Probe({}, command);
  command.group = Command::Group::kInherit;
  Probe({"wait", "0"}, command);
  EXPECT_NE(EINVAL, ErrorOfWait(milliseconds(20)));
  launcher_.reset();
  end.write.Reset();
  EXPECT_EQ("", end.Await()) << "all are gone";
  ReapChildren(2);
}

TEST_P(LifetimeTest, DestructorRightAfterSpawn) {
  for (int i = 0; i < 50; ++i) {
    Command command;
    command.in = Stdio::FromFd(gate_.read.get());
    for (int j = 0; j < 4; ++j)
      Probe({"wait", "0"}, command);
    Make({});
  }
}

TEST_P(LifetimeTest, ChildrenOfTheHostAreNotTouched) {
  pid_t own = fork();
  if (own == 0)
    _exit(7);
  Expect(Cause::kExited, 3, Run({"exit", "3"}));
  launcher_.reset();
  int status = 0;
  EXPECT_EQ(own, waitpid(own, &status, 0));
  EXPECT_EQ(7, WEXITSTATUS(status));
}

TEST_P(LifetimeTest, HostMayWaitForItsOwnMeanwhile) {
  Pipe end;
  pid_t own = fork();
  if (own == 0) {
    char byte;
    end.write.Reset();
    _exit(read(end.read.get(), &byte, 1) == 0 ? 7 : 1);
  }
  Waiting child = StartWaiting();
  end.write.Reset();
  int status = 0;
  EXPECT_EQ(own, waitpid(own, &status, 0));
  EXPECT_EQ(7, WEXITSTATUS(status));
  OpenGate();
  Finished done = Finish();
  EXPECT_EQ(child.id, done.id);
  Expect(Cause::kExited, 0, done);
}

TEST_P(LifetimeTest, ChildReapedByAnotherIsLost) {
  Waiting child = StartWaiting();
  // A child of posix_spawn may run before its thread has told the pid: the
  // signal would come with the next Wait().
  pid_t reaped;
  do {
    ASSERT_TRUE(launcher_->Kill(child.id, SIGKILL).ok());
  } while ((reaped = waitpid(child.pid, nullptr, WNOHANG)) == 0);
  ASSERT_EQ(child.pid, reaped);
  Finished done = Finish();
  EXPECT_EQ(child.id, done.id);
  Expect(Cause::kLost, 0, done);
}

TEST_P(LifetimeTest, IgnoredSigchldLosesTheStatusNotTheChild) {
  struct sigaction ignore = {}, old;
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGCHLD, &ignore, &old);
  for (int i = 0; i < 20; ++i) {
    Finished done = Run({"write", "1", "x", "exit", "3"});
    EXPECT_EQ(Cause::kLost, done.cause);
    EXPECT_EQ("x", done.output);
    Command command;
    command.out = Stdio::Null();
    EXPECT_EQ(Cause::kLost, Run({"exit", "3"}, command).cause);
  }
  sigaction(SIGCHLD, &old, nullptr);
}

TEST_P(LifetimeTest, DispositionOfSigchldIsLeftAlone) {
  struct sigaction before, after;
  sigaction(SIGCHLD, nullptr, &before);
  Run({});
  sigaction(SIGCHLD, nullptr, &after);
  EXPECT_EQ(before.sa_handler, after.sa_handler);
  EXPECT_EQ(before.sa_flags, after.sa_flags);
}

TEST_P(LifetimeTest, TwoLaunchersKeepTheirChildrenApart) {
  std::unique_ptr<Launcher> first = std::move(launcher_);
  Make({});
  const char* argv[] = {kProbe, "write", "1", "first"};
  Command command;
  command.argv = argv;
  ASSERT_TRUE(first->Spawn(command).ok());
  EXPECT_EQ("second", Output({"write", "1", "second"}));
  auto done = first->Wait(kHang);
  while (!done.ok() && done.error().code == EINTR)
    done = first->Wait(kHang);
  ASSERT_TRUE(done.ok());
  EXPECT_EQ("first", done.value().output);
}

// "After that long" may be further off than the clock can count.
TEST_P(LifetimeTest, TimesWithoutEndAreNone) {
  Make({.drain = milliseconds::max()});
  Command command;
  command.timeout = milliseconds::max();
  Probe({"write", "1", "x", "exit", "3"}, command);
  auto done = launcher_->Wait(milliseconds::max());
  ASSERT_TRUE(done.ok()) << done.error().ToString();
  Expect(Cause::kExited, 3, done.value());
  EXPECT_FALSE(done.value().timed_out);
}

}  // namespace
}  // namespace launcher
