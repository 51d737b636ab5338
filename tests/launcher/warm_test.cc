// Programs that are started by a parked process: the same comes of it as
// without one, and those whose loading depends on the process are not parked.
//
// SPDX-License-Identifier: Apache-2.0

#include "support/warm_test.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "warm/process.h"

namespace launcher {
namespace {

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

// The template for the other alignment of the stack is made from what the trial
// of the first one has found, unless that has changed.
TEST_F(WarmTest, BothAlignmentsOfTheStack) {
  environment_.push_back("WARM_TEST_FILE=" + dir_.File("file", "one"));
  EXPECT_EQ(Engine::kWarm, ExpectSame({Program("reads_file")}));
  dir_.File("file", "second");
  EXPECT_EQ(Engine::kWarm, ExpectSame({Program("reads_file"), "word"}));
  Texts words = {kProbe};
  for (int i = 0; i < 4; ++i, words.push_back("word"))
    EXPECT_EQ(Engine::kWarm, ExpectSame(words)) << i;
}

// Calls that the loader would bind one by one are bound before; but not those
// whose binding depends on when it is made.
TEST_F(WarmTest, CallsAreBoundAhead) {
  for (int i = 0; i < 2; ++i)
    EXPECT_EQ(Engine::kWarm, ExpectSame({Program("calls"), "call"}));
  EXPECT_EQ("Plain 0\nComputed 0\nOptional 0\nReplaced 1\n",
            Run(*cold_, {Program("calls"), "bound"}).output);
  EXPECT_EQ("Plain 1\nComputed 0\nOptional 0\nReplaced 1\n",
            Run(*warm_, {Program("calls"), "bound"}).output);
}

// Which of two objects of one file a call leads to cannot be told by its name.
TEST_F(WarmTest, NoCallIsBoundAheadWhereAnObjectIsLoadedTwice) {
  environment_.push_back("WARM_TEST_TWICE=1");
  for (const char* word : {"call", "bound"})
    EXPECT_EQ(Engine::kWarm, ExpectSame({Program("calls"), word}));
  EXPECT_EQ("Plain 0\nComputed 0\nOptional 0\nReplaced 1\n",
            Run(*warm_, {Program("calls"), "bound"}).output);
}

TEST_F(WarmTest, CallOfAFunctionThatIsMissing) {
  const std::string program = Program("calls_missing");
  EXPECT_EQ(Engine::kWarm, ExpectSame({program, "call"}));
  EXPECT_EQ(Engine::kWarm, ExpectSame({program, "bound"}));
  EXPECT_EQ(Engine::kWarm, ExpectSame({program, "missing"}));
  EXPECT_EQ(127, Run(*warm_, {program, "missing"}).code);
}

// What a process is asked for by a detour is asked for all the same.
TEST_F(WarmTest, LinkToTheProcessItself) {
  const std::string link = dir_ / "link";
  ASSERT_EQ(0, symlink("/proc/self/stat", link.c_str()));
  environment_.push_back("WARM_TEST_FILE=" + link);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Engine::kClone3, Run(*warm_, {Program("reads_file")}).engine);
  }
  EXPECT_NE("", Never(Program("reads_file")));
}

