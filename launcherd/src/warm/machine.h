// What ptrace(2) has to know of the machine. Everything that is different on
// another architecture is here and in stub_machine.h.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_WARM_MACHINE_H_
#define LAUNCHER_SRC_WARM_MACHINE_H_

#include <elf.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/user.h>

#include <array>
#include <cstdint>
#include <string_view>

#include "stub_machine.h"

namespace launcher::warm {

#if defined(__x86_64__)

inline constexpr bool kMachineKnown = true;

using Registers = user_regs_struct;

/// int3. The address of a thread that has executed it is one byte further.
inline constexpr std::array<uint8_t, 1> kBreakpoint = {0xcc};

/// syscall; int3.
inline constexpr std::array<uint8_t, 3> kSystemCall = {0x0f, 0x05, 0xcc};

/// syscall; ret.
inline constexpr std::string_view kReturnGadget{"\x0f\x05\xc3", 3};

inline uint64_t Address(const Registers& registers) { return registers.rip; }
inline uint64_t Stack(const Registers& registers) { return registers.rsp; }
inline void SetStack(Registers* registers, uint64_t stack) {
  registers->rsp = stack;
}

/// Of its thread-local memory.
inline uint64_t ThreadPointer(const Registers& registers) {
  return registers.fs_base;
}

/// Whether it executes 64-bit code.
inline bool IsNative(const Registers& registers) {
  return registers.cs == 0x33;
}

/// Back to the address of the breakpoint that it has hit.
inline void StepBack(Registers* registers) {
  registers->rip -= kBreakpoint.size();
}

/// Ready to execute `nr` with these arguments at `address`.
inline void SetCall(Registers* registers, uint64_t address, long nr,
                    const std::array<uint64_t, 6>& args) {
  registers->rip = address;
  registers->rax = static_cast<uint64_t>(nr);
  registers->orig_rax = ~uint64_t{0};  // No call to be restarted.
  registers->rdi = args[0];
  registers->rsi = args[1];
  registers->rdx = args[2];
  registers->r10 = args[3];
  registers->r8 = args[4];
  registers->r9 = args[5];
}

inline long CallResult(const Registers& registers) {
  return static_cast<long>(registers.rax);
}

/// Ready to enter a function of one argument at `address`, on `stack`.
inline void SetEntry(Registers* registers, uint64_t address, uint64_t argument,
                     uint64_t stack) {
  registers->rip = address;
  registers->orig_rax = ~uint64_t{0};
  registers->rdi = argument;
  registers->rsp = stack - 8;     // As behind a call.
  registers->eflags &= ~0x400UL;  // The ABI's direction.
}

/// Of a word that a call goes through.
inline constexpr uint32_t kCallRelocation = R_X86_64_JUMP_SLOT;

/// Whether the code at `bytes[offset]` asks the loader to bind the call of
/// relocation `index`: `push $index`, behind an endbr64 or not.
inline bool AsksLoader(const std::array<uint8_t, 16>& bytes, size_t offset,
                       uint32_t index) {
  constexpr std::array<uint8_t, 4> kEndbr64 = {0xf3, 0x0f, 0x1e, 0xfa};
  if (offset + kEndbr64.size() <= bytes.size() &&
      memcmp(&bytes[offset], kEndbr64.data(), kEndbr64.size()) == 0)
    offset += kEndbr64.size();
  return offset + 1 + sizeof(index) <= bytes.size() && bytes[offset] == 0x68 &&
         memcmp(&bytes[offset + 1], &index, sizeof(index)) == 0;
}

inline StubRegisters ForStub(const Registers& r) {
  return {r.rbx, r.rbp, r.rdx, r.r8,  r.r9,  r.r10,
          r.r12, r.r13, r.r14, r.r15, r.rsp, r.rip};
}

#else

inline constexpr bool kMachineKnown = false;
struct Registers {};
inline constexpr std::array<uint8_t, 1> kBreakpoint = {};
inline constexpr std::array<uint8_t, 1> kSystemCall = {};
inline constexpr std::string_view kReturnGadget = "?";
inline uint64_t Address(const Registers&) { return 0; }
inline uint64_t Stack(const Registers&) { return 0; }
inline void SetStack(Registers*, uint64_t) {}
inline uint64_t ThreadPointer(const Registers&) { return 0; }
inline bool IsNative(const Registers&) { return false; }
inline void StepBack(Registers*) {}
inline void SetCall(Registers*, uint64_t, long,
                    const std::array<uint64_t, 6>&) {}
inline long CallResult(const Registers&) { return -1; }
inline void SetEntry(Registers*, uint64_t, uint64_t, uint64_t) {}
inline constexpr uint32_t kCallRelocation = ~uint32_t{0};
inline bool AsksLoader(const std::array<uint8_t, 16>&, size_t, uint32_t) {
  return false;
}
inline StubRegisters ForStub(const Registers&) { return {}; }

#endif

}  // namespace launcher::warm

#endif  // LAUNCHER_SRC_WARM_MACHINE_H_
