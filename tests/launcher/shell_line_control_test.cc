// Control of a line whose programs come one after the other: one pipe, one
// group, one timeout.
//
// SPDX-License-Identifier: Apache-2.0

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include <optional>
#include <string>

#include "support/line_test.h"

namespace launcher {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

class ShellLineControlTest : public LineTest {
 protected:
  /// Makes a launcher and new fifos, for both ways in turn.
  void Prepare(ShellUse use) {
    gate_.reset();
    ready_.reset();
    later_.reset();
    Make({.shell = use});
    gate_.emplace(dir_ / "gate");
    ready_.emplace(dir_ / "ready");
    later_.emplace(dir_ / "later");
  }

  /// Returns when the child of ours that is there has ended; it is not reaped.
  static void AwaitEndOfChild() {
    siginfo_t info = {};
    // The posix_spawn engine may not have started it yet.
    while (waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) != 0 && errno == ECHILD)
      sched_yield();
    ASSERT_GT(info.si_pid, 0);
  }

  /// A program that tells ready_ and waits for gate_.
  std::string Waiting(const std::string& before = "") {
    return "act " + before + " write 2 x wait 0 <" + gate_->path() + " 2>" +
           ready_->path();
  }

  std::optional<Fifo> gate_, ready_, later_;
};

LINE_TEST_ENGINES(ShellLineControlTest);

// One pipe.

TEST_P(ShellLineControlTest, WhatAProgramSetsOnThePipeStays) {
  for (ShellUse use : kUses) {
    Prepare(use);
    EXPECT_EQ("1\n1\n4001\n4001\n",
              Run("act flags 1 && act flags 1 && act nonblock 1 flags 1 && "
                  "act flags 1")
                  .output);
    Command command;
    command.err = Stdio::Capture();
    Finished done =
        Run("act nonblock 2 && act flags 1 && act flags 2", command);
    EXPECT_EQ("1\n4001\n", done.output);
  }
}

TEST_P(ShellLineControlTest, WhatIsLeftBehindHasTheSamePipe) {
  for (ShellUse use : kUses) {
    Prepare(use);
    Start("act fork-exit wait 0 end <" + gate_->path() +
          " && act flags 1 write 2 x 2>" + later_->path());
    Await(*later_);
    gate_->End();
    EXPECT_EQ("1\n", Finish().output);
    ExpectOrphans(1);
  }
}

// The child of the second job has got what its parent had open, and keeps it
// while it opens the fifo.
TEST_P(ShellLineControlTest, AnotherJobThatIsBeingStartedHoldsNothing) {
  for (ShellUse use : kUses) {
    Prepare(use);
    gate_->End();
    later_->End();
    ChildId line = Start("act <" + gate_->path() + " && act write 1 b");
    ChildId other = Start("act write 1 x >" + later_->path());
    Fd writer(open(gate_->path().c_str(), O_WRONLY | O_CLOEXEC));
    Finished done = Finish();
    EXPECT_EQ(line, done.id);
    EXPECT_EQ("b", done.output);
    Fd reader(open(later_->path().c_str(), O_RDONLY | O_NONBLOCK));
    EXPECT_EQ(other, Finish().id);
  }
}

TEST_P(ShellLineControlTest, WhatIsLeftBehindWritesLater) {
  for (ShellUse use : kUses) {
    Prepare(use);
    ChildId id =
        Start("act fork-exit wait 0 write 1 late end <" + gate_->path() +
              " && act write 1 b write 2 x 2>" + later_->path());
    Await(*later_);
    gate_->End();
    Finished done = Finish();
    EXPECT_EQ(id, done.id);
    Expect(Cause::kExited, 0, done);
    EXPECT_EQ("blate", done.output);
    EXPECT_TRUE(done.output_complete);
    ExpectOrphans(1);
  }
}

