// SPDX-License-Identifier: Apache-2.0

#include "command_line.h"

#include <fcntl.h>

#include "shell_words.h"

namespace launcher {

namespace {

using Kind = PlanToken::Kind;

enum class CharClass : uint8_t {
  kPlain,
  kBlank,
  kSingleQuote,
  kDoubleQuote,
  kBackslash,
  kAngle,    // < and >
  kAnd,      // &
  kSpecial,  // ~ # = {: depends on where it stands
  kShell,    // always the shell's
};

struct CharClasses {
  CharClass of[256] = {};

  constexpr CharClasses() {
    Set(" \t", CharClass::kBlank);
    Set("'", CharClass::kSingleQuote);
    Set("\"", CharClass::kDoubleQuote);
    Set("\\", CharClass::kBackslash);
    Set("<>", CharClass::kAngle);
    Set("&", CharClass::kAnd);
    Set("~#=", CharClass::kSpecial);
    Set("$`*?[{|;()\n", CharClass::kShell);
  }

  constexpr void Set(const char* characters, CharClass value) {
    for (; *characters; ++characters)
      of[static_cast<unsigned char>(*characters)] = value;
  }
};

constexpr CharClasses kClasses;

constexpr CharClass ClassOf(char character) {
  return kClasses.of[static_cast<unsigned char>(character)];
}

/// What to call a character that only the shell can deal with.
const char* NameOf(char character) {
  switch (character) {
    case '$':
      return "expansion";
    case '`':
      return "command substitution";
    case '*':
    case '?':
    case '[':
      return "glob";
    case '{':
      return "brace";
    case '|':
      return "pipe";
    case '(':
    case ')':
      return "subshell";
    case '\n':
      return "newline";
    case '~':
      return "tilde";
    case '#':
      return "comment";
    default:
      return "operator";
  }
}

class Reader {
 public:
  Reader(const char* line, size_t size, Shell shell, char* text,
         PlanToken* tokens, size_t token_room)
      : line_(line),
        end_(line + size),
        at_(line),
        shell_(shell),
        out_(text),
        tokens_(tokens),
        token_room_(token_room) {}

  CommandLine Read() {
    if (ReadAll())
      return {CommandLine::Verdict::kPlan, count_, {}};
    if (no_room_)
      return {CommandLine::Verdict::kNoRoom, 0, {}};
    return {CommandLine::Verdict::kShell, 0, reason_};
  }

 private:
  // Each of these is false when the reading is over: `reason_` or `no_room_`
  // says why.

  bool Shells(const char* what, const char* detail, size_t detail_size) {
    reason_ = {what, detail, detail_size};
    return false;
  }

  bool Shells(const char* what, const char* detail = "") {
    return Shells(what, detail, Length(detail));
  }

  bool Add(const PlanToken& token) {
    if (count_ == token_room_) {
      no_room_ = true;
      return false;
    }
    tokens_[count_++] = token;
    return true;
  }

  bool ReadAll() {
    if (at_ < end_ && (*at_ == '-' || *at_ == '+'))
      return Shells("an option of the shell", at_, 1);
    while (at_ < end_) {
      switch (ClassOf(*at_)) {
        case CharClass::kBlank:
          ++at_;
          break;
        case CharClass::kAngle:
          if (!ReadRedirection(*at_ == '>' ? 1 : 0))
            return false;
          break;
        case CharClass::kAnd:
          if (!ReadAnd())
            return false;
          break;
        default:
          if (SkipContinuation())
            break;
          if (!ReadWord())
            return false;
      }
    }
    if (count_ == 0)
      return true;  // Blanks alone: the shell does nothing, with status 0.
    if (!EndCommand())
      return false;
    if (pending_cd_)
      return Shells("cd without a program after it");
    return true;
  }

  /// Between words.
  bool SkipContinuation() {
    if (*at_ != '\\' || at_ + 1 == end_ || at_[1] != '\n')
      return false;
    at_ += 2;
    ++newlines_;
    return true;
  }

  bool ReadAnd() {
    if (at_ + 1 < end_ && at_[1] == '>')
      return ReadRedirectionOfBoth();
    if (at_ + 1 == end_ || at_[1] != '&')
      return Shells("operator", at_, 1);
    if (!EndCommand())
      return false;
    at_ += 2;
    while (at_ < end_ && (ClassOf(*at_) == CharClass::kBlank ||
                          (*at_ == '\\' && at_ + 1 < end_ && at_[1] == '\n')))
      if (!SkipContinuation())
        ++at_;
    first_ = count_ + 1;
    has_word_ = false;
    return Add({.kind = Kind::kAnd,
                .number = newlines_,
                .offset = static_cast<size_t>(at_ - line_)});
  }

