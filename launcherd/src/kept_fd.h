// A descriptor that is kept for later, out of the descriptor table.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_KEPT_FD_H_
#define LAUNCHER_SRC_KEPT_FD_H_

#include "launcher/fd.h"
#include "launcher/result.h"

namespace launcher {

/// Holds an open file as a message in a socket, unix(7) SCM_RIGHTS. A child of
/// this process that stays between clone and exec, because it opens a FIFO, has
/// a copy of the socket but not of the file: Reset() closes the last one.
class KeptFd {
 public:
  KeptFd() = default;
  KeptFd(KeptFd&&) = default;
  KeptFd& operator=(KeptFd&&) = default;
  ~KeptFd() { Reset(); }

  /// `fd` stays the caller's. Errors: those of socketpair(2), step
  /// "socketpair"; of sendmsg(2), step "sendmsg", with EMFILE for ETOOMANYREFS;
  /// those of AboveStdio().
  static Result<KeptFd> Keep(const Fd& fd);

  explicit operator bool() const { return bool{socket_}; }

  /// A descriptor of the same open file, close-on-exec, not one of 0 to 2.
  /// Errors: EMFILE, step "recvmsg", and those of AboveStdio().
  Result<Fd> Copy() const;

  void Reset();

 private:
  Fd socket_;
};

}  // namespace launcher

#endif  // LAUNCHER_SRC_KEPT_FD_H_
