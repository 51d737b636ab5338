// What a program finds in its environment, against the shells themselves.
//
// SPDX-License-Identifier: Apache-2.0

#include "shell_environment.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include <random>
#include <string>
#include <vector>

#include "support/command_line_test.h"
#include "support/launcher_test.h"
#include "support/shells.h"
#include "support/temp_dir.h"

namespace launcher {
namespace {

using Entries = std::vector<std::string>;

Shell ShellOf(const std::string& name) {
  return name == "dash"   ? Shell::kDash
         : name == "bash" ? Shell::kBash
                          : Shell::kBusybox;
}

std::vector<char*> Pointers(const Entries& entries) {
  std::vector<char*> pointers;
  for (const std::string& entry : entries)
    pointers.push_back(const_cast<char*>(entry.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

class ShellEnvironmentTest : public LeakCheckTest,
                             public testing::WithParamInterface<const char*> {
 protected:
  ShellEnvironmentTest() {
    for (const char* name : {"real", "real/sub", "real/b", "other"})
      dir_.Dir(name);
    EXPECT_EQ(0, symlink("real", (dir_ / "link").c_str()));
    EXPECT_EQ(0, symlink("../other", (dir_ / "real/up").c_str()));
    dir_.File("file", "");
  }

  struct Seen {
    bool ran = false;  ///< The program has run, without a word of the shell.
    Entries entries;
  };

  /// The environment of the probe in `line`, run by the shell in `cwd`.
  Seen AskShell(const std::string& line, const std::string& cwd,
                const Entries& entries) {
    Pipe out, err;
    std::vector<char*> envp = Pointers(entries);
    char* argv[] = {const_cast<char*>("/bin/sh"), const_cast<char*>("-c"),
                    const_cast<char*>(line.c_str()), nullptr};
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
      dup2(out.write.get(), 1);
      dup2(err.write.get(), 2);
      if (chdir(cwd.c_str()) == 0)
        execve(shell_.c_str(), argv, envp.data());
      _exit(126);
    }
    out.write.Reset();
    err.write.Reset();
    std::string text, messages;
    for (std::string part; !(part = out.Await()).empty();)
      text += part;
    for (std::string part; !(part = err.Await()).empty();)
      messages += part;
    int status = 0;
    EXPECT_EQ(pid, waitpid(pid, &status, 0));
    Seen seen;
    seen.ran = status == 0 && messages.empty();
    for (size_t at = 0; at < text.size();) {
      size_t end = text.find('\n', at);
      seen.entries.push_back(text.substr(at, end - at));
      at = end + 1;
    }
    return seen;
  }

  /// The same by the model; not run where it says that it cannot tell, and
  /// `reason_` why.
  Seen AskModel(const std::string& line, const LookupDir& dir,
                const Entries& entries) {
    std::vector<char> text(line.size() + 1);
    std::vector<PlanToken> tokens(200);
    CommandLine plan =
        ReadCommandLine(line.c_str(), line.size(), ShellOf(GetParam()),
                        text.data(), tokens.data(), tokens.size());
    if (plan.verdict != CommandLine::Verdict::kPlan) {
      reason_ = ToString(plan.reason);
      return {};
    }
    std::vector<char*> pointers = Pointers(entries);
    reason_ = model_.Start(ShellOf(GetParam()), pointers.data(), dir);
    if (!reason_.empty())
      return {};

    using Kind = PlanToken::Kind;
    CommandPlace place;
    std::vector<const char*> assignments;
    std::string program;
    size_t at = 0;
    for (; at < plan.token_count; ++at) {
      const PlanToken& token = tokens[at];
      if (token.kind == Kind::kAnd && !program.empty())
        break;
      place.in_list |= token.kind == Kind::kAnd;
      place.redirected |= token.kind == Kind::kOpen || token.kind == Kind::kDup;
      place.exec |= token.kind == Kind::kExec;
      if (token.kind == Kind::kChangeDir)
        model_.ChangeDir(token.text);
      else if (token.kind == Kind::kAssignment)
        assignments.push_back(token.text);
      else if (token.kind == Kind::kWord && program.empty())
        program = token.text;
    }
    place.is_last = at == plan.token_count;
    std::vector<char*> envp;
    model_.Export(assignments, place, program, &envp);
    EXPECT_EQ(nullptr, envp.back());
    envp.pop_back();
    return {true, Entries(envp.begin(), envp.end())};
  }

  /// Whether the model could tell; it must be as the shell says.
  bool ExpectSame(const std::string& line, const std::string& cwd,
                  const Entries& entries) {
    Fd fd(open(cwd.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    LookupDir dir = {-1, cwd.c_str()};
    if (by_fd_ = !by_fd_; by_fd_)
      dir = {fd.get(), nullptr};
    Seen model = AskModel(line, dir, entries);
    if (!model.ran)
      return false;
    Seen shell = AskShell(line, cwd, entries);
    // Where cd fails, the shell says so itself.
    if (!shell.ran)
      return false;
    EXPECT_EQ(shell.entries, model.entries) << Describe(line, cwd, entries);
    return true;
  }

  static std::string Describe(const std::string& line, const std::string& cwd,
                              const Entries& entries) {
    std::string text = line + "\nin " + cwd;
    for (const std::string& entry : entries)
      text += "\n  " + entry;
    return text;
  }

  std::string probe_ = std::string(kProbe) + " env";
  TempDir dir_;
  std::string shell_ = LinkShell(dir_, GetParam());
  ShellEnvironment model_;
  std::string reason_;
  bool by_fd_ = false;
};

INSTANTIATE_TEST_SUITE_P(Shells, ShellEnvironmentTest,
                         testing::ValuesIn(kShells), [](const auto& shell) {
                           return std::string(shell.param);
                         });

TEST_P(ShellEnvironmentTest, EachPosition) {
  const Entries entries = {"PATH=/bin", "B=2",      "_=old",
                           "A=1",       "OLDPWD=/", "HOME=/h"};
  for (const char* form :
       {"%", "% && :", "% 2>/dev/null", "2>/dev/null %", "exec %",
        "exec % </dev/null", ": && %", ": && % && :", "true && exec %",
        ": && % >&1", "cd real && %",
        "cd real && % && :", "cd real && cd sub && %",
        "cd real && % 2>/dev/null", "cd real && exec %", "A=x C=3 %",
        "A=x % && :", "cd real && A=x %", "B=x A=y C=z A=w D=v E=u F=t %"}) {
    std::string line = form;
    line.replace(line.find('%'), 1, probe_);
    for (bool with_last : {true, false}) {
      Entries now = entries;
      if (!with_last)
        now.erase(now.begin() + 2);
      EXPECT_TRUE(ExpectSame(line, dir_.path(), now)) << line << reason_;
      now.pop_back();
      now.pop_back();  // No OLDPWD.
      EXPECT_TRUE(ExpectSame(line, dir_.path(), now)) << line << reason_;
    }
  }
}

TEST_P(ShellEnvironmentTest, NamesThatAreNone) {
  EXPECT_TRUE(ExpectSame(
      probe_, "/",
      {"PATH=/bin", "", "=a", "=", "noequals", "1=x", "a.b=c", "a b=c", "%=1",
       "\xc3\xa4=1", "A", "PATHX", "A=1", "a-b=() { :; }"}));
}

TEST_P(ShellEnvironmentTest, Duplicates) {
  EXPECT_TRUE(ExpectSame(
      probe_, "/",
      {"A=1", "PATH=/bin", "B=2", "A=3", "PATH=/usr/bin", "B=", "A=4"}));
  EXPECT_TRUE(ExpectSame("A=5 " + probe_, "/", {"A=1", "PATH=/bin", "A=3"}));
  EXPECT_EQ(strcmp(GetParam(), "bash") != 0,
            ExpectSame(probe_, "/", {"a.b=1", "PATH=/bin", "a.b=2"}));
}

TEST_P(ShellEnvironmentTest, EmptyEnvironment) {
  EXPECT_EQ(strcmp(GetParam(), "busybox") != 0, ExpectSame(probe_, "/", {}));
  EXPECT_TRUE(ExpectSame(probe_, "/", {"PATH="}));
  EXPECT_TRUE(ExpectSame("A=1 " + probe_, "/", {"PATH="}));
}

TEST_P(ShellEnvironmentTest, PlacesOfTheShellsOwnNames) {
  // Exported, they stand where the shell had them from the start.
  EXPECT_TRUE(ExpectSame(probe_, "/",
                         {"MAIL=m", "PATH=/bin", "MAILPATH=p", "Z=1", "TERM=t",
                          "HOSTNAME=h", "OLDPWD=/", "SHLVL=1", "PWD=/",
                          "HISTFILE=x", "ENV=y", "LINES=1", "UID=5"}));
}

TEST_P(ShellEnvironmentTest, Levels) {
  for (const char* level : {"0", "1", "7", "42", "997", "007", "00", ""})
    for (const char* form : {"", " && :", " 2>/dev/null"})
      ExpectSame(probe_ + form, "/",
                 {"PATH=/bin", std::string("SHLVL=") + level});
  EXPECT_TRUE(ExpectSame(probe_, "/", {"PATH=/bin", "SHLVL=1"}));
  // Odd ones are left to the shell, or foreseen.
  for (const char* level :
       {"-1", "-5", "abc", " 3", "3 ", "998", "999", "1000", "1001", "08",
        "0x10", "+4", "99999999999", "4294967295", "1 2", "--1"})
    ExpectSame(probe_, "/", {"PATH=/bin", std::string("SHLVL=") + level});
}

TEST_P(ShellEnvironmentTest, NameOfTheDirectory) {
  int told = 0;
  for (const char* cwd : {"real", "real/sub", "other", ""}) {
    const std::string at = dir_ / cwd;
    for (const std::string& pwd :
         {dir_ / "real", dir_ / "link", dir_ / "link/", dir_ / "link/sub",
          dir_ / "real/../real", dir_ / "real/./sub", dir_ / "real/up",
          dir_ / "real/up/", "/" + dir_.path(), dir_ / "/real",
          std::string("."), std::string("real"), std::string(),
          std::string("/nowhere"), std::string("/"), dir_ / "link/..",
          dir_ / "file", dir_.path()}) {
      const Entries entries = {"PATH=/bin", "PWD=" + pwd, "OLDPWD=" + pwd};
      for (const char* before : {"", "cd .. && ", "cd . && "})
        told += ExpectSame(before + probe_, at, entries);
    }
  }
  EXPECT_GT(told, 100);
}

TEST_P(ShellEnvironmentTest, ChangesOfDirectory) {
  int told = 0;
  for (const std::string& pwd : {dir_ / "link", dir_ / "real", std::string()}) {
    for (const std::string& first :
         {std::string("."), std::string(".."), std::string("sub"),
          std::string("up"), std::string("../real"), std::string("../../"),
          std::string("../link/sub"), std::string("./sub/"), dir_ / "link",
          dir_ / "real/up/", std::string("/"), std::string("sub/.")}) {
      for (const char* second : {"", "cd .. && ", "cd ../real && ", "cd . && "})
        told += ExpectSame("cd " + first + " && " + second + probe_,
                           dir_ / "real", {"PATH=/bin", "PWD=" + pwd});
    }
  }
  EXPECT_GT(told, 100);
}

TEST_P(ShellEnvironmentTest, WhatCannotBeForeseen) {
  const bool is_bash = strcmp(GetParam(), "bash") == 0;
  auto reason = [&](const Entries& entries) {
    std::vector<char*> pointers = Pointers(entries);
    return model_.Start(ShellOf(GetParam()), pointers.data(), {-1, "/"});
  };
  EXPECT_EQ("", reason({"PATH=/bin", "A=1"}));
  for (const char* entry :
       {"IFS=x", "CDPATH=/", "OPTIND=3", "LINENO=1", "PPID=1", "LD_PRELOAD=a",
        "LD_DEBUG=all", "GLIBC_TUNABLES=x"}) {
    std::string name(entry, strchr(entry, '='));
    EXPECT_EQ(name + " in the environment", reason({"PATH=/bin", entry}));
  }
  EXPECT_EQ("", reason({"PATH=/bin", "LD_LIBRARY_PATH=/x"}));
  for (const char* entry :
       {"BASH_ENV=x", "BASH_FUNC_a%%=() { :; }", "BASHOPTS=x", "SHELLOPTS=x",
        "COMP_WORDBREAKS=x", "EPOCHSECONDS=1", "HISTCMD=1", "OPTERR=0",
        "POSIXLY_CORRECT=1", "POSIX_PEDANTIC=1", "PS1=a", "PS4=a", "RANDOM=1",
        "SRANDOM=1", "LC_ALL=xx_YY"}) {
    std::string name(entry, strchr(entry, '='));
    EXPECT_EQ(is_bash ? name + " in the environment" : "",
              reason({"PATH=/bin", entry}));
  }
  EXPECT_EQ("", reason({"PATH=/bin", "LC_ALL=C.UTF-8", "LC_TIME=xx"}));
  Entries many = {"PATH=/bin"};
  for (int i = 0; i < 3000; ++i)
    many.push_back("N" + std::to_string(i) + "=1");
  EXPECT_EQ("a large environment", reason(many));
}

TEST_P(ShellEnvironmentTest, DirectoryWithoutAName) {
  std::string gone = dir_.Dir("gone");
  Fd fd(open(gone.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  ASSERT_EQ(0, rmdir(gone.c_str()));
  const Entries kept = {"PATH=/bin", "PWD=" + gone};
  std::vector<char*> entries = Pointers(kept);
  EXPECT_EQ(
      "a directory whose name cannot be found",
      model_.Start(ShellOf(GetParam()), entries.data(), {fd.get(), nullptr}));
}

// Environments and lines by chance, the same each time.

class Chance {
 public:
  explicit Chance(const TempDir* dir) : dir_(dir) {}

  bool Of(int percent) { return random_() % 100 < unsigned(percent); }
  size_t Up(size_t most) { return random_() % (most + 1); }
  template <class T>
  const T& One(const std::vector<T>& list) {
    return list[random_() % list.size()];
  }

  std::string Name() {
    static const Entries kCommon = {
        "HOME",     "USER",      "TERM",    "SHELL", "LANG", "MAIL",
        "HISTFILE", "CC",        "A",       "B",     "C",    "x",
        "y",        "MAKEFLAGS", "LINES",   "FOO",   "ENV",  "_",
        "MAILPATH", "HOSTNAME",  "TMOUT",   "UID",   "PS3",  "GROUPS",
        "SECONDS",  "COLUMNS",   "FUNCNAME"};
    if (Of(30))
      return One(kCommon);
    if (Of(8))
      return One(Entries{"", "a.b", "1a", "a b", "%", "-", "\xc3\xa9", "\x01"});
    std::string name;
    for (size_t size = 1 + Up(7); size > 0; --size)
      name.push_back("ABCXYZabcxyz_019"[random_() % 16]);
    return name[0] <= '9' ? "q" + name : name;
  }

  std::string Value() {
    return One(Entries{"", "x", "x=y", "=", " a b ", "() { :; }", "\xff\xfe",
                       "~", "$HOME", "value", "1", "/bin"});
  }

  std::string Directory() {
    return One(Entries{*dir_ / "real", *dir_ / "link", *dir_ / "real/sub",
                       *dir_ / "real/up", dir_->path(), "/", "/tmp", ".", "",
                       "real", "/nowhere", *dir_ / "link/..", *dir_ / "file"});
  }

  Entries Environment() {
    Entries entries;
    for (size_t count = Up(One(std::vector<size_t>{0, 3, 8, 20, 60}));
         count > 0; --count)
      entries.push_back(Name() + "=" + Value());
    if (!entries.empty() && Of(30)) {
      std::string again = One(entries);
      entries.push_back(again.substr(0, again.find('=')) + "=" + Value());
    }
    if (Of(20))
      entries.push_back(One(Entries{"", "noequals", "PWD", "SHLVL", "_"}));
    if (Of(90))
      entries.push_back("PATH=" + One(Entries{"/bin", "", "/usr/bin:/bin"}));
    if (Of(50))
      entries.push_back("SHLVL=" + std::to_string(Up(20)));
    if (Of(50))
      entries.push_back("PWD=" + Directory());
    if (Of(50))
      entries.push_back("OLDPWD=" + Directory());
    std::shuffle(entries.begin(), entries.end(), random_);
    return entries;
  }

  std::string Line(const std::string& program, const Entries& entries) {
    std::string line;
    if (Of(20))
      line += ": && ";
    for (size_t count = Of(50) ? 0 : Up(3); count > 0; --count)
      line += "cd " +
              One(Entries{"..", ".", "sub", "../real", "up", "link", "/",
                          "../../", "./sub/", "/tmp", *dir_ / "link",
                          *dir_ / "real/up", "../link/sub"}) +
              " && ";
    for (size_t count = Of(50) ? 0 : Up(9); count > 0; --count) {
      std::string name = Name();
      if (!entries.empty() && Of(40))
        name = One(entries).substr(0, One(entries).find('='));
      line += name + "='" + Value() + "' ";
    }
    static const Entries kForms = {
        "%",      "% && :",      "% 2>/dev/null", "% 2>&1 && true",
        "exec %", "% </dev/null"};
    std::string form = One(kForms);
    return line + form.replace(form.find('%'), 1, program);
  }

 private:
  const TempDir* dir_;
  std::mt19937 random_{20240117};
};

TEST_P(ShellEnvironmentTest, ByChance) {
  Chance chance(&dir_);
  constexpr int kCases = 500;
  int told = 0;
  for (int i = 0; i < kCases && !HasFailure(); ++i) {
    SCOPED_TRACE(i);
    const std::string cwd = chance.One(
        Entries{dir_ / "real", dir_ / "real/sub", dir_ / "other", dir_.path()});
    Entries entries = chance.Environment();
    if (chance.Of(30))
      entries.push_back("PWD=" + cwd);
    std::string line = chance.Line(probe_, entries);
    told += ExpectSame(line, cwd, entries);
  }
  if (!HasFailure()) {
    EXPECT_GT(told, kCases / 5);
  }
}

}  // namespace
}  // namespace launcher
