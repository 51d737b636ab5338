// What becomes of a job when the parked process, or what it was made from, goes
// away: at most a cold launch.
//
// SPDX-License-Identifier: Apache-2.0

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <fstream>
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

// A host that waits for any child of its own takes the status of ours as well.
TEST_F(WarmFaultsTest, ParkedProcessIsReapedByTheHost) {
  const std::vector<pid_t> parked = Parked();
  ASSERT_EQ(1u, parked.size());
  ASSERT_EQ(0, kill(parked[0], SIGKILL));
  ASSERT_EQ(parked[0], waitpid(-1, nullptr, 0));
  ExpectSame({kProbe, "argv", "one"});
}

/// Kills a parked process, or the clone that it makes, at one point of what it
/// does for a job: at a system call, before or after it. Another process, since
/// the parked one is a child that this one waits for.
class Killer {
 public:
  enum class Target { kParked, kClone };

  /// Returns when it is in place. `point` counts from 0.
  Killer(pid_t parked, Target target, int point) {
    Pipe ready;
    pid_ = fork();
    if (pid_ == 0)
      _exit(Kill(parked, target, point, ready.write.get()));
    ready.write.Reset();
    placed_ = !ready.Await().empty();
  }
  ~Killer() { (void)Reached(); }

  /// False where one process may not trace another.
  bool placed() const { return placed_; }

  /// After the job: false if it was through before it came to that point.
  bool Reached() {
    if (pid_ > 0) {
      int status = 0;
      EXPECT_EQ(pid_, waitpid(pid_, &status, 0));
      reached_ = WIFEXITED(status) && WEXITSTATUS(status) == kKilled;
      pid_ = -1;
    }
    return reached_;
  }

 private:
  static constexpr int kKilled = 0, kThrough = 1, kNotPlaced = 2;

  /// What is traced still goes on when this process has ended.
  static int Kill(pid_t parked, Target target, int point, int ready) {
    if (ptrace(PTRACE_SEIZE, parked, 0,
               PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK) != 0 ||
        ptrace(PTRACE_INTERRUPT, parked, 0, 0) != 0)
      return kNotPlaced;
    pid_t clone = -1;
    for (;;) {
      int status;
      const pid_t pid = waitpid(-1, &status, __WALL);
      if (pid < 0 || !WIFSTOPPED(status))
        return kThrough;
      const int event = status >> 16;
      if (pid == parked && event == PTRACE_EVENT_FORK) {
        unsigned long made = 0;
        ptrace(PTRACE_GETEVENTMSG, pid, 0, &made);
        clone = static_cast<pid_t>(made);
      }
      if (pid == parked && event == PTRACE_EVENT_STOP && ready >= 0) {
        (void)!write(ready, "x", 1);
        ready = -1;
      }
      if (WSTOPSIG(status) == (SIGTRAP | 0x80) &&
          (pid == parked) == (target == Target::kParked)) {
        // The wait that it was interrupted in is entered anew: no point of it.
        __ptrace_syscall_info info = {};
        ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info);
        const bool enters = info.op == PTRACE_SYSCALL_INFO_ENTRY;
        const bool waits =
            pid == parked && enters && info.entry.nr == SYS_recvmsg;
        if (!(waits && clone < 0) && point-- == 0) {
          kill(pid, SIGKILL);
          return kKilled;
        }
        // What follows is another job's, or the program's own.
        if ((waits && clone > 0) || (enters && info.entry.nr == SYS_munmap))
          return kThrough;
      }
      ptrace(PTRACE_SYSCALL, pid, 0, 0);
    }
  }

  pid_t pid_ = -1;
  bool placed_ = false;
  bool reached_ = false;
};

