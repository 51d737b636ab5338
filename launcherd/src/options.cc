// SPDX-License-Identifier: Apache-2.0

#include <errno.h>
#include <stdlib.h>

#include <charconv>
#include <string_view>

#include "launcher/launcher.h"
#include "patterns.h"

namespace launcher {

Result<Launcher::Options> Launcher::Options::FromEnvironment() {
  Options options;
  if (const char* text = getenv("LAUNCHER_ENGINE")) {
    bool known = false;
    for (Engine engine : {Engine::kAuto, Engine::kClone3, Engine::kKernel,
                          Engine::kPosixSpawn, Engine::kWarm}) {
      if (EngineName(engine) == std::string_view(text)) {
        options.engine = engine;
        known = true;
      }
    }
    if (!known)
      return Error{EINVAL, "LAUNCHER_ENGINE",
                   std::string(text) +
                       "; use auto, clone3, kernel, posix_spawn or warm"};
  }
  if (const char* text = getenv("LAUNCHER_SHELL")) {
    if (text == std::string_view("always"))
      options.shell = ShellUse::kAlways;
    else if (text != std::string_view("auto"))
      return Error{EINVAL, "LAUNCHER_SHELL",
                   std::string(text) + "; use auto or always"};
  }
  if (const char* text = getenv("LAUNCHER_NEVER_WARM")) {
    options.never_warm = {text};
    if (auto made = Patterns::Create("LAUNCHER_NEVER_WARM", options.never_warm);
        !made.ok())
      return made.error();
  }
  if (const char* text = getenv("LAUNCHER_DRAIN_MS")) {
    std::string_view digits = text;
    int64_t milliseconds = -1;
    auto [end, error] = std::from_chars(
        digits.data(), digits.data() + digits.size(), milliseconds);
    // The upper bound keeps ten times it within the clock.
    if (error != std::errc() || end != digits.data() + digits.size() ||
        milliseconds < 0 || milliseconds > 1'000'000'000)
      return Error{EINVAL, "LAUNCHER_DRAIN_MS",
                   std::string(text) + "; use milliseconds, 0 or more"};
    options.drain = std::chrono::milliseconds(milliseconds);
  }
  return options;
}

}  // namespace launcher
