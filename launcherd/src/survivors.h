// Processes that a child has started and not waited for.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_SURVIVORS_H_
#define LAUNCHER_SRC_SURVIVORS_H_

#include <sys/types.h>

#include <vector>

#include "launcher/launcher.h"

namespace launcher {

/// Members of the group whose leader was a child of ours that has been reaped
/// just now. Not those that are ending. One system call if there is none; else
/// all of /proc is read.
///
/// `pidfd` is that of the leader: with it (Linux 6.9) no other group can be
/// mistaken for this one. Negative, or on an older kernel, the number of the
/// group stands for it. It cannot mean another one while a member is left; that
/// it has come to mean one since the reaping is noticed by the new leader.
std::vector<Survivor> FindSurvivors(pid_t group, int pidfd);

/// Sends SIGKILL to all of them, after FindSurvivors() has found some.
void KillSurvivors(pid_t group, int pidfd);

/// Sends SIGKILL to all that descend from `root`, a child of ours that has not
/// been reaped, in whatever group and session they are, and leaves `root`
/// itself stopped, to be killed next. Those whose parent has ended before them
/// are no descendants any more. Stops each first, so that none is started
/// meanwhile; reads all of /proc, as often as it takes until nothing is new,
/// for a second at most.
void KillDescendants(pid_t root);

}  // namespace launcher

#endif  // LAUNCHER_SRC_SURVIVORS_H_