  /// A word as it stands in `out_`.
  struct Word {
    char* text = nullptr;
    const char* source = nullptr;
    size_t size = 0;
    size_t equals = SIZE_MAX;  ///< The first '=' that is not quoted.
    bool plain = true;         ///< No quote, no backslash.
    bool name_plain = true;    ///< None before `equals`.
  };

  bool ScanWord(Word* word) {
    word->text = out_;
    word->source = at_;
    char previous = '\0';  // The last character that was not quoted.
    while (at_ < end_) {
      char c = *at_;
      CharClass kind = ClassOf(c);
      switch (kind) {
        case CharClass::kPlain:
          if (!IsClean(c))
            return Shells("a byte that bash keeps for itself");
          *out_++ = c;
          ++at_;
          break;
        case CharClass::kBlank:
        case CharClass::kAngle:
        case CharClass::kAnd:
          return EndWord(word);
        case CharClass::kShell:
          return Shells(NameOf(c), at_, c == '\n' ? 0 : 1);
        case CharClass::kSpecial: {
          bool at_start = at_ == word->source;
          bool after_separator = previous == '=' || previous == ':';
          if ((c == '#' && at_start) ||
              (c == '~' && (at_start || after_separator)))
            return Shells(NameOf(c), at_, 1);
          if (c == '=' && word->equals == SIZE_MAX) {
            word->equals = static_cast<size_t>(out_ - word->text);
            word->name_plain = word->plain;
          }
          *out_++ = c;
          ++at_;
          break;
        }
        case CharClass::kSingleQuote:
          if (!ScanSingleQuotes())
            return false;
          word->plain = false;
          break;
        case CharClass::kDoubleQuote:
          if (!ScanDoubleQuotes())
            return false;
          word->plain = false;
          break;
        case CharClass::kBackslash:
          if (at_ + 1 == end_)
            return Shells("a backslash at the end");
          word->plain = false;
          ++at_;
          if (*at_ == '\n') {
            ++newlines_;
            ++at_;
            continue;  // A continuation: `previous` stays.
          }
          if (!IsClean(*at_))
            return Shells("a byte that bash keeps for itself");
          *out_++ = *at_++;
          break;
      }
      bool quoted = kind == CharClass::kSingleQuote ||
                    kind == CharClass::kDoubleQuote ||
                    kind == CharClass::kBackslash;
      previous = quoted ? '\\' : c;
    }
    return EndWord(word);
  }

  bool EndWord(Word* word) {
    word->size = static_cast<size_t>(out_ - word->text);
    *out_++ = '\0';
    return true;
  }

  bool ScanSingleQuotes() {
    const char* open = at_++;
    for (; at_ < end_ && *at_ != '\''; ++at_) {
      if (!IsClean(*at_))
        return Shells("a byte that bash keeps for itself");
      newlines_ += *at_ == '\n';
      *out_++ = *at_;
    }
    if (at_ == end_)
      return Shells("unmatched", open, 1);
    ++at_;
    return true;
  }

  bool ScanDoubleQuotes() {
    const char* open = at_++;
    while (at_ < end_ && *at_ != '"') {
      if (*at_ == '$' || *at_ == '`')
        return Shells(NameOf(*at_), at_, 1);
      if (*at_ == '\\' && at_ + 1 < end_) {
        char next = at_[1];
        if (next == '\n') {
          ++newlines_;
          at_ += 2;
          continue;
        }
        if (next == '$' || next == '`' || next == '"' || next == '\\')
          ++at_;
      }
      if (!IsClean(*at_))
        return Shells("a byte that bash keeps for itself");
      newlines_ += *at_ == '\n';
      *out_++ = *at_++;
    }
    if (at_ == end_)
      return Shells("unmatched", open, 1);
    ++at_;
    return true;
  }

  bool IsClean(char c) const {
    return shell_ != Shell::kBash || (c != '\001' && c != '\177');
  }

