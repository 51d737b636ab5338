// SPDX-License-Identifier: Apache-2.0

#include "event_loop.h"

#include <errno.h>
#include <sys/epoll.h>

#include <algorithm>
#include <climits>

namespace launcher {

namespace {
constexpr int kMaxEvents = 64;
}

using std::chrono::milliseconds;
using std::chrono::steady_clock;

Result<EventLoop> EventLoop::Create() {
  Fd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll)
    return Error{errno, "epoll_create1", ""};
  return EventLoop(std::move(epoll));
}

EventLoop::TimePoint EventLoop::After(milliseconds time) {
  constexpr std::chrono::hours kCentury{24 * 365 * 100};
  return time < kCentury ? steady_clock::now() + time : TimePoint::max();
}

Result<void> EventLoop::Add(int fd, uint64_t token, bool once) {
  epoll_event event = {};
  event.events = once ? EPOLLIN | EPOLLONESHOT : EPOLLIN;
  event.data.u64 = token;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
    return Error{errno, "epoll_ctl", ""};
  return {};
}

void EventLoop::Remove(int fd) {
  (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

Result<int> EventLoop::Wait(TimePoint deadline, const sigset_t* mask,
                            const std::function<void(uint64_t)>& handle) {
  if (!timers_.empty())
    deadline = std::min(deadline, timers_.begin()->first);
  int timeout = -1;
  if (deadline != TimePoint::max()) {
    // Rounded up: a wait that ends a fraction too early would be a busy one.
    auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
    timeout = static_cast<int>(std::clamp<int64_t>(left.count(), 0, INT_MAX));
  }

  epoll_event events[kMaxEvents];
  int ready = epoll_pwait(epoll_.get(), events, kMaxEvents, timeout, mask);
  if (ready < 0)
    return Error{errno, "epoll_pwait", ""};
  for (int i = 0; i < ready; ++i)
    handle(events[i].data.u64);

  if (timers_.empty())
    return ready;
  TimePoint now = steady_clock::now();
  while (!timers_.empty() && timers_.begin()->first <= now) {
    uint64_t token = timers_.begin()->second;
    timers_.erase(timers_.begin());
    handle(token);
    ++ready;
  }
  return ready;
}

}  // namespace launcher