TEST_F(WarmFaultsTest, KilledAtEveryPointOfALaunch) {
  constexpr int kFarTooMany = 200;
  for (auto target : {Killer::Target::kParked, Killer::Target::kClone}) {
    bool reached = true;
    int point = 0, restarts = 0;
    for (; reached && point < kFarTooMany; ++point) {
      SCOPED_TRACE(point);
      warm_ = Make(Engine::kWarm);
      // Even or odd: there is a template for each number of arguments.
      ASSERT_EQ(Engine::kWarm, Run(*warm_, {kProbe, "argv"}).engine);
      const std::vector<pid_t> parked = Parked();
      ASSERT_EQ(1u, parked.size());
      const std::string file = dir_.File("ran", "");
      const Action actions[] = {
          Action::Open(3, file.c_str(), O_WRONLY | O_APPEND)};
      Command command;
      command.actions = actions;
      Killer killer(parked[0], target, point);
      if (!killer.placed())
        GTEST_SKIP() << "one process may not trace another";
      Finished done = Run(*warm_, {kProbe, "write", "3", "once"}, command);
      reached = killer.Reached();
      std::string ran;
      std::getline(std::ifstream(file), ran);
      // Who kills the job itself gets what he wanted.
      if (done.cause == Cause::kSignaled) {
        EXPECT_EQ(SIGKILL, done.code);
        EXPECT_TRUE(reached && target == Killer::Target::kClone);
        EXPECT_EQ("", ran);
      } else {
        EXPECT_EQ(Cause::kExited, done.cause) << done.error.ToString();
        EXPECT_EQ(0, done.code);
        EXPECT_EQ("once", ran);
      }
      restarts += done.engine != Engine::kWarm;
      ExpectSame({kProbe, "argv", "after"});
    }
    // There were points, some of them before the clone was a job.
    EXPECT_GT(point, 5);
    EXPECT_LT(point, kFarTooMany);
    EXPECT_GT(restarts, 0);
  }
}

TEST_F(WarmFaultsTest, LauncherIsKilled) {
  cold_.reset();
  warm_.reset();
  Pipe gate, ready;
  const pid_t host = fork();
  if (host == 0) {
    gate.write.Reset();
    auto launcher = Make(Engine::kWarm);
    Run(*launcher, {kProbe, "argv"});
    Run(*launcher, {Program("nothing")});
    Command command;
    command.in = Stdio::FromFd(gate.read.get());
    command.out = command.err = Stdio::Null();
    if (Start(*launcher, {kProbe, "wait"}, command).ok())
      (void)!write(ready.write.get(), "x", 1);
    for (;;)
      pause();
  }
  ready.write.Reset();
  ASSERT_EQ("x", ready.Await());
  ASSERT_EQ(0, kill(host, SIGKILL));
  ASSERT_EQ(host, waitpid(host, nullptr, 0));
  // The job goes on, as a cold one does; the parked processes do not.
  ExpectOrphans(2);
  gate.write.Reset();
  ExpectOrphans(1);
}

// As under `strace -f`: children are traced already, so none can be parked.
TEST_F(WarmFaultsTest, LauncherIsTraced) {
  cold_.reset();
  warm_.reset();
  Pipe traced;
  const pid_t host = fork();
  if (host == 0) {
    traced.write.Reset();
    traced.Await();
    alarm(kHang.count() / 1000);
    bool good = true;
    auto launcher = Make(Engine::kWarm);
    for (int i = 0; good && i < 3; ++i) {
      Finished done = Run(*launcher, {kProbe, "argv", "text"});
      good = done.cause == Cause::kExited && done.code == 0 &&
             done.output == std::string(kProbe) + "\ntext\n" &&
             done.engine == Engine::kClone3;
    }
    launcher.reset();
    _exit(good ? 0 : 1);
  }
  ASSERT_GT(host, 0);
  if (ptrace(PTRACE_SEIZE, host, 0,
             PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                 PTRACE_O_TRACECLONE) != 0) {
    ASSERT_EQ(0, kill(host, SIGKILL));
    ASSERT_EQ(host, waitpid(host, nullptr, 0));
    GTEST_SKIP() << "this process may not trace its child";
  }
  traced.write.Reset();
  int status = 0, ended = 0;
  pid_t pid;
  while ((pid = waitpid(-1, &status, __WALL)) > 0) {
    if (pid == host && !WIFSTOPPED(status)) {
      ended = status;
    } else if (WIFSTOPPED(status)) {
      const bool signalled = status >> 16 == 0;
      ptrace(PTRACE_CONT, pid, 0, signalled ? WSTOPSIG(status) : 0);
    }
  }
  EXPECT_TRUE(WIFEXITED(ended) && WEXITSTATUS(ended) == 0) << ended;
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

  // A library that others have mapped can be written to; a program cannot.
  ASSERT_EQ(0, truncate(library.c_str(), 100));
  for (int i = 0; i < 2; ++i) {
    Finished cold = Run(*cold_, {program}), warm = Run(*warm_, {program});
    EXPECT_EQ(127, cold.code);
    EXPECT_EQ(127, warm.code);
    EXPECT_EQ(cold.output, warm.output);
  }

  dir_.Program("new");
  fs::rename(dir_ / "new", program);
  for (int i = 0; i < 3; ++i)
    ExpectSame({program});
  EXPECT_EQ(program + "\n", Run(*warm_, {program}).output);
}

