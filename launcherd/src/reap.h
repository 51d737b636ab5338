// Signals a child and collects it when it has ended.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_REAP_H_
#define LAUNCHER_SRC_REAP_H_

#include <sys/resource.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>

namespace launcher {

/// What children that have been reaped have used.
struct Usage {
  std::chrono::microseconds user_cpu{};
  std::chrono::microseconds system_cpu{};
  int64_t max_rss_kib = 0;

  void Add(const rusage& usage);
};

struct Reaped {
  enum class State { kReaped, kRunning, kLost };
  State state = State::kLost;
  bool signaled = false;
  bool core_dumped = false;
  int code = 0;  ///< Exit status or signal.
  rusage usage = {};
};

/// Never blocks and never reaps another child: waitid(P_PIDFD), or by pid where
/// that is refused or `pidfd` is negative, or wait4(2) where waitid is. kLost:
/// no such child, or all of them are refused.
Reaped ReapChild(pid_t pid, int pidfd);

/// The same, but leaves the child to be reaped; no usage.
Reaped PeekChild(pid_t pid);

/// Whether the child has ended; leaves it to be reaped.
/// Returns 1, 0, or -errno if the system does not say.
int HasEnded(pid_t pid);

/// Signals a process that has not been reaped, so that its pid is its own: by
/// pidfd_send_signal(2), or by kill(2) where `pidfd` is negative or the first
/// is refused. Returns 0 or -errno.
int SignalChild(pid_t pid, int pidfd, int signal);

/// Sends SIGKILL to a child that somebody else may have reaped, so that its pid
/// may be another's: by pid only if the first is refused, and it is there.
void SendKill(pid_t pid, int pidfd);

/// The same, and reaps it. Blocks until it has ended. False if somebody else
/// has reaped it.
bool EndChild(pid_t pid, int pidfd);

}  // namespace launcher

#endif  // LAUNCHER_SRC_REAP_H_
