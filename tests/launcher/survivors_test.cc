// Processes that a child leaves in its group.
//
// SPDX-License-Identifier: Apache-2.0

#include "survivors.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <fstream>
#include <string>
#include <vector>

#include "support/launcher_test.h"

namespace launcher {
namespace {

using Survivors = Command::Survivors;

class SurvivorsTest : public LauncherTest {
 protected:
  /// What probe starts waits for the end of file of gate_ and writes its pid.
  Command Gated(Survivors survivors) {
    Command command;
    command.in = Stdio::FromFd(gate_.read.get());
    command.out = Stdio::FromFd(told_.write.get());
    command.err = Stdio::Null();
    command.survivors = survivors;
    return command;
  }

  /// Starts a probe whose child does `words` and then waits; the probe itself
  /// exits when its child has come that far and closed 4.
  Finished Leave(Words words, Command command) {
    Pipe done;
    const Action places[] = {Action::Dup2(done.read.get(), 3),
                             Action::Dup2(done.write.get(), 4)};
    command.actions = places;
    std::vector<const char*> argv = {kProbe, "fork"};
    argv.insert(argv.end(), words);
    for (const char* word :
         {"close", "4", "wait", "0", "end", "close", "4", "wait", "3"})
      argv.push_back(word);
    command.argv = argv;
    auto started = launcher_->Spawn(command);
    EXPECT_TRUE(started.ok()) << started.error().ToString();
    done.write.Reset();
    return Finish();
  }

  /// The pid of the process that is left is left_.
  Finished LeaveOne(Survivors survivors) {
    Finished done = Leave({"pid", "1"}, Gated(survivors));
    left_ = atoi(told_.Await().c_str());
    return done;
  }

  void ExpectKilled(pid_t pid) {
    Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
    pollfd ended = {pidfd.get(), POLLIN, 0};
    EXPECT_EQ(1, poll(&ended, 1, int(kHang.count()))) << "it is alive";
    int status = 0;
    EXPECT_EQ(pid, waitpid(pid, &status, WNOHANG));
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
  }

  void OpenGate() {
    gate_.write.Reset();
    gate_.read.Reset();
  }

  Pipe gate_, told_;
  pid_t left_ = -1;
};

LAUNCHER_TEST_ENGINES(SurvivorsTest);

TEST_P(SurvivorsTest, AreTold) {
  Finished done = LeaveOne(Survivors::kTell);
  Expect(Cause::kExited, 0, done);
  ASSERT_EQ(1u, done.survivors.size());
  EXPECT_EQ(left_, done.survivors[0].pid);
  EXPECT_EQ("probe", done.survivors[0].comm);
  siginfo_t info = {};
  EXPECT_EQ(0, waitid(P_PID, static_cast<id_t>(left_), &info,
                      WEXITED | WNOHANG | WNOWAIT));
  EXPECT_EQ(0, info.si_pid) << "it has ended";
  OpenGate();
  ExpectOrphans(1);
}

TEST_P(SurvivorsTest, AreKilled) {
  Finished done = LeaveOne(Survivors::kKill);
  Expect(Cause::kExited, 0, done);
  ASSERT_EQ(1u, done.survivors.size());
  EXPECT_EQ(left_, done.survivors[0].pid);
  ExpectKilled(left_);
}

TEST_P(SurvivorsTest, AreLeft) {
  Finished done = LeaveOne(Survivors::kLeave);
  EXPECT_TRUE(done.survivors.empty());
  OpenGate();
  ExpectOrphans(1);
}

TEST_P(SurvivorsTest, NoneOfMostChildren) {
  Command command;
  command.survivors = Survivors::kKill;
  for (int i = 0; i < 3; ++i) {
    Finished done = Run({"exit", "3"}, command);
    Expect(Cause::kExited, 3, done);
    EXPECT_TRUE(done.survivors.empty());
  }
}

TEST_P(SurvivorsTest, OfAnotherGroupAreNotFound) {
  Finished done = Leave({"setpgid"}, Gated(Survivors::kKill));
  Expect(Cause::kExited, 0, done);
  EXPECT_TRUE(done.survivors.empty());
  OpenGate();
  ExpectOrphans(1);
}

TEST_P(SurvivorsTest, ZombiesDoNotCount) {
  Pipe go;
  Command command = Gated(Survivors::kTell);
  const Action place = Action::Dup2(go.read.get(), 3);
  command.actions = {&place, 1};
  ChildId id = Probe({"fork", "pid", "1", "end", "wait", "3"}, command);
  pid_t zombie = atoi(told_.Await().c_str());
  const std::string path = "/proc/" + std::to_string(zombie) + "/stat";
  std::string stat;
  while (stat.find(") Z ") == stat.npos) {  // No event tells of this.
    std::ifstream file(path);
    std::getline(file, stat);
    ASSERT_NE("", stat);
  }
  go.write.Reset();
  Finished done = Finish();
  EXPECT_EQ(id, done.id);
  EXPECT_TRUE(done.survivors.empty());
  ExpectOrphans(1);
}

TEST_P(SurvivorsTest, NoneOfAGroupThatWasKilled) {
  ChildId id = Probe({"fork", "pid", "1", "wait", "0", "end", "wait", "0"},
                     Gated(Survivors::kTell));
  left_ = atoi(told_.Await().c_str());
  ASSERT_TRUE(launcher_->Kill(id, SIGKILL).ok());
  Finished done = Finish();
  Expect(Cause::kSignaled, SIGKILL, done);
  EXPECT_TRUE(done.survivors.empty());
  ExpectKilled(left_);
}

/// What a shell starts; ends when all that it writes to told_ has `last` in it.
class DescendantsTest : public SurvivorsTest {
 protected:
  std::string StartScript(const char* script, const std::string& last,
                          Command command) {
    auto started = Start({"/bin/sh", "-c", script}, command);
    EXPECT_TRUE(started.ok()) << started.error().ToString();
    if (started.ok())
      id_ = started.value();
    std::string told;
    while (told.find(last) == told.npos && !HasFailure())
      told += told_.Await();
    return told;
  }

