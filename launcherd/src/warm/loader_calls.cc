// SPDX-License-Identifier: Apache-2.0

#include "loader_calls.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include <string_view>
#include <utility>

namespace launcher::warm {

namespace {

/// Files of the kernel that say the same as long as the machine runs.
constexpr std::string_view kConstant[] = {
    "/sys/devices/system/cpu/possible",
    "/proc/filesystems",
};

bool IsConstant(std::string_view path) {
  for (std::string_view constant : kConstant)
    if (path == constant)
      return true;
  return false;
}

/// Of a file system whose files are made by the kernel as they are read, or of
/// devices.
bool IsVirtual(const std::string& path) {
  struct statfs system;
  if (statfs(path.c_str(), &system) != 0)
    return true;
  switch (static_cast<uint32_t>(system.f_type)) {
    case PROC_SUPER_MAGIC:
    case SYSFS_MAGIC:
    case CGROUP_SUPER_MAGIC:
    case CGROUP2_SUPER_MAGIC:
    case DEBUGFS_MAGIC:
    case SELINUX_MAGIC:
    case SECURITYFS_MAGIC:
      return true;
    default:
      return path.starts_with("/dev/");
  }
}

/// What is said of a call that is not allowed.
std::string Clause(uint64_t nr) {
  switch (nr) {
    case SYS_clock_gettime:
    case SYS_gettimeofday:
    case SYS_time:
      return "it asks for the time";
    case SYS_getpid:
    case SYS_gettid:
    case SYS_getppid:
      return "it asks for its process id";
    case SYS_getcwd:
      return "it asks for its directory";
    case SYS_clone:
    case SYS_clone3:
    case SYS_fork:
    case SYS_vfork:
      return "it starts a thread or a process";
    case SYS_write:
    case SYS_writev:
      return "it writes";
    case SYS_socket:
    case SYS_socketpair:
    case SYS_pipe:
    case SYS_pipe2:
    case SYS_eventfd2:
    case SYS_epoll_create1:
    case SYS_memfd_create:
    case SYS_timerfd_create:
    case SYS_inotify_init1:
    case SYS_dup:
    case SYS_dup2:
    case SYS_dup3:
      return "it makes a descriptor";
    case SYS_timer_create:
    case SYS_setitimer:
    case SYS_alarm:
      return "it sets a timer";
    case SYS_execve:
    case SYS_execveat:
      return "it executes another program";
    case SYS_ioctl:
    case SYS_fcntl:
      return "it looks at a descriptor";
    case SYS_exit:
    case SYS_exit_group:
      return "it exits";
    default:
      return "it makes the system call " + std::to_string(nr);
  }
}

}  // namespace

std::string LoaderCalls::OnCall(const SystemCall& info) {
  if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
    nr_ = info.entry.nr;
    for (size_t i = 0; i < args_.size(); ++i)
      args_[i] = info.entry.args[i];
    return OnEntry(nr_, args_, info.instruction_pointer);
  }
  if (info.op == PTRACE_SYSCALL_INFO_EXIT && !opening_.empty()) {
    std::string path = std::exchange(opening_, {});
    if (!info.exit.is_error)
      open_[static_cast<int>(info.exit.rval)] = std::move(path);
  }
  return "";
}

