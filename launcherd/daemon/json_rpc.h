// JSON-RPC 2.0 in lines: one message each way is one line.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHERD_DAEMON_JSON_RPC_H_
#define LAUNCHERD_DAEMON_JSON_RPC_H_

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace launcherd {

using Json = nlohmann::ordered_json;

/// Codes of the "error" of an answer; those above -32100 are ours.
enum class RpcError : int {
  kParse = -32700,
  kInvalidRequest = -32600,
  kMethodNotFound = -32601,
  kInvalidParams = -32602,
  kTooMany = -32000,       ///< Launches at once.
  kNoSuchLaunch = -32001,  ///< It has ended, or was never there.
  kFailed = -32002,        ///< "data" is the error of launcherd-exec(1).
};

/// A message that has the form of a request.
struct RpcRequest {
  Json id;  ///< A string or an integer; null: a notification, not answered.
  std::string method;
  Json params;  ///< An object.
};

/// False: it is no request, and `answer` says so.
bool ReadRequest(std::string_view line, RpcRequest* request, Json* answer);

Json RpcResult(const Json& id, Json result);
Json RpcFailure(const Json& id, RpcError code, const std::string& message);
Json RpcNotification(const char* method, Json params);

/// Cuts what comes into lines. One that is longer than the limit is skipped
/// over, so that those behind it are not lost.
class LineReader {
 public:
  explicit LineReader(size_t limit) : limit_(limit) {}

  /// Calls `on_line` for each line that is complete, without its newline, and
  /// `on_long` once for each that is too long. Lines of blanks do not count.
  void Feed(std::string_view bytes,
            const std::function<void(std::string_view)>& on_line,
            const std::function<void()>& on_long);

 private:
  size_t limit_;
  std::string part_;
  bool skipping_ = false;
};

/// What waits to be written, to a descriptor that may belong to others as well:
/// it is not made non-blocking, but only written to when it is ready.
class LineWriter {
 public:
  explicit LineWriter(int fd) : fd_(fd) {}

  void Add(const Json& message);
  size_t pending() const { return buffer_.size() - written_; }

  /// Writes what can be written now. False: nobody will ever read it.
  bool Flush();

 private:
  int fd_;
  std::string buffer_;
  size_t written_ = 0;
};

}  // namespace launcherd

#endif  // LAUNCHERD_DAEMON_JSON_RPC_H_