TEST_P(ShellLineControlTest, WhatIsLeftBehindWritesWhileTheNextRuns) {
  for (ShellUse use : kUses) {
    Prepare(use);
    Start("act fork-exit write 1 a write 2 x wait 0 write 1 c end <" +
          gate_->path() + " 2>" + ready_->path() +
          " && act write 1 b write 2 x 2>" + later_->path() +
          " && act write 1 d");
    Await(*ready_);
    Await(*later_);
    gate_->End();
    std::string output = Finish().output;
    EXPECT_EQ(4u, output.size()) << output;
    for (const char* part : {"a", "b", "c", "d"})
      EXPECT_NE(std::string::npos, output.find(part)) << output;
    ExpectOrphans(1);
  }
}

TEST_P(ShellLineControlTest, OutputThatIsLeftToTheDrain) {
  for (ShellUse use : kUses) {
    Prepare(use);
    Make({.drain = milliseconds(20), .shell = use});
    Start("act fork-exit wait 0 end <" + gate_->path() +
          " && act write 1 b && act exit 3");
    Finished done = Finish();
    Expect(Cause::kExited, 3, done);
    EXPECT_EQ("b", done.output);
    EXPECT_FALSE(done.output_complete);
    gate_->End();
    ExpectOrphans(1);
  }
}

TEST_P(ShellLineControlTest, DrainDoesNotCutOffALaterProgram) {
  for (ShellUse use : kUses) {
    Prepare(use);
    Make({.drain = milliseconds(1), .shell = use});
    Start("act fork-exit wait 0 end <" + gate_->path() +
          " && act burn 50 write 1 b && act burn 50 write 1 c");
    Finished done = Finish();
    Expect(Cause::kExited, 0, done);
    EXPECT_EQ("bc", done.output);
    gate_->End();
    ExpectOrphans(1);
  }
}

TEST_P(ShellLineControlTest, CapIsForAllPrograms) {
  Command command;
  command.output_cap = 5;
  Finished done =
      ExpectSame("act write 1 abcd && act write 1 efgh", "", command);
  EXPECT_EQ("abcde", done.output);
  EXPECT_EQ(8u, done.output_bytes);
  command.output_cap = 0;
  ExpectSame("act fill 1 100000 && act fill 1 100000", "", command);
}

TEST_P(ShellLineControlTest, DropOutputIsForAllPrograms) {
  std::optional<Finished> shell;
  for (ShellUse use : {ShellUse::kAlways, ShellUse::kAuto}) {
    Prepare(use);
    ChildId id = Start(Waiting() + " && act write 2 y fill 1 1000000 2>" +
                       later_->path());
    Await(*ready_);
    ASSERT_TRUE(launcher_->DropOutput(id).ok());
    gate_->End();
    Finished done = Finish();
    EXPECT_TRUE(later_->Happened());
    EXPECT_FALSE(done.output_complete);
    if (shell)
      ExpectSameEnd(*shell, done);
    shell = std::move(done);
  }
}

// Killing.

TEST_P(ShellLineControlTest, KillEndsTheLine) {
  for (int signal : {SIGTERM, SIGINT, SIGKILL}) {
    for (ShellUse use : kUses) {
      SCOPED_TRACE(signal);
      Prepare(use);
      ChildId id =
          Start("act write 1 a && " + Waiting() + " && act write 1 never");
      Await(*ready_);
      ASSERT_TRUE(launcher_->Kill(id, signal).ok());
      Finished done = Finish();
      Expect(Cause::kSignaled, signal, done);
      EXPECT_EQ("a", done.output);
      EXPECT_EQ(0u, launcher_->children());
      ReapOrphansOf(use);
    }
  }
}

TEST_P(ShellLineControlTest, KillOfAProgramThatIgnoresIt) {
  for (ShellUse use : kUses) {
    SCOPED_TRACE(use == ShellUse::kAuto ? "auto" : "always");
    Prepare(use);
    ChildId id = Start(Waiting("ignore 15") + " && act write 1 never");
    Await(*ready_);
    ASSERT_TRUE(launcher_->Kill(id, SIGTERM).ok());
    gate_->End();
    Finished done = Finish();
    // The rest of the line has not run: that is no success.
    EXPECT_TRUE(done.cause != Cause::kExited || done.code != 0);
    EXPECT_EQ("", done.output);
    ReapOrphansOf(use);
  }
}

