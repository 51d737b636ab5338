// SPDX-License-Identifier: Apache-2.0

#include "real_shell.h"

#include <string.h>

#include "sys.h"

namespace launcher {

using sys::Arg;
using sys::Raw;

Invocation invocation;

const char* Environment(const char* name) {
  for (char** entry = invocation.envp; *entry; ++entry) {
    size_t same = 0;
    while (name[same] && (*entry)[same] == name[same])
      ++same;
    if (!name[same] && (*entry)[same] == '=')
      return *entry + same + 1;
  }
  return nullptr;
}

void Exit(int status) {
  for (;;)
    Raw(SYS_exit_group, status);
}

void Complain(const char* const* texts) {
  char line[1024];
  size_t size = 0;
  for (; *texts; ++texts)
    for (const char* at = *texts; *at && size < sizeof(line); ++at)
      line[size++] = *at;
  Raw(SYS_write, 2, Arg(line), static_cast<long>(size));
}

void RunRealShell() {
  static char name[] = "/bin/sh";
  char* fallback[] = {name, nullptr};
  char** argv = invocation.argv[0] ? invocation.argv : fallback;
  argv[0] = name;
  if (invocation.directory >= 0)
    Raw(SYS_fchdir, invocation.directory);
  Raw(SYS_execve, Arg(name), Arg(argv), Arg(invocation.envp));
  const char* const texts[] = {"launcher-sh: /bin/sh cannot be executed\n",
                               nullptr};
  Complain(texts);
  Exit(127);
}

}  // namespace launcher