  void Kill() {
    ASSERT_TRUE(launcher_->Kill(id_, SIGKILL).ok());
    Expect(Cause::kSignaled, SIGKILL, Finish());
    launcher_.reset();  // Only orphans are left.
  }

  /// All that come to us have been killed.
  int ReapKilled() {
    return ReapChildren(1'000'000, [](int status) {
      EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
    });
  }

  ChildId id_{};
};

LAUNCHER_TEST_ENGINES(DescendantsTest);

TEST_P(DescendantsTest, OtherGroupsAreKilledToo) {
  id_ = Probe({"fork", "setpgid", "pid", "1", "wait", "0", "end", "wait", "0"},
              Gated(Survivors::kKill));
  left_ = atoi(told_.Await().c_str());
  Kill();
  ExpectKilled(left_);
}

TEST_P(DescendantsTest, OtherGroupsAreLeftUnlessAsked) {
  id_ = Probe({"fork", "setpgid", "pid", "1", "wait", "0", "end", "wait", "0"},
              Gated(Survivors::kTell));
  EXPECT_NE("", told_.Await());
  Kill();
  OpenGate();
  ExpectOrphans(1);
}

TEST_P(DescendantsTest, SessionsOfSessionsAreKilledToo) {
  StartScript(
      "setsid sh -c 'setsid sh -c \"echo end; exec sleep 1000\"; "
      ":'; :",
      "end", Gated(Survivors::kKill));
  Kill();
  EXPECT_GE(ReapKilled(), 2);
}

TEST_P(DescendantsTest, TimeoutReachesThem) {
  Command command = Gated(Survivors::kKill);
  command.timeout = std::chrono::milliseconds(300);
  StartScript("setsid sh -c 'echo end; exec sleep 1000'; :", "end", command);
  Finished done = Finish();
  EXPECT_TRUE(done.timed_out);
  launcher_.reset();
  EXPECT_GE(ReapKilled(), 1);
}

TEST_P(DescendantsTest, DaemonsAreLeft) {
  // When both lines are there it is in a session of its own, and an orphan.
  std::string told = StartScript(
      "(setsid sh -c 'echo daemon $$; exec sleep 1000' &)\n"
      "echo end; exec sleep 1000",
      "end\n", Gated(Survivors::kKill));
  const std::string name = "daemon ";
  while (told.find(name) == told.npos && !HasFailure())
    told += told_.Await();
  Kill();
  const pid_t daemon = atoi(told.c_str() + told.find(name) + name.size());
  ASSERT_GT(daemon, 0);
  EXPECT_EQ(0, waitpid(daemon, nullptr, WNOHANG)) << "it has ended";
  kill(daemon, SIGKILL);
  ExpectKilled(daemon);
}

TEST_P(DescendantsTest, OneThatStartsMoreMeanwhile) {
  StartScript(
      "i=0; while [ $i -lt 1000 ]; do setsid sleep 1000 & i=$((i + 1)); "
      "[ $i != 10 ] || echo end; done; wait",
      "end", Gated(Survivors::kKill));
  Kill();
  EXPECT_GE(ReapKilled(), 9);
}

TEST_P(SurvivorsTest, OfALine) {
  const std::string line =
      std::string(kProbe) + " fork pid 1 wait 0 end && " + kProbe + " argv";
  Command command = Gated(Survivors::kKill);
  ASSERT_EQ("", launcher_->WhyShell(line.c_str(), command));
  auto started = launcher_->SpawnLine(line.c_str(), command);
  ASSERT_TRUE(started.ok()) << started.error().ToString();
  Finished done = Finish();
  Expect(Cause::kExited, 0, done);
  ASSERT_EQ(1u, done.survivors.size());
  ExpectKilled(done.survivors[0].pid);
}

TEST_P(SurvivorsTest, OnlyOfAGroupOfItsOwn) {
  Command command;
  command.survivors = Survivors::kTell;
  command.group = Command::Group::kInherit;
  auto started = Start({kProbe}, command);
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(EINVAL, started.error().code);
  EXPECT_STREQ("command", started.error().step);
}

TEST_P(SurvivorsTest, WithoutAPidfd) {
  Finished done = LeaveOne(Survivors::kTell);
  ASSERT_EQ(1u, done.survivors.size());
  const pid_t group = getpgid(left_);
  std::vector<Survivor> found = FindSurvivors(group, -1);
  ASSERT_EQ(1u, found.size());
  EXPECT_EQ(left_, found[0].pid);
  KillSurvivors(group, -1);
  ExpectKilled(left_);
  EXPECT_TRUE(FindSurvivors(group, -1).empty());
}

/// As if the number had come to be another group's.
TEST_P(SurvivorsTest, OfAGroupThatHasALeaderAreNotOurs) {
  Probe({"pid", "1", "wait", "0"}, Gated(Survivors::kLeave));
  const pid_t leader = atoi(told_.Await().c_str());
  EXPECT_EQ(leader, getpgid(leader));
  EXPECT_TRUE(FindSurvivors(leader, -1).empty());
  OpenGate();
  Expect(Cause::kExited, 0, Finish());
}

}  // namespace
}  // namespace launcher
