// Which command lines are left to the shell, and why.
//
// SPDX-License-Identifier: Apache-2.0

#include <gtest/gtest.h>
#include <string.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "support/command_line_test.h"

namespace launcher {
namespace {

constexpr Shell kAllShells[] = {Shell::kDash, Shell::kBash, Shell::kBusybox};

/// All that is one in dash, bash or busybox ash, in any configuration.
constexpr const char* kBuiltins[] = {
    ".",       ":",         "[",        "alias",    "bg",      "bind",
    "break",   "builtin",   "caller",   "cd",       "chdir",   "command",
    "compgen", "complete",  "compopt",  "continue", "declare", "dirs",
    "disown",  "echo",      "enable",   "eval",     "exec",    "exit",
    "export",  "false",     "fc",       "fg",       "getopts", "hash",
    "help",    "history",   "jobs",     "kill",     "let",     "local",
    "logout",  "mapfile",   "popd",     "printf",   "pushd",   "pwd",
    "read",    "readarray", "readonly", "return",   "set",     "shift",
    "shopt",   "source",    "suspend",  "test",     "times",   "trap",
    "true",    "type",      "typeset",  "ulimit",   "umask",   "unalias",
    "unset",   "wait"};

constexpr const char* kReservedWords[] = {
    "!",      "]]",   "case", "coproc", "do",       "done", "elif",
    "else",   "esac", "fi",   "for",    "function", "if",   "in",
    "select", "then", "time", "until",  "while",    "}"};

struct Case {
  std::string line;
  std::string reason;
};

void ExpectReasons(const std::vector<Case>& cases) {
  for (const Case& c : cases)
    for (Shell shell : kAllShells)
      EXPECT_EQ("shell: " + c.reason, ReadLine(c.line, shell)) << c.line;
}

bool IsShells(const std::string& line) {
  return std::all_of(std::begin(kAllShells), std::end(kAllShells),
                     [&](Shell shell) {
                       return ReadLine(line, shell).starts_with("shell: ");
                     });
}

TEST(CommandLineReasonTest, Expansions) {
  ExpectReasons({
      {"x $A", "expansion '$'"},
      {"x \"$A\"", "expansion '$'"},
      {"x a$", "expansion '$'"},
      {"x $'a'", "expansion '$'"},
      {"x $\"a\"", "expansion '$'"},
      {"A=$B x", "expansion '$'"},
      {"x >$A", "expansion '$'"},
      {"x `a`", "command substitution '`'"},
      {"x \"`a`\"", "command substitution '`'"},
      {"x *.c", "glob '*'"},
      {"x a?", "glob '?'"},
      {"x [ab]", "glob '['"},
      {"x >*", "glob '*'"},
      {"x '*'*", "glob '*'"},
      {"x {a,b}", "brace '{'"},
      {"x a{1..2}", "brace '{'"},
  });
}

TEST(CommandLineReasonTest, Tildes) {
  ExpectReasons({
      {"x ~", "tilde '~'"},
      {"x ~/a", "tilde '~'"},
      {"~/x", "tilde '~'"},
      {"x ~\"a\"", "tilde '~'"},
      {"A=~ x", "tilde '~'"},
      {"A=a:~/b x", "tilde '~'"},
      {"A=~b x", "tilde '~'"},
      {"x >~/a", "tilde '~'"},
      // In some shells and in no other.
      {"x a=~", "tilde '~'"},
      {"x --a=~/b", "tilde '~'"},
      {"x a:~", "tilde '~'"},
  });
  for (Shell shell : kAllShells) {
    EXPECT_EQ("[x] [a~]", ReadLine("x a~", shell));
    EXPECT_EQ("[x] [a/~]", ReadLine("x a/~", shell));
    EXPECT_EQ("[x] [a~:b]", ReadLine("x a~:b", shell));
  }
  ExpectReasons({{"A=\\\n~ x", "tilde '~'"}});
}

TEST(CommandLineReasonTest, Operators) {
  ExpectReasons({
      {"a | b", "pipe '|'"},
      {"a || b", "pipe '|'"},
      {"a |& b", "pipe '|'"},
      {"a; b", "operator ';'"},
      {"a;", "operator ';'"},
      {"a & b", "operator '&'"},
      {"a &", "operator '&'"},
      {"(a)", "subshell '('"},
      {"a )", "subshell ')'"},
      {"a() b", "subshell '('"},
      {"a\nb", "newline"},
      {"a\n", "newline"},
      {"\na", "newline"},
      {"a &&\nb", "newline"},
      {"a # b", "comment '#'"},
      {"#a", "comment '#'"},
      {"a && #b", "comment '#'"},
      {"a \\\n#b", "comment '#'"},
      {"&& a", "nothing beside '&&'"},
      {"a &&", "nothing beside '&&'"},
      {"a && && b", "nothing beside '&&'"},
  });
  EXPECT_TRUE(IsShells("a &&& b"));
}

TEST(CommandLineReasonTest, Redirections) {
  ExpectReasons({
      {"x <<E", "redirection '<<'"},
      {"x <<<a", "redirection '<<'"},
      {"x <>f", "redirection '<>'"},
      {"x >|f", "redirection '>|'"},
      {"x >f >|g", "redirection '>|'"},
      {"x > >f", "redirection without a name"},
      {"x >", "redirection without a name"},
      {"x >''", "redirection without a name"},
      {"x > && y", "redirection without a name"},
      {"x >/dev/stdout", "redirection to '/dev/stdout'"},
      {"x 2>/dev/fd/1", "redirection to '/dev/fd/1'"},
      {"x </dev/tcp/a/1", "redirection to '/dev/tcp/a/1'"},
      {"x >/proc/self/fd/1", "redirection to '/proc/self/fd/1'"},
      {"x >(a)", "subshell '('"},
      {"x <(a)", "subshell '('"},
      {"x 9>f", "descriptor '9'"},
  });
  EXPECT_TRUE(IsShells("x >>|f"));
  EXPECT_TRUE(IsShells("x >>>f"));
  EXPECT_TRUE(IsShells("x {a}>f"));
}

TEST(CommandLineReasonTest, BadQuotes) {
  ExpectReasons({
      {"x 'a", "unmatched '''"},
      {"x '", "unmatched '''"},
      {"x \"a", "unmatched '\"'"},
      {"x \"a\\\"", "unmatched '\"'"},
      {"x \"a\\", "unmatched '\"'"},
      {"x 'a\\'b'", "unmatched '''"},
      {"x \\", "a backslash at the end"},
      {"\\", "a backslash at the end"},
      {"x a\\", "a backslash at the end"},
  });
}

TEST(CommandLineReasonTest, OptionsOfTheShell) {
  ExpectReasons({
      {"-x", "an option of the shell '-'"},
      {"-c a", "an option of the shell '-'"},
      {"-", "an option of the shell '-'"},
      {"+x", "an option of the shell '+'"},
      {"+e a", "an option of the shell '+'"},
  });
  // Behind a blank it is a program.
  EXPECT_EQ("[-x]", ReadLine(" -x", Shell::kDash));
}

TEST(CommandLineReasonTest, CommandsWithoutAProgram) {
  ExpectReasons({
      {"A=b", "no program in a command"},
      {"A=b B=c", "no program in a command"},
      {">f", "no program in a command"},
      {"<f", "no program in a command"},
      {"2>&1", "no program in a command"},
      {"A=b && x", "no program in a command"},
      {"x && >f", "no program in a command"},
      {"cd a", "cd without a program after it"},
      {"x && cd /a", "cd without a program after it"},
      {"x && cd a && y", "cd to a relative name behind a program"},
      {"cd a && x && cd .. && y", "cd to a relative name behind a program"},
      {"cd a && cd b", "cd without a program after it"},
      {"cd a && true", "cd without a program after it"},
      {"cd a && false && x", "cd without a program after it"},
      {"cd a && exit 3", "cd without a program after it"},
  });
}

TEST(CommandLineReasonTest, Assignments) {
  ExpectReasons({
      {"1=b x", "word with '=' before the command '1=b'"},
      {"=b x", "word with '=' before the command '=b'"},
      {"a-b=c x", "word with '=' before the command 'a-b=c'"},
      {"a+=c x", "word with '=' before the command 'a+=c'"},
      {"\"A\"=c x", "word with '=' before the command '\"A\"=c'"},
      {"A\\B=c x", "word with '=' before the command 'A\\B=c'"},
      {"./a=b x", "word with '=' before the command './a=b'"},
      {"a[1]=c x", "glob '['"},
  });
  for (const char* name :
       {"_",      "EUID",     "FUNCNAME", "GROUPS",    "IFS",
        "LINENO", "OLDPWD",   "OPTIND",   "PATH",      "POSIXLY_CORRECT",
        "PPID",   "PWD",      "RANDOM",   "SHELLOPTS", "SHLVL",
        "UID",    "BASH_ENV", "BASHOPTS", "COMP_LINE", "EPOCHSECONDS"})
    ExpectReasons({{std::string(name) + "=1 x",
                    "assignment to '" + std::string(name) + "'"},
                   {"x && A=1 " + std::string(name) + "= y",
                    "assignment to '" + std::string(name) + "'"}});
  EXPECT_EQ("PATHS=1 XPATH=1 [x]", ReadLine("PATHS=1 XPATH=1 x", Shell::kBash));
}

TEST(CommandLineReasonTest, LocaleIsBashs) {
  for (const char* line :
       {"LC_ALL=xx_YY x", "LC_CTYPE=de_DE.UTF-8 x", "LC_TIME=CC x", "LC_ALL= x",
        "LANG=xx_YY x", "LANG= x"}) {
    EXPECT_EQ(0u, ReadLine(line, Shell::kBash).find("shell: assignment to "))
        << line;
    EXPECT_EQ(0u, ReadLine(line, Shell::kDash).find("L")) << line;
    EXPECT_EQ(0u, ReadLine(line, Shell::kBusybox).find("L")) << line;
  }
  EXPECT_EQ("LANG=C LANGUAGE=xx [x]",
            ReadLine("LANG=C LANGUAGE=xx x", Shell::kBash));
}

TEST(CommandLineReasonTest, BytesThatBashKeeps) {
  for (const char* byte : {"\001", "\177"}) {
    for (const char* form : {"x a", "x '", "x \"", "x \\", "x >", "A=", ""}) {
      std::string line = std::string(form) + byte;
      if (line.find('\'') != line.npos)
        line += "'";
      if (line.find('"') != line.npos)
        line += "\"";
      EXPECT_EQ("shell: a byte that bash keeps for itself",
                ReadLine(line, Shell::kBash))
          << line;
    }
  }
}

TEST(CommandLineReasonTest, ExitAndExec) {
  for (const char* line :
       {"exit", "exit a", "exit -1", "exit 256", "exit 1 2", "exit ''",
        "exit 00001", "exit 3 >f", "A=1 exit 3", "x && exit"})
    ExpectReasons({{line, "builtin 'exit'"}});
  for (const char* line : {"exec", "exec >f", "exec -a b c", "exec -- x",
                           "A=1 exec x", "x && exec"})
    ExpectReasons({{line, "builtin 'exec'"}});
  ExpectReasons({
      {"exit 0 && x", "a command after 'exit'"},
      {"exit 1 && x", "a command after 'exit'"},
      {"exec x && y", "a command after 'exec'"},
      {"exec x && true", "a command after 'exec'"},
  });
}

TEST(CommandLineReasonTest, Builtins) {
  for (const char* name : kBuiltins) {
    const std::string word = name;
    if (word == "exec")
      continue;  // Can be had without the shell.
    const bool glob = word == "[";
    std::string reason = glob ? "glob '['" : "builtin '" + word + "'";
    ExpectReasons({{word + " a b", reason},
                   {"x && " + word + " a b", reason},
                   {"A=1 " + word + " a b", reason},
                   {">f " + word + " a b", reason}});
    // Quotes do not make it another command.
    EXPECT_TRUE(IsShells("\\" + word + " a b")) << word;
    EXPECT_TRUE(IsShells("'" + word + "' a b")) << word;
    EXPECT_TRUE(IsShells(word + " a b && x")) << word;
    if (!glob && word != ":" && word != "true" && word != "false") {
      EXPECT_TRUE(IsShells(word)) << word;
      EXPECT_TRUE(IsShells("x && " + word)) << word;
    }
  }
  ExpectReasons({{"true >f", "builtin 'true'"},
                 {"A=1 :", "builtin ':'"},
                 {"false a", "builtin 'false'"},
                 {"'[' a ]", "builtin '['"}});
}

TEST(CommandLineReasonTest, ReservedWords) {
  for (const char* name : kReservedWords) {
    const std::string word = name;
    std::string reason = "reserved word '" + word + "'";
    ExpectReasons({{word + " a b", reason},
                   {word, reason},
                   {"x && " + word + " a b", reason}});
  }
  EXPECT_TRUE(IsShells("{ a"));
  EXPECT_TRUE(IsShells("[[ a ]]"));
}

TEST(CommandLineReasonTest, Jobs) {
  ExpectReasons({{"%1 a", "job '%1'"}, {"x && %", "job '%'"}});
  EXPECT_EQ("[./%1] [%1]", ReadLine("./%1 %1", Shell::kBash));
}

TEST(CommandLineReasonTest, LeaderOfTheGroup) {
  ExpectReasons(
      {{"setsid x", "setsid, which asks who leads the process group"},
       {"x && setsid y", "setsid, which asks who leads the process group"}});
  EXPECT_EQ("[/usr/bin/x] [setsid]",
            ReadLine("/usr/bin/x setsid", Shell::kDash));
  EXPECT_TRUE(IsShells("/usr/bin/setsid x"));
}

// GNU make 4.3 starts a line without the shell where it sees nothing in it that
// needs one. It takes builtins that are programs too for these programs.

bool MakeNeedsNoShell(const std::string& line) {
  static const std::set<std::string> kCommands = {
      ".",       ":",        "alias",    "bg",     "break", "case",    "cd",
      "command", "continue", "eval",     "exec",   "exit",  "export",  "fc",
      "fg",      "for",      "getopts",  "hash",   "if",    "jobs",    "login",
      "logout",  "read",     "readonly", "return", "set",   "shift",   "test",
      "times",   "trap",     "type",     "ulimit", "umask", "unalias", "unset",
      "wait",    "while"};
  std::string first;
  bool in_first = true;
  for (size_t at = 0; at < line.size(); ++at) {
    char c = line[at];
    if (c == '\'') {
      size_t end = line.find('\'', at + 1);
      if (end == line.npos)
        return false;
      first += in_first ? line.substr(at + 1, end - at - 1) : "";
      at = end;
    } else if (c == '\\' && at + 1 < line.size()) {
      ++at;
      first += in_first ? line.substr(at, 1) : "";
    } else if (strchr("#;\"*?[]&|<>(){}$`^~!", c)) {
      return false;
    } else if (c == ' ' || c == '\t') {
      in_first &= first.empty();
    } else if (in_first) {
      first.push_back(c);
    }
  }
  return !kCommands.count(first);
}

TEST(CommandLineReasonTest, NeverLessExactThanMake) {
  // make's own rule, to be sure of it.
  EXPECT_TRUE(MakeNeedsNoShell("cc -c 'a b' c\\ d"));
  EXPECT_FALSE(MakeNeedsNoShell("cc \"a\""));
  EXPECT_FALSE(MakeNeedsNoShell("cd a"));

  std::set<std::string> all(std::begin(kBuiltins), std::end(kBuiltins));
  all.insert(std::begin(kReservedWords), std::end(kReservedWords));
  all.insert({"{", "[["});
  std::set<std::string> taken_by_make;
  for (const std::string& word : all) {
    const std::string line = word + " a b";
    EXPECT_EQ(word != "exec", IsShells(line)) << line;
    if (MakeNeedsNoShell(line))
      taken_by_make.insert(word);
  }
  // Where it goes by the program although the shell has its own.
  for (const char* word : {"echo", "printf", "pwd", "kill", "time", "local",
                           "true", "false", "let", "source", "declare"})
    EXPECT_EQ(1u, taken_by_make.count(word)) << word;

  for (const char* line : {"echo a\\\\b",    "echo -n a", "echo '\\n'",
                           "printf '%d' 08", "pwd -L",    "kill -l 1",
                           "time x",         "local a=b", "'[' a '=' a ']'",
                           "\\[ a = a \\]",  "setsid x",  "A=~ x",
                           "-x a",           "IFS=a x",   "SHLVL=1 x",
                           "OPTIND=a x",     "UID=1 x",   "PWD=/ x",
                           "x 'a",           "x \\",      "'time' x",
                           "ec'h'o a",       "chdir a",   "then",
                           "done",           "a=b"}) {
    EXPECT_TRUE(IsShells(line)) << line;
  }
  // And where both go without a shell, it is to the same words.
  for (const char* line : {"cc -c a.c", "cc 'a b' c\\ d", "x '' ''",
                           "x 'a'\\''b'", "x a=b %c @d +e ,f"}) {
    EXPECT_TRUE(MakeNeedsNoShell(line)) << line;
    EXPECT_FALSE(IsShells(line)) << line;
  }
}

}  // namespace
}  // namespace launcher
