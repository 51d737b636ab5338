// SPDX-License-Identifier: Apache-2.0

#include "serve.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "die_of.h"
#include "json_rpc.h"
#include "launch_params.h"
#include "launcher/launcher.h"
#include "result_json.h"

namespace launcherd {

namespace {

using launcher::ChildId;
using launcher::Error;
using launcher::Finished;
using launcher::Launcher;
using launcher::Result;

// While more than this waits to be read by the client no request is read.
constexpr size_t kMostPending = 1024 * 1024;

constexpr size_t kReadSize = 64 * 1024;

volatile sig_atomic_t ended_by = 0;

void OnSignal(int signal) { ended_by = signal; }

/// One request "launch" that has not been answered to the end.
struct Launch {
  Json id;  ///< Of the request; the name of the launch.
  bool wait = true;
  ChildId child{};
};

class Server {
 public:
  Server(std::unique_ptr<Launcher> launcher, const ServeOptions& options)
      : launcher_(std::move(launcher)),
        options_(options),
        reader_(options.message_limit),
        writer_(STDOUT_FILENO) {}

  /// Until the client is gone, or a signal has come.
  Result<void> Run(const sigset_t& mask);

 private:
  void HandleLine(std::string_view line);
  void HandleRequest(const RpcRequest& request);
  Json OnLaunch(const RpcRequest& request);
  Json OnKill(const RpcRequest& request);
  Json OnPrepare(const RpcRequest& request);
  Json OnStatistics(const RpcRequest& request);
  void Collect();
  void End(const Json& id, bool wait, const Finished& finished);
  bool ReadInput();

