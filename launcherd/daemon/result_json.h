// What became of a launch, as launcherd exec and launcherd serve tell it. The
// members are described in launcherd-exec(1).
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHERD_DAEMON_RESULT_JSON_H_
#define LAUNCHERD_DAEMON_RESULT_JSON_H_

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

#include "launcher/launcher.h"

namespace launcherd {

/// Bytes kept of each stream unless told otherwise: more than anybody reads,
/// less than what hurts.
inline constexpr size_t kDefaultCap = 1024 * 1024;

/// How long the output may stay silent once the program has ended, where
/// LAUNCHER_DRAIN_MS does not say it; ten times this in all.
inline constexpr std::chrono::milliseconds kDefaultDrain{500};

nlohmann::ordered_json ResultToJson(const launcher::Finished& finished);

/// The member "error" of it.
nlohmann::ordered_json ErrorToJson(const launcher::Error& error);

/// For what Launcher::Spawn() or the opening of its input has refused.
launcher::Finished NotStarted(launcher::Error error);

/// "SIGTERM", "SIGRTMIN+2".
std::string SignalName(int signal);

/// One line, without the newline at its end. Whatever is no UTF-8 (names of
/// files, in errors) has U+FFFD in its place.
std::string ToLine(const nlohmann::ordered_json& json);

}  // namespace launcherd

#endif  // LAUNCHERD_DAEMON_RESULT_JSON_H_
