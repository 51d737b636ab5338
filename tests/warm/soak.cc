// Launches small programs from warm templates again and again, eight at once,
// and looks whether anything grows: memory of the launcher and of its parked
// processes, descriptors, processes.
//
//   soak [--launches N] PROGRAM...
//
// A tenth of the launches comes before the first look, so that every buffer has
// its size. Exit status 1: something has grown, a job has failed, or a launch
// could not be warm. 77: nothing can be parked here.
//
// SPDX-License-Identifier: Apache-2.0

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "launcher/launcher.h"
#include "warm/process.h"

namespace {

using launcher::Command;
using launcher::Engine;
using launcher::Finished;
using launcher::Launcher;
using launcher::warm::Process;

constexpr uint64_t kAtOnce = 8;
constexpr int kSkip = 77;
constexpr uint64_t kDefaultLaunches = 200'000;
// An allocator that splits a block another way, not one that loses them: half a
// byte a launch.
constexpr uint64_t kMostKib = 128;

[[noreturn]] void Die(const std::string& text) {
  fprintf(stderr, "soak: error: %s\n", text.c_str());
  exit(1);
}

struct Look {
  uint64_t launcher_kib = 0, parked_kib = 0;
  size_t descriptors = 0, processes = 0;
};

size_t CountDescriptors() {
  DIR* directory = opendir("/proc/self/fd");
  if (!directory)
    Die("/proc/self/fd cannot be read");
  size_t count = 0;
  while (readdir(directory))
    ++count;
  closedir(directory);
  return count - 3;  // "." and "..", and that of the directory.
}

uint64_t PrivateKib(pid_t pid) {
  auto kib = Process(pid).PrivateKib();
  if (!kib.ok())
    Die(kib.error().ToString());
  return kib.value();
}

/// While no job runs.
Look LookAround() {
  Look look;
  look.launcher_kib = PrivateKib(getpid());
  look.descriptors = CountDescriptors();
  std::ifstream children("/proc/self/task/" + std::to_string(getpid()) +
                         "/children");
  for (pid_t pid; children >> pid; ++look.processes)
    look.parked_kib += PrivateKib(pid);
  return look;
}

void Print(const char* when, const Look& look) {
  printf(
      "%-12s%8lu KiB in the launcher, %6lu KiB in %zu parked processes, "
      "%zu descriptors\n",
      when, static_cast<unsigned long>(look.launcher_kib),
      static_cast<unsigned long>(look.parked_kib), look.processes,
      look.descriptors);
}

class Soak {
 public:
  explicit Soak(std::vector<std::string> programs)
      : programs_(std::move(programs)), outputs_(programs_.size()) {
    Launcher::Options options;
    options.engine = Engine::kWarm;
    auto made = Launcher::Create(std::move(options));
    if (!made.ok())
      Die(made.error().ToString());
    launcher_ = std::move(made.value());
  }

  void Run(uint64_t launches) {
    for (uint64_t i = 0; i < launches; ++i) {
      if (launcher_->children() == kAtOnce)
        Finish();
      Start(i % programs_.size());
    }
    while (launcher_->children() > 0)
      Finish();
  }

  uint64_t cold() const { return cold_; }

  /// Nothing can be parked here: ptrace(2) is not allowed.
  bool IsHopeless() const { return launcher_->statistics().warm_launches == 0; }

 private:
  void Start(size_t index) {
    const char* argv[] = {programs_[index].c_str(), "one argument"};
    Command command;
    command.argv = argv;
    command.tag = &outputs_[index];
    if (auto started = launcher_->Spawn(command); !started.ok())
      Die(started.error().ToString());
  }

  void Finish() {
    auto finished = launcher_->Wait(std::chrono::milliseconds(-1));
    if (!finished.ok())
      return;  // EINTR
    const Finished& done = finished.value();
    auto* output = static_cast<std::string*>(done.tag);
    const size_t index = static_cast<size_t>(output - outputs_.data());
    if (done.cause != Finished::Cause::kExited || done.code != 0)
      Die(programs_[index] + " ended with " + std::to_string(done.code));
    if (output->empty())
      *output = done.output;
    if (*output != done.output)
      Die(programs_[index] + " printed: " + done.output);
    cold_ += done.engine != Engine::kWarm;
  }

  std::vector<std::string> programs_, outputs_;
  std::unique_ptr<Launcher> launcher_;
  uint64_t cold_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  uint64_t launches = kDefaultLaunches;
  std::vector<std::string> programs(argv + 1, argv + argc);
  if (programs.size() > 1 && programs[0] == "--launches") {
    launches = strtoull(programs[1].c_str(), nullptr, 10);
    programs.erase(programs.begin(), programs.begin() + 2);
  }
  if (programs.empty() || launches == 0)
    Die("usage: soak [--launches N] PROGRAM...");

  Soak soak(std::move(programs));
  soak.Run(launches / 10 + 1);
  if (soak.IsHopeless()) {
    printf("skipped: nothing can be parked here\n");
    return kSkip;
  }
  const Look before = LookAround();
  Print("at first", before);
  soak.Run(launches);
  const Look after = LookAround();
  Print("at the end", after);
  printf("%lu launches between, %lu of all were cold\n",
         static_cast<unsigned long>(launches),
         static_cast<unsigned long>(soak.cold()));
  const bool grown = after.descriptors != before.descriptors ||
                     after.processes != before.processes ||
                     after.launcher_kib > before.launcher_kib + kMostKib ||
                     after.parked_kib > before.parked_kib + kMostKib;
  if (grown)
    Die("something has grown");
  if (soak.cold() > 0)
    Die("some launches were not warm");
}
