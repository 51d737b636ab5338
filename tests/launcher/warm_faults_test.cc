// What becomes of a job when the parked process, or what it was made from, goes
// away: at most a cold launch.
//
// SPDX-License-Identifier: Apache-2.0

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <string>
#include <vector>

#include "support/warm_test.h"

namespace launcher {
namespace {

using WarmFaultsTest = WarmTest;

TEST_F(WarmFaultsTest, ParkedProcessIsKilled) {
  for (int i = 0; i < 10; ++i) {
    Run(*warm_, {kProbe});
    for (pid_t pid : Parked())
      ASSERT_EQ(0, kill(pid, SIGKILL));
    ExpectSame({kProbe, "argv", "one"});
  }
}

TEST_F(WarmFaultsTest, ParkedProcessIsStopped) {
  for (pid_t pid : Parked())
    ASSERT_EQ(0, kill(pid, SIGSTOP));
  ExpectSame({kProbe});
}

TEST_F(WarmFaultsTest, ProgramOrLibraryIsReplaced) {
  namespace fs = std::filesystem;
  const std::string program = dir_ / "warm_nothing";
  const std::string library = dir_ / "libwarm_library_nothing.so";
  const std::string from = LAUNCHER_TEST_CHILD_DIR;
  fs::copy(Program("nothing"), program);
  fs::copy(from + "/libwarm_library_nothing.so", library);
  EXPECT_EQ(Engine::kWarm, ExpectSame({program}));

  fs::copy(from + "/libwarm_library_registers_handlers.so", dir_ / "new");
  fs::rename(dir_ / "new", library);
  for (int i = 0; i < 3; ++i)
    ExpectSame({program});
  EXPECT_NE(std::string::npos, Run(*warm_, {program}).output.find("parent"));

  dir_.Program("new");
  fs::rename(dir_ / "new", program);
  for (int i = 0; i < 3; ++i)
    ExpectSame({program});
  EXPECT_EQ(program + "\n", Run(*warm_, {program}).output);
}

TEST_F(WarmFaultsTest, ProgramIsTouchedOrForbidden) {
  namespace fs = std::filesystem;
  const std::string copy = dir_ / "probe";
  fs::copy(kProbe, copy);
  EXPECT_EQ(Engine::kWarm, ExpectSame({copy, "argv"}));
  const uint64_t stale = warm_->statistics().warm_stale;
  ASSERT_EQ(0, utimensat(AT_FDCWD, copy.c_str(), nullptr, 0));
  ExpectSame({copy, "argv"});
  EXPECT_EQ(stale + 1, warm_->statistics().warm_stale);
  EXPECT_EQ(Engine::kWarm, ExpectSame({copy, "argv"}));

  ASSERT_EQ(0, chmod(copy.c_str(), 0));
  for (Launcher* launcher : {cold_.get(), warm_.get()}) {
    // The template is looked at by Spawn(), or execve(2) by the child.
    Result<ChildId> started = Start(*launcher, {copy, "argv"});
    EXPECT_EQ(EACCES, started.ok() ? Finish(*launcher).error.code
                                   : started.error().code);
  }
  ASSERT_EQ(0, chmod(copy.c_str(), 0755));
  for (int i = 0; i < 2; ++i)
    ExpectSame({copy, "argv"});
}

TEST_F(WarmFaultsTest, WithoutPtraceItStartsCold) {
  cold_.reset();
  warm_.reset();
  InChild([] {
    RefuseSyscall(SYS_ptrace, EPERM);
    auto launcher = Make(Engine::kWarm);
    const char* argv[] = {kProbe, "echo", "0"};
    Command command;
    command.argv = argv;
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(launcher->Spawn(command).ok());
      Finished done = Finish(*launcher);
      EXPECT_EQ(Cause::kExited, done.cause);
      EXPECT_EQ(0, done.code);
      EXPECT_EQ(Engine::kClone3, done.engine);
    }
  });
}

TEST_F(WarmFaultsTest, ManyAtOnce) {
  constexpr int kJobs = 500;
  for (int i = 0; i < kJobs; ++i)
    ASSERT_TRUE(Start(*warm_, {kProbe, "argv", std::to_string(i)}).ok());
  std::vector<std::string> outputs;
  for (int i = 0; i < kJobs; ++i)
    outputs.push_back(Finish(*warm_).output);
  std::sort(outputs.begin(), outputs.end());
  EXPECT_EQ(outputs.end(), std::unique(outputs.begin(), outputs.end()));
  EXPECT_EQ(1, std::count(outputs.begin(), outputs.end(),
                          std::string(kProbe) + "\n499\n"));
}

TEST_F(WarmFaultsTest, NothingGrows) {
  Run(*warm_, {Program("nothing")});
  const auto fds = OpenFds();
  const auto parked = Parked();
  for (int i = 0; i < 2000; ++i)
    ASSERT_EQ(Engine::kWarm, Run(*warm_, {Program("nothing")}).engine)
        << i << ": " << Never(Program("nothing"));
  EXPECT_EQ(fds, OpenFds());
  EXPECT_EQ(parked, Parked());
}

}  // namespace
}  // namespace launcher
