// The C interface: what it hands on, what it refuses, what it owns. How
// children are started is tested by way of the C++ interface.
//
// SPDX-License-Identifier: Apache-2.0

#include "launcher/c.h"

#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "support/launcher_test.h"

namespace launcher {
namespace {

struct Freed {
  void operator()(launcher_result* result) { launcher_result_free(result); }
};
using ResultPointer = std::unique_ptr<launcher_result, Freed>;

std::string Text(const launcher_output& output) {
  return {output.data, output.size};
}

class CTest : public LeakCheckTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(0, launcher_create(nullptr, &l_, &error_));
  }
  void TearDown() override { launcher_destroy(l_); }

  launcher_command Command(std::vector<const char*> words) {
    words_ = std::move(words);
    words_.push_back(nullptr);
    launcher_command command = {};
    command.size = sizeof(command);
    command.argv = words_.data();
    return command;
  }

  uint64_t Start(const launcher_command& command) {
    uint64_t id = 0;
    EXPECT_EQ(0, launcher_spawn(l_, &command, &id, &error_))
        << error_.step << " " << error_.object;
    return id;
  }

  ResultPointer Finish() {
    launcher_result* result = nullptr;
    EXPECT_EQ(0, launcher_wait(l_, kHang.count(), &result, &error_));
    return ResultPointer(result);
  }

  ResultPointer Run(const launcher_command& command) {
    const uint64_t id = Start(command);
    ResultPointer result = Finish();
    EXPECT_EQ(id, result->id);
    return result;
  }

  /// With this errno, and words in the object.
  void ExpectInvalid(int code, const launcher_command& command) {
    uint64_t id;
    EXPECT_EQ(-code, launcher_spawn(l_, &command, &id, &error_));
    EXPECT_EQ(code, error_.code);
    EXPECT_STREQ("command", error_.step);
    EXPECT_STRNE("", error_.object);
    EXPECT_EQ(-code, launcher_spawn(l_, &command, &id, nullptr));
    EXPECT_EQ(0u, launcher_children(l_));
  }

  launcher_handle* l_ = nullptr;
  launcher_error error_ = {};
  std::vector<const char*> words_;
};

TEST_F(CTest, ResultOfAChild) {
  int tag;
  launcher_command command =
      Command({"/bin/sh", "-c", "echo out; echo err >&2; exit 7"});
  command.err.kind = LAUNCHER_STDIO_CAPTURE;
  command.tag = &tag;
  ResultPointer result = Run(command);
  EXPECT_EQ(sizeof(launcher_result), result->size);
  EXPECT_EQ(LAUNCHER_EXITED, int(result->cause));
  EXPECT_EQ(7, result->code);
  EXPECT_EQ("out\n", Text(result->out));
  EXPECT_EQ(4u, result->out.total);
  EXPECT_EQ("err\n", Text(result->err));
  EXPECT_EQ(&tag, result->tag);
  EXPECT_GT(result->pid, 0);
  EXPECT_EQ(0u, result->flags);
  EXPECT_GT(result->max_rss_kib, 0);
  EXPECT_LE(result->requested_ns, result->exited_ns);
  EXPECT_LE(result->exited_ns, result->reaped_ns);
  EXPECT_GE(result->engine, 1u);
  EXPECT_LE(result->engine, uint32_t{LAUNCHER_ENGINE_WARM});

  launcher_result* none;
  EXPECT_EQ(-ECHILD, launcher_wait(l_, 0, &none, &error_));
  EXPECT_EQ(ECHILD, error_.code);
}

TEST_F(CTest, LineDirectoryEnvironmentAndInput) {
  launcher_command command = {};
  command.size = sizeof(command);
  command.line = "cat && pwd && env";
  const char* env[] = {"ONLY=this", "PATH=/usr/bin:/bin", nullptr};
  command.env = env;
  command.cwd = "/";
  command.input = "text\n";
  command.input_size = 5;
  ResultPointer result = Run(command);
  const std::string text = Text(result->out);
  EXPECT_TRUE(text.starts_with("text\n/\n")) << text;
  EXPECT_NE(std::string::npos, text.find("ONLY=this\n")) << text;

  command.line = "echo $((6 * 7))";
  result = Run(command);
  EXPECT_EQ("42\n", Text(result->out));
  EXPECT_STRNE("", result->shell_reason);
}

