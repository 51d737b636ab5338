// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHERD_DAEMON_DIE_OF_H_
#define LAUNCHERD_DAEMON_DIE_OF_H_

namespace launcherd {

/// Ends this process as a signal has ended a child: of the same, and without a
/// second core file.
[[noreturn]] void DieOf(int signal);

}  // namespace launcherd

#endif  // LAUNCHERD_DAEMON_DIE_OF_H_
