// System calls that glibc 2.36 does not wrap, or whose wrapper cannot be used
// between clone and exec because it writes errno or may be cancelled.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_SYS_H_
#define LAUNCHER_SRC_SYS_H_

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace launcher::sys {

// What runs in a child that shares the memory of its parent is forced inline:
// the copy of another file may be instrumented.

#if defined(__x86_64__)
/// A system call that touches nothing but its registers: result or -errno.
inline __attribute__((always_inline)) long Raw(long nr, long a = 0, long b = 0,
                                               long c = 0, long d = 0,
                                               long e = 0) {
  long ret;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  __asm__ volatile("syscall"
                   : "=a"(ret)
                   : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                   : "rcx", "r11", "memory");
  return ret;
}
#else
inline long Raw(long nr, long a = 0, long b = 0, long c = 0, long d = 0,
                long e = 0) {
  long ret = syscall(nr, a, b, c, d, e);
  return ret < 0 ? -errno : ret;
}
#endif

template <class T>
__attribute__((always_inline)) inline long Arg(T* pointer) {
  return reinterpret_cast<long>(pointer);
}

/// clone3(2), Linux 5.3; CLONE_CLEAR_SIGHAND and CLONE_PIDFD with it, 5.5. The
/// child runs entry(arg) on the stack given in `args` and must not return from
/// it; the caller gets its pid or -errno. -ENOSYS where it is not written yet.
long Clone3(clone_args* args, void (*entry)(void*), void* arg);

/// pidfd_open(2), Linux 5.3.
inline long PidfdOpen(pid_t pid) { return Raw(SYS_pidfd_open, pid, 0); }

/// pidfd_send_signal(2), Linux 5.1.
inline long PidfdSendSignal(int pidfd, int signal) {
  return Raw(SYS_pidfd_send_signal, pidfd, signal, 0, 0);
}

/// The same to the process group that the process has led, though it has been
/// reaped: PIDFD_SIGNAL_PROCESS_GROUP, Linux 6.9.
inline long PidfdSignalGroup(int pidfd, int signal) {
  constexpr long kProcessGroup = 4;
  return Raw(SYS_pidfd_send_signal, pidfd, signal, 0, kProcessGroup);
}

/// waitid(2); the system call has a fifth argument that glibc leaves out.
/// P_PIDFD: Linux 5.4.
inline long Waitid(int idtype, int id, siginfo_t* info, int options,
                   rusage* usage) {
  return Raw(SYS_waitid, idtype, id, Arg(info), options, Arg(usage));
}

/// close_range(2), Linux 5.9; CLOSE_RANGE_CLOEXEC 5.11.
inline __attribute__((always_inline)) long CloseRange(unsigned first,
                                                      unsigned last,
                                                      unsigned flags) {
  return Raw(SYS_close_range, first, last, flags);
}

/// The kernel's signal set: one bit a signal, 1 is bit 0.
using KernelSigset = uint64_t;
static_assert(_NSIG - 1 <= 64, "a signal set is one word on Linux");

inline KernelSigset ToKernel(const sigset_t& set) {
  KernelSigset bits = 0;
  for (int signal = 1; signal < _NSIG; ++signal)
    if (sigismember(&set, signal) == 1)
      bits |= KernelSigset{1} << (signal - 1);
  return bits;
}

/// Blocks every signal, those internal to glibc too; gives back the old mask.
inline KernelSigset BlockAllSignals() {
  KernelSigset all = ~KernelSigset{0}, old = 0;
  Raw(SYS_rt_sigprocmask, SIG_BLOCK, Arg(&all), Arg(&old), sizeof(all));
  return old;
}

inline __attribute__((always_inline)) void SetSignalMask(KernelSigset mask) {
  Raw(SYS_rt_sigprocmask, SIG_SETMASK, Arg(&mask), 0, sizeof(mask));
}

}  // namespace launcher::sys

#endif  // LAUNCHER_SRC_SYS_H_
