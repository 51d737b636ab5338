// The way out that is always right: /bin/sh takes this process over, with the
// arguments and the environment that it was started with, or goes on with the
// rest.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_CLIENT_REAL_SHELL_H_
#define LAUNCHER_CLIENT_REAL_SHELL_H_

namespace launcher {

/// What this process was started with, set by its entry point; and later what
/// the rest of its line would be started with.
struct Invocation {
  char** argv = nullptr;
  char** envp = nullptr;
  int directory = -1;  ///< Where, if not here.
};
extern Invocation invocation;

/// What the program does. Called by its entry point.
[[noreturn]] void Main(char** argv, char** envp);

/// The value of a variable of the invocation, or null.
const char* Environment(const char* name);

/// argv[0] becomes "/bin/sh", the rest is the invocation's. If there is no
/// shell: exit 127.
[[noreturn]] void RunRealShell();

[[noreturn]] void Exit(int status);

/// Writes "launcher-sh: ..." to standard error: the texts, up to a null.
void Complain(const char* const* texts);

}  // namespace launcher

#endif  // LAUNCHER_CLIENT_REAL_SHELL_H_
