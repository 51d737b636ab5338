// SPDX-License-Identifier: Apache-2.0

#include "survivors.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <memory>
#include <string_view>

#include "launcher/fd.h"
#include "sys.h"

namespace launcher {

namespace {

constexpr unsigned kExiting = 4;  // PF_EXITING of linux/sched.h.

struct CloseDir {
  void operator()(DIR* dir) const { closedir(dir); }
};

/// 0 or -errno; ESRCH: there is no member, not even a zombie.
int SignalGroup(pid_t group, int pidfd, int signal) {
  if (pidfd >= 0) {
    const long sent = sys::PidfdSignalGroup(pidfd, signal);
    if (sent == 0 || sent == -ESRCH || sent == -EPERM)
      return static_cast<int>(sent);
  }
  return kill(-group, signal) == 0 ? 0 : -errno;
}

struct Status {
  pid_t group = -1;  ///< -1: no such process, or it is ending.
  std::string comm;
};

/// From /proc/PID/stat: "pid (comm) state ppid pgrp session tty tpgid flags".
Status ReadStatus(const char* pid) {
  Fd fd(open((std::string("/proc/") + pid + "/stat").c_str(),
             O_RDONLY | O_CLOEXEC));
  char buffer[512];
  const ssize_t size = fd ? read(fd.get(), buffer, sizeof(buffer) - 1) : -1;
  if (size <= 0)
    return {};
  buffer[size] = '\0';
  const std::string_view text(buffer, static_cast<size_t>(size));
  const size_t open = text.find('('), close = text.rfind(')');
  char state = 'X';
  Status status;
  unsigned flags = 0;
  if (open == text.npos || close == text.npos ||
      sscanf(buffer + close + 1, " %c %*d %d %*d %*d %*d %u", &state,
             &status.group, &flags) != 3 ||
      state == 'Z' || state == 'X' || (flags & kExiting))
    return {};
  status.comm = text.substr(open + 1, close - open - 1);
  return status;
}

}  // namespace

std::vector<Survivor> FindSurvivors(pid_t group, int pidfd) {
  if (SignalGroup(group, pidfd, 0) == -ESRCH)
    return {};
  std::unique_ptr<DIR, CloseDir> proc(opendir("/proc"));
  std::vector<Survivor> found;
  while (dirent* entry = proc ? readdir(proc.get()) : nullptr) {
    char* end;
    const long pid = strtol(entry->d_name, &end, 10);
    if (*end != '\0' || pid <= 0)
      continue;
    if (pid == group)
      return {};  // The number is somebody else's by now.
    Status status = ReadStatus(entry->d_name);
    if (status.group == group)
      found.push_back({static_cast<pid_t>(pid), std::move(status.comm)});
  }
  // A group that has members still is the one it was before they were read.
  if (SignalGroup(group, pidfd, 0) == -ESRCH)
    return {};
  return found;
}

void KillSurvivors(pid_t group, int pidfd) {
  (void)SignalGroup(group, pidfd, SIGKILL);
}

}  // namespace launcher
