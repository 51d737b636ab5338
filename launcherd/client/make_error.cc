// SPDX-License-Identifier: Apache-2.0

#include "make_error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "real_shell.h"
#include "sys.h"

namespace launcher {

namespace {

using sys::Arg;
using sys::Raw;

constexpr int kNotFound = 127;

/// Whether strerror(3) speaks English in the locale of the environment.
bool SpeaksEnglish() {
  for (const char* name : {"LC_ALL", "LC_MESSAGES", "LANG"}) {
    const char* value = Environment(name);
    if (!value || !*value)
      continue;
    std::string_view locale = value;
    return locale == "C" || locale == "POSIX" || locale.starts_with("C.") ||
           (locale.starts_with("en_") && !Environment("LANGUAGE"));
  }
  return true;
}

/// A file of the parent in /proc, up to 64 KiB of it: empty if it cannot be
/// read.
std::string ReadOfParent(const char* name) {
  std::string path = "/proc/";
  char digits[16];
  size_t at = sizeof(digits);
  for (long pid = Raw(SYS_getppid); pid > 0; pid /= 10)
    digits[--at] = static_cast<char>('0' + pid % 10);
  path.append(digits + at, sizeof(digits) - at).append(name);
  long fd = Raw(SYS_openat, AT_FDCWD, Arg(path.c_str()), O_RDONLY | O_CLOEXEC);
  static char buffer[64 * 1024];
  size_t size = 0;
  long got = 0;
  while (fd >= 0 && size < sizeof(buffer) &&
         (got = Raw(SYS_read, fd, Arg(buffer + size), sizeof(buffer) - size)) >
             0)
    size += static_cast<size_t>(got);
  if (fd >= 0)
    Raw(SYS_close, fd);
  return std::string(buffer, size);
}

}  // namespace

void FailAsMake(const char* program, long error) {
  if ((error != -ENOENT && error != -EACCES) || !SpeaksEnglish())
    return;
  // Its name is that of its first argument; its depth it has been given: in the
  // environment of a recipe is that of a make below.
  std::string text = ReadOfParent("/cmdline");
  text.resize(strlen(text.c_str()));
  text.erase(0, text.rfind('/') + 1);
  if (text.empty())
    return;
  const std::string environment =
      std::string(1, '\0') + ReadOfParent("/environ");
  constexpr std::string_view kLevel("\0MAKELEVEL=", 11);
  if (size_t at = environment.find(kLevel); at != environment.npos) {
    const char* level = environment.c_str() + at + kLevel.size();
    if (*level && strcmp(level, "0") != 0)
      text.append("[").append(level).append("]");
  }
  text.append(": ").append(program);
  text.append(error == -ENOENT ? ": No such file or directory\n"
                               : ": Permission denied\n");
  Raw(SYS_write, STDERR_FILENO, Arg(text.data()), text.size());
  Exit(kNotFound);
}

}  // namespace launcher
