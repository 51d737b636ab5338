// When processes or descriptors run out, and many children at once.
//
// SPDX-License-Identifier: Apache-2.0

#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <climits>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>
#include <string>

#include "support/launcher_test.h"

namespace launcher {
namespace {

using std::chrono::milliseconds;

class LimitsTest : public LauncherTest {
 protected:
  static void SetLimit(__rlimit_resource resource, rlim_t value) {
    rlimit limit = {value, value};
    ASSERT_EQ(0, setrlimit(resource, &limit)) << strerror(errno);
  }

  /// Starts `count` children that wait for the gate, and lets the launcher do
  /// what has come up meanwhile.
  void StartHolding(int count, Stdio out = Stdio::Capture()) {
    // By way of our own standard input: a command that names descriptors of
    // its caller's could not be put off without taking more of them.
    gate_.emplace();
    ASSERT_EQ(0, dup2(gate_->read.get(), 0));
    Command command;
    command.in = Stdio::Inherit();
    command.out = out;
    for (int i = 0; i < count; ++i) {
      auto started = Start({kHold}, command);
      ASSERT_TRUE(started.ok()) << i << ": " << started.error().ToString();
      if (i % 16 == 15) {
        auto none = Wait(milliseconds(0));
        ASSERT_FALSE(none.ok());
        ASSERT_EQ(ETIMEDOUT, none.error().code);
      }
    }
    EXPECT_EQ(size_t(count), launcher_->children());
  }

  /// Opens the gate: all must end well.
  void FinishHolding(int count) {
    gate_->write.Reset();
    std::set<ChildId> seen;
    for (int i = 0; i < count; ++i) {
      Finished done = Finish();
      ASSERT_EQ(Cause::kExited, done.cause) << done.error.ToString();
      ASSERT_EQ(0, done.code);
      ASSERT_TRUE(seen.insert(done.id).second);
    }
    EXPECT_EQ(0u, launcher_->children());
    EXPECT_EQ(0u, launcher_->statistics().failed);
    gate_.reset();
  }

  /// Ends with all children having their program.
  void AwaitAllRunning(size_t count) {
    auto guard = std::chrono::steady_clock::now() + kHang;
    while (CountChildren() < count) {
      auto none = Wait(milliseconds(1));
      ASSERT_FALSE(none.ok());
      ASSERT_LT(std::chrono::steady_clock::now(), guard) << CountChildren();
    }
  }

  static size_t CountChildren() {
    std::string self = std::to_string(getpid());
    std::ifstream children("/proc/self/task/" + self + "/children");
    size_t count = 0;
    for (pid_t pid; children >> pid;)
      ++count;
    return count;
  }

