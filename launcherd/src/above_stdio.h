// Descriptors of our own stay off the numbers of standard input and output.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_ABOVE_STDIO_H_
#define LAUNCHER_SRC_ABOVE_STDIO_H_

#include "launcher/fd.h"
#include "launcher/result.h"

namespace launcher {

/// Moves a descriptor out of the way of 0 to 2, where a child's stdio goes.
/// Errors: those of F_DUPFD_CLOEXEC, step "fcntl"; `fd` is closed then.
Result<Fd> AboveStdio(Fd fd);

/// Empty if it cannot be moved or is empty: for what can be done without.
Fd AboveStdioOrNone(Fd fd);

}  // namespace launcher

#endif  // LAUNCHER_SRC_ABOVE_STDIO_H_
