// SPDX-License-Identifier: Apache-2.0

#include "client_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "launcher/fd.h"

namespace launcherd {

namespace {

using launcher::Fd;

/// Lines of status that are a process's own, or sent with the request (SigBlk).
constexpr std::string_view kOwn[] = {
    "Name",   "State",  "Tgid",   "Ngid",    "Pid",       "PPid",
    "FDSize", "NStgid", "NSpid",  "NSpgid",  "Kthread",   "Vm",
    "Rss",    "Huge",   "CoreD",  "Threads", "SigQ",      "SigPnd",
    "SigIgn", "ShdPnd", "SigBlk", "SigCgt",  "voluntary", "nonvoluntary",
    "x86_",   "untag",
};

/// Each is the same for two processes as a whole.
constexpr const char* kFiles[] = {
    "limits",        "cgroup",   "attr/current", "coredump_filter",
    "oom_score_adj", "loginuid", "sessionid"};

constexpr const char* kNamespaces[] = {"ns/mnt",
                                       "ns/pid",
                                       "ns/pid_for_children",
                                       "ns/net",
                                       "ns/user",
                                       "ns/uts",
                                       "ns/ipc",
                                       "ns/cgroup",
                                       "ns/time",
                                       "ns/time_for_children"};

bool IsOwn(std::string_view line) {
  for (std::string_view name : kOwn)
    if (line.starts_with(name))
      return true;
  return false;
}

Fd OpenProcess(pid_t pid) {
  return Fd(open(("/proc/" + std::to_string(pid)).c_str(),
                 O_PATH | O_DIRECTORY | O_CLOEXEC));
}

/// Empty: not there. A file that is there and cannot be read: no value.
std::optional<std::string> Read(const Fd& dir, const char* name) {
  Fd fd(openat(dir.get(), name, O_RDONLY | O_CLOEXEC));
  if (!fd)
    return errno == ENOENT ? std::optional<std::string>("") : std::nullopt;
  char buffer[16384];
  ssize_t size = read(fd.get(), buffer, sizeof(buffer));
  // attr/current where there is no security module.
  if (size < 0 && errno == EINVAL)
    return "";
  if (size < 0 || size == ssize_t{sizeof(buffer)})
    return std::nullopt;
  return std::string(buffer, static_cast<size_t>(size));
}

std::string ReadLink(const Fd& dir, const char* name) {
  char buffer[256];
  ssize_t size = readlinkat(dir.get(), name, buffer, sizeof(buffer));
  return std::string(buffer, size > 0 ? static_cast<size_t>(size) : 0);
}

/// The next line that counts; empty at the end.
std::string_view NextLine(std::string_view* text) {
  while (!text->empty()) {
    std::string_view line = text->substr(0, text->find('\n'));
    text->remove_prefix(std::min(line.size() + 1, text->size()));
    if (!IsOwn(line))
      return line;
  }
  return {};
}

/// The name of the first line that differs.
std::string CompareStatus(std::string_view a, std::string_view b) {
  for (;;) {
    std::string_view line = NextLine(&a), other = NextLine(&b);
    if (line != other)
      return std::string(line.empty() ? "status"
                                      : line.substr(0, line.find(':')));
    if (line.empty())
      return "";
  }
}

uint64_t FindIgnored(const std::string& status) {
  constexpr std::string_view kName = "\nSigIgn:\t";
  size_t at = status.find(kName);
  return at == status.npos
             ? 0
             : strtoull(status.c_str() + at + kName.size(), nullptr, 16);
}

bool SameRoot(const Fd& a, const Fd& b) {
  constexpr unsigned kWanted = STATX_INO | STATX_MNT_ID;
  struct statx x, y;
  return statx(a.get(), "root", 0, kWanted, &x) == 0 &&
         statx(b.get(), "root", 0, kWanted, &y) == 0 &&
         x.stx_dev_major == y.stx_dev_major &&
         x.stx_dev_minor == y.stx_dev_minor && x.stx_ino == y.stx_ino &&
         x.stx_mnt_id == y.stx_mnt_id;
}

/// sched_getattr(2): policy, flags, nice value, priority, utilization clamps.
bool SameScheduling(pid_t pid) {
  unsigned char a[128] = {}, b[128] = {};
  return syscall(SYS_sched_getattr, 0, a, sizeof(a), 0) == 0 &&
         syscall(SYS_sched_getattr, pid, b, sizeof(b), 0) == 0 &&
         memcmp(a, b, sizeof(a)) == 0;
}

long IoPriority(pid_t pid) {
  return syscall(SYS_ioprio_get, 1 /* IOPRIO_WHO_PROCESS */, pid);
}

}  // namespace

std::string DifferentState(pid_t pid, IgnoredSignals* ignored) {
  Fd own = OpenProcess(getpid()), other = OpenProcess(pid);
  if (!own || !other)
    return "proc";
  std::optional<std::string> status = Read(own, "status");
  std::optional<std::string> other_status = Read(other, "status");
  if (!status || !other_status || status->empty())
    return "status";
  if (std::string line = CompareStatus(*status, *other_status); !line.empty())
    return line;
  *ignored = {FindIgnored(*status), FindIgnored(*other_status)};
  for (const char* name : kNamespaces) {
    std::string target = ReadLink(own, name);
    if (target != ReadLink(other, name))
      return name;
  }
  for (const char* name : kFiles) {
    std::optional<std::string> text = Read(own, name);
    if (!text || text != Read(other, name))
      return name;
  }
  if (!SameRoot(own, other))
    return "root";
  if (getsid(0) != getsid(pid))
    return "session";
  if (!SameScheduling(pid))
    return "scheduling";
  if (IoPriority(0) != IoPriority(pid))
    return "I/O priority";
  return "";
}

}  // namespace launcherd
