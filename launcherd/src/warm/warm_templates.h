// Which programs are worth a parked process, and the processes that there are.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_WARM_WARM_TEMPLATES_H_
#define LAUNCHER_SRC_WARM_WARM_TEMPLATES_H_

#include <pthread.h>

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "launch_block.h"
#include "launcher/fd.h"
#include "launcher/launcher.h"
#include "patterns.h"
#include "process_state.h"
#include "warm_process.h"

namespace launcher::warm {

/// Owned by one Launcher, used by its thread. One program at a time is parked,
/// by a thread of its own, while jobs of it start cold.
class WarmTemplates {
 public:
  using ProcessPointer = std::shared_ptr<WarmProcess>;

  /// Errors: EMFILE, ENFILE, ENOMEM (step "eventfd").
  /// EINVAL (step "never_warm"). `options` must outlive it. `watch` looks after
  /// the socket of a process from then on; false: it cannot.
  using Watch = std::function<bool(const ProcessPointer&)>;
  static Result<std::unique_ptr<WarmTemplates>> Create(
      const Launcher::Options& options, Watch watch);

  /// Breaks off what is being parked.
  ~WarmTemplates();

  /// Readable when Collect() has something to do.
  int event_fd() const { return event_.get(); }

  /// True while a thread of ours is at work.
  bool IsParking() const { return work_ != nullptr; }

  /// The process that the launch of `block` can be asked of, with the request
  /// for it; null: it starts cold. Counts the use, and may begin to park. With
  /// the engine kWarm it parks now, and waits for that.
  ProcessPointer Find(const LaunchBlock& block, Message* message);

  /// Parks the program of `block` if it is not, and waits for that.
  /// Errors (step "warm"): EPERM, it never will be, object why; ENOTSUP.
  Result<void> Prepare(const LaunchBlock& block);

  /// Why Find() will never give a process for it; empty: it may.
  std::string WhyNever(const LaunchBlock& block);

  /// Takes over what has been parked.
  void Collect();

  /// `process` has met its end.
  void OnEnd(const ProcessPointer& process);

  struct Counters {
    uint64_t parked = 0;   ///< Made.
    uint64_t stale = 0;    ///< Given up since a file or the launcher changed.
    uint64_t evicted = 0;  ///< Given up for another one.
    uint64_t ended = 0;    ///< Have died.
  };
  Counters counters;

  size_t size() const;
  uint64_t private_kib() const;

  /// Why programs are not parked: "path: it asks for the time".
  std::vector<std::string> Reasons() const;

 private:
  /// A program, in one environment. Least recently used last in `entries_`.
  struct Entry {
    Program program;
    bool odd = false;
    uint64_t uses = 0;
    std::string never;  ///< Why it is not to be parked.
    ProcessPointer process;
  };
  using Entries = std::list<Entry>;
  struct Work;

  WarmTemplates(const Launcher::Options& options, Watch watch, Patterns never,
                Fd event);
  static void* RunWork(void* work);
  Entry* FindEntry(const LaunchBlock& block, EnvironmentMatch* match);
  void BeginParking(Entry* entry);
  void AwaitParking();
  void FinishParking();
  void ParkNow(Entry* entry);
  void MakeRoom(uint64_t kib);
  void Retire(Entry* entry);
  bool CheckState();
  std::vector<int> FindInherited() const;

  const Launcher::Options& options_;
  Watch watch_;
  Patterns never_;
  Fd event_;
  Entries entries_;
  std::unique_ptr<Work> work_;
  ProcessStateReader reader_;
  ProcessState state_;  ///< All processes have been parked with this one.
  ProcessState now_;
  bool is_read_ = false;                       ///< All of `now_`, once.
  std::optional<std::vector<int>> inherited_;  ///< As of the last launch.
};

}  // namespace launcher::warm

#endif  // LAUNCHER_SRC_WARM_WARM_TEMPLATES_H_
