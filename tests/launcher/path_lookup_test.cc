// SPDX-License-Identifier: Apache-2.0

#include "path_lookup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "support/leak_check.h"
#include "support/refuse.h"
#include "support/temp_dir.h"

namespace launcher {
namespace {

class PathLookupTest : public LeakCheckTest {
 protected:
  PathLookupTest() {
    dir_.Dir("a");
    dir_.Dir("b");
    dir_.Dir("c");
  }

  /// What execvp(3) itself runs from dir_: the path that the program sees, or
  /// the text of the error.
  std::string Execvp(const std::string& name, const char* path) {
    int fds[2];
    EXPECT_EQ(0, pipe2(fds, O_CLOEXEC));
    fflush(stdout);  // Or a sanitizer's _exit() writes it once more.
    pid_t pid = fork();
    if (pid == 0) {
      dup2(fds[1], STDOUT_FILENO);
      if (path)
        setenv("PATH", path, 1);
      else
        unsetenv("PATH");
      char* argv[] = {strdup(name.c_str()), nullptr};
      if (chdir(dir_.path().c_str()) == 0)
        execvp(name.c_str(), argv);
      dprintf(STDOUT_FILENO, "%s\n", strerror(errno));
      _exit(1);
    }
    close(fds[1]);
    char buffer[4096] = {};
    size_t size = 0;
    for (ssize_t got;
         size < sizeof(buffer) - 1 &&
         (got = read(fds[0], buffer + size, sizeof(buffer) - 1 - size)) > 0;)
      size += got;
    close(fds[0]);
    waitpid(pid, nullptr, 0);
    EXPECT_GT(size, 0u);
    return std::string(buffer, size ? size - 1 : 0);
  }

  /// What we find from dir_, in the same words.
  std::string Find(const std::string& name, const char* path) {
    Result<std::string> found =
        lookup_.Find(name, path, {-1, dir_.path().c_str()});
    if (found.ok())
      return found.value();
    EXPECT_STREQ("lookup", found.error().step);
    EXPECT_EQ(name, found.error().object);
    return strerror(found.error().code);
  }

  void ExpectSame(const std::string& name, const char* path) {
    std::string expected = Execvp(name, path);
    EXPECT_EQ(expected, Find(name, path)) << "PATH=" << path;
    EXPECT_EQ(expected, Find(name, path)) << "again, PATH=" << path;
  }

  void ExpectSame(const std::string& name, const std::string& path) {
    ExpectSame(name, path.c_str());
  }

  std::string A() { return dir_ / "a"; }
  std::string B() { return dir_ / "b"; }
  std::string C() { return dir_ / "c"; }

