// SPDX-License-Identifier: Apache-2.0

#include "ending.h"

#include <sys/resource.h>

#include "real_shell.h"
#include "sys.h"

namespace launcher {

using sys::Arg;
using sys::Raw;

void DieOf(int signal) {
  const rlimit no_core = {};
  Raw(SYS_prlimit64, 0, RLIMIT_CORE, Arg(&no_core), 0);
  struct {
    void (*handler)(int) = nullptr;
    unsigned long flags = 0;
    void (*restorer)() = nullptr;
    sys::KernelSigset mask = 0;
  } action;
  Raw(SYS_rt_sigaction, signal, Arg(&action), 0, sizeof(action.mask));
  sys::SetSignalMask(0);
  Raw(SYS_kill, Raw(SYS_getpid), signal);
  Exit(128 + signal);
}

void EndUnknown(const char* self, const char* program, const char* what) {
  const char* const texts[] = {self,    ": launcherd has ended, and how '",
                               program, "' has ended cannot be known; ",
                               what,    " counts as failed\n",
                               nullptr};
  Complain(texts);
  Exit(125);
}

}  // namespace launcher
