// SPDX-License-Identifier: Apache-2.0

#include "event_loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <climits>

#include "above_stdio.h"

namespace launcher {

namespace {
constexpr int kMaxEvents = 64;
constexpr uint64_t kTimerToken = ~uint64_t{0};  // No caller's.
}  // namespace

using std::chrono::milliseconds;
using std::chrono::steady_clock;

Result<EventLoop> EventLoop::Create() {
  Fd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll)
    return Error{errno, "epoll_create1", ""};
  Result<Fd> above = AboveStdio(std::move(epoll));
  if (!above.ok())
    return above.error();
  return EventLoop(std::move(above.value()));
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
    if (events[i].data.u64 != kTimerToken)
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

Result<int> EventLoop::Descriptor() {
  if (timer_)
    return epoll_.get();
  Fd timer(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  if (!timer)
    return Error{errno, "timerfd_create", ""};
  Result<Fd> above = AboveStdio(std::move(timer));
  if (!above.ok())
    return above.error();
  Result<void> added = Add(above.value().get(), kTimerToken);
  if (!added.ok())
    return added.error();
  timer_ = std::move(above.value());
  shown_ = TimePoint::max();
  ShowTimers(false);
  return epoll_.get();
}

void EventLoop::ShowTimers(bool now) {
  if (!timer_)
    return;
  TimePoint when = timers_.empty() ? TimePoint::max() : timers_.begin()->first;
  if (now)
    when = TimePoint(std::chrono::nanoseconds(1));  // Long ago; zero disarms.
  if (when == shown_)
    return;
  shown_ = when;
  itimerspec setting = {};
  if (when != TimePoint::max()) {
    const auto time = when.time_since_epoch();
    const auto whole = std::chrono::floor<std::chrono::seconds>(time);
    setting.it_value.tv_sec = whole.count();
    setting.it_value.tv_nsec = std::chrono::nanoseconds(time - whole).count();
  }
  (void)timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &setting, nullptr);
}

}  // namespace launcher
