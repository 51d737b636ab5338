// SPDX-License-Identifier: Apache-2.0

#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string_view>

#include "client_state.h"

namespace launcherd {

namespace {

using launcher::Answer;
using launcher::Fd;
using launcher::Finished;
using launcher::Result;

constexpr char kNotYet[] = "no warm template (yet)";

/// `descriptor` goes with it, unless negative. The client may be gone: then
/// its connection says so next.
void Send(int socket, const Answer& answer, int descriptor = -1) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  Answer copy = answer;
  iovec data = {&copy, sizeof(copy)};
  msghdr header = {};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  if (descriptor >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(rights), &descriptor, sizeof(descriptor));
  }
  ssize_t sent;
  do {
    sent = sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
}

/// What only the client can tell of itself.
std::string DifferentOwnState(const launcher::Hello& hello) {
  constexpr const char* kNames[launcher::kOwnStates] = {
      "timer slack",
      "securebits",
      "memory error policy",
      "personality",
      "memory policy",
      "memory policy",
      "parent death signal or subreaper",
      "session keyring"};
  uint64_t own[launcher::kOwnStates];
  launcher::ReadOwnState(own);
  for (int i = 0; i < launcher::kOwnStates; ++i)
    if (own[i] != hello.own[i])
      return kNames[i];
  return "";
}

}  // namespace

void Server::Watch(std::vector<pollfd>* table) {
  table->push_back({endpoint_.socket.get(), POLLIN, 0});
  watched_.clear();
  for (auto at = connections_.begin(); at != connections_.end(); ++at) {
    // One whose client is gone waits for the end of its job alone.
    if (!at->socket)
      continue;
    table->push_back({at->socket.get(), POLLIN, 0});
    watched_.push_back(at);
  }
}

void Server::Serve(const pollfd* table) {
  for (size_t i = 0; i < watched_.size(); ++i) {
    if (!table[i + 1].revents)
      continue;
    Connections::iterator connection = watched_[i];
    if (OnReadable(&*connection))
      continue;
    connection->socket.Reset();
    if (!connection->has_job)
      connections_.erase(connection);
  }
  if (table[0].revents)
    Accept();
}

void Server::Accept() {
  for (;;) {
    if (!spare_)
      spare_.Reset(open("/dev/null", O_PATH | O_CLOEXEC));
    Fd socket(accept4(endpoint_.socket.get(), nullptr, nullptr,
                      SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket && (errno == EMFILE || errno == ENFILE) && spare_) {
      TurnAway();
      continue;
    }
    if (!socket)
      return;
    ucred peer = {};
    socklen_t size = sizeof(peer);
    if (getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
        peer.uid != geteuid() || peer.pid <= 0)
      continue;
    connections_.push_back({std::move(socket), peer.pid});
  }
}

/// There is no descriptor left for a client: at the end of file it goes on by
/// itself.
void Server::TurnAway() {
  spare_.Reset();
  Fd(accept4(endpoint_.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
  ++counters_.in_place["too many descriptors"];
}

bool Server::OnReadable(Connection* connection) {
  Message message;
  int received = ReceiveMessage(connection->socket.get(), &message);
  if (received == 0)
    return true;
  // With a job there is nothing more to say.
  if (received < 0 || connection->has_job) {
    if (connection->has_job)
      (void)launcher_->Kill(connection->job, SIGKILL);
    return false;
  }
  if (std::string reason; ReadNote(message, endpoint_.cookie, &reason)) {
    constexpr size_t kMostReasons = 64;
    ++counters_.shell[counters_.shell.size() < kMostReasons ||
                              counters_.shell.contains(reason)
                          ? reason
                          : "other reasons"];
    return false;
  }
  std::string why = Launch(connection, &message);
  if (why.empty())
    return true;
  ++counters_.in_place[why];
  Send(connection->socket.get(), {Answer::kInPlace});
  return false;
}

/// Returns why the client has to run it itself, or an empty text.
std::string Server::Launch(Connection* connection, Message* message) {
  Request request;
  std::string why = ReadRequest(message, endpoint_.cookie, &request);
  if (!why.empty())
    return why;
  IgnoredSignals ignored;
  why = DifferentOwnState(request.hello);
  if (why.empty())
    why = DifferentState(connection->pid, &ignored);
  if (!why.empty())
    return "other than launcherd: " + why;
  if (ignored.own != ignored.other) {
    request.actions.push_back(
        launcher::Action::SignalDefault(ToSigset(ignored.own)));
    request.actions.push_back(
        launcher::Action::SignalIgnore(ToSigset(ignored.other)));
  }
  request.command.actions = request.actions;
  request.command.group = launcher::Command::Group::kJoin;
  request.command.pgid = getpgid(connection->pid);
  request.command.tag = connection;
  if (request.command.pgid <= 0)
    return "the client is gone";

  Send(connection->socket.get(), {Answer::kLaunching});
  Result<launcher::ChildId> started = launcher_->Spawn(request.command);
  if (!started.ok())
    return OnRefused(request.path, started.error());
  refused_.erase(request.path);
  connection->has_job = true;
  connection->job = started.value();
  // None if it has failed meanwhile: OnFinished() says so.
  Result<Fd> pidfd = launcher_->OpenPidfd(connection->job);
  if (pidfd.ok())
    Send(connection->socket.get(), {Answer::kLaunched}, pidfd.value().get());
  return "";
}

/// Returns why it has been refused.
std::string Server::OnRefused(const std::string& path,
                              const launcher::Error& error) {
  if (std::string_view(error.step) != "warm")
    return error.ToString();
  // One that comes with another environment each time is never worth it.
  constexpr int kEnough = 64;
  if (error.code == EPERM || ++refused_[path] == kEnough)
    endpoint_.Hint(path.c_str());
  return error.code == EPERM ? error.object : kNotYet;
}

void Server::OnFinished(const Finished& done) {
  auto* ended = static_cast<Connection*>(done.tag);
  Answer answer = {};
  switch (done.cause) {
    case Finished::Cause::kExited:
      answer = {Answer::kExited, done.code};
      ++counters_.warm;
      break;
    case Finished::Cause::kSignaled:
      answer = {Answer::kSignaled, done.code, done.core_dumped};
      ++counters_.warm;
      break;
    case Finished::Cause::kNotStarted:
      answer = {Answer::kInPlace};
      ++counters_
            .in_place[done.error.code == ENOTSUP ? kNotYet : done.error.step];
      break;
    case Finished::Cause::kLost:
      // The end of file tells the client that nothing is known.
      break;
  }
  if (ended->socket && done.cause != Finished::Cause::kLost)
    Send(ended->socket.get(), answer);
  connections_.remove_if(
      [&](const Connection& connection) { return &connection == ended; });
}

}  // namespace launcherd