  bool ReadWord() {
    Word word;
    if (!ScanWord(&word))
      return false;
    if (MayBeDescriptor(word)) {
      if (!word.plain || word.size != 1 || word.text[0] > '2')
        return Shells("descriptor", word.source,
                      static_cast<size_t>(at_ - word.source));
      out_ = word.text;
      return ReadRedirection(word.text[0] - '0');
    }
    if (!has_word_ && word.equals != SIZE_MAX)
      return AddAssignment(word);
    has_word_ = true;
    return Add({.kind = Kind::kWord, .text = word.text});
  }

  /// Whether `word`, which ends at `at_`, is digits with a < or > behind.
  bool MayBeDescriptor(const Word& word) const {
    if (word.size == 0 || at_ == end_ || ClassOf(*at_) != CharClass::kAngle)
      return false;
    for (size_t i = 0; i < word.size; ++i)
      if (!IsDigit(word.text[i]))
        return false;
    return true;
  }

  bool AddAssignment(const Word& word) {
    if (!word.name_plain || !IsIdentifier(word.text, word.equals))
      return Shells("word with '=' before the command", word.source,
                    static_cast<size_t>(at_ - word.source));
    if (IsShellVariable(word.text, word.equals) ||
        (shell_ == Shell::kBash && IsDoubtfulLocale(word.text, word.equals)))
      return Shells("assignment to", word.text, word.equals);
    return Add({.kind = Kind::kAssignment, .text = word.text});
  }

  /// `at_` is at the < or >, `fd` what stands before it or the default.
  bool ReadRedirection(int fd) {
    const char* source = at_;
    bool in = *at_++ == '<';
    bool append = false;
    if (at_ < end_) {
      if (*at_ == '&')
        return ReadDup(fd);
      if (!in && *at_ == '>') {
        append = true;
        ++at_;
      } else if (*at_ == '<' || *at_ == '>' || *at_ == '|') {
        return Shells("redirection", source,
                      static_cast<size_t>(at_ + 1 - source));
      }
    }
    const char* target;
    if (!ReadTarget(&target))
      return false;
    return AddOpen(fd, target,
                   in       ? O_RDONLY
                   : append ? O_WRONLY | O_CREAT | O_APPEND
                            : O_WRONLY | O_CREAT | O_TRUNC);
  }

  bool AddOpen(int fd, const char* target, int flags) {
    return Add({.kind = Kind::kOpen,
                .fd = static_cast<uint8_t>(fd),
                .flags = flags,
                .text = target});
  }

  bool ReadTarget(const char** target) {
    while (at_ < end_ && (ClassOf(*at_) == CharClass::kBlank ||
                          (*at_ == '\\' && at_ + 1 < end_ && at_[1] == '\n')))
      if (!SkipContinuation())
        ++at_;
    Word word;
    if (!ScanWord(&word))
      return false;
    if (word.size == 0 || MayBeDescriptor(word))
      return Shells("redirection without a name");
    // bash opens some of these itself; all depend on whose descriptors they
    // are.
    if ((StartsWith(word.text, "/dev/") && !Same(word.text, "/dev/null")) ||
        StartsWith(word.text, "/proc/"))
      return Shells("redirection to", word.source,
                    static_cast<size_t>(at_ - word.source));
    *target = word.text;
    return true;
  }

  /// `at_` is at the & of n>&m.
  bool ReadDup(int fd) {
    const char* source = at_ - 1;
    ++at_;
    bool ends = at_ + 1 >= end_ || ClassOf(at_[1]) == CharClass::kBlank ||
                ClassOf(at_[1]) == CharClass::kAnd;
    if (at_ == end_ || *at_ < '0' || *at_ > '2' || !ends)
      return Shells("redirection", source, 2);
    uint32_t from = static_cast<uint32_t>(*at_ - '0');
    ++at_;
    return Add(
        {.kind = Kind::kDup, .fd = static_cast<uint8_t>(fd), .number = from});
  }

  /// &>file: in dash this is & and a command that only redirects.
  bool ReadRedirectionOfBoth() {
    if (shell_ == Shell::kDash)
      return Shells("operator", at_, 1);
    if (at_ > line_ && ClassOf(at_[-1]) != CharClass::kBlank)
      return Shells("redirection", at_, 2);  // 2&>file
    at_ += 2;
    if (at_ < end_ && (*at_ == '>' || *at_ == '&' || *at_ == '|' ||
                       *at_ == '<' || *at_ == '('))
      return Shells("redirection", at_ - 2, 3);
    const char* target;
    return ReadTarget(&target) &&
           AddOpen(1, target, O_WRONLY | O_CREAT | O_TRUNC) &&
           Add({.kind = Kind::kDup, .fd = 2, .number = 1});
  }

