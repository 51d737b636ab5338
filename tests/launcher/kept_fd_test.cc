// SPDX-License-Identifier: Apache-2.0

#include "kept_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <optional>
#include <utility>

#include "support/refuse.h"
#include "support/without_stdio.h"

namespace launcher {
namespace {

class KeptFdTest : public LeakCheckTest {
 protected:
  KeptFdTest() {
    int ends[2];
    EXPECT_EQ(0, pipe2(ends, O_CLOEXEC | O_NONBLOCK));
    read_.Reset(ends[0]);
    write_.Reset(ends[1]);
  }

  KeptFd Keep() {
    Result<KeptFd> kept = KeptFd::Keep(write_);
    EXPECT_TRUE(kept.ok()) << kept.error().ToString();
    return kept.ok() ? std::move(kept.value()) : KeptFd();
  }

  /// Whether the pipe has no write end any more.
  bool AtEnd() {
    char byte;
    ssize_t size = read(read_.get(), &byte, 1);
    EXPECT_TRUE(size == 0 || (size < 0 && errno == EAGAIN));
    return size == 0;
  }

  /// What Keep() says when a call is refused.
  void ExpectKeepFails(long call, int error, const char* step, int code) {
    InChild([&] {
      RefuseSyscall(call, error);
      Result<KeptFd> kept = KeptFd::Keep(write_);
      ASSERT_FALSE(kept.ok());
      EXPECT_STREQ(step, kept.error().step);
      EXPECT_EQ(code, kept.error().code);
    });
  }

  Fd read_, write_;
};

TEST_F(KeptFdTest, EmptyByDefault) {
  KeptFd kept;
  EXPECT_FALSE(kept);
  kept.Reset();
  EXPECT_FALSE(kept);
}

TEST_F(KeptFdTest, EveryCopyIsTheSameOpenFile) {
  KeptFd kept = Keep();
  EXPECT_TRUE(kept);
  for (int flags : {O_APPEND, O_NONBLOCK, 0}) {
    Result<Fd> copy = kept.Copy();
    ASSERT_TRUE(copy.ok()) << copy.error().ToString();
    EXPECT_GT(copy.value().get(), 2);
    EXPECT_EQ(FD_CLOEXEC, fcntl(copy.value().get(), F_GETFD));
    ASSERT_EQ(0, fcntl(copy.value().get(), F_SETFL, flags));
    EXPECT_EQ(flags, fcntl(write_.get(), F_GETFL) & (O_APPEND | O_NONBLOCK));
  }
}

TEST_F(KeptFdTest, OutlivesWhatItWasMadeFrom) {
  KeptFd kept = Keep();
  write_.Reset();
  EXPECT_FALSE(AtEnd());
  {
    Result<Fd> copy = kept.Copy();
    ASSERT_TRUE(copy.ok()) << copy.error().ToString();
    KeptFd moved = std::move(kept);
    EXPECT_FALSE(kept);
    EXPECT_TRUE(moved);
    moved.Reset();
    EXPECT_FALSE(moved);
    EXPECT_FALSE(AtEnd());
  }
  EXPECT_TRUE(AtEnd());
}

TEST_F(KeptFdTest, AChildThatHasTheSocketHoldsNothing) {
  std::optional<KeptFd> kept = Keep();
  write_.Reset();
  int gate[2];
  ASSERT_EQ(0, pipe2(gate, O_CLOEXEC));
  pid_t pid = fork();
  if (pid == 0) {
    char byte;
    close(gate[1]);
    _exit(static_cast<int>(read(gate[0], &byte, 1)));
  }
  close(gate[0]);
  EXPECT_FALSE(AtEnd());
  kept.reset();
  EXPECT_TRUE(AtEnd());
  close(gate[1]);
  EXPECT_EQ(1, ReapChildren(1));
}

TEST_F(KeptFdTest, StaysOffTheStandardOnes) {
  InChild([&] {
    const WithoutStdio without;
    KeptFd kept = Keep();
    Result<Fd> copy = kept.Copy();
    EXPECT_TRUE(copy.ok());
    for (int fd : {0, 1, 2})
      EXPECT_EQ(-1, fcntl(fd, F_GETFD)) << fd;
  });
}

TEST_F(KeptFdTest, RefusedCalls) {
  ExpectKeepFails(SYS_socketpair, EPERM, "socketpair", EPERM);
  ExpectKeepFails(SYS_socketpair, EMFILE, "socketpair", EMFILE);
  ExpectKeepFails(SYS_sendmsg, EACCES, "sendmsg", EACCES);
  // Too many descriptors are on their way in sockets of this user: unix(7).
  ExpectKeepFails(SYS_sendmsg, ETOOMANYREFS, "sendmsg", EMFILE);
  InChild([&] {
    KeptFd kept = Keep();
    RefuseSyscall(SYS_recvmsg, ENOMEM);
    Result<Fd> copy = kept.Copy();
    ASSERT_FALSE(copy.ok());
    EXPECT_STREQ("recvmsg", copy.error().step);
    EXPECT_EQ(ENOMEM, copy.error().code);
  });
}

TEST_F(KeptFdTest, CopyWithoutRoomLosesNothing) {
  InChild([&] {
    KeptFd kept = Keep();
    Result<Fd> next = kept.Copy();
    ASSERT_TRUE(next.ok());
    rlimit limit;
    ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
    rlimit full = {static_cast<rlim_t>(next.value().get()), limit.rlim_max};
    next.value().Reset();
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &full));
    Result<Fd> copy = kept.Copy();
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
    ASSERT_FALSE(copy.ok());
    EXPECT_STREQ("recvmsg", copy.error().step);
    EXPECT_EQ(EMFILE, copy.error().code);
    EXPECT_TRUE(kept.Copy().ok());
  });
}

}  // namespace
}  // namespace launcher
