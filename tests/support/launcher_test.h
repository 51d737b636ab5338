// The fixture of all tests that start children.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef TESTS_SUPPORT_LAUNCHER_TEST_H_
#define TESTS_SUPPORT_LAUNCHER_TEST_H_

#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <initializer_list>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "launcher/launcher.h"
#include "leak_check.h"
#include "refuse.h"

namespace launcher {

/// Far beyond what any step takes: a wait that reaches it has hung.
inline constexpr std::chrono::milliseconds kHang{30'000};

/// tests/child/probe.c does what its arguments say; hold.c waits for the end
/// of its input.
inline constexpr char kProbe[] = LAUNCHER_TEST_CHILD_DIR "/probe";
inline constexpr char kHold[] = LAUNCHER_TEST_CHILD_DIR "/hold";

/// A pipe that no child gets unless told to. Also an event between a test and
/// its children: Await() returns when all others have closed the end they
/// write to, or have written something.
struct Pipe {
  Pipe() {
    int fds[2];
    EXPECT_EQ(0, pipe2(fds, O_CLOEXEC)) << strerror(errno);
    read.Reset(fds[0]);
    write.Reset(fds[1]);
  }

  /// The next bytes; empty at the end of file.
  std::string Await() {
    pollfd ready = {read.get(), POLLIN, 0};
    char buffer[4096];
    ssize_t size = poll(&ready, 1, int(kHang.count())) == 1
                       ? ::read(read.get(), buffer, sizeof(buffer))
                       : -1;
    EXPECT_GE(size, 0) << "nothing came";
    return std::string(buffer, size > 0 ? size : 0);
  }

  Fd read, write;
};

inline std::ostream& operator<<(std::ostream& out, Finished::Cause cause) {
  static const char* const kNames[] = {"exited", "signaled", "not started",
                                       "lost"};
  return out << kNames[static_cast<int>(cause)];
}

/// System calls of kernel/patches.
inline constexpr long kSpawnTemplateCreate = 472;
inline constexpr long kSpawnTemplateSpawn = 473;

/// Why no launcher can be made with this engine; empty if one can. Only a
/// kernel of kernel/patches has engine kernel.
inline std::string WhyNoEngine(Engine engine) {
  if (engine != Engine::kKernel)
    return "";
  auto created = Launcher::Create({.engine = engine});
  return created.ok() ? "" : created.error().ToString();
}

/// A Launcher and words for what tests do with it. Runs once for each engine.
class LauncherTest : public LeakCheckTest,
                     public testing::WithParamInterface<Engine> {
 protected:
  using Cause = Finished::Cause;
  using Words = std::initializer_list<const char*>;

  void SetUp() override {
    if (std::string why = WhyNoEngine(GetParam()); !why.empty())
      GTEST_SKIP() << why;
    Make({});
    if (!launcher_)
      return;
    auto started = Start({kHold});
    if (!started.ok())
      GTEST_SKIP() << started.error().ToString();
    Expect(Cause::kExited, 0, Finish());
  }

  void TearDown() override {
    EXPECT_EQ(0, interruptions_) << "Wait() ended with EINTR, but no signal";
  }

  /// Makes launcher_ anew with the engine of this test.
  void Make(Launcher::Options options) {
    launcher_.reset();
    options.engine = GetParam();
    auto created = Launcher::Create(std::move(options));
    ASSERT_TRUE(created.ok()) << created.error().ToString();
    launcher_ = std::move(created.value());
  }

  Result<ChildId> Start(Words argv, Command command = {}) {
    command.argv = std::span(argv.begin(), argv.size());
    return launcher_->Spawn(command);
  }

  /// launcher::InChild(), which starts and ends without a Launcher: make one.
  void InChild(const std::function<void()>& run, bool check_leaks = true) {
    launcher_.reset();
    launcher::InChild(
        [&] {
          run();
          launcher_.reset();
        },
        check_leaks);
  }

  /// Starts probe with these arguments; an error fails the test.
  ChildId Probe(Words args, Command command = {}) {
    std::vector<const char*> argv{kProbe};
    argv.insert(argv.end(), args);
    command.argv = argv;
    auto started = launcher_->Spawn(command);
    EXPECT_TRUE(started.ok()) << started.error().ToString();
    return started.ok() ? started.value() : ChildId{};
  }

  /// Launcher::Wait() for tests that send no signals: what interrupts it all
  /// the same fails the test at its end.
  Result<Finished> Wait(std::chrono::milliseconds timeout) {
    for (;;) {
      auto done = launcher_->Wait(timeout);
      if (done.ok() || done.error().code != EINTR)
        return done;
      ++interruptions_;
    }
  }

  /// The next child that ends; an error or a hang fails the test.
  Finished Finish() {
    auto done = Wait(kHang);
    EXPECT_TRUE(done.ok()) << done.error().ToString();
    if (done.ok())
      return std::move(done.value());
    Finished lost;
    lost.cause = Cause::kLost;
    return lost;
  }

  /// Runs probe to its end.
  Finished Run(Words args, Command command = {}) {
    ChildId id = Probe(args, command);
    Finished done = Finish();
    EXPECT_EQ(id, done.id);
    return done;
  }

  /// The output of a probe that must exit with 0.
  std::string Output(Words args, Command command = {}) {
    Finished done = Run(args, command);
    Expect(Cause::kExited, 0, done);
    return done.output;
  }

  /// The engine of what is not launched warm.
  static Engine BaseEngine() {
    return GetParam() == Engine::kWarm ? Engine::kClone3 : GetParam();
  }

  static void Expect(Cause cause, int code, const Finished& done) {
    EXPECT_EQ(cause, done.cause) << done.error.ToString() << done.output;
    EXPECT_EQ(code, done.code) << done.output;
  }

  /// Expects a child that was not started. posix_spawn(3) does not tell the
  /// step and the object.
  static void ExpectNotStarted(int error, const char* step,
                               const std::string& object,
                               const Finished& done) {
    EXPECT_EQ(Cause::kNotStarted, done.cause);
    EXPECT_EQ(error, done.error.code) << done.error.ToString();
    EXPECT_EQ(0, done.code);
    EXPECT_EQ("", done.output);
    if (GetParam() != Engine::kPosixSpawn) {
      EXPECT_STREQ(step, done.error.step);
      EXPECT_EQ(object, done.error.object);
    } else {
      EXPECT_STREQ("posix_spawn", done.error.step);
    }
  }

  std::unique_ptr<Launcher> launcher_;
  int interruptions_ = 0;
};

inline std::string EngineTestName(const testing::TestParamInfo<Engine>& info) {
  return EngineName(info.param);
}

#define LAUNCHER_TEST_ENGINES(suite)                                         \
  INSTANTIATE_TEST_SUITE_P(                                                  \
      Engines, suite,                                                        \
      testing::Values(Engine::kClone3, Engine::kPosixSpawn, Engine::kKernel, \
                      Engine::kWarm),                                        \
      EngineTestName)

}  // namespace launcher

#endif  // TESTS_SUPPORT_LAUNCHER_TEST_H_
