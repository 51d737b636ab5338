// What becomes of a launch when the kernel or a filter refuses a system call.
//
// SPDX-License-Identifier: Apache-2.0

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <string>
#include <vector>

#include "support/launcher_test.h"
#include "support/temp_dir.h"

namespace launcher {
namespace {

using std::chrono::milliseconds;

constexpr int kRefusals[] = {ENOSYS, EPERM, EINVAL, E2BIG};

class EngineTest : public LauncherTest {
 protected:
  /// One of each kind of launch; the results must not depend on what was
  /// refused.
  void ExpectWorks() {
    Finished done = Run({"write", "1", "a", "write", "2", "b", "exit", "3"});
    Expect(Cause::kExited, 3, done);
    EXPECT_EQ("ab", done.output);
    Expect(Cause::kSignaled, SIGTERM, Run({"raise", "15"}));

    Command command;
    command.out = command.err = Stdio::Null();
    Expect(Cause::kExited, 4, Run({"exit", "4"}, command));

    ExpectClosesByDefault();
    ExpectKillWorks(Command::Group::kOwn);
    ExpectKillWorks(Command::Group::kInherit);

    ASSERT_TRUE(Start({script_.c_str()}).ok());
    done = Finish();
    EXPECT_EQ(Cause::kNotStarted, done.cause);
    EXPECT_EQ(ENOEXEC, done.error.code);
    EXPECT_EQ(0u, launcher_->children());
  }

  void ExpectClosesByDefault() {
    std::vector<Fd> open_fds;
    for (int i = 0; i < 100; ++i)
      open_fds.emplace_back(open("/dev/null", O_RDONLY | (i % 2) * O_CLOEXEC));
    open_fds.emplace_back(fcntl(0, F_DUPFD, 700));
    Action action = Action::Dup2(open_fds[0].get(), 300);
    Command command;
    command.actions = {&action, 1};
    std::string fds = Output({"fds"}, command);
    std::vector<int> numbers;
    for (size_t at = 0; at < fds.size(); at = fds.find('\n', at) + 1)
      numbers.push_back(atoi(fds.c_str() + at));
    EXPECT_EQ((std::vector<int>{0, 1, 2, 300}), numbers);
  }

  void ExpectKillWorks(Command::Group group) {
    Pipe gate;
    Command command;
    command.in = Stdio::FromFd(gate.read.get());
    command.group = group;
    for (Stdio out : {Stdio::Capture(), Stdio::Null()}) {
      command.out = out;
      ChildId id = Probe({"wait", "0"}, command);
      auto killed = launcher_->Kill(id, SIGKILL);
      EXPECT_TRUE(killed.ok()) << killed.error().ToString();
      if (!killed.ok())
        gate.write.Reset();
      Expect(Cause::kSignaled, SIGKILL, Finish());
    }
  }

  /// Not those of the sanitizers, which use pipes to look at memory.
  static void RefusePipes(int error) {
    RefuseSyscall(SYS_pipe2, error, ArgIs{1, O_CLOEXEC});
  }

  void ExpectSpawnFails(int error, const char* step) {
    auto started = Start({kHold});
    ASSERT_FALSE(started.ok());
    EXPECT_EQ(error, started.error().code) << started.error().ToString();
    EXPECT_STREQ(step, started.error().step);
    EXPECT_EQ(0u, launcher_->children());
    EXPECT_EQ(ECHILD, Wait(kHang).error().code);
  }

