// What Ninja says about its use of the shell: `-d launch` and `-t launch`.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef NINJA_LAUNCH_TOOL_H_
#define NINJA_LAUNCH_TOOL_H_

#include <string>

#include "launcher/command.h"

struct State;

/// Set by `-d launch`: each command that takes the shell is told with the
/// reason.
extern bool g_explain_launch;

/// What is being built; null: not known (yet).
extern State* g_launch_state;

/// Whether the executable of this absolute path may be one of the outputs of
/// g_launch_state: true if that is not known.
bool MayBeOutput(const std::string& path);

/// The surroundings of a job, a launcher::Command without words.
launcher::Command JobSurroundings(bool use_console);

/// `ninja -t launch`: how the commands of `state` would be started, counted by
/// reason. Starts none. Returns the exit status.
int LaunchTool(State* state, int argc, char* argv[]);

#endif  // NINJA_LAUNCH_TOOL_H_
