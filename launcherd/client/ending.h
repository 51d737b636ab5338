// How a client of launcherd ends when its program has.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_CLIENT_ENDING_H_
#define LAUNCHER_CLIENT_ENDING_H_

namespace launcher {

/// Dies of `signal`, as the program did that it stands for.
[[noreturn]] void DieOf(int signal);

/// Says in the name of `self` that launcherd has ended, and how `program` has
/// ended cannot be known; `what` counts as failed. Exits with 125.
[[noreturn]] void EndUnknown(const char* self, const char* program,
                             const char* what);

}  // namespace launcher

#endif  // LAUNCHER_CLIENT_ENDING_H_