  TempDir dir_;
  std::string script_ = dir_.File("script", "no program", 0755);
};

LAUNCHER_TEST_ENGINES(EngineTest);

TEST_P(EngineTest, NothingRefused) {
  ExpectWorks();
  EXPECT_EQ("", launcher_->statistics().refusals);
}

// pidfds.

TEST_P(EngineTest, WithoutPidfdOpen) {
  for (int error : {ENOSYS, EPERM, EINVAL, EMFILE, ENFILE, ENOMEM}) {
    InChild([&] {
      RefuseSyscall(SYS_pidfd_open, error);
      Make({});
      ExpectWorks();
    });
  }
}

TEST_P(EngineTest, WithoutPidfdOpenAChildThatClosesItsOutputIsSeenToEnd) {
  InChild([&] {
    RefuseSyscall(SYS_pidfd_open, ENOSYS);
    Make({});
    Pipe gate;
    Command command;
    command.in = Stdio::FromFd(gate.read.get());
    Probe({"close", "1", "close", "2", "wait", "0"}, command);
    EXPECT_EQ("fine", Output({"write", "1", "fine"}));
    gate.write.Reset();
    Expect(Cause::kExited, 0, Finish());
  });
}

TEST_P(EngineTest, WithoutPidfdOpenTheDrainStillEnds) {
  InChild([&] {
    RefuseSyscall(SYS_pidfd_open, ENOSYS);
    Make({.drain = milliseconds(10)});
    Pipe gate;
    Command command;
    command.in = Stdio::FromFd(gate.read.get());
    Probe({"fork", "wait", "0", "end"}, command);
    Finished done = Finish();
    Expect(Cause::kExited, 0, done);
    EXPECT_FALSE(done.output_complete);
    gate.write.Reset();
    ReapChildren(1);
  });
}

TEST_P(EngineTest, WithoutPidfdSendSignal) {
  for (int error : {ENOSYS, EPERM, EINVAL}) {
    InChild([&] {
      RefuseSyscall(SYS_pidfd_send_signal, error);
      Make({});
      ExpectWorks();
    });
  }
}

// waitid.

TEST_P(EngineTest, WaitidWithoutPidfds) {
  InChild([&] {
    RefuseSyscall(SYS_waitid, EINVAL, ArgIs{0, P_PIDFD});
    Make({});
    ExpectWorks();
  });
}

TEST_P(EngineTest, WithoutWaitid) {
  for (int error : {ENOSYS, EPERM, EINVAL}) {
    InChild([&] {
      RefuseSyscall(SYS_waitid, error);
      Make({});
      ExpectWorks();
    });
  }
}

TEST_P(EngineTest, WithoutAnyPidfdCall) {
  InChild([&] {
    RefuseSyscall(SYS_pidfd_open, ENOSYS);
    RefuseSyscall(SYS_pidfd_send_signal, ENOSYS);
    RefuseSyscall(SYS_waitid, EINVAL, ArgIs{0, P_PIDFD});
    Make({});
    ExpectWorks();
  });
}

TEST_P(EngineTest, WithoutPidfdAndWaitid) {
  InChild([&] {
    RefuseSyscall(SYS_pidfd_open, ENOSYS);
    RefuseSyscall(SYS_waitid, ENOSYS);
    Make({});
    ExpectWorks();
  });
}

TEST_P(EngineTest, WithoutAnyWaitTheChildIsLostAndNothingHangs) {
  InChild(
      [&] {
        RefuseSyscall(SYS_waitid, ENOSYS);
        RefuseSyscall(SYS_wait4, ENOSYS);
        Make({});
        Finished done = Run({"write", "1", "x"});
        EXPECT_EQ(Cause::kLost, done.cause);
        EXPECT_EQ("x", done.output);
      },
      /*check_leaks=*/false);
  ExpectOrphans(1);
}

// close_range.

TEST_P(EngineTest, WithoutCloseRange) {
  for (int error : {ENOSYS, EPERM}) {
    InChild([&] {
      RefuseSyscall(SYS_close_range, error);
      Make({});
      ExpectWorks();
    });
  }
}

TEST_P(EngineTest, CloseRangeWithoutCloexec) {
  InChild([&] {
    RefuseSyscall(SYS_close_range, EINVAL, ArgIs{2, CLOSE_RANGE_CLOEXEC});
    Make({});
    ExpectWorks();
  });
}

TEST_P(EngineTest, WithoutCloseRangeAndProc) {
  InChild(
      [&] {
        // As where /proc is not mounted; the probe needs it, so look from
        // outside.
        rlimit limit = {1024, 1024};
        ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
        Pipe pipe;
        ASSERT_EQ(0, fcntl(pipe.write.get(), F_SETFD, 0));
        RefuseSyscall(SYS_close_range, ENOSYS);
        RefuseSyscall(SYS_getdents64, EACCES);
        Make({});
        Pipe gate;
        Command command;
        command.in = Stdio::FromFd(gate.read.get());
        Probe({"wait", "0"}, command);
        pipe.write.Reset();
        EXPECT_EQ("", pipe.Await()) << "the child did not get it";
        gate.write.Reset();
        Finish();
      },
      /*check_leaks=*/false);
}

TEST_P(EngineTest, CloseRangeActionsWithoutTheCall) {
  for (int error : {ENOSYS, EPERM}) {
    InChild([&] {
      RefuseSyscall(SYS_close_range, error);
      Make({});
      Fd fd(open("/dev/null", O_RDONLY | O_CLOEXEC));
      Action actions[] = {
          Action::Dup2(fd.get(), 50), Action::Dup2(fd.get(), 60),
          Action::Dup2(fd.get(), 70), Action::CloseRange(60, 60),
          Action::CloseRange(70, -1, CLOSE_RANGE_CLOEXEC)};
      Command command;
      command.actions = actions;
      std::string fds = Output({"fds"}, command);
      EXPECT_NE(std::string::npos, fds.find("\n50 ")) << fds;
      EXPECT_EQ(std::string::npos, fds.find("\n60 ")) << fds;
      EXPECT_EQ(std::string::npos, fds.find("\n70 ")) << fds;
    });
  }
}

// What the parent needs.

TEST_P(EngineTest, WithoutPipes) {
  for (int error : {EMFILE, ENFILE}) {
    InChild([&] {
      Make({});
      RefusePipes(error);
      ExpectSpawnFails(error, "pipe2");
      Command command;
      command.out = Stdio::Null();
      Expect(Cause::kExited, 3, Run({"exit", "3"}, command));
    });
  }
}

TEST_P(EngineTest, WithoutPipesACommandWaitsForAnotherThenFails) {
  InChild([&] {
    Make({});
    Pipe gate;
    Command command;
    command.in = Stdio::FromFd(gate.read.get());
    ChildId first = Probe({"wait", "0"}, command);
    RefusePipes(EMFILE);
    ChildId second = Probe({"exit", "3"});
    ChildId third = Probe({"exit", "3"});
    EXPECT_EQ(2u, launcher_->statistics().deferred);
    EXPECT_EQ(3u, launcher_->children());

    ASSERT_TRUE(launcher_->Kill(third, SIGTERM).ok());
    Finished done = Finish();
    EXPECT_EQ(third, done.id);
    EXPECT_EQ(Cause::kNotStarted, done.cause);
    EXPECT_EQ(ECANCELED, done.error.code);

    gate.write.Reset();
    done = Finish();
    EXPECT_EQ(first, done.id);
    Expect(Cause::kExited, 0, done);
    done = Finish();
    EXPECT_EQ(second, done.id);
    EXPECT_EQ(Cause::kNotStarted, done.cause);
    EXPECT_EQ(EMFILE, done.error.code);
    EXPECT_STREQ("pipe2", done.error.step);
    EXPECT_EQ(0u, launcher_->children());
  });
}

TEST_P(EngineTest, WithoutEpoll) {
  for (int error : {EMFILE, ENFILE, ENOMEM}) {
    InChild([&] {
      RefuseSyscall(SYS_epoll_create1, error);
      auto created = Launcher::Create({.engine = GetParam()});
      ASSERT_FALSE(created.ok());
      EXPECT_EQ(error, created.error().code);
      EXPECT_STREQ("epoll_create1", created.error().step);
    });
  }
}

TEST_P(EngineTest, WithoutRoomInEpoll) {
  for (int error : {ENOMEM, ENOSPC, EPERM}) {
    InChild([&] {
      Make({});
      RefuseSyscall(SYS_epoll_ctl, error, ArgIs{1, EPOLL_CTL_ADD});
      ExpectSpawnFails(error, "epoll_ctl");
      // Without a pipe only the end of the child is to be seen.
      Command command;
      command.out = Stdio::Null();
      Expect(Cause::kExited, 3, Run({"exit", "3"}, command));
    });
  }
}

TEST_P(EngineTest, WithoutEventfd) {
  InChild([&] {
    RefuseSyscall(SYS_eventfd2, EMFILE);
    auto created = Launcher::Create({.engine = GetParam()});
    if (GetParam() != Engine::kPosixSpawn) {
      EXPECT_TRUE(created.ok());
      return;
    }
    ASSERT_FALSE(created.ok());
    EXPECT_EQ(EMFILE, created.error().code);
    EXPECT_STREQ("eventfd", created.error().step);
  });
}

TEST_P(EngineTest, GroupRefused) {
  InChild([&] {
    RefuseSyscall(SYS_setpgid, EPERM);
    Make({});
    if (GetParam() == Engine::kKernel) {
      // A filter does not see what the one call does. It does see what clone3
      // does, to which a script would go.
      Finished done = Run({"exit", "3"});
      Expect(Cause::kExited, 3, done);
      EXPECT_EQ(Engine::kKernel, done.engine);
      return;
    }
    Probe({"exit", "3"});
    ExpectNotStarted(EPERM, "setpgid", "", Finish());
  });
}

TEST_P(EngineTest, ShortageIsNoRefusal) {
  for (int error : {EAGAIN, ENOMEM}) {
    InChild([&] {
      Make({});
      RefuseSyscall(SYS_clone3, error);
      if (GetParam() == Engine::kKernel) {
        ASSERT_TRUE(Start({kHold}).ok());
        Expect(Cause::kExited, 0, Finish());
        RefuseSyscall(kSpawnTemplateSpawn, error);
      }
      auto started = Start({kHold});
      ASSERT_FALSE(started.ok());
      EXPECT_EQ(0u, launcher_->children());
      EXPECT_EQ("", launcher_->statistics().refusals);
      EXPECT_EQ(BaseEngine(), launcher_->engine());
      if (GetParam() != Engine::kPosixSpawn) {
        EXPECT_EQ(error, started.error().code);
        EXPECT_STREQ("clone3", started.error().step);
      } else {
        EXPECT_STREQ("pthread_create", started.error().step);
      }
    });
  }
}

TEST_P(EngineTest, ForcedEngineThatIsRefusedIsAnError) {
  for (int error : kRefusals) {
    InChild([&] {
      RefuseFromProgram(SYS_clone3, error);
      Make({});
      const char* step = "clone3";
      if (GetParam() == Engine::kKernel) {
        ExpectWorks();
        step = "spawn_template_spawn";
        RefuseSyscall(kSpawnTemplateSpawn, error);
      } else if (GetParam() != Engine::kClone3) {
        ExpectWorks();
        return;
      }
      ExpectSpawnFails(error, step);
      ExpectSpawnFails(error, step);
      EXPECT_EQ(GetParam(), launcher_->engine());
    });
  }
}

// The engine chosen at run time.

class AutoTest : public EngineTest {
 protected:
  /// As on a kernel without it, which most are.
  static void RefuseKernel() { RefuseSyscall(kSpawnTemplateCreate, ENOSYS); }
};

INSTANTIATE_TEST_SUITE_P(Engines, AutoTest, testing::Values(Engine::kAuto),
                         EngineTestName);

TEST_P(AutoTest, KernelComesFirstWhereThereIsOne) {
  if (std::string why = WhyNoEngine(Engine::kKernel); !why.empty())
    GTEST_SKIP() << why;
  EXPECT_EQ(Engine::kKernel, launcher_->engine());
  EXPECT_EQ(Engine::kKernel, Run({}).engine);
}

TEST_P(AutoTest, Clone3ComesNext) {
  InChild([&] {
    RefuseKernel();
    Make({});
    EXPECT_EQ(Engine::kClone3, launcher_->engine());
    EXPECT_EQ(Engine::kClone3, Run({}).engine);
    EXPECT_EQ("", launcher_->statistics().refusals);
  });
}

TEST_P(AutoTest, Clone3TakesOverFromTheKernel) {
  if (std::string why = WhyNoEngine(Engine::kKernel); !why.empty())
    GTEST_SKIP() << why;
  for (int error : kRefusals) {
    InChild([&] {
      Make({});
      EXPECT_EQ(Engine::kKernel, Run({}).engine);
      RefuseSyscall(kSpawnTemplateSpawn, error);
      ExpectWorks();
      EXPECT_EQ(Engine::kClone3, launcher_->engine());
      std::string refusals = launcher_->statistics().refusals;
      std::string expected =
          std::string("spawn_template_spawn: ") + strerror(error) + "; ";
      EXPECT_EQ(expected, refusals) << "it is tried once";
    });
  }
}

TEST_P(AutoTest, PosixSpawnTakesOver) {
  for (int error : kRefusals) {
    InChild([&] {
      RefuseKernel();
      RefuseFromProgram(SYS_clone3, error);
      Make({});
      ExpectWorks();
      EXPECT_EQ(Engine::kPosixSpawn, launcher_->engine());
      EXPECT_EQ(Engine::kPosixSpawn, Run({}).engine);
      std::string refusals = launcher_->statistics().refusals;
      std::string expected = std::string("clone3: ") + strerror(error);
      EXPECT_EQ(0u, refusals.find(expected)) << refusals;
      EXPECT_EQ(std::string::npos, refusals.find("clone3", 1))
          << "it is tried once: " << refusals;
    });
  }
}

TEST_P(AutoTest, PosixSpawnTakesOverInTheMiddle) {
  InChild([&] {
    RefuseKernel();
    Make({});
    Pipe gate;
    Command command;
    command.in = Stdio::FromFd(gate.read.get());
    ChildId first = Probe({"wait", "0"}, command);
    RefuseFromProgram(SYS_clone3, EPERM);
    Finished done = Run({"write", "1", "x"});
    EXPECT_EQ("x", done.output);
    EXPECT_EQ(Engine::kPosixSpawn, done.engine);
    gate.write.Reset();
    done = Finish();
    EXPECT_EQ(first, done.id);
    EXPECT_EQ(Engine::kClone3, done.engine);
  });
}

TEST_P(AutoTest, AGlibcThatMeetsEnosysGoesRound) {
  InChild([&] {
    RefuseKernel();
    RefuseSyscall(SYS_clone3, ENOSYS);
    Make({});
    ExpectWorks();
    EXPECT_EQ(Engine::kPosixSpawn, launcher_->engine());
  });
}

// glibc itself knows no way round EPERM (moby/moby#42680): then nothing can be
// started, and that is said.
TEST_P(AutoTest, AGlibcThatMeetsEpermIsAnErrorNotAHang) {
  InChild([&] {
    RefuseKernel();
    RefuseSyscall(SYS_clone3, EPERM);
    Make({});
    auto started = Start({kHold});
    if (started.ok()) {
      EXPECT_NE(Cause::kLost, Finish().cause);
    } else {
      EXPECT_EQ(EPERM, started.error().code) << started.error().ToString();
    }
    EXPECT_EQ(0u, launcher_->children());
  });
}

TEST_P(AutoTest, WithoutEventfdNothingTakesOver) {
  InChild([&] {
    RefuseKernel();
    RefuseSyscall(SYS_eventfd2, EMFILE);
    RefuseFromProgram(SYS_clone3, ENOSYS);
    Make({});
    ExpectSpawnFails(EMFILE, "eventfd");
  });
}

TEST_P(AutoTest, RaisedLimitComesBackWithPosixSpawn) {
  InChild([&] {
    rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 400;
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
    std::string expected = "400 " + std::to_string(limit.rlim_max) + "\n";
    RefuseFromProgram(SYS_clone3, ENOSYS);
    Make({.raise_fd_limit = true});
    EXPECT_EQ(expected, Output({"limit"}));
    EXPECT_EQ(expected, Output({"limit"}));
    getrlimit(RLIMIT_NOFILE, &limit);
    EXPECT_EQ(400u, limit.rlim_cur);
  });
}

}  // namespace
}  // namespace launcher