TEST_F(CTest, CapsTimeoutsAndKills) {
  launcher_command command = Command({"/bin/echo", "0123456789"});
  command.output_cap = 4;
  ResultPointer result = Run(command);
  EXPECT_EQ("0123", Text(result->out));
  EXPECT_EQ(11u, result->out.total);
  command.output_cap = 0;
  command.flags = LAUNCHER_NO_OUTPUT;
  EXPECT_EQ("", Text(Run(command)->out));

  command = Command({"/bin/sleep", "1000"});
  command.timeout_ms = 10;
  result = Run(command);
  EXPECT_EQ(LAUNCHER_SIGNALED, int(result->cause));
  EXPECT_EQ(SIGKILL, result->code);
  EXPECT_EQ(uint32_t{LAUNCHER_TIMED_OUT}, result->flags);

  command.timeout_ms = 0;
  const uint64_t id = Start(command);
  EXPECT_EQ(0, launcher_kill(l_, id, SIGTERM, &error_));
  EXPECT_EQ(SIGTERM, Finish()->code);
  EXPECT_EQ(-ESRCH, launcher_kill(l_, id, SIGTERM, &error_));
}

TEST_F(CTest, DrainOfOneChild) {
  Pipe held;
  // It leaves its output to a process that ends when the test does.
  launcher_command command =
      Command({"/bin/sh", "-c", "cat <&3 3<&- & echo started"});
  launcher_action action = {};
  action.kind = LAUNCHER_ACTION_DUP2;
  action.fd = held.read.get();
  action.newfd = 3;
  command.actions = &action;
  command.action_count = 1;
  command.action_size = sizeof(action);
  command.drain_ms = 10;
  ResultPointer result = Run(command);
  EXPECT_EQ("started\n", Text(result->out));
  EXPECT_EQ(uint32_t{LAUNCHER_OUTPUT_INCOMPLETE}, result->flags);
  held.write.Reset();
  EXPECT_EQ(1, ReapChildren(1));
}

TEST_F(CTest, Survivors) {
  launcher_command command =
      Command({"/bin/sh", "-c", "sleep 1000 >/dev/null 2>&1 & exit 0"});
  command.survivors = LAUNCHER_SURVIVORS_KILL;
  ResultPointer result = Run(command);
  ASSERT_EQ(1u, result->survivor_count);
  EXPECT_GT(result->survivors[0].pid, 0);
  const std::string name = result->survivors[0].comm;
  EXPECT_TRUE(name == "sleep" || name == "sh") << name;
  EXPECT_EQ(1, ReapChildren(1));
  command.survivors = 3;
  ExpectInvalid(EINVAL, command);
}