  /// Made where it is used: of a pipe made before InChild() its parent would
  /// keep an end.
  std::optional<Pipe> gate_;
};

LAUNCHER_TEST_ENGINES(LimitsTest);

// Descriptors.

TEST_P(LimitsTest, HundredChildrenWithFortyDescriptors) {
  InChild([&] {
    SetLimit(RLIMIT_NOFILE, 40);
    Make({});
    StartHolding(100);
    FinishHolding(100);
    Statistics statistics = launcher_->statistics();
    EXPECT_GT(statistics.deferred, 0u);
    if (GetParam() != Engine::kPosixSpawn) {
      EXPECT_GT(statistics.late_pidfds, 0u);
    }
    // A child without a pipe needs no descriptor of ours.
    StartHolding(100, Stdio::Null());
    FinishHolding(100);
  });
}

TEST_P(LimitsTest, SeparateStreamsWithFewDescriptors) {
  InChild([&] {
    SetLimit(RLIMIT_NOFILE, 30);
    Make({});
    Command command;
    command.err = Stdio::Capture();
    for (int i = 0; i < 60; ++i)
      Probe({"write", "1", "out", "write", "2", "err"}, command);
    for (int i = 0; i < 60; ++i) {
      Finished done = Finish();
      ASSERT_EQ("out", done.output) << done.error.ToString();
      ASSERT_EQ("err", done.error_output);
    }
  });
}

TEST_P(LimitsTest, CommandsThatNameDescriptorsFailOneByOne) {
  InChild([&] {
    SetLimit(RLIMIT_NOFILE, 40);
    Make({});
    Pipe gate;
    Command command;
    command.in = Stdio::FromFd(gate.read.get());
    int accepted = 0;
    for (int i = 0; i < 60; ++i) {
      auto started = Start({kHold}, command);
      if (started.ok())
        ++accepted;
      else
        EXPECT_EQ(EMFILE, started.error().code);
    }
    EXPECT_GT(accepted, 0);
    gate.write.Reset();
    for (int i = 0; i < accepted; ++i)
      Expect(Cause::kExited, 0, Finish());
    EXPECT_EQ(0u, launcher_->children());
  });
}

TEST_P(LimitsTest, CommandThatWaitsKeepsAllDescriptorsItNamesOrNone) {
  InChild([&] {
    SetLimit(RLIMIT_NOFILE, 64);
    Make({});
    StartHolding(1, Stdio::Null());
    AwaitAllRunning(1);
    Pipe in, err;
    std::vector<Fd> taken;
    for (;;) {
      Fd fd(open("/dev/null", O_RDWR | O_CLOEXEC));
      if (!fd)
        break;
      taken.push_back(std::move(fd));
    }
    taken.pop_back();  // Room for one of the two.
    Command command;
    command.in = Stdio::FromFd(in.read.get());
    command.out = Stdio::Null();
    command.err = Stdio::FromFd(err.write.get());
    auto started = Start({kProbe, "write", "2", "x"}, command);
    if (started.ok()) {
      // Another file takes the number of the one that is closed.
      ASSERT_EQ(err.write.get(),
                dup3(taken[0].get(), err.write.get(), O_CLOEXEC));
    } else {
      EXPECT_EQ(EMFILE, started.error().code);
    }
    taken.clear();
    FinishHolding(started.ok() ? 2 : 1);
    if (started.ok()) {
      EXPECT_EQ("x", err.Await());
    }
  });
}

TEST_P(LimitsTest, NoDescriptorAtAllIsAnError) {
  InChild([&] {
    Make({});
    std::vector<Fd> taken;
    SetLimit(RLIMIT_NOFILE, 30);
    for (;;) {
      Fd fd(open("/dev/null", O_RDONLY | O_CLOEXEC));
      if (!fd)
        break;
      taken.push_back(std::move(fd));
    }
    auto started = Start({kHold});
    ASSERT_FALSE(started.ok());
    EXPECT_EQ(EMFILE, started.error().code);
    EXPECT_STREQ("pipe2", started.error().step);
    EXPECT_EQ(0u, launcher_->children());
    taken.clear();
    ASSERT_TRUE(Start({kHold}).ok());
    Expect(Cause::kExited, 0, Finish());
  });
}

TEST_P(LimitsTest, ThousandChildrenWithElevenHundredDescriptors) {
  InChild([&] {
    SetLimit(RLIMIT_NOFILE, 1100);
    Make({});
    StartHolding(1025);
    AwaitAllRunning(1025);
    // Threads of the posix_spawn engine keep descriptors for a moment more.
    if (GetParam() != Engine::kPosixSpawn) {
      EXPECT_EQ(0u, launcher_->statistics().deferred);
    }
    EXPECT_GT(launcher_->statistics().late_pidfds, 0u);
    FinishHolding(1025);
  });
}

TEST_P(LimitsTest, KillReachesAChildWithoutPidfd) {
  InChild([&] {
    SetLimit(RLIMIT_NOFILE, 40);
    Make({});
    Pipe gate;
    ASSERT_EQ(0, dup2(gate.read.get(), 0));
    Command command;
    command.in = Stdio::Inherit();
    std::vector<ChildId> ids;
    for (int i = 0; i < 60; ++i)
      ids.push_back(Probe({"wait", "0"}, command));
    EXPECT_GT(launcher_->statistics().deferred, 0u);
    for (ChildId id : ids)
      ASSERT_TRUE(launcher_->Kill(id, SIGKILL).ok());
    int cancelled = 0;
    for (int i = 0; i < 60; ++i) {
      Finished done = Finish();
      if (done.cause == Cause::kNotStarted) {
        EXPECT_EQ(ECANCELED, done.error.code);
        ++cancelled;
      } else {
        Expect(Cause::kSignaled, SIGKILL, done);
      }
    }
    EXPECT_GT(cancelled, 0);
    EXPECT_LT(cancelled, 60);
  });
}

TEST_P(LimitsTest, OutputOfWhatWaitsCanBeDropped) {
  InChild([&] {
    SetLimit(RLIMIT_NOFILE, 40);
    Make({});
    Pipe gate;
    ASSERT_EQ(0, dup2(gate.read.get(), 0));
    Command command;
    command.in = Stdio::Inherit();
    ChildId last{};
    for (int i = 0; i < 60; ++i)
      last = Probe({"wait", "0", "write", "1", "late"}, command);
    EXPECT_GT(launcher_->statistics().deferred, 0u);
    ASSERT_TRUE(launcher_->DropOutput(last).ok());
    gate.write.Reset();
    for (int i = 0; i < 60; ++i) {
      Finished done = Finish();
      EXPECT_EQ(done.id != last, done.output_complete);
      EXPECT_EQ(done.id == last ? "" : "late", done.output);
    }
  });
}

TEST_P(LimitsTest, DestructorDropsWhatWaits) {
  InChild([&] {
    SetLimit(RLIMIT_NOFILE, 40);
    Make({});
    StartHolding(60);
    launcher_.reset();
    EXPECT_EQ(0u, CountChildren());
    gate_.reset();
  });
}

// Processes.

/// Threads of all processes of a user.
int CountTasks(uid_t user) {
  int count = 0;
  DIR* proc = opendir("/proc");
  while (dirent* entry = readdir(proc)) {
    std::string path = std::string("/proc/") + entry->d_name;
    struct stat owner, tasks;
    if (atoi(entry->d_name) > 0 && stat(path.c_str(), &owner) == 0 &&
        owner.st_uid == user && stat((path + "/task").c_str(), &tasks) == 0)
      count += static_cast<int>(tasks.st_nlink) - 2;
  }
  closedir(proc);
  return count;
}

TEST_P(LimitsTest, ShortageOfProcessesDefers) {
  if (geteuid() != 0)
    GTEST_SKIP() << "needs root to become a user without processes";
  InChild([&] {
    constexpr uid_t kNobody = 65534;
    const int tasks = CountTasks(kNobody);
    ASSERT_EQ(0, setgid(kNobody));
    ASSERT_EQ(0, setuid(kNobody));
    if (access(kHold, X_OK) != 0)
      GTEST_SKIP() << "another user cannot reach " << kHold;
    SetLimit(RLIMIT_NPROC, tasks + 12);
    Make({});
    StartHolding(40);
    FinishHolding(40);
    EXPECT_GT(launcher_->statistics().deferred, 0u);
    EXPECT_EQ("", launcher_->statistics().refusals);
    EXPECT_EQ(BaseEngine(), launcher_->engine());
  });
}

TEST_P(LimitsTest, NoProcessAtAllIsAnError) {
  if (geteuid() != 0)
    GTEST_SKIP() << "needs root to become a user without processes";
  InChild([&] {
    ASSERT_EQ(0, setgid(65534));
    ASSERT_EQ(0, setuid(65534));
    if (access(kHold, X_OK) != 0)
      GTEST_SKIP() << "another user cannot reach " << kHold;
    Make({});
    SetLimit(RLIMIT_NPROC, 0);
    auto started = Start({kHold});
    ASSERT_FALSE(started.ok());
    EXPECT_EQ(EAGAIN, started.error().code);
    EXPECT_STREQ(
        GetParam() != Engine::kPosixSpawn ? "clone3" : "pthread_create",
        started.error().step);
    EXPECT_EQ(0u, launcher_->children());
  });
}

// Ten thousand.

long ReadNumber(const std::string& path) {
  std::ifstream file(path);
  long number = -1;
  file >> number;
  return file ? number : -1;
}

/// The fewest processes that a pids controller above this process leaves us.
long RoomInCgroups() {
  long room = LONG_MAX;
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    size_t first = line.find(':'), second = line.find(':', first + 1);
    std::string kind = line.substr(first + 1, second - first - 1);
    std::string base = "/sys/fs/cgroup";
    if (kind == "pids")
      base += "/pids";
    else if (!kind.empty())
      continue;
    for (std::string path = line.substr(second + 1); !path.empty();
         path.erase(path.rfind('/'))) {
      long max = ReadNumber(base + path + "/pids.max");
      long current = ReadNumber(base + path + "/pids.current");
      if (max >= 0 && current >= 0)
        room = std::min(room, max - current);
    }
  }
  return room;
}

/// Why this machine does not allow that many children; empty if it does.
std::string WhyNot(rlim_t children) {
  rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  std::ostringstream why;
  if (limit.rlim_max < children + 100)
    why << "RLIMIT_NOFILE is " << limit.rlim_max << "; ";
  getrlimit(RLIMIT_NPROC, &limit);
  if (limit.rlim_cur < children + 1000)
    why << "RLIMIT_NPROC is " << limit.rlim_cur << "; ";
  for (const char* path :
       {"/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"})
    if (ReadNumber(path) < long(2 * children))
      why << path << " is " << ReadNumber(path) << "; ";
  if (RoomInCgroups() < long(children + 100))
    why << "pids.max leaves room for " << RoomInCgroups() << "; ";
  std::ifstream memory("/proc/meminfo");
  for (std::string line; std::getline(memory, line);)
    if (line.find("MemAvailable:") == 0 && atol(line.c_str() + 13) < 3 << 20)
      why << line << "; ";
  return why.str();
}

// Ten thousand where the loop is what is tested. Under a sanitizer, and with a
// thread for each start, it is the machine that would be tested: a thousand.
TEST_P(LimitsTest, ThousandsOfChildren) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  const int count = 1000;
#else
  const int count = GetParam() != Engine::kPosixSpawn ? 10'000 : 1000;
#endif
  if (std::string why = WhyNot(count); !why.empty())
    GTEST_SKIP() << why;
  InChild([&] {
    rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = std::max<rlim_t>(limit.rlim_cur, count + 1000);
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
    Make({});
    StartHolding(count);
    AwaitAllRunning(count);
    // The posix_spawn engine has a bound on starts under way.
    if (GetParam() != Engine::kPosixSpawn) {
      EXPECT_EQ(0u, launcher_->statistics().deferred);
    }
    FinishHolding(count);
  });
}

}  // namespace
}  // namespace launcher
