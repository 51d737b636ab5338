// What only engine kernel has: its templates, and what it leaves to clone3. On
// a kernel without the calls most of this is skipped; `./configure.py
// kernel-test` runs it on one that has them.
//
// SPDX-License-Identifier: Apache-2.0

#include <linux/close_range.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <ucontext.h>

#include <filesystem>
#include <string>
#include <vector>

#include "support/launcher_test.h"
#include "support/temp_dir.h"

namespace launcher {
namespace {

using std::chrono::milliseconds;

// The question whether there are such calls, on any kernel.

int g_asked = 0;

void OnSigsys(int, siginfo_t*, void* context) {
  ++g_asked;
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RAX] = -ENOSYS;
}

TEST(KernelQuestionTest, IsAskedOnceWhateverIsLaunched) {
  InChild([] {
    struct sigaction action = {};
    action.sa_sigaction = OnSigsys;
    action.sa_flags = SA_SIGINFO;
    ASSERT_EQ(0, sigaction(SIGSYS, &action, nullptr));
    using namespace refuse_internal;
    Install({Load(offsetof(seccomp_data, nr)),
             If(BPF_JGE, kSpawnTemplateCreate, 2),
             If(BPF_JGT, kSpawnTemplateSpawn, 0), Return(SECCOMP_RET_TRAP),
             Return(SECCOMP_RET_ALLOW)});
    auto launcher = Launcher::Create({});
    ASSERT_TRUE(launcher.ok());
    const char* argv[] = {kHold};
    Command command;
    command.argv = argv;
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(launcher.value()->Spawn(command).ok());
      ASSERT_TRUE(launcher.value()->Wait(kHang).ok());
    }
    EXPECT_EQ(1, g_asked);
    EXPECT_EQ("", launcher.value()->statistics().refusals);
    // Who wants another engine does not ask.
    for (Engine engine : {Engine::kClone3, Engine::kPosixSpawn, Engine::kWarm})
      EXPECT_TRUE(Launcher::Create({.engine = engine}).ok());
    EXPECT_EQ(1, g_asked);
  });
}

TEST(KernelQuestionTest, AnErrorIfTheEngineIsForced) {
  for (int error : {ENOSYS, EPERM}) {
    InChild([&] {
      RefuseSyscall(kSpawnTemplateCreate, error);
      auto created = Launcher::Create({.engine = Engine::kKernel});
      ASSERT_FALSE(created.ok());
      EXPECT_EQ(error, created.error().code);
      EXPECT_STREQ("spawn_template_create", created.error().step);
    });
  }
}

TEST(KernelQuestionTest, AnotherCallOfThatNumberIsNotTaken) {
  InChild([] {
    // It returns a number that is a descriptor of something else.
    RefuseSyscall(kSpawnTemplateCreate, 0);
    RefuseSyscall(kSpawnTemplateCreate, EINVAL, ArgIs{1, 0});
    auto created = Launcher::Create({.engine = Engine::kKernel});
    ASSERT_FALSE(created.ok());
    EXPECT_EQ(ENOSYS, created.error().code);
    EXPECT_GE(fcntl(0, F_GETFD), 0) << "that descriptor was closed";
  });
}

// On a kernel that has them.

class EngineKernelTest : public LauncherTest {
 protected:
  Engine EngineOf(Words argv, Command command = {}) {
    auto started = Start(argv, command);
    EXPECT_TRUE(started.ok()) << started.error().ToString();
    return started.ok() ? Finish().engine : Engine::kAuto;
  }

  Engine EngineWith(Action action) {
    Command command;
    command.actions = {&action, 1};
    return EngineOf({kProbe}, command);
  }

  std::string CopyOf(const std::string& program, const char* name) {
    const std::string copy = dir_ / name;
    std::filesystem::copy_file(
        program, copy, std::filesystem::copy_options::overwrite_existing);
    return copy;
  }

  TempDir dir_;
};

INSTANTIATE_TEST_SUITE_P(Engines, EngineKernelTest,
                         testing::Values(Engine::kKernel), EngineTestName);

TEST_P(EngineKernelTest, TakesWhatTheCallHasWordsFor) {
  EXPECT_EQ(Engine::kKernel, EngineOf({kProbe}));
  Command command;
  const std::string cwd = dir_.Dir("cwd");
  command.cwd = cwd.c_str();
  EXPECT_EQ(Engine::kKernel, EngineOf({kProbe}, command));
  command = {};
  command.inherit_fds = true;
  command.group = Command::Group::kInherit;
  EXPECT_EQ(Engine::kKernel, EngineOf({kProbe}, command));
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  for (const Action& action :
       {Action::Close(50), Action::Dup2(0, 50), Action::Dup2(0, 0),
        Action::Open(50, "/dev/null", O_RDWR), Action::CloseRange(50, -1),
        Action::SignalMask(set), Action::SignalDefault(set)})
    EXPECT_EQ(Engine::kKernel, EngineWith(action)) << int(action.kind);
}

