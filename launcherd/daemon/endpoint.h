// Where clients find the server: a socket without a name in the file system.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHERD_DAEMON_ENDPOINT_H_
#define LAUNCHERD_DAEMON_ENDPOINT_H_

#include <string>

#include "launcher/fd.h"
#include "launcher/result.h"

namespace launcherd {

/// A listening SOCK_SEQPACKET socket whose file has been removed at once, so
/// that nothing can be left behind. Clients connect(2) to /proc/PID/fd/N, the
/// descriptor of that file: the kernel lets only those follow it who may look
/// into the process with ptrace(2).
struct Endpoint {
  launcher::Fd socket;
  launcher::Fd file;   ///< O_PATH
  launcher::Fd hints;  ///< memfd_create(2): see launcher::kHintBits.
  std::string cookie;  ///< What a client has to say.

  /// Nobody need ask for this program any more.
  void Hint(const char* program) const;

  /// The value of kServerVariable.
  std::string Name() const;

  /// In XDG_RUNTIME_DIR, or else in /tmp. Errors: those of mkdtemp(3),
  /// socket(2), bind(2), listen(2), open(2), getrandom(2), memfd_create(2),
  /// ftruncate(2), by these steps.
  static launcher::Result<Endpoint> Create();
};

}  // namespace launcherd

#endif  // LAUNCHERD_DAEMON_ENDPOINT_H_
