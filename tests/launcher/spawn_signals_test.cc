// The signals of a child: mask, ignored and default ones.
//
// SPDX-License-Identifier: Apache-2.0

#include <signal.h>

#include <initializer_list>
#include <string>

#include "support/launcher_test.h"

namespace launcher {
namespace {

class SpawnSignalsTest : public LauncherTest {};

LAUNCHER_TEST_ENGINES(SpawnSignalsTest);

/// Calls sigprocmask(2) and gives the old mask back at the end of the scope.
class ScopedMask {
 public:
  explicit ScopedMask(std::initializer_list<int> blocked) {
    sigset_t set;
    sigemptyset(&set);
    for (int signal : blocked)
      sigaddset(&set, signal);
    pthread_sigmask(SIG_SETMASK, &set, &old_);
  }
  ~ScopedMask() { pthread_sigmask(SIG_SETMASK, &old_, nullptr); }

 private:
  sigset_t old_;
};

/// Sets a disposition for the length of a scope.
class ScopedAction {
 public:
  ScopedAction(int signal, void (*handler)(int)) : signal_(signal) {
    struct sigaction action = {};
    action.sa_handler = handler;
    sigaction(signal, &action, &old_);
  }
  ~ScopedAction() { sigaction(signal_, &old_, nullptr); }

 private:
  int signal_;
  struct sigaction old_;
};

constexpr uint64_t Bit(int signal) { return uint64_t{1} << (signal - 1); }

/// What a probe said of its signals.
struct SignalState {
  explicit SignalState(const std::string& text) {
    EXPECT_EQ(3, sscanf(text.c_str(), "SigBlk: %lx\nSigIgn: %lx\nSigCgt: %lx\n",
                        &blocked, &ignored, &caught))
        << text;
  }
  uint64_t blocked = 0, ignored = 0, caught = 0;
};

TEST_P(SpawnSignalsTest, MaskIsThatOfTheLaunchersCreation) {
  {
    ScopedMask mask({SIGUSR1, 64});
    Make({});
  }
  ScopedMask later({SIGUSR2});
  EXPECT_EQ(Bit(SIGUSR1) | Bit(64), SignalState(Output({"sig"})).blocked);
}

TEST_P(SpawnSignalsTest, OwnMaskIsLeftAlone) {
  ScopedMask mask({SIGUSR2, 64});
  sigset_t before, after;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  Run({"sig"});
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  for (int signal = 1; signal <= 64; ++signal)
    EXPECT_EQ(sigismember(&before, signal), sigismember(&after, signal));
}

TEST_P(SpawnSignalsTest, MaskActionReplacesIt) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGHUP);
  sigaddset(&set, 64);
  Action actions[] = {Action::SignalMask(set)};
  Command command;
  command.actions = actions;
  EXPECT_EQ(Bit(SIGHUP) | Bit(64),
            SignalState(Output({"sig"}, command)).blocked);
  // The next child has the usual one again.
  EXPECT_EQ(0u, SignalState(Output({"sig"})).blocked);
}

TEST_P(SpawnSignalsTest, HandlersBecomeTheDefaultAndIgnoredStaysIgnored) {
  ScopedAction caught(SIGUSR1, [](int) {});
  ScopedAction ignored(SIGUSR2, SIG_IGN);
  ScopedAction last(64, SIG_IGN);
  SignalState state(Output({"sig"}));
  EXPECT_EQ(0u, state.caught);
  EXPECT_EQ(0u, state.ignored & Bit(SIGUSR1));
  EXPECT_NE(0u, state.ignored & Bit(SIGUSR2));
  EXPECT_NE(0u, state.ignored & Bit(64));
}

TEST_P(SpawnSignalsTest, DefaultActionEndsTheIgnoring) {
  ScopedAction ignored(SIGUSR2, SIG_IGN);
  ScopedAction other(SIGHUP, SIG_IGN);
  ScopedAction last(64, SIG_IGN);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  sigset_t second;
  sigemptyset(&second);
  sigaddset(&second, 64);
  Action actions[] = {Action::SignalDefault(set),
                      Action::SignalDefault(second)};
  Command command;
  command.actions = actions;
  SignalState state(Output({"sig"}, command));
  EXPECT_EQ(Bit(SIGHUP),
            state.ignored & (Bit(SIGUSR2) | Bit(SIGHUP) | Bit(64)));
}

TEST_P(SpawnSignalsTest, DefaultForAllSignalsAtOnce) {
  ScopedAction ignored(SIGUSR2, SIG_IGN);
  sigset_t set;
  sigfillset(&set);
  Action actions[] = {Action::SignalDefault(set)};
  Command command;
  command.actions = actions;
  // posix_spawn(3) ignores the two that are glibc's own.
  EXPECT_EQ(
      0u, SignalState(Output({"sig"}, command)).ignored & ~(Bit(32) | Bit(33)));
}

}  // namespace
}  // namespace launcher
