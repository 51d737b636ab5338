// Runs LaunchEngine::Start() of a blocking engine on threads of its own.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_SPAWN_THREADS_H_
#define LAUNCHER_SRC_SPAWN_THREADS_H_

#include <pthread.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "engine.h"
#include "launcher/fd.h"

namespace launcher {

/// One thread for each launch under way: a launch that hangs, on an open(2) of
/// a FIFO say, must not hold up the next. All signals are blocked in them.
class SpawnThreads {
 public:
  /// Launches under way at once. Each copies the table of descriptors: with
  /// thousands at once they would be busy with each other's pipes.
  static constexpr size_t kMost = 64;

  /// Errors: EMFILE, ENFILE, ENOMEM (step "eventfd").
  static Result<std::unique_ptr<SpawnThreads>> Create();

  /// All launches must have been collected.
  ~SpawnThreads();

  /// Readable when there is something to Collect().
  int event_fd() const { return event_.get(); }

  /// Calls engine->Start(block, want_pidfd) and closes `given` after it. Engine
  /// and block must live until it is collected. Called with signals blocked.
  /// Errors: EAGAIN (step "pthread_create"), also when kMost are under way.
  Result<void> Start(uint64_t job, LaunchEngine* engine, LaunchBlock* block,
                     bool want_pidfd, std::vector<Fd> given);

  /// Sends SIGKILL to the child of a launch under way, whose pid nobody but the
  /// C library knows yet: from /proc/self/task/TID/children, proc(5). False if
  /// there is no child so far, or the kernel does not tell. Its program may run
  /// by then: `with_descendants` they get SIGKILL before it.
  bool KillChild(uint64_t job, bool with_descendants);

  /// Hands each launch that is done to `handle`, with its job.
  void Collect(const std::function<void(uint64_t, Result<Started>)>& handle);

 private:
  struct Launch;

  SpawnThreads() = default;
  static void* Main(void* launch);

  Fd event_;
  std::mutex mutex_;  ///< Guards what follows.
  std::map<uint64_t, std::unique_ptr<Launch>> running_;
  std::vector<std::unique_ptr<Launch>> done_;
};

}  // namespace launcher

#endif  // LAUNCHER_SRC_SPAWN_THREADS_H_