TEST_P(ShellLineControlTest, KillBetweenTwoPrograms) {
  Prepare(ShellUse::kAuto);
  for (int signal : {SIGTERM, SIGKILL}) {
    ChildId id = Start("act write 1 a && act write 1 never");
    AwaitEndOfChild();
    ASSERT_TRUE(launcher_->Kill(id, signal).ok());
    Finished done = Finish();
    EXPECT_EQ("a", done.output);
    EXPECT_TRUE(done.cause != Cause::kExited || done.code != 0)
        << "half of the line is no success";
  }
}

TEST_P(ShellLineControlTest, KillWithZeroEndsALineBeforeItsNextProgram) {
  Prepare(ShellUse::kAuto);
  ChildId id = Start(Waiting() + " && act write 1 never");
  Await(*ready_);
  ASSERT_TRUE(launcher_->Kill(id, 0).ok());
  gate_->End();
  Finished done = Finish();
  Expect(Cause::kNotStarted, 0, done);
  EXPECT_EQ(ECANCELED, done.error.code);
  EXPECT_EQ("", done.output);
}

TEST_P(ShellLineControlTest, LaterProgramThatLeavesTheGroupIsKilled) {
  if (ShellIs("busybox"))
    GTEST_SKIP() << "the last program is the shell: its status counts";
  Prepare(ShellUse::kAuto);
  ChildId id = Start("/bin/true && /usr/bin/timeout 1000 " + dir_ / "bin/act" +
                     Waiting().substr(3));
  Await(*ready_);
  ASSERT_TRUE(launcher_->Kill(id, SIGTERM).ok());
  gate_->End();
  Expect(Cause::kSignaled, SIGTERM, Finish());
  // timeout(1) passes the signal on and does not wait for its child.
  ReapOrphansOf(ShellUse::kAlways);
}

TEST_P(ShellLineControlTest, SignalsThatDoNotEndALine) {
  for (ShellUse use : kUses) {
    Prepare(use);
    ChildId id = Start(Waiting() + " && act write 1 b");
    Await(*ready_);
    for (int signal : {SIGCONT, SIGCHLD, SIGWINCH})
      ASSERT_TRUE(launcher_->Kill(id, signal).ok());
    gate_->End();
    Finished done = Finish();
    Expect(Cause::kExited, 0, done);
    EXPECT_EQ("b", done.output);
  }
}

TEST_P(ShellLineControlTest, AllProgramsAreOfOneGroup) {
  for (ShellUse use : kUses) {
    Prepare(use);
    // The one left behind by the first would wait for ever.
    ChildId id = Start("act fork-exit " + Waiting().substr(4) +
                       " && act write 2 x wait 0 <" + gate_->path() + " 2>" +
                       later_->path() + " && act write 1 never");
    Await(*ready_);
    Await(*later_);
    ASSERT_TRUE(launcher_->Kill(id, SIGTERM).ok());
    Finished done = Finish();
    Expect(Cause::kSignaled, SIGTERM, done);
    EXPECT_EQ("", done.output);
    EXPECT_TRUE(done.output_complete);
    ExpectOrphans(1);
    ReapOrphansOf(use);
  }
  Prepare(ShellUse::kAuto);
  std::string groups = Run("act ids && act ids && act ids").output;
  int group[3];
  ASSERT_EQ(3,
            sscanf(groups.c_str(), "%*d %*d %d %*d %*d %*d %d %*d %*d %*d %d",
                   &group[0], &group[1], &group[2]))
      << groups;
  EXPECT_EQ(group[0], group[1]);
  EXPECT_EQ(group[0], group[2]);
  EXPECT_NE(getpgrp(), group[0]);
}

