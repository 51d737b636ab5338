// SPDX-License-Identifier: Apache-2.0

#include "line.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "make_error.h"
#include "make_line.h"
#include "real_shell.h"

namespace launcher {

namespace {

using sys::Arg;
using sys::Raw;
using Kind = PlanToken::Kind;

/// Whether /bin/sh is dash, by name, as SystemShell::Detect() has it.
bool ShellIsDash() {
  char target[64];
  ssize_t size = readlink("/bin/sh", target, sizeof(target));
  std::string_view name(target, size > 0 ? static_cast<size_t>(size) : 0);
  if (name != "dash" && name != "/bin/dash" && name != "/usr/bin/dash")
    return false;
  struct stat file;
  return fstatat(AT_FDCWD, name[0] == '/' ? "/usr/bin/dash" : "/bin/dash",
                 &file, AT_SYMLINK_NOFOLLOW) == 0 &&
         S_ISREG(file.st_mode);
}

/// The kernel's struct sigaction.
struct KernelSigaction {
  void (*handler)(int);
  unsigned long flags;
  void (*restorer)();
  sys::KernelSigset mask;
};

bool IgnoresChildren() {
  KernelSigaction action = {};
  return Raw(SYS_rt_sigaction, SIGCHLD, 0, Arg(&action), sizeof(action.mask)) !=
             0 ||
         action.handler == SIG_IGN || (action.flags & SA_NOCLDWAIT);
}

/// Whether a file that opening it has made can be opened once more, by a shell
/// that comes in after that.
bool MayBeOpenedAgain() {
  long umask = Raw(SYS_umask, 077);
  Raw(SYS_umask, umask);
  return (umask & 0600) == 0;
}

/// Without details that are a line's own.
std::string Describe(const ShellReason& reason) {
  constexpr size_t kShort = 8;
  std::string text = reason.what;
  if (reason.detail_size > 0 && reason.detail_size <= kShort)
    text.append(" '").append(reason.detail, reason.detail_size).append("'");
  return text;
}

sys::KernelSigset CurrentMask() {
  sys::KernelSigset mask = 0;
  Raw(SYS_rt_sigprocmask, SIG_BLOCK, 0, Arg(&mask), sizeof(mask));
  return mask;
}

}  // namespace

bool Line::Read(char* text, bool from_make) {
  text_ = text;
  return (from_make && ReadSimple(text)) || ReadPlan(text);
}

bool Line::ReadSimple(const char* text) {
  if (const char* blanks = Environment("IFS"))
    for (; *blanks; ++blanks)
      if (!strchr(" \t\n", *blanks))
        return false;
  const size_t size = strlen(text);
  program_.argv.resize(size / 2 + 2);
  size_t count = ReadMakeLine(text, new char[size + 1], program_.argv.data());
  if (count == 0)
    return false;
  program_.argv.resize(count + 1);
  for (char** entry = invocation.envp; *entry; ++entry)
    program_.envp.push_back(*entry);
  program_.envp.push_back(nullptr);
  program_.mask = CurrentMask();
  if (long error = FindProgram(Environment("PATH")); error != 0) {
    FailAsMake(program_.argv[0], error);
    RunRealShell();  // Says it in its way.
  }
  return true;
}

bool Line::ReadPlan(const char* text) {
  reason_ = MakePlan(text);
  return reason_.empty() && FindNext();
}

/// Returns why there is none, or an empty text.
std::string Line::MakePlan(const char* text) {
  if (!ShellIsDash())
    return "/bin/sh that is not dash";
  if (IgnoresChildren())
    return "SIGCHLD that is ignored";
  const size_t size = strlen(text);
  char* words = new char[size + 1];
  tokens_.resize(64);
  CommandLine read;
  while ((read = ReadCommandLine(text, size, Shell::kDash, words,
                                 tokens_.data(), tokens_.size()))
             .verdict == CommandLine::Verdict::kNoRoom)
    tokens_.resize(4 * tokens_.size());
  if (read.verdict != CommandLine::Verdict::kPlan)
    return Describe(read.reason);
  if (std::string why = environment_.Start(Shell::kDash, invocation.envp, {});
      !why.empty())
    return why;
  entries_ = invocation.envp;
  tokens_.resize(read.token_count);
  bool has_program = false;
  for (const PlanToken& token : tokens_) {
    has_program |= token.kind == Kind::kWord;
    if (token.kind == Kind::kExec)
      return "exec";
    // A program may move the directory: then cd does what a shell that comes in
    // later would not.
    if (token.kind == Kind::kChangeDir && has_program)
      return "cd after a program";
    if (token.kind == Kind::kOpen && !MayBeOpenedAgain())
      return "redirection under this umask";
  }
  return "";
}

bool Line::Next() {
  // What has run is overwritten: from here on nothing may run it again. The
  // newlines: a shell counts lines in its messages. The blank: a '-' in front
  // would be an option.
  const PlanToken& token = tokens_[next_];
  char* rest = text_ + token.offset - 1;
  *rest = ' ';
  for (uint32_t i = 0; i < token.number; ++i)
    *--rest = '\n';
  char** last = invocation.argv;
  while (last[1])
    ++last;
  *last = rest;
  if (invocation.directory >= 0) {
    environment_.ExportForShell(entries_, environment_.changed(), &shell_envp_);
    invocation.envp = shell_envp_.data();
    close(invocation.directory);
    invocation.directory = -1;
  }
  return FindNext();
}

bool Line::FindNext() {
  program_ = {.in_shell = true};
  program_.place.in_list = next_ > 0;
  assignments_.clear();
  for (; HasNext() && program_.argv.empty(); ++next_) {
    const PlanToken& token = tokens_[next_];
    if (token.kind == Kind::kStatus && token.number != 0)
      Exit(static_cast<int>(token.number));
    if (token.kind == Kind::kChangeDir && !ChangeDir(token.text)) {
      reason_ = "a directory that cannot be entered";
      return false;
    }
    if (token.kind == Kind::kAnd)
      program_.place.in_list = true;
    else
      StoreToken(token);
  }
  if (program_.argv.empty())
    Exit(0);
  for (; HasNext() && tokens_[next_].kind != Kind::kAnd; ++next_)
    StoreToken(tokens_[next_]);
  program_.place.is_last = !HasNext();
  program_.argv.push_back(nullptr);
  if (FindProgram(environment_.Value("PATH")) != 0) {
    reason_ = "a program that is not found";
    return false;
  }
  environment_.Export(assignments_, program_.place, program_.path,
                      &program_.envp);
  return true;
}

bool Line::ChangeDir(const char* dir) {
  if (invocation.directory < 0)
    invocation.directory = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  environment_.ChangeDir(dir);
  return invocation.directory >= 0 &&
         Raw(SYS_chdir, Arg(environment_.dir())) == 0;
}

void Line::StoreToken(const PlanToken& token) {
  switch (token.kind) {
    case Kind::kAssignment:
      assignments_.push_back(token.text);
      break;
    case Kind::kWord:
      program_.argv.push_back(const_cast<char*>(token.text));
      break;
    case Kind::kOpen:
      program_.place.redirected = true;
      program_.steps.push_back({.kind = ChildStep::Kind::kOpen,
                                .fd = AT_FDCWD,
                                .newfd = token.fd,
                                .flags = token.flags,
                                .mode = 0666,
                                .path = token.text});
      break;
    case Kind::kDup:
      program_.place.redirected = true;
      program_.steps.push_back({.kind = ChildStep::Kind::kDup2,
                                .fd = static_cast<int>(token.number),
                                .newfd = token.fd});
      break;
    default:
      break;
  }
}

/// As execvp(3) and the shells agree on it: entries that are absolute, and no
/// file on the way that may not be executed. Returns 0; -ENOENT: there is none;
/// or another negative number.
long Line::FindProgram(const char* search_path) {
  const char* name = program_.argv[0];
  if (strchr(name, '/')) {
    program_.path = name;
    return 0;
  }
  if (!search_path || !*name)
    return -EINVAL;
  for (const auto& [known, path] : found_) {
    if (strcmp(known, name) == 0) {
      program_.path = path;
      return 0;
    }
  }
  bool is_odd = false;
  for (const char* entry = search_path;;) {
    const char* end = strchrnul(entry, ':');
    const size_t length = static_cast<size_t>(end - entry);
    is_odd |= *entry != '/' || end[-1] == '/' || memchr(entry, '%', length);
    program_.path.assign(entry, length);
    if (length > 0)
      program_.path.append("/");
    program_.path.append(name);
    struct stat file;
    if (stat(program_.path.c_str(), &file) == 0) {
      if (is_odd || !S_ISREG(file.st_mode) ||
          Raw(SYS_faccessat2, AT_FDCWD, Arg(program_.path.c_str()), X_OK,
              AT_EACCESS) != 0)
        return -EINVAL;
      if (HasNext())
        found_.emplace_back(name, program_.path);
      return 0;
    }
    if (errno != ENOENT && errno != ENOTDIR)
      return -EINVAL;
    if (!*end)
      return -ENOENT;
    entry = end + 1;
  }
}

}  // namespace launcher
