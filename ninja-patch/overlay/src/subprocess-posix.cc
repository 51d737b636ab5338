// SPDX-License-Identifier: Apache-2.0

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <chrono>

#include "launch_tool.h"
#include "launcher/launcher.h"
#include "metrics.h"
#include "subprocess.h"
#include "util.h"

using launcher::Finished;
using launcher::Launcher;
using launcher::Result;

namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kForever{-1};

// timeout(1) signals its child and then the whole group, a terminal that goes
// away both through the shell and by itself: signals that come together are one
// interrupt.
constexpr std::chrono::milliseconds kOneInterrupt{100};

// The first three are caught. SIGCHLD gets its default action, in case Ninja
// was started with it ignored: that would lose the exit status of the jobs.
constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD};
constexpr size_t kCaught = 3;

void SetAction(int signal, const struct sigaction* action,
               struct sigaction* old) {
  if (sigaction(signal, action, old) < 0)
    Fatal("sigaction: %s", strerror(errno));
}

/// The beginning of a command, for a message of one line.
std::string Brief(const std::string& command) {
  constexpr size_t kMost = 60;
  std::string brief = command.substr(0, command.find('\n'));
  if (brief.size() > kMost)
    brief.resize(kMost);
  return brief.size() < command.size() ? brief + "..." : brief;
}

void WarnHeld(const launcher::Held& held, const std::string& command) {
  std::string holder = "a process that cannot be seen";
  if (held.pid != 0)
    holder = "pid " + std::to_string(held.pid) + " (" + held.comm + ")";
  Warning("'%s' has ended, but its output is still held by %s",
          Brief(command).c_str(), holder.c_str());
}

}  // namespace

void Subprocess::NotStarted(const launcher::Error& error) {
  output_ += "ninja: cannot start the command: " + error.ToString();
  if (error.code == E2BIG) {
    output_ += "; the command has " + std::to_string(command_.size()) +
               " bytes, use a response file (rspfile)";
  }
  output_ += "\n";
}

void Subprocess::Ended(Finished* result) {
  output_ = std::move(result->output);
  if (g_explain_launch && !result->shell_reason.empty())
    fprintf(stderr, "ninja launch: shell, %s: %s\n",
            result->shell_reason.c_str(), Brief(command_).c_str());
  switch (result->cause) {
    case Finished::Cause::kExited:
      exit_status_ = static_cast<ExitStatus>(result->code);
      return;
    case Finished::Cause::kSignaled:
      if (result->code == SIGINT || result->code == SIGTERM ||
          result->code == SIGHUP) {
        exit_status_ = ExitInterrupted;
        return;
      }
      // Upstream adds 128 to the status as wait(2) gives it, in which bit 7
      // stands for a core dump.
      exit_status_ = static_cast<ExitStatus>(128 + result->code +
                                             (result->core_dumped ? 0x80 : 0));
      return;
    case Finished::Cause::kNotStarted:
      NotStarted(result->error);
      return;
    case Finished::Cause::kLost:
      output_ += "ninja: the exit status of this command has been lost\n";
      return;
  }
}

volatile sig_atomic_t SubprocessSet::interrupted_;

SubprocessSet::SubprocessSet() {
  Result<Launcher::Options> options = Launcher::Options::FromEnvironment();
  if (!options.ok())
    Fatal("%s", options.error().ToString().c_str());
  options.value().raise_fd_limit = true;
  options.value().host_keeps_state = true;
  options.value().on_held = [](const launcher::Held& held) {
    WarnHeld(held, static_cast<Subprocess*>(held.tag)->command_);
  };
  options.value().may_park = [](const std::string& path) {
    return !MayBeOutput(path);
  };
  // Before the signals are blocked: the jobs get the mask that is set now.
  Result<std::unique_ptr<Launcher>> made = Launcher::Create(options.value());
  if (!made.ok())
    Fatal("%s", made.error().ToString().c_str());
  launcher_ = std::move(made.value());
  SetSignals();
}

SubprocessSet::~SubprocessSet() {
  Clear();
  if (IsInterrupted())
    HandlePendingInterruption();  // Of that interrupt too: not to end by it.
  RestoreSignals();
  if (g_metrics)
    PrintStatistics();
}

void SubprocessSet::SetSignals() {
  sigset_t caught;
  sigemptyset(&caught);
  for (size_t i = 0; i < kCaught; ++i)
    sigaddset(&caught, kSignals[i]);
  if (sigprocmask(SIG_BLOCK, &caught, &old_mask_) < 0)
    Fatal("sigprocmask: %s", strerror(errno));

  struct sigaction action;
  memset(&action, 0, sizeof(action));
  action.sa_handler = SetInterruptedFlag;
  for (size_t i = 0; i < kCaught; ++i)
    SetAction(kSignals[i], &action, &old_actions_[i]);
  action.sa_handler = SIG_DFL;
  SetAction(kSignals[kCaught], &action, &old_actions_[kCaught]);
}

void SubprocessSet::RestoreSignals() {
  for (size_t i = 0; i <= kCaught; ++i)
    SetAction(kSignals[i], &old_actions_[i], nullptr);
  if (sigprocmask(SIG_SETMASK, &old_mask_, nullptr) < 0)
    Fatal("sigprocmask: %s", strerror(errno));
}