TEST_P(ShellLineControlTest, OurGroupIfToldSo) {
  for (ShellUse use : kUses) {
    Prepare(use);
    Command command;
    command.group = Command::Group::kInherit;
    std::string groups = Run("act ids && act ids", command).output;
    int group[2];
    ASSERT_EQ(2, sscanf(groups.c_str(), "%*d %*d %d %*d %*d %*d %d", &group[0],
                        &group[1]));
    EXPECT_EQ(getpgrp(), group[0]);
    EXPECT_EQ(getpgrp(), group[1]);
  }
}

TEST_P(ShellLineControlTest, KillOfAShellThatTookOver) {
  prepare_ = [this] {
    dir_.File("here/script", "act write 2 x wait 0\nprobe write 1 never\n",
              0755);
  };
  ResetWork();
  Prepare(ShellUse::kAuto);
  ChildId id = Start("act fork-exit wait 0 end <" + gate_->path() +
                     " && ./script <" + gate_->path() + " 2>" + ready_->path());
  Await(*ready_);
  ASSERT_TRUE(launcher_->Kill(id, SIGTERM).ok());
  Finished done = Finish();
  Expect(Cause::kSignaled, SIGTERM, done);
  EXPECT_EQ(0u, done.shell_reason.find("cannot start")) << done.shell_reason;
  EXPECT_EQ("", done.output);
  ReapOrphansOf(ShellUse::kAlways);
}

TEST_P(ShellLineControlTest, KillRightAfterTheStart) {
  Prepare(ShellUse::kAuto);
  for (int signal : {SIGKILL, SIGTERM}) {
    for (int i = 0; i < 50; ++i) {
      ChildId id =
          Start("act wait 0 <" + gate_->path() + " && act write 1 never");
      ASSERT_TRUE(launcher_->Kill(id, signal).ok());
      Finished done = Finish();
      ASSERT_EQ(Cause::kSignaled, done.cause) << done.error.ToString();
      ASSERT_EQ(signal, done.code);
      ASSERT_EQ("", done.output);
    }
  }
}

TEST_P(ShellLineControlTest, NothingIsLeftOfALauncherThatEnds) {
  Prepare(ShellUse::kAuto);
  Start("act && " + Waiting() + " && act write 1 never");
  Await(*ready_);
  launcher_.reset();
}

// Time.

TEST_P(ShellLineControlTest, TimeoutEndsTheLine) {
  for (ShellUse use : kUses) {
    Command command;
    command.timeout = milliseconds(100);
    // On a slow machine the first two take longer.
    for (std::string output; output != "ab"; command.timeout *= 4) {
      ASSERT_LT(command.timeout, kHang) << output;
      Prepare(use);
      auto before = steady_clock::now();
      Start("act write 1 a && act write 1 b && act wait 0 <" + gate_->path() +
                " && act write 1 never",
            command);
      Finished done = Finish();
      EXPECT_GE(steady_clock::now(), before + command.timeout);
      Expect(Cause::kSignaled, SIGKILL, done);
      EXPECT_TRUE(done.timed_out);
      output = done.output;
      ReapOrphansOf(use);
    }
  }
}

TEST_P(ShellLineControlTest, TimeoutIsForAllPrograms) {
  for (ShellUse use : kUses) {
    Prepare(use);
    Command command;
    command.timeout = milliseconds(150);
    std::string line = "act burn 40";
    for (int i = 0; i < 9; ++i)
      line += " && act burn 40";
    Start(line, command);
    Finished done = Finish();
    EXPECT_TRUE(done.timed_out);
    Expect(Cause::kSignaled, SIGKILL, done);
    ReapOrphansOf(use);
  }
}

TEST_P(ShellLineControlTest, TimeoutThatIsNotReached) {
  Command command;
  command.timeout = kHang;
  ExpectSame("act write 1 a && act write 1 b && nosuch", "cannot start",
             command);
}

}  // namespace
}  // namespace launcher
