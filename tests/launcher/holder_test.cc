// SPDX-License-Identifier: Apache-2.0

#include "holder.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher/fd.h"
#include "support/leak_check.h"

namespace launcher {
namespace {

class HolderTest : public LeakCheckTest {
 protected:
  HolderTest() {
    MakePipe(&read_, &write_);
    MakePipe(&gate_read_, &gate_write_);
  }

  ~HolderTest() override { End(); }

  static void MakePipe(Fd* read, Fd* write) {
    int fds[2];
    ASSERT_EQ(0, pipe2(fds, O_CLOEXEC));
    read->Reset(fds[0]);
    write->Reset(fds[1]);
  }

  /// Starts a process called "holder" that keeps one end of the pipe.
  void Start(Fd* kept, Fd* closed) {
    Fd ready_read, ready_write;
    MakePipe(&ready_read, &ready_write);
    pid_ = fork();
    ASSERT_GE(pid_, 0);
    if (pid_ == 0) {
      prctl(PR_SET_NAME, "holder");
      char byte;
      close(closed->get());
      close(gate_write_.get());
      bool fine = write(ready_write.get(), "x", 1) == 1 &&
                  read(gate_read_.get(), &byte, 1) == 0 && kept->get() >= 0;
      _exit(fine ? 0 : 1);
    }
    char byte;
    ASSERT_EQ(1, read(ready_read.get(), &byte, 1));
  }

  void End() {
    gate_write_.Reset();
    int status = 0;
    if (pid_ > 0) {
      EXPECT_EQ(pid_, waitpid(pid_, &status, 0));
    }
    EXPECT_EQ(0, status);
    pid_ = -1;
  }

  Fd read_, write_, gate_read_, gate_write_;
  pid_t pid_ = -1;
};

TEST_F(HolderTest, NamesTheProcess) {
  Start(&write_, &read_);
  Holder holder = FindPipeHolder(read_.get(), -1);
  EXPECT_EQ(pid_, holder.pid);
  EXPECT_EQ("holder", holder.comm);
}

TEST_F(HolderTest, OwnWriteEndDoesNotCount) {
  Holder holder = FindPipeHolder(read_.get(), -1);
  EXPECT_EQ(0, holder.pid);
  EXPECT_EQ("", holder.comm);
}

TEST_F(HolderTest, ReadEndDoesNotCount) {
  Start(&read_, &write_);
  EXPECT_EQ(0, FindPipeHolder(read_.get(), -1).pid);
}

TEST_F(HolderTest, TheExceptionDoesNotCount) {
  Start(&write_, &read_);
  EXPECT_EQ(0, FindPipeHolder(read_.get(), pid_).pid);
}

TEST_F(HolderTest, NobodyAfterItsEnd) {
  Start(&write_, &read_);
  End();
  EXPECT_EQ(0, FindPipeHolder(read_.get(), -1).pid);
}

TEST_F(HolderTest, BadDescriptorFindsNobody) {
  EXPECT_EQ(0, FindPipeHolder(-1, -1).pid);
}

}  // namespace
}  // namespace launcher
