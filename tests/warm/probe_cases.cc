// The ways in which the probe is launched.
//
// SPDX-License-Identifier: Apache-2.0

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "entry.h"

using launcher::Command;

std::vector<Entry> ProbeCases(const std::string& probe, int descriptor) {
  std::vector<Entry> cases;
  auto add = [&](const char* name, Strings arguments) -> Entry& {
    Entry entry;
    entry.name = name;
    entry.words = {probe};
    entry.words.insert(entry.words.end(), arguments.begin(), arguments.end());
    cases.push_back(std::move(entry));
    return cases.back();
  };
  add("no arguments", {});
  add("one argument", {"7"});
  add("two arguments", {"0", "two words"});
  add("three arguments", {"3", "", ""});
  add("empty arguments", {"", "", ""});
  add("200 arguments", Strings(200, "1"));
  add("201 arguments", Strings(201, "x=y"));
  add("long argument", {"1", std::string(20'000, 'l')});
  add("beyond any room", {"1", std::string(100'000, 'l')});
  add("directory", {"1"}).own_pwd = true;
  add("old directory", {"1"}).variables = {"OLDPWD=/somewhere", "PWD=/"};
  add("one variable more", {"1"}).variables = {"MORE=1"};
  add("empty variable", {"1"}).variables = {"", "=", "NO-VALUE"};
  add("other name", {"1"}).change = [probe](Command* command) {
    static const char* const kArgv[] = {"another name", "5"};
    command->argv = kArgv;
    command->path = probe.c_str();
  };
  add("group of the launcher", {"1"}).change = [](Command* command) {
    command->group = Command::Group::kInherit;
  };
  add("signal mask", {"1"}).change = [](Command* command) {
    static launcher::Action action;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGRTMIN + 3);
    action = launcher::Action::SignalMask(set);
    command->actions = {&action, 1};
  };
  add("descriptors", {"1"}).change = [](Command* command) {
    using launcher::Action;
    static const Action kActions[] = {
        Action::Open(3, "made.txt", O_WRONLY | O_CREAT | O_APPEND, 0640),
        Action::Dup2(3, 4),
        Action::Dup2(1, 5),
        Action::Dup2(1, 6, O_CLOEXEC),
        Action::Open(100, "/", O_RDONLY | O_DIRECTORY),
        Action::Dup2(100, 1000),
        Action::Close(0)};
    command->actions = kActions;
  };
  add("directory descriptor", {"1"}).change = [](Command* command) {
    using launcher::Action;
    static const Action kActions[] = {
        Action::Open(3, "/usr", O_RDONLY | O_DIRECTORY), Action::Fchdir(3),
        Action::CloseRange(3, -1)};
    command->actions = kActions;
  };
  add("what is not close-on-exec", {"1"}).change = [](Command* command) {
    command->inherit_fds = true;
  };
  add("given descriptor", {"1"}).change = [descriptor](Command* command) {
    command->in = launcher::Stdio::FromFd(descriptor);
    command->err = launcher::Stdio::Merge();
  };
  add("inherited streams", {"1"}).change = [](Command* command) {
    command->in = launcher::Stdio::Inherit();
    command->err = launcher::Stdio::Inherit();
  };
  return cases;
}

std::vector<Entry> SurroundingCases(const std::string& probe) {
  std::vector<Entry> cases;
  auto add = [&](const char* name, std::function<void()> before) {
    Entry entry;
    entry.name = name;
    entry.words = {probe, "1"};
    entry.before = std::move(before);
    cases.push_back(std::move(entry));
  };
  auto write_to = [](const char* path, const char* text) {
    return [path, text] { std::ofstream(path) << text; };
  };
  add("umask", [] { umask(0027); });
  add("limit", [] {
    rlimit limit = {0, 0};
    setrlimit(RLIMIT_CORE, &limit);
  });
  add("nice", [] { (void)!nice(3); });
  add("scheduler", [] {
    sched_param none = {};
    sched_setscheduler(0, SCHED_BATCH, &none);
  });
  add("affinity", [] {
    cpu_set_t set, one;
    sched_getaffinity(0, sizeof(set), &set);
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++i)
      if (CPU_ISSET(i, &set))
        CPU_SET(i, &one);
    sched_setaffinity(0, sizeof(one), &one);
  });
  add("ignored signals", [] {
    signal(SIGUSR1, SIG_IGN);
    signal(SIGRTMIN + 1, SIG_IGN);
  });
  add("ignored no more", [] { signal(SIGUSR1, SIG_DFL); });
  add("handler", [] { signal(SIGUSR2, [](int) {}); });
  add("timer slack", [] { prctl(PR_SET_TIMERSLACK, 77777); });
  add("session", [] { (void)setsid(); });
  add("directory of the launcher", [] { (void)!chdir("/"); });
  add("huge pages", [] { prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); });
  add("personality", [] { personality(ADDR_NO_RANDOMIZE); });
  add("no new privileges", [] { prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); });
  add("core dump filter", write_to("/proc/self/coredump_filter", "0x21"));
  add("out of memory score", write_to("/proc/self/oom_score_adj", "123"));
  add("i/o priority", [] { syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 7); });
  add("memory policy", [] {
    unsigned long node = 1;
    syscall(SYS_set_mempolicy, 1, &node, 64);
  });
  add("machine checks",
      [] { prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0); });
  add("securebits", [] { prctl(PR_SET_SECUREBITS, 1 << 2); });
  return cases;
}
