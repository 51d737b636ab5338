// Waits for descriptors and points in time.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_EVENT_LOOP_H_
#define LAUNCHER_SRC_EVENT_LOOP_H_

#include <signal.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <set>

#include "launcher/fd.h"
#include "launcher/result.h"

namespace launcher {

/// epoll(7) and a sorted set of timers. What is watched is named by a token of
/// the caller's choice; a wake-up costs what is due, not what is watched.
class EventLoop {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  /// Errors: EMFILE, ENFILE, ENOMEM (step "epoll_create1"); those of
  /// AboveStdio().
  static Result<EventLoop> Create();

  /// The point in time that far from now; TimePoint::max() if it is centuries.
  static TimePoint After(std::chrono::milliseconds time);

  /// Watches `fd` for input until Remove() or, if nobody else holds the open
  /// file, its close. Errors: ENOMEM, ENOSPC, EPERM (step "epoll_ctl").
  Result<void> Add(int fd, uint64_t token) { return Add(fd, token, false); }

  /// The same, for a descriptor that stays ready once it is: told one time.
  Result<void> AddOnce(int fd, uint64_t token) { return Add(fd, token, true); }
  void Remove(int fd);

  void SetTimer(TimePoint when, uint64_t token) {
    timers_.insert({when, token});
  }
  void CancelTimer(TimePoint when, uint64_t token) {
    timers_.erase({when, token});
  }

  /// Calls `handle` with the token of each descriptor that is ready and each
  /// timer that is due; a timer is gone before its call. Returns how many there
  /// were, at most 64 descriptors and all timers; 0 after `deadline`
  /// (TimePoint::max(): never). `mask` as in epoll_pwait(2), null: unchanged.
  /// Errors: EINTR (step "epoll_pwait").
  Result<int> Wait(TimePoint deadline, const sigset_t* mask,
                   const std::function<void(uint64_t)>& handle);

  /// The epoll descriptor, for a loop of somebody else's: readable while a
  /// Wait() would handle something. Timers make it so from the first call on
  /// and as of the last ShowTimers(). Errors: EMFILE, ENFILE, ENOMEM (step
  /// "timerfd_create"), ENOSPC ("epoll_ctl").
  Result<int> Descriptor();

  /// Makes Descriptor() readable when the first timer is due, or with `now` at
  /// once. Does nothing before the first Descriptor().
  void ShowTimers(bool now);

 private:
  Result<void> Add(int fd, uint64_t token, bool once);
  explicit EventLoop(Fd epoll) : epoll_(std::move(epoll)) {}

  Fd epoll_;
  Fd timer_;           ///< timerfd(2), of Descriptor().
  TimePoint shown_{};  ///< What it is set to; max(): nothing.
  std::set<std::pair<TimePoint, uint64_t>> timers_;
};

}  // namespace launcher

#endif  // LAUNCHER_SRC_EVENT_LOOP_H_
