// SPDX-License-Identifier: Apache-2.0

#include "survivors.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>
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
  pid_t parent = -1;
  bool starts_nothing = false;   ///< Once SIGSTOP has been sent to it.
  unsigned long long start = 0;  ///< With the pid: which process it is.
  std::string comm;
};

/// From /proc/PID/stat, proc(5): "pid (comm) state ppid pgrp session tty tpgid
/// flags" and, behind ten more, the number of threads, another, and the time of
/// its start.
Status ReadStatus(const std::string& pid) {
  Fd fd(open(("/proc/" + pid + "/stat").c_str(), O_RDONLY | O_CLOEXEC));
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
  int threads = 0;
  if (open == text.npos || close == text.npos ||
      sscanf(buffer + close + 1,
             " %c %d %d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
             "%*d %d %*d %llu",
             &state, &status.parent, &status.group, &flags, &threads,
             &status.start) != 6 ||
      state == 'Z' || state == 'X' || (flags & kExiting))
    return {};
  // fork(2) may be under way in one that runs or is in a sleep of the other
  // kind; not in this one, and before it goes on it will stop.
  status.starts_nothing =
      state == 'T' || state == 't' || (state == 'S' && threads == 1);
  status.comm = text.substr(open + 1, close - open - 1);
  return status;
}

/// All that this user may see; those that end have no group.
std::map<pid_t, Status> ReadProcesses() {
  std::unique_ptr<DIR, CloseDir> proc(opendir("/proc"));
  std::map<pid_t, Status> processes;
  while (dirent* entry = proc ? readdir(proc.get()) : nullptr) {
    char* end;
    const long pid = strtol(entry->d_name, &end, 10);
    if (*end == '\0' && pid > 0)
      processes.emplace(static_cast<pid_t>(pid), ReadStatus(entry->d_name));
  }
  return processes;
}

/// To the process that was seen, not to a later one with its number.
void SignalSeen(pid_t pid, const Status& seen, int signal) {
  Fd pidfd(static_cast<int>(sys::PidfdOpen(pid)));
  if (ReadStatus(std::to_string(pid)).start != seen.start)
    return;
  if (pidfd)
    (void)sys::PidfdSendSignal(pidfd.get(), signal);
  else
    (void)kill(pid, signal);
}

}  // namespace

std::vector<Survivor> FindSurvivors(pid_t group, int pidfd) {
  if (SignalGroup(group, pidfd, 0) == -ESRCH)
    return {};
  std::vector<Survivor> found;
  for (auto& [pid, status] : ReadProcesses()) {
    if (pid == group)
      return {};  // The number is somebody else's by now.
    if (status.group == group)
      found.push_back({pid, std::move(status.comm)});
  }
  // A group that has members still is the one it was before they were read.
  if (SignalGroup(group, pidfd, 0) == -ESRCH)
    return {};
  return found;
}

void KillSurvivors(pid_t group, int pidfd) {
  (void)SignalGroup(group, pidfd, SIGKILL);
}

void KillDescendants(pid_t root) {
  // A signal takes its time to stop a process that runs, and one that sleeps in
  // the kernel may stay as it is for long: then what is found has to do.
  constexpr std::chrono::seconds kLongest(1);
  const auto limit = std::chrono::steady_clock::now() + kLongest;
  (void)kill(root, SIGSTOP);
  std::map<pid_t, Status> seen;
  // A state is read after the list of processes: only the list of the next look
  // is known to have all that a process had started by then.
  for (int still = 0; still < 2 && std::chrono::steady_clock::now() < limit;) {
    bool settled = true;
    std::map<pid_t, Status> processes = ReadProcesses();
    std::vector<pid_t> family = {root};
    for (size_t i = 0; i < family.size(); ++i) {
      const Status& member = processes[family[i]];
      settled &= member.starts_nothing || member.group < 0;
      for (const auto& [pid, status] : processes)
        if (status.parent == family[i] && status.group >= 0)
          family.push_back(pid);
    }
    for (pid_t pid : family) {
      if (pid == root || !seen.emplace(pid, processes[pid]).second)
        continue;
      settled = false;
      SignalSeen(pid, processes[pid], SIGSTOP);
    }
    still = settled ? still + 1 : 0;
  }
  for (const auto& [pid, status] : seen)
    SignalSeen(pid, status, SIGKILL);
}

}  // namespace launcher
