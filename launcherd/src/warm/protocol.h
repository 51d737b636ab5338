// What a launcher and a parked process tell each other: requests and replies
// over a SOCK_SEQPACKET socket, reports in memory that both have mapped. Plain
// data; both sides are of one build.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_WARM_PROTOCOL_H_
#define LAUNCHER_SRC_WARM_PROTOCOL_H_

#include <cstdint>

#include "sys.h"

namespace launcher::warm {

/// The socket of a parked process. Closed in a clone before its first step.
inline constexpr int kSocket = 3;

/// The memory of the reports, until it has been mapped.
inline constexpr int kReports = 4;

/// Bytes of a request, with all that follows it in its message.
inline constexpr uint32_t kMostRequest = 64 * 1024;

/// Descriptors that go with one; the kernel's bound is 253 (SCM_MAX_FD).
inline constexpr uint32_t kMostDescriptors = 64;

/// Bytes that a parked process keeps free for the arguments of its clones.
inline constexpr uint32_t kArgumentRoom = 32 * 1024;

/// Where a descriptor of a request belongs.
struct Placement {
  int32_t number;
  int32_t cloexec;
};

/// Offsets count from the start of the request.
struct Request {
  uint64_t id;
  sys::KernelSigset mask;      ///< What the program starts with.
  uint32_t report;             ///< Index of its Report.
  uint32_t descriptors;        ///< That came with the message.
  uint32_t placements_offset;  ///< One each.
  int32_t move_above;          ///< Nonzero: a number above all that are used.
  uint32_t argument_count;
  uint32_t arguments_offset;  ///< Texts that end with a zero each.
  uint32_t arguments_size;
  uint32_t environment_offset;
  uint32_t environment_size;  ///< 0: the environment is the parked one's.
  uint32_t steps_offset;      ///< ChildStep; `path` is an offset.
  uint32_t step_count;
};

/// From a clone that has set up its memory (error == 0), or that it could not
/// be made: nothing of the job has been done then. Where there is a clone all
/// the same, `pid` is it; it ends at once.
struct Reply {
  uint64_t id;
  int32_t pid;
  int32_t error;
};

/// Of one clone, by index. To be read when it has ended.
struct Report {
  int32_t error;
  uint32_t failed_step;
  int64_t ran_ns;
  int64_t exec_ns;  ///< The program comes next.
};

inline constexpr uint32_t kReportCount = 1024;

}  // namespace launcher::warm

#endif  // LAUNCHER_SRC_WARM_PROTOCOL_H_
