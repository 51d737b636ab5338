// What a launcher hands down is of the moment of a launch, also where the host
// has promised to leave it alone: others can change it.
//
// SPDX-License-Identifier: Apache-2.0

#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <utility>

#include "support/warm_test.h"

namespace launcher {
namespace {

class WarmStateTest : public WarmTest {
 protected:
  void SetUp() override {
    WarmTest::SetUp();
    warm_ = MakeKept();
  }

  static std::unique_ptr<Launcher> MakeKept() {
    Launcher::Options options;
    options.engine = Engine::kWarm;
    options.host_keeps_state = true;
    auto created = Launcher::Create(std::move(options));
    EXPECT_TRUE(created.ok());
    return std::move(created.value());
  }

  /// What `change` does to this process from another one.
  static void FromOutside(const std::function<bool(pid_t host)>& change) {
    const pid_t host = getpid(), other = fork();
    if (other == 0)
      _exit(change(host) ? 0 : 1);
    int status = -1;
    ASSERT_EQ(other, waitpid(other, &status, 0));
    ASSERT_EQ(0, status);
  }

  static bool HasChoiceOfCpu() {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 1;
  }

  static std::function<bool(pid_t)> Write(const std::string& name,
                                          const std::string& text) {
    return [=](pid_t host) {
      std::ofstream file("/proc/" + std::to_string(host) + "/" + name);
      return bool{file << text << std::flush};
    };
  }
};

TEST_F(WarmStateTest, ChangedByAnotherProcess) {
  const struct {
    const char* name;
    Texts shown_by;
    std::function<bool(pid_t)> change;
  } kCases[] = {
      {"limit",
       {"cat", "/proc/self/limits"},
       [](pid_t host) {
         rlimit limit = {0, 4096};
         return prlimit(host, RLIMIT_CORE, &limit, nullptr) == 0;
       }},
      {"nice",
       {"nice"},
       [](pid_t host) { return setpriority(PRIO_PROCESS, host, 5) == 0; }},
      {"scheduler",
       {"cut", "-d ", "-f41", "/proc/self/stat"},
       [](pid_t host) {
         sched_param none = {};
         return sched_setscheduler(host, SCHED_BATCH, &none) == 0;
       }},
      {"slice",
       {kProbe, "slice"},
       [](pid_t host) {
         struct {
           uint32_t size, policy;
           uint64_t flags;
           int32_t nice;
           uint32_t priority;
           uint64_t runtime, deadline, period;
         } attributes = {};
         attributes.size = sizeof(attributes);
         attributes.runtime = 5'000'000;
         return syscall(SYS_sched_setattr, host, &attributes, 0) == 0;
       }},
      {"affinity",
       {"grep", "Cpus_allowed", "/proc/self/status"},
       [](pid_t host) {
         cpu_set_t set, one;
         sched_getaffinity(host, sizeof(set), &set);
         CPU_ZERO(&one);
         for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++i)
           if (CPU_ISSET(i, &set))
             CPU_SET(i, &one);
         return sched_setaffinity(host, sizeof(one), &one) == 0;
       }},
      {"i/o priority",
       {"ionice"},
       [](pid_t host) {
         return syscall(SYS_ioprio_set, 1, host, 2 << 13 | 7) == 0;
       }},
      {"timer slack",
       {"cat", "/proc/self/timerslack_ns"},
       Write("timerslack_ns", "77777")},
      {"core dump filter",
       {"cat", "/proc/self/coredump_filter"},
       Write("coredump_filter", "0x21")},
      {"out of memory score",
       {"cat", "/proc/self/oom_score_adj"},
       Write("oom_score_adj", "123")},
      {"session keyring",
       {kProbe, "keyring"},
       [](pid_t) {
         return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) > 0 &&
                syscall(SYS_keyctl, KEYCTL_SESSION_TO_PARENT) == 0;
       }},
  };
  cold_.reset();
  warm_.reset();
  for (const auto& one : kCases) {
    SCOPED_TRACE(one.name);
#if defined(__SANITIZE_THREAD__)
    // KEYCTL_SESSION_TO_PARENT is for a parent with one thread.
    if (one.name == std::string("session keyring"))
      continue;
#endif
    InChild([&] {
      cold_ = Make(Engine::kClone3);
      warm_ = MakeKept();
      const std::string before = Run(*cold_, one.shown_by).output;
      if (before == "-1\n") {  // The kernel has none.
        cold_.reset();
        warm_.reset();
        return;
      }
      // With one CPU there is nothing to narrow.
      const bool shows =
          std::string(one.name) != "affinity" || HasChoiceOfCpu();
      EXPECT_EQ(Engine::kWarm, ExpectSame(one.shown_by));
      FromOutside(one.change);
      ExpectSame(one.shown_by);
      EXPECT_EQ(Engine::kWarm, ExpectSame(one.shown_by));
      if (shows) {
        EXPECT_NE(before, Run(*warm_, one.shown_by).output);
      }
      cold_.reset();
      warm_.reset();
    });
  }
}

