// Programs that are started by a parked process: the same comes of it as
// without one, and those whose loading depends on the process are not parked.
//
// SPDX-License-Identifier: Apache-2.0

#include <fcntl.h>
#include <linux/landlock.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "support/launcher_test.h"
#include "support/temp_dir.h"

namespace launcher {
namespace {

using Texts = std::vector<std::string>;

std::string Program(const std::string& name) {
  return LAUNCHER_TEST_CHILD_DIR "/warm_" + name;
}

class WarmTest : public LeakCheckTest {
 protected:
  using Cause = Finished::Cause;

  void SetUp() override {
    cold_ = Make(Engine::kClone3);
    warm_ = Make(Engine::kWarm);
    if (Run(*warm_, {kProbe}).engine == Engine::kWarm)
      return;
    // Where nothing may be traced, nothing is parked.
    const std::vector<std::string> reasons = warm_->statistics().never_warm;
    ASSERT_FALSE(reasons.empty());
    ASSERT_NE(std::string::npos, reasons[0].find("ptrace")) << reasons[0];
    GTEST_SKIP() << reasons[0];
  }

  static std::unique_ptr<Launcher> Make(Engine engine) {
    Launcher::Options options;
    options.engine = engine;
    auto created = Launcher::Create(std::move(options));
    EXPECT_TRUE(created.ok());
    return std::move(created.value());
  }

  Result<ChildId> Start(Launcher& launcher, const Texts& words,
                        Command command = {}) {
    std::vector<const char*> argv, env;
    for (const std::string& word : words)
      argv.push_back(word.c_str());
    for (const std::string& variable : environment_)
      env.push_back(variable.c_str());
    env.push_back(nullptr);
    command.argv = argv;
    command.env = env.data();
    return launcher.Spawn(command);
  }

  static Finished Finish(Launcher& launcher) {
    for (;;) {
      auto done = launcher.Wait(kHang);
      if (done.ok())
        return std::move(done.value());
      if (done.error().code == EINTR)
        continue;
      ADD_FAILURE() << done.error().ToString();
      Finished lost;
      lost.cause = Cause::kLost;
      return lost;
    }
  }

  Finished Run(Launcher& launcher, const Texts& words, Command command = {}) {
    auto started = Start(launcher, words, command);
    EXPECT_TRUE(started.ok()) << started.error().ToString();
    return started.ok() ? Finish(launcher) : Finished{};
  }

  /// Runs it cold and warm. Returns the engine that the second has used.
  Engine ExpectSame(const Texts& words, Command command = {}) {
    Finished cold = Run(*cold_, words, command);
    Finished warm = Run(*warm_, words, command);
    EXPECT_EQ(cold.cause, warm.cause) << words[0];
    EXPECT_EQ(cold.code, warm.code) << words[0];
    EXPECT_EQ(cold.output, warm.output) << words[0];
    return warm.engine;
  }

  /// Why the program with this path has not been parked.
  std::string Never(const std::string& path) const {
    for (const std::string& reason : warm_->statistics().never_warm)
      if (reason.starts_with(path + ": "))
        return reason.substr(path.size() + 2);
    return "";
  }

  /// The parked processes, where no job runs.
  static std::vector<pid_t> Parked() {
    std::ifstream children("/proc/self/task/" + std::to_string(getpid()) +
                           "/children");
    std::vector<pid_t> pids;
    for (pid_t pid; children >> pid;)
      pids.push_back(pid);
    return pids;
  }

