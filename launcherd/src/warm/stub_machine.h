// What the stub has to know of the machine.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_WARM_STUB_MACHINE_H_
#define LAUNCHER_SRC_WARM_STUB_MACHINE_H_

#include <sys/syscall.h>

#include <cstdint>
#include <initializer_list>

#include "sys.h"

namespace launcher::warm {

#if defined(__x86_64__)

/// All that the entry point may look at, and the rest of what it would find.
struct StubRegisters {
  uint64_t rbx, rbp, rdx, r8, r9, r10, r12, r13, r14, r15;
  uint64_t rsp, rip;
};

/// Moves the stack pointer, and with it what else holds it or &argv[0].
inline void Relocate(StubRegisters* registers, uint64_t stack) {
  const uint64_t old = registers->rsp;
  for (uint64_t* other : {&registers->rbx, &registers->rdx, &registers->r8,
                          &registers->r9, &registers->r10, &registers->r12,
                          &registers->r13, &registers->r14, &registers->r15})
    if (*other == old || *other == old + sizeof(uint64_t))
      *other += stack - old;
  registers->rsp = stack;
}

/// clone(2) as fork(2) does it.
inline long CloneProcess(unsigned long flags, uint64_t tid_address) {
  return sys::Raw(SYS_clone, static_cast<long>(flags), 0, 0,
                  static_cast<long>(tid_address), 0);
}

/// Where glibc has the stack protector's canary. musl too, but that sets it up
/// behind the entry point.
inline void SetCanary(uint64_t canary) {
  __asm__ volatile("movq %0, %%fs:0x28" : : "r"(canary));
}

/// Unmaps `area` and goes to the entry point. `gadget` is a `syscall; ret`. The
/// two words below the stack pointer are overwritten; nothing lives there.
[[noreturn]] inline void GoToEntry(const StubRegisters* registers,
                                   uint64_t gadget, uint64_t area,
                                   uint64_t area_size) {
  auto* stack = reinterpret_cast<uint64_t*>(registers->rsp);
  stack[-1] = registers->rip;
  stack[-2] = gadget;
  __asm__ volatile(
      "movq 0(%%rcx), %%rbx\n\t"
      "movq 8(%%rcx), %%rbp\n\t"
      "movq 16(%%rcx), %%rdx\n\t"
      "movq 24(%%rcx), %%r8\n\t"
      "movq 32(%%rcx), %%r9\n\t"
      "movq 40(%%rcx), %%r10\n\t"
      "movq 48(%%rcx), %%r12\n\t"
      "movq 56(%%rcx), %%r13\n\t"
      "movq 64(%%rcx), %%r14\n\t"
      "movq 72(%%rcx), %%r15\n\t"
      "movq 80(%%rcx), %%rsp\n\t"
      "subq $16, %%rsp\n\t"
      "ret"
      :
      : "c"(registers), "a"(SYS_munmap), "D"(area), "S"(area_size)
      : "memory");
  __builtin_unreachable();
}

#else

struct StubRegisters {
  uint64_t rsp, rip;
};

#endif

}  // namespace launcher::warm

#endif  // LAUNCHER_SRC_WARM_STUB_MACHINE_H_
