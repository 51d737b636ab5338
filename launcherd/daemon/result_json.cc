// SPDX-License-Identifier: Apache-2.0

#include "result_json.h"

#include <signal.h>
#include <string.h>

#include <string_view>
#include <utility>

#include "encoding.h"

namespace launcherd {

namespace {

using launcher::Finished;
using Json = nlohmann::ordered_json;

const char* CauseName(const Finished& finished) {
  if (finished.timed_out)
    return "timed_out";
  switch (finished.cause) {
    case Finished::Cause::kExited:
      return "exited";
    case Finished::Cause::kSignaled:
      return "signaled";
    case Finished::Cause::kNotStarted:
      return "not_started";
    case Finished::Cause::kLost:
      break;
  }
  return "lost";
}

/// `may_be_cut`: the end of the text is not where the program has put it, and
/// half a character there does not make it binary.
Json StreamToJson(std::string_view text, uint64_t bytes, bool may_be_cut) {
  const bool truncated = bytes > text.size();
  const size_t whole = Utf8Prefix(text);
  const bool is_text = whole == text.size() || ((may_be_cut || truncated) &&
                                                IsCutUtf8(text.substr(whole)));
  return {
      {"data", is_text ? std::string(text.substr(0, whole)) : ToBase64(text)},
      {"encoding", is_text ? "utf-8" : "base64"},
      {"bytes", bytes},
      {"truncated", truncated}};
}

Json Since(launcher::Timeline::TimePoint start,
           launcher::Timeline::TimePoint point) {
  if (point == launcher::Timeline::TimePoint())
    return Json();
  return std::chrono::duration_cast<std::chrono::microseconds>(point - start)
      .count();
}

}  // namespace

std::string SignalName(int signal) {
  if (signal >= SIGRTMIN && signal <= SIGRTMAX)
    return "SIGRTMIN+" + std::to_string(signal - SIGRTMIN);
  const char* name = sigabbrev_np(signal);
  return name ? std::string("SIG") + name : std::to_string(signal);
}

Json ErrorToJson(const launcher::Error& error) {
  const char* name = strerrorname_np(error.code);
  return {{"step", error.step},
          {"errno", error.code},
          {"name", name ? Json(name) : Json()},
          {"object", error.object},
          {"message", error.ToString()}};
}

Json ResultToJson(const Finished& finished) {
  const bool exited = finished.cause == Finished::Cause::kExited;
  const bool signaled = finished.cause == Finished::Cause::kSignaled;
  const bool cut = !finished.output_complete;
  Json survivors = Json::array();
  for (const launcher::Survivor& survivor : finished.survivors)
    survivors.push_back({{"pid", survivor.pid}, {"name", survivor.comm}});
  const launcher::Timeline& times = finished.times;
  return {
      {"cause", CauseName(finished)},
      {"code", exited ? Json(finished.code) : Json()},
      {"signal", signaled ? Json(SignalName(finished.code)) : Json()},
      {"core_dumped", finished.core_dumped},
      {"error", finished.cause == Finished::Cause::kNotStarted
                    ? ErrorToJson(finished.error)
                    : Json()},
      {"stdout", StreamToJson(finished.output, finished.output_bytes, cut)},
      {"stderr",
       StreamToJson(finished.error_output, finished.error_output_bytes, cut)},
      {"output_complete", finished.output_complete},
      {"survivors", std::move(survivors)},
      {"usage",
       {{"user_us", finished.user_cpu.count()},
        {"system_us", finished.system_cpu.count()},
        {"max_rss_kib", finished.max_rss_kib}}},
      {"timing_us",
       {{"exec", Since(times.requested, times.exec_called)},
        {"first_output", Since(times.requested, times.first_output)},
        {"exited", Since(times.requested, times.exited)},
        {"drained", Since(times.requested, times.drained)},
        {"ended", Since(times.requested, times.reaped)}}},
      {"shell",
       finished.shell_reason.empty() ? Json() : Json(finished.shell_reason)},
      {"engine", finished.engine == launcher::Engine::kAuto
                     ? Json()
                     : Json(launcher::EngineName(finished.engine))}};
}

Finished NotStarted(launcher::Error error) {
  Finished finished;
  finished.cause = Finished::Cause::kNotStarted;
  finished.error = std::move(error);
  return finished;
}

std::string ToLine(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace launcherd
