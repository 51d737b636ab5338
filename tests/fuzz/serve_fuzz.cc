// Lines to `launcherd serve`: read whole or in pieces they are the same lines;
// each is a request, or gets an answer that is one line of JSON.
//
// The first byte of an input is the longest line, in units of 16 bytes; the
// second says where the rest is cut into pieces.
//
// SPDX-License-Identifier: Apache-2.0

#include <stdio.h>
#include <stdlib.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "encoding.h"
#include "fuzz.h"
#include "json_rpc.h"
#include "launch_params.h"
#include "result_json.h"

namespace {

using launcherd::Json;

void Require(bool holds, const char* what) {
  if (holds)
    return;
  fprintf(stderr, "serve_fuzz: %s\n", what);
  abort();
}

/// The lines of a stream, and "long" for each that was too long, as it comes in
/// pieces of `piece` bytes.
std::vector<std::string> ReadLines(std::string_view stream, size_t limit,
                                   size_t piece) {
  std::vector<std::string> lines;
  launcherd::LineReader reader(limit);
  while (!stream.empty()) {
    reader.Feed(
        stream.substr(0, piece),
        [&](std::string_view line) {
          Require(line.size() <= limit, "a line beyond the limit");
          lines.emplace_back(line);
        },
        [&] { lines.emplace_back("long"); });
    stream.remove_prefix(std::min(piece, stream.size()));
  }
  return lines;
}

void RequireLine(const Json& message) {
  const std::string line = launcherd::ToLine(message);
  Require(line.find('\n') == line.npos, "a message of two lines");
  Require(launcherd::Utf8Prefix(line) == line.size(), "a message of no text");
  Require(Json::accept(line), "a message that is no JSON");
}

void ReadParams(const Json& params) {
  launcherd::LaunchParams launch, prepare;
  if (launch.Read(params).empty()) {
    const launcher::Command& command = launch.command();
    Require(command.argv.empty() == (launch.line() != nullptr),
            "neither words nor a line");
    // Each is read to its end.
    size_t total = 0;
    for (const char* word : command.argv)
      total += std::string_view(word).size();
    for (const launcher::EnvChange& change : command.env_changes)
      total += std::string_view(change.name).size() +
               std::string_view(change.value ? change.value : "").size();
    Require(total <= launcherd::ToLine(params).size(), "words that grow");
  }
  (void)prepare.ReadPrepare(params);
  if (auto signal = params.find("signal"); signal != params.end())
    (void)launcherd::ReadSignal(*signal);
}

void ReadLine(std::string_view line) {
  launcherd::RpcRequest request;
  Json answer;
  if (!launcherd::ReadRequest(line, &request, &answer)) {
    Require(answer.contains("error"), "refused without an error");
    RequireLine(answer);
    return;
  }
  Require(request.params.is_object(), "parameters that are none");
  RequireLine(launcherd::RpcResult(request.id, request.params));
  ReadParams(request.params);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2)
    return 0;
  const std::string_view stream(reinterpret_cast<const char*>(data + 2),
                                size - 2);
  const size_t limit = 16 * size_t{data[0]} + 1;
  const std::vector<std::string> lines =
      ReadLines(stream, limit, stream.size() + 1);
  Require(lines == ReadLines(stream, limit, data[1] + 1),
          "lines that depend on how they come");
  for (const std::string& line : lines)
    ReadLine(line);

  Require(launcherd::FromBase64(launcherd::ToBase64(stream)) == stream,
          "bytes that do not come back");
  if (auto bytes = launcherd::FromBase64(stream))
    Require(launcherd::ToBase64(*bytes) == stream, "two texts of one meaning");
  (void)launcherd::IsCutUtf8(stream.substr(launcherd::Utf8Prefix(stream)));
  return 0;
}
