// Command lines that end well or by a status: words, surroundings, lists.
//
// SPDX-License-Identifier: Apache-2.0

#include <sys/resource.h>

#include <string>
#include <vector>

#include "support/line_test.h"

namespace launcher {
namespace {

using std::chrono::milliseconds;

class ShellLineTest : public LineTest {};

LINE_TEST_ENGINES(ShellLineTest);

TEST_P(ShellLineTest, Words) {
  Finished done = ExpectSame("act argv a 'b  c' \"d\\\"e\" f\\ g '' h\\\ni");
  EXPECT_EQ("act\na\nb  c\nd\"e\nf g\n\nhi\n", done.output);
  ExpectSame("act argv '$a `b` * \\ \\\\' \"\\$ \\a \\\\\" \\*  a=b a~ a{ }",
             "brace '{'");
  ExpectSame("act argv '$a `b` * \\ \\\\' \"\\$ \\a \\\\\" \\* a=b a~ }");
  ExpectSame("act argv '\x01\x7f' \x80\xff \xc3\xa4",
             ShellIs("bash") ? "a byte that bash keeps for itself" : "");
  ExpectSame("\\act argv");
  ExpectSame(std::string(kProbe) + " argv a");
  ExpectSame("../bin/act argv a");
  ExpectSame("exec act argv a");
}

TEST_P(ShellLineTest, LeftToTheShell) {
  ExpectSame("act argv *", "glob '*'");
  ExpectSame("act argv $A", "expansion '$'");
  ExpectSame("echo a", "builtin 'echo'");
  ExpectSame("act argv a | act echo 0", "pipe '|'");
  ExpectSame("act argv a; act argv b", "operator ';'");
  ExpectSame("cd sub", "cd without a program after it");
  ExpectSame("act 'a", "unmatched '''");
}

TEST_P(ShellLineTest, Environment) {
  ExpectSame("act env");
  ExpectSame("A=1 B='2 3' act env");
  ExpectSame("exec act env");
  ExpectSame("act env && act env && C=1 A=2 act env && act env");
  ExpectSame("act env >f && act env 2>&1");
  ExpectSame("cd sub && act env && cd .. && act env && exec act env");
  const char* odd[] = {path_.c_str(), "1=a",   "A=1",      "A=2",     "b.c=3",
                       "none",        "_=old", "OLDPWD=/", "SHLVL=3", nullptr};
  Command command;
  command.env = odd;
  ExpectSame("act env && A=3 act env && cd sub && act env", "", command);
  // Of the command, not of the shell.
  EnvChange changes[] = {{"A", "changed"}, {"HOME", nullptr}};
  command.env = nullptr;
  command.env_changes = changes;
  ExpectSame("act env && act env", "", command);
}

TEST_P(ShellLineTest, Directory) {
  ExpectSame("act cwd && cd sub && act cwd && act cwd");
  ExpectSame("cd sub && cd .. && cd sub && act cwd && cd / && act cwd");
  ExpectSame("cd ../here/sub && exec act cwd");
  prepare_ = [this] {
    EXPECT_EQ(0, symlink("sub", (work_ + "/link").c_str()));
  };
  ExpectSame("cd link && act cwd env && cd .. && act cwd env");
  ExpectSame("cd sub && act write 1 a >f && cd .. && act echo 0 <sub/f");
  // By descriptor.
  Fd fd(open(dir_.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  Command command;
  command.cwd_fd = fd.get();
  ExpectSame("cd bin && act cwd env && cd .. && act cwd", "", command);
}

TEST_P(ShellLineTest, DirectoryThatAProgramMoves) {
  // There the shell takes over at the last program, and finds a new name for
  // the directory.
  if (GetParam().engine == Engine::kPosixSpawn && ShellIs("busybox"))
    GTEST_SKIP() << "posix_spawn cannot ignore SIGQUIT, as busybox does";
  ExpectSame("cd sub && /bin/mv ../sub ../moved && act cwd env");
  ExpectSame("cd sub && /bin/mv ../sub ../moved && act write 1 x >f");
  ExpectSame("cd sub && /bin/mv ../sub ../moved && cd .. && act cwd env");
  ExpectSame("cd sub && /bin/mv ../sub ../moved && cd . && act cwd env");
  ExpectSame("cd sub && /bin/mv ../sub ../moved && cd / && act cwd env");
  ExpectSame("cd sub && /bin/mv ../sub ../moved && nosuch a", "cannot start");
  ExpectSame("cd sub && /bin/rm -r ../sub && act cwd env");
  prepare_ = [this] { dir_.Dir("here/other"); };
  ExpectSame(
      "cd sub && /bin/mv ../sub ../moved && /bin/mv ../other ../sub && "
      "act write 1 x >f");
}

TEST_P(ShellLineTest, Redirections) {
  prepare_ = [this] { dir_.File("here/in", "input"); };
  for (const char* line : {"act write 1 a >f",
                           "act write 1 a >>f && act write 1 b >>f",
                           "act write 1 abc >f && act write 1 d >f",
                           "act echo 0 <in",
                           "act write 1 a write 2 b >f 2>&1",
                           "act write 1 a write 2 b 2>&1 >f",
                           "act write 1 a write 2 b 2>f",
                           "act write 1 a write 2 b 2>>f >>g",
                           "act argv a2>f",
                           "act write 1 a write 2 b >&2",
                           ">f act write 1 a",
                           "<in >f act echo 0",
                           "act write 1 a >f >g",
                           "act write 1 a >'a b'",
                           "act write 1 a >/dev/null",
                           "exec act write 1 a >f",
                           "cd sub && act write 1 a >f",
                           "act write 1 a >in && act echo 0 <in",
                           "act write 0 a 0>f",
                           "A=1 >f act env"}) {
    ExpectSame(line);
  }
  ExpectSame("act write 1 a \"2\">f", "descriptor '\"2\"'");
  // In dash that is & and two commands at a time.
  if (!ShellIs("dash"))
    ExpectSame("act write 1 a write 2 b &>f");
  Command command;
  command.err = Stdio::Capture();
  ExpectSame("act write 1 a write 2 b && act write 1 c write 2 d 2>&1", "",
             command);
}

TEST_P(ShellLineTest, ModeOfAFileThatIsMade) {
  mode_t mask = umask(027);
  for (ShellUse use : kUses) {
    RunAnew("act write 1 a >f", use, {});
    struct stat file;
    ASSERT_EQ(0, stat((work_ + "/f").c_str(), &file));
    EXPECT_EQ(0640u, file.st_mode & 07777);
  }
  umask(mask);
}

TEST_P(ShellLineTest, DescriptorsSignalsAndLimits) {
  Command command;
  command.out = command.err = Stdio::Null();
  Fd fd(open("/dev/null", O_RDONLY));
  ExpectSame("act fds >f 2>&1", "", command);
  ExpectSame("act fds >f && act fds >g && exec act fds >h", "", command);
  ExpectSame("act limit && act limit >f");
  ExpectSame("act sig");
  ExpectSame("act sig && act sig >f && act sig && act sig");
  ExpectSame("exec act sig");
  Pipe pipe;
  Action action = Action::Dup2(pipe.read.get(), 7);
  command.actions = {&action, 1};
  ExpectSame("act fds >f && act fds >g", "", command);
}

TEST_P(ShellLineTest, Lists) {
  EXPECT_EQ("abc", ExpectSame("act write 1 a && act write 2 b && "
                              "act write 1 c")
                       .output);
  ExpectSame("act write 1 a && act exit 3 && act write 1 never");
  ExpectSame("act exit 3 && act write 1 never");
  ExpectSame("act write 1 a && act exit 255");
  ExpectSame("act && act && act && act && act exit 7");
  ExpectSame("true && act write 1 a && true");
  ExpectSame("act write 1 a && false && act write 1 never");
  ExpectSame("act write 1 a && exit 9");
  ExpectSame("act exit 2 && exit 9");
  ExpectSame("act write 1 a && : && exec act exit 4");
  ExpectSame("act write 1 a && false");
  std::string line = "act write 1 0", expected = "0";
  for (int i = 1; i < 50; ++i) {
    line += " && act write 1 " + std::to_string(i);
    expected += std::to_string(i);
  }
  EXPECT_EQ(expected, ExpectSame(line).output);
}

TEST_P(ShellLineTest, Constants) {
  for (const char* line : {"", "  ", ":", "true", "false", "exit 7", "exit 255",
                           "true && false", "false && act write 1 never",
                           "true && exit 3", "false && cd nowhere && act"}) {
    Finished done = ExpectSame(line);
    EXPECT_EQ(Timeline::TimePoint(), done.times.cloned) << line;
  }
  InChild([&] {
    Make({});
    for (long number : {SYS_clone3, SYS_clone, SYS_fork, SYS_vfork})
      RefuseSyscall(number, EPERM);
    Expect(Cause::kExited, 5, Run("true && exit 5"));
    EXPECT_EQ(0u, launcher_->children());
  });
}

TEST_P(ShellLineTest, Statistics) {
  Make({});
  Run("act && act && true");
  Run("true");
  Run("act argv *");
  Run("nosuch");
  Statistics statistics = launcher_->statistics();
  EXPECT_EQ(4u, statistics.lines);
  EXPECT_EQ(2u, statistics.shells);
  EXPECT_EQ(0u, statistics.failed);
  Make({.shell = ShellUse::kAlways});
  Run("act");
  statistics = launcher_->statistics();
  EXPECT_EQ(1u, statistics.lines);
  EXPECT_EQ(1u, statistics.shells);
}

TEST_P(ShellLineTest, AskingRunsNothing) {
  Make({});
  Command command = Surroundings({});
  EXPECT_EQ("", launcher_->WhyShell("act write 1 a >f", command));
  EXPECT_EQ("", launcher_->WhyShell("/nowhere/a && exit 3", command));
  EXPECT_EQ("glob '*'", launcher_->WhyShell("act *", command));
  EXPECT_EQ("builtin 'echo'", launcher_->WhyShell("echo a >f", command));
  EXPECT_EQ(1u, Files().size());  // sub
  EXPECT_EQ(0u, launcher_->children());
  EXPECT_EQ(0u, launcher_->statistics().lines);
  EXPECT_EQ(ECHILD, launcher_->Wait(kHang).error().code);
  Make({.shell = ShellUse::kAlways});
  EXPECT_EQ("LAUNCHER_SHELL=always", launcher_->WhyShell("act", command));
}

TEST_P(ShellLineTest, WordsInTheCommandAreAnError) {
  const char* argv[] = {kHold};
  for (ShellUse use : kUses) {
    Make({.shell = use});
    Command command = Surroundings({});
    command.argv = argv;
    auto started = launcher_->SpawnLine("act", command);
    ASSERT_FALSE(started.ok());
    EXPECT_EQ(EINVAL, started.error().code);
    command = Surroundings({});
    command.path = kHold;
    started = launcher_->SpawnLine("act", command);
    ASSERT_FALSE(started.ok());
    EXPECT_EQ(EINVAL, started.error().code);
    EXPECT_EQ(0u, launcher_->children());
  }
}

TEST_P(ShellLineTest, Mebibyte) {
  std::string line = "act argv", expected = "act\n";
  const std::string word(1000, 'x');
  for (int i = 0; i < 1024; ++i) {
    line += " " + word;
    expected += word + "\n";
  }
  Finished done = Run(line + " && true");
  Expect(Cause::kExited, 0, done);
  EXPECT_EQ("", done.shell_reason);
  EXPECT_TRUE(expected == done.output);

  // It is one argument of the shell.
  Make({.shell = ShellUse::kAlways});
  auto started = launcher_->SpawnLine(line.c_str(), Surroundings({}));
  if (started.ok()) {
    done = Finish();
    EXPECT_EQ(Cause::kNotStarted, done.cause);
    EXPECT_EQ(E2BIG, done.error.code);
  } else {
    EXPECT_EQ(E2BIG, started.error().code);
  }
}

TEST_P(ShellLineTest, UsageIsThatOfAllPrograms) {
  Finished done = Run("act burn 40 && act burn 40 && act burn 40");
  EXPECT_GE(done.user_cpu + done.system_cpu, milliseconds(110));
  EXPECT_LT(done.user_cpu + done.system_cpu, kHang);
  EXPECT_GE(Run("act grow 40 && act && act").max_rss_kib, 40 * 1024);
  EXPECT_GE(Run("act && act grow 40 && act").max_rss_kib, 40 * 1024);
  EXPECT_GE(Run("act && act && act grow 40").max_rss_kib, 40 * 1024);
}

TEST_P(ShellLineTest, TimesAreInOrder) {
  Timeline times = Run("act write 1 a && act write 1 b").times;
  EXPECT_LE(times.requested, times.cloned);
  EXPECT_LE(times.requested, times.first_output);
  EXPECT_LE(times.first_output, times.drained);
  EXPECT_LE(times.first_output, times.exited);
  EXPECT_LE(times.exited, times.reaped);
  EXPECT_LE(times.drained, times.reaped);
}

TEST_P(ShellLineTest, ManyAtATime) {
  Make({});
  std::map<ChildId, std::string> expected;
  for (int i = 0; i < 40; ++i) {
    std::string n = std::to_string(i);
    ChildId id = Start("act write 1 " + n + " && act write 1 -" + n +
                       (i % 3 ? "" : " && act exit 0"));
    expected[id] = n + "-" + n;
  }
  for (int i = 0; i < 40; ++i) {
    Finished done = Finish();
    Expect(Cause::kExited, 0, done);
    EXPECT_EQ(expected[done.id], done.output);
  }
}

}  // namespace
}  // namespace launcher
