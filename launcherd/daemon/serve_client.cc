// SPDX-License-Identifier: Apache-2.0

#include "serve_client.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include <optional>
#include <utility>

#include "launch_params.h"
#include "result_json.h"

namespace launcherd {

using launcher::ChildId;
using launcher::Error;
using launcher::Finished;
using launcher::Result;

namespace {

// While more than this waits to be read by the client no request is read.
constexpr size_t kMostPending = 1024 * 1024;

constexpr size_t kReadSize = 64 * 1024;

Json Refuse(const RpcRequest& request, RpcError code, const std::string& why) {
  return RpcFailure(request.id, code, why);
}

Json RefuseFor(const RpcRequest& request, const Error& error) {
  Json answer = Refuse(request, RpcError::kFailed, error.ToString());
  answer["error"]["data"] = ErrorToJson(error);
  return answer;
}

}  // namespace

/// One request "launch" that has not been answered to the end.
struct ServeClient::Launch {
  ServeClient* client;
  Json id;  ///< Of the request; the name of the launch.
  bool wait = true;
  ChildId child{};
};

ServeClient::ServeClient(Shared* shared, int in, int out)
    : shared_(shared),
      in_(in),
      out_(out),
      reader_(shared->options.message_limit),
      writer_(out) {}

ServeClient::~ServeClient() = default;

/// Null: the answer comes when it has ended.
Json ServeClient::OnLaunch(const RpcRequest& request) {
  if (request.id.is_null())
    return Refuse(request, RpcError::kInvalidRequest,
                  "\"launch\" needs an id: it is the name of the launch");
  if (launches_.contains(ToLine(request.id)))
    return Refuse(request, RpcError::kInvalidRequest,
                  "a launch of this id is running");
  if (shared_->running >= shared_->options.launch_limit)
    return Refuse(request, RpcError::kTooMany,
                  std::to_string(shared_->running) + " launches are running");
  LaunchParams params;
  if (std::string wrong = params.Read(request.params); !wrong.empty())
    return Refuse(request, RpcError::kInvalidParams, wrong);

  auto launch = std::make_unique<Launch>();
  launch->client = this;
  launch->id = request.id;
  launch->wait = params.wait();
  if (!launch->wait)
    writer_.Add(RpcResult(request.id, {{"launch", request.id}}));
  params.command().tag = launch.get();
  Result<void> ready = params.MakeInput();
  Result<ChildId> child =
      !ready.ok() ? ready.error()
      : params.line()
          ? shared_->launcher->SpawnLine(params.line(), params.command())
          : shared_->launcher->Spawn(params.command());
  if (!child.ok()) {
    End(*launch, NotStarted(child.error()));
    return {};
  }
  launch->child = child.value();
  ++shared_->running;
  launches_.emplace(ToLine(request.id), std::move(launch));
  return {};
}

void ServeClient::End(const Launch& launch, const Finished& finished) {
  if (gone_)
    return;
  Json result = ResultToJson(finished);
  if (launch.wait)
    writer_.Add(RpcResult(launch.id, std::move(result)));
  else
    Notify("ended", {{"launch", launch.id}, {"result", std::move(result)}});
}

void ServeClient::OnFinished(const Finished& finished) {
  const auto* launch = static_cast<const Launch*>(finished.tag);
  ServeClient* client = launch->client;
  client->End(*launch, finished);
  --client->shared_->running;
  client->launches_.erase(ToLine(launch->id));
}

void ServeClient::Abandon() {
  gone_ = true;
  for (const auto& [id, launch] : launches_)
    (void)shared_->launcher->Kill(launch->child, SIGKILL);
}

Json ServeClient::OnKill(const RpcRequest& request) {
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
  Result<void> killed = shared_->launcher->Kill(found->second->child, signal);
  // It has ended and is about to be collected.
  if (!killed.ok() && killed.error().code == ESRCH)
    return Refuse(request, RpcError::kNoSuchLaunch,
                  "no such launch is running");
  if (!killed.ok())
    return RefuseFor(request, killed.error());
  return RpcResult(request.id, nullptr);
}

Json ServeClient::OnPrepare(const RpcRequest& request) {
  LaunchParams params;
  if (std::string wrong = params.ReadPrepare(request.params); !wrong.empty())
    return Refuse(request, RpcError::kInvalidParams, wrong);
  Result<void> prepared = shared_->launcher->Prepare(params.command());
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

Json ServeClient::OnStatistics(const RpcRequest& request) {
  if (!request.params.empty())
    return Refuse(request, RpcError::kInvalidParams,
                  "\"statistics\" has no parameters");
  const launcher::Statistics counts = shared_->launcher->statistics();
  return RpcResult(request.id,
                   {{"launches", counts.launches},
                    {"running", shared_->running},
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

void ServeClient::HandleRequest(const RpcRequest& request) {
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

void ServeClient::HandleLine(std::string_view line) {
  RpcRequest request;
  Json answer;
  if (ReadRequest(line, &request, &answer))
    HandleRequest(request);
  else
    writer_.Add(answer);
}

/// False at the end.
bool ServeClient::ReadInput() {
  static char buffer[kReadSize];
  const ssize_t size = read(in_, buffer, kReadSize);
  if (size < 0)
    return errno == EAGAIN || errno == EINTR;
  reader_.Feed(
      {buffer, static_cast<size_t>(size)},
      [this](std::string_view line) { HandleLine(line); },
      [this] {
        writer_.Add(RpcFailure(
            nullptr, RpcError::kInvalidRequest,
            "a message of more than " +
                std::to_string(shared_->options.message_limit) + " bytes"));
      });
  return size > 0;
}

void ServeClient::Watch(std::vector<pollfd>* table) const {
  // An end of file is told in any case.
  short events = writer_.pending() <= kMostPending ? POLLIN : 0;
  if (in_ != out_) {
    table->push_back({in_, events, 0});
    events = 0;
  }
  if (writer_.pending() > 0)
    events |= POLLOUT;
  table->push_back({out_, events, 0});
}

bool ServeClient::Serve(const pollfd* found) {
  const pollfd& in = found[0];
  const pollfd& out = found[Watched() - 1];
  if (out.revents & (POLLERR | POLLHUP | POLLNVAL))
    return false;
  if (in.events & POLLIN)
    return (in.revents & ~POLLOUT) == 0 || ReadInput();
  return (in.revents & (POLLERR | POLLHUP)) == 0;
}

}  // namespace launcherd