  Texts environment_ = {"HOME=/", "PATH=/usr/bin:/bin"};
  std::unique_ptr<Launcher> cold_, warm_;
  TempDir dir_;
};

// Constructors.

TEST_F(WarmTest, ProgramsThatAreParked) {
  for (const char* name :
       {"nothing", "allocates", "registers_handlers", "keeps_arguments",
        "keeps_variable", "reads_directory_variable", "adds_a_variable",
        "sets_rounding", "reads_file"}) {
    SCOPED_TRACE(name);
    for (size_t count : {1, 2, 3, 4, 5, 16, 17, 255, 256, 1999, 2000}) {
      Texts words(count, "word");
      words[0] = Program(name);
      if (count > 2)
        words[2] = "";
      for (int i = 0; i < 2; ++i)
        EXPECT_EQ(Engine::kWarm, ExpectSame(words)) << count;
    }
    EXPECT_EQ("", Never(Program(name)));
  }
}

TEST_F(WarmTest, ProgramsThatAreNeverParked) {
  const std::string file = dir_.File("file", "text");
  environment_.push_back("WARM_TEST_FILE=" + file);
  const struct {
    const char* name;
    std::string clause;
  } kPrograms[] = {
      {"keeps_one_argument", "it keeps the address of an argument"},
      {"reads_argument", "it reads its arguments before it starts"},
      {"asks_for_pid", "it asks for its process id"},
      {"asks_for_time", "it asks for the time"},
      {"asks_for_random", "it asks for random bytes"},
      {"keeps_file", "it keeps " + file + " open"},
      {"starts_thread", ""},
      {"sets_timer", "it sets a timer"},
      {"handles_signal", "it sets the action of a signal"},
      {"shares_memory", "it maps shared memory"},
      {"writes", "it writes"},
      {"blocks_signal", "it changes its signals or threads (SigBlk)"},
      {"changes_directory", "it makes the system call 80"},
  };
  for (const auto& program : kPrograms) {
    SCOPED_TRACE(program.name);
    for (int i = 0; i < 3; ++i)
      EXPECT_EQ(Engine::kClone3, ExpectSame({Program(program.name), "word"}));
    const std::string why = Never(Program(program.name));
    EXPECT_NE("", why);
    if (!program.clause.empty()) {
      EXPECT_EQ(program.clause, why);
    }
  }
}

TEST_F(WarmTest, FileThatAConstructorHasReadIsReadAgain) {
  environment_.push_back("WARM_TEST_FILE=" + dir_.File("file", "one"));
  EXPECT_EQ(Engine::kWarm, ExpectSame({Program("reads_file")}));
  dir_.File("file", "second");
  for (int i = 0; i < 3; ++i)
    ExpectSame({Program("reads_file")});
}

// Found by looking for what the trial cannot see: nothing of an argument is
// read, but what follows from their number, or is changed in place.
TEST_F(WarmTest, WhatFollowsFromTheArguments) {
  for (const char* name :
       {"counts_options", "asks_for_arguments", "changes_its_name"}) {
    SCOPED_TRACE(name);
    for (size_t count : {1, 3, 2, 4, 5, 6, 1, 2}) {
      Texts words(count, "word");
      words[0] = Program(name);
      EXPECT_EQ(Engine::kClone3, ExpectSame(words)) << count;
    }
    EXPECT_NE("", Never(Program(name)));
  }
}

// Arguments and environment.

TEST_F(WarmTest, VariableThatAConstructorRemoves) {
  for (const char* directory : {"/", "/tmp", "/a/long/way"}) {
    environment_ = {"A=1", "WARM_TEST_REMOVED=2",
                    std::string("PWD=") + directory, "B=3"};
    for (int i = 0; i < 2; ++i)
      ExpectSame({Program("removes_a_variable")});
  }
}

TEST_F(WarmTest, LongArgumentsStartCold) {
  EXPECT_EQ(Engine::kWarm,
            ExpectSame({kProbe, "argv", std::string(9999, 'x')}));
  EXPECT_EQ(Engine::kClone3,
            ExpectSame({kProbe, "argv", std::string(100 * 1024, 'x')}));
}

TEST_F(WarmTest, DirectoryVariablesAreTheJobsOwn) {
  for (const char* directory :
       {"/", "/a/long/way/from/the/first", "", "/tmp"}) {
    environment_ = {"A=1", std::string("PWD=") + directory, "B=2",
                    std::string("OLDPWD=") + directory + "/old"};
    EXPECT_EQ(Engine::kWarm, ExpectSame({kProbe, "env"}));
    EXPECT_EQ(Engine::kWarm, ExpectSame({Program("reads_directory_variable")}));
    EXPECT_EQ(Engine::kWarm, ExpectSame({Program("keeps_variable")}));
  }
  // One for all directories, and one for each of four twice.
  EXPECT_EQ(1u + 1 + 4 + 4, warm_->statistics().warm_parked);
}

TEST_F(WarmTest, OtherVariablesAreAnotherTemplate) {
  const uint64_t before = warm_->statistics().warm_parked;
  const Texts kEnvironments[] = {
      {"A=1", "B=2"}, {"A=1", "B=3"}, {"B=2", "A=1"}, {"A=1"}, {}, {"PWD"}};
  for (const Texts& environment : kEnvironments) {
    environment_ = environment;
    EXPECT_EQ(Engine::kWarm, ExpectSame({kProbe, "env"}));
  }
  EXPECT_EQ(before + std::size(kEnvironments), warm_->statistics().warm_parked);
  environment_ = {"LD_LIBRARY_PATH=/nowhere"};
  EXPECT_EQ(Engine::kClone3, ExpectSame({kProbe, "env"}));
}

TEST_F(WarmTest, NameIsTheJobsOwn) {
  Command command;
  command.path = kProbe;
  EXPECT_EQ(Engine::kWarm, ExpectSame({"one", "argv"}, command));
  EXPECT_EQ(Engine::kWarm, ExpectSame({"another", "argv"}, command));
}

// Surroundings.

TEST_F(WarmTest, WhatTheLauncherHandsDownIsOfNow) {
  EXPECT_EQ(Engine::kWarm, ExpectSame({kProbe, "limit", "cwd", "sig"}));
  rlimit old, limit;
  ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
  limit = old;
  --limit.rlim_cur;
  ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
  ExpectSame({kProbe, "limit"});
  ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
  ExpectSame({kProbe, "limit"});

  ASSERT_NE(SIG_ERR, signal(SIGUSR1, SIG_IGN));
  ExpectSame({kProbe, "sig"});
  ASSERT_NE(SIG_ERR, signal(SIGUSR1, SIG_DFL));
  ExpectSame({kProbe, "sig"});

  Fd here(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  ASSERT_EQ(0, chdir(dir_.path().c_str()));
  ExpectSame({kProbe, "cwd"});
  ASSERT_EQ(0, fchdir(here.get()));
  ExpectSame({kProbe, "cwd"});

  const mode_t mask = umask(0);
  umask(mask ^ 0070);
  Command command;
  const Action actions[] = {
      Action::Open(3, "made", O_WRONLY | O_CREAT | O_EXCL, 0777)};
  command.actions = actions;
  command.cwd = dir_.path().c_str();
  struct stat made;
  for (Launcher* launcher : {cold_.get(), warm_.get()}) {
    EXPECT_EQ(0, Run(*launcher, {kProbe}, command).code);
    ASSERT_EQ(0, stat((dir_ / "made").c_str(), &made));
    EXPECT_EQ(0777u & ~(mask ^ 0070), made.st_mode & 0777u);
    ASSERT_EQ(0, unlink((dir_ / "made").c_str()));
  }
  umask(mask);
}

TEST_F(WarmTest, StepsOfTheLaunch) {
  dir_.Dir("sub");
  Pipe pipe;
  ASSERT_EQ(4, write(pipe.write.get(), "text", 4));
  pipe.write.Reset();
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  const std::string file = dir_.File("file", "content");
  Fd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC));
  const Action actions[] = {
      Action::Dup2(fd.get(), 3), Action::Dup2(fd.get(), 4), Action::Dup2(3, 5),
      Action::Open(100, file.c_str(), O_RDONLY), Action::SignalMask(set)};
  Command command;
  command.actions = actions;
  command.cwd = dir_.path().c_str();
  EXPECT_EQ(Engine::kWarm,
            ExpectSame({kProbe, "cwd", "sig", "echo", "100"}, command));
  command.in = Stdio::FromFd(pipe.read.get());
  Finished done = Run(*warm_, {kProbe, "echo", "0", "echo", "5"}, command);
  EXPECT_EQ("textcontent", done.output);
  EXPECT_EQ(Engine::kWarm, done.engine);
  Command relative;
  relative.cwd = "/";
  ExpectSame({kProbe, "cwd"}, relative);
}

TEST_F(WarmTest, InheritedDescriptors) {
  const std::string path = dir_.File("file", "content");
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  Fd low(fcntl(fd.get(), F_DUPFD, 3));
  Fd high(fcntl(fd.get(), F_DUPFD, 40));
  Command command;
  command.inherit_fds = true;
  // They share an offset: each reads from the start.
  for (const Fd* inherited : {&low, &high}) {
    for (Launcher* launcher : {cold_.get(), warm_.get()}) {
      ASSERT_EQ(0, lseek(fd.get(), 0, SEEK_SET));
      Finished done =
          Run(*launcher, {kProbe, "echo", std::to_string(inherited->get())},
              command);
      EXPECT_EQ("content", done.output);
      EXPECT_EQ(launcher == warm_.get() ? Engine::kWarm : Engine::kClone3,
                done.engine);
    }
  }
}

TEST_F(WarmTest, GroupOfTheLauncherStartsCold) {
  Command command;
  command.group = Command::Group::kInherit;
  EXPECT_EQ(Engine::kClone3, ExpectSame({kProbe, "argv"}, command));
}

TEST_F(WarmTest, GroupToJoin) {
  Command command;
  command.group = Command::Group::kJoin;
  command.pgid = getpgrp();
  EXPECT_EQ(Engine::kWarm, ExpectSame({kProbe, "argv"}, command));
}

TEST_F(WarmTest, IgnoredChildrenStartCold) {
  auto* old = signal(SIGCHLD, SIG_IGN);
  ASSERT_NE(SIG_ERR, old);
  EXPECT_EQ(Engine::kClone3, ExpectSame({kProbe, "sig"}));
  ASSERT_NE(SIG_ERR, signal(SIGCHLD, old));
  ExpectSame({kProbe, "sig"});
}

// A parked process stays outside of a Landlock domain that its launcher has
// entered since: a clone of it would have escaped.
TEST_F(WarmTest, LandlockOfTheLauncherHoldsForItsJobs) {
  cold_.reset();
  warm_.reset();
  const std::string file = dir_ / "made";
  InChild([&] {
    auto launcher = Make(Engine::kWarm);
    const Action actions[] = {
        Action::Open(3, file.c_str(), O_WRONLY | O_CREAT, 0644)};
    const char* argv[] = {kProbe, "argv"};
    Command command;
    command.argv = argv;
    command.actions = actions;
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE(launcher->Spawn(command).ok());
      Finished done = Finish(*launcher);
      ASSERT_EQ(Cause::kExited, done.cause) << done.error.ToString();
      ASSERT_EQ(Engine::kWarm, done.engine);
    }
    landlock_ruleset_attr rules = {};
    rules.handled_access_fs = LANDLOCK_ACCESS_FS_WRITE_FILE;
    Fd ruleset(static_cast<int>(
        syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0)));
    if (!ruleset)  // Not in this kernel.
      return;
    ASSERT_EQ(0, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    ASSERT_EQ(0, syscall(SYS_landlock_restrict_self, ruleset.get(), 0));
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE(launcher->Spawn(command).ok());
      Finished done = Finish(*launcher);
      EXPECT_EQ(Cause::kNotStarted, done.cause);
      EXPECT_EQ(EACCES, done.error.code) << done.error.ToString();
    }
  });
}

