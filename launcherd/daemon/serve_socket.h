// The listening socket of launcherd serve --socket.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHERD_DAEMON_SERVE_SOCKET_H_
#define LAUNCHERD_DAEMON_SERVE_SOCKET_H_

#include <string>

#include "launcher/fd.h"
#include "launcher/result.h"

namespace launcherd {

/// A listening SOCK_STREAM socket with a name in the file system, for processes
/// of this user alone. The name is gone with the object.
class ServeSocket {
 public:
  /// The directory of `path` must be this user's, and closed to the writes of
  /// others: who can put another socket in the place of this one has its
  /// clients. A socket there that nobody listens to any more is replaced.
  /// Errors: ENAMETOOLONG and those of socket(2), bind(2), listen(2), by these
  /// steps; EADDRINUSE, step "bind": somebody listens to it; those of stat(2),
  /// and EPERM, step "stat": the directory is not private.
  static launcher::Result<ServeSocket> Create(const std::string& path);

  ServeSocket(ServeSocket&&) = default;
  ServeSocket& operator=(ServeSocket&&) = delete;
  ~ServeSocket();

  int fd() const { return fd_.get(); }

  /// The next client; empty if there is none now, or if it is of another user.
  /// Errors: those of accept(2), step "accept".
  launcher::Result<launcher::Fd> Accept() const;

 private:
  ServeSocket(launcher::Fd fd, std::string path, uint64_t inode)
      : fd_(std::move(fd)), path_(std::move(path)), inode_(inode) {}

  launcher::Fd fd_;
  std::string path_;
  uint64_t inode_;  ///< The name may be somebody else's by then.
};

}  // namespace launcherd

#endif  // LAUNCHERD_DAEMON_SERVE_SOCKET_H_
