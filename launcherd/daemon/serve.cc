// SPDX-License-Identifier: Apache-2.0

#include "serve.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "die_of.h"
#include "launcher/launcher.h"
#include "result_json.h"
#include "serve_client.h"
#include "serve_socket.h"

namespace launcherd {

namespace {

using launcher::Error;
using launcher::Fd;
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

/// False: a signal has come.
Result<bool> Poll(std::vector<pollfd>* table, const sigset_t& mask) {
  if (ppoll(table->data(), table->size(), nullptr, &mask) >= 0)
    return true;
  if (errno == EINTR)
    return false;
  return Error{errno, "ppoll", ""};
}

/// Serves standard input and output until the client is gone, or a signal has
/// come.
Result<void> ServeStdio(ServeClient::Shared* shared, const sigset_t& mask) {
  Result<int> fd = shared->launcher->PollFd();
  if (!fd.ok())
    return fd.error();
  ServeClient client(shared, STDIN_FILENO, STDOUT_FILENO);
  std::vector<pollfd> table;
  for (;;) {
    Collect(shared->launcher);
    if (!client.Flush() || ended_by != 0)
      return {};
    table = {{fd.value(), POLLIN, 0}};
    client.Watch(&table);
    Result<bool> found = Poll(&table, mask);
    if (!found.ok())
      return found.error();
    if (found.value() && !client.Serve(table.data() + 1))
      return {};
  }
}

/// Standard input of a server with a socket: a pipe of whoever has started it
/// ends with that process. Negative: something that says nothing of it.
int LifeLine() {
  struct stat status;
  const bool tells = fstat(STDIN_FILENO, &status) == 0 &&
                     (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode));
  return tells ? STDIN_FILENO : -1;
}

/// False: it has ended.
bool ReadLifeLine(int fd) {
  char ignored[256];
  const ssize_t size = read(fd, ignored, sizeof(ignored));
  return size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR));
}

/// One connection.
struct Connection {
  Connection(ServeClient::Shared* shared, Fd connected)
      : fd(std::move(connected)), client(shared, fd.get(), fd.get()) {}

  Fd fd;  ///< Empty once it is gone, while launches of it are being ended.
  ServeClient client;

  void Close() {
    client.Abandon();
    fd.Reset();
  }
};

/// Serves whoever connects, until the life line has ended, or a signal has
/// come.
Result<void> ServeConnections(ServeClient::Shared* shared,
                              const ServeSocket& listener,
                              const sigset_t& mask) {
  Result<int> events = shared->launcher->PollFd();
  if (!events.ok())
    return events.error();
  const int life_line = LifeLine();
  std::list<Connection> connections;
  std::vector<pollfd> table;
  short accepts = POLLIN;
  for (;;) {
    Collect(shared->launcher);
    for (Connection& one : connections)
      if (one.fd && !one.client.Flush())
        one.Close();
    connections.remove_if([](const Connection& one) {
      return !one.fd && !one.client.HasLaunches();
    });
    if (ended_by != 0)
      return {};

    table = {{events.value(), POLLIN, 0},
             {life_line, POLLIN, 0},
             {listener.fd(), accepts, 0}};
    for (const Connection& one : connections)
      if (one.fd)
        one.client.Watch(&table);
    Result<bool> polled = Poll(&table, mask);
    if (!polled.ok())
      return polled.error();
    if (!polled.value())
      continue;
    if (table[1].revents != 0 && !ReadLifeLine(life_line))
      return {};
    const pollfd* found = table.data() + 3;
    for (Connection& one : connections) {
      if (!one.fd)
        continue;
      if (!one.client.Serve(found))
        one.Close();
      found += one.client.Watched();
    }
    accepts = POLLIN;
    if (table[2].revents == 0)
      continue;
    Result<Fd> client = listener.Accept();
    if (!client.ok())
      accepts = 0;  // In want of descriptors: when something else has happened.
    else if (client.value())
      connections.emplace_back(shared, std::move(client.value()));
  }
}

Result<void> ServeOn(const std::string& path, ServeClient::Shared* shared,
                     const sigset_t& mask) {
  Result<ServeSocket> socket = ServeSocket::Create(path);
  if (!socket.ok())
    return socket.error();
  printf("%s\n",
         ToLine(RpcNotification("listening", {{"socket", path}})).c_str());
  fflush(stdout);
  return ServeConnections(shared, socket.value(), mask);
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
  app->add_option("--socket", options->socket,
                  "serve those who connect to it, not stdin and stdout")
      ->type_name("PATH");
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
  Result<void> served = options.socket.empty()
                            ? ServeStdio(&shared, mask)
                            : ServeOn(options.socket, &shared, mask);
  launcher.value().reset();  // Kills what runs.
  if (!served.ok())
    return Fail(served.error(), 1);
  if (ended_by != 0)
    DieOf(ended_by);
  return 0;
}

}  // namespace launcherd
