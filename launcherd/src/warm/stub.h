// The code that a parked process runs, and what it is told at its start.
//
// A parked process is a program that the dynamic loader has brought to its
// entry point. There a piece of code of ours is put into its memory (stub.cc,
// linked with child_setup.cc into one flat image, stub.ld) and takes over: it
// waits for requests, and for each makes a clone of the process, which becomes
// the job. What a clone does, in this order:
//
//   1. memory   It writes the job's arguments where execve(2) would have put
//               them: the texts end where those of the environment begin, the
//               array of pointers ends where that of the environment begins, so
//               that argc, argv, envp and the auxiliary vector follow each
//               other. What remembers the old ones gets the new values: a list
//               of slots, found when the process was parked (image.h).
//               Fresh bytes go to AT_RANDOM and to the stack protector.
//   2. hello    It tells the launcher its pid, and closes the socket: when the
//               launcher meets its end of file, nothing is under way any more.
//   3. steps    The steps of the launch, by the code that every engine uses
//               (child_setup.h). One that fails is put down in the job's
//               report, as is the time.
//   4. go       The signal mask; then the registers of the entry point, and a
//               jump to a `syscall; ret` of the loader that unmaps all this and
//               returns to the entry point. The program finds the memory that
//               it would have found.
//
// No libc, no allocation, no static data, no vector register: these still hold
// what they held at the entry point.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_WARM_STUB_H_
#define LAUNCHER_SRC_WARM_STUB_H_

#include <linux/prctl.h>

#include <cstddef>
#include <cstdint>

#include "child_setup.h"
#include "protocol.h"
#include "stub_machine.h"

namespace launcher::warm {

/// A word of the parked process that holds something of the process itself.
struct Slot {
  enum class Kind : uint32_t {
    kArguments,  ///< 8 bytes: &argv[0]
    kStack,      ///< 8 bytes: &argc, the stack pointer at the entry
    kName,       ///< 8 bytes: argv[0] + offset
    kCount,      ///< 4 bytes: argc
    kPid,        ///< 4 bytes: the process
  };
  uint64_t address;
  Kind kind;
  uint32_t offset;
  /// What is to be made writable for it, if the loader has made it read-only
  /// (RELRO): a whole mapping, which need not be split then, unless it is
  /// large.
  uint64_t locked_start;
  uint64_t locked_size;  ///< 0: it is writable.
};

inline constexpr uint32_t kMostSlots = 64;

struct StubContext {
  StubRegisters registers;  ///< At the entry point.
  uint64_t return_gadget;   ///< The address of a `syscall; ret`.
  uint64_t area;            ///< All that is to be unmapped in the end.
  uint64_t area_size;
  uint64_t reports;      ///< Report[kReportCount], shared.
  uint64_t tid_address;  ///< set_tid_address(2), 0: none.
  uint64_t robust_list;  ///< set_robust_list(2), 0: none.
  uint64_t robust_size;  ///< Of its head.
  uint64_t environment;  ///< &envp[0]
  uint64_t strings;      ///< Where texts may start.
  uint64_t random;       ///< AT_RANDOM: 16 bytes.
  prctl_mm_map map;      ///< arg_start and arg_end change with each clone.
  uint32_t slot_count;
  Slot slots[kMostSlots];
};

/// Layout of the area: code, then this, then the reports.
struct StubArea {
  StubContext context;
  alignas(16) char control[2048];  ///< Ancillary data of recvmsg(2).
  alignas(16) char request[kMostRequest];
  alignas(16) char stack[16 * 1024];
};

/// The image, to be put anywhere. It is entered at its first byte, with the
/// StubContext as its argument and the stack at the end of StubArea::stack.
extern "C" const char launcher_stub_start[];
extern "C" const char launcher_stub_end[];

}  // namespace launcher::warm

#endif  // LAUNCHER_SRC_WARM_STUB_H_
