// The private fork server of one build: launcher-sh asks, and what has a warm
// template is launched. Everything else the client runs itself.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHERD_DAEMON_SERVER_H_
#define LAUNCHERD_DAEMON_SERVER_H_

#include <poll.h>

#include <cstdint>
#include <list>
#include <map>
#include <string>
#include <vector>

#include "endpoint.h"
#include "launcher/launcher.h"
#include "request.h"

namespace launcherd {

class Server {
 public:
  /// `launcher` must outlive it.
  Server(launcher::Launcher* launcher, Endpoint endpoint)
      : launcher_(launcher), endpoint_(std::move(endpoint)) {}

  const Endpoint& endpoint() const { return endpoint_; }

  /// Adds the descriptors to wait for.
  void Watch(std::vector<pollfd>* table);

  /// Deals with what poll(2) has found; `table` as of Watch(), from its entry
  /// on.
  void Serve(const pollfd* table);

  /// A child that Wait() has handed back and whose tag is not null.
  void OnFinished(const launcher::Finished& done);

  struct Counters {
    uint64_t warm = 0;
    /// Of each reason, how many.
    std::map<std::string, uint64_t> in_place, shell;
  };
  const Counters& counters() const { return counters_; }

 private:
  /// A client.
  struct Connection {
    launcher::Fd socket;
    pid_t pid = 0;
    bool has_job = false;  ///< It ends with OnFinished().
    launcher::ChildId job{};
  };
  using Connections = std::list<Connection>;

  void Accept();
  void TurnAway();
  /// False: the connection is over.
  bool OnReadable(Connection* connection);
  std::string Launch(Connection* connection, Message* message);
  std::string OnRefused(const std::string& path, const launcher::Error& error);

  launcher::Launcher* launcher_;
  Endpoint endpoint_;
  Connections connections_;
  std::vector<Connections::iterator> watched_;
  launcher::Fd spare_;  ///< For TurnAway().
  Counters counters_;

  /// How often there was no process for a path, since there was one.
  std::map<std::string, int> refused_;
};

}  // namespace launcherd

#endif  // LAUNCHERD_DAEMON_SERVER_H_
