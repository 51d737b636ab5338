// Starts a program in one way after the other, as bench/launch.py asks on
// standard input, and says what that cost.
//
//   launch_bench RESIDENT_MIB DESCRIPTORS PROGRAM [ARG...]
//
// This process has RESIDENT_MIB of touched memory and DESCRIPTORS open
// descriptors that its children would inherit; every method gives them none but
// 0 to 2. A request is a line
//
//   METHOD LAUNCHES MICROSECONDS SEND
//
// and is answered when LAUNCHES have been made, one after the other, or the
// time is over. SEND 1: the program is one that writes its clock (struct
// timespec, CLOCK_MONOTONIC) to standard output with its first instructions.
// The answer, each but the first for one launch, times in us:
//
//   LAUNCHES WALL PARENT_CPU CHILD_CPU FAULTS WARM_SHARE FIRST
//
// or "none", where this system has no such call.
//
// SPDX-License-Identifier: Apache-2.0

#include <dlfcn.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "launcher/c.h"
#include "launcher/launcher.h"

extern char** environ;

namespace launcher {
namespace {

[[noreturn]] void Die(const char* what) {
  perror(what);
  exit(1);
}

double Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

struct Usage {
  double cpu = 0, faults = 0;

  explicit Usage(int who) {
    rusage usage;
    getrusage(who, &usage);
    cpu = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
          usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    faults = static_cast<double>(usage.ru_minflt + usage.ru_majflt);
  }
};

void Reap(pid_t pid) {
  int status;
  if (waitpid(pid, &status, 0) != pid || status != 0)
    Die("a child failed");
}

/// What a child is to be given.
struct Program {
  std::vector<char*> argv;  ///< Ends with null.
  std::string line;         ///< The same for a shell.
  int null = -1, out = -1;
};

/// The child's part of fork and vfork.
[[noreturn]] void BecomeProgram(const Program& program) {
  dup2(program.null, 0);
  dup2(program.out, 1);
  dup2(program.null, 2);
  syscall(SYS_close_range, 3, ~0u, 0);
  execv(program.argv[0], program.argv.data());
  _exit(127);
}

void Fork(const Program& program) {
  pid_t pid = fork();
  if (pid == 0)
    BecomeProgram(program);
  Reap(pid);
}

// vfork(2) is what is to be measured.
void Vfork(const Program& program) {
  pid_t pid = vfork();
  if (pid == 0)
    BecomeProgram(program);
  Reap(pid);
}

/// The actions of posix_spawn(3) that do the same.
class Actions {
 public:
  explicit Actions(const Program& program) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_adddup2(&actions_, program.null, 0);
    posix_spawn_file_actions_adddup2(&actions_, program.out, 1);
    posix_spawn_file_actions_adddup2(&actions_, program.null, 2);
    posix_spawn_file_actions_addclosefrom_np(&actions_, 3);
  }
  ~Actions() { posix_spawn_file_actions_destroy(&actions_); }
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};

void PosixSpawn(const Program& program, char* const* argv) {
  Actions actions(program);
  pid_t pid;
  errno = posix_spawn(&pid, argv[0], actions.get(), nullptr, argv, environ);
  if (errno != 0)
    Die("posix_spawn");
  Reap(pid);
}

void Shell(const Program& program) {
  char shell[] = "/bin/sh", option[] = "-c";
  char* argv[] = {shell, option, const_cast<char*>(program.line.c_str()),
                  nullptr};
  PosixSpawn(program, argv);
}

using PidfdSpawnFunction = int (*)(int*, const char*,
                                   const posix_spawn_file_actions_t*,
                                   const posix_spawnattr_t*, char* const*,
                                   char* const*);

/// glibc has it from 2.39 on.
PidfdSpawnFunction FindPidfdSpawn() {
  return reinterpret_cast<PidfdSpawnFunction>(
      dlsym(RTLD_DEFAULT, "pidfd_spawn"));
}

void PidfdSpawn(const Program& program, PidfdSpawnFunction function) {
  Actions actions(program);
  int pidfd;
  errno = function(&pidfd, program.argv[0], actions.get(), nullptr,
                   program.argv.data(), environ);
  siginfo_t info;
  if (errno != 0 || waitid(P_PIDFD, pidfd, &info, WEXITED) != 0)
    Die("pidfd_spawn");
  close(pidfd);
}

/// The library, by its C++ interface.
class Ours {
 public:
  explicit Ours(Engine engine) {
    auto made = Launcher::Create({.engine = engine});
    if (!made.ok())
      Die("Launcher::Create");
    launcher_ = std::move(made.value());
  }

  void Run(const Program& program) {
    Command command;
    command.argv = {program.argv.data(), program.argv.size() - 1};
    command.out = Stdio::FromFd(program.out);
    command.err = Stdio::Null();
    if (!launcher_->Spawn(command).ok())
      Die("Launcher::Spawn");
    auto done = launcher_->Wait(std::chrono::milliseconds(-1));
    if (!done.ok() || done.value().code != 0)
      Die("Launcher::Wait");
  }

  uint64_t warm() const { return launcher_->statistics().warm_launches; }

 private:
  std::unique_ptr<Launcher> launcher_;
};

/// The library, by its C interface and as it comes: warm where that pays.
class OursInC {
 public:
  OursInC() {
    if (launcher_create(nullptr, &launcher_, nullptr) < 0)
      Die("launcher_create");
  }
  ~OursInC() { launcher_destroy(launcher_); }

