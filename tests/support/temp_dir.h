// A directory of a test's own, gone at the end of its scope.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef TESTS_SUPPORT_TEMP_DIR_H_
#define TESTS_SUPPORT_TEMP_DIR_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "launcher/fd.h"

namespace launcher {

class TempDir {
 public:
  TempDir() {
    std::string path = testing::TempDir() + "/launcher.XXXXXX";
    EXPECT_NE(nullptr, mkdtemp(path.data()));
    // For what runs as another user.
    EXPECT_EQ(0, chmod(path.c_str(), 0755));
    path_ = std::filesystem::canonical(path);
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const {
    return path_ + "/" + std::string(name);
  }

  /// Makes a directory; returns its path.
  std::string Dir(std::string_view name, mode_t mode = 0755) const {
    std::string path = *this / name;
    EXPECT_EQ(0, mkdir(path.c_str(), mode)) << path;
    return path;
  }

  /// Writes a file anew, in place if it is there; returns its path.
  std::string File(std::string_view name, std::string_view text,
                   mode_t mode = 0644) const {
    std::string path = *this / name;
    Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
    EXPECT_EQ(ssize_t(text.size()), write(fd.get(), text.data(), text.size()))
        << path;
    EXPECT_EQ(0, fchmod(fd.get(), mode)) << path;
    return path;
  }

  /// A program that prints the path it was started by.
  std::string Program(std::string_view name, mode_t mode = 0755) const {
    return File(name, "#!/bin/sh\necho \"$0\"\n", mode);
  }

 private:
  std::string path_;
};

/// Returns when a file changed from now on gets another ctime than `path` has:
/// kernels before 6.13 count it in ticks.
inline void AwaitNewCtime(const TempDir& dir, const std::string& path) {
  struct stat old, now;
  ASSERT_EQ(0, stat(path.c_str(), &old));
  do {
    std::string probe = dir.File(".tick", "");
    ASSERT_EQ(0, chmod(probe.c_str(), 0600));
    ASSERT_EQ(0, stat(probe.c_str(), &now));
  } while (now.st_ctim.tv_sec == old.st_ctim.tv_sec &&
           now.st_ctim.tv_nsec == old.st_ctim.tv_nsec);
}

}  // namespace launcher

#endif  // TESTS_SUPPORT_TEMP_DIR_H_
