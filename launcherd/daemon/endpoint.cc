// SPDX-License-Identifier: Apache-2.0

#include "endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "protocol.h"

namespace launcherd {

namespace {

using launcher::Error;
using launcher::Fd;
using launcher::Result;

/// A fresh directory of our own; empty if it cannot be made there.
std::string MakeDirectory(const char* parent) {
  std::string directory = std::string(parent) + "/launcherd.XXXXXX";
  sockaddr_un address;
  // With "/s" and a null.
  if (directory.size() + 3 > sizeof(address.sun_path) ||
      !mkdtemp(directory.data()))
    return "";
  return directory;
}

Result<std::string> MakeCookie() {
  unsigned char bytes[launcher::kCookieSize / 2];
  if (getrandom(bytes, sizeof(bytes), 0) != ssize_t{sizeof(bytes)})
    return Error{errno, "getrandom", ""};
  std::string cookie;
  for (unsigned char byte : bytes) {
    cookie.push_back("0123456789abcdef"[byte >> 4]);
    cookie.push_back("0123456789abcdef"[byte & 15]);
  }
  return cookie;
}

}  // namespace

std::string Endpoint::Name() const {
  return "/proc/" + std::to_string(getpid()) + "/fd/" +
         std::to_string(file.get()) + "," + std::to_string(hints.get()) + ":" +
         cookie;
}

void Endpoint::Hint(const char* program) const {
  const uint32_t bit = launcher::HintBit(program);
  unsigned char byte = 0;
  (void)!pread(hints.get(), &byte, 1, bit / 8);
  byte |= 1 << bit % 8;
  (void)!pwrite(hints.get(), &byte, 1, bit / 8);
}

Result<Endpoint> Endpoint::Create() {
  Endpoint made;
  Result<std::string> cookie = MakeCookie();
  if (!cookie.ok())
    return cookie.error();
  made.cookie = std::move(cookie.value());
  made.hints.Reset(memfd_create("launcherd-hints", MFD_CLOEXEC));
  if (!made.hints)
    return Error{errno, "memfd_create", ""};
  if (ftruncate(made.hints.get(), launcher::kHintBits / 8) != 0)
    return Error{errno, "ftruncate", "memfd"};
  made.socket.Reset(
      ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!made.socket)
    return Error{errno, "socket", ""};
  const char* runtime = getenv("XDG_RUNTIME_DIR");
  std::string directory =
      runtime && *runtime == '/' ? MakeDirectory(runtime) : "";
  if (directory.empty())
    directory = MakeDirectory("/tmp");
  if (directory.empty())
    return Error{errno, "mkdtemp", "/tmp"};

  const std::string path = directory + "/s";
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path.c_str(), path.size());
  Result<void> bound;
  if (bind(made.socket.get(), reinterpret_cast<sockaddr*>(&address),
           sizeof(address)) != 0)
    bound = Error{errno, "bind", path};
  else if (listen(made.socket.get(), SOMAXCONN) != 0)
    bound = Error{errno, "listen", path};
  made.file.Reset(open(path.c_str(), O_PATH | O_CLOEXEC));
  if (bound.ok() && !made.file)
    bound = Error{errno, "open", path};
  (void)unlink(path.c_str());
  (void)rmdir(directory.c_str());
  if (!bound.ok())
    return bound.error();
  return made;
}

}  // namespace launcherd
