// What proc(5) says about a process that is stopped, or parked.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_WARM_PROCESS_H_
#define LAUNCHER_SRC_WARM_PROCESS_H_

#include <linux/prctl.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "launcher/fd.h"
#include "launcher/result.h"

namespace launcher::warm {

/// A mapping of the address space, a line of /proc/PID/maps.
struct Mapping {
  uint64_t start = 0;
  uint64_t end = 0;
  bool readable = false;
  bool writable = false;
  bool executable = false;
  bool shared = false;
  uint64_t offset = 0;
  uint64_t inode = 0;  ///< 0: no file.
  std::string path;    ///< Or a name such as [stack], or empty.

  bool Contains(uint64_t address) const {
    return address >= start && address < end;
  }
};

/// All of a file of proc(5) or the like; empty if it cannot be read.
std::string ReadAll(const std::string& path);

class Process {
 public:
  explicit Process(pid_t pid) : pid_(pid) {}

  pid_t pid() const { return pid_; }

  /// Opens its memory; before ReadMemory() and WriteMemory().
  /// Errors: of open(2), EACCES if the process may not be looked into.
  Result<void> OpenMemory();
  void CloseMemory() { memory_.Reset(); }

  /// Errors: EIO, EFAULT (step "memory").
  Result<void> ReadMemory(uint64_t address, void* to, size_t size) const;
  Result<void> WriteMemory(uint64_t address, const void* from,
                           size_t size) const;

  /// The text at `address`, at most PATH_MAX bytes of it.
  Result<std::string> ReadText(uint64_t address) const;

  /// /proc/PID/`name`, empty if it cannot be read.
  std::string File(const char* name) const;

  /// In the order of their addresses. Errors: EIO (step "maps").
  Result<std::vector<Mapping>> Mappings() const;

  /// The pages of `mapping` that are its own: neither those of the file nor
  /// never touched. Addresses, ascending. Errors: EIO (step "pagemap").
  Result<std::vector<uint64_t>> OwnPages(const Mapping& mapping) const;

  /// What prctl(2) PR_SET_MM_MAP takes; `brk` and the vector are left out.
  /// Errors: EIO; ESRCH, it has ended (step "stat").
  Result<prctl_mm_map> MemoryMap() const;

  /// Time on a CPU so far; exact when it is stopped.
  std::chrono::nanoseconds CpuTime() const;

  /// Memory that is its own alone, in KiB. Errors: EIO (step "smaps_rollup").
  Result<uint64_t> PrivateKib() const;

  /// The file that it executes; empty if it cannot be seen.
  std::string Executable() const;

  /// The state letter of /proc/PID/stat: 'T' and 't' are stopped; 0: gone.
  char State() const;

 private:
  pid_t pid_;
  Fd memory_;
};

/// The value of `field` ("SigBlk") in a text of proc(5)'s status.
std::string_view StatusField(std::string_view status, std::string_view field);

}  // namespace launcher::warm

#endif  // LAUNCHER_SRC_WARM_PROCESS_H_
