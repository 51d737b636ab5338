// SPDX-License-Identifier: Apache-2.0

#include "tracee.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

#include "reap.h"

namespace launcher::warm {

namespace {

Error PtraceError(const char* object) { return {errno, "ptrace", object}; }

/// How a process has ended or stopped, as a clause.
std::string Describe(int status) {
  if (WIFEXITED(status))
    return "it exits with status " + std::to_string(WEXITSTATUS(status));
  int signal = WIFSIGNALED(status) ? WTERMSIG(status) : WSTOPSIG(status);
  const char* name = sigabbrev_np(signal);
  return std::string(WIFSIGNALED(status) ? "it is killed by SIG"
                                         : "it gets a SIG") +
         (name ? name : std::to_string(signal));
}

}  // namespace

void Canceller::Cancel() {
  std::lock_guard lock(mutex_);
  cancelled_ = true;
  if (pidfd_ >= 0)
    (void)sys::PidfdSendSignal(pidfd_, SIGKILL);
}

Result<Tracee> Tracee::Start(LaunchBlock* block, Canceller* canceller) {
  if (!kMachineKnown)
    return Error{ENOTSUP, "ptrace", "this machine"};
  // Where children cannot be waited for, none is to be stopped. This is
  // nobody's child but somebody else's.
  if (waitpid(getpid(), nullptr, WNOHANG) == 0 || errno != ECHILD)
    return Error{EPERM, "waitpid", ""};
  block->line_steps().push_back({.kind = ChildStep::Kind::kTraceMe});
  block->PlanSteps(-1, -1, -1, -1);
  Result<Started> started = MakeClone3Engine()->Start(block, true);
  if (!started.ok())
    return started.error();
  const pid_t pid = started.value().pid;
  Tracee tracee(std::move(started.value()));
  // The block is the child's until it stops behind the exec, or is gone.
  siginfo_t info = {};
  while (waitid(P_PID, static_cast<id_t>(pid), &info,
                WEXITED | WSTOPPED | WNOWAIT) != 0 &&
         errno == EINTR) {
  }
  if (block->child.report.error != 0)
    return block->ReportedError();
  Result<void> arrived = tracee.Arrive(canceller);
  if (!arrived.ok())
    return arrived.error();
  return tracee;
}

Result<void> Tracee::Arrive(Canceller* canceller) {
  Result<int> stopped = WaitForStop();
  if (!stopped.ok())
    return stopped.error();
  if (ptrace(PTRACE_SETOPTIONS, process_.pid(), nullptr,
             PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD) != 0)
    return PtraceError("options");
  canceller_ = canceller;
  {
    std::lock_guard lock(canceller->mutex_);
    if (canceller->cancelled_)
      return Error{ECANCELED, "ptrace", ""};
    canceller->pidfd_ = pidfd_.get();
  }
  Registers registers;
  if (Result<void> got = GetRegisters(&registers); !got.ok())
    return got;
  if (!IsNative(registers))
    return Error{ENOEXEC, "ptrace", "32 bit"};
  if (Result<void> opened = process_.OpenMemory(); !opened.ok())
    return opened;
  image_.stack = Stack(registers);
  return ReadImage();
}

Tracee::Tracee(Tracee&& other) noexcept
    : process_(std::move(other.process_)),
      exists_(std::exchange(other.exists_, false)),
      canceller_(std::exchange(other.canceller_, nullptr)),
      pidfd_(std::move(other.pidfd_)),
      image_(std::move(other.image_)),
      registers_(other.registers_),
      fault_address_(other.fault_address_),
      loader_cpu_(other.loader_cpu_) {}

void Tracee::LeaveCanceller() {
  if (!canceller_)
    return;
  std::lock_guard lock(canceller_->mutex_);
  canceller_->pidfd_ = -1;
  canceller_ = nullptr;
}

Tracee::~Tracee() {
  LeaveCanceller();
  if (exists_)
    (void)EndChild(process_.pid(), pidfd_.get());
}

/// The signal it has stopped by, with bit 7 for a system call.
Result<int> Tracee::WaitForStop() {
  int status;
  pid_t got;
  while ((got = waitpid(process_.pid(), &status, 0)) < 0 && errno == EINTR) {
  }
  if (got < 0) {
    exists_ = errno != ECHILD;
    return Error{errno, "waitpid", std::to_string(process_.pid())};
  }
  if (WIFSTOPPED(status))
    return WSTOPSIG(status);
  exists_ = false;
  if (canceller_) {
    std::lock_guard lock(canceller_->mutex_);
    if (canceller_->cancelled_)
      return Error{ECANCELED, "ptrace", ""};
  }
  return Error{ECHILD, "entry point", Describe(status)};
}

Result<void> Tracee::Resume(int request) {
  if (ptrace(static_cast<__ptrace_request>(request), process_.pid(), nullptr,
             nullptr) != 0 &&
      errno != ESRCH)  // Killed: the wait will say so.
    return PtraceError("resume");
  return {};
}

Result<void> Tracee::GetRegisters(Registers* registers) {
  if (ptrace(PTRACE_GETREGS, process_.pid(), nullptr, registers) != 0)
    return PtraceError("registers");
  return {};
}

Result<void> Tracee::ReadImage() {
  uint64_t at = image_.stack;
  auto next = [&](uint64_t* word) {
    Result<void> read = process_.ReadMemory(at, word, sizeof(*word));
    at += sizeof(*word);
    return read;
  };
  if (Result<void> read = next(&image_.argument_count); !read.ok())
    return read;
  image_.arguments = at;
  at += (image_.argument_count + 1) * sizeof(uint64_t);
  image_.environment = at;
  for (uint64_t word;;) {
    if (Result<void> read = next(&word); !read.ok())
      return read;
    if (word == 0)
      break;
    image_.environment_texts.push_back(word);
  }
  image_.auxiliary = at;
  for (uint64_t type, value;;) {
    if (Result<void> read = next(&type); !read.ok())
      return read;
    if (Result<void> read = next(&value); !read.ok())
      return read;
    if (type == AT_NULL)
      break;
    image_.aux[type] = value;
  }
  if (!image_.aux.contains(AT_ENTRY))
    return Error{ENOEXEC, "ptrace", "no entry point"};
  return {};
}

Result<void> Tracee::DropArguments() {
  // What is above stays: argc and argv[0] move up to the null. Below the stack
  // there are zeros, as execve(2) leaves it.
  Registers registers;
  if (Result<void> got = GetRegisters(&registers); !got.ok())
    return got;
  uint64_t start[2];
  if (Result<void> read =
          process_.ReadMemory(image_.stack, start, sizeof(start));
      !read.ok())
    return read;
  const uint64_t dropped = (image_.argument_count - 1) * sizeof(uint64_t);
  const std::string zeros(dropped, '\0');
  if (Result<void> written =
          process_.WriteMemory(image_.stack, zeros.data(), zeros.size());
      !written.ok())
    return written;
  image_.argument_count = start[0] = 1;
  image_.stack += dropped;
  image_.arguments += dropped;
  SetStack(&registers, image_.stack);
  if (ptrace(PTRACE_SETREGS, process_.pid(), nullptr, &registers) != 0)
    return PtraceError("registers");
  return process_.WriteMemory(image_.stack, start, sizeof(start));
}

Result<uint64_t> Tracee::Call(const char* name, long nr,
                              std::array<uint64_t, 6> args) {
  Registers saved, registers;
  if (Result<void> got = GetRegisters(&saved); !got.ok())
    return got.error();
  const uint64_t address = Address(saved);
  std::array<uint8_t, kSystemCall.size()> text;
  if (Result<void> read =
          process_.ReadMemory(address, text.data(), text.size());
      !read.ok())
    return read.error();
  if (Result<void> written =
          process_.WriteMemory(address, kSystemCall.data(), kSystemCall.size());
      !written.ok())
    return written.error();
  registers = saved;
  SetCall(&registers, address, nr, args);
  if (ptrace(PTRACE_SETREGS, process_.pid(), nullptr, &registers) != 0)
    return PtraceError("registers");
  if (Result<void> resumed = Resume(PTRACE_CONT); !resumed.ok())
    return resumed.error();
  Result<int> stopped = WaitForStop();
  if (!stopped.ok())
    return stopped.error();
  if (stopped.value() != SIGTRAP)
    return Error{EINTR, "ptrace", name};
  if (Result<void> got = GetRegisters(&registers); !got.ok())
    return got.error();
  const long result = CallResult(registers);
  if (Result<void> written =
          process_.WriteMemory(address, text.data(), text.size());
      !written.ok())
    return written.error();
  if (ptrace(PTRACE_SETREGS, process_.pid(), nullptr, &saved) != 0)
    return PtraceError("registers");
  if (result < 0 && result > -4096)
    return Error{static_cast<int>(-result), name, "parked process"};
  return static_cast<uint64_t>(result);
}

Result<void> Tracee::RunToEntry(const OnCall& on_call) {
  std::array<uint8_t, kBreakpoint.size()> text;
  if (Result<void> read =
          process_.ReadMemory(entry(), text.data(), text.size());
      !read.ok())
    return read;
  if (Result<void> written =
          process_.WriteMemory(entry(), kBreakpoint.data(), kBreakpoint.size());
      !written.ok())
    return written;
  const std::chrono::nanoseconds cpu = process_.CpuTime();
  for (;;) {
    if (Result<void> resumed = Resume(on_call ? PTRACE_SYSCALL : PTRACE_CONT);
        !resumed.ok())
      return resumed;
    Result<int> stopped = WaitForStop();
    if (!stopped.ok())
      return stopped.error();
    if (stopped.value() == SIGTRAP)
      break;
    siginfo_t info_of_signal = {};
    if (stopped.value() == SIGSEGV && ptrace(PTRACE_GETSIGINFO, process_.pid(),
                                             nullptr, &info_of_signal) == 0)
      fault_address_ = reinterpret_cast<uint64_t>(info_of_signal.si_addr);
    if (stopped.value() != (SIGTRAP | 0x80))
      return Error{EINTR, "entry point", Describe(stopped.value() << 8 | 0x7f)};
    SystemCall info = {};
    if (ptrace(static_cast<__ptrace_request>(PTRACE_GET_SYSCALL_INFO),
               process_.pid(), sizeof(info), &info) < 0)
      return PtraceError("system call");
    if (std::string refused = on_call(info); !refused.empty())
      return Error{EPERM, "entry point", refused};
  }
  loader_cpu_ = process_.CpuTime() - cpu;
  if (Result<void> got = GetRegisters(&registers_); !got.ok())
    return got;
  StepBack(&registers_);
  if (Address(registers_) != entry())
    return Error{EINTR, "entry point", "it has a breakpoint of its own"};
  if (ptrace(PTRACE_SETREGS, process_.pid(), nullptr, &registers_) != 0)
    return PtraceError("registers");
  return process_.WriteMemory(entry(), text.data(), text.size());
}

Result<Started> Tracee::Release(uint64_t address, uint64_t argument,
                                uint64_t stack) {
  sys::KernelSigset all = ~sys::KernelSigset{0};
  if (ptrace(static_cast<__ptrace_request>(PTRACE_SETSIGMASK), process_.pid(),
             sizeof(all), &all) != 0)
    return PtraceError("mask");
  Registers registers = registers_;
  SetEntry(&registers, address, argument, stack);
  if (ptrace(PTRACE_SETREGS, process_.pid(), nullptr, &registers) != 0)
    return PtraceError("registers");
  if (ptrace(PTRACE_DETACH, process_.pid(), nullptr, nullptr) != 0)
    return PtraceError("detach");
  exists_ = false;
  process_.CloseMemory();
  LeaveCanceller();
  return Started{process_.pid(), std::move(pidfd_)};
}

}  // namespace launcher::warm