// In a mount namespace, so that the cache is a file of ours.
TEST_F(WarmFaultsTest, CacheOfTheLoaderIsRewritten) {
  cold_.reset();
  warm_.reset();
  constexpr char kCache[] = "/etc/ld.so.cache";
  if (access(kCache, R_OK) != 0)
    GTEST_SKIP() << "no " << kCache;
  const std::string copy = dir_ / "cache";
  std::filesystem::copy(kCache, copy);
  InChild([&] {
    if (unshare(CLONE_NEWNS) != 0)
      GTEST_SKIP() << "no mount namespace: " << strerror(errno);
    ASSERT_EQ(0, mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr));
    ASSERT_EQ(0, mount(copy.c_str(), kCache, nullptr, MS_BIND, nullptr));
    auto launcher = Make(Engine::kWarm);
    EXPECT_EQ(Engine::kWarm, Run(*launcher, {kProbe}).engine);
    ASSERT_EQ(0, utimensat(AT_FDCWD, copy.c_str(), nullptr, 0));
    EXPECT_EQ(0, Run(*launcher, {kProbe}).code);
    EXPECT_EQ(1u, launcher->statistics().warm_stale);
    EXPECT_EQ(Engine::kWarm, Run(*launcher, {kProbe}).engine);
  });
}

TEST_F(WarmFaultsTest, LibraryAppearsWhereItIsSearchedFirst) {
  namespace fs = std::filesystem;
  const std::string from = LAUNCHER_TEST_CHILD_DIR;
  for (bool there : {false, true}) {
    TempDir dir;
    const std::string program = dir / "warm_nothing";
    fs::copy(Program("nothing"), program);
    fs::copy(from + "/libwarm_library_nothing.so",
             dir / "libwarm_library_nothing.so");
    if (there)
      dir.Dir("first");
    EXPECT_EQ(Engine::kWarm, ExpectSame({program}));
    if (!there)
      dir.Dir("first");
    fs::copy(from + "/libwarm_library_registers_handlers.so",
             dir / "first/libwarm_library_nothing.so");
    for (int i = 0; i < 3; ++i)
      ExpectSame({program});
    EXPECT_NE(std::string::npos, Run(*warm_, {program}).output.find("parent"));
  }
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

// What a limit leaves too little of is started cold, and ends as it does there.
TEST_F(WarmFaultsTest, MemoryIsLimited) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer maps memory as it goes and ends the process "
                  "that has none left";
#endif
  cold_.reset();
  warm_.reset();
  constexpr rlim_t kMiB = 1 << 20;
  for (auto resource : {RLIMIT_AS, RLIMIT_DATA}) {
    for (rlim_t room : {64 * kMiB, 8 * kMiB, 2 * kMiB}) {
      SCOPED_TRACE(std::to_string(resource) + " with " + std::to_string(room));
      InChild([&] {
        cold_ = Make(Engine::kClone3);
        warm_ = Make(Engine::kWarm);
        // Parked before the limit; the others are to be parked below it.
        EXPECT_EQ(Engine::kWarm, Run(*warm_, {kProbe, "limit"}).engine);
        unsigned long pages = 0;
        ASSERT_TRUE(std::ifstream("/proc/self/statm") >> pages);
        const rlim_t most =
            pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + room;
        const rlimit limit = {most, most};
        ASSERT_EQ(0, setrlimit(resource, &limit));
        for (int i = 0; i < 3; ++i) {
          ExpectSame({kProbe, "limit"});
          ExpectSame({Program("nothing")});
          ExpectSame({Program("allocates")});
        }
        cold_.reset();
        warm_.reset();
      });
    }
  }
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
