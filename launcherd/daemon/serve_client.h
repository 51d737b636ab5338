// One client of launcherd serve: its requests, its launches, its answers.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHERD_DAEMON_SERVE_CLIENT_H_
#define LAUNCHERD_DAEMON_SERVE_CLIENT_H_

#include <poll.h>

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "json_rpc.h"
#include "launcher/launcher.h"
#include "serve.h"

namespace launcherd {

class ServeClient {
 public:
  /// What all clients of a server share.
  struct Shared {
    launcher::Launcher* launcher;
    ServeOptions options;
    size_t running = 0;  ///< Launches that have not been answered.
  };

  /// Reads requests from `in`, writes answers to `out`; both stay the caller's.
  ServeClient(Shared* shared, int in, int out);
  ~ServeClient();
  ServeClient(const ServeClient&) = delete;
  ServeClient& operator=(const ServeClient&) = delete;

  /// Adds what to wait for: an entry for each descriptor.
  void Watch(std::vector<pollfd>* table) const;
  size_t Watched() const { return in_ == out_ ? 1 : 2; }

  /// Deals with what poll(2) has found in these entries. False: the client is
  /// gone.
  bool Serve(const pollfd* found);

  /// Writes what can be written now. False: the client is gone.
  bool Flush() { return writer_.Flush(); }

  void Notify(const char* method, Json params) {
    writer_.Add(RpcNotification(method, std::move(params)));
  }

  /// Kills its launches; what comes of them is told to nobody.
  void Abandon();
  bool HasLaunches() const { return !launches_.empty(); }

  /// Answers a launch; of any client, which Finished::tag knows.
  static void OnFinished(const launcher::Finished& finished);

 private:
  struct Launch;

  void HandleLine(std::string_view line);
  void HandleRequest(const RpcRequest& request);
  Json OnLaunch(const RpcRequest& request);
  Json OnKill(const RpcRequest& request);
  Json OnPrepare(const RpcRequest& request);
  Json OnStatistics(const RpcRequest& request);
  void End(const Launch& launch, const launcher::Finished& finished);
  bool ReadInput();

  Shared* shared_;
  int in_, out_;
  LineReader reader_;
  LineWriter writer_;
  bool gone_ = false;
  /// By their ids as JSON: "1" and 1 are two.
  std::unordered_map<std::string, std::unique_ptr<Launch>> launches_;
};

}  // namespace launcherd

#endif  // LAUNCHERD_DAEMON_SERVE_CLIENT_H_
