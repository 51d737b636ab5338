// launcherd exec: one program, its result as JSON.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHERD_DAEMON_EXEC_H_
#define LAUNCHERD_DAEMON_EXEC_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "result_json.h"

namespace launcherd {

struct ExecOptions {
  std::vector<std::string> argv;
  std::string cwd;               ///< Empty: the own one.
  std::vector<std::string> env;  ///< NAME=VALUE
  bool clear_env = false;
  int64_t timeout_ms = 0;  ///< 0: none.
  int64_t cap = kDefaultCap;
  bool json = false;
  bool merge = false;
  bool keep = false;
  std::string in = "null";  ///< "null", "inherit", or a file.
};

void AddExecOptions(CLI::App* app, ExecOptions* options);

/// Returns the exit status, or dies of the program's signal.
int Exec(const ExecOptions& options);

}  // namespace launcherd

#endif  // LAUNCHERD_DAEMON_EXEC_H_
