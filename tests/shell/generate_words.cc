// SPDX-License-Identifier: Apache-2.0

#include <cstddef>
#include <string>
#include <string_view>

#include "generate.h"
#include "programs.h"

namespace shell_fuzz {
namespace {

// Bytes that one shell or another uses for itself, in its text or its tables.
constexpr unsigned char kHardBytes[] = {
    0x01, 0x02, 0x7f, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88,
    0x89, 0x8a, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0xa0, 0xc2, 0xfd, 0xfe, 0xff,
    '\t', '\n', '\r', '\v', '\f', '\b', 0x1b, '\\', '"',  '\'', '$',  '`',
    ' ',  '*',  '?',  '[',  ']',  '!',  '~',  '#',  '=',  ':',  '%',  '^'};

constexpr const char* kSpecial[] = {"^", "!", "%", "@", "+", ",",
                                    "]", "{", "}", "~", "#", "=",
                                    ":", "-", ".", "/", "_", "0"};

constexpr const char* kRare[] = {
    "*",     "?",      "[ab]",  "[",      "{a,b}",  "{1..3}", "$x",
    "$HOME", "${x}",   "$",     "$1",     "$@",     "$$",     "$?",
    "`p0`",  "$(p0)",  "~",     "~/x",    "~root",  "a=~",    "a:~/b",
    "$'a'",  "$\"a\"", "<(p0)", "@(a|b)", "!(a)",   "+(a)",   "!!",
    "!x",    "^a^b",   "((1))", "$((1))", "real/*", "[!a]*",  "\\*"};

constexpr const char* kUnicode[] = {
    "\xc3\xa4",     "\xe2\x82\xac", "\xf0\x9f\x98\x80",
    "\xc2\xa0",     "\xe2\x80\xa8", "\xe3\x80\x80",
    "\xc2\x85",     "\xef\xbb\xbf", "\xc3\xa4\xcc\x88",
    "\xed\xa0\x80", "\xc3",         "\xe2\x82"};

constexpr const char* kPlain[] = {
    "a",   "b",      "x.c",  "-o",       "-c",        "-DX=1",   "--flag=value",
    "-I.", "../x.h", "out",  "a/b.o",    "-Wall",     "-",       "--",
    "1",   "2",      "0",    "real",     "file",      "a.b-c_d", "-Wl,-z,now",
    "p0",  "x=y",    "if",   "then",     "do",        "in",      "@x.rsp",
    "a:b", "C:/x",   "100%", "a+b",      "{}",        "a,b",     "user@host",
    "a#b", "x^y",    "a!b",  "lib.so.1", "/dev/null", "w"};

constexpr const char* kTargets[] = {"f",
                                    "log",
                                    "out",
                                    "file",
                                    "real/x",
                                    "/dev/null",
                                    "real",
                                    "missing/x",
                                    "missing",
                                    "locked",
                                    "readonly",
                                    "dangling",
                                    "loop",
                                    "tofile",
                                    "link/x",
                                    "shut/x",
                                    "dark/x",
                                    "a b/x",
                                    "1",
                                    "2",
                                    "../sib/x",
                                    "@W@/abs",
                                    "abs/x",
                                    "file/x",
                                    "",
                                    "-",
                                    "&1",
                                    "~",
                                    "bin/p0",
                                    "@R@/bin/p0",
                                    "/dev/stdout",
                                    "/dev/fd/1",
                                    "/dev/stderr",
                                    "/dev/tcp/127.0.0.1/1",
                                    "up/w/x"};

constexpr const char* kOperators[] = {">", ">>", "<"};

constexpr const char* kDuplications[] = {
    "2>&1", "1>&2",  ">&2",   ">&1",  "2>&2", "<&0",  "0>&1", "1<&0",
    "0<&1", "2<&1",  "2>& 1", ">& 2", "1>&0", "2<&0", "<&1",  "0<&2",
    "1>&1", ">&\\2", ">&'2'", ">&$x", "2>&7", ">&7"};

constexpr const char* kOtherOperators[] = {
    "&>",   "&>>",  ">|",   "<>",    ">&",  ">&-", "2>&-", "<&-",   "3>",
    "3>&1", ">&3",  "7>",   "<<x",   "<<<", "10>", "{x}>", "2>|",   "1<>",
    "2<>",  "<&3-", "9<&1", "12>&1", "3<",  "4>>", "0<>",  "2>>&1", "2&>1"};

constexpr const char* kNames[] = {"A",
                                  "B",
                                  "x",
                                  "PATH",
                                  "PWD",
                                  "OLDPWD",
                                  "HOME",
                                  "IFS",
                                  "LC_ALL",
                                  "LANG",
                                  "CDPATH",
                                  "SHLVL",
                                  "_",
                                  "PS4",
                                  "OPTIND",
                                  "PPID",
                                  "UID",
                                  "EUID",
                                  "RANDOM",
                                  "LINENO",
                                  "CC",
                                  "CFLAGS",
                                  "ENV",
                                  "BASH_ENV",
                                  "SHELLOPTS",
                                  "BASHOPTS",
                                  "POSIXLY_CORRECT",
                                  "FUNCNAME",
                                  "BASH_VERSION",
                                  "HISTFILE",
                                  "TERM",
                                  "OPTARG",
                                  "SECONDS",
                                  "BASHPID",
                                  "GROUPS",
                                  "LC_CTYPE",
                                  "LD_LIBRARY_PATH",
                                  "a1_B",
                                  "__",
                                  "BASH_ARGV0",
                                  "PS1",
                                  "PS2",
                                  "MAIL",
                                  "OPTERR",
                                  "LD_PRELOAD",
                                  "HOSTNAME",
                                  "EPOCHSECONDS",
                                  "BASH_COMPAT",
                                  "EXECIGNORE",
                                  "GLOBIGNORE"};

constexpr const char* kNoNames[] = {
    "1a",  "a-b", "a.b",   "",    "a[0]",  "a+", "\xc3\xa4", "a b",
    "a\\", "'A'", "\"A\"", "\\A", "A\\\n", "a[", "A\x81"};

}  // namespace

char Generator::Byte() {
  if (rng_.OneIn(2))
    return static_cast<char>(rng_.Pick(kHardBytes));
  if (rng_.OneIn(2))
    return static_cast<char>(1 + rng_.Below(255));
  return static_cast<char>(' ' + rng_.Below(95));
}

std::string Generator::Bytes(size_t most) {
  std::string bytes;
  for (size_t i = rng_.Below(most + 1); i-- > 0;)
    bytes += Byte();
  return bytes;
}

std::string Generator::Plain() {
  if (!rng_.OneIn(4))
    return rng_.Pick(kPlain);
  std::string word;
  for (size_t i = 1 + rng_.Below(8); i-- > 0;)
    word +=
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
        "0123456789_-./"[rng_.Below(66)];
  return word;
}

std::string Generator::Path() {
  static constexpr const char* kPaths[] = {
      "x",   "real/x",  "../w/x", "./x",   "@W@/x", "@W@/real/../x",
      "//x", "real//x", "a b/x",  "link/x"};
  return rng_.Pick(kPaths);
}

std::string Generator::Single() {
  std::string text = rng_.OneIn(3) ? Bytes(6) : Plain() + Byte() + Plain();
  return "'" + Replace(text, "'", "") + "'";
}

std::string Generator::Double() {
  static constexpr const char* kParts[] = {
      "\\\"", "\\\\", "\\$", "\\`", "\\\n", "\\a",     "\\ ",
      "'",    " ",    ";",   "&&",  ">",    "*",       "#",
      "~",    "{}",   "!",   "\t",  "\n",   "\\\\\\\\"};
  std::string text;
  for (size_t i = rng_.Below(4); i-- > 0;) {
    switch (rng_.Weighted({6, 6, 4, 2, 1})) {
      case 0:
        text += Plain();
        break;
      case 1:
        text += rng_.Pick(kParts);
        break;
      case 2: {
        char byte = Byte();
        if (byte == '"' || byte == '\\' || byte == '`' || byte == '$')
          text += '\\';
        text += byte;
        break;
      }
      case 3:
        text += '\\';
        text += Byte();
        break;
      default:
        text += rng_.OneIn(4) ? rng_.Pick(kRare) : "$";
    }
  }
  return '"' + text + '"';
}

std::string Generator::Piece() {
  switch (rng_.Weighted({300, 90, 100, 70, 25, 20, 30, 30, 70, 12, 3, 20})) {
    case 0:
      return Plain();
    case 1:
      return Single();
    case 2:
      return Double();
    case 3:
      return std::string("\\") +
             (rng_.OneIn(3) ? rng_.Pick(kPlain)[0] : Byte());
    case 4:
      return "\\\n";
    case 5:
      return rng_.OneIn(2) ? "''" : "\"\"";
    case 6:
      return rng_.Pick(kUnicode);
    case 7: {
      // In place of what would only be the end of the word.
      char byte = Byte();
      return std::string(1, byte == ' ' || byte == '\n' ? '\x81' : byte);
    }
    case 8:
      return rng_.Pick(kSpecial);
    case 9:
      return rng_.Pick(kRare);
    case 10:
      return std::string(200 + rng_.Below(5000), "axyz/."[rng_.Below(6)]);
    default:
      return Path();
  }
}

std::string Generator::Word() {
  std::string word = Piece();
  while (rng_.OneIn(3))
    word += Piece();
  return word;
}

/// The word as it is or in one of the ways to quote it; what these mean
/// together with the bytes of the word is left to chance now and then.
std::string Generator::Quoted(std::string_view word) {
  switch (rng_.Weighted({2, 3, 2, 2, 2, 1})) {
    case 0:
      return std::string(word);
    case 1:
      return "'" + Replace(word, "'", "'\\''") + "'";
    case 2: {
      std::string text;
      for (char c : word) {
        if (c == '"' || c == '\\' || c == '$' || c == '`')
          text += '\\';
        text += c;
      }
      return '"' + text + '"';
    }
    case 3: {
      std::string text;
      for (char c : word)
        text += c == '\n' ? std::string("'\n'") : std::string("\\") + c;
      return text;
    }
    case 4: {
      // A part of it.
      size_t from = rng_.Below(word.size() + 1);
      size_t size = rng_.Below(word.size() - from + 1);
      return std::string(word.substr(0, from)) + "'" +
             Replace(word.substr(from, size), "'", "") + "'" +
             std::string(word.substr(from + size));
    }
    default: {
      size_t at = rng_.Below(word.size() + 1);
      return std::string(word.substr(0, at)) + (rng_.OneIn(2) ? "\\\n" : "\\") +
             std::string(word.substr(at));
    }
  }
}

std::string Generator::Program() {
  static constexpr const char* kPlaces[] = {
      "@R@/bin/", "../../bin/", "./bin/", "bin/",      "@R@//bin/./",
      "./",       "@W@/",       "//",     "@R@/bin2/", "real/../bin/"};
  // Of which these are there, if nothing changes the directory before.
  static constexpr const char* kBin[] = {"@R@/bin/", "@R@/bin/", "../../bin/",
                                         "@R@//bin/./", "up/../bin/"};
  static constexpr const char* kHere[] = {
      "./here",    "@W@/here",    "bin/p0",       "./bin/p7",
      "../w/here", "up/w/bin/cc", "real/../here", "@R@/bin2/only2"};
  switch (rng_.Weighted({44, 16, 14, 12, 7, 4, 5, 4, 4, 1})) {
    case 0:
      return "p0";
    case 1:
      return rng_.Pick(kEnding);
    case 2:
      return rng_.Pick(kTools);
    case 3:
      if (rng_.OneIn(3))
        return rng_.Pick(kHere);
      return rng_.Pick(kBin) +
             std::string(rng_.OneIn(3) ? rng_.Pick(kEnding) : "p0");
    case 4:
      return Quoted(rng_.Pick(kOdd));
    case 5: {
      std::string name = rng_.Pick(kUnusual);
      if (rng_.OneIn(2))
        name = rng_.Pick(kPlaces) + name;
      return rng_.OneIn(2) ? Quoted(name) : name;
    }
    case 6:
      return rng_.OneIn(3) ? rng_.Pick(kWords) : Quoted(rng_.Pick(kWords));
    case 7:
      return Quoted(rng_.Pick(kEnding));
    case 8:
      // Only a shell can run it: shows what the one has that is asked to.
      return "here.sh";
    default:
      return Word();
  }
}

std::string Generator::Name() {
  return rng_.OneIn(12) ? rng_.Pick(kNoNames) : rng_.Pick(kNames);
}

std::string Generator::Assignment() {
  std::string text = Name() + "=";
  switch (rng_.Weighted({2, 5, 2, 2})) {
    case 0:
      return text;
    case 1:
      return text + Word();
    case 2:
      return text + PwdValue(Case::Start::kWork);
    default:
      return text + Quoted(SearchPath());
  }
}

std::string Generator::Redirection() {
  std::string target;
  switch (rng_.Weighted({6, 3, 1})) {
    case 0:
      target = rng_.Pick(kTargets);
      if (target.find(' ') != std::string::npos || target.empty())
        target = "'" + target + "'";
      break;
    case 1:
      target = Quoted(rng_.Pick(kTargets));
      break;
    default:
      target = Word();
  }
  switch (rng_.Weighted({12, 5, 2})) {
    case 0: {
      static constexpr const char* kNumbers[] = {
          "",   "",      "",    "",   "1",  "2",   "2", "0",
          "a2", "\"2\"", "\\2", "22", "02", "''2", "a", "2\\\n"};
      return rng_.Pick(kNumbers) + std::string(rng_.Pick(kOperators)) +
             (rng_.OneIn(3) ? Blank() : "") + target;
    }
    case 1:
      return rng_.Pick(kDuplications);
    default:
      return rng_.Pick(kOtherOperators) + target;
  }
}

std::string Generator::Blank() {
  static constexpr const char* kBlanks[] = {" ",  " ",    " ",     " ",    "  ",
                                            "\t", " \t ", " \\\n", "\\\n "};
  return rng_.Pick(kBlanks);
}

}  // namespace shell_fuzz
