// From the "params" of a request to a Command.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHERD_DAEMON_LAUNCH_PARAMS_H_
#define LAUNCHERD_DAEMON_LAUNCH_PARAMS_H_

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "json_rpc.h"
#include "launcher/launcher.h"

namespace launcherd {

/// What may be said of a launch, and owns what its command() points to.
class LaunchParams {
 public:
  LaunchParams() = default;
  LaunchParams(const LaunchParams&) = delete;
  LaunchParams& operator=(const LaunchParams&) = delete;

  /// What is wrong with them, or nothing: see launcherd-serve(1). A name that
  /// is not known is wrong too.
  std::string Read(const Json& params);

  /// What can be said of "prepare": argv and the surroundings.
  std::string ReadPrepare(const Json& params);

  /// Makes a file of "stdin", if that was given. Errors: as
  /// launcher::MemoryInput().
  launcher::Result<void> MakeInput();

  launcher::Command& command() { return command_; }
  /// A line for Launcher::SpawnLine(); null: the command has words.
  const char* line() const { return line_; }
  bool wait() const { return wait_; }

 private:
  std::string ReadWords(const Json& words);
  std::string ReadEnvironment(const Json& variables);
  std::string ReadInput(const Json& input);
  std::string ReadMember(const std::string& name, const Json& value);
  std::string ReadSurroundings(const std::string& name, const Json& value,
                               bool* known);
  void Complete();

  launcher::Command command_;
  std::deque<std::string> texts_;  ///< Never moves what is in it.
  const char* line_ = nullptr;
  std::vector<const char*> argv_;
  std::vector<launcher::EnvChange> changes_;
  std::optional<std::string> input_;
  launcher::Fd input_fd_;
  bool clear_env_ = false;
  bool wait_ = true;
};

/// From "SIGTERM" or 15; empty if there is no such signal.
std::optional<int> ReadSignal(const Json& signal);

}  // namespace launcherd

#endif  // LAUNCHERD_DAEMON_LAUNCH_PARAMS_H_
