// SPDX-License-Identifier: Apache-2.0

#include "above_stdio.h"

#include <sys/resource.h>

#include <chrono>
#include <string>
#include <utility>

#include "support/launcher_test.h"
#include "support/without_stdio.h"

namespace launcher {
namespace {

Fd Open() { return Fd(open("/dev/null", O_RDONLY | O_CLOEXEC)); }

bool AnyOpen() {
  return fcntl(0, F_GETFD) != -1 || fcntl(1, F_GETFD) != -1 ||
         fcntl(2, F_GETFD) != -1;
}

class AboveStdioTest : public LauncherTest {};

LAUNCHER_TEST_ENGINES(AboveStdioTest);

class AboveStdioCallTest : public LeakCheckTest {};

TEST_F(AboveStdioCallTest, OneAboveStaysAsItIs) {
  Fd fd = Open();
  const int number = fd.get();
  ASSERT_GT(number, 2);
  Result<Fd> above = AboveStdio(std::move(fd));
  ASSERT_TRUE(above.ok());
  EXPECT_EQ(number, above.value().get());
}

TEST_F(AboveStdioCallTest, OneOfThemIsMovedAndClosedByExec) {
  InChild([] {
    const WithoutStdio without;
    Result<Fd> above = AboveStdio(Open());
    ASSERT_TRUE(above.ok()) << above.error().ToString();
    EXPECT_GT(above.value().get(), 2);
    EXPECT_EQ(FD_CLOEXEC, fcntl(above.value().get(), F_GETFD));
    EXPECT_EQ(-1, fcntl(0, F_GETFD));
  });
}

TEST_F(AboveStdioCallTest, NoRoom) {
  InChild([] {
    const WithoutStdio without;
    Fd low = Open();
    rlimit limit;
    ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
    rlimit three = {3, limit.rlim_max};
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &three));
    Result<Fd> above = AboveStdio(std::move(low));
    ASSERT_FALSE(above.ok());
    EXPECT_STREQ("fcntl", above.error().step);
    EXPECT_FALSE(AboveStdioOrNone(Open()));
    EXPECT_EQ(-1, fcntl(0, F_GETFD)) << "it has not been closed";
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
  });
}

TEST_F(AboveStdioCallTest, NoneOfNone) { EXPECT_FALSE(AboveStdioOrNone(Fd())); }

// Whoever closed them may use their numbers for something else.
TEST_P(AboveStdioTest, NothingOfALauncherIsThere) {
  InChild([&] {
    Pipe gate;
    const WithoutStdio without;
    Make({});
    ASSERT_TRUE(launcher_->PollFd().ok());
    Command command;
    command.in = Stdio::FromFd(gate.read.get());
    command.err = Stdio::Capture();
    Probe({"echo", "0"}, command);
    const char line[] =
        "cd / && " LAUNCHER_TEST_CHILD_DIR "/probe echo 0 && /bin/true";
    auto started = launcher_->SpawnLine(line, command);
    ASSERT_TRUE(started.ok()) << started.error().ToString();
    // What a thread has opened is there until it has been moved.
    const auto guard = std::chrono::steady_clock::now() + kHang;
    while (AnyOpen() && std::chrono::steady_clock::now() < guard)
      ASSERT_FALSE(Wait(std::chrono::milliseconds(1)).ok());
    ASSERT_FALSE(Wait(std::chrono::milliseconds(0)).ok());
    EXPECT_FALSE(AnyOpen()) << OpenFds()[0] << OpenFds()[1] << OpenFds()[2];
    gate.write.Reset();
    Expect(Cause::kExited, 0, Finish());
    Expect(Cause::kExited, 0, Finish());
    launcher_.reset();
  });
}

}  // namespace
}  // namespace launcher