  TempDir dir_;
  PathLookup lookup_;
};

TEST_F(PathLookupTest, FirstEntryWins) {
  dir_.Program("a/cc");
  dir_.Program("b/cc");
  EXPECT_EQ(A() + "/cc", Find("cc", (A() + ":" + B()).c_str()));
  ExpectSame("cc", A() + ":" + B());
  ExpectSame("cc", B() + ":" + A());
  ExpectSame("cc", C() + ":" + B());
}

TEST_F(PathLookupTest, MissingFilesAndDirectoriesAreSkipped) {
  dir_.Program("b/cc");
  dir_.File("file", "");
  ExpectSame("cc", (dir_ / "nowhere") + ":" + (dir_ / "file") + ":" + B());
  ExpectSame("cc", (dir_ / "nowhere"));
  ExpectSame("cc", A());
}

TEST_F(PathLookupTest, RelativeEntriesStartAtTheDirectory) {
  dir_.Program("a/cc");
  EXPECT_EQ("a/cc", Find("cc", "a"));
  ExpectSame("cc", "a");
  ExpectSame("cc", "./b:./a");
  ExpectSame("cc", "c:" + A());
  ExpectSame("cc", "a/");
  ExpectSame("cc", "a/../a");
}

TEST_F(PathLookupTest, EmptyEntriesAreTheDirectoryItself) {
  dir_.Program("cc");
  EXPECT_EQ("cc", Find("cc", ""));
  ExpectSame("cc", "");
  ExpectSame("cc", ":");
  ExpectSame("cc", ":" + A());
  ExpectSame("cc", A() + ":");
  ExpectSame("cc", A() + "::" + B());
  dir_.Program("b/cc");
  ExpectSame("cc", A() + ":" + B() + ":");
  ExpectSame("cc", A() + "::" + B());
}

TEST_F(PathLookupTest, DeniedFileIsPassedOverAndRemembered) {
  dir_.File("a/cc", "text", 0644);
  ExpectSame("cc", A());
  ExpectSame("cc", A() + ":" + C());
  EXPECT_EQ(strerror(EACCES), Find("cc", (A() + ":" + C()).c_str()));
  dir_.Program("b/cc");
  ExpectSame("cc", A() + ":" + B());
}

TEST_F(PathLookupTest, DirectoryOfThatNameIsPassedOver) {
  dir_.Dir("a/cc");
  ExpectSame("cc", A());
  dir_.Program("b/cc");
  ExpectSame("cc", A() + ":" + B());
}

TEST_F(PathLookupTest, DanglingLinkIsPassedOver) {
  ASSERT_EQ(0, symlink("nowhere", (A() + "/cc").c_str()));
  ExpectSame("cc", A());
  dir_.Program("b/cc");
  ExpectSame("cc", A() + ":" + B());
}

TEST_F(PathLookupTest, ALoopOfLinksEndsTheSearch) {
  ASSERT_EQ(0, symlink("cc", (A() + "/cc").c_str()));
  ExpectSame("cc", A());
  dir_.Program("b/cc");
  ExpectSame("cc", A() + ":" + B());
}

TEST_F(PathLookupTest, LinkToAProgramIsOne) {
  dir_.Program("b/gcc");
  ASSERT_EQ(0, symlink("../b/gcc", (A() + "/cc").c_str()));
  ExpectSame("cc", A());
}

TEST_F(PathLookupTest, NamesThatCannotBe) {
  ExpectSame("", A());
  ExpectSame(std::string(255, 'x'), A());
  ExpectSame(std::string(256, 'x'), A());
}

TEST_F(PathLookupTest, NoPathIsTheSystemsDefault) {
  Result<std::string> found = lookup_.Find("sh", nullptr, {});
  ASSERT_TRUE(found.ok());
  EXPECT_EQ("/bin/sh", found.value());
  ExpectSame("no-such-program-anywhere", nullptr);
}

TEST_F(PathLookupTest, SearchRightOnTheDirectoryCounts) {
  if (geteuid() != 0)
    GTEST_SKIP() << "needs root to become another user";
  dir_.Program("a/cc");
  dir_.Program("b/cc");
  dir_.Program("c/cc", 0700);
  ASSERT_EQ(0, chmod(A().c_str(), 0700));
  InChild([&] {
    ASSERT_EQ(0, setgid(65534));
    ASSERT_EQ(0, setuid(65534));
    ExpectSame("cc", A());
    ExpectSame("cc", A() + ":" + B());
    ExpectSame("cc", C());
    ExpectSame("cc", C() + ":" + B());
    ExpectSame("nothing", A() + ":" + C());
  });
}

TEST_F(PathLookupTest, ProgramPutEarlierIsSeenAtOnce) {
  std::string path = A() + ":" + B() + ":" + C();
  dir_.Program("c/cc");
  EXPECT_EQ(C() + "/cc", Find("cc", path.c_str()));
  dir_.Program("b/cc");
  EXPECT_EQ(B() + "/cc", Find("cc", path.c_str()));
  dir_.Program("a/cc");
  EXPECT_EQ(A() + "/cc", Find("cc", path.c_str()));
}

TEST_F(PathLookupTest, RemovedProgramIsLookedForFurtherOn) {
  std::string path = A() + ":" + B();
  dir_.Program("a/cc");
  dir_.Program("b/cc");
  EXPECT_EQ(A() + "/cc", Find("cc", path.c_str()));
  ASSERT_EQ(0, unlink((A() + "/cc").c_str()));
  EXPECT_EQ(B() + "/cc", Find("cc", path.c_str()));
  ASSERT_EQ(0, unlink((B() + "/cc").c_str()));
  EXPECT_EQ(strerror(ENOENT), Find("cc", path.c_str()));
}

TEST_F(PathLookupTest, LostRightsAreSeenAtOnce) {
  std::string path = A() + ":" + B();
  dir_.Program("a/cc");
  EXPECT_EQ(A() + "/cc", Find("cc", path.c_str()));
  ASSERT_EQ(0, chmod((A() + "/cc").c_str(), 0644));
  EXPECT_EQ(strerror(EACCES), Find("cc", path.c_str()));
  dir_.Program("b/cc");
  EXPECT_EQ(B() + "/cc", Find("cc", path.c_str()));
}

TEST_F(PathLookupTest, DeniedFileThatGetsItsRightsIsSeenAtOnce) {
  std::string path = A() + ":" + B();
  std::string denied = dir_.Program("a/cc", 0644);
  dir_.Program("b/cc");
  EXPECT_EQ(B() + "/cc", Find("cc", path.c_str()));
  ASSERT_EQ(0, chmod(denied.c_str(), 0755));
  EXPECT_EQ(A() + "/cc", Find("cc", path.c_str()));
}

TEST_F(PathLookupTest, MissIsNotRemembered) {
  EXPECT_EQ(strerror(ENOENT), Find("cc", A().c_str()));
  dir_.Program("a/cc");
  EXPECT_EQ(A() + "/cc", Find("cc", A().c_str()));
}

TEST_F(PathLookupTest, RelativeHitIsNotTakenToAnotherDirectory) {
  dir_.Dir("a/bin");
  dir_.Program("a/bin/cc");
  std::string a = A(), b = B();
  Result<std::string> found = lookup_.Find("cc", "bin", {-1, a.c_str()});
  ASSERT_TRUE(found.ok());
  EXPECT_EQ("bin/cc", found.value());
  EXPECT_FALSE(lookup_.Find("cc", "bin", {-1, b.c_str()}).ok());
  EXPECT_FALSE(lookup_.Find("cc", "bin", {}).ok());
}

TEST_F(PathLookupTest, DirectoryMayBeADescriptor) {
  dir_.Dir("a/bin");
  dir_.Program("a/bin/cc");
  Fd a(open(A().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  Fd b(open(B().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int round = 0; round < 2; ++round) {
    Result<std::string> found = lookup_.Find("cc", "bin", {a.get(), nullptr});
    ASSERT_TRUE(found.ok());
    EXPECT_EQ("bin/cc", found.value());
    EXPECT_FALSE(lookup_.Find("cc", "bin", {b.get(), nullptr}).ok());
  }
}

TEST_F(PathLookupTest, DescriptorThatChangesItsMeaning) {
  dir_.Dir("a/bin");
  dir_.Program("a/bin/cc");
  Fd fd(open(A().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  EXPECT_TRUE(lookup_.Find("cc", "bin", {fd.get(), nullptr}).ok());
  Fd other(open(B().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  ASSERT_EQ(fd.get(), dup3(other.get(), fd.get(), O_CLOEXEC));
  EXPECT_FALSE(lookup_.Find("cc", "bin", {fd.get(), nullptr}).ok());
}

TEST_F(PathLookupTest, RenamedDirectoryIsFollowedByItsDescriptor) {
  dir_.Dir("a/bin");
  dir_.Program("a/bin/cc");
  Fd fd(open(A().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  EXPECT_TRUE(lookup_.Find("cc", "bin", {fd.get(), nullptr}).ok());
  ASSERT_EQ(0, rename(A().c_str(), (dir_ / "z").c_str()));
  dir_.Dir("a");
  EXPECT_TRUE(lookup_.Find("cc", "bin", {fd.get(), nullptr}).ok());
  Fd empty(open(A().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  EXPECT_FALSE(lookup_.Find("cc", "bin", {empty.get(), nullptr}).ok());
}

TEST_F(PathLookupTest, OnePathDoesNotAnswerForAnother) {
  dir_.Program("a/cc");
  dir_.Program("b/cc");
  EXPECT_EQ(A() + "/cc", Find("cc", A().c_str()));
  EXPECT_EQ(B() + "/cc", Find("cc", B().c_str()));
  EXPECT_EQ(A() + "/cc", Find("cc", A().c_str()));
}

TEST_F(PathLookupTest, ManyNames) {
  dir_.Program("a/cc");
  for (int i = 0; i < 3000; ++i) {
    std::string path =
        A() + "/" + std::string(i % 7, '/') + ":/" + std::to_string(i);
    ASSERT_TRUE(lookup_.Find("cc", path.c_str(), {}).ok());
  }
}

}  // namespace
}  // namespace launcher
