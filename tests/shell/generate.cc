// SPDX-License-Identifier: Apache-2.0

#include "generate.h"

#include <signal.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "corpus.h"
#include "programs.h"

namespace shell_fuzz {
namespace {

constexpr const char* kDirectories[] = {"real",
                                        "real/deep",
                                        "link",
                                        "link/deep",
                                        "link/..",
                                        "..",
                                        ".",
                                        "",
                                        "-",
                                        "real/",
                                        "real//",
                                        "//",
                                        "/",
                                        "@W@",
                                        "@W@/",
                                        "@W@/real",
                                        "@W@/link",
                                        "@W@/link/..",
                                        "../w",
                                        "./real",
                                        "missing",
                                        "file",
                                        "shut",
                                        "dark",
                                        "loop",
                                        "dangling",
                                        "tofile",
                                        "a b",
                                        "abs",
                                        "abs/..",
                                        "up",
                                        "up/w",
                                        "up/..",
                                        "~",
                                        "~/real",
                                        "@R@/top",
                                        "/@W@",
                                        "@W@//real",
                                        "--",
                                        "-P",
                                        "-L",
                                        "-- real",
                                        "-P link",
                                        "-L link",
                                        "-e real",
                                        "-@ real",
                                        "real x",
                                        "./-",
                                        "real/..",
                                        "real/../real",
                                        "missing/..",
                                        "file/..",
                                        "shut/x",
                                        "dark/x",
                                        "real/deep/../..",
                                        "...",
                                        "deep",
                                        "@W@/real/deep",
                                        "a\\ b",
                                        "$HOME",
                                        "/proc",
                                        "@W@/missing/../real",
                                        "../../top/w",
                                        "@R@//top/./w/real"};

constexpr const char* kJoints[] = {" && ",     " && ",    " && ",     " && ",
                                   " && ",     "&&",      "&& ",      " &&",
                                   "\t&&\t",   " &&\n",   "&& \\\n",  " && \n ",
                                   " \\\n&& ", "&\\\n& ", " &&\n\n\t"};

constexpr const char* kOtherJoints[] = {
    ";",   "; ", " || ", "||",   " | ",   "|",     "\n",
    " & ", ";;", " ; ",  " |& ", " &&& ", "&& &&", " && # x\n"};

constexpr const char* kTrivial[] = {"true",
                                    "false",
                                    ":",
                                    "exit 0",
                                    "exit 3",
                                    "exit",
                                    "exit 256",
                                    "exit 07",
                                    "exit 255",
                                    "exit -1",
                                    "exit x",
                                    "exit 1 2",
                                    "exit 00",
                                    "exit +1",
                                    "exit ''",
                                    "exit '3'",
                                    "exit 08",
                                    "exit 4294967296",
                                    "exit 130",
                                    "exit 143",
                                    "exit 99999999999999999999",
                                    "exit  7 ",
                                    "exit \\3",
                                    "true x y",
                                    ": a b",
                                    "false --help",
                                    "true --version",
                                    ": --help",
                                    "\"true\"",
                                    "\\:",
                                    "'false'",
                                    "t\\rue",
                                    "\"exit\" 3",
                                    "exit 2147483648",
                                    "exit 1\\\n2",
                                    "exit 0x3",
                                    "exit 3 >f",
                                    "true >f",
                                    ": >f 2>&1",
                                    "A=1 :",
                                    "A=1 true",
                                    "PATH= :",
                                    "PWD=/ true",
                                    "! true"};

constexpr const char* kEnds[] = {
    " ",   "\t",   "\n", "  \n", " # comment", "#x",       ";",   " &",
    " \\", "\\\n", "\r", "\r\n", " && :",      " && true", "\n\n"};

constexpr const char* kInserted[] = {
    " ",  "'",  "\"",  "\\", "$",  "`",    "*",    "?",  "[",    "]",
    "~",  "#",  "=",   "&",  "&&", "|",    ";",    "<",  ">",    ">>",
    "(",  ")",  "{",   "}",  "!",  "^",    "%",    "@",  "+",    ",",
    "\n", "\t", "\r",  ":",  "/",  "2>&1", "\\\n", "''", "\"\"", "$(",
    "=~", ":~", "{,}", "0",  "1",  "2",    "-",    "..", "\\\\", "\\\""};

// What could end or stop more than one line.
constexpr const char* kNever[] = {
    "kill",    "reboot", "halt",  "poweroff", "suspend", "sleep",     "yes",
    "telinit", "crond",  "httpd", "vlock",    "watch",   "/dev/tcp/x"};

bool IsHarmless(const std::string& line) {
  for (const char* word : kNever)
    if (line.find(word) != std::string::npos)
      return false;
  return true;
}

}  // namespace

std::string Generator::Command() {
  std::string text;
  auto add = [&](const std::string& part) {
    if (!text.empty())
      text += Blank();
    text += part;
  };
  if (rng_.OneIn(5))
    for (size_t i = 1 + rng_.Below(2); i-- > 0;)
      add(Assignment());
  if (rng_.OneIn(25))
    add(Redirection());
  if (!rng_.OneIn(60))
    add(Program());
  bool spaced = true;
  for (size_t i = rng_.OneIn(40) ? 60 : rng_.Below(5); i-- > 0;) {
    std::string part = rng_.OneIn(8) ? Redirection() : Word();
    if (spaced && !rng_.OneIn(60))
      add(part);
    else
      text += part;  // Glued to what stands before.
    spaced = !rng_.OneIn(80);
  }
  if (rng_.OneIn(3))
    for (size_t i = 1 + rng_.Below(3); i-- > 0;)
      rng_.OneIn(4) ? void(text += Redirection()) : add(Redirection());
  return text;
}

std::string Generator::Member() {
  switch (rng_.Weighted({70, 12, 5, 2, 2, 1, 1, 1})) {
    case 0:
      return Command();
    case 1:
      return rng_.Pick(kTrivial);
    case 2:
      return (rng_.OneIn(8) ? Quoted("exec") : "exec") + Blank() + Command();
    case 3:
      return std::string(rng_.Pick(kWords)) + " " + Word();
    case 4:
      return Directory();
    case 5:
      return "(" + Command() + ")";
    case 6:
      return "{ " + Command() + "; }";
    default:
      return "";
  }
}

std::string Generator::Directory() {
  std::string text = rng_.OneIn(20) ? Quoted("cd") : "cd";
  if (rng_.OneIn(40))
    text = Assignment() + " " + text;
  if (!rng_.OneIn(40)) {
    std::string directory = rng_.Pick(kDirectories);
    text += Blank() + (rng_.OneIn(3) || directory.empty() ? Quoted(directory)
                                                          : directory);
  }
  if (rng_.OneIn(30))
    text += " " + Redirection();
  return text;
}

std::string Generator::Sequence() {
  std::string line;
  auto join = [&] {
    if (!line.empty())
      line += rng_.OneIn(60) ? rng_.Pick(kOtherJoints) : rng_.Pick(kJoints);
  };
  if (rng_.OneIn(4))
    for (size_t i = rng_.Weighted({0, 8, 3, 1}); i-- > 0;) {
      join();
      line += Directory();
    }
  for (size_t i = rng_.Weighted({0, 55, 20, 13, 7, 5}); i-- > 0;) {
    join();
    line += Member();
  }
  if (rng_.OneIn(12))
    line = Blank() + line;
  if (rng_.OneIn(10))
    line += rng_.Pick(kEnds);
  return line;
}

void Generator::MutateTokens(std::vector<std::string>* tokens) {
  size_t at = rng_.Below(tokens->size());
  std::string& token = (*tokens)[at];
  auto place = tokens->begin() + at;
  switch (rng_.Below(9)) {
    case 0:
      if (tokens->size() > 1)
        tokens->erase(place);
      break;
    case 1:
      tokens->insert(place, Word());
      break;
    case 2:
      token = Word();
      break;
    case 3:
      tokens->insert(place, std::string(token));
      break;
    case 4:
      std::swap(token, (*tokens)[rng_.Below(tokens->size())]);
      break;
    case 5:
      token = Quoted(token);
      break;
    case 6:
      tokens->insert(rng_.OneIn(2) ? tokens->end() : place, Redirection());
      break;
    case 7:
      tokens->insert(place,
                     rng_.OneIn(2) ? "&& " + Program() : Member() + " &&");
      break;
    default:
      token += rng_.OneIn(2) ? Piece() : Redirection();
  }
}

void Generator::MutateBytes(std::string* line) {
  size_t at = rng_.Below(line->size() + 1);
  switch (rng_.Below(4)) {
    case 0:
      line->insert(at, rng_.Pick(kInserted));
      break;
    case 1:
      line->insert(at, 1, Byte());
      break;
    case 2:
      line->erase(at, 1 + rng_.Below(3));
      break;
    default:
      line->replace(at, 1, rng_.Pick(kInserted));
  }
}

std::string Generator::Mutated() {
  std::string line = rng_.Pick(kCorpus);
  std::vector<std::string> tokens;
  for (size_t from = 0; from <= line.size();) {
    size_t space = std::min(line.find(' ', from), line.size());
    tokens.push_back(line.substr(from, space - from));
    from = space + 1;
  }
  for (size_t i = rng_.Weighted({3, 4, 2, 1}); i-- > 0;)
    MutateTokens(&tokens);
  line.clear();
  for (const std::string& token : tokens)
    line += (line.empty() ? "" : " ") + token;
  for (size_t i = rng_.Weighted({4, 3, 2, 1}); i-- > 0;)
    MutateBytes(&line);
  return line;
}

Case Generator::Next() {
  Case made;
  do
    made.line = rng_.OneIn(4) ? Mutated() : Sequence();
  while (!IsHarmless(made.line));
  using Start = Case::Start;
  static constexpr Start kStarts[] = {Start::kReal, Start::kLink,
                                      Start::kLink, Start::kSpace,
                                      Start::kDark, Start::kGone};
  if (rng_.OneIn(6))
    made.start = rng_.Pick(kStarts);
  if (rng_.OneIn(4))
    made.enter = rng_.OneIn(2) ? Case::Enter::kCwd : Case::Enter::kFd;
  made.env = Environment(made.start);
  static constexpr mode_t kUmasks[] = {0, 077, 027, 0777, 0200};
  if (rng_.OneIn(8))
    made.umask = rng_.Pick(kUmasks);
  // Not SIGCHLD: this program would lose the ends of its children.
  static constexpr int kIgnored[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGUSR1,
                                     SIGPIPE, SIGALRM, SIGTERM, SIGTSTP};
  if (rng_.OneIn(12))
    made.ignored = rng_.Pick(kIgnored);
  if (rng_.OneIn(12))
    made.blocked = rng_.OneIn(6) ? SIGCHLD : rng_.Pick(kIgnored);
  made.file_input = rng_.OneIn(5);
  made.split_errors = rng_.OneIn(6);
  made.extra_fd = rng_.OneIn(10);
  return made;
}

}  // namespace shell_fuzz
