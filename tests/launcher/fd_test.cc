// SPDX-License-Identifier: Apache-2.0

#include "launcher/fd.h"

#include <errno.h>
#include <fcntl.h>

#include <utility>

#include "support/leak_check.h"

namespace launcher {
namespace {

class FdTest : public LeakCheckTest {
 protected:
  static int Open() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }
  static bool IsOpen(int fd) { return fcntl(fd, F_GETFD) >= 0; }
};

TEST_F(FdTest, EmptyByDefault) {
  Fd fd;
  EXPECT_FALSE(fd);
  EXPECT_EQ(-1, fd.get());
  EXPECT_EQ(-1, fd.Release());
}

TEST_F(FdTest, DescriptorZeroIsNotEmpty) {
  Fd fd(0);
  EXPECT_TRUE(fd);
  EXPECT_EQ(0, fd.Release());
}

TEST_F(FdTest, ClosesAtTheEndOfItsScope) {
  int raw;
  {
    Fd fd(Open());
    raw = fd.get();
    EXPECT_TRUE(IsOpen(raw));
  }
  EXPECT_FALSE(IsOpen(raw));
}

TEST_F(FdTest, ReleaseGivesItUp) {
  int raw;
  {
    Fd fd(Open());
    raw = fd.Release();
    EXPECT_FALSE(fd);
  }
  EXPECT_TRUE(IsOpen(raw));
  EXPECT_EQ(0, close(raw));
}

TEST_F(FdTest, ResetClosesTheOldOne) {
  Fd fd(Open());
  int first = fd.get();
  int second = Open();
  fd.Reset(second);
  EXPECT_FALSE(IsOpen(first));
  EXPECT_EQ(second, fd.get());
  fd.Reset();
  EXPECT_FALSE(IsOpen(second));
  EXPECT_FALSE(fd);
}

TEST_F(FdTest, MovingHandsOver) {
  Fd from(Open());
  int raw = from.get();
  Fd to(std::move(from));
  EXPECT_FALSE(from);
  EXPECT_EQ(raw, to.get());

  Fd target(Open());
  int overwritten = target.get();
  target = std::move(to);
  EXPECT_FALSE(to);
  EXPECT_FALSE(IsOpen(overwritten));
  EXPECT_EQ(raw, target.get());
}

TEST_F(FdTest, MovingOntoItselfKeepsIt) {
  Fd fd(Open());
  Fd& same = fd;
  int raw = fd.get();
  fd = std::move(same);
  EXPECT_EQ(raw, fd.get());
  EXPECT_TRUE(IsOpen(raw));
}

TEST_F(FdTest, KeepsErrno) {
  errno = ENOENT;
  { Fd empty; }
  EXPECT_EQ(ENOENT, errno);
}

}  // namespace
}  // namespace launcher