  /// Makes something of the tokens since `first_`.
  bool EndCommand() {
    size_t words = 0, others = 0;
    const char* name = nullptr;
    const char* argument = nullptr;
    for (size_t i = first_; i < count_; ++i) {
      if (tokens_[i].kind != Kind::kWord) {
        ++others;
        continue;
      }
      if (words == 0)
        name = tokens_[i].text;
      if (words == 1)
        argument = tokens_[i].text;
      ++words;
    }
    if (over_)
      return Shells("a command after", over_);
    if (words == 0)
      return others == 0 ? Shells("nothing beside", "&&")
                         : Shells("no program in a command");
    if (Same(name, "cd"))
      return EndCd(words, others, argument);
    if (words == 1 && others == 0 &&
        (Same(name, ":") || Same(name, "true") || Same(name, "false")))
      return ReplaceBy({.kind = Kind::kStatus, .number = *name == 'f'});
    if (Same(name, "exit"))
      return EndExit(words, others, argument);
    if (Same(name, "exec"))
      return EndExec(words, argument);
    if (IsReservedWord(name))
      return Shells("reserved word", name);
    if (IsBuiltin(name))
      return Shells("builtin", name);
    if (*name == '%')
      return Shells("job", name);
    if (Same(BaseName(name), "setsid"))
      return Shells("setsid, which asks who leads the process group");
    pending_cd_ = false;
    has_program_ = true;
    return true;
  }

  bool ReplaceBy(const PlanToken& token) {
    if (token.kind == Kind::kStatus && pending_cd_)
      return Shells("cd without a program after it");
    count_ = first_;
    return Add(token);
  }

  bool EndCd(size_t words, size_t others, const char* dir) {
    if (words != 2 || others != 0 || !IsPlainDirectory(dir))
      return Shells("builtin", "cd");
    // The shells make the name absolute by their own idea of where they are,
    // which is wrong once a program has moved the directory.
    if (has_program_ && *dir != '/')
      return Shells("cd to a relative name behind a program");
    pending_cd_ = true;
    return ReplaceBy({.kind = Kind::kChangeDir, .text = dir});
  }

  bool EndExit(size_t words, size_t others, const char* number) {
    size_t digits = 0;
    uint32_t status = 0;
    if (words == 2)
      for (; digits < 4 && IsDigit(number[digits]); ++digits)
        status = status * 10 + static_cast<uint32_t>(number[digits] - '0');
    if (words != 2 || others != 0 || digits == 0 || number[digits] ||
        status > 255)
      return Shells("builtin", "exit");
    over_ = "exit";
    return ReplaceBy({.kind = Kind::kStatus, .number = status});
  }

  bool EndExec(size_t words, const char* program) {
    // bash makes a relative path absolute first.
    if (words < 2 || *program == '-' || IsRelativePath(program))
      return Shells("builtin", "exec");
    for (size_t i = first_; i < count_; ++i)
      if (tokens_[i].kind == Kind::kAssignment)
        return Shells("builtin", "exec");
    for (size_t i = first_; i < count_; ++i) {
      if (tokens_[i].kind == Kind::kWord) {
        tokens_[i] = {.kind = Kind::kExec};
        break;
      }
    }
    over_ = "exec";
    pending_cd_ = false;
    return true;
  }

  const char* line_;
  const char* end_;
  const char* at_;
  Shell shell_;
  char* out_;
  PlanToken* tokens_;
  size_t token_room_;

  size_t count_ = 0;
  size_t first_ = 0;       ///< First token of the command that is being read.
  bool has_word_ = false;  ///< That command has a word already.
  uint32_t newlines_ = 0;
  bool pending_cd_ = false;     ///< A cd whose program has not come yet.
  bool has_program_ = false;    ///< A program that runs before what follows.
  const char* over_ = nullptr;  ///< A command that none may follow.
  bool no_room_ = false;
  ShellReason reason_;
};

}  // namespace

CommandLine ReadCommandLine(const char* line, size_t size, Shell shell,
                            char* text, PlanToken* tokens, size_t token_room) {
  return Reader(line, size, shell, text, tokens, token_room).Read();
}

}  // namespace launcher
