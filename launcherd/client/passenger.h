// A program that launcherd runs for this process, which waits for it, hands on
// the signals that it gets, and takes the program along when it dies.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_CLIENT_PASSENGER_H_
#define LAUNCHER_CLIENT_PASSENGER_H_

#include <string_view>

#include "line.h"

namespace launcher {

struct JobEnd {
  enum class How : uint8_t {
    kNotRun,    ///< Nothing has happened: run it here.
    kExited,    ///< `code` is the status.
    kSignaled,  ///< `code` is the signal.
    kUnknown,   ///< It may have run, and the server is gone.
  };
  How how = How::kNotRun;
  int code = 0;
};

/// Asks the server named by the environment, if there is one.
JobEnd RunByServer(const Program& program);

/// Tells a server that counts that this line is for the real shell, and why.
void TellOfShell(std::string_view reason);

}  // namespace launcher

#endif  // LAUNCHER_CLIENT_PASSENGER_H_