TEST_F(WarmTest, TimeOfADirectoryThatAConstructorHasKept) {
  environment_.push_back("WARM_TEST_FILE=" + dir_.Dir("sub"));
  ExpectSame({Program("keeps_time")});
  for (const char* file : {"sub/one", "sub/two"}) {
    AwaitNewCtime(dir_, dir_ / "sub");
    dir_.File(file, "");
    ExpectSame({Program("keeps_time")});
  }
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

TEST_F(WarmTest, DirectoryVariablesAfterAnotherParking) {
  namespace fs = std::filesystem;
  const std::string copy = dir_ / "probe";
  fs::copy(kProbe, copy);
  for (const char* directory : {"/", "/a/long/way", "/tmp", "/"}) {
    environment_ = {"A=1", std::string("PWD=") + directory};
    EXPECT_EQ(Engine::kWarm, ExpectSame({copy, "env"}));
    ASSERT_EQ(0, utimensat(AT_FDCWD, copy.c_str(), nullptr, 0));
    ExpectSame({copy, "env"});
  }
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

// The numbers that a parked process has for its own use.
TEST_F(WarmTest, InheritedDescriptorsOfLowNumbers) {
  cold_.reset();
  warm_.reset();
  const std::string path = dir_.File("file", "content");
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  Command command;
  command.inherit_fds = true;
  int free_numbers = 0;
  for (int number : {3, 4, 5}) {
    Fd low;
    if (fd.get() != number) {
      if (fcntl(number, F_GETFD) == 0)
        continue;  // It is not ours to take.
      low.Reset(dup2(fd.get(), number));
    }
    ASSERT_EQ(0, fcntl(number, F_SETFD, 0));
    ++free_numbers;
    auto launcher = Make(Engine::kWarm);
    for (int i = 0; i < 2; ++i) {
      ASSERT_EQ(0, lseek(fd.get(), 0, SEEK_SET));
      Finished done =
          Run(*launcher, {kProbe, "echo", std::to_string(number)}, command);
      EXPECT_EQ("content", done.output) << number;
      EXPECT_EQ(Engine::kWarm, done.engine);
    }
  }
  EXPECT_GT(free_numbers, 0);
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

TEST_F(WarmTest, SessionOfItsOwn) {
  Command command;
  command.group = Command::Group::kSession;
  command.await_start = true;
  EXPECT_EQ(Engine::kWarm, ExpectSame({kProbe, "argv"}, command));
}

TEST_F(WarmTest, AwaitedStartTellsWhatFails) {
  Command command;
  command.await_start = true;
  EXPECT_EQ(Engine::kWarm, ExpectSame({kProbe, "argv"}, command));
  command.cwd = "/nonexistent/directory";
  const char* argv[] = {kProbe, "argv"};
  command.argv = argv;
  auto started = warm_->Spawn(command);
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(ENOENT, started.error().code);
  EXPECT_STREQ("chdir", started.error().step);
  EXPECT_EQ(0u, warm_->children());
}

TEST_F(WarmTest, PreparedBeforeItsFirstUse) {
  auto launcher = Make(Engine::kAuto);
  const std::string program = LAUNCHER_TEST_CHILD_DIR "/warm_allocates";
  const char* argv[] = {program.c_str()};
  Command command;
  command.argv = argv;
  Result<void> prepared = launcher->Prepare(command);
  const bool fast =
      !prepared.ok() && prepared.error().object == "its loader takes no time";
  if (!fast) {
    ASSERT_TRUE(prepared.ok()) << prepared.error().ToString();
    EXPECT_EQ(1u, launcher->statistics().warm_processes);
    ASSERT_TRUE(launcher->Prepare(command).ok());
    EXPECT_EQ(1u, launcher->statistics().warm_parked);
    ASSERT_TRUE(launcher->Spawn(command).ok());
    EXPECT_EQ(Engine::kWarm, Finish(*launcher).engine);
  }

  argv[0] = kHold;  // Static: there is nothing to be saved.
  prepared = launcher->Prepare(command);
  ASSERT_FALSE(prepared.ok());
  EXPECT_EQ(EPERM, prepared.error().code);
  EXPECT_NE("", prepared.error().object);
  argv[0] = "/nonexistent/program";
  EXPECT_EQ(ENOENT, launcher->Prepare(command).error().code);
  argv[0] = kProbe;
  EXPECT_EQ(ENOTSUP, Make(Engine::kClone3)->Prepare(command).error().code);
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

TEST_F(WarmTest, OnlyWarmIsRefusedUntilThereIsAParkedProcess) {
  Launcher::Options options;
  options.warm_least = std::chrono::microseconds(0);
  auto launcher = std::move(Launcher::Create(std::move(options)).value());
  auto poll_fd = launcher->PollFd();
  ASSERT_TRUE(poll_fd.ok());
  Command command;
  command.warm_only = true;
  int refused = 0;
  auto started = Start(*launcher, {kProbe, "argv"}, command);
  for (; !started.ok(); started = Start(*launcher, {kProbe, "argv"}, command)) {
    ASSERT_EQ(ENOTSUP, started.error().code);
    ASSERT_STREQ("warm", started.error().step);
    ASSERT_EQ(0U, launcher->children());
    if (static_cast<uint64_t>(++refused) > options.warm_after) {
      // It is being parked.
      pollfd readable = {poll_fd.value(), POLLIN, 0};
      ASSERT_EQ(1, poll(&readable, 1, 60'000));
      ASSERT_FALSE(launcher->Wait(std::chrono::milliseconds(0)).ok());
    }
  }
  EXPECT_LT(4, refused);
  Finished done = Finish(*launcher);
  EXPECT_EQ(Engine::kWarm, done.engine);
  EXPECT_EQ(std::string(kProbe) + "\n", done.output);
  EXPECT_EQ(static_cast<uint64_t>(0), launcher->statistics().failed);
}

TEST_F(WarmTest, OnlyWarmIsNotStartedWhereTheParkedProcessIsKilled) {
  Run(*warm_, {kProbe, "argv"});
  for (pid_t pid : Parked())
    kill(pid, SIGKILL);
  Command command;
  command.warm_only = true;
  auto started = Start(*warm_, {kProbe, "argv"}, command);
  if (started.ok()) {
    Finished done = Finish(*warm_);
    EXPECT_EQ(Cause::kNotStarted, done.cause);
    EXPECT_EQ(ENOTSUP, done.error.code);
  } else {
    EXPECT_EQ(ENOTSUP, started.error().code);
  }
  EXPECT_EQ(EINVAL, warm_->SpawnLine("true", command).error().code);
}

TEST_F(WarmTest, OnlyWarmSaysWhatWillNeverBe) {
  Command command;
  command.warm_only = true;
  auto started = Start(*cold_, {kProbe, "argv"}, command);
  EXPECT_EQ(EPERM, started.error().code);
  EXPECT_EQ("warm templates are off", started.error().object);
  started = Start(*warm_, {kHold}, command);
  EXPECT_EQ(EPERM, started.error().code);
  EXPECT_EQ(Never(kHold), started.error().object);
  command.group = Command::Group::kInherit;
  EXPECT_EQ(EPERM, Start(*warm_, {kProbe, "argv"}, command).error().code);
}

TEST_F(WarmTest, PidfdIsOfTheJob) {
  int ends[2];
  ASSERT_EQ(0, pipe2(ends, O_CLOEXEC));
  Fd input(ends[0]), writer(ends[1]);
  Command command;
  command.in = Stdio::FromFd(input.get());
  auto started = Start(*warm_, {kProbe, "wait", "0"}, command);
  ASSERT_TRUE(started.ok());
  auto pidfd = warm_->OpenPidfd(started.value());
  ASSERT_TRUE(pidfd.ok()) << pidfd.error().ToString();
  pollfd ended = {pidfd.value().get(), POLLIN, 0};
  EXPECT_EQ(0, poll(&ended, 1, 0));
  writer.Reset();
  EXPECT_EQ(Cause::kExited, Finish(*warm_).cause);
  EXPECT_EQ(1, poll(&ended, 1, 60'000));
  EXPECT_EQ(ESRCH, warm_->OpenPidfd(started.value()).error().code);
}

// A trial may be killed at any time, by us too. proc(5) shows zeros of it then,
// which were taken for addresses, and the size of a text came of their
// difference.
TEST(WarmProcessTest, WhatHasEndedHasNoMemoryMap) {
  EXPECT_TRUE(warm::Process(getpid()).MemoryMap().ok());
  const pid_t pid = fork();
  if (pid == 0)
    _exit(0);
  ASSERT_GT(pid, 0);
  siginfo_t info = {};
  ASSERT_EQ(0, waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT));
  Result<prctl_mm_map> map = warm::Process(pid).MemoryMap();
  ASSERT_FALSE(map.ok());
  EXPECT_EQ(ESRCH, map.error().code);
  ASSERT_EQ(pid, waitpid(pid, nullptr, 0));
}

}  // namespace
}  // namespace launcher
