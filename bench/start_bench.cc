// How long a start holds the thread that asks for it, and what a launch costs
// in all, for the ways to start a child that the library could use. Prints one
// row for each: median, min and max over interleaved rounds.
//
//   start_bench [LAUNCHES] [ROUNDS] [PROGRAM]
//
// SPDX-License-Identifier: Apache-2.0

#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "launch_block.h"

extern char** environ;

namespace launcher {
namespace {

constexpr size_t kInFlight = 2;  // As ninja -j2.

double NowUs() {
  using namespace std::chrono;
  return duration<double, std::micro>(steady_clock::now().time_since_epoch())
      .count();
}

double CpuUs() {
  double total = 0;
  for (int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage;
    getrusage(who, &usage);
    total += (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
             usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
  }
  return total;
}

[[noreturn]] void Die(const char* what) {
  perror(what);
  exit(1);
}

/// A way to start a child: Start() is what the caller is held by, Pid() waits
/// until there is a child to wait for.
struct Method {
  const char* name;
  std::function<void(LaunchBlock*)> start;
  std::function<pid_t(LaunchBlock*)> pid;
};

std::unique_ptr<LaunchBlock> MakeBlock(const char* program) {
  auto block = std::make_unique<LaunchBlock>();
  const char* argv[] = {program};
  Command command;
  command.argv = argv;
  command.out = command.err = Stdio::Null();
  if (!block->Store(command, environ).ok())
    Die("command");
  block->SetExecutable(program);
  block->PlanSteps(-1, -1, -1, -1);
  return block;
}

pid_t CloneBlock(LaunchBlock* block, uint64_t extra_flags) {
  block->child.report.present = 1;
  clone_args args = {};
  int pidfd = -1;
  args.flags = CLONE_VM | CLONE_CLEAR_SIGHAND | CLONE_CHILD_CLEARTID |
               CLONE_PIDFD | extra_flags;
  args.pidfd = reinterpret_cast<uintptr_t>(&pidfd);
  args.child_tid = reinterpret_cast<uintptr_t>(&block->child.report.present);
  args.exit_signal = SIGCHLD;
  args.stack = reinterpret_cast<uintptr_t>(block->Stack());
  args.stack_size = LaunchBlock::kStackSize;
  sys::KernelSigset mask = sys::BlockAllSignals();
  long pid = sys::Clone3(&args, RunChild, &block->child);
  sys::SetSignalMask(mask);
  if (pid < 0) {
    errno = static_cast<int>(-pid);
    Die("clone3");
  }
  close(pidfd);
  return static_cast<pid_t>(pid);
}

pid_t PosixSpawn(LaunchBlock* block) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  const ChildPlan& plan = block->child.plan;
  pid_t pid;
  errno =
      posix_spawn(&pid, plan.path, &actions, &attributes, plan.argv, plan.envp);
  if (errno != 0)
    Die("posix_spawn");
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return pid;
}

/// A thread that makes the vfork-like call in the caller's stead.
class LaunchThread {
 public:
  LaunchThread() : thread_([this] { Main(); }) {}
  ~LaunchThread() {
    Start(nullptr);
    thread_.join();
  }

  void Start(LaunchBlock* block) {
    std::lock_guard lock(mutex_);
    asked_.push_back(block);
    changed_.notify_all();
  }

  pid_t Pid() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !started_.empty(); });
    pid_t pid = started_.front();
    started_.pop_front();
    return pid;
  }

 private:
  void Main() {
    for (;;) {
      LaunchBlock* block;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return !asked_.empty(); });
        block = asked_.front();
        asked_.pop_front();
      }
      if (!block)
        return;
      pid_t pid = CloneBlock(block, CLONE_VFORK);
      std::lock_guard lock(mutex_);
      started_.push_back(pid);
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<LaunchBlock*> asked_;
  std::deque<pid_t> started_;
  std::thread thread_;
};

struct Sample {
  double held, wall, cpu;  ///< Microseconds a launch.
};

Sample Run(const Method& method, size_t launches,
           std::vector<std::unique_ptr<LaunchBlock>>* blocks) {
  double held = 0, wall = NowUs(), cpu = CpuUs();
  auto collect = [&](size_t i) {
    LaunchBlock* block = (*blocks)[i % kInFlight].get();
    int status;
    if (waitpid(method.pid(block), &status, 0) < 0 || status != 0)
      Die("waitpid");
  };
  for (size_t i = 0; i < launches; ++i) {
    if (i >= kInFlight)
      collect(i - kInFlight);
    double before = NowUs();
    method.start((*blocks)[i % kInFlight].get());
    held += NowUs() - before;
  }
  for (size_t i = launches - std::min(launches, kInFlight); i < launches; ++i)
    collect(i);
  double count = static_cast<double>(launches);
  return {held / count, (NowUs() - wall) / count, (CpuUs() - cpu) / count};
}

void PrintColumn(std::vector<Sample> samples, double Sample::*field) {
  std::sort(samples.begin(), samples.end(),
            [field](const Sample& a, const Sample& b) {
              return a.*field < b.*field;
            });
  printf(" %6.1f (%6.1f %6.1f) |", samples[samples.size() / 2].*field,
         samples.front().*field, samples.back().*field);
}

}  // namespace

int Main(int argc, char** argv) {
  size_t launches = argc > 1 ? strtoul(argv[1], nullptr, 10) : 1000;
  size_t rounds = argc > 2 ? strtoul(argv[2], nullptr, 10) : 11;
  const char* program = argc > 3 ? argv[3] : "/bin/true";
  if (launches == 0 || rounds == 0) {
    fprintf(stderr, "usage: start_bench [LAUNCHES] [ROUNDS] [PROGRAM]\n");
    return 2;
  }

  std::vector<std::unique_ptr<LaunchBlock>> blocks;
  for (size_t i = 0; i < kInFlight; ++i)
    blocks.push_back(MakeBlock(program));
  std::deque<pid_t> pids;
  auto next_pid = [&](LaunchBlock*) {
    pid_t pid = pids.front();
    pids.pop_front();
    return pid;
  };
  auto clone = [&](uint64_t flags) {
    return [&pids, flags](LaunchBlock* b) {
      pids.push_back(CloneBlock(b, flags));
    };
  };
  LaunchThread thread;
  const Method methods[] = {
      {"clone3, no wait", clone(0), next_pid},
      {"clone3 + CLONE_VFORK", clone(CLONE_VFORK), next_pid},
      {"the same on a launch thread", [&](LaunchBlock* b) { thread.Start(b); },
       [&](LaunchBlock*) { return thread.Pid(); }},
      {"posix_spawn", [&](LaunchBlock* b) { pids.push_back(PosixSpawn(b)); },
       next_pid},
  };

  std::vector<std::vector<Sample>> samples(std::size(methods));
  for (size_t round = 0; round < rounds; ++round)
    for (size_t i = 0; i < std::size(methods); ++i)
      samples[i].push_back(Run(methods[i], launches, &blocks));

  printf(
      "| %zu x %s, %zu at once, %zu rounds; us a launch, median (min max) "
      "| caller held | wall | CPU |\n|---|---|---|---|\n",
      launches, program, kInFlight, rounds);
  for (size_t i = 0; i < std::size(methods); ++i) {
    printf("| %s |", methods[i].name);
    PrintColumn(samples[i], &Sample::held);
    PrintColumn(samples[i], &Sample::wall);
    PrintColumn(samples[i], &Sample::cpu);
    printf("\n");
  }
  return 0;
}

}  // namespace launcher

int main(int argc, char** argv) { return launcher::Main(argc, argv); }
