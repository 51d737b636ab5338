// SPDX-License-Identifier: Apache-2.0

#include "event_loop.h"

#include <fcntl.h>
#include <unistd.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "support/leak_check.h"

namespace launcher {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using Tokens = std::vector<uint64_t>;

class EventLoopTest : public LeakCheckTest {
 protected:
  EventLoopTest() : loop_(std::move(EventLoop::Create().value())) {}

  /// One pass; what was handled is in tokens_.
  Result<int> Pass(EventLoop::TimePoint deadline,
                   const sigset_t* mask = nullptr) {
    tokens_.clear();
    return loop_.Wait(deadline, mask,
                      [this](uint64_t token) { tokens_.push_back(token); });
  }
  Result<int> PassNow() { return Pass(steady_clock::now()); }
  static EventLoop::TimePoint Guard() {
    return steady_clock::now() + seconds(30);
  }

  /// A pipe with a byte in it, watched as `token`.
  void AddReady(uint64_t token) {
    int fds[2];
    ASSERT_EQ(0, pipe2(fds, O_CLOEXEC));
    readers_.emplace_back(fds[0]);
    writers_.emplace_back(fds[1]);
    ASSERT_EQ(1, write(fds[1], "x", 1));
    ASSERT_TRUE(loop_.Add(fds[0], token).ok());
  }

