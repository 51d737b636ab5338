// Programs of a line that cannot be started, shells that are not known, and
// what the system refuses.
//
// SPDX-License-Identifier: Apache-2.0

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <string>
#include <vector>

#include "support/line_test.h"

namespace launcher {
namespace {

class ShellLineStartTest : public LineTest {
 protected:
  /// Lines of each kind, whatever has been refused.
  void ExpectWorks() {
    Make({});
    Finished done = Run("act write 1 a && act write 2 b && act exit 3");
    Expect(Cause::kExited, 3, done);
    EXPECT_EQ("ab", done.output);
    done = Run("act write 1 a && act exit 4 && act write 1 b");
    Expect(Cause::kExited, 4, done);
    EXPECT_EQ("a", done.output);
    done = Run("act write 1 a && act raise 9 && act write 1 b");
    Expect(Cause::kExited, 137, done);
    done = Run("act write 1 a && ./nosuch");
    Expect(Cause::kExited, 127, done);
    EXPECT_EQ(0u, done.output.find('a'));
    Command command;
    command.out = command.err = Stdio::Null();
    Expect(Cause::kExited, 5,
           Run("act && act write 1 x >f && act exit 5", command));
    EXPECT_EQ("x", Files()["/f"]);
    EXPECT_EQ(0u, launcher_->children());
  }
};

LINE_TEST_ENGINES(ShellLineStartTest);

TEST_P(ShellLineStartTest, MissingPrograms) {
  for (const char* line :
       {"nosuch", "nosuch a", "./nosuch", "/nowhere/nosuch a", "exec nosuch",
        "exec ./nosuch", "act write 1 a && nosuch b",
        "act write 1 a && ./nosuch b && act write 1 never",
        "nosuch && act write 1 never", "cd sub && nosuch",
        "cd sub && act write 1 a && cd .. && ./nosuch", "A=1 nosuch",
        "nosuch >f", "nosuch 2>f", "act write 1 a && nosuch 2>f",
        "sub/nosuch/a"}) {
    const bool exec_path = strstr(line, "exec ./");
    Finished done =
        ExpectSame(line, exec_path ? "builtin 'exec'" : "cannot start");
    EXPECT_NE(0, done.code) << line;
  }
  EXPECT_EQ(127, ExpectSame("nosuch", "cannot start").code);
  for (const char* line : {"''", "act write 1 a && ''"})
    ExpectSame(line, ShellIs("busybox") ? "applet ''" : "cannot start");
  Make({});
  std::string reason = Run("nosuch").shell_reason;
  EXPECT_NE(std::string::npos, reason.find("nosuch")) << reason;
}

TEST_P(ShellLineStartTest, WordsOfTheShellCountLines) {
  for (const char* line :
       {"act write 1 '1\n2\n3\n' && nosuch", "nosuch '\n'",
        "act write 1 a\\\nb && \\\nnosuch",
        "act write 1 '\n' && act write 1 \"\n\n\" && nosuch",
        "cd sub && act argv '\n' >f && cd .. && nosuch '\n\n' && act"})
    ExpectSame(line, "cannot start");
}

TEST_P(ShellLineStartTest, FilesThatAreNoPrograms) {
  prepare_ = [this] {
    dir_.File("here/script", "act argv \"$@\"\nprobe env\n", 0755);
    dir_.File("here/empty", "", 0755);
    dir_.File("here/plain", "text", 0644);
    dir_.File("here/lost", "#!/nowhere/interpreter\n", 0755);
    dir_.File("here/good", "#!" + std::string(kProbe) + " argv\n", 0755);
    dir_.File("here/first", "#!/bin/sh\nprobe write 1 x\n", 0755);
  };
  ExpectSame("./good a b");
  ExpectSame("./first && ./first");
  for (const char* name : {"script", "empty", "plain", "lost", "sub"}) {
    for (const char* form :
         {"./% a 'b c'", "act write 1 a && ./% b", "./% a && act write 1 b",
          "cd sub && act cwd && ../% a", "A=1 ./% a >f", "exec ./% a"}) {
      std::string line = form;
      line.replace(line.find('%'), 1, name);
      ExpectSame(line,
                 strstr(form, "exec") ? "builtin 'exec'" : "cannot start");
    }
  }
}

TEST_P(ShellLineStartTest, ProgramsThatPathLeadsTo) {
  prepare_ = [this] {
    dir_.Dir("here/a");
    dir_.File("here/a/tool", "echo script a\n", 0755);
    dir_.Dir("here/b");
    EXPECT_EQ(0, symlink(kProbe, (work_ + "/b/tool").c_str()));
    dir_.File("here/sub/tool", "not executable", 0644);
  };
  auto with_path = [&](const std::string& path, const std::string& reason) {
    std::string entry = "PATH=" + path;
    const char* env[] = {entry.c_str(), nullptr};
    Command command;
    command.env = env;
    ExpectSame("tool argv a && tool env", reason, command);
  };
  with_path(work_ + "/b", "");
  with_path(work_ + "/sub:" + work_ + "/b", "");
  with_path("/nowhere:" + work_ + "/b:" + work_ + "/a", "");
  with_path(work_ + "/a:" + work_ + "/b", "cannot start");
  with_path(work_ + "/sub", "cannot start");
  for (const char* odd : {"b", ":b", "b:", "", "./b", "%builtin"})
    with_path(odd, "PATH with entries that are not plain");
  with_path(work_ + "/b/", "PATH with entries that are not plain");
}

TEST_P(ShellLineStartTest, RedirectionsThatFail) {
  for (const char* line :
       {"act write 1 a >nowhere/f", "act write 1 a >sub", "act <missing",
        "act write 1 a && act write 1 b >nowhere/f",
        "act write 1 a && act write 1 b <missing && act write 1 never",
        "act write 1 a >f <missing", "act write 1 a 2>e <missing",
        "exec act <missing", "cd sub && act write 1 a >../nowhere/f"})
    ExpectSame(line, "cannot start");
}

TEST_P(ShellLineStartTest, DirectoriesThatAreNotThere) {
  for (const char* line :
       {"cd nowhere && act write 1 never", "cd sub && cd nowhere && act",
        "act write 1 a && cd nowhere && act write 1 never",
        "cd sub && act cwd && cd nowhere && act", "cd nowhere && act && act",
        "cd sub/../nowhere && act"}) {
    bool foreseen = std::string(line).find("..") == std::string::npos;
    ExpectSame(line, foreseen ? "cannot start" : "builtin 'cd'");
  }
  prepare_ = [this] { dir_.File("here/file", ""); };
  ExpectSame("cd file && act", "cannot start");
  ExpectSame("act && cd file && act && act", "cannot start");
}

// Shells.

TEST_P(ShellLineStartTest, UnknownShell) {
  std::string copy = dir_ / "mysh";
  std::filesystem::copy_file(FindShell("dash"), copy);
  Make({.shell_path = copy});
  Finished done = Run("act write 1 a && act exit 3");
  Expect(Cause::kExited, 3, done);
  EXPECT_EQ("a", done.output);
  EXPECT_EQ("an unknown shell", done.shell_reason);
  EXPECT_EQ("an unknown shell", launcher_->WhyShell("act", Surroundings({})));

  Make({.shell_path = dir_ / "missing"});
  EXPECT_EQ("an unknown shell", launcher_->WhyShell("act", Surroundings({})));
  auto started = launcher_->SpawnLine("act", Surroundings({}));
  if (started.ok()) {
    EXPECT_EQ(Cause::kNotStarted, Finish().cause);
  } else {
    EXPECT_EQ(ENOENT, started.error().code);
  }
}

TEST_P(ShellLineStartTest, ShellThatIsReplaced) {
  Make({});
  EXPECT_EQ("", Run("act && true").shell_reason);
  for (const char* name : {"busybox", "dash", "bash"}) {
    LinkShell(dir_, name);
    const std::string line = "act env && A=1 act env && act raise 11 && true";
    Finished plan = Run(line);
    EXPECT_EQ("", plan.shell_reason);
    std::unique_ptr<Launcher> kept = std::move(launcher_);
    Make({.shell = ShellUse::kAlways});
    ExpectSameEnd(Run(line), plan);
    launcher_ = std::move(kept);
  }
  unlink(shell_.c_str());
  std::filesystem::copy_file(FindShell("dash"), dir_ / "mysh");
  ASSERT_EQ(0, symlink("mysh", shell_.c_str()));
  EXPECT_EQ("an unknown shell", Run("act").shell_reason);
  LinkShell(dir_, GetParam().shell);
  EXPECT_EQ("", Run("act && true").shell_reason);
}

class ScopedVariable {
 public:
  ScopedVariable(const char* name, const char* value) : name_(name) {
    setenv(name, value, 1);
  }
  ~ScopedVariable() { unsetenv(name_); }

