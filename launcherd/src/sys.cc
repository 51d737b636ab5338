// SPDX-License-Identifier: Apache-2.0

#include "sys.h"

namespace launcher::sys {

#if defined(__x86_64__)
// Written in assembly because the child comes back from the system call on an
// empty stack: nothing the compiler may have kept on the old one is there.
long Clone3(clone_args* args, void (*entry)(void*), void* arg) {
  register auto r8 __asm__("r8") = entry;
  register auto r9 __asm__("r9") = arg;
  long ret;
  __asm__ volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xor %%ebp, %%ebp\n\t"
      "mov %%r9, %%rdi\n\t"
      "call *%%r8\n\t"
      "hlt\n"
      "1:"
      : "=a"(ret)
      : "a"(SYS_clone3), "D"(args), "S"(sizeof(*args)), "r"(r8), "r"(r9)
      : "rcx", "r11", "memory");
  return ret;
}
#else
long Clone3(clone_args*, void (*)(void*), void*) { return -ENOSYS; }
#endif

}  // namespace launcher::sys
