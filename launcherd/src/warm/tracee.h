// A program under ptrace(2): from its exec to its ELF entry point, where the
// dynamic loader is done, with the constructors of the libraries, and `_start`
// comes next.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_WARM_TRACEE_H_
#define LAUNCHER_SRC_WARM_TRACEE_H_

#include <sys/ptrace.h>
#include <sys/types.h>

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "above_stdio.h"
#include "engine.h"
#include "launch_block.h"
#include "launcher/fd.h"
#include "launcher/result.h"
#include "machine.h"
#include "process.h"

namespace launcher::warm {

using SystemCall = __ptrace_syscall_info;

/// Lets another thread put an end to the work on a tracee.
class Canceller {
 public:
  /// Kills the tracee of the moment and every later one.
  void Cancel();

 private:
  friend class Tracee;
  std::mutex mutex_;
  int pidfd_ = -1;
  bool cancelled_ = false;
};

/// What execve(2) has put on the stack of a process.
struct StartImage {
  uint64_t stack = 0;        ///< &argc
  uint64_t arguments = 0;    ///< &argv[0]
  uint64_t environment = 0;  ///< &envp[0]
  uint64_t auxiliary = 0;    ///< The first pair of the auxiliary vector.
  uint64_t argument_count = 0;
  std::vector<uint64_t> environment_texts;  ///< The pointers.
  std::map<uint64_t, uint64_t> aux;         ///< getauxval(3)
};

/// To be used by the one thread that made it.
class Tracee {
 public:
  /// Starts the program of `block` and takes it to the stop after its exec. The
  /// block's steps are made here; it may not capture anything. Blocks.
  ///
  /// Errors: those of a launch by clone3; EPERM (step "ptrace") where tracing
  /// is not allowed: by a filter, by yama, or because this process is traced
  /// together with its children; ENOEXEC (step "ptrace", object "32 bit") if it
  /// is not of this machine; ECANCELED. After an Error there is no process.
  static Result<Tracee> Start(LaunchBlock* block, Canceller* canceller);

  Tracee(Tracee&& other) noexcept;
  Tracee& operator=(Tracee&&) = delete;

  /// Kills and reaps it if it is still there.
  ~Tracee();

  const Process& process() const { return process_; }
  const StartImage& image() const { return image_; }
  uint64_t entry() const { return image_.aux.at(9 /* AT_ENTRY */); }

  /// Takes away all arguments but argv[0]. Their number must be even, so that
  /// the stack stays aligned; before RunToEntry(). Errors: of ptrace(2).
  Result<void> DropArguments();

  /// Executes one system call in it, at the place where it is stopped.
  /// Errors: of the call, step `name`; of ptrace(2).
  Result<uint64_t> Call(const char* name, long nr,
                        std::array<uint64_t, 6> args = {});

  /// Goes on to the entry point. With `on_call`, stops for each system call
  /// before (info.op == PTRACE_SYSCALL_INFO_ENTRY) and behind it
  /// (PTRACE_SYSCALL_INFO_EXIT); what that returns, if not empty, ends it.
  /// Errors: ECANCELED; ECHILD (it has ended), EINTR (a signal), EPERM (a text
  /// of `on_call`): step "entry point", object a clause of explanation.
  using OnCall = std::function<std::string(const SystemCall&)>;
  Result<void> RunToEntry(const OnCall& on_call = nullptr);

  /// At the entry point.
  const Registers& registers() const { return registers_; }

  /// After a SIGSEGV has ended RunToEntry(): the address that was touched.
  uint64_t fault_address() const { return fault_address_; }

  /// CPU time from the exec to the entry point.
  std::chrono::nanoseconds loader_cpu() const { return loader_cpu_; }

  /// Blocks all signals in it and lets it go on, untraced, at `address` with
  /// `argument` on `stack`. It is the caller's to reap from here on.
  /// Errors: of ptrace(2).
  Result<Started> Release(uint64_t address, uint64_t argument, uint64_t stack);

 private:
  explicit Tracee(Started started)
      : process_(started.pid),
        pidfd_(AboveStdioOrNone(std::move(started.pidfd))) {}
  Result<void> Arrive(Canceller* canceller);
  void LeaveCanceller();
  Result<void> ReadImage();
  Result<int> WaitForStop();
  Result<void> Resume(int request);
  Result<void> GetRegisters(Registers* registers);

  Process process_;
  bool exists_ = true;
  Canceller* canceller_ = nullptr;
  Fd pidfd_;
  StartImage image_;
  Registers registers_ = {};
  uint64_t fault_address_ = 0;
  std::chrono::nanoseconds loader_cpu_{};
};

}  // namespace launcher::warm

#endif  // LAUNCHER_SRC_WARM_TRACEE_H_
