// launcher-run: stands before a program in the places that build tools have for
// a compiler launcher, or, as a link of that name in a directory of PATH, for
// the program. launcherd starts it, or this process becomes it.
//
// SPDX-License-Identifier: Apache-2.0

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string_view>

#include "ending.h"
#include "passenger.h"
#include "real_shell.h"
#include "sys.h"

namespace launcher {

namespace {

using sys::Arg;
using sys::Raw;

constexpr char kName[] = "launcher-run";

[[noreturn]] void Fail(const char* program, long error) {
  const char* why = "it cannot be executed";
  if (error == -ENOENT || error == -ENOTDIR)
    why = "No such file or directory";
  else if (error == -EACCES)
    why = "Permission denied";
  const char* const texts[] = {kName, ": ", program, ": ", why, "\n", nullptr};
  Complain(texts);
  Exit(error == -ENOENT || error == -ENOTDIR ? 127 : 126);
}

/// Whether that file is this program.
bool IsSelf(const struct stat& file) {
  struct stat self;
  return stat("/proc/self/exe", &self) == 0 && self.st_dev == file.st_dev &&
         self.st_ino == file.st_ino;
}

/// As execvp(3) finds it. `past_self`: what would be there without links to
/// this program. Returns 0 or a negative errno.
long FindProgram(const char* name, bool past_self, std::string* path) {
  if (strchr(name, '/') && !past_self) {
    *path = name;
    return 0;
  }
  const char* entry = Environment("PATH");
  if (!entry)
    entry = "/bin:/usr/bin";
  long error = -ENOENT;
  for (;; ++entry) {
    const char* end = strchrnul(entry, ':');
    path->assign(entry, static_cast<size_t>(end - entry));
    if (!path->empty())
      path->append("/");
    path->append(name);
    struct stat file;
    if (*name && stat(path->c_str(), &file) == 0 && S_ISREG(file.st_mode) &&
        !(past_self && IsSelf(file))) {
      if (Raw(SYS_faccessat2, AT_FDCWD, Arg(path->c_str()), X_OK, AT_EACCESS) ==
          0)
        return 0;
      error = -EACCES;
    }
    entry = end;
    if (!*end)
      return error;
  }
}

[[noreturn]] void RunInPlace(const Program& program) {
  char* const* argv = program.argv.data();
  long error = Raw(SYS_execve, Arg(program.path.c_str()), Arg(argv),
                   Arg(program.envp.data()));
  if (error == -ENOEXEC) {
    // As execvp(3): a script without #!.
    static char shell[] = "/bin/sh";
    std::vector<char*> words = program.argv;
    words[0] = const_cast<char*>(program.path.c_str());
    words.insert(words.begin(), shell);
    Raw(SYS_execve, Arg(shell), Arg(words.data()), Arg(program.envp.data()));
  }
  Fail(argv[0], error);
}

}  // namespace

void Main(char** argv, char** envp) {
  invocation = {argv, envp};
  std::string_view name = argv[0] ? argv[0] : kName;
  name.remove_prefix(name.rfind('/') + 1);
  const bool masks = name != kName;
  if (!masks) {
    if (!argv[0] || !argv[1]) {
      const char* const texts[] = {"usage: ", kName, " PROGRAM [ARG...]\n",
                                   nullptr};
      Complain(texts);
      Exit(2);
    }
    ++argv;
  }
  Program program;
  for (char** word = argv; *word; ++word)
    program.argv.push_back(*word);
  program.argv.push_back(nullptr);
  for (char** entry = envp; *entry; ++entry)
    program.envp.push_back(*entry);
  program.envp.push_back(nullptr);
  Raw(SYS_rt_sigprocmask, SIG_BLOCK, 0, Arg(&program.mask),
      sizeof(program.mask));
  if (long error =
          FindProgram(masks ? name.data() : argv[0], masks, &program.path);
      error != 0)
    Fail(argv[0], error);
  // gcc looks for its parts from where it is, by this name.
  if (masks)
    program.argv[0] = program.path.data();

  JobEnd end = RunByServer(program);
  switch (end.how) {
    case JobEnd::How::kNotRun:
      RunInPlace(program);
    case JobEnd::How::kExited:
      Exit(end.code);
    case JobEnd::How::kSignaled:
      DieOf(end.code);
    case JobEnd::How::kUnknown:
      break;
  }
  EndUnknown(kName, argv[0], "it");
}

}  // namespace launcher