  EventLoop loop_;
  Tokens tokens_;
  std::vector<Fd> readers_, writers_;
};

TEST_F(EventLoopTest, ItsDescriptorIsClosedByExec) {
  for (const auto& [fd, target] : OpenFds()) {
    if (target == "anon_inode:[eventpoll]") {
      EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
    }
  }
}

TEST_F(EventLoopTest, NothingToDoEndsAtTheDeadline) {
  auto before = steady_clock::now();
  Result<int> handled = Pass(before + milliseconds(20));
  ASSERT_TRUE(handled.ok());
  EXPECT_EQ(0, handled.value());
  EXPECT_GE(steady_clock::now(), before + milliseconds(20));
  EXPECT_EQ(Tokens(), tokens_);
}

TEST_F(EventLoopTest, DeadlineInThePastDoesNotWait) {
  Result<int> handled = Pass(EventLoop::TimePoint());
  ASSERT_TRUE(handled.ok());
  EXPECT_EQ(0, handled.value());
}

TEST_F(EventLoopTest, ReadyDescriptorIsHandledWithoutDeadline) {
  AddReady(7);
  Result<int> handled = Pass(EventLoop::TimePoint::max());
  ASSERT_TRUE(handled.ok());
  EXPECT_EQ(1, handled.value());
  EXPECT_EQ(Tokens{7}, tokens_);
}

TEST_F(EventLoopTest, TokenIsSixtyFourBitsWide) {
  AddReady(0xfedcba9876543210);
  ASSERT_TRUE(Pass(Guard()).ok());
  EXPECT_EQ(Tokens{0xfedcba9876543210}, tokens_);
}

TEST_F(EventLoopTest, EndOfFileIsReady) {
  AddReady(7);
  char byte;
  ASSERT_EQ(1, read(readers_[0].get(), &byte, 1));
  ASSERT_TRUE(PassNow().ok());
  EXPECT_EQ(Tokens(), tokens_);
  writers_[0].Reset();
  ASSERT_TRUE(Pass(Guard()).ok());
  EXPECT_EQ(Tokens{7}, tokens_);
}

TEST_F(EventLoopTest, RemovedAndClosedDescriptorsAreSilent) {
  AddReady(1);
  AddReady(2);
  AddReady(3);
  loop_.Remove(readers_[0].get());
  readers_[1].Reset();
  ASSERT_TRUE(Pass(Guard()).ok());
  EXPECT_EQ(Tokens{3}, tokens_);
}

TEST_F(EventLoopTest, AddTellsWhatCannotBeWatched) {
  Fd file(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  Result<void> added = loop_.Add(file.get(), 1);
  ASSERT_FALSE(added.ok());
  EXPECT_EQ(EPERM, added.error().code);
  EXPECT_STREQ("epoll_ctl", added.error().step);
}

TEST_F(EventLoopTest, MoreThanOnePassFullComesInTheNext) {
  for (uint64_t token = 0; token < 100; ++token)
    AddReady(token);
  std::set<uint64_t> seen;
  int passes = 0;
  while (seen.size() < 100 && passes < 10) {
    Result<int> handled = Pass(Guard());
    ASSERT_TRUE(handled.ok());
    EXPECT_LE(handled.value(), 64);
    seen.insert(tokens_.begin(), tokens_.end());
    ++passes;
  }
  EXPECT_EQ(100u, seen.size());
  EXPECT_EQ(2, passes);
}

TEST_F(EventLoopTest, TimersComeInOrderOfTimeThenToken) {
  auto past = steady_clock::now() - seconds(1);
  loop_.SetTimer(past, 3);
  loop_.SetTimer(past - milliseconds(1), 9);
  loop_.SetTimer(past, 1);
  Result<int> handled = PassNow();
  ASSERT_TRUE(handled.ok());
  EXPECT_EQ(3, handled.value());
  EXPECT_EQ((Tokens{9, 1, 3}), tokens_);
  ASSERT_TRUE(PassNow().ok());
  EXPECT_EQ(Tokens(), tokens_) << "a timer is due once";
}

TEST_F(EventLoopTest, TimerEndsAWaitWithoutDeadline) {
  auto when = steady_clock::now() + milliseconds(10);
  loop_.SetTimer(when, 5);
  while (tokens_.empty())
    ASSERT_TRUE(Pass(EventLoop::TimePoint::max()).ok());
  EXPECT_EQ(Tokens{5}, tokens_);
  EXPECT_GE(steady_clock::now(), when);
}

TEST_F(EventLoopTest, TimerBeyondTheDeadlineStays) {
  auto later = steady_clock::now() + seconds(3600);
  loop_.SetTimer(later, 5);
  Result<int> handled = Pass(steady_clock::now() + milliseconds(5));
  ASSERT_TRUE(handled.ok());
  EXPECT_EQ(0, handled.value());
}

TEST_F(EventLoopTest, CancelledTimerIsGoneAndOnlyThat) {
  auto past = steady_clock::now() - seconds(1);
  loop_.SetTimer(past, 1);
  loop_.SetTimer(past, 2);
  loop_.CancelTimer(past, 1);
  loop_.CancelTimer(past, 3);  // Was never set.
  ASSERT_TRUE(PassNow().ok());
  EXPECT_EQ(Tokens{2}, tokens_);
}

TEST_F(EventLoopTest, HandlerMayCancelTheNextTimer) {
  auto past = steady_clock::now() - seconds(1);
  loop_.SetTimer(past, 1);
  loop_.SetTimer(past, 2);
  ASSERT_TRUE(loop_
                  .Wait(steady_clock::now(), nullptr,
                        [&](uint64_t token) {
                          tokens_.push_back(token);
                          loop_.CancelTimer(past, 2);
                        })
                  .ok());
  EXPECT_EQ(Tokens{1}, tokens_);
}

TEST_F(EventLoopTest, HandlerMaySetItsTimerAgain) {
  loop_.SetTimer(steady_clock::now() - seconds(1), 1);
  ASSERT_TRUE(loop_
                  .Wait(steady_clock::now(), nullptr,
                        [&](uint64_t token) {
                          tokens_.push_back(token);
                          loop_.SetTimer(steady_clock::now() + seconds(60), 1);
                        })
                  .ok());
  EXPECT_EQ(Tokens{1}, tokens_);
}

TEST_F(EventLoopTest, DescriptorsAndTimersAreCountedTogether) {
  AddReady(1);
  loop_.SetTimer(steady_clock::now() - seconds(1), 2);
  Result<int> handled = Pass(Guard());
  ASSERT_TRUE(handled.ok());
  EXPECT_EQ(2, handled.value());
  EXPECT_EQ((Tokens{1, 2}), tokens_);
}

TEST_F(EventLoopTest, SignalOutsideTheMaskEndsTheWait) {
  struct sigaction action = {}, old_action;
  action.sa_handler = [](int) {};
  sigset_t usr1, old, none;
  sigemptyset(&none);
  sigemptyset(&usr1);
  sigaddset(&usr1, SIGUSR1);
  sigaction(SIGUSR1, &action, &old_action);
  pthread_sigmask(SIG_BLOCK, &usr1, &old);
  kill(getpid(), SIGUSR1);

  Result<int> handled = Pass(steady_clock::now() + milliseconds(5));
  EXPECT_TRUE(handled.ok()) << "it is blocked";
  handled = Pass(steady_clock::now() + milliseconds(5), &usr1);
  EXPECT_TRUE(handled.ok()) << "it is in the mask";
  handled = Pass(Guard(), &none);
  ASSERT_FALSE(handled.ok());
  EXPECT_EQ(EINTR, handled.error().code);
  EXPECT_STREQ("epoll_pwait", handled.error().step);

  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  sigaction(SIGUSR1, &old_action, nullptr);
}

}  // namespace
}  // namespace launcher