  void Run(const Program& program) {
    launcher_command command = LAUNCHER_COMMAND_INIT;
    command.argv = program.argv.data();
    command.out = {LAUNCHER_STDIO_FD, program.out};
    command.err = {LAUNCHER_STDIO_NULL, -1};
    uint64_t id;
    launcher_result* result;
    if (launcher_spawn(launcher_, &command, &id, nullptr) < 0 ||
        launcher_wait(launcher_, -1, &result, nullptr) < 0 || result->code != 0)
      Die("launcher_spawn");
    launcher_result_free(result);
  }

  uint64_t warm() const {
    launcher_statistics statistics = {};
    statistics.size = sizeof(statistics);
    launcher_get_statistics(launcher_, &statistics);
    return statistics.warm_launches;
  }

 private:
  launcher_handle* launcher_;
};

/// A way to start a child and wait for its end.
struct Method {
  std::function<void(const Program&)> run;
  std::function<uint64_t()> warm = [] { return uint64_t{0}; };
};

template <class T>
Method MethodOf(std::shared_ptr<T> ours) {
  return {[ours](const Program& program) { ours->Run(program); },
          [ours] { return ours->warm(); }};
}

/// Empty function: there is no such call here.
Method MakeMethod(const std::string& name) {
  if (name == "fork")
    return {Fork};
  if (name == "vfork")
    return {Vfork};
  if (name == "posix_spawn")
    return {[](const Program& p) { PosixSpawn(p, p.argv.data()); }};
  if (name == "sh")
    return {Shell};
  if (name == "pidfd_spawn") {
    PidfdSpawnFunction function = FindPidfdSpawn();
    if (!function)
      return {};
    return {[function](const Program& p) { PidfdSpawn(p, function); }};
  }
  if (name == "clone3")
    return MethodOf(std::make_shared<Ours>(Engine::kClone3));
  if (name == "ours_spawn")
    return MethodOf(std::make_shared<Ours>(Engine::kPosixSpawn));
  if (name == "warm")
    return MethodOf(std::make_shared<Ours>(Engine::kWarm));
  if (name == "c")
    return MethodOf(std::make_shared<OursInC>());
  fprintf(stderr, "launch_bench: no method '%s'\n", name.c_str());
  exit(2);
}

void Answer(const Method& method, const Program& program, long launches,
            double microseconds, int clock_pipe) {
  std::vector<double> first;
  Usage parent(RUSAGE_SELF), child(RUSAGE_CHILDREN);
  uint64_t warm = method.warm();
  double begin = Now();
  long made = 0;
  while (made < launches && (made < 3 || Now() - begin < microseconds)) {
    double before = Now();
    method.run(program);
    ++made;
    timespec clock;
    if (clock_pipe >= 0) {
      if (read(clock_pipe, &clock, sizeof(clock)) != sizeof(clock))
        Die("no clock from the program");
      first.push_back(clock.tv_sec * 1e6 + clock.tv_nsec / 1e3 - before);
    }
  }
  double wall = Now() - begin, count = static_cast<double>(made);
  Usage parent_after(RUSAGE_SELF), child_after(RUSAGE_CHILDREN);
  std::sort(first.begin(), first.end());
  printf("%ld %.3f %.3f %.3f %.3f %.4f %.3f\n", made, wall / count,
         (parent_after.cpu - parent.cpu) / count,
         (child_after.cpu - child.cpu) / count,
         (parent_after.faults - parent.faults + child_after.faults -
          child.faults) /
             count,
         static_cast<double>(method.warm() - warm) / count,
         first.empty() ? 0.0 : first[first.size() / 2]);
  fflush(stdout);
}

void TouchMemory(size_t size) {
  if (size == 0)
    return;
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    Die("mmap");
  madvise(memory, size, MADV_NOHUGEPAGE);
  memset(memory, 1, size);
}

}  // namespace

int Main(int argc, char** argv) {
  if (argc < 4) {
    fprintf(stderr,
            "usage: launch_bench RESIDENT_MIB DESCRIPTORS PROGRAM [ARG...]\n");
    return 2;
  }
  TouchMemory(strtoul(argv[1], nullptr, 10) << 20);
  Program program;
  for (char** word = argv + 3; *word; ++word) {
    program.argv.push_back(*word);
    program.line += std::string(program.line.empty() ? "" : " ") + *word;
  }
  program.argv.push_back(nullptr);
  program.null = open("/dev/null", O_RDWR | O_CLOEXEC);
  int clock_pipe[2];
  if (pipe2(clock_pipe, O_CLOEXEC) != 0)
    Die("pipe2");
  for (int fd = 0, last = atoi(argv[2]) - 1; fd < last;)
    if ((fd = dup(program.null)) < 0)
      Die("dup");

  std::map<std::string, Method> methods;
  char name[32];
  long launches, microseconds;
  int send;
  while (scanf("%31s %ld %ld %d", name, &launches, &microseconds, &send) == 4) {
    auto [at, is_new] = methods.try_emplace(name);
    if (is_new)
      at->second = MakeMethod(name);
    if (!at->second.run) {
      printf("none\n");
      fflush(stdout);
      continue;
    }
    program.out = send ? clock_pipe[1] : program.null;
    Answer(at->second, program, launches, static_cast<double>(microseconds),
           send ? clock_pipe[0] : -1);
  }
  return 0;
}

}  // namespace launcher

int main(int argc, char** argv) { return launcher::Main(argc, argv); }