 private:
  const char* name_;
};

TEST(ShellOptionsTest, FromEnvironment) {
  using ShellUse = Launcher::Options::ShellUse;
  unsetenv("LAUNCHER_SHELL");
  auto options = Launcher::Options::FromEnvironment();
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(ShellUse::kAuto, options.value().shell);
  EXPECT_EQ("/bin/sh", options.value().shell_path);
  for (ShellUse use : {ShellUse::kAuto, ShellUse::kAlways}) {
    ScopedVariable set("LAUNCHER_SHELL",
                       use == ShellUse::kAuto ? "auto" : "always");
    options = Launcher::Options::FromEnvironment();
    ASSERT_TRUE(options.ok());
    EXPECT_EQ(use, options.value().shell);
  }
  for (const char* bad : {"", "never", "Always", "always ", "1"}) {
    ScopedVariable set("LAUNCHER_SHELL", bad);
    options = Launcher::Options::FromEnvironment();
    ASSERT_FALSE(options.ok()) << bad;
    EXPECT_EQ(EINVAL, options.error().code);
    EXPECT_STREQ("LAUNCHER_SHELL", options.error().step);
  }
}

TEST_P(ShellLineStartTest, BlockedSignals) {
  sigset_t usr1, old;
  sigemptyset(&usr1);
  sigaddset(&usr1, SIGUSR1);
  Action action = Action::SignalMask(usr1);
  Command command;
  command.actions = {&action, 1};
  ExpectSame("act sig && act sig", "", command);
  ExpectSame("exec act sig", "exec while signals are blocked", command);
  sigaddset(&usr1, SIGCHLD);
  sigaddset(&usr1, SIGRTMAX);
  action = Action::SignalMask(usr1);
  ExpectSame("act sig && act sig >f && act sig", "", command);
  pthread_sigmask(SIG_BLOCK, &usr1, &old);
  ExpectSame("act sig && act sig");
  ExpectSame("act sig && exec act sig", "exec while signals are blocked");
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  ExpectSame("act sig && act sig");
}

TEST_P(ShellLineStartTest, IgnoredSignals) {
  for (int number : {SIGINT, SIGQUIT, SIGPIPE, SIGUSR1}) {
    SCOPED_TRACE(number);
    auto old = signal(number, SIG_IGN);
    ExpectSame("act sig && act sig >f && act sig");
    ExpectSame("exec act sig");
    signal(number, old);
  }
}

TEST_P(ShellLineStartTest, EndsOfChildrenThatAreIgnored) {
  InChild([&] {
    signal(SIGCHLD, SIG_IGN);
    // How it ended is not known, but it must have been run to its end.
    for (ShellUse use : kUses) {
      Make({.shell = use});
      EXPECT_EQ("ab", Run("act write 1 a && act write 1 b").output);
    }
  });
}

// Refusals.

TEST_P(ShellLineStartTest, NothingRefused) { ExpectWorks(); }

TEST_P(ShellLineStartTest, WithoutPidfdOpen) {
  for (int error : {ENOSYS, EPERM, EMFILE}) {
    InChild([&] {
      RefuseSyscall(SYS_pidfd_open, error);
      ExpectWorks();
    });
  }
}

TEST_P(ShellLineStartTest, WithoutWaitidByPidfd) {
  for (int error : {EINVAL, EPERM}) {
    InChild([&] {
      RefuseSyscall(SYS_waitid, error, ArgIs{0, P_PIDFD});
      ExpectWorks();
    });
  }
}

TEST_P(ShellLineStartTest, WithoutWaitid) {
  for (int error : {ENOSYS, EPERM}) {
    InChild([&] {
      RefuseSyscall(SYS_waitid, error);
      ExpectWorks();
    });
  }
}

TEST_P(ShellLineStartTest, WithoutPidfdsAndWaitid) {
  InChild([&] {
    RefuseSyscall(SYS_pidfd_open, ENOSYS);
    RefuseSyscall(SYS_waitid, ENOSYS);
    ExpectWorks();
  });
}

TEST_P(ShellLineStartTest, FewDescriptors) {
  for (const char* line :
       {"act write 1 a && act write 1 b && act write 1 c",
        "cd sub && act write 1 a && act write 1 b && act write 1 c",
        "act write 1 a && act write 1 b && act write 1 c >&2"}) {
    InChild([&] {
      rlimit limit = {40, 40};
      ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
      Make({});
      for (int i = 0; i < 80; ++i)
        Start(line);
      EXPECT_GT(launcher_->statistics().deferred, 0u);
      for (int i = 0; i < 80; ++i) {
        Finished done = Finish();
        Expect(Cause::kExited, 0, done);
        EXPECT_EQ("abc", done.output) << done.shell_reason;
      }
    });
  }
}

// A block that a job waits with is its own, however often it has been in use.
TEST_P(ShellLineStartTest, LinesThatWaitInTheMiddle) {
  InChild([&] {
    rlimit limit = {24, 24};
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
    Make({});
    std::string line = "act";
    for (int i = 0; i < 10; ++i)
      line += " && act";
    for (int i = 0; i < 100; ++i)
      Start(line + " && act write 1 end");
    for (int i = 0; i < 100; ++i) {
      Finished done = Finish();
      ASSERT_EQ(Cause::kExited, done.cause) << done.error.ToString();
      EXPECT_EQ("end", done.output) << done.shell_reason;
    }
  });
}

// The programs of a line have one pipe: where that cannot be had, a shell has.
TEST_P(ShellLineStartTest, PipeCannotBeKept) {
  for (long call : {SYS_socketpair, SYS_sendmsg})
    for (int error : {EPERM, EMFILE})
      InChild([&] {
        Make({});
        Run("act write 1 warm && act");
        RefuseSyscall(call, error);
        Finished done = Run("act write 1 a && act write 1 b");
        Expect(Cause::kExited, 0, done);
        EXPECT_EQ("ab", done.output);
        EXPECT_EQ(0u, done.shell_reason.find("cannot start 'act': "))
            << done.shell_reason;
        done = Run("act write 1 alone");
        Expect(Cause::kExited, 0, done);
        EXPECT_EQ("alone", done.output);
      });
}

// Only one that is refused between two programs of a line can lose the rest.
TEST_P(ShellLineStartTest, PipeCannotBeHadAgain) {
  InChild([&] {
    Make({});
    RefuseSyscall(SYS_recvmsg, EPERM);
    Finished done = Run("act write 1 a && act write 1 b");
    EXPECT_EQ(Cause::kNotStarted, done.cause);
    EXPECT_STREQ("recvmsg", done.error.step);
    EXPECT_EQ("a", done.output);
  });
}

TEST_P(ShellLineStartTest, DescriptorsOfTheCallerAreKeptForLaterPrograms) {
  Make({});
  Pipe in, extra;
  ASSERT_EQ(2, write(in.write.get(), "in", 2));
  Action action = Action::Dup2(extra.write.get(), 5);
  Command command;
  command.in = Stdio::FromFd(in.read.get());
  command.actions = {&action, 1};
  Start("act && act echo 0 write 5 x && nosuch", command);
  in.read.Reset();
  in.write.Reset();
  extra.write.Reset();
  // Another file may take the numbers.
  Pipe other;
  Finished done = Finish();
  Expect(Cause::kExited, 127, done);
  EXPECT_EQ(0u, done.output.find("in")) << done.output;
  EXPECT_EQ("x", extra.Await());
}

}  // namespace
}  // namespace launcher
