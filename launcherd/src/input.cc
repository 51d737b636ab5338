// SPDX-License-Identifier: Apache-2.0

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "launcher/command.h"

namespace launcher {

Result<Fd> MemoryInput(std::string_view bytes, const char* name) {
  Fd file(memfd_create(name, MFD_CLOEXEC));
  if (!file)
    return Error{errno, "memfd_create", name};
  while (!bytes.empty()) {
    ssize_t size = write(file.get(), bytes.data(), bytes.size());
    if (size < 0 && errno != EINTR)
      return Error{errno, "write", name};
    if (size > 0)
      bytes.remove_prefix(static_cast<size_t>(size));
  }
  // By another open file: at its start, and not to be written by the child.
  const std::string link = "/proc/self/fd/" + std::to_string(file.get());
  Fd reader(open(link.c_str(), O_RDONLY | O_CLOEXEC));
  if (!reader)
    return Error{errno, "open", link};
  return reader;
}

}  // namespace launcher
