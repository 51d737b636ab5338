// SPDX-License-Identifier: Apache-2.0

#include "spawn_threads.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <optional>
#include <string>

#include "above_stdio.h"
#include "reap.h"
#include "survivors.h"

namespace launcher {

namespace {

/// The first child of a thread of this process, or 0.
pid_t ChildOfThread(pid_t tid) {
  std::string path = "/proc/self/task/" + std::to_string(tid) + "/children";
  Fd children(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char text[64] = {};
  if (!children || read(children.get(), text, sizeof(text) - 1) <= 0)
    return 0;
  return static_cast<pid_t>(strtol(text, nullptr, 10));
}

}  // namespace

struct SpawnThreads::Launch {
  SpawnThreads* owner;
  uint64_t job;
  LaunchEngine* engine;
  LaunchBlock* block;
  bool want_pidfd;
  std::vector<Fd> given;
  pthread_t thread = {};
  pid_t tid = 0;  ///< 0 until the thread runs.
  std::optional<Result<Started>> result;
};

SpawnThreads::~SpawnThreads() = default;

Result<std::unique_ptr<SpawnThreads>> SpawnThreads::Create() {
  std::unique_ptr<SpawnThreads> threads(new SpawnThreads);
  Fd event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event)
    return Error{errno, "eventfd", ""};
  Result<Fd> above = AboveStdio(std::move(event));
  if (!above.ok())
    return above.error();
  threads->event_ = std::move(above.value());
  return threads;
}

Result<void> SpawnThreads::Start(uint64_t job, LaunchEngine* engine,
                                 LaunchBlock* block, bool want_pidfd,
                                 std::vector<Fd> given) {
  std::unique_ptr<Launch> launch(new Launch{.owner = this,
                                            .job = job,
                                            .engine = engine,
                                            .block = block,
                                            .want_pidfd = want_pidfd,
                                            .given = std::move(given),
                                            .result = {}});
  std::lock_guard lock(mutex_);
  if (running_.size() >= kMost)
    return Error{EAGAIN, "pthread_create", ""};
  int error = pthread_create(&launch->thread, nullptr, Main, launch.get());
  if (error != 0)
    return Error{error, "pthread_create", ""};
  running_.emplace(job, std::move(launch));
  return {};
}

void* SpawnThreads::Main(void* argument) {
  auto* launch = static_cast<Launch*>(argument);
  SpawnThreads* owner = launch->owner;
  {
    std::lock_guard lock(owner->mutex_);
    launch->tid = static_cast<pid_t>(syscall(SYS_gettid));
  }
  Result<Started> result =
      launch->engine->Start(launch->block, launch->want_pidfd);
  launch->given.clear();
  if (result.ok())
    launch->block->ReleaseDescriptors();

  std::lock_guard lock(owner->mutex_);
  launch->result.emplace(std::move(result));
  auto running = owner->running_.extract(launch->job);
  owner->done_.push_back(std::move(running.mapped()));
  eventfd_write(owner->event_.get(), 1);
  return nullptr;
}

bool SpawnThreads::KillChild(uint64_t job, bool with_descendants) {
  std::lock_guard lock(mutex_);
  auto launch = running_.find(job);
  if (launch == running_.end() || launch->second->tid == 0)
    return false;
  pid_t tid = launch->second->tid;
  pid_t pid = ChildOfThread(tid);
  if (pid <= 0)
    return false;
  // posix_spawn(3) reaps a child that could not exec: that the thread still has
  // it, after the pidfd was opened, shows that the pidfd is of the right one.
  Fd pidfd(static_cast<int>(sys::PidfdOpen(pid)));
  if (ChildOfThread(tid) != pid)
    return false;
  if (with_descendants)
    KillDescendants(pid);
  return SignalChild(pid, pidfd.get(), SIGKILL) == 0;
}

void SpawnThreads::Collect(
    const std::function<void(uint64_t, Result<Started>)>& handle) {
  eventfd_t count;
  eventfd_read(event_.get(), &count);
  std::vector<std::unique_ptr<Launch>> done;
  {
    std::lock_guard lock(mutex_);
    done.swap(done_);
  }
  for (const auto& launch : done) {
    pthread_join(launch->thread, nullptr);
    handle(launch->job, std::move(*launch->result));
  }
}

}  // namespace launcher
