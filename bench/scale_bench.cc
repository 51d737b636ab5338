// Launches by several threads at once, and jobs that stay, as bench/scale.py
// asks for by its arguments.
//
//   scale_bench rate METHOD THREADS MILLISECONDS PROGRAM [ARG...]
//     Each thread starts PROGRAM and waits for its end, again and again, with a
//     Launcher of its own. METHOD: posix_spawn, clone3 or warm.
//     Prints: LAUNCHES WALL_US PARENT_CPU_US CHILD_CPU_US
//
//   scale_bench jobs METHOD COUNT PROGRAM [ARG...]
//     Starts COUNT of a PROGRAM that ends when its input does, with its output
//     captured, then ends them all and collects them.
//     Prints: START_US COLLECT_US PARENT_CPU_US RESIDENT_KIB (all together)
//
// SPDX-License-Identifier: Apache-2.0

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "launcher/launcher.h"

extern char** environ;

namespace launcher {
namespace {

[[noreturn]] void Die(const char* what) {
  perror(what);
  exit(1);
}

double Now() {
  using namespace std::chrono;
  return duration<double, std::micro>(steady_clock::now().time_since_epoch())
      .count();
}

double Cpu(int who) {
  rusage usage;
  getrusage(who, &usage);
  return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
         usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

long ResidentKib() {
  long pages = 0;
  FILE* file = fopen("/proc/self/statm", "r");
  if (!file || fscanf(file, "%*d %ld", &pages) != 1)
    Die("/proc/self/statm");
  fclose(file);
  return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

std::unique_ptr<Launcher> MakeLauncher(const std::string& method) {
  Launcher::Options options;
  options.engine = method == "warm" ? Engine::kWarm : Engine::kClone3;
  options.raise_fd_limit = method != "warm";
  auto made = Launcher::Create(options);
  if (!made.ok())
    Die("Launcher::Create");
  return std::move(made.value());
}

Command CommandOf(const std::vector<char*>& argv) {
  Command command;
  command.argv = {argv.data(), argv.size() - 1};
  command.out = command.err = Stdio::Null();
  return command;
}

void SpawnAndWait(const std::vector<char*>& argv) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  pid_t pid;
  errno = posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  int status;
  if (errno != 0 || waitpid(pid, &status, 0) != pid || status != 0)
    Die("posix_spawn");
}

/// SIGCHLD for one thread interrupts the wait of another now and then.
void WaitForOne(Launcher* launcher) {
  for (;;) {
    auto done = launcher->Wait(std::chrono::milliseconds(-1));
    if (done.ok() && done.value().code == 0)
      return;
    if (done.ok() || done.error().code != EINTR)
      Die("Wait");
  }
}

void LaunchAndWait(Launcher* launcher, const Command& command) {
  if (!launcher->Spawn(command).ok())
    Die("Spawn");
  WaitForOne(launcher);
}

int Rate(const std::string& method, int threads, int milliseconds,
         const std::vector<char*>& argv) {
  // Made before the clock starts, with what they park.
  std::vector<std::unique_ptr<Launcher>> launchers;
  for (int i = 0; i < threads && method != "posix_spawn"; ++i) {
    launchers.push_back(MakeLauncher(method));
    LaunchAndWait(launchers.back().get(), CommandOf(argv));
  }
  double parent = Cpu(RUSAGE_SELF), child = Cpu(RUSAGE_CHILDREN), begin = Now();
  double end = begin + milliseconds * 1e3;
  std::atomic<long> launches{0};
  auto work = [&](int number) {
    do {
      if (launchers.empty())
        SpawnAndWait(argv);
      else
        LaunchAndWait(launchers[number].get(), CommandOf(argv));
      ++launches;
    } while (Now() < end);
  };
  std::vector<std::thread> running;
  for (int i = 0; i < threads; ++i)
    running.emplace_back(work, i);
  for (std::thread& thread : running)
    thread.join();
  double wall = Now() - begin;
  parent = Cpu(RUSAGE_SELF) - parent;
  child = Cpu(RUSAGE_CHILDREN) - child;
  // What the parked processes did is known when they have been reaped.
  launchers.clear();
  printf("%ld %.0f %.0f %.0f\n", launches.load(), wall, parent, child);
  return 0;
}

int Jobs(const std::string& method, int count, const std::vector<char*>& argv) {
  auto launcher = MakeLauncher(method);
  int input[2];
  if (pipe2(input, O_CLOEXEC) != 0)
    Die("pipe2");
  Command command = CommandOf(argv);
  command.in = Stdio::FromFd(input[0]);
  command.out = Stdio::Capture();
  command.err = Stdio::Merge();
  double begin = Now();
  for (int i = 0; i < count; ++i)
    if (!launcher->Spawn(command).ok())
      Die("Spawn");
  double started = Now();
  long resident = ResidentKib();
  close(input[1]);
  for (int i = 0; i < count; ++i)
    WaitForOne(launcher.get());
  printf("%.0f %.0f %.0f %ld\n", started - begin, Now() - started,
         Cpu(RUSAGE_SELF), resident);
  return 0;
}

}  // namespace

int Main(int argc, char** argv) {
  std::string what = argc > 4 ? argv[1] : "";
  if (what != "rate" && what != "jobs") {
    fprintf(stderr,
            "usage: scale_bench rate METHOD THREADS MILLISECONDS PROGRAM...\n"
            "       scale_bench jobs METHOD COUNT PROGRAM...\n");
    return 2;
  }
  int words = what == "rate" ? 5 : 4;
  std::vector<char*> program(argv + words, argv + argc);
  program.push_back(nullptr);
  return what == "rate" ? Rate(argv[2], atoi(argv[3]), atoi(argv[4]), program)
                        : Jobs(argv[2], atoi(argv[3]), program);
}

}  // namespace launcher

int main(int argc, char** argv) { return launcher::Main(argc, argv); }
