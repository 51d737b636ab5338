// SPDX-License-Identifier: Apache-2.0

#include "child_setup.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <time.h>

namespace launcher {

namespace {

using sys::Arg;
using sys::Raw;

/// The kernel's struct sigaction, which differs from glibc's.
struct KernelSigaction {
  void (*handler)(int);
  unsigned long flags;
  void (*restorer)();
  sys::KernelSigset mask;
};

/// The kernel's struct linux_dirent64; the name goes on behind it.
struct Dirent64 {
  uint64_t ino;
  int64_t off;
  unsigned short reclen;
  unsigned char type;
  char name[1];
};

long SetCloexec(int fd, bool on) {
  return Raw(SYS_fcntl, fd, F_SETFD, on ? FD_CLOEXEC : 0);
}

long CloseOrMark(long fd, bool mark) {
  return mark ? SetCloexec(static_cast<int>(fd), true) : Raw(SYS_close, fd);
}

/// Reads /proc/self/fd, which shows the child's own descriptors even while it
/// shares our memory.
long EachOpen(unsigned first, unsigned last, bool mark) {
  long dir = Raw(SYS_openat, AT_FDCWD, Arg("/proc/self/fd"),
                 O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (dir < 0)
    return dir;
  alignas(Dirent64) char buffer[2048];
  long size;
  while ((size = Raw(SYS_getdents64, dir, Arg(buffer), sizeof(buffer))) > 0) {
    for (long at = 0; at < size;) {
      auto* entry = reinterpret_cast<Dirent64*>(buffer + at);
      at += entry->reclen;
      unsigned fd = 0;
      const char* digit = entry->name;
      for (; *digit >= '0' && *digit <= '9'; ++digit)
        fd = fd * 10 + static_cast<unsigned>(*digit - '0');
      if (*digit == '\0' && fd >= first && fd <= last && fd != unsigned(dir))
        CloseOrMark(fd, mark);
    }
  }
  Raw(SYS_close, dir);
  return size;
}

/// The last resort, without /proc: every number up to the limit.
long EachNumber(unsigned first, unsigned last, bool mark) {
  rlimit limit;
  long ret = Raw(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, Arg(&limit));
  for (rlim_t fd = first; ret == 0 && fd <= last && fd < limit.rlim_cur; ++fd)
    CloseOrMark(static_cast<long>(fd), mark);
  return ret;
}

/// close_range(2), for kernels before 5.9 (5.11 to mark) and filters too.
long CloseRange(unsigned first, unsigned last, bool mark) {
  if (sys::CloseRange(first, last, mark ? CLOSE_RANGE_CLOEXEC : 0) == 0 ||
      EachOpen(first, last, mark) == 0)
    return 0;
  return EachNumber(first, last, mark);
}

long Dup2(const ChildStep& step) {
  if (step.fd == step.newfd)
    return SetCloexec(step.fd, (step.flags & O_CLOEXEC) != 0);
  return Raw(SYS_dup3, step.fd, step.newfd, step.flags & O_CLOEXEC);
}

long Open(const ChildStep& step) {
  // First, as POSIX has it for posix_spawn_file_actions_addopen(): then there
  // is room even in a full table.
  Raw(SYS_close, step.newfd);
  long fd = Raw(SYS_openat, step.fd, Arg(step.path), step.flags, step.mode);
  if (fd < 0 || fd == step.newfd)
    return fd;
  long ret = Raw(SYS_dup3, fd, step.newfd, step.flags & O_CLOEXEC);
  Raw(SYS_close, fd);
  return ret;
}

long SetSignals(sys::KernelSigset signals, bool ignore) {
  KernelSigaction action = {};  // A null handler is SIG_DFL.
  if (ignore)
    action.handler = SIG_IGN;
  for (int signal = 1; signal < _NSIG; ++signal) {
    if (!(signals >> (signal - 1) & 1) || signal == SIGKILL ||
        signal == SIGSTOP)
      continue;
    long ret = Raw(SYS_rt_sigaction, signal, Arg(&action), 0,
                   sizeof(sys::KernelSigset));
    if (ret < 0)
      return ret;
  }
  return 0;
}

long Run(const ChildStep& step) {
  switch (step.kind) {
    case ChildStep::Kind::kSetpgid:
      return Raw(SYS_setpgid, 0, step.fd);
    case ChildStep::Kind::kSetsid:
      return Raw(SYS_setsid);
    case ChildStep::Kind::kCloexecAll:
      return CloseRange(step.fd, ~0U, true);
    case ChildStep::Kind::kClose:
      Raw(SYS_close, step.fd);  // Not open is no error: command.h.
      return 0;
    case ChildStep::Kind::kDup2:
      return Dup2(step);
    case ChildStep::Kind::kOpen:
      return Open(step);
    case ChildStep::Kind::kChdir:
      return Raw(SYS_chdir, Arg(step.path));
    case ChildStep::Kind::kFchdir:
      return Raw(SYS_fchdir, step.fd);
    case ChildStep::Kind::kCloseRange:
      return CloseRange(step.fd, step.newfd < 0 ? ~0U : step.newfd,
                        (step.flags & CLOSE_RANGE_CLOEXEC) != 0);
    case ChildStep::Kind::kSignalDefault:
      return SetSignals(step.signals, false);
    case ChildStep::Kind::kSignalIgnore:
      return SetSignals(step.signals, true);
    case ChildStep::Kind::kFixedLayout:
      return Raw(SYS_personality,
                 Raw(SYS_personality, 0xffffffff) | ADDR_NO_RANDOMIZE);
    case ChildStep::Kind::kTraceMe:
      return Raw(SYS_ptrace, PTRACE_TRACEME);
  }
  return -EINVAL;
}

[[noreturn]] void Fail(ChildReport* report, size_t step, long error) {
  report->failed_step = step;
  report->error = static_cast<int>(-error);
  for (;;)
    Raw(SYS_exit_group, 127);
}

}  // namespace

const char* StepName(ChildStep::Kind kind) {
  switch (kind) {
    case ChildStep::Kind::kSetpgid:
      return "setpgid";
    case ChildStep::Kind::kSetsid:
      return "setsid";
    case ChildStep::Kind::kCloexecAll:
    case ChildStep::Kind::kCloseRange:
      return "close_range";
    case ChildStep::Kind::kClose:
      return "close";
    case ChildStep::Kind::kDup2:
      return "dup2";
    case ChildStep::Kind::kOpen:
      return "open";
    case ChildStep::Kind::kChdir:
      return "chdir";
    case ChildStep::Kind::kFchdir:
      return "fchdir";
    case ChildStep::Kind::kSignalDefault:
    case ChildStep::Kind::kSignalIgnore:
      return "sigaction";
    case ChildStep::Kind::kFixedLayout:
      return "personality";
    case ChildStep::Kind::kTraceMe:
      return "ptrace";
  }
  return "?";
}

int64_t NowNs() {
  timespec now;
  Raw(SYS_clock_gettime, CLOCK_MONOTONIC, Arg(&now));
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

long RunSteps(const ChildStep* steps, size_t count, size_t* failed) {
  for (size_t i = 0; i < count; ++i) {
    long ret = Run(steps[i]);
    if (ret < 0) {
      *failed = i;
      return ret;
    }
  }
  return 0;
}

void RunChild(void* launch) {
  const ChildPlan& plan = static_cast<ChildLaunch*>(launch)->plan;
  ChildReport* report = &static_cast<ChildLaunch*>(launch)->report;
  report->ran_ns = NowNs();
  size_t failed;
  if (long ret = RunSteps(plan.steps, plan.step_count, &failed); ret < 0)
    Fail(report, failed, ret);
  if (plan.set_fd_limit)
    Raw(SYS_prlimit64, 0, RLIMIT_NOFILE, Arg(&plan.fd_limit), 0);
  report->exec_ns = NowNs();
  // Last, because a signal that is pending ends the child here, as it would
  // have ended the program.
  sys::SetSignalMask(plan.mask);
  Fail(report, plan.step_count,
       Raw(SYS_execve, Arg(plan.path), Arg(plan.argv), Arg(plan.envp)));
}

}  // namespace launcher