void SubprocessSet::HandlePendingInterruption() {
  sigset_t pending;
  if (sigpending(&pending) < 0)
    return;
  // Accepted, not only looked at: left pending it would count as a second
  // interrupt in Clear(), or end Ninja once its handler is gone.
  for (size_t i = kCaught; i-- > 0;) {
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, kSignals[i]);
    const timespec now = {};
    if (sigismember(&pending, kSignals[i]) &&
        sigtimedwait(&one, nullptr, &now) > 0)
      interrupted_ = kSignals[i];
  }
}

Subprocess* SubprocessSet::Add(const std::string& command, bool use_console) {
  Subprocess* subprocess = new Subprocess(command, use_console);
  launcher::Command job = JobSurroundings(use_console);
  job.tag = subprocess;
  Result<launcher::ChildId> child = launcher_->SpawnLine(command.c_str(), job);
  if (child.ok()) {
    subprocess->child_ = static_cast<uint64_t>(child.value());
  } else {
    subprocess->NotStarted(child.error());
    not_started_.push_back(subprocess);
  }
  subprocess->place_ = running_.size();
  running_.push_back(subprocess);
  return subprocess;
}

void SubprocessSet::MoveToFinished(Subprocess* subprocess) {
  subprocess->done_ = true;
  Subprocess* last = running_.back();
  running_[subprocess->place_] = last;
  last->place_ = subprocess->place_;
  running_.pop_back();
  finished_.push(subprocess);
}

bool SubprocessSet::DoWork() {
  interrupted_ = 0;
  if (!not_started_.empty()) {
    for (Subprocess* subprocess : not_started_)
      MoveToFinished(subprocess);
    not_started_.clear();
  } else {
    Result<Finished> result = launcher_->Wait(kForever, &old_mask_);
    if (result.ok()) {
      auto* subprocess = static_cast<Subprocess*>(result.value().tag);
      subprocess->Ended(&result.value());
      MoveToFinished(subprocess);
    } else if (result.error().code != EINTR) {
      Fatal("%s", result.error().ToString().c_str());
    }
  }
  HandlePendingInterruption();
  return IsInterrupted();
}

Subprocess* SubprocessSet::NextFinished() {
  if (finished_.empty())
    return nullptr;
  Subprocess* subprocess = finished_.front();
  finished_.pop();
  return subprocess;
}

void SubprocessSet::Clear() {
  auto kill_jobs = [this](int signal, bool console_too) {
    for (Subprocess* subprocess : running_)
      if (console_too || !subprocess->use_console_)
        (void)launcher_->Kill(launcher::ChildId{subprocess->child_}, signal);
  };
  int signal = interrupted_;
  auto passed_on = steady_clock::now();
  kill_jobs(0, true);  // Drops those that still wait to be started.
  if (signal != 0)
    kill_jobs(signal, false);
  for (Subprocess* subprocess : running_)
    (void)launcher_->DropOutput(launcher::ChildId{subprocess->child_});

  while (launcher_->children() > 0) {
    interrupted_ = 0;
    (void)launcher_->Wait(kForever, &old_mask_);
    HandlePendingInterruption();
    if (!IsInterrupted())
      continue;
    if (signal == 0) {
      signal = interrupted_;
      passed_on = steady_clock::now();
      kill_jobs(signal, false);
    } else if (steady_clock::now() - passed_on > kOneInterrupt) {
      kill_jobs(SIGKILL, true);  // The user will not wait.
    }
  }
  interrupted_ = signal;

  for (Subprocess* subprocess : running_)
    delete subprocess;
  running_.clear();
  not_started_.clear();
}

void SubprocessSet::PrintStatistics() const {
  launcher::Statistics statistics = launcher_->statistics();
  printf(
      "launcher: engine %s, %llu launches (%llu with the shell), %llu failed, "
      "%llu deferred, "
      "templates %llu found %llu made %llu stale%s%s\n",
      launcher::EngineName(launcher_->engine()),
      static_cast<unsigned long long>(statistics.launches),
      static_cast<unsigned long long>(statistics.shells),
      static_cast<unsigned long long>(statistics.failed),
      static_cast<unsigned long long>(statistics.deferred),
      static_cast<unsigned long long>(statistics.template_hits),
      static_cast<unsigned long long>(statistics.template_misses),
      static_cast<unsigned long long>(statistics.template_stale),
      statistics.refusals.empty() ? "" : ", refused: ",
      statistics.refusals.c_str());
  printf(
      "launcher: %llu warm, %llu programs parked (%llu KiB), %llu stale, "
      "%llu evicted, %llu died\n",
      static_cast<unsigned long long>(statistics.warm_launches),
      static_cast<unsigned long long>(statistics.warm_parked),
      static_cast<unsigned long long>(statistics.warm_private_kib),
      static_cast<unsigned long long>(statistics.warm_stale),
      static_cast<unsigned long long>(statistics.warm_evictions),
      static_cast<unsigned long long>(statistics.warm_deaths));
  for (const std::string& reason : statistics.never_warm)
    printf("launcher: never warm: %s\n", reason.c_str());
}
