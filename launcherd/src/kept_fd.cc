// SPDX-License-Identifier: Apache-2.0

#include "kept_fd.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "above_stdio.h"

namespace launcher {

namespace {

/// One byte, and room for one descriptor.
struct Parcel {
  char byte = 0;
  iovec part = {&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header = {};

  Parcel() {
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
  }
};

}  // namespace

Result<KeptFd> KeptFd::Keep(const Fd& fd) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) != 0)
    return Error{errno, "socketpair", ""};
  Fd sender(ends[0]);
  KeptFd kept;
  Result<Fd> above = AboveStdio(Fd(ends[1]));
  if (!above.ok())
    return above.error();
  kept.socket_ = std::move(above.value());

  Parcel parcel;
  cmsghdr* rights = CMSG_FIRSTHDR(&parcel.header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  const int number = fd.get();
  memcpy(CMSG_DATA(rights), &number, sizeof(number));
  if (sendmsg(sender.get(), &parcel.header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
    return Error{errno == ETOOMANYREFS ? EMFILE : errno, "sendmsg", "pipe"};
  return kept;
}

Result<Fd> KeptFd::Copy() const {
  Parcel parcel;
  const int flags = MSG_PEEK | MSG_CMSG_CLOEXEC | MSG_DONTWAIT;
  if (recvmsg(socket_.get(), &parcel.header, flags) < 0)
    return Error{errno, "recvmsg", "pipe"};
  const cmsghdr* rights = CMSG_FIRSTHDR(&parcel.header);
  if (!rights)
    return Error{EMFILE, "recvmsg", "pipe"};  // MSG_CTRUNC
  int number;
  memcpy(&number, CMSG_DATA(rights), sizeof(number));
  return AboveStdio(Fd(number));
}

void KeptFd::Reset() {
  if (!socket_)
    return;
  char byte;
  (void)recv(socket_.get(), &byte, 1, MSG_DONTWAIT);  // Closes what is with it.
  socket_.Reset();
}

}  // namespace launcher
