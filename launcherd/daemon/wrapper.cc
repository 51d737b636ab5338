// SPDX-License-Identifier: Apache-2.0

#include "wrapper.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "die_of.h"
#include "launcher/launcher.h"
#include "server.h"
#include "sys.h"

namespace launcherd {

namespace {

using launcher::Command;
using launcher::Error;
using launcher::Finished;
using launcher::Launcher;
using launcher::Result;
using launcher::Stdio;

void Warn(const std::string& text) {
  fprintf(stderr, "launcherd: %s\n", text.c_str());
}

// ---------------------------------------------------------------------------
// Signals

volatile sig_atomic_t build_pidfd = -1;

/// Those of the terminal the build has got as well, being in the same process
/// group; what was sent to launcherd alone is passed on.
void OnSignal(int signal, siginfo_t* info, void*) {
  if (info->si_code != SI_KERNEL && build_pidfd >= 0)
    launcher::sys::PidfdSendSignal(build_pidfd, signal);
}

/// launcherd outlives what ends the build, to tell how it has ended. What is
/// ignored stays so: the build inherits it.
void CatchSignals() {
  struct sigaction action = {};
  action.sa_sigaction = OnSignal;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  for (int signal : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2}) {
    struct sigaction old;
    if (sigaction(signal, nullptr, &old) == 0 && old.sa_handler != SIG_IGN)
      sigaction(signal, &action, nullptr);
  }
}

// ---------------------------------------------------------------------------
// What the build is given

/// Where this program is, with a slash at the end.
std::string OwnDirectory() {
  char path[PATH_MAX];
  ssize_t size = readlink("/proc/self/exe", path, sizeof(path));
  if (size <= 0 || size == ssize_t{sizeof(path)})
    return "";
  std::string directory(path, static_cast<size_t>(size));
  directory.resize(directory.rfind('/') + 1);
  return directory;
}

/// The directory of our makefile and shell, with a slash at the end.
std::string FilesDirectory() {
  const std::string directory = OwnDirectory() + LAUNCHERD_LIBEXEC;
  char real[PATH_MAX];
  return realpath(directory.c_str(), real) ? std::string(real) + "/" : "";
}

/// MAKEFILES with our makefile in front; empty if it cannot be used.
std::string Makefiles() {
  const std::string directory = FilesDirectory();
  const std::string file = directory + "launcher.mk";
  if (directory.empty() || access(file.c_str(), R_OK) != 0 ||
      access((directory + "sh").c_str(), X_OK) != 0) {
    Warn("its files are not in " LAUNCHERD_LIBEXEC
         " beside it; make runs as without launcherd");
    return "";
  }
  if (file.find_first_of(" \t:#$%()") != file.npos) {
    Warn(file +
         ": make cannot read a name like that; make runs as without "
         "launcherd");
    return "";
  }
  const char* old = getenv("MAKEFILES");
  if (!old || !*old)
    return file;
  if (strstr(old, file.c_str()))
    return old;
  return file + " " + old;
}

/// Variables of other tools, with what is ours for them to start.
std::vector<std::pair<const char*, std::string>> ToolVariables() {
  const std::string run = OwnDirectory() + "launcher-run";
  const std::string shell = FilesDirectory() + "sh";
  std::vector<std::pair<const char*, std::string>> variables = {
      {"CMAKE_C_COMPILER_LAUNCHER", run},
      {"CMAKE_CXX_COMPILER_LAUNCHER", run},
      {"RUSTC_WRAPPER", run},
      {"npm_config_script_shell", shell}};
  // Whoever has set one of them knows better.
  std::erase_if(variables, [](const auto& variable) {
    return getenv(variable.first) || access(variable.second.c_str(), X_OK) != 0;
  });
  return variables;
}

/// Executables that the build may make anew are not parked: nobody could write
/// to them.
bool MayPark(const std::string& path, const std::string& directory,
             time_t start) {
  struct stat file;
  return !path.starts_with(directory + "/") && stat(path.c_str(), &file) == 0 &&
         file.st_ctime < start;
}

// ---------------------------------------------------------------------------
// What has been counted

/// The most frequent one first.
using Reasons = std::vector<std::pair<uint64_t, std::string>>;

Reasons Sort(const std::map<std::string, uint64_t>& counted) {
  Reasons reasons;
  for (const auto& [reason, count] : counted)
    reasons.emplace_back(count, reason);
  std::sort(reasons.rbegin(), reasons.rend());
  return reasons;
}

uint64_t Count(const Reasons& reasons) {
  uint64_t sum = 0;
  for (const auto& [count, reason] : reasons)
    sum += count;
  return sum;
}

// ---------------------------------------------------------------------------

class Wrapper {
 public:
  Wrapper(std::unique_ptr<Launcher> launcher, const WrapOptions& options)
      : launcher_(std::move(launcher)), options_(options) {}

