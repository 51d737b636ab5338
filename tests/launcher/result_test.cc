// SPDX-License-Identifier: Apache-2.0

#include "launcher/result.h"

#include <errno.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

namespace launcher {
namespace {

TEST(ErrorTest, SaysStepObjectAndReason) {
  EXPECT_EQ("execve '/usr/bin/cc': Permission denied",
            (Error{EACCES, "execve", "/usr/bin/cc"}).ToString());
}

TEST(ErrorTest, LeavesOutWhatIsNotThere) {
  EXPECT_EQ("pipe2: Too many open files",
            (Error{EMFILE, "pipe2", ""}).ToString());
  EXPECT_EQ("command 'argv'", (Error{0, "command", "argv"}).ToString());
  EXPECT_EQ("", Error().ToString());
}

TEST(ErrorTest, NamesAnUnknownErrno) {
  EXPECT_NE(std::string::npos,
            (Error{4095, "clone3", ""}).ToString().find("4095"));
}

TEST(ResultTest, HoldsAValue) {
  Result<int> result(7);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(7, result.value());
  result.value() = 8;
  EXPECT_EQ(8, std::as_const(result).value());
}

TEST(ResultTest, HoldsAnError) {
  Result<int> result(Error{ENOENT, "lookup", "cc"});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(ENOENT, result.error().code);
  EXPECT_STREQ("lookup", result.error().step);
  EXPECT_EQ("cc", result.error().object);
}

TEST(ResultTest, MovesWhatCannotBeCopied) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(7));
  ASSERT_TRUE(result.ok());
  std::unique_ptr<int> out = std::move(result.value());
  EXPECT_EQ(7, *out);
}

TEST(ResultTest, OfNothing) {
  EXPECT_TRUE(Result<void>().ok());
  Result<void> failed(Error{ESRCH, "kill", "1"});
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(ESRCH, failed.error().code);
}

}  // namespace
}  // namespace launcher
