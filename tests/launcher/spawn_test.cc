// What a child is started as: program, arguments, environment, directory,
// process group, input; and what is said when it cannot be.
//
// SPDX-License-Identifier: Apache-2.0

#include <string>
#include <vector>

#include "support/launcher_test.h"
#include "support/temp_dir.h"

extern char** environ;

namespace launcher {
namespace {

class SpawnTest : public LauncherTest {
 protected:
  /// Spawn() itself must fail.
  void ExpectRefused(int error, const char* step, const std::string& object,
                     Words argv, Command command = {}) {
    auto started = Start(argv, command);
    ASSERT_FALSE(started.ok());
    EXPECT_EQ(error, started.error().code) << started.error().ToString();
    EXPECT_STREQ(step, started.error().step);
    if (!object.empty()) {
      EXPECT_EQ(object, started.error().object);
    }
    EXPECT_EQ(0u, launcher_->children());
    auto none = Wait(kHang);
    ASSERT_FALSE(none.ok());
    EXPECT_EQ(ECHILD, none.error().code);
  }

  TempDir dir_;
};

LAUNCHER_TEST_ENGINES(SpawnTest);

// Program and arguments.

TEST_P(SpawnTest, ArgumentsArriveAsTheyAre) {
  EXPECT_EQ(std::string(kProbe) + "\n\n \n*\n$HOME 'x'\n\xff\n",
            Output({"argv", "", " ", "*", "$HOME 'x'", "\xff"}));
}

TEST_P(SpawnTest, PathAndArgv0MayDiffer) {
  Command command;
  command.path = kProbe;
  auto started = Start({"another name", "argv", "x"}, command);
  ASSERT_TRUE(started.ok());
  EXPECT_EQ("another name\nx\n", Finish().output);
}

TEST_P(SpawnTest, TheCommandIsCopied) {
  {
    std::string program = kProbe, word = "argv", text(100, 'x');
    const char* argv[] = {program.c_str(), word.c_str(), text.c_str()};
    Command command;
    command.argv = argv;
    ASSERT_TRUE(launcher_->Spawn(command).ok());
    program.assign(program.size(), '!');
    text.assign(text.size(), '!');
    argv[1] = nullptr;
  }
  EXPECT_EQ(std::string(kProbe) + "\n" + std::string(100, 'x') + "\n",
            Finish().output);
}

TEST_P(SpawnTest, NameIsLookedUpInThePathOfTheChild) {
  dir_.Program("only-here");
  const char* argv[] = {"only-here"};
  EnvChange changes[] = {{"PATH", dir_.path().c_str()}};
  Command command;
  command.argv = argv;
  command.env_changes = changes;
  ASSERT_TRUE(launcher_->Spawn(command).ok());
  EXPECT_EQ((dir_ / "only-here") + "\n", Finish().output);
  ExpectRefused(ENOENT, "lookup", "only-here", {"only-here"});
}

TEST_P(SpawnTest, RelativePathEntriesStartInTheDirectoryOfTheChild) {
  dir_.Dir("bin");
  dir_.Program("bin/cc");
  EnvChange changes[] = {{"PATH", "bin"}};
  Command command;
  command.env_changes = changes;
  command.cwd = dir_.path().c_str();
  ASSERT_TRUE(Start({"cc"}, command).ok());
  EXPECT_EQ("bin/cc\n", Finish().output);

  Fd fd(open(dir_.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  command.cwd = nullptr;
  command.cwd_fd = fd.get();
  ASSERT_TRUE(Start({"cc"}, command).ok());
  EXPECT_EQ("bin/cc\n", Finish().output);
}

TEST_P(SpawnTest, WithoutPathTheSystemsDefaultIsSearched) {
  EnvChange changes[] = {{"PATH", nullptr}};
  Command command;
  command.env_changes = changes;
  ASSERT_TRUE(Start({"sh", "-c", "echo found"}, command).ok());
  EXPECT_EQ("found\n", Finish().output);
}

TEST_P(SpawnTest, NameWithASlashIsNotLookedUp) {
  dir_.Program("cc");
  EnvChange changes[] = {{"PATH", "/bin:/usr/bin"}};
  Command command;
  command.env_changes = changes;
  command.cwd = dir_.path().c_str();
  ASSERT_TRUE(Start({"./cc"}, command).ok());
  EXPECT_EQ("./cc\n", Finish().output);
}

TEST_P(SpawnTest, ReplacedProgramRunsInItsNewForm) {
  std::string path = dir_.File("cc", "#!/bin/sh\necho one\n", 0755);
  ASSERT_TRUE(Start({path.c_str()}).ok());
  EXPECT_EQ("one\n", Finish().output);
  std::string next = dir_.File("next", "#!/bin/sh\necho two\n", 0755);
  ASSERT_EQ(0, rename(next.c_str(), path.c_str()));
  ASSERT_TRUE(Start({path.c_str()}).ok());
  EXPECT_EQ("two\n", Finish().output);
  EXPECT_EQ(1u, launcher_->statistics().template_stale);
}

TEST_P(SpawnTest, LongArgumentWorks) {
  std::string text(120 * 1024, 'x');
  EXPECT_EQ(std::string(kProbe) + "\n" + text + "\n",
            Output({"argv", text.c_str()}));
}

TEST_P(SpawnTest, TooLongAnArgumentFailsThisCommandAlone) {
  std::string text(132 * 1024, 'x');
  ChildId id = Probe({"argv", text.c_str()});
  Finished done = Finish();
  EXPECT_EQ(id, done.id);
  ExpectNotStarted(E2BIG, "execve", kProbe, done);
  EXPECT_EQ("fine", Output({"write", "1", "fine"}));
  EXPECT_EQ("", launcher_->statistics().refusals);
  EXPECT_EQ(BaseEngine(), launcher_->engine());
}

// Environment.

std::string Join(const char* const* env) {
  std::string text;
  for (; *env; ++env)
    text += std::string(*env) + "\n";
  return text;
}

TEST_P(SpawnTest, EnvironmentIsInherited) {
  EXPECT_EQ(Join(environ), Output({"env"}));
}

TEST_P(SpawnTest, EnvironmentIsReplaced) {
  const char* env[] = {"A=1", "B=", "C=x=y", nullptr};
  Command command;
  command.env = env;
  EXPECT_EQ("A=1\nB=\nC=x=y\n", Output({"env"}, command));
}

TEST_P(SpawnTest, EnvironmentMayBeEmpty) {
  const char* env[] = {nullptr};
  Command command;
  command.env = env;
  EXPECT_EQ("", Output({"env"}, command));
}

TEST_P(SpawnTest, ChangesApplyInOrder) {
  const char* env[] = {"A=1", "B=2", "AB=3", nullptr};
  EnvChange changes[] = {{"A", "x"},     {"B", nullptr}, {"C", ""},
                         {"D", "once"},  {"D", "twice"}, {"E", "gone"},
                         {"E", nullptr}, {"F", nullptr}, {"B", "back"}};
  Command command;
  command.env = env;
  command.env_changes = changes;
  EXPECT_EQ("A=x\nAB=3\nC=\nD=twice\nB=back\n", Output({"env"}, command));
}

TEST_P(SpawnTest, SettingAndRemovingCoverDuplicates) {
  const char* env[] = {"A=1", "B=2", "A=3", "B=4", "=odd", "odd", nullptr};
  EnvChange changes[] = {{"A", "x"}, {"B", nullptr}};
  Command command;
  command.env = env;
  command.env_changes = changes;
  EXPECT_EQ("A=x\n=odd\nodd\n", Output({"env"}, command));
}

// Directory and group.

TEST_P(SpawnTest, RunsInTheDirectoryGiven) {
  Command command;
  command.cwd = dir_.path().c_str();
  EXPECT_EQ(dir_.path() + "\n", Output({"cwd"}, command));
}

TEST_P(SpawnTest, DirectoryByDescriptorGoesFirst) {
  Fd fd(open(dir_.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  Command command;
  command.cwd = "/";
  command.cwd_fd = fd.get();
  EXPECT_EQ(dir_.path() + "\n", Output({"cwd"}, command));
  EXPECT_GE(fcntl(fd.get(), F_GETFD), 0) << "it stays the caller's";
}

TEST_P(SpawnTest, InheritsTheDirectory) {
  char path[4096];
  ASSERT_NE(nullptr, getcwd(path, sizeof(path)));
  EXPECT_EQ(std::string(path) + "\n", Output({"cwd"}));
}

struct Ids {
  explicit Ids(const std::string& text) {
    EXPECT_EQ(4, sscanf(text.c_str(), "%d %d %d %d", &pid, &parent, &group,
                        &session));
  }
  int pid = 0, parent = 0, group = 0, session = 0;
};

TEST_P(SpawnTest, LeadsAGroupOfItsOwn) {
  Ids ids(Output({"ids"}));
  EXPECT_EQ(ids.pid, ids.group);
  EXPECT_EQ(getpid(), ids.parent);
  EXPECT_EQ(getsid(0), ids.session);
}

TEST_P(SpawnTest, OrStaysInOurs) {
  Command command;
  command.group = Command::Group::kInherit;
  Ids ids(Output({"ids"}, command));
  EXPECT_EQ(getpgrp(), ids.group);
  EXPECT_EQ(getpid(), ids.parent);
}

TEST_P(SpawnTest, OrJoinsOneOfOurSession) {
  Command command;
  command.group = Command::Group::kJoin;
  pid_t leader = fork();
  if (leader == 0) {
    setpgid(0, 0);
    for (;;)
      pause();
  }
  ASSERT_GT(leader, 0);
  setpgid(leader, leader);
  command.pgid = leader;
  Ids ids(Output({"ids"}, command));
  EXPECT_EQ(leader, ids.group);
  EXPECT_NE(leader, ids.pid);

  ASSERT_EQ(0, kill(leader, SIGKILL));
  ASSERT_EQ(leader, waitpid(leader, nullptr, 0));
  Finished none = Run({"ids"}, command);
  EXPECT_EQ(Cause::kNotStarted, none.cause);
  EXPECT_EQ(EPERM, none.error.code);
}

TEST_P(SpawnTest, NoGroupToJoin) {
  Command command;
  command.group = Command::Group::kJoin;
  auto started = Start({kProbe, "ids"}, command);
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(EINVAL, started.error().code);
}

TEST_P(SpawnTest, OrLeadsASession) {
  Command command;
  command.group = Command::Group::kSession;
  Ids ids(Output({"ids"}, command));
  EXPECT_EQ(ids.pid, ids.group);
  EXPECT_EQ(ids.pid, ids.session);
  EXPECT_EQ(getpid(), ids.parent);
}

TEST_P(SpawnTest, SessionIsKilledAsAWhole) {
  Pipe held, forked;
  const Action actions[] = {Action::Dup2(held.write.get(), 5),
                            Action::Dup2(forked.write.get(), 6)};
  Command command;
  command.group = Command::Group::kSession;
  command.actions = actions;
  auto started =
      Start({"/bin/sh", "-c", "sleep 1000 6>&- & echo >&6; wait"}, command);
  ASSERT_TRUE(started.ok()) << started.error().ToString();
  EXPECT_EQ("\n", forked.Await());
  EXPECT_TRUE(launcher_->Kill(started.value(), SIGKILL).ok());
  Expect(Cause::kSignaled, SIGKILL, Finish());
  held.write.Reset();
  EXPECT_EQ("", held.Await());  // No other has it open.
  EXPECT_EQ(1, ReapChildren(1));
}

TEST_P(SpawnTest, LineThatLeadsASessionHasItsShell) {
  Command command;
  command.group = Command::Group::kSession;
  EXPECT_EQ("a session to lead", launcher_->WhyShell("true", command));
}

// Input.

TEST_P(SpawnTest, InputFromMemory) {
  const std::string text(300'000, 'x');
  Result<Fd> input = MemoryInput(text);
  ASSERT_TRUE(input.ok()) << input.error().ToString();
  Command command;
  command.in = Stdio::FromFd(input.value().get());
  auto started = Start({"/bin/cat"}, command);
  ASSERT_TRUE(started.ok());
  input.value().Reset();
  EXPECT_EQ(text, Finish().output);
  EXPECT_EQ(-1, write(MemoryInput("").value().get(), "x", 1));
}

// What is wrong with the command is told by Spawn().

TEST_P(SpawnTest, EmptyArgvIsInvalid) {
  ExpectRefused(EINVAL, "command", "", {});
}

TEST_P(SpawnTest, ImpossibleStreamsAreInvalid) {
  Command command;
  command.in = Stdio::Capture();
  ExpectRefused(EINVAL, "command", "", {kProbe}, command);
  command.in = Stdio::Merge();
  ExpectRefused(EINVAL, "command", "", {kProbe}, command);
  command.in = Stdio::Null();
  command.out = Stdio::Merge();
  ExpectRefused(EINVAL, "command", "", {kProbe}, command);
  command.out = Stdio::FromFd(-1);
  ExpectRefused(EINVAL, "command", "", {kProbe}, command);
}

TEST_P(SpawnTest, NegativeDescriptorsInActionsAreInvalid) {
  for (const Action& action :
       {Action::Close(-1), Action::Dup2(-1, 3), Action::Dup2(1, -1),
        Action::Fchdir(-1), Action::Open(-1, "/dev/null", O_RDONLY),
        Action::Open(3, nullptr, O_RDONLY)}) {
    Command command;
    command.actions = {&action, 1};
    ExpectRefused(EINVAL, "command", "", {kProbe}, command);
  }
}

TEST_P(SpawnTest, MissingProgramIsToldByName) {
  ExpectRefused(ENOENT, "lookup", "no-such-program", {"no-such-program"});
  std::string path = dir_ / "missing";
  ExpectRefused(ENOENT, "lookup", path, {path.c_str()});
}

TEST_P(SpawnTest, ProgramWithoutPermission) {
  std::string path = dir_.Program("cc", 0644);
  ExpectRefused(EACCES, "lookup", path, {path.c_str()});
}

TEST_P(SpawnTest, DirectoryInPlaceOfAProgram) {
  ExpectRefused(EACCES, "lookup", dir_.path(), {dir_.path().c_str()});
}

TEST_P(SpawnTest, ImpossiblePaths) {
  std::string below = dir_.File("file", "") + "/cc";
  ExpectRefused(ENOTDIR, "lookup", below, {below.c_str()});
  std::string loop = dir_ / "loop";
  ASSERT_EQ(0, symlink("loop", loop.c_str()));
  ExpectRefused(ELOOP, "lookup", loop, {loop.c_str()});
  std::string name = dir_ / std::string(300, 'x');
  ExpectRefused(ENAMETOOLONG, "lookup", name, {name.c_str()});
}

// What goes wrong in the child comes back from Wait().

TEST_P(SpawnTest, WhatTheCacheDoesNotSeeIsToldByTheExec) {
  std::string denied = dir_.Program("denied", 0644);
  Command command;
  command.cwd = dir_.path().c_str();
  for (auto [path, error] :
       {std::pair("./missing", ENOENT), std::pair("./denied", EACCES),
        std::pair("./", EACCES)}) {
    ASSERT_TRUE(Start({path}, command).ok());
    ExpectNotStarted(error, "execve", path, Finish());
  }
}

TEST_P(SpawnTest, TextWithoutInterpreterIsNotRun) {
  std::string path = dir_.File("script", "echo not me\n", 0755);
  ASSERT_TRUE(Start({path.c_str()}).ok());
  ExpectNotStarted(ENOEXEC, "execve", path, Finish());
}

TEST_P(SpawnTest, MissingInterpreterIsToldByTheExec) {
  std::string path = dir_.File("script", "#!/nowhere/sh\n", 0755);
  ASSERT_TRUE(Start({path.c_str()}).ok());
  ExpectNotStarted(ENOENT, "execve", path, Finish());
}

TEST_P(SpawnTest, MissingDirectory) {
  std::string path = dir_ / "missing";
  Command command;
  command.cwd = path.c_str();
  Probe({"cwd"}, command);
  ExpectNotStarted(ENOENT, "chdir", path, Finish());
}

TEST_P(SpawnTest, DirectoryByDescriptorThatIsNone) {
  Fd fd(open(kProbe, O_RDONLY | O_CLOEXEC));
  Command command;
  command.cwd_fd = fd.get();
  Probe({"cwd"}, command);
  ExpectNotStarted(ENOTDIR, "fchdir", std::to_string(fd.get()), Finish());
}

TEST_P(SpawnTest, NotStartedCountsAsFailed) {
  std::string path = dir_.File("script", "text", 0755);
  ASSERT_TRUE(Start({path.c_str()}).ok());
  Finish();
  Statistics statistics = launcher_->statistics();
  EXPECT_EQ(1u, statistics.failed);
  EXPECT_EQ(2u, statistics.launches);  // With that of SetUp().
}

TEST_P(SpawnTest, OneFailureAmongManyDoesNotDisturbTheOthers) {
  std::string bad = dir_.File("script", "text", 0755);
  for (int i = 0; i < 40; ++i) {
    if (i % 4 == 0) {
      ASSERT_TRUE(Start({bad.c_str()}).ok());
    } else {
      Probe({"write", "1", "fine"});
    }
  }
  int failed = 0;
  for (int i = 0; i < 40; ++i) {
    Finished done = Finish();
    if (done.cause == Cause::kNotStarted)
      ++failed;
    else
      EXPECT_EQ("fine", done.output);
  }
  EXPECT_EQ(10, failed);
}

TEST_P(SpawnTest, TheTagComesBack) {
  int here = 0;
  Command command;
  command.tag = &here;
  EXPECT_EQ(&here, Run({}, command).tag);
  std::string bad = dir_.File("script", "text", 0755);
  ASSERT_TRUE(Start({bad.c_str()}, command).ok());
  EXPECT_EQ(&here, Finish().tag);
}

TEST_P(SpawnTest, IdsAreNotUsedAgain) {
  ChildId first = Run({}).id;
  ChildId second = Run({}).id;
  EXPECT_NE(first, second);
}

TEST_P(SpawnTest, TheEngineIsNamed) {
  EXPECT_EQ(BaseEngine(), launcher_->engine());
  EXPECT_EQ(GetParam(), Run({}).engine);
}

}  // namespace
}  // namespace launcher
