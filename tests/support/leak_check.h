// Fails a test that leaks a descriptor or leaves a process behind, whatever
// else the test looks at.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef TESTS_SUPPORT_LEAK_CHECK_H_
#define TESTS_SUPPORT_LEAK_CHECK_H_

#include <dirent.h>
#include <errno.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <map>
#include <string>

namespace launcher {

/// The open descriptors of this process and where they lead.
inline std::map<int, std::string> OpenFds() {
  std::map<int, std::string> fds;
  DIR* dir = opendir("/proc/self/fd");
  if (!dir)
    return fds;
  while (dirent* entry = readdir(dir)) {
    int fd = atoi(entry->d_name);
    if (entry->d_name[0] == '.' || fd == dirfd(dir))
      continue;
    char target[4096];
    ssize_t size =
        readlinkat(dirfd(dir), entry->d_name, target, sizeof(target));
    fds[fd] = std::string(target, size > 0 ? size : 0);
  }
  closedir(dir);
  return fds;
}

/// Reaps children until `count` have been or none is left; gives up after 30 s
/// without an end. Returns how many there were. `check` gets each status.
inline int ReapChildren(
    int count, const std::function<void(int)>& check = [](int) {}) {
  // A signal that is blocked stays pending even if its default is to be
  // ignored, so that no end can slip in between waitpid() and the wait.
  sigset_t sigchld, old;
  sigemptyset(&sigchld);
  sigaddset(&sigchld, SIGCHLD);
  pthread_sigmask(SIG_BLOCK, &sigchld, &old);
  int reaped = 0;
  while (reaped < count) {
    int status = 0;
    pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid > 0) {
      ++reaped;
      check(status);
      continue;
    }
    const timespec guard = {30, 0};
    if (pid < 0 ||
        (sigtimedwait(&sigchld, nullptr, &guard) < 0 && errno == EAGAIN))
      break;
  }
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  return reaped;
}

/// Compares the end of a scope with its beginning.
class LeakCheck {
 public:
  LeakCheck() : fds_(OpenFds()) {
    // What a child leaves behind comes to this process and is seen below.
    prctl(PR_SET_CHILD_SUBREAPER, 1);
  }

  ~LeakCheck() {
    CheckFds();
    CheckChildren();
  }

  LeakCheck(const LeakCheck&) = delete;
  LeakCheck& operator=(const LeakCheck&) = delete;

 private:
  void CheckFds() {
    const std::map<int, std::string> now = OpenFds();
    for (const auto& [fd, target] : now)
      if (!fds_.count(fd))
        ADD_FAILURE() << "descriptor " << fd << " leaked: " << target;
    for (const auto& [fd, target] : fds_)
      if (!now.count(fd))
        ADD_FAILURE() << "descriptor " << fd << " was closed: " << target;
  }

  void CheckChildren() {
    if (waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD)
      return;
    std::string self = std::to_string(getpid());
    std::ifstream children("/proc/self/task/" + self + "/children");
    std::string list;
    for (pid_t pid; children >> pid;) {
      std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
      std::string line;
      std::getline(stat, line);
      list += "\n  " + line.substr(0, 80);
      kill(pid, SIGKILL);
    }
    ADD_FAILURE() << "a child was left:" << list;
    ReapChildren(1'000'000);
  }

  std::map<int, std::string> fds_;
};

/// The base of all fixtures. The check is made when the members of the fixture
/// proper are gone.
class LeakCheckTest : public testing::Test {
 protected:
  /// For a test that leaves processes behind on purpose: waits for their end.
  static void ExpectOrphans(int count) {
    EXPECT_EQ(count, ReapChildren(count)) << "orphans";
  }

 private:
  LeakCheck check_;
};

}  // namespace launcher

#endif  // TESTS_SUPPORT_LEAK_CHECK_H_
