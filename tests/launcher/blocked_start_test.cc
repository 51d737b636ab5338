// Starting does not wait for the child, whatever holds it before its program.
//
// SPDX-License-Identifier: Apache-2.0

#include <fcntl.h>
#include <sys/stat.h>

#include <string>

#include "support/launcher_test.h"
#include "support/temp_dir.h"

namespace launcher {
namespace {

using std::chrono::milliseconds;

class BlockedStartTest : public LauncherTest {
 protected:
  BlockedStartTest() : fifo_(dir_ / "fifo") {
    EXPECT_EQ(0, mkfifo(fifo_.c_str(), 0600));
  }

  /// A child that cannot start before somebody reads from the FIFO.
  ChildId StartBlocked(Command command = {}) {
    Action action = Action::Open(50, fifo_.c_str(), O_WRONLY);
    command.actions = {&action, 1};
    return Probe({"write", "1", "ran"}, command);
  }

  TempDir dir_;
  std::string fifo_;
};

LAUNCHER_TEST_ENGINES(BlockedStartTest);

TEST_P(BlockedStartTest, SpawnDoesNotWaitForTheExec) {
  ChildId id = StartBlocked();
  EXPECT_EQ(ETIMEDOUT, Wait(milliseconds(20)).error().code);
  Fd reader(open(fifo_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  Finished done = Finish();
  EXPECT_EQ(id, done.id);
  Expect(Cause::kExited, 0, done);
  EXPECT_EQ("ran", done.output);
}

TEST_P(BlockedStartTest, OthersAreNotHeldUp) {
  StartBlocked();
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ("fine", Output({"write", "1", "fine"}));
  Fd reader(open(fifo_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  EXPECT_EQ("ran", Finish().output);
}

TEST_P(BlockedStartTest, KillBeforeTheExec) {
  for (int i = 0; i < 20; ++i) {
    ChildId id = StartBlocked();
    if (i % 2) {
      EXPECT_EQ(ETIMEDOUT, Wait(milliseconds(1)).error().code);
    }
    ASSERT_TRUE(launcher_->Kill(id, SIGKILL).ok());
    Finished done = Finish();
    ASSERT_EQ(id, done.id);
    ASSERT_EQ("", done.output);
    // posix_spawn(3) may not tell what has become of the child.
    if (GetParam() != Engine::kPosixSpawn) {
      Expect(Cause::kSignaled, SIGKILL, done);
    } else {
      EXPECT_TRUE(done.cause == Cause::kSignaled ||
                  done.cause == Cause::kNotStarted)
          << done.cause;
    }
  }
}

TEST_P(BlockedStartTest, TimeoutBeforeTheExec) {
  InChild([&] {
    Make({});
    Command command;
    command.timeout = milliseconds(20);
    StartBlocked(command);
    Finished done = Finish();
    EXPECT_TRUE(done.timed_out);
    EXPECT_EQ("", done.output);
  });
}

TEST_P(BlockedStartTest, DestructorBeforeTheExec) {
  // In a child, because it would hang if it failed.
  InChild([&] {
    Make({});
    for (int i = 0; i < 5; ++i)
      StartBlocked();
    Make({});
  });
}

}  // namespace
}  // namespace launcher
