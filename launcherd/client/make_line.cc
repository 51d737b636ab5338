// SPDX-License-Identifier: Apache-2.0

#include "make_line.h"

#include <string.h>

namespace launcher {

namespace {

constexpr char kShellCharacters[] = "#;\"*?[]&|<>(){}$`^~!";

constexpr const char* kShellCommands[] = {
    ".",       ":",        "alias",    "bg",     "break", "case",    "cd",
    "command", "continue", "eval",     "exec",   "exit",  "export",  "fc",
    "fg",      "for",      "getopts",  "hash",   "if",    "jobs",    "login",
    "logout",  "read",     "readonly", "return", "set",   "shift",   "test",
    "times",   "trap",     "type",     "ulimit", "umask", "unalias", "unset",
    "wait",    "while",
};

bool IsShellCommand(const char* word) {
  for (const char* command : kShellCommands)
    if (strcmp(word, command) == 0)
      return true;
  return false;
}

bool IsBlank(char c) { return c == ' ' || c == '\t'; }

}  // namespace

size_t ReadMakeLine(const char* line, char* text, char** words) {
  size_t count = 0;
  char* out = text;
  words[0] = out;
  bool quoted = false, empty_at_end = false;
  const char* at = line;
  while (IsBlank(*at))
    ++at;
  for (; *at; ++at) {
    char c = *at;
    if (quoted) {
      if (c == '\'') {
        quoted = false;
        empty_at_end |= out == words[count];
      } else {
        *out++ = c;
      }
    } else if (strchr(kShellCharacters, c) || c == '\n' || c == '=') {
      // With '=': only before the first word without one, in make; that word
      // is the program.
      if (c != '=' || count == 0)
        return 0;
      *out++ = c;
    } else if (c == '\\') {
      if (at[1] == '\n') {
        ++at;
        if (out == words[count])
          while (IsBlank(at[1]))
            ++at;
      } else if (at[1] != '\0') {
        *out++ = *++at;
      }
    } else if (c == '\'') {
      quoted = true;
    } else if (IsBlank(c)) {
      *out++ = '\0';
      words[++count] = out;
      empty_at_end = false;
      if (count == 1 && IsShellCommand(words[0]))
        return 0;
      while (IsBlank(at[1]))
        ++at;
    } else {
      *out++ = c;
    }
  }
  if (quoted)
    return 0;
  *out = '\0';
  if (words[count][0] != '\0' || empty_at_end)
    ++count;
  words[count] = nullptr;
  if (count == 1 && IsShellCommand(words[0]))
    return 0;
  return count;
}

}  // namespace launcher
