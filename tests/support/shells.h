// The three shells that a system may have for /bin/sh.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef TESTS_SUPPORT_SHELLS_H_
#define TESTS_SUPPORT_SHELLS_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "temp_dir.h"

namespace launcher {

inline constexpr const char* kShells[] = {"dash", "bash", "busybox"};

/// Where this system has that program. A test cannot do without: all three are
/// among the packages of configure.py.
inline std::string FindShell(const std::string& name) {
  for (const char* dir : {"/usr/bin/", "/bin/"})
    if (std::string path = dir + name; access(path.c_str(), X_OK) == 0)
      return path;
  ADD_FAILURE() << name << " is not installed";
  return "";
}

/// Makes `dir`/sh that shell; returns its path.
inline std::string LinkShell(const TempDir& dir, const std::string& name) {
  std::string path = dir / "sh";
  unlink(path.c_str());
  EXPECT_EQ(0, symlink(FindShell(name).c_str(), path.c_str()));
  return path;
}

}  // namespace launcher

#endif  // TESTS_SUPPORT_SHELLS_H_
