// Whether a job of ours would inherit what a child of another process would.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHERD_DAEMON_CLIENT_STATE_H_
#define LAUNCHERD_DAEMON_CLIENT_STATE_H_

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace launcherd {

/// Bit n - 1 is signal n. What make starts ignores two more signals than make,
/// those that glibc keeps for itself: so this may differ, and a job is given
/// what its client has.
struct IgnoredSignals {
  uint64_t own = 0;
  uint64_t other = 0;
};

/// Compares with this process what proc(5) and its like tell of `pid`:
/// credentials, capabilities, no_new_privs, seccomp, umask,
/// affinity, tracer (status), limits, cgroup, session, namespaces, root,
/// security label, core filter, OOM score, audit session, priority, scheduling
/// and I/O priority. Returns the name of the first that differs or cannot be
/// read, or an empty text. What only a process itself can tell is in Hello.
std::string DifferentState(pid_t pid, IgnoredSignals* ignored);

}  // namespace launcherd

#endif  // LAUNCHERD_DAEMON_CLIENT_STATE_H_
