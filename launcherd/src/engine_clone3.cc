// Starts a child by clone3(2) in the launcher's memory, on a stack of its own,
// and goes on while the child finds its way to the exec.
//
// CLONE_VFORK is left out: it holds the caller until the exec, 133 us instead
// of 31 (bench/results/start.md). What it protects is protected otherwise: the
// child has its own stack and a plan of its own, and CLONE_CHILD_CLEARTID tells
// when it has left both.
//
// CLONE_CLEAR_SIGHAND: a handler of ours that ran in the child would change our
// state. Signals are blocked as well (LaunchEngine::Start()), because before
// Linux 5.16 a core dump of the child took along all who share its memory.
//
// SPDX-License-Identifier: Apache-2.0

#include <errno.h>
#include <sys/mman.h>

#include "engine.h"

namespace launcher {

namespace {

class Clone3Engine : public LaunchEngine {
 public:
  Engine kind() const override { return Engine::kClone3; }
  bool blocks() const override { return false; }

  Result<Started> Start(LaunchBlock* block, bool want_pidfd) override {
    char* stack = block->Stack();
    if (!stack)
      return Error{ENOMEM, "mmap", "stack"};

    ChildReport* report = &block->child.report;
    report->error = 0;
    report->ran_ns = report->exec_ns = 0;
    report->present.store(1, std::memory_order_relaxed);

    int pidfd = -1;
    clone_args args = {};
    args.flags = CLONE_VM | CLONE_CLEAR_SIGHAND | CLONE_CHILD_CLEARTID;
    if (want_pidfd)
      args.flags |= CLONE_PIDFD;
    args.pidfd = reinterpret_cast<uintptr_t>(&pidfd);
    args.child_tid = reinterpret_cast<uintptr_t>(&report->present);
    args.exit_signal = SIGCHLD;
    args.stack = reinterpret_cast<uintptr_t>(stack);
    args.stack_size = LaunchBlock::kStackSize;

    long pid = sys::Clone3(&args, RunChild, &block->child);
    if (pid < 0) {
      report->present.store(0, std::memory_order_relaxed);
      return Error{static_cast<int>(-pid), "clone3", ""};
    }
    Started started;
    started.pid = static_cast<pid_t>(pid);
    started.pidfd.Reset(pidfd);
    return started;
  }
};

}  // namespace

std::unique_ptr<LaunchEngine> MakeClone3Engine() {
  return std::make_unique<Clone3Engine>();
}

}  // namespace launcher
