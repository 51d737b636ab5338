// SPDX-License-Identifier: Apache-2.0

#include "exec_identity.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "support/leak_check.h"
#include "support/temp_dir.h"

namespace launcher {
namespace {

class ExecIdentityTest : public LeakCheckTest {
 protected:
  ExecIdentity Of(const std::string& path) {
    Result<ExecIdentity> identity = ExecIdentity::Of(AT_FDCWD, path.c_str());
    EXPECT_TRUE(identity.ok()) << identity.error().ToString();
    return identity.ok() ? identity.value() : ExecIdentity();
  }

  int ErrorOf(const std::string& path) {
    Result<ExecIdentity> identity = ExecIdentity::Of(AT_FDCWD, path.c_str());
    if (identity.ok())
      return 0;
    EXPECT_STREQ("lookup", identity.error().step);
    EXPECT_EQ(path, identity.error().object);
    return identity.error().code;
  }

  TempDir dir_;
};

TEST_F(ExecIdentityTest, IsWhatStatSays) {
  std::string path = dir_.Program("cc");
  struct stat file;
  ASSERT_EQ(0, stat(path.c_str(), &file));
  ExecIdentity identity = Of(path);
  EXPECT_EQ(file.st_ino, identity.inode);
  EXPECT_EQ(uint64_t(file.st_size), identity.size);
  EXPECT_EQ(file.st_mode, identity.mode);
  EXPECT_EQ(file.st_uid, identity.uid);
  EXPECT_EQ(file.st_gid, identity.gid);
  EXPECT_EQ(file.st_mtim.tv_sec * 1'000'000'000 + file.st_mtim.tv_nsec,
            identity.mtime_ns);
  EXPECT_EQ(file.st_ctim.tv_sec * 1'000'000'000 + file.st_ctim.tv_nsec,
            identity.ctime_ns);
}

TEST_F(ExecIdentityTest, StaysTheSameWhileNothingChanges) {
  std::string path = dir_.Program("cc");
  ExecIdentity before = Of(path);
  dir_.Program("another");
  EXPECT_EQ(before, Of(path));
}

TEST_F(ExecIdentityTest, DiffersBetweenFiles) {
  EXPECT_NE(Of(dir_.Program("cc")), Of(dir_.Program("ld")));
}

TEST_F(ExecIdentityTest, LinksAreFollowed) {
  std::string path = dir_.Program("cc");
  ASSERT_EQ(0, symlink("cc", (dir_ / "link").c_str()));
  EXPECT_EQ(Of(path), Of(dir_ / "link"));
}

TEST_F(ExecIdentityTest, RelativePathStartsAtTheDirectory) {
  std::string path = dir_.Program("cc");
  Fd fd(open(dir_.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  Result<ExecIdentity> identity = ExecIdentity::Of(fd.get(), "cc");
  ASSERT_TRUE(identity.ok());
  EXPECT_EQ(Of(path), identity.value());
}

TEST_F(ExecIdentityTest, RewritingChangesIt) {
  std::string path = dir_.Program("cc");
  ExecIdentity before = Of(path);
  AwaitNewCtime(dir_, path);
  dir_.Program("cc");
  EXPECT_NE(before, Of(path)) << "same text, same size";
}

TEST_F(ExecIdentityTest, RewritingUnderTheOldTimeChangesIt) {
  std::string path = dir_.Program("cc");
  ExecIdentity before = Of(path);
  struct stat file;
  ASSERT_EQ(0, stat(path.c_str(), &file));
  AwaitNewCtime(dir_, path);
  dir_.Program("cc");
  timespec times[2] = {file.st_atim, file.st_mtim};
  ASSERT_EQ(0, utimensat(AT_FDCWD, path.c_str(), times, 0));
  ExecIdentity after = Of(path);
  EXPECT_EQ(before.mtime_ns, after.mtime_ns);
  EXPECT_NE(before, after) << "the ctime cannot be set back";
}

TEST_F(ExecIdentityTest, RenameOverChangesIt) {
  std::string path = dir_.Program("cc");
  std::string other = dir_.Program("cc.new");
  ExecIdentity before = Of(path);
  ASSERT_EQ(0, rename(other.c_str(), path.c_str()));
  EXPECT_NE(before, Of(path));
}

TEST_F(ExecIdentityTest, RelinkingChangesIt) {
  dir_.Program("cc-12");
  dir_.Program("cc-13");
  std::string link = dir_ / "cc";
  ASSERT_EQ(0, symlink("cc-12", link.c_str()));
  ExecIdentity before = Of(link);
  ASSERT_EQ(0, unlink(link.c_str()));
  ASSERT_EQ(0, symlink("cc-13", link.c_str()));
  EXPECT_NE(before, Of(link));
}

TEST_F(ExecIdentityTest, ChmodChangesIt) {
  std::string path = dir_.Program("cc");
  ExecIdentity before = Of(path);
  ASSERT_EQ(0, chmod(path.c_str(), 0700));
  EXPECT_NE(before, Of(path));
}

TEST_F(ExecIdentityTest, ChownChangesIt) {
  if (geteuid() != 0)
    GTEST_SKIP() << "needs root";
  std::string path = dir_.Program("cc");
  ExecIdentity before = Of(path);
  ASSERT_EQ(0, chown(path.c_str(), 65534, -1));
  EXPECT_NE(before, Of(path));
}

TEST_F(ExecIdentityTest, NoFileAtAll) {
  EXPECT_EQ(ENOENT, ErrorOf(dir_ / "missing"));
  EXPECT_EQ(ENOTDIR, ErrorOf(dir_.File("file", "") + "/cc"));
  EXPECT_EQ(ENAMETOOLONG, ErrorOf(dir_ / std::string(300, 'x')));
  ASSERT_EQ(0, symlink("loop", (dir_ / "loop").c_str()));
  EXPECT_EQ(ELOOP, ErrorOf(dir_ / "loop"));
}

TEST_F(ExecIdentityTest, WhatCannotBeExecutedIsDenied) {
  EXPECT_EQ(EACCES, ErrorOf(dir_.File("data", "text", 0644)));
  EXPECT_EQ(EACCES, ErrorOf(dir_.Dir("directory")));
  std::string fifo = dir_ / "fifo";
  ASSERT_EQ(0, mkfifo(fifo.c_str(), 0777));
  EXPECT_EQ(EACCES, ErrorOf(fifo));
}

TEST_F(ExecIdentityTest, OneBitOfThreeIsEnough) {
  Of(dir_.Program("user", 0100));
  Of(dir_.Program("group", 0010));
  Of(dir_.Program("other", 0001));
}

}  // namespace
}  // namespace launcher
