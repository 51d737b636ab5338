// A plan as one line of text.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef TESTS_SUPPORT_COMMAND_LINE_TEST_H_
#define TESTS_SUPPORT_COMMAND_LINE_TEST_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <string.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "command_line.h"
#include "shell.h"

namespace launcher {

inline std::string Describe(const PlanToken& token) {
  const std::string text = token.text ? token.text : "";
  switch (token.kind) {
    case PlanToken::Kind::kWord:
      return "[" + text + "]";
    case PlanToken::Kind::kAssignment:
      return text;
    case PlanToken::Kind::kOpen: {
      std::string how = "?";
      if (token.flags == O_RDONLY)
        how = "<";
      if (token.flags == (O_WRONLY | O_CREAT | O_TRUNC))
        how = ">";
      if (token.flags == (O_WRONLY | O_CREAT | O_APPEND))
        how = ">>";
      return std::to_string(token.fd) + how + text;
    }
    case PlanToken::Kind::kDup:
      return std::to_string(token.fd) + "=" + std::to_string(token.number);
    case PlanToken::Kind::kChangeDir:
      return "cd " + text;
    case PlanToken::Kind::kStatus:
      return "status " + std::to_string(token.number);
    case PlanToken::Kind::kExec:
      return "exec";
    case PlanToken::Kind::kAnd:
      return "&&@" + std::to_string(token.offset) + "/" +
             std::to_string(token.number);
  }
  return "?";
}

/// What ReadCommandLine() makes of `line`: the tokens, "shell: " and the
/// reason, or "no room". Expects that nothing is written outside its room.
inline std::string ReadLine(const std::string& line, Shell shell,
                            size_t room = 64) {
  constexpr size_t kGuard = 16;
  constexpr char kGuardByte = '\xa5';
  const PlanToken guard_token = {.kind = PlanToken::Kind::kExec, .fd = 0xa5};
  // Not a byte larger than promised, for AddressSanitizer.
  auto source = std::make_unique<char[]>(line.size() + 1);
  memcpy(source.get(), line.c_str(), line.size() + 1);
  std::vector<char> text(line.size() + 1 + 2 * kGuard, kGuardByte);
  std::vector<PlanToken> tokens(room + 1, guard_token);
  CommandLine read = ReadCommandLine(source.get(), line.size(), shell,
                                     text.data() + kGuard, tokens.data(), room);
  auto is_guard = [](char c) { return c == kGuardByte; };
  EXPECT_TRUE(std::all_of(text.begin(), text.begin() + kGuard, is_guard));
  EXPECT_TRUE(std::all_of(text.end() - kGuard, text.end(), is_guard));
  EXPECT_EQ(0xa5, tokens[room].fd);
  EXPECT_EQ(0, memcmp(source.get(), line.c_str(), line.size() + 1));

  switch (read.verdict) {
    case CommandLine::Verdict::kNoRoom:
      return "no room";
    case CommandLine::Verdict::kShell:
      return "shell: " + ToString(read.reason);
    case CommandLine::Verdict::kPlan:
      break;
  }
  EXPECT_LE(read.token_count, room);
  std::string plan;
  for (size_t i = 0; i < read.token_count; ++i)
    plan += (i ? " " : "") + Describe(tokens[i]);
  return plan;
}

}  // namespace launcher

#endif  // TESTS_SUPPORT_COMMAND_LINE_TEST_H_
