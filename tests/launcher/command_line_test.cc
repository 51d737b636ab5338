// What is made of a command line: the plan. Why there is none:
// command_line_reason_test.cc.
//
// SPDX-License-Identifier: Apache-2.0

#include "command_line.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "support/command_line_test.h"

namespace launcher {
namespace {

constexpr Shell kAllShells[] = {Shell::kDash, Shell::kBash, Shell::kBusybox};

struct Case {
  std::string line;
  std::string plan;
};

/// Expects these plans of all three shells.
void ExpectPlans(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    for (Shell shell : kAllShells) {
      SCOPED_TRACE("shell " + std::to_string(int(shell)) + ": " + c.line);
      EXPECT_EQ(c.plan, ReadLine(c.line, shell));
    }
  }
}

TEST(CommandLineTest, Words) {
  ExpectPlans({
      {"cc", "[cc]"},
      {"cc -c a.c -o a.o", "[cc] [-c] [a.c] [-o] [a.o]"},
      {" \t cc \t\t a ", "[cc] [a]"},
      {"/usr/bin/cc ./a ../b", "[/usr/bin/cc] [./a] [../b]"},
      {"cc -", "[cc] [-]"},
      {"cc -- +x", "[cc] [--] [+x]"},
      {"cc 1 22 3a", "[cc] [1] [22] [3a]"},
      {"7z x", "[7z] [x]"},
      // Characters that mean nothing where they stand.
      {"x a#b a# a~ a~b ^ % @ , + ] ! }",
       "[x] [a#b] [a#] [a~] [a~b] [^] [%] "
       "[@] [,] [+] []] [!] [}]"},
      {"x a:b a=b =a = a== -Da=b", "[x] [a:b] [a=b] [=a] [=] [a==] [-Da=b]"},
      {"x if then do in time case", "[x] [if] [then] [do] [in] [time] [case]"},
      {"x echo cd exit true", "[x] [echo] [cd] [exit] [true]"},
      {"x A=1 B=2", "[x] [A=1] [B=2]"},
      {"env A=1 x", "[env] [A=1] [x]"},
  });
}

TEST(CommandLineTest, SingleQuotes) {
  ExpectPlans({
      {"x 'a b'", "[x] [a b]"},
      {"x 'a'\"b\"c", "[x] [abc]"},
      {"x ''", "[x] []"},
      {"x '' '' a''", "[x] [] [] [a]"},
      {"x '$a `b` \\ \\\\ \" # ~ * ? [ { | ; & < > ( )'",
       "[x] [$a `b` \\ \\\\ \" # ~ * ? [ { | ; & < > ( )]"},
      {"x 'a\tb\nc'", "[x] [a\tb\nc]"},
      {"'cc' a", "[cc] [a]"},
      {"'a b' c", "[a b] [c]"},
      {"x '~' '#' '~'a '#'a", "[x] [~] [#] [~a] [#a]"},
      {"x 'a'~ 'a'#", "[x] [a~] [a#]"},
  });
}

TEST(CommandLineTest, DoubleQuotes) {
  ExpectPlans({
      {"x \"a b\"", "[x] [a b]"},
      {"x \"\"", "[x] []"},
      {"x \"'\" \"a'b'\"", "[x] ['] [a'b']"},
      {"x \"# ~ * ? [ { | ; & < > ( ) !\"",
       "[x] [# ~ * ? [ { | ; & < > ( ) !]"},
      {"x \"\\$\\`\\\"\\\\\"", "[x] [$`\"\\]"},
      {"x \"\\a \\n \\' \\* \\~\"", "[x] [\\a \\n \\' \\* \\~]"},
      {"x \"a\\\nb\"", "[x] [ab]"},
      {"x \"a\nb\"", "[x] [a\nb]"},
      {"x \"a\\\\\nb\"", "[x] [a\\\nb]"},
      {"-x\"\"", "shell: an option of the shell '-'"},
      {"\"-x\" a", "[-x] [a]"},
  });
}

TEST(CommandLineTest, Backslashes) {
  ExpectPlans({
      {"x a\\ b", "[x] [a b]"},
      {"x \\a\\\\b", "[x] [a\\b]"},
      {"x \\$ \\` \\* \\? \\[ \\{ \\| \\; \\& \\( \\) \\< \\> \\# \\~",
       "[x] [$] [`] [*] [?] [[] [{] [|] [;] [&] [(] [)] [<] [>] [#] [~]"},
      {"x \\' \\\"", "[x] ['] [\"]"},
      {"x \\\ta", "[x] [\ta]"},
      {"\\cc a", "[cc] [a]"},
      {"x '\\'", "[x] [\\]"},
      {"x a=\\~", "[x] [a=~]"},
      {"x a=\\~/b:\\~", "[x] [a=~/b:~]"},
  });
}

TEST(CommandLineTest, Continuations) {
  ExpectPlans({
      {"x \\\n a", "[x] [a]"},
      {"x a\\\nb", "[x] [ab]"},
      {"x\\\n a", "[x] [a]"},
      {"\\\nx", "[x]"},
      {"x a\\\n", "[x] [a]"},
      {"x \\\n\\\n\\\n", "[x]"},
      {"x '\\\n'", "[x] [\\\n]"},
      {"x >\\\nf", "[x] 1>f"},
      {"x > \\\n f", "[x] 1>f"},
      {"a && \\\n b", "[a] &&@8/1 [b]"},
      {"A\\\nB=1 x", "shell: word with '=' before the command 'A\\\nB=1'"},
  });
}

TEST(CommandLineTest, AnyByte) {
  for (int byte = 1; byte < 256; ++byte) {
    const std::string c(1, static_cast<char>(byte));
    for (Shell shell : kAllShells) {
      SCOPED_TRACE(byte);
      bool kept = shell == Shell::kBash && (byte == 1 || byte == 127);
      std::string plan =
          kept ? "shell: a byte that bash keeps for itself" : "[x] [" + c + "]";
      if (c != "'") {
        EXPECT_EQ(plan, ReadLine("x '" + c + "'", shell));
      }
      if (!strchr("\"\\$`", byte)) {
        EXPECT_EQ(plan, ReadLine("x \"" + c + "\"", shell));
      }
      if (byte != '\n') {
        EXPECT_EQ(plan, ReadLine("x \\" + c, shell));
      }
      // Vertical tab, form feed and carriage return are no blanks.
      if (byte < ' ' && byte != '\t' && byte != '\n') {
        EXPECT_EQ(plan, ReadLine("x " + c, shell));
      }
      if (byte > 127) {
        EXPECT_EQ("[x] [a" + c + "b]", ReadLine("x a" + c + "b", shell));
        EXPECT_EQ("[" + c + "]", ReadLine(c, shell));
      }
    }
  }
}

TEST(CommandLineTest, Assignments) {
  ExpectPlans({
      {"A=1 x", "A=1 [x]"},
      {"A=1 B=2 x A=3", "A=1 B=2 [x] [A=3]"},
      {"_a9=b x", "_a9=b [x]"},
      {"A= x", "A= [x]"},
      {"A='' x", "A= [x]"},
      {"A=a\\ b\"c d\"'e f' x", "A=a bc de f [x]"},
      {"A=b=c x", "A=b=c [x]"},
      {"A=1 A=2 x", "A=1 A=2 [x]"},
      {"A='~' B=a~ x", "A=~ B=a~ [x]"},
      {"A=1 >f B=2 x", "A=1 1>f B=2 [x]"},
      {"LD_PRELOAD_= HOME=/ x", "LD_PRELOAD_= HOME=/ [x]"},
      {"a && B=1 c", "[a] &&@5/0 B=1 [c]"},
      {"LC_ALL=C x", "LC_ALL=C [x]"},
      {"LC_CTYPE=C.UTF-8 LC_TIME=POSIX x",
       "LC_CTYPE=C.UTF-8 LC_TIME=POSIX [x]"},
  });
}

TEST(CommandLineTest, Redirections) {
  ExpectPlans({
      {"x >f", "[x] 1>f"},
      {"x > f", "[x] 1>f"},
      {"x>f", "[x] 1>f"},
      {">f x", "1>f [x]"},
      {"x >f a", "[x] 1>f [a]"},
      {"x >>f", "[x] 1>>f"},
      {"x >> f", "[x] 1>>f"},
      {"x <f", "[x] 0<f"},
      {"x <f >g 2>>h", "[x] 0<f 1>g 2>>h"},
      {"x >f>g", "[x] 1>f 1>g"},
      {"x >'a b'", "[x] 1>a b"},
      {"x >a\"b\"\\c", "[x] 1>abc"},
      {"x >/dev/null", "[x] 1>/dev/null"},
      {"x >'/dev/null'", "[x] 1>/dev/null"},
      {"x >~", "shell: tilde '~'"},
      {"x >a=b", "[x] 1>a=b"},
      {"x >1", "[x] 1>1"},
      {"x >-", "[x] 1>-"},
      {"x > if", "[x] 1>if"},
  });
}

TEST(CommandLineTest, DescriptorsOfRedirections) {
  ExpectPlans({
      {"x 2>f", "[x] 2>f"},
      {"x 0<f 1>g 2>h", "[x] 0<f 1>g 2>h"},
      {"x 1<f 0>g", "[x] 1<f 0>g"},
      {"2>f x", "2>f [x]"},
      {"x a2>f", "[x] [a2] 1>f"},
      {"x 2 >f", "[x] [2] 1>f"},
      {"x \"2\">f", "shell: descriptor '\"2\"'"},
      {"x '2'>f", "shell: descriptor ''2''"},
      {"x \\2>f", "shell: descriptor '\\2'"},
      {"x 2\"\">f", "shell: descriptor '2\"\"'"},
      {"x 3>f", "shell: descriptor '3'"},
      {"x 12>f", "shell: descriptor '12'"},
      {"x 02>f", "shell: descriptor '02'"},
      {"x 2\\\n>f", "shell: descriptor '2\\\n'"},
      {"x -2>f", "[x] [-2] 1>f"},
      {"x 2>f2>g", "[x] 2>f2 1>g"},
  });
}

TEST(CommandLineTest, CopiesOfDescriptors) {
  ExpectPlans({
      {"x 2>&1", "[x] 2=1"},
      {"x >&2", "[x] 1=2"},
      {"x >f 2>&1", "[x] 1>f 2=1"},
      {"x 2>&1 >f", "[x] 2=1 1>f"},
      {"x 2>&1 a", "[x] 2=1 [a]"},
      {"2>&1 x", "2=1 [x]"},
      {"x 2>&1&& y", "[x] 2=1 &&@9/0 [y]"},
      {"x <&0", "[x] 0=0"},
      {"x 2>&0", "[x] 2=0"},
      {"x >&f", "shell: redirection '>&'"},
      {"x >&3", "shell: redirection '>&'"},
      {"x 2>&-", "shell: redirection '>&'"},
      {"x 2>&12", "shell: redirection '>&'"},
      {"x 2>& 1", "shell: redirection '>&'"},
      {"x 2>&", "shell: redirection '>&'"},
      {"x 2>&1>f", "shell: redirection '>&'"},
      {"x <&-", "shell: redirection '<&'"},
  });
}

TEST(CommandLineTest, BothStreams) {
  for (const char* line : {"x &>f", "x &> f", "x\t&>\\\nf"}) {
    EXPECT_EQ("shell: operator '&'", ReadLine(line, Shell::kDash)) << line;
    EXPECT_EQ("[x] 1>f 2=1", ReadLine(line, Shell::kBash)) << line;
    EXPECT_EQ("[x] 1>f 2=1", ReadLine(line, Shell::kBusybox)) << line;
  }
  EXPECT_EQ("1>f 2=1 [x]", ReadLine("&>f x", Shell::kBash));
  for (const char* line :
       {"x &>>f", "x &>&f", "x &>|f", "x &>", "x &> && y", "x 2&>f", "x&>f"}) {
    for (Shell shell : kAllShells)
      EXPECT_EQ(0u, ReadLine(line, shell).find("shell: ")) << line;
  }
}

TEST(CommandLineTest, Lists) {
  ExpectPlans({
      {"a && b", "[a] &&@5/0 [b]"},
      {"a&&b", "[a] &&@3/0 [b]"},
      {"a 1 && b 2 && c 3", "[a] [1] &&@7/0 [b] [2] &&@14/0 [c] [3]"},
      {"a '&&' \"&&\" \\&\\& b", "[a] [&&] [&&] [&&] [b]"},
      {"a >f && <f b", "[a] 1>f &&@8/0 0<f [b]"},
      // The lines that are done count: messages of a later shell name them.
      {"a '1\n2\n3' && b '\n' && c",
       "[a] [1\n2\n3] &&@13/2 [b] [\n] "
       "&&@22/3 [c]"},
      {"a \"\n\" &&\\\n\\\nb", "[a] [\n] &&@12/3 [b]"},
      {"a x\\\ny \"x\\\ny\" && b", "[a] [xy] [xy] &&@17/2 [b]"},
  });
}

TEST(CommandLineTest, ChangesOfDirectory) {
  ExpectPlans({
      {"cd a && x", "cd a &&@8/0 [x]"},
      {"cd a && cd b/c && x", "cd a &&@8/0 cd b/c &&@18/0 [x]"},
      {"cd 'a b' && x", "cd a b &&@12/0 [x]"},
      {"x && cd /a && y", "[x] &&@5/0 cd /a &&@14/0 [y]"},
      {"cd a && x && cd /b && y", "cd a &&@8/0 [x] &&@13/0 cd /b &&@22/0 [y]"},
      {"cd / && x", "cd / &&@8/0 [x]"},
      {"cd .. && x", "cd .. &&@9/0 [x]"},
      {"cd ../../a/./b && x", "cd ../../a/./b &&@18/0 [x]"},
      {"cd /a//b/ && x", "cd /a//b/ &&@13/0 [x]"},
      {"cd . && x", "cd . &&@8/0 [x]"},
      {"cd ...a/..b && x", "cd ...a/..b &&@15/0 [x]"},
      {"cd a && exec x", "cd a &&@8/0 exec [x]"},
  });
  for (const char* line :
       {"cd && x", "cd - && x", "cd -P a && x", "cd -- a && x", "cd '' && x",
        "cd a b && x", "cd a/.. && x", "cd ./.. && x", "cd ../a/../b && x",
        "cd //a && x", "cd a >f && x", "A=1 cd a && x", "cd /../a/.. && x"}) {
    for (Shell shell : kAllShells)
      EXPECT_EQ("shell: builtin 'cd'", ReadLine(line, shell)) << line;
  }
}

TEST(CommandLineTest, Constants) {
  ExpectPlans({
      {"", ""},
      {" \t \\\n ", ""},
      {":", "status 0"},
      {"true", "status 0"},
      {"false", "status 1"},
      {"tr'u'e", "status 0"},
      {"true && x", "status 0 &&@8/0 [x]"},
      {"false && x", "status 1 &&@9/0 [x]"},
      {"x && true", "[x] &&@5/0 status 0"},
      {"x && false && y", "[x] &&@5/0 status 1 &&@14/0 [y]"},
      {"exit 0", "status 0"},
      {"exit 7", "status 7"},
      {"exit 255", "status 255"},
      {"exit 007", "status 7"},
      {"x && exit 3", "[x] &&@5/0 status 3"},
      {"cd a && true && x", "shell: cd without a program after it"},
  });
}

TEST(CommandLineTest, Exec) {
  ExpectPlans({
      {"exec x", "exec [x]"},
      {"exec x a", "exec [x] [a]"},
      {"a && exec b", "[a] &&@5/0 exec [b]"},
      {"exec x >f", "exec [x] 1>f"},
      {">f exec x", "1>f exec [x]"},
      {"exec env A=1 x", "exec [env] [A=1] [x]"},
  });
}

// Room.

TEST(CommandLineTest, EveryTooSmallRoomIsSaid) {
  for (const std::string& line :
       {std::string("A=1 x a b >f 2>&1 && cd / && y && exit 3"),
        std::string("cd a && exec b c"), std::string("exit 3"),
        std::string("x"), std::string("a && b && c && true")}) {
    SCOPED_TRACE(line);
    const std::string plan = ReadLine(line, Shell::kDash);
    bool fits = false;
    for (size_t room = 0; room <= 20; ++room) {
      std::string read = ReadLine(line, Shell::kDash, room);
      if (read == plan)
        fits = true;
      else
        EXPECT_EQ("no room", read);
      EXPECT_EQ(fits, read == plan) << room;
      EXPECT_FALSE(fits && room == 0);
    }
    EXPECT_TRUE(fits);
  }
  EXPECT_EQ("", ReadLine("", Shell::kDash, 0));
}

TEST(CommandLineTest, Mebibyte) {
  const size_t size = 1 << 20;
  std::string line = "x '" + std::string(size, 'y') + "'";
  EXPECT_EQ("[x] [" + std::string(size, 'y') + "]",
            ReadLine(line, Shell::kDash));
  line = "x " + std::string(size, '\\') + " b";
  EXPECT_EQ("[x] [" + std::string(size / 2, '\\') + "] [b]",
            ReadLine(line, Shell::kDash));
  line = "x";
  std::string plan = "[x]";
  for (size_t i = 0; i < size / 2; ++i) {
    line += " y";
    plan += " [y]";
  }
  EXPECT_EQ(plan, ReadLine(line, Shell::kBash, size));
  EXPECT_EQ("no room", ReadLine(line, Shell::kBash, size / 2));
}

// ReadLine() looks at the bytes around what may be written to.
TEST(CommandLineTest, AnyTextStaysWithinItsRoom) {
  constexpr const char* kPieces[] = {
      "a",  "cd", " ",   "\t",  "'",   "\"", "\\",   "\n",   "&&",   "=",
      ">",  "<",  "2",   "&1",  "#",   "~",  "A=",   "exec", "exit", "1",
      "..", "/",  "\\n", "x y", "'b'", "&>", "true", "-",    "\177"};
  std::mt19937 random(20240117);
  int plans = 0;
  for (int i = 0; i < 30'000; ++i) {
    std::string line;
    for (size_t pieces = random() % 12; pieces > 0; --pieces)
      line += kPieces[random() % std::size(kPieces)];
    SCOPED_TRACE(line);
    for (Shell shell : kAllShells) {
      const std::string all = ReadLine(line, shell);
      plans += !all.starts_with("shell: ");
      std::string little = ReadLine(line, shell, random() % 8);
      if (little != all) {
        EXPECT_EQ("no room", little);
      }
    }
  }
  EXPECT_GT(plans, 3000);
}

}  // namespace
}  // namespace launcher