  std::unique_ptr<Launcher> launcher_;
  ServeOptions options_;
  LineReader reader_;
  LineWriter writer_;
  /// By their ids as JSON: "1" and 1 are two.
  std::unordered_map<std::string, std::unique_ptr<Launch>> launches_;
  std::unique_ptr<char[]> buffer_{new char[kReadSize]};
};

Json Refuse(const RpcRequest& request, RpcError code, const std::string& why) {
  return RpcFailure(request.id, code, why);
}

Json RefuseFor(const RpcRequest& request, const Error& error) {
  Json answer = Refuse(request, RpcError::kFailed, error.ToString());
  answer["error"]["data"] = ErrorToJson(error);
  return answer;
}

/// Null: the answer comes when it has ended.
Json Server::OnLaunch(const RpcRequest& request) {
  if (request.id.is_null())
    return Refuse(request, RpcError::kInvalidRequest,
                  "\"launch\" needs an id: it is the name of the launch");
  if (launches_.contains(ToLine(request.id)))
    return Refuse(request, RpcError::kInvalidRequest,
                  "a launch of this id is running");
  if (launches_.size() >= options_.launch_limit)
    return Refuse(request, RpcError::kTooMany,
                  std::to_string(launches_.size()) + " launches are running");
  LaunchParams params;
  if (std::string wrong = params.Read(request.params); !wrong.empty())
    return Refuse(request, RpcError::kInvalidParams, wrong);

  auto launch = std::make_unique<Launch>();
  launch->id = request.id;
  launch->wait = params.wait();
  if (!launch->wait)
    writer_.Add(RpcResult(request.id, {{"launch", request.id}}));
  params.command().tag = launch.get();
  Result<void> ready = params.MakeInput();
  Result<ChildId> child =
      !ready.ok()     ? ready.error()
      : params.line() ? launcher_->SpawnLine(params.line(), params.command())
                      : launcher_->Spawn(params.command());
  if (!child.ok()) {
    End(launch->id, launch->wait, NotStarted(child.error()));
    return {};
  }
  launch->child = child.value();
  launches_.emplace(ToLine(request.id), std::move(launch));
  return {};
}

void Server::End(const Json& id, bool wait, const Finished& finished) {
  Json result = ResultToJson(finished);
  writer_.Add(wait ? RpcResult(id, std::move(result))
                   : RpcNotification("ended", {{"launch", id},
                                               {"result", std::move(result)}}));
}

Json Server::OnKill(const RpcRequest& request) {
  int signal = SIGKILL;
  const Json* launch = nullptr;
  for (const auto& [name, value] : request.params.items()) {
    if (name == "launch") {
      launch = &value;
      continue;
    }
    const std::optional<int> read =
        name == "signal" ? ReadSignal(value) : std::nullopt;
    if (!read)
      return Refuse(request, RpcError::kInvalidParams,
                    name == "signal" ? "\"signal\": no such signal"
                                     : "\"" + name + "\" is not known");
    signal = *read;
  }
  if (!launch)
    return Refuse(request, RpcError::kInvalidParams, "\"launch\" is missing");
  auto found = launches_.find(ToLine(*launch));
  if (found == launches_.end())
    return Refuse(request, RpcError::kNoSuchLaunch,
                  "no such launch is running");
  Result<void> killed = launcher_->Kill(found->second->child, signal);
  // It has ended and is about to be collected.
  if (!killed.ok() && killed.error().code == ESRCH)
    return Refuse(request, RpcError::kNoSuchLaunch,
                  "no such launch is running");
  if (!killed.ok())
    return RefuseFor(request, killed.error());
  return RpcResult(request.id, nullptr);
}

Json Server::OnPrepare(const RpcRequest& request) {
  LaunchParams params;
  if (std::string wrong = params.ReadPrepare(request.params); !wrong.empty())
    return Refuse(request, RpcError::kInvalidParams, wrong);
  Result<void> prepared = launcher_->Prepare(params.command());
  if (prepared.ok())
    return RpcResult(request.id, {{"warm", true}, {"reason", nullptr}});
  // It can be launched all the same.
  const Error& error = prepared.error();
  if (std::string_view(error.step) == "warm")
    return RpcResult(
        request.id,
        {{"warm", false},
         {"reason", error.code == EPERM ? error.object : error.ToString()}});
  return RefuseFor(request, error);
}

Json Server::OnStatistics(const RpcRequest& request) {
  if (!request.params.empty())
    return Refuse(request, RpcError::kInvalidParams,
                  "\"statistics\" has no parameters");
  const launcher::Statistics counts = launcher_->statistics();
  return RpcResult(request.id,
                   {{"launches", counts.launches},
                    {"running", launches_.size()},
                    {"failed", counts.failed},
                    {"deferred", counts.deferred},
                    {"template_hits", counts.template_hits},
                    {"template_misses", counts.template_misses},
                    {"template_stale", counts.template_stale},
                    {"template_evictions", counts.template_evictions},
                    {"warm_launches", counts.warm_launches},
                    {"warm_saved_us", counts.warm_saved.count() / 1000},
                    {"warm_parked", counts.warm_parked},
                    {"warm_processes", counts.warm_processes},
                    {"warm_private_kib", counts.warm_private_kib},
                    {"never_warm", counts.never_warm},
                    {"refusals", counts.refusals}});
}

void Server::HandleRequest(const RpcRequest& request) {
  Json answer;
  if (request.method == "launch")
    answer = OnLaunch(request);
  else if (request.method == "kill")
    answer = OnKill(request);
  else if (request.method == "prepare")
    answer = OnPrepare(request);
  else if (request.method == "statistics")
    answer = OnStatistics(request);
  else
    answer = Refuse(request, RpcError::kMethodNotFound,
                    "launch, kill, prepare and statistics are known");
  // What a notification comes to is not told, but a launch must have an id.
  if (!answer.is_null() &&
      (!request.id.is_null() || request.method == "launch"))
    writer_.Add(answer);
}

void Server::HandleLine(std::string_view line) {
  RpcRequest request;
  Json answer;
  if (ReadRequest(line, &request, &answer))
    HandleRequest(request);
  else
    writer_.Add(answer);
}

void Server::Collect() {
  for (;;) {
    Result<Finished> done = launcher_->Wait(std::chrono::milliseconds(0));
    if (!done.ok() && done.error().code == EINTR)
      continue;
    if (!done.ok())
      return;
    const auto* launch = static_cast<const Launch*>(done.value().tag);
    End(launch->id, launch->wait, done.value());
    launches_.erase(ToLine(launch->id));
  }
}

/// False at the end.
bool Server::ReadInput() {
  const ssize_t size = read(STDIN_FILENO, buffer_.get(), kReadSize);
  if (size < 0)
    return errno == EAGAIN || errno == EINTR;
  reader_.Feed(
      {buffer_.get(), static_cast<size_t>(size)},
      [this](std::string_view line) { HandleLine(line); },
      [this] {
        writer_.Add(RpcFailure(nullptr, RpcError::kInvalidRequest,
                               "a message of more than " +
                                   std::to_string(options_.message_limit) +
                                   " bytes"));
      });
  return size > 0;
}

Result<void> Server::Run(const sigset_t& mask) {
  Result<int> fd = launcher_->PollFd();
  if (!fd.ok())
    return fd.error();
  for (;;) {
    Collect();
    if (!writer_.Flush() || ended_by != 0)
      return {};
    // An end of file is told in any case.
    const bool reads = writer_.pending() <= kMostPending;
    const short in = reads ? POLLIN : 0;
    const short out = writer_.pending() > 0 ? POLLOUT : 0;
    pollfd table[] = {{STDIN_FILENO, in, 0},
                      {STDOUT_FILENO, out, 0},
                      {fd.value(), POLLIN, 0}};
    if (ppoll(table, 3, nullptr, &mask) < 0)
      continue;
    if (table[1].revents & (POLLERR | POLLHUP | POLLNVAL))
      return {};
    if (reads ? table[0].revents != 0 && !ReadInput()
              : (table[0].revents & (POLLERR | POLLHUP)) != 0)
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
  {
    Server server(std::move(launcher.value()), options);
    if (Result<void> served = server.Run(mask); !served.ok())
      return Fail(served.error(), 1);
  }
  if (ended_by != 0)
    DieOf(ended_by);
  return 0;
}

}  // namespace launcherd
