// What a process hands down to its children beside what a launch says: a parked
// process has it from the time when it was parked, a cold launch from now.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_WARM_PROCESS_STATE_H_
#define LAUNCHER_SRC_WARM_PROCESS_STATE_H_

#include <sys/resource.h>
#include <sys/types.h>

#include <array>
#include <cstdint>
#include <string>

#include "launcher/fd.h"

namespace launcher::warm {

/// Credentials, capabilities, umask, ignored signals, no_new_privs, seccomp,
/// affinity (status of proc(5)); limits, priority and scheduling; session,
/// cgroup, namespaces, root and working directory, personality, timer slack,
/// memory policy, I/O priority, keyring, the label of a security module, ...
struct ProcessState {
  /// What another process can change in this one.
  std::string cgroup;
  std::string attributes;  ///< The core filter, the OOM score.
  std::array<rlimit, RLIM_NLIMITS> limits = {};
  std::array<uint64_t, 128> affinity = {};  ///< Of up to 8,192 CPUs.
  /// sched_getattr(2): policy, nice value, priority, slice, clamps.
  std::array<unsigned char, 128> scheduling = {};
  std::array<long, 3> numbers = {};  ///< Timer slack, I/O, session keyring.

  /// What this process alone can.
  std::string status;  ///< The lines that are inherited.
  std::string label;   ///< Of a security module, now and after an exec.
  std::array<std::array<char, 40>, 8> namespaces = {};  ///< "net:[4026531840]"
  std::array<uint64_t, 3> root = {};  ///< Device, inode, mount.
  std::array<uint64_t, 3> directory = {};
  std::array<long, 7> others = {};

  bool operator==(const ProcessState& other) const;
};

/// Reads it, with descriptors that stay open.
class ProcessStateReader {
 public:
  /// Of the calling thread, from then on. False if proc(5) cannot be read.
  bool Read(ProcessState* state) {
    return ReadForeign(state) && ReadOwn(state);
  }

  /// The first part of it alone: without the files and links of proc(5) that
  /// cost most.
  bool ReadForeign(ProcessState* state);

  /// Every descriptor is below this; as of the last Read().
  int descriptor_bound() const { return descriptor_bound_; }

 private:
  bool ReadOwn(ProcessState* state);

  Fd status_, cgroup_, namespaces_, label_, next_label_, core_filter_,
      oom_score_;
  int descriptor_bound_ = 0;
};

}  // namespace launcher::warm

#endif  // LAUNCHER_SRC_WARM_PROCESS_STATE_H_
