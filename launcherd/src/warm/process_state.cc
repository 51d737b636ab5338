// SPDX-License-Identifier: Apache-2.0

#include "process_state.h"

#include <fcntl.h>
#include <linux/keyctl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <string_view>
#include <utility>

#include "above_stdio.h"
#include "sys.h"

namespace launcher::warm {

namespace {

/// What differs from one look to the next, or is no matter of children.
constexpr std::string_view kOwn[] = {
    "Name",   "State",  "Tgid",   "Ngid",   "Pid",       "PPid",
    "Tracer", "FDSize", "NStgid", "NSpid",  "NSpgid",    "Kthread",
    "Vm",     "Rss",    "Huge",   "CoreD",  "Threads",   "SigQ",
    "SigPnd", "ShdPnd", "SigBlk", "SigCgt", "voluntary", "nonvoluntary",
    "x86_",   "untag",
};

bool IsOwn(std::string_view line) {
  for (std::string_view name : kOwn)
    if (line.starts_with(name))
      return true;
  return false;
}

/// A directory that is mounted in two places is two.
bool ReadPlace(const char* path, std::array<uint64_t, 3>* place) {
  struct statx file;
  if (statx(AT_FDCWD, path, 0, STATX_INO | STATX_MNT_ID, &file) != 0)
    return false;
  *place = {makedev(file.stx_dev_major, file.stx_dev_minor), file.stx_ino,
            file.stx_mnt_id};
  return true;
}

/// Opened once. Empty if it cannot be read.
std::string_view ReadAgain(Fd* fd, const char* path, char* buffer,
                           size_t size) {
  if (!*fd)
    *fd = AboveStdioOrNone(Fd(open(path, O_RDONLY | O_CLOEXEC)));
  ssize_t got = *fd ? pread(fd->get(), buffer, size, 0) : -1;
  return {buffer, got > 0 ? static_cast<size_t>(got) : 0};
}

}  // namespace

bool ProcessState::operator==(const ProcessState& other) const {
  return cgroup == other.cgroup && attributes == other.attributes &&
         memcmp(limits.data(), other.limits.data(), sizeof(limits)) == 0 &&
         affinity == other.affinity && scheduling == other.scheduling &&
         numbers == other.numbers && status == other.status &&
         label == other.label && namespaces == other.namespaces &&
         root == other.root && directory == other.directory &&
         others == other.others;
}

bool ProcessStateReader::ReadForeign(ProcessState* state) {
  char buffer[8192];
  state->cgroup =
      ReadAgain(&cgroup_, "/proc/thread-self/cgroup", buffer, sizeof(buffer));
  state->attributes = ReadAgain(&core_filter_, "/proc/self/coredump_filter",
                                buffer, sizeof(buffer));
  state->attributes += ReadAgain(&oom_score_, "/proc/self/oom_score_adj",
                                 buffer, sizeof(buffer));
  for (int i = 0; i < RLIM_NLIMITS; ++i)
    if (getrlimit(static_cast<__rlimit_resource>(i), &state->limits[i]) != 0)
      return false;
  state->affinity.fill(0);
  if (syscall(SYS_sched_getaffinity, 0, sizeof(state->affinity),
              state->affinity.data()) < 0)
    return false;
  state->scheduling.fill(0);
  if (syscall(SYS_sched_getattr, 0, state->scheduling.data(),
              sizeof(state->scheduling), 0) != 0)
    return false;
  state->numbers = {
      prctl(PR_GET_TIMERSLACK),
      syscall(SYS_ioprio_get, 1 /* IOPRIO_WHO_PROCESS */, 0),
      // A child can replace its parent's (KEYCTL_SESSION_TO_PARENT).
      syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0)};
  return true;
}

bool ProcessStateReader::ReadOwn(ProcessState* state) {
  char buffer[8192];
  std::string_view text =
      ReadAgain(&status_, "/proc/thread-self/status", buffer, sizeof(buffer));
  if (text.empty() || text.size() == sizeof(buffer))
    return false;
  state->status.clear();
  static constexpr std::string_view kTableSize = "FDSize:\t";
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n') + 1);
    if (line.empty())
      line = text;
    if (line.starts_with(kTableSize))
      descriptor_bound_ = atoi(line.data() + kTableSize.size());
    if (!IsOwn(line))
      state->status.append(line);
    text.remove_prefix(line.size());
  }
  state->label = ReadAgain(&label_, "/proc/thread-self/attr/current", buffer,
                           sizeof(buffer));
  state->label += ReadAgain(&next_label_, "/proc/thread-self/attr/exec", buffer,
                            sizeof(buffer));

  if (!namespaces_)
    namespaces_ = AboveStdioOrNone(
        Fd(open("/proc/thread-self/ns", O_PATH | O_DIRECTORY | O_CLOEXEC)));
  static constexpr const char* kNamespaces[] = {
      "mnt",    "pid_for_children", "net", "user", "uts", "ipc",
      "cgroup", "time_for_children"};
  static_assert(std::size(kNamespaces) ==
                std::tuple_size_v<decltype(state->namespaces)>);
  // A stat would make an inode: three times the cost of reading the link.
  for (size_t i = 0; i < std::size(kNamespaces); ++i) {
    std::array<char, 40>& name = state->namespaces[i];
    name.fill('\0');
    (void)!readlinkat(namespaces_.get(), kNamespaces[i], name.data(),
                      name.size());
  }
  if (!ReadPlace("/", &state->root) || !ReadPlace(".", &state->directory))
    return false;

  int policy = 0;
  unsigned long nodes[16] = {};  // Up to 1,024.
  (void)syscall(SYS_get_mempolicy, &policy, nodes, 8 * sizeof(nodes), nullptr,
                0);
  state->others = {getsid(0),
                   personality(0xffffffff),
                   policy,
                   static_cast<long>(nodes[0]),
                   prctl(PR_MCE_KILL_GET, 0, 0, 0, 0),
                   prctl(PR_GET_SECUREBITS),
                   prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0)};
  return true;
}

}  // namespace launcher::warm