TEST_F(CTest, ActionsAndGroups) {
  launcher_command command = Command(
      {"/bin/sh", "-c", "pwd; cat <&5; cut -d' ' -f5,6 /proc/self/stat"});
  char path[] = "/tmp/launcher-c-XXXXXX";
  const int file = mkstemp(path);
  ASSERT_GE(file, 0);
  ASSERT_EQ(3, write(file, "abc", 3));
  launcher_action actions[2] = {};
  actions[0].kind = LAUNCHER_ACTION_OPEN;
  actions[0].fd = AT_FDCWD;
  actions[0].newfd = 5;
  actions[0].path = path;
  actions[1].kind = LAUNCHER_ACTION_CLOSE;
  actions[1].fd = 6;
  command.actions = actions;
  command.action_count = 2;
  command.action_size = sizeof(actions[0]);
  Fd root(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  command.cwd_fd = root.get();
  command.flags = LAUNCHER_CWD_FD;
  command.group = LAUNCHER_GROUP_SESSION;
  ResultPointer result = Run(command);
  const std::string ids =
      std::to_string(result->pid) + " " + std::to_string(result->pid);
  EXPECT_EQ("/\nabc" + ids + "\n", Text(result->out));
  close(file);
  unlink(path);

  command.action_size = 1;
  ExpectInvalid(E2BIG, command);
  command.action_size = sizeof(actions[0]);
  actions[0].kind = 99;
  ExpectInvalid(EINVAL, command);
  actions[0].kind = LAUNCHER_ACTION_SIGNAL_IGNORE;
  ExpectInvalid(EINVAL, command);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  actions[0].signals = &set;
  actions[1].kind = LAUNCHER_ACTION_SIGNAL_MASK;
  actions[1].signals = &set;
  words_ = {"grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status", nullptr};
  command.argv = words_.data();
  EXPECT_EQ("SigBlk:\t0000000000001000\nSigIgn:\t0000000000001000\n",
            Text(Run(command)->out));
}

TEST_F(CTest, AwaitedStart) {
  launcher_command command = Command({"/bin/sleep", "1000"});
  command.flags = LAUNCHER_AWAIT_START;
  const uint64_t id = Start(command);
  const int pid = launcher_pid(l_, id, &error_);
  ASSERT_GT(pid, 0);
  Fd pidfd(launcher_open_pidfd(l_, id, &error_));
  EXPECT_TRUE(pidfd);
  ASSERT_EQ(0, kill(pid, SIGKILL));
  EXPECT_EQ(pid, Finish()->pid);
  EXPECT_EQ(-ESRCH, launcher_pid(l_, id, nullptr));

  command.cwd = "/nonexistent/directory";
  uint64_t none;
  EXPECT_EQ(-ENOENT, launcher_spawn(l_, &command, &none, &error_));
  EXPECT_STREQ("chdir", error_.step);
  EXPECT_STREQ("/nonexistent/directory", error_.object);

  command.flags = 0;
  ResultPointer result = Run(command);
  EXPECT_EQ(LAUNCHER_NOT_STARTED, int(result->cause));
  EXPECT_EQ(ENOENT, result->error_code);
  EXPECT_STREQ("chdir", result->error_step);
  EXPECT_STREQ("/nonexistent/directory", result->error_object);
}

TEST_F(CTest, ProcessOfTheCaller) {
  launcher_command command = Command({"/bin/sh", "-c", "exit 3"});
  const int pid = launcher_start_process(l_, &command, &error_);
  ASSERT_GT(pid, 0);
  int status;
  ASSERT_EQ(pid, waitpid(pid, &status, 0));
  EXPECT_EQ(3, WEXITSTATUS(status));
  command.cwd = "/nonexistent/directory";
  EXPECT_EQ(-ENOENT, launcher_start_process(l_, &command, &error_));
  EXPECT_STREQ("chdir", error_.step);
  command.out.kind = LAUNCHER_STDIO_CAPTURE;
  EXPECT_EQ(-EINVAL, launcher_start_process(l_, &command, &error_));
  command.argv = nullptr;
  command.line = "true";
  EXPECT_EQ(-EINVAL, launcher_start_process(l_, &command, &error_));
}

TEST_F(CTest, PolledFromOutside) {
  const int fd = launcher_poll_fd(l_, &error_);
  ASSERT_GE(fd, 0);
  Start(Command({"/bin/echo", "x"}));
  launcher_result* result = nullptr;
  while (!result) {
    pollfd ready = {fd, POLLIN, 0};
    ASSERT_EQ(1, poll(&ready, 1, int(kHang.count())));
    const int ret = launcher_wait(l_, 0, &result, &error_);
    ASSERT_TRUE(ret == 0 || ret == -ETIMEDOUT) << ret;
  }
  EXPECT_EQ("x\n", Text(result->out));
  launcher_result_free(result);
}

TEST_F(CTest, DroppedOutput) {
  const uint64_t id = Start(Command({"/usr/bin/yes"}));
  EXPECT_EQ(0, launcher_drop_output(l_, id, &error_));
  ResultPointer result = Finish();
  EXPECT_EQ(SIGPIPE, result->code);
  EXPECT_EQ(uint32_t{LAUNCHER_OUTPUT_INCOMPLETE}, result->flags);
}

TEST_F(CTest, BadCommands) {
  launcher_command command = {};
  ExpectInvalid(EINVAL, command);  // No size.
  command.size = sizeof(command);
  ExpectInvalid(EINVAL, command);  // Neither argv nor line.
  command = Command({"/bin/true"});
  command.line = "true";
  ExpectInvalid(EINVAL, command);
  command = Command({});
  ExpectInvalid(EINVAL, command);
  command = Command({"/bin/true"});
  command.flags = 1U << 31;
  ExpectInvalid(EINVAL, command);
  command.flags = 0;
  command.group = 17;
  ExpectInvalid(EINVAL, command);
  command.group = 0;
  command.out.kind = 17;
  ExpectInvalid(EINVAL, command);
  command.out.kind = 0;
  command.in.kind = LAUNCHER_STDIO_CAPTURE;
  ExpectInvalid(EINVAL, command);
  command.in.kind = LAUNCHER_STDIO_NULL;
  command.input = "";
  ExpectInvalid(EINVAL, command);
}

TEST_F(CTest, CommandsOfOtherVersions) {
  struct Later {
    launcher_command known;
    uint64_t unknown;
  } later = {Command({"/bin/echo", "x"}), 0};
  later.known.size = sizeof(later);
  EXPECT_EQ("x\n", Text(Run(later.known)->out));
  later.unknown = 1;
  ExpectInvalid(E2BIG, later.known);

  launcher_command earlier = Command({"/bin/echo", "x"});
  earlier.size = offsetof(launcher_command, output_cap);
  earlier.output_cap = 1;  // It does not know of that.
  EXPECT_EQ("x\n", Text(Run(earlier)->out));
}

TEST_F(CTest, Options) {
  launcher_options options = {};
  launcher_handle* made = nullptr;
  EXPECT_EQ(-EINVAL, launcher_create(&options, &made, &error_));
  EXPECT_STREQ("options", error_.step);
  options.size = sizeof(options);
  options.engine = 99;
  EXPECT_EQ(-EINVAL, launcher_create(&options, &made, &error_));
  options.engine = LAUNCHER_ENGINE_POSIX_SPAWN;
  ASSERT_EQ(0, launcher_create(&options, &made, &error_));
  std::swap(made, l_);
  EXPECT_EQ(uint32_t{LAUNCHER_ENGINE_POSIX_SPAWN},
            Run(Command({"/bin/true"}))->engine);
  std::swap(made, l_);
  launcher_destroy(made);
  launcher_destroy(nullptr);

  ASSERT_EQ(0, setenv("LAUNCHER_ENGINE", "fastest", 1));
  EXPECT_EQ(-EINVAL, launcher_create(nullptr, &made, &error_));
  EXPECT_STREQ("LAUNCHER_ENGINE", error_.step);
  unsetenv("LAUNCHER_ENGINE");
}

TEST_F(CTest, Prepared) {
  launcher_command command = Command({"/usr/bin/git", "--version"});
  const int ret = launcher_prepare(l_, &command, &error_);
  EXPECT_TRUE(ret == 0 || ret == -EPERM || ret == -ENOTSUP) << ret;
  launcher_statistics statistics = {};
  statistics.size = sizeof(statistics);
  ASSERT_EQ(0, launcher_get_statistics(l_, &statistics));
  EXPECT_EQ(ret == 0 ? 1u : 0u, statistics.warm_processes);
  EXPECT_EQ(0u, statistics.launches);
  ResultPointer result = Run(command);
  if (ret == 0) {
    EXPECT_EQ(uint32_t{LAUNCHER_ENGINE_WARM}, result->engine);
  }

  command.argv = nullptr;
  command.line = "git --version";
  EXPECT_EQ(-EINVAL, launcher_prepare(l_, &command, &error_));
}

TEST_F(CTest, StatisticsOfAnEarlierCaller) {
  Run(Command({"/bin/true"}));
  launcher_statistics statistics;
  memset(&statistics, 0xff, sizeof(statistics));
  statistics.size = offsetof(launcher_statistics, failed);
  ASSERT_EQ(0, launcher_get_statistics(l_, &statistics));
  EXPECT_EQ(1u, statistics.launches);
  EXPECT_EQ(UINT64_MAX, statistics.failed);
  statistics.size = 0;
  EXPECT_EQ(-EINVAL, launcher_get_statistics(l_, &statistics));
}

TEST_F(CTest, DestroyingKills) {
  Pipe held;
  launcher_command command = Command({"/bin/cat"});
  command.in = {LAUNCHER_STDIO_FD, held.read.get()};
  Start(command);
  launcher_destroy(l_);
  l_ = nullptr;
  EXPECT_EQ(-1, waitpid(-1, nullptr, 0));
}

TEST(CVersionTest, OfTheLibrary) {
  EXPECT_EQ(uint32_t{LAUNCHER_ABI_VERSION}, launcher_abi_version());
}

}  // namespace
}  // namespace launcher
