// Until the program runs: a start that is awaited, and a process that is the
// caller's own.
//
// SPDX-License-Identifier: Apache-2.0

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "support/launcher_test.h"
#include "support/temp_dir.h"

namespace launcher {
namespace {

class AwaitStartTest : public LauncherTest {
 protected:
  TempDir dir_;
};

LAUNCHER_TEST_ENGINES(AwaitStartTest);

TEST_P(AwaitStartTest, AwaitedStartHasAPid) {
  Pipe input;
  Command command;
  command.await_start = true;
  command.in = Stdio::FromFd(input.read.get());
  auto started = Start({kHold}, command);
  ASSERT_TRUE(started.ok()) << started.error().ToString();
  Result<pid_t> pid = launcher_->Pid(started.value());
  ASSERT_TRUE(pid.ok());
  // The exec is over: this is its program.
  char program[4096];
  const std::string link = "/proc/" + std::to_string(pid.value()) + "/exe";
  ssize_t size = readlink(link.c_str(), program, sizeof(program));
  ASSERT_GT(size, 0);
  EXPECT_EQ(std::filesystem::canonical(kHold).string(),
            std::string(program, size));
  input.write.Reset();
  Finished done = Finish();
  Expect(Cause::kExited, 0, done);
  EXPECT_EQ(pid.value(), done.pid);
  EXPECT_EQ(ESRCH, launcher_->Pid(started.value()).error().code);
}

TEST_P(AwaitStartTest, AwaitedStartFailsAtOnce) {
  Command command;
  command.await_start = true;
  command.cwd = "/nonexistent/directory";
  auto started = Start({kProbe, "argv"}, command);
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(ENOENT, started.error().code);
  if (GetParam() != Engine::kPosixSpawn) {
    EXPECT_STREQ("chdir", started.error().step);
    EXPECT_EQ(command.cwd, started.error().object);
  }
  EXPECT_EQ(0u, launcher_->children());

  const std::string script =
      dir_.File("script", "#!/nonexistent/shell\n", 0755);
  command.cwd = nullptr;
  started = Start({script.c_str()}, command);
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(ENOENT, started.error().code);
  EXPECT_EQ(0u, launcher_->children());
}

TEST_P(AwaitStartTest, ProcessOfTheCaller) {
  Pipe output;
  Command command;
  command.out = Stdio::FromFd(output.write.get());
  command.err = Stdio::Inherit();
  const char* argv[] = {kProbe, "argv", "word"};
  command.argv = argv;
  Result<pid_t> pid = launcher_->StartProcess(command);
  ASSERT_TRUE(pid.ok()) << pid.error().ToString();
  output.write.Reset();
  EXPECT_EQ(std::string(kProbe) + "\nword\n", output.Await());
  EXPECT_EQ(0u, launcher_->children());
  // Though it has ended, nobody has reaped it.
  EXPECT_EQ(ECHILD, launcher_->Wait(kHang).error().code);
  int status;
  ASSERT_EQ(pid.value(), waitpid(pid.value(), &status, 0));
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST_P(AwaitStartTest, ProcessOfTheCallerThatCannotBeStarted) {
  Command command;
  command.out = command.err = Stdio::Inherit();
  command.cwd = "/nonexistent/directory";
  const char* argv[] = {kProbe, "argv"};
  command.argv = argv;
  for (int i = 0; i < 3; ++i) {
    Result<pid_t> pid = launcher_->StartProcess(command);
    ASSERT_FALSE(pid.ok());
    EXPECT_EQ(ENOENT, pid.error().code);
    EXPECT_LE(waitpid(-1, nullptr, WNOHANG), 0);
  }
  command.cwd = nullptr;
  command.timeout = std::chrono::seconds(1);
  EXPECT_EQ(EINVAL, launcher_->StartProcess(command).error().code);
  command.timeout = {};
  command.out = Stdio::Capture();
  EXPECT_EQ(EINVAL, launcher_->StartProcess(command).error().code);
}

TEST_P(AwaitStartTest, ManyProcessesOfTheCaller) {
  Pipe input;
  Command command;
  command.in = Stdio::FromFd(input.read.get());
  command.out = command.err = Stdio::Inherit();
  const char* argv[] = {kHold};
  command.argv = argv;
  std::set<pid_t> pids;
  for (int i = 0; i < 100; ++i) {
    Result<pid_t> pid = launcher_->StartProcess(command);
    ASSERT_TRUE(pid.ok()) << pid.error().ToString();
    pids.insert(pid.value());
  }
  EXPECT_EQ(100u, pids.size());
  input.write.Reset();
  EXPECT_EQ(100, ReapChildren(100));
}

// The descriptor by which the end of a start is seen is in nobody's way.
TEST_P(AwaitStartTest, AwaitedStartWhoseActionsCloseEverything) {
  Pipe input;
  const Action actions[] = {Action::CloseRange(3, -1), Action::Dup2(1, 9),
                            Action::Close(40), Action::CloseRange(10, 60)};
  Command command;
  command.await_start = true;
  command.in = Stdio::FromFd(input.read.get());
  command.actions = actions;
  auto started = Start({kHold}, command);
  ASSERT_TRUE(started.ok()) << started.error().ToString();
  std::set<int> open;
  const pid_t pid = launcher_->Pid(started.value()).value();
  for (const auto& entry : std::filesystem::directory_iterator(
           "/proc/" + std::to_string(pid) + "/fd"))
    open.insert(std::stoi(entry.path().filename()));
  EXPECT_EQ((std::set<int>{0, 1, 2, 9}), open);
  input.write.Reset();
  Expect(Cause::kExited, 0, Finish());
}

TEST_P(AwaitStartTest, AwaitedStartKeepsTheEndOfOthers) {
  ChildId first = Probe({"argv", "first"});
  Command command;
  command.await_start = true;
  std::vector<ChildId> started;
  for (int i = 0; i < 20; ++i)
    started.push_back(Probe({"argv", "later"}, command));
  std::set<ChildId> ended;
  for (int i = 0; i < 21; ++i) {
    Finished done = Finish();
    Expect(Cause::kExited, 0, done);
    ended.insert(done.id);
  }
  EXPECT_EQ(21u, ended.size());
  EXPECT_TRUE(ended.contains(first));
  EXPECT_FALSE(launcher_->SpawnLine("true", command).ok());
}

}  // namespace
}  // namespace launcher