  int Run(char** argv);

 private:
  Result<void> StartServer();
  Result<void> StartBuild(char** argv);
  Finished Await();
  void ReadNotes();
  bool Collect(Finished* build);
  void PrintStatistics() const;

  std::unique_ptr<Launcher> launcher_;
  WrapOptions options_;
  std::optional<Server> server_;
  launcher::ChildId build_{};
  launcher::Fd pidfd_;
};

Result<void> Wrapper::StartServer() {
  auto endpoint = launcherd::Endpoint::Create();
  if (!endpoint.ok())
    return endpoint.error();
  if (Result<int> fd = launcher_->PollFd(); !fd.ok())
    return fd.error();
  server_.emplace(launcher_.get(), std::move(endpoint.value()));
  return {};
}

Result<void> Wrapper::StartBuild(char** argv) {
  std::vector<const char*> words;
  for (; *argv; ++argv)
    words.push_back(*argv);
  std::string name, makefiles;
  std::vector<launcher::EnvChange> changes;
  if (server_) {
    name = server_->endpoint().Name() + (options_.stats ? ":stats" : "");
    makefiles = Makefiles();
  }
  changes.push_back(
      {launcher::kServerVariable, name.empty() ? nullptr : name.c_str()});
  if (!makefiles.empty())
    changes.push_back({"MAKEFILES", makefiles.c_str()});
  std::vector<std::pair<const char*, std::string>> tools;
  if (server_ && options_.tools)
    tools = ToolVariables();
  for (const auto& [variable, value] : tools)
    changes.push_back({variable, value.c_str()});

  Command command;
  command.argv = words;
  command.env_changes = changes;
  command.in = command.out = command.err = Stdio::Inherit();
  command.inherit_fds = true;
  command.group = Command::Group::kInherit;
  Result<launcher::ChildId> started = launcher_->Spawn(command);
  if (!started.ok())
    return started.error();
  build_ = started.value();
  if (Result<launcher::Fd> pidfd = launcher_->OpenPidfd(build_); pidfd.ok())
    pidfd_ = std::move(pidfd.value());
  build_pidfd = pidfd_.get();
  return {};
}

/// True when the build is among what has ended.
bool Wrapper::Collect(Finished* build) {
  for (;;) {
    Result<Finished> done = launcher_->Wait(std::chrono::milliseconds(0));
    if (!done.ok() && done.error().code == EINTR)
      continue;
    if (!done.ok())
      return false;
    if (done.value().id == build_) {
      *build = std::move(done.value());
      return true;
    }
    server_->OnFinished(done.value());
  }
}

Finished Wrapper::Await() {
  Finished build;
  if (!server_) {
    for (;;) {
      Result<Finished> done = launcher_->Wait(std::chrono::milliseconds(-1));
      if (done.ok())
        return std::move(done.value());
    }
  }
  std::vector<pollfd> table;
  const int launcher_fd = launcher_->PollFd().value();
  while (!Collect(&build)) {
    table.clear();
    table.push_back({launcher_fd, POLLIN, 0});
    server_->Watch(&table);
    if (poll(table.data(), table.size(), -1) > 0)
      server_->Serve(table.data() + 1);
  }
  if (options_.stats)
    ReadNotes();
  return build;
}

/// What clients have said that have ended before the build: nobody waits for a
/// Note to be read.
void Wrapper::ReadNotes() {
  constexpr int kEnough = 1000;
  std::vector<pollfd> table;
  for (int i = 0; i < kEnough; ++i) {
    table.clear();
    server_->Watch(&table);
    if (poll(table.data(), table.size(), 0) <= 0)
      return;
    server_->Serve(table.data());
  }
}

void Wrapper::PrintStatistics() const {
  if (!server_)
    return;
  const Server::Counters& counters = server_->counters();
  const launcher::Statistics statistics = launcher_->statistics();
  const Reasons in_place = Sort(counters.in_place);
  const Reasons shell = Sort(counters.shell);
  const unsigned long long in_place_count = Count(in_place);
  const unsigned long long shell_count = Count(shell);
  fprintf(stderr,
          "launcherd: %llu lines: %llu warm, %llu in place, %llu by the "
          "shell\n",
          counters.warm + in_place_count + shell_count,
          static_cast<unsigned long long>(counters.warm), in_place_count,
          shell_count);
  fprintf(stderr,
          "launcherd: %.3f s of CPU time not spent on loading; %llu programs "
          "parked\n",
          std::chrono::duration<double>(statistics.warm_saved).count(),
          static_cast<unsigned long long>(statistics.warm_parked));
  for (const auto& [count, reason] : in_place)
    fprintf(stderr, "launcherd: in place %llu: %s\n",
            static_cast<unsigned long long>(count), reason.c_str());
  for (const auto& [count, reason] : shell)
    fprintf(stderr, "launcherd: by the shell %llu: %s\n",
            static_cast<unsigned long long>(count), reason.c_str());
  for (const std::string& never : statistics.never_warm)
    fprintf(stderr, "launcherd: never warm: %s\n", never.c_str());
}

int Wrapper::Run(char** argv) {
  if (Result<void> served = StartServer(); !served.ok())
    Warn(served.error().ToString() + "; '" + argv[0] +
         "' runs as without launcherd");
  // A signal that comes now waits until there is a build to have it, which
  // starts with the mask that its Launcher was created under.
  sigset_t all, mask;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, &mask);
  CatchSignals();
  Result<void> started = StartBuild(argv);
  sigprocmask(SIG_SETMASK, &mask, nullptr);
  Finished build;
  if (started.ok())
    build = Await();
  else
    build.cause = Finished::Cause::kNotStarted;
  if (build.cause == Finished::Cause::kNotStarted) {
    const Error& error = started.ok() ? build.error : started.error();
    Warn(error.ToString() + "; nothing has been run");
    return error.code == ENOENT ? 127 : 126;
  }
  if (options_.stats)
    PrintStatistics();
  if (build.cause == Finished::Cause::kSignaled) {
    launcher_.reset();  // Ends the jobs of clients that have died with it.
    DieOf(build.code);
  }
  if (build.cause == Finished::Cause::kLost) {
    Warn("how '" + std::string(argv[0]) +
         "' has ended cannot be known: "
         "SIGCHLD is ignored");
    return 125;
  }
  return build.code;
}

}  // namespace

int Wrap(char** argv, const WrapOptions& wrap) {
  Result<Launcher::Options> options = Launcher::Options::FromEnvironment();
  if (!options.ok()) {
    Warn(options.error().ToString());
    return 2;
  }
  char directory[PATH_MAX];
  const std::string here =
      getcwd(directory, sizeof(directory)) ? directory : "";
  const time_t start = time(nullptr);
  // To ask for a launch and to wait for its end takes about 400 us of CPU time.
  options.value().warm_least = std::chrono::milliseconds(1);
  options.value().may_park = [here, start](const std::string& path) {
    return MayPark(path, here, start);
  };
  Result<std::unique_ptr<Launcher>> launcher =
      Launcher::Create(std::move(options.value()));
  if (!launcher.ok()) {
    Warn(launcher.error().ToString());
    return 2;
  }
  Wrapper wrapper(std::move(launcher.value()), wrap);
  int status = wrapper.Run(argv);
  // Without the destructors: jobs that outlive the build, as a build may leave
  // them behind, are not to be killed.
  fflush(nullptr);
  _exit(status);
}

}  // namespace launcherd