// Faults.

TEST_F(WarmTest, ParkedProcessIsKilled) {
  for (int i = 0; i < 10; ++i) {
    Run(*warm_, {kProbe});
    for (pid_t pid : Parked())
      ASSERT_EQ(0, kill(pid, SIGKILL));
    ExpectSame({kProbe, "argv", "one"});
  }
}

TEST_F(WarmTest, ParkedProcessIsStopped) {
  for (pid_t pid : Parked())
    ASSERT_EQ(0, kill(pid, SIGSTOP));
  ExpectSame({kProbe});
}

TEST_F(WarmTest, ProgramOrLibraryIsReplaced) {
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

TEST_F(WarmTest, ProgramIsTouchedOrForbidden) {
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

TEST_F(WarmTest, ScriptAndStaticAndSetIdAreNeverParked) {
  namespace fs = std::filesystem;
  const std::string script = dir_.Program("script");
  EXPECT_EQ(Engine::kClone3, ExpectSame({script}));
  EXPECT_NE("", Never(script));
  EXPECT_EQ(Engine::kClone3, ExpectSame({kHold}));
  EXPECT_NE("", Never(kHold));
  const std::string copy = dir_ / "probe";
  fs::copy(kProbe, copy);
  ASSERT_EQ(0, chmod(copy.c_str(), 04755));
  EXPECT_EQ(Engine::kClone3, ExpectSame({copy, "argv"}));
  EXPECT_EQ("it is set-user-ID or set-group-ID", Never(copy));
}

TEST_F(WarmTest, WithoutPtraceItStartsCold) {
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

TEST_F(WarmTest, ManyAtOnce) {
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

TEST_F(WarmTest, NothingGrows) {
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
