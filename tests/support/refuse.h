// Makes system calls fail, in a process of its own.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef TESTS_SUPPORT_REFUSE_H_
#define TESTS_SUPPORT_REFUSE_H_

#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "leak_check.h"

// From the linker: where the program itself begins and its code ends.
extern "C" const char __executable_start, etext;

namespace launcher {

/// The lower 32 bits of argument `index` of a system call.
struct ArgIs {
  int index;
  uint32_t value;
};

namespace refuse_internal {

inline sock_filter Load(size_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset));
}

/// Goes on if the loaded word and `value` are in relation `op`, else skips
/// `skip` instructions.
inline sock_filter If(uint16_t op, uint32_t value, uint8_t skip) {
  return BPF_JUMP(static_cast<uint16_t>(BPF_JMP | op | BPF_K), value, 0, skip);
}

inline sock_filter Return(uint32_t what) {
  return BPF_STMT(BPF_RET | BPF_K, what);
}

inline void Install(std::vector<sock_filter> filter) {
  sock_fprog program = {static_cast<uint16_t>(filter.size()), filter.data()};
  ASSERT_EQ(0, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  ASSERT_EQ(0, prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
      << strerror(errno);
}

}  // namespace refuse_internal

/// From now on system call `number` fails with `error` in this process and all
/// it starts, or only where an argument has one value. Only in InChild(): it
/// cannot be taken back.
inline void RefuseSyscall(long number, int error,
                          std::optional<ArgIs> arg = {}) {
  using namespace refuse_internal;
  const uint32_t refused = SECCOMP_RET_ERRNO | error;
  std::vector<sock_filter> filter = {Load(offsetof(seccomp_data, nr)),
                                     If(BPF_JEQ, number, arg ? 3 : 1)};
  if (arg) {
    filter.push_back(Load(offsetof(seccomp_data, args) + 8 * arg->index));
    filter.push_back(If(BPF_JEQ, arg->value, 1));
  }
  filter.push_back(Return(refused));
  filter.push_back(Return(SECCOMP_RET_ALLOW));
  Install(filter);
}

/// The same for calls made from the code of this program alone, not from a
/// shared library. For clone3: glibc starts threads with it too and knows a way
/// round ENOSYS but round no other error.
inline void RefuseFromProgram(long number, int error) {
  using namespace refuse_internal;
  // The upper half of an address tells a program from its libraries: between
  // them lie terabytes.
  const auto first = reinterpret_cast<uintptr_t>(&__executable_start) >> 32;
  const auto last = reinterpret_cast<uintptr_t>(&etext) >> 32;
  Install({Load(offsetof(seccomp_data, nr)), If(BPF_JEQ, number, 3),
           Load(offsetof(seccomp_data, instruction_pointer) + 4),
           If(BPF_JGE, first, 1), If(BPF_JGT, last, 1),
           Return(SECCOMP_RET_ALLOW), Return(SECCOMP_RET_ERRNO | error)});
}

namespace refuse_internal {

/// One result as three strings, each with its null.
inline void Send(int fd, const testing::TestPartResult& part) {
  std::string text = part.skipped() ? "skip" : "fail";
  text.push_back('\0');
  text += part.file_name() ? part.file_name() : "";
  text += ":" + std::to_string(part.line_number());
  text.push_back('\0');
  text += part.message();
  text.push_back('\0');
  for (size_t at = 0; at < text.size();) {
    ssize_t size = write(fd, text.data() + at, text.size() - at);
    if (size < 0)
      _exit(99);
    at += size;
  }
}

[[noreturn]] inline void RunInChild(int fd, const std::function<void()>& run,
                                    bool check_leaks) {
  testing::TestPartResultArray parts;
  {
    testing::ScopedFakeTestPartResultReporter reporter(
        testing::ScopedFakeTestPartResultReporter::INTERCEPT_ALL_THREADS,
        &parts);
    std::optional<LeakCheck> check;
    if (check_leaks)
      check.emplace();
    run();
  }
  for (int i = 0; i < parts.size(); ++i)
    if (!parts.GetTestPartResult(i).passed())
      Send(fd, parts.GetTestPartResult(i));
  _exit(0);
}

/// Reads to end of file; false after five minutes, for what the guards of the
/// test itself have missed.
inline bool ReadReport(int fd, std::string* text) {
  pollfd ready = {fd, POLLIN, 0};
  while (poll(&ready, 1, 300'000) == 1) {
    char buffer[4096];
    ssize_t size = read(fd, buffer, sizeof(buffer));
    if (size <= 0)
      return size == 0;
    text->append(buffer, size);
  }
  return false;
}

}  // namespace refuse_internal

/// Runs `run` in a child of this process, with its own check for leaks. What
/// fails or is skipped there fails or is skipped here. This process must have
/// one thread only. Without `check_leaks` for what refuses calls that the check
/// itself needs.
inline void InChild(const std::function<void()>& run, bool check_leaks = true) {
  int fds[2];
  ASSERT_EQ(0, pipe2(fds, O_CLOEXEC));
  fflush(stdout);  // Or a sanitizer's _exit() writes it once more.
  pid_t pid = fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    close(fds[0]);
    refuse_internal::RunInChild(fds[1], run, check_leaks);
  }
  close(fds[1]);
  std::string report;
  const bool ended = refuse_internal::ReadReport(fds[0], &report);
  close(fds[0]);
  if (!ended)
    kill(pid, SIGKILL);
  int status = 0;
  EXPECT_EQ(pid, waitpid(pid, &status, 0));
  EXPECT_TRUE(ended) << "the child hung";
  EXPECT_TRUE(!ended || status == 0) << "the child ended with " << status;

  std::vector<std::string> parts;
  for (size_t at = 0; at < report.size();) {
    parts.emplace_back(report.c_str() + at);
    at += parts.back().size() + 1;
  }
  for (size_t i = 0; i + 2 < parts.size(); i += 3) {
    if (parts[i] == "skip")
      GTEST_SKIP() << parts[i + 2];
    ADD_FAILURE() << "in the child, " << parts[i + 1] << "\n" << parts[i + 2];
  }
}

}  // namespace launcher

#endif  // TESTS_SUPPORT_REFUSE_H_
