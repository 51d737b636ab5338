// SPDX-License-Identifier: Apache-2.0

#include "reap.h"

#include <errno.h>
#include <sys/wait.h>

#include <algorithm>

#include "sys.h"

namespace launcher {

namespace {

Reaped FromWait4(pid_t pid) {
  Reaped reaped;
  int status = 0;
  pid_t got = wait4(pid, &status, WNOHANG, &reaped.usage);
  if (got == 0)
    reaped.state = Reaped::State::kRunning;
  if (got != pid)
    return reaped;
  reaped.state = Reaped::State::kReaped;
  reaped.signaled = WIFSIGNALED(status);
  reaped.core_dumped = reaped.signaled && WCOREDUMP(status);
  reaped.code = reaped.signaled ? WTERMSIG(status) : WEXITSTATUS(status);
  return reaped;
}

std::chrono::microseconds ToDuration(const timeval& time) {
  return std::chrono::seconds(time.tv_sec) +
         std::chrono::microseconds(time.tv_usec);
}

void Fill(const siginfo_t& info, Reaped* reaped) {
  if (info.si_pid == 0) {
    reaped->state = Reaped::State::kRunning;
    return;
  }
  reaped->state = Reaped::State::kReaped;
  reaped->signaled = info.si_code != CLD_EXITED;
  reaped->core_dumped = info.si_code == CLD_DUMPED;
  reaped->code = info.si_status;
}

}  // namespace

void Usage::Add(const rusage& usage) {
  user_cpu += ToDuration(usage.ru_utime);
  system_cpu += ToDuration(usage.ru_stime);
  max_rss_kib = std::max<int64_t>(max_rss_kib, usage.ru_maxrss);
}

Reaped ReapChild(pid_t pid, int pidfd) {
  Reaped reaped;
  siginfo_t info = {};
  long ret = -EINVAL;
  if (pidfd >= 0)
    ret = sys::Waitid(P_PIDFD, pidfd, &info, WEXITED | WNOHANG, &reaped.usage);
  if (ret < 0 && ret != -ECHILD)
    ret = sys::Waitid(P_PID, pid, &info, WEXITED | WNOHANG, &reaped.usage);
  if (ret < 0 && ret != -ECHILD)
    return FromWait4(pid);
  if (ret < 0)
    return reaped;
  Fill(info, &reaped);
  return reaped;
}

Reaped PeekChild(pid_t pid) {
  Reaped reaped;
  siginfo_t info = {};
  if (sys::Waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT, nullptr) == 0)
    Fill(info, &reaped);
  return reaped;
}

int HasEnded(pid_t pid) {
  siginfo_t info = {};
  long ret =
      sys::Waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT, nullptr);
  if (ret < 0)
    return static_cast<int>(ret);
  return info.si_pid != 0;
}

int SignalChild(pid_t pid, int pidfd, int signal) {
  if (pidfd >= 0 && sys::PidfdSendSignal(pidfd, signal) == 0)
    return 0;
  return kill(pid, signal) == 0 ? 0 : -errno;
}

void SendKill(pid_t pid, int pidfd) {
  long ret = sys::PidfdSendSignal(pidfd, SIGKILL);
  if (ret < 0 && ret != -ESRCH && HasEnded(pid) != -ECHILD)
    kill(pid, SIGKILL);
}

bool EndChild(pid_t pid, int pidfd) {
  SendKill(pid, pidfd);
  siginfo_t info;
  long ret;
  do {
    ret = sys::Waitid(P_PIDFD, pidfd, &info, WEXITED, nullptr);
    if (ret < 0 && ret != -ECHILD && ret != -EINTR)
      ret = wait4(pid, nullptr, 0, nullptr) < 0 ? -errno : 0;
  } while (ret == -EINTR);
  return ret == 0;
}

}  // namespace launcher
