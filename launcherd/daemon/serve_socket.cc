// SPDX-License-Identifier: Apache-2.0

#include "serve_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>

namespace launcherd {

namespace {

using launcher::Error;
using launcher::Fd;
using launcher::Result;

Fd MakeSocket(int flags) {
  return Fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
}

bool Bind(int fd, const sockaddr_un& address) {
  const mode_t mask = umask(0177);
  const bool bound = bind(fd, reinterpret_cast<const sockaddr*>(&address),
                          sizeof(address)) == 0;
  const int error = errno;
  umask(mask);
  errno = error;
  return bound;
}

/// Whether this is a socket of ours that nobody listens to.
bool IsLeftOver(const sockaddr_un& address) {
  struct stat status;
  if (lstat(address.sun_path, &status) != 0 || !S_ISSOCK(status.st_mode) ||
      status.st_uid != geteuid())
    return false;
  Fd client = MakeSocket(SOCK_NONBLOCK);
  return connect(client.get(), reinterpret_cast<const sockaddr*>(&address),
                 sizeof(address)) != 0 &&
         errno == ECONNREFUSED;
}

}  // namespace

Result<ServeSocket> ServeSocket::Create(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path))
    return Error{ENAMETOOLONG, "bind", path};
  memcpy(address.sun_path, path.c_str(), path.size());

  std::string directory = std::filesystem::path(path).parent_path();
  if (directory.empty())
    directory = ".";
  struct stat status;
  if (stat(directory.c_str(), &status) != 0)
    return Error{errno, "stat", directory};
  if (status.st_uid != geteuid() || (status.st_mode & 022) != 0)
    return Error{EPERM, "stat", directory + ": not a private directory"};

  Fd fd = MakeSocket(SOCK_NONBLOCK);
  if (!fd)
    return Error{errno, "socket", ""};
  bool bound = Bind(fd.get(), address);
  if (!bound && errno == EADDRINUSE) {
    if (IsLeftOver(address) && unlink(address.sun_path) == 0)
      bound = Bind(fd.get(), address);
    else
      errno = EADDRINUSE;
  }
  if (!bound)
    return Error{errno, "bind", path};
  const uint64_t inode =
      lstat(address.sun_path, &status) == 0 ? status.st_ino : 0;
  ServeSocket made(std::move(fd), path, inode);
  if (listen(made.fd(), SOMAXCONN) != 0)
    return Error{errno, "listen", path};
  return made;
}

ServeSocket::~ServeSocket() {
  struct stat status;
  if (fd_ && lstat(path_.c_str(), &status) == 0 && status.st_ino == inode_)
    (void)unlink(path_.c_str());
}

Result<Fd> ServeSocket::Accept() const {
  Fd client(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!client) {
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
      return Fd();
    return Error{errno, "accept", path_};
  }
  ucred peer = {};
  socklen_t size = sizeof(peer);
  if (getsockopt(client.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
      peer.uid != geteuid())
    return Fd();
  return client;
}

}  // namespace launcherd
