// `launcherd inspect`: what a warm template of a program holds and saves.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHERD_DAEMON_INSPECT_H_
#define LAUNCHERD_DAEMON_INSPECT_H_

#include <string>
#include <vector>

namespace launcherd {

/// Prints to standard output what the loader of the program has to do, whether
/// it can be parked and why not, and what its start costs cold and warm: for
/// that it is run `runs` times each way, in turns, as given, without input and
/// with its output dropped, and once each way before, which is not counted;
/// cold alone if it cannot be parked. With 0 nothing of it is run but its
/// loader and the constructors of its libraries.
///
/// `argv[0]` is looked up as execvp(3) does. Errors are printed to standard
/// error. Returns the exit status: 0, or 1 if it cannot be executed.
int Inspect(const std::vector<std::string>& argv, int runs);

}  // namespace launcherd

#endif  // LAUNCHERD_DAEMON_INSPECT_H_
