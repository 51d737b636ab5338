// launcherd serve: a private server for a runtime, by JSON-RPC on its standard
// input and output or on a socket. See launcherd-serve(1).
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHERD_DAEMON_SERVE_H_
#define LAUNCHERD_DAEMON_SERVE_H_

#include <CLI/CLI.hpp>
#include <cstddef>
#include <string>

namespace launcherd {

struct ServeOptions {
  std::string socket;  ///< Its path; empty: standard input and output.
  size_t message_limit = 16 * 1024 * 1024;  ///< Bytes of one request.
  size_t launch_limit = 1024;               ///< Launches at once.
};

void AddServeOptions(CLI::App* app, ServeOptions* options);

/// Serves until its input ends, and kills what runs then, or when a client of
/// its socket is gone, what runs for that one. Returns the exit status.
int Serve(const ServeOptions& options);

}  // namespace launcherd

#endif  // LAUNCHERD_DAEMON_SERVE_H_
