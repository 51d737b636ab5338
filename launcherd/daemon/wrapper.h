// launcherd COMMAND: runs a build and is its fork server meanwhile.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHERD_DAEMON_WRAPPER_H_
#define LAUNCHERD_DAEMON_WRAPPER_H_

namespace launcherd {

struct WrapOptions {
  bool stats = false;  ///< Tells on standard error what was launched how.
  bool tools = false;  ///< Sets the variables by which other tools than make
                       ///< are told of a compiler launcher or a shell.
};

/// Runs `argv` (with a null at the end) and ends as it ended: returns its exit
/// status, or dies of its signal. 127: not found, 126: it cannot be executed.
int Wrap(char** argv, const WrapOptions& options);

}  // namespace launcherd

#endif  // LAUNCHERD_DAEMON_WRAPPER_H_
