// SPDX-License-Identifier: Apache-2.0

#include "holder.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string_view>

#include "launcher/fd.h"

namespace launcher {

namespace {

struct CloseDir {
  void operator()(DIR* dir) const { closedir(dir); }
};
using Dir = std::unique_ptr<DIR, CloseDir>;

std::string ReadSmallFile(const std::string& path) {
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char buffer[256];
  ssize_t size = fd ? read(fd.get(), buffer, sizeof(buffer)) : -1;
  return size > 0 ? std::string(buffer, size) : std::string();
}

bool IsOpenForWriting(const std::string& fd_directory, const char* fd) {
  // The owner's bits of the link in /proc/PID/fd are the access mode.
  struct stat link;
  return lstat((fd_directory + fd).c_str(), &link) == 0 &&
         (link.st_mode & S_IWUSR) != 0;
}

/// Compares the text of the links: stat(2) of what they lead to may hang on a
/// dead network file system.
bool HoldsPipe(const std::string& fd_directory, const std::string& pipe) {
  Dir dir(opendir(fd_directory.c_str()));
  if (!dir)
    return false;
  while (dirent* entry = readdir(dir.get())) {
    char link[64];
    ssize_t size =
        readlinkat(dirfd(dir.get()), entry->d_name, link, sizeof(link));
    if (size > 0 && std::string_view(link, size) == pipe &&
        IsOpenForWriting(fd_directory, entry->d_name))
      return true;
  }
  return false;
}

}  // namespace

Holder FindPipeHolder(int read_end, pid_t except) {
  struct stat file;
  Dir proc(opendir("/proc"));
  if (!proc || fstat(read_end, &file) != 0)
    return {};
  std::string pipe = "pipe:[" + std::to_string(file.st_ino) + "]";
  while (dirent* entry = readdir(proc.get())) {
    char* end;
    long pid = strtol(entry->d_name, &end, 10);
    if (*end != '\0' || pid <= 0 || pid == getpid() || pid == except)
      continue;
    std::string base = std::string("/proc/") + entry->d_name;
    if (!HoldsPipe(base + "/fd/", pipe))
      continue;
    std::string comm = ReadSmallFile(base + "/comm");
    if (!comm.empty() && comm.back() == '\n')
      comm.pop_back();
    return {static_cast<pid_t>(pid), std::move(comm)};
  }
  return {};
}

}  // namespace launcher