std::string LoaderCalls::OnEntry(uint64_t nr, const Args& args,
                                 uint64_t address) {
  switch (nr) {
    case SYS_arch_prctl:
    case SYS_brk:
    case SYS_getegid:
    case SYS_geteuid:
    case SYS_getgid:
    case SYS_getuid:
    case SYS_getresgid:
    case SYS_getresuid:
    case SYS_getrlimit:
    case SYS_mprotect:
    case SYS_mremap:
    case SYS_munmap:
    case SYS_rt_sigprocmask:  // The mask is compared at the entry point.
    case SYS_sched_getaffinity:
    case SYS_set_robust_list:
    case SYS_set_tid_address:
    case SYS_uname:
      return "";
    case SYS_mmap:
      if ((args[3] & MAP_TYPE) != MAP_PRIVATE && (args[2] & PROT_WRITE))
        return "it maps shared memory";
      return "";
    case SYS_madvise:
      switch (args[2]) {
        case MADV_NORMAL:
        case MADV_DONTNEED:
        case MADV_WILLNEED:
        case MADV_FREE:
        case MADV_HUGEPAGE:
        case MADV_NOHUGEPAGE:
          return "";
        default:
          return "it gives advice about its memory that a clone may not "
                 "inherit";
      }
    case SYS_prlimit64:
      return args[2] == 0 ? "" : "it sets a limit";
    case SYS_rt_sigaction:
      return args[1] == 0 ? "" : "it sets the action of a signal";
    case SYS_futex:
      return (args[1] & FUTEX_CMD_MASK) == FUTEX_WAKE ? "" : Clause(nr);
    case SYS_prctl:
      if (args[0] == PR_SET_VMA || args[0] == PR_CAPBSET_READ)
        return "";
      return Clause(nr);
    case SYS_rseq:
      rseq_ = args[0];
      return "";
    case SYS_getrandom:
      return Random(args, address);
    case SYS_open:
      return Open(args[0], args[1]);
    case SYS_openat:
      return Open(args[1], args[2]);
    case SYS_access:
    case SYS_lstat:
    case SYS_stat:
      return LookAt(args[0]);
    case SYS_statfs: {
      // libselinux asks whether its file system is there. If it is, its state
      // matters.
      Result<std::string> path = process_->ReadText(args[0]);
      if (path.ok() && FileState::Of(path.value().c_str()).error == 0)
        return "it looks at the file system of " + path.value();
      return LookAt(args[0]);
    }
    case SYS_faccessat:
    case SYS_faccessat2:
      return LookAt(args[1]);
    case SYS_newfstatat:
    case SYS_statx: {
      Result<std::string> path = process_->ReadText(args[1]);
      if (path.ok() && path.value().empty())
        return OnDescriptor("looks at", args[0]);
      return LookAt(args[1]);
    }
    case SYS_readlink:
    case SYS_readlinkat: {
      // For $ORIGIN. A clone has the same.
      Result<std::string> path =
          process_->ReadText(args[nr == SYS_readlinkat ? 1 : 0]);
      return path.ok() && path.value() == "/proc/self/exe"
                 ? ""
                 : "it reads a symbolic link";
    }
    case SYS_fstat:
    case SYS_lseek:
    case SYS_pread64:
    case SYS_read:
      return OnDescriptor(nr == SYS_fstat ? "looks at" : "reads", args[0]);
    case SYS_close: {
      std::string refused = OnDescriptor("closes", args[0]);
      open_.erase(static_cast<int>(args[0]));
      return refused;
    }
    default:
      return Clause(nr);
  }
}

std::string LoaderCalls::Open(uint64_t address, uint64_t flags) {
  if ((flags & (O_ACCMODE | O_CREAT | O_TRUNC | O_DIRECTORY)) != O_RDONLY)
    return "it opens something other than a file to read";
  std::string refused = LookAt(address);
  if (refused.empty())
    opening_ = process_->ReadText(address).value();
  return refused;
}

std::string LoaderCalls::LookAt(uint64_t address) {
  Result<std::string> read = process_->ReadText(address);
  if (!read.ok())
    return "it names a path that cannot be read";
  const std::string& path = read.value();
  if (path.empty() || path[0] != '/')
    return "it looks for '" + path + "' from its directory";
  if (IsConstant(path))
    return "";
  FileState state = FileState::Of(path.c_str());
  if (state.error == 0 && IsVirtual(path))
    return "it looks at " + path;
  looked_at_.try_emplace(path, state);
  return "";
}

std::string LoaderCalls::OnDescriptor(const char* what, uint64_t fd) const {
  if (open_.contains(static_cast<int>(fd)))
    return "";
  return "it " + std::string(what) + " descriptor " +
         std::to_string(static_cast<int>(fd));
}

/// malloc(3) of glibc takes one word, to recognise what it has freed. Who takes
/// one byte wants to know whether the call is there.
std::string LoaderCalls::Random(const Args& args, uint64_t address) {
  static constexpr char kRefused[] = "it asks for random bytes";
  if (args[1] <= 1)
    return "";
  Result<std::vector<Mapping>> mappings = process_->Mappings();
  if (args[1] != sizeof(size_t) || args[2] != GRND_NONBLOCK || !mappings.ok())
    return kRefused;
  const Mapping* libc = nullptr;
  const Mapping* last = nullptr;
  for (const Mapping& mapping : mappings.value()) {
    if (mapping.Contains(address) &&
        mapping.path.find("/libc.so.6") != std::string::npos)
      libc = &mapping;
    // Its zero-initialized data follows it without a name.
    bool follows = libc && last && mapping.inode == 0 && mapping.path.empty() &&
                   last->path == libc->path && last->end == mapping.start;
    if (libc && mapping.writable && mapping.Contains(args[0]) &&
        (mapping.path == libc->path || follows)) {
      random_ = args[0];
      return "";
    }
    last = &mapping;
  }
  return kRefused;
}

std::string LoaderCalls::LeftOpen() const {
  if (open_.empty())
    return "";
  return "it keeps " + open_.begin()->second + " open";
}

std::vector<LookedAt> LoaderCalls::TakeLookedAt() {
  std::vector<LookedAt> result;
  for (auto& [path, state] : looked_at_)
    result.push_back({path, state});
  return result;
}

}  // namespace launcher::warm
