// SPDX-License-Identifier: Apache-2.0

#include "above_stdio.h"

#include <errno.h>
#include <fcntl.h>

#include <string>
#include <utility>

namespace launcher {

Result<Fd> AboveStdio(Fd fd) {
  if (fd.get() > 2)
    return fd;
  Fd moved(fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
  if (!moved)
    return Error{errno, "fcntl", std::to_string(fd.get())};
  return moved;
}

Fd AboveStdioOrNone(Fd fd) {
  if (!fd)
    return fd;
  Result<Fd> above = AboveStdio(std::move(fd));
  return above.ok() ? std::move(above.value()) : Fd();
}

}  // namespace launcher
