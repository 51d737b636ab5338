// Reads a recipe line as GNU make does where its SHELL is /bin/sh: a line of
// plain words make starts by itself, without a shell, and so has another
// environment, and other words for a failure, than one that the shell runs.
// (job.c, construct_command_argv_internal(); 4.3 and 4.4.1 agree.)
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_CLIENT_MAKE_LINE_H_
#define LAUNCHER_CLIENT_MAKE_LINE_H_

#include <stddef.h>

namespace launcher {

/// The words of a line that make would start itself, with a null at the end:
/// `text` takes strlen(line) + 1 bytes, `words` at least strlen(line) / 2 + 2.
/// Returns their number; 0: make gives this line to the shell.
size_t ReadMakeLine(const char* line, char* text, char** words);

}  // namespace launcher

#endif  // LAUNCHER_CLIENT_MAKE_LINE_H_