TEST_P(EngineKernelTest, LeavesTheRestToClone3) {
  const std::string script = dir_.File("script", "#!/bin/sh\n", 0755);
  EXPECT_EQ(Engine::kClone3, EngineOf({script.c_str()}));
  // May be a FIFO.
  EXPECT_EQ(Engine::kClone3,
            EngineWith(Action::Open(50, script.c_str(), O_RDONLY)));
  // A path of the child's own directory; one of its own descriptors.
  Command command;
  command.cwd = "/";
  EXPECT_EQ(Engine::kClone3, EngineOf({kProbe + 1}, command));
  Fd fd(open(kProbe, O_RDONLY));
  const std::string path = "/proc/self/fd/" + std::to_string(fd.get());
  EXPECT_EQ(Engine::kClone3, EngineOf({path.c_str()}));
  // More steps than a call takes.
  std::vector<Action> actions(300, Action::Close(50));
  command.actions = actions;
  EXPECT_EQ(Engine::kClone3, EngineOf({kProbe}, command));
}

TEST_P(EngineKernelTest, WithoutATemplateThereIsNothingToCall) {
  Make({.template_entries = 0});
  EXPECT_EQ(Engine::kClone3, EngineOf({kProbe}));
  Make({.never_template = {".*/probe"}});
  EXPECT_EQ(Engine::kClone3, EngineOf({kProbe}));
  EXPECT_EQ(Engine::kKernel, EngineOf({kHold}));
}

TEST_P(EngineKernelTest, AReplacedExecutableGetsAnotherTemplate) {
  const std::string program = CopyOf(kProbe, "program");
  Finished done;
  for (int status : {3, 4}) {
    ASSERT_TRUE(
        Start({program.c_str(), "exit", std::to_string(status).c_str()}).ok());
    done = Finish();
    Expect(Cause::kExited, status, done);
    EXPECT_EQ(Engine::kKernel, done.engine);
  }
  // hold has no use for arguments.
  std::filesystem::rename(CopyOf(kHold, "other"), program);
  ASSERT_TRUE(Start({program.c_str(), "exit", "5"}).ok());
  done = Finish();
  Expect(Cause::kExited, 0, done);
  EXPECT_EQ(Engine::kKernel, done.engine);
  EXPECT_EQ(1u, launcher_->statistics().template_stale);
}

TEST_P(EngineKernelTest, ATemplateKeepsNobodyFromWriting) {
  const std::string program = CopyOf(kProbe, "program");
  EXPECT_EQ(Engine::kKernel, EngineOf({program.c_str()}));
  Fd writer(open(program.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  ASSERT_TRUE(writer) << strerror(errno);
  // As ever: it cannot run while that is open.
  ASSERT_TRUE(Start({program.c_str()}).ok());
  ExpectNotStarted(ETXTBSY, "execve", program, Finish());
  writer.Reset();
  EXPECT_EQ(Engine::kKernel, EngineOf({program.c_str()}));
}

TEST_P(EngineKernelTest, OtherCredentialsGetTheirOwnTemplates) {
  if (geteuid() != 0)
    GTEST_SKIP() << "needs root to become another user";
  const std::string program = CopyOf(kHold, "program");
  InChild([&] {
    Make({});
    EXPECT_EQ(Engine::kKernel, EngineOf({program.c_str()}));
    ASSERT_EQ(0, setgid(65534));
    ASSERT_EQ(0, setuid(65534));
    EXPECT_EQ(Engine::kKernel, EngineOf({program.c_str()}));
  });
}

TEST_P(EngineKernelTest, TemplatesMakeRoomForPipes) {
  InChild([&] {
    Make({});
    std::vector<std::string> programs;
    for (int i = 0; i < 20; ++i) {
      programs.push_back(CopyOf(kHold, std::to_string(i).c_str()));
      EXPECT_EQ(Engine::kKernel, EngineOf({programs.back().c_str()}));
    }
    // From now on all that can become free is what templates hold.
    const rlimit limit = {static_cast<rlim_t>(OpenFds().rbegin()->first + 1),
                          1024};
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
    std::vector<Fd> rest;
    while (rest.empty() || rest.back())
      rest.emplace_back(fcntl(0, F_DUPFD_CLOEXEC, 3));
    for (const std::string& program : programs)
      EXPECT_NE(Engine::kAuto, EngineOf({program.c_str()}));
  });
}

TEST_P(EngineKernelTest, FailuresWaitToBeFetchedLikeChildren) {
  const std::string missing = dir_ / "missing";
  Command command;
  command.cwd = missing.c_str();
  const char* argv[] = {kProbe};
  command.argv = argv;
  auto poll_fd = launcher_->PollFd();
  ASSERT_TRUE(poll_fd.ok());
  auto first = launcher_->Spawn(command), second = launcher_->Spawn(command);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(2u, launcher_->children());
  pollfd ready = {poll_fd.value(), POLLIN, 0};
  EXPECT_EQ(1, poll(&ready, 1, int(kHang.count())));
  EXPECT_TRUE(launcher_->Kill(first.value(), SIGTERM).ok());
  for (const auto& id : {first, second}) {
    auto done = launcher_->Wait(milliseconds(0));
    ASSERT_TRUE(done.ok()) << done.error().ToString();
    EXPECT_EQ(id.value(), done.value().id);
    ExpectNotStarted(ENOENT, "chdir", missing, done.value());
    EXPECT_EQ(Engine::kKernel, done.value().engine);
  }
  EXPECT_EQ(ECHILD, Wait(kHang).error().code);
  // And not to be fetched at all.
  ASSERT_TRUE(launcher_->Spawn(command).ok());
  launcher_.reset();
}

}  // namespace
}  // namespace launcher
