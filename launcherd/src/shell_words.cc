// SPDX-License-Identifier: Apache-2.0

#include "shell_words.h"

namespace launcher {

namespace {

bool IsNameStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/// Whether `text` is in a list sorted as by strcmp(3).
template <size_t kCount>
bool IsListed(const char* text, const char* const (&list)[kCount]) {
  size_t low = 0, high = kCount;
  while (low < high) {
    size_t middle = (low + high) / 2;
    const unsigned char* a = reinterpret_cast<const unsigned char*>(text);
    const unsigned char* b =
        reinterpret_cast<const unsigned char*>(list[middle]);
    while (*a && *a == *b)
      ++a, ++b;
    if (*a == *b)
      return true;
    if (*a < *b)
      high = middle;
    else
      low = middle + 1;
  }
  return false;
}

constexpr const char* kReservedWords[] = {
    "!",    "[[",   "]]",    "case",  "coproc",   "do", "done", "elif",
    "else", "esac", "fi",    "for",   "function", "if", "in",   "select",
    "then", "time", "until", "while", "{",        "}",
};

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
    "unset",   "wait",
};

}  // namespace

size_t Length(const char* text) {
  size_t size = 0;
  while (text[size])
    ++size;
  return size;
}

bool Same(const char* text, const char* other) {
  for (; *text && *text == *other; ++text, ++other) {
  }
  return *text == *other;
}

bool StartsWith(const char* text, const char* prefix) {
  for (; *prefix; ++text, ++prefix)
    if (*text != *prefix)
      return false;
  return true;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool IsIdentifier(const char* text, size_t size) {
  if (size == 0 || !IsNameStart(text[0]))
    return false;
  for (size_t i = 1; i < size; ++i)
    if (!IsNameStart(text[i]) && !IsDigit(text[i]))
      return false;
  return true;
}

bool IsReservedWord(const char* word) { return IsListed(word, kReservedWords); }

bool IsBuiltin(const char* word) { return IsListed(word, kBuiltins); }

bool IsShellVariable(const char* name, size_t size) {
  constexpr const char* kNames[] = {
      "_",       "EUID",   "FUNCNAME",        "GROUPS",         "HISTCMD",
      "IFS",     "LINENO", "OLDPWD",          "OPTARG",         "OPTERR",
      "OPTIND",  "PATH",   "POSIXLY_CORRECT", "POSIX_PEDANTIC", "PPID",
      "PS4",     "PWD",    "RANDOM",          "SHELLOPTS",      "SHLVL",
      "SRANDOM", "UID",
  };
  for (const char* listed : kNames)
    if (Length(listed) == size && StartsWith(name, listed))
      return true;
  return StartsWith(name, "BASH") || StartsWith(name, "COMP_") ||
         StartsWith(name, "EPOCH");
}

bool IsDoubtfulLocale(const char* assignment, size_t name_size) {
  const char* value = assignment + name_size + 1;
  return (StartsWith(assignment, "LC_") || StartsWith(assignment, "LANG=")) &&
         !Same(value, "C") && !Same(value, "POSIX") && !Same(value, "C.UTF-8");
}

const char* BaseName(const char* path) {
  const char* base = path;
  for (; *path; ++path)
    if (*path == '/')
      base = path + 1;
  return base;
}

bool IsRelativePath(const char* program) {
  if (*program == '/')
    return false;
  while (*program && *program != '/')
    ++program;
  return *program == '/';
}

bool IsPlainDirectory(const char* dir) {
  if (*dir == '\0' || *dir == '-' || StartsWith(dir, "//"))
    return false;
  bool front = true;
  while (*dir) {
    const char* end = dir;
    while (*end && *end != '/')
      ++end;
    bool dots = end - dir == 2 && dir[0] == '.' && dir[1] == '.';
    if (dots && !front)
      return false;
    front = dots;
    dir = *end ? end + 1 : end;
  }
  return true;
}

}  // namespace launcher
