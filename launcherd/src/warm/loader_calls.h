// Watches the system calls of a program on its way to the entry point, and
// decides from them whether it has come there in the way that every other
// process with the same files, environment and limits would.
//
// The list is one of what is allowed. The loader and the constructors may map
// and read files, which are noted to be looked at again before each launch;
// they may ask for what the launcher compares (limits, credentials, affinity);
// everything else rules the program out: what differs from process to process
// (time, random bytes, pids, the directory), what leaves something behind that
// a clone would not have (descriptors, threads, timers, shared memory), what
// others can see.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_WARM_LOADER_CALLS_H_
#define LAUNCHER_SRC_WARM_LOADER_CALLS_H_

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "file_state.h"
#include "process.h"
#include "tracee.h"

namespace launcher::warm {

class LoaderCalls {
 public:
  /// `process` must outlive it.
  explicit LoaderCalls(const Process* process) : process_(process) {}

  /// To be called at each stop of a system call. Returns why the program is
  /// ruled out, a clause such as "it asks for the time"; empty: go on.
  std::string OnCall(const SystemCall& info);

  /// At the entry point: what is left open, as a clause, or empty.
  std::string LeftOpen() const;

  /// Where the word is that malloc(3) has taken; 0: nowhere.
  uint64_t random() const { return random_; }

  /// Where the kernel writes the CPU of the moment, rseq(2); 0: nowhere.
  uint64_t rseq() const { return rseq_; }

  /// Every path that was looked at, once, with its state at that time.
  std::vector<LookedAt> TakeLookedAt();

 private:
  using Args = std::array<uint64_t, 6>;

  std::string OnEntry(uint64_t nr, const Args& args, uint64_t address);
  std::string Open(uint64_t path, uint64_t flags);
  std::string LookAt(uint64_t path);
  std::string OnDescriptor(const char* what, uint64_t fd) const;
  std::string Random(const Args& args, uint64_t address);

  const Process* process_;
  uint64_t nr_ = 0;
  Args args_ = {};
  std::string opening_;
  std::map<int, std::string> open_;
  uint64_t random_ = 0;
  uint64_t rseq_ = 0;
  std::map<std::string, FileState> looked_at_;
};

}  // namespace launcher::warm

#endif  // LAUNCHER_SRC_WARM_LOADER_CALLS_H_