// In a mount namespace, where the root is mounted a second time.
TEST_F(WarmStateTest, AnotherMountOfTheSameRoot) {
  cold_.reset();
  warm_.reset();
  const std::string root = dir_ / "root";
  dir_.Dir("root");
  InChild([&] {
    if (unshare(CLONE_NEWNS) != 0)
      GTEST_SKIP() << "no mount namespace: " << strerror(errno);
    ASSERT_EQ(0, mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr));
    ASSERT_EQ(0, mount("/", root.c_str(), nullptr, MS_BIND | MS_REC, nullptr));
    cold_ = Make(Engine::kClone3);
    warm_ = Make(Engine::kWarm);
    const Texts shown_by = {"cat", "/proc/self/mountinfo"};
    EXPECT_EQ(Engine::kWarm, ExpectSame(shown_by));
    const std::string before = Run(*warm_, shown_by).output;
    ASSERT_EQ(0, chroot(root.c_str()));
    ExpectSame(shown_by);
    EXPECT_EQ(Engine::kWarm, ExpectSame(shown_by));
    EXPECT_NE(before, Run(*warm_, shown_by).output);
    cold_.reset();
    warm_.reset();
  });
}

// With a profile of AppArmor; a guest of kernel/lab.py has it.
TEST_F(WarmStateTest, LabelOfASecurityModule) {
  const std::string profile = "launcher_test";
  std::ifstream loaded("/sys/kernel/security/apparmor/profiles");
  std::string text((std::istreambuf_iterator<char>(loaded)), {});
  if (text.find(profile) == text.npos)
    GTEST_SKIP() << "no profile '" << profile << "' in /sys/kernel/security";
  const Texts shown_by = {"/usr/bin/cat", "/proc/self/attr/current"};
  const std::string expected = profile + " (enforce)\n";
  cold_.reset();
  warm_.reset();
  // After a change by the host: of what it execs next, of itself.
  for (const auto& [file, value] :
       {std::pair("exec", "exec "), std::pair("current", "changeprofile ")}) {
    SCOPED_TRACE(file);
    InChild([&] {
      cold_ = Make(Engine::kClone3);
      warm_ = Make(Engine::kWarm);
      EXPECT_EQ(Engine::kWarm, ExpectSame(shown_by));
      std::ofstream(std::string("/proc/thread-self/attr/") + file)
          << value << profile << std::flush;
      for (int i = 0; i < 3; ++i) {
        ExpectSame(shown_by);
        EXPECT_EQ(expected, Run(*warm_, shown_by).output);
      }
      cold_.reset();
      warm_.reset();
    });
  }
}

TEST_F(WarmStateTest, DescriptorsOfTheFirstLaunch) {
  Fd held(open("/dev/null", O_RDONLY));
  const std::string line = "\n" + std::to_string(held.get()) + " r ";
  Command command;
  command.inherit_fds = true;
  for (int i = 0; i < 3; ++i) {
    Finished done = Run(*warm_, {kProbe, "fds"}, command);
    EXPECT_EQ(Engine::kWarm, done.engine);
    EXPECT_NE(std::string::npos, done.output.find(line)) << done.output;
  }
}

}  // namespace
}  // namespace launcher
