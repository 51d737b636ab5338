// SPDX-License-Identifier: Apache-2.0

#include "json_rpc.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "result_json.h"

namespace launcherd {

namespace {

// More than any of our messages has. Each level costs memory, so that a line of
// brackets would take a hundred times its length.
constexpr int kDeepest = 32;

// POSIX: so much fits into a pipe that is ready, PIPE_BUF.
constexpr size_t kAtOnce = 4096;

// Below this the space that has been written from is not worth moving the rest.
constexpr size_t kWorthMoving = 1024 * 1024;

bool IsId(const Json& id) { return id.is_string() || id.is_number_integer(); }

}  // namespace

bool ReadRequest(std::string_view line, RpcRequest* request, Json* answer) {
  bool too_deep = false;
  Json message = Json::parse(
      line,
      [&](int depth, Json::parse_event_t, Json&) {
        too_deep |= depth > kDeepest;
        return depth <= kDeepest;
      },
      /*allow_exceptions=*/false);
  if (message.is_discarded() && !too_deep) {
    *answer = RpcFailure(nullptr, RpcError::kParse, "this is no JSON");
    return false;
  }
  auto refuse = [&](const std::string& why) {
    *answer = RpcFailure(request->id, RpcError::kInvalidRequest, why);
    return false;
  };
  request->id = nullptr;
  if (too_deep)
    return refuse("nested too deep");
  if (!message.is_object())
    return refuse(message.is_array() ? "batches are not served"
                                     : "a request is an object");
  if (auto id = message.find("id"); id != message.end()) {
    if (!IsId(*id))
      return refuse("an id is a string or an integer");
    request->id = *id;
  }
  auto version = message.find("jsonrpc");
  if (version == message.end() || *version != "2.0")
    return refuse("\"jsonrpc\": \"2.0\" is missing");
  auto method = message.find("method");
  if (method == message.end() || !method->is_string())
    return refuse("\"method\" is missing");
  request->method = method->get<std::string>();
  auto params = message.find("params");
  request->params =
      params == message.end() ? Json::object() : std::move(*params);
  if (!request->params.is_object())
    return refuse("\"params\" is an object");
  return true;
}

Json RpcResult(const Json& id, Json result) {
  return {{"jsonrpc", "2.0"}, {"id", id}, {"result", std::move(result)}};
}

Json RpcFailure(const Json& id, RpcError code, const std::string& message) {
  return {{"jsonrpc", "2.0"},
          {"id", id},
          {"error", {{"code", static_cast<int>(code)}, {"message", message}}}};
}

Json RpcNotification(const char* method, Json params) {
  return {
      {"jsonrpc", "2.0"}, {"method", method}, {"params", std::move(params)}};
}

void LineReader::Feed(std::string_view bytes,
                      const std::function<void(std::string_view)>& on_line,
                      const std::function<void()>& on_long) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, end);
    if (!skipping_ && part_.size() + piece.size() > limit_) {
      skipping_ = true;
      std::string().swap(part_);
      on_long();
    }
    if (!skipping_)
      part_.append(piece);
    if (end == bytes.npos)
      return;
    if (!std::exchange(skipping_, false) &&
        part_.find_first_not_of(" \t\r") != part_.npos)
      on_line(part_);
    part_.clear();
    bytes.remove_prefix(end + 1);
  }
}

void LineWriter::Add(const Json& message) {
  buffer_ += ToLine(message);
  buffer_ += '\n';
}

bool LineWriter::Flush() {
  while (pending() > 0) {
    pollfd ready = {fd_, POLLOUT, 0};
    if (poll(&ready, 1, 0) <= 0)
      break;
    if (!(ready.revents & POLLOUT))
      return false;
    const ssize_t size =
        write(fd_, buffer_.data() + written_, std::min(pending(), kAtOnce));
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
      break;
    if (size < 0)
      return false;
    written_ += static_cast<size_t>(size);
  }
  if (pending() == 0) {
    buffer_.clear();
    written_ = 0;
    if (buffer_.capacity() > kWorthMoving)
      buffer_.shrink_to_fit();
  } else if (written_ > kWorthMoving) {
    buffer_.erase(0, written_);
    written_ = 0;
  }
  return true;
}

}  // namespace launcherd
