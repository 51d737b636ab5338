// SPDX-License-Identifier: Apache-2.0

#include "serve.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <utility>

#include "die_of.h"
#include "launcher/launcher.h"
#include "result_json.h"
#include "serve_client.h"

namespace launcherd {

namespace {

using launcher::Error;
using launcher::Finished;
using launcher::Launcher;
using launcher::Result;

volatile sig_atomic_t ended_by = 0;

void OnSignal(int signal) { ended_by = signal; }

/// Collects what has ended, for whichever client it was.
void Collect(Launcher* launcher) {
  for (;;) {
    Result<Finished> done = launcher->Wait(std::chrono::milliseconds(0));
    if (done.ok())
      ServeClient::OnFinished(done.value());
    else if (done.error().code != EINTR)
      return;
  }
}

/// Serves standard input and output until the client is gone, or a signal has
/// come.
Result<void> ServeStdio(ServeClient::Shared* shared, const sigset_t& mask) {
  Result<int> fd = shared->launcher->PollFd();
  if (!fd.ok())
    return fd.error();
  ServeClient client(shared, STDIN_FILENO, STDOUT_FILENO);
  for (;;) {
    Collect(shared->launcher);
    if (!client.Flush() || ended_by != 0)
      return {};
    pollfd table[] = {{}, {}, {fd.value(), POLLIN, 0}};
    client.Watch(table);
    if (ppoll(table, 3, nullptr, &mask) >= 0 && !client.Serve(table))
      return {};
  }
}

/// Blocks the signals that end us, but for the wait, and SIGPIPE: a client that
/// is gone shows as an error. Nothing is ignored that was not: children inherit
/// that. Returns the mask of the wait.
sigset_t CatchSignals() {
  sigset_t set, mask;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  for (int signal : {SIGHUP, SIGINT, SIGQUIT, SIGTERM})
    sigaddset(&set, signal);
  sigprocmask(SIG_BLOCK, &set, &mask);
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  for (int signal : {SIGHUP, SIGINT, SIGQUIT, SIGTERM}) {
    struct sigaction old;
    if (sigaction(signal, nullptr, &old) == 0 && old.sa_handler != SIG_IGN)
      sigaction(signal, &action, nullptr);
    sigdelset(&mask, signal);
  }
  sigaddset(&mask, SIGPIPE);
  return mask;
}

int Fail(const Error& error, int status) {
  fprintf(stderr, "launcherd: %s\n", error.ToString().c_str());
  return status;
}

}  // namespace

void AddServeOptions(CLI::App* app, ServeOptions* options) {
  app->add_option("--message-limit", options->message_limit,
                  "longest message that is read")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40))
      ->type_name("BYTES")
      ->capture_default_str();
  app->add_option("--launch-limit", options->launch_limit,
                  "launches at the same time")
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000}))
      ->type_name("N")
      ->capture_default_str();
}

int Serve(const ServeOptions& options) {
  Result<Launcher::Options> set = Launcher::Options::FromEnvironment();
  if (!set.ok())
    return Fail(set.error(), 2);
  if (set.value().drain < std::chrono::milliseconds::zero())
    set.value().drain = kDefaultDrain;
  set.value().raise_fd_limit = true;
  Result<std::unique_ptr<Launcher>> launcher =
      Launcher::Create(std::move(set.value()));
  if (!launcher.ok())
    return Fail(launcher.error(), 1);
  // Programs start with the mask that the Launcher was created under.
  const sigset_t mask = CatchSignals();
  ServeClient::Shared shared{launcher.value().get(), options};
  Result<void> served = ServeStdio(&shared, mask);
  launcher.value().reset();  // Kills what runs.
  if (!served.ok())
    return Fail(served.error(), 1);
  if (ended_by != 0)
    DieOf(ended_by);
  return 0;
}

}  // namespace launcherd
