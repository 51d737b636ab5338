// SPDX-License-Identifier: Apache-2.0

#include "die_of.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

namespace launcherd {

[[noreturn]] void DieOf(int signal) {
  fflush(nullptr);
  const rlimit no_core = {};
  setrlimit(RLIMIT_CORE, &no_core);
  ::signal(signal, SIG_DFL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  sigprocmask(SIG_UNBLOCK, &set, nullptr);
  raise(signal);
  _exit(128 + signal);
}

}  // namespace launcherd
