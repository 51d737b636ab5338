// SPDX-License-Identifier: Apache-2.0

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "observe.h"

namespace shell_fuzz {
namespace {

using launcher::Finished;
using Strings = std::vector<std::string>;

constexpr size_t kShown = 300;  // Bytes of a value.

const char* CauseName(Finished::Cause cause) {
  static const char* const kNames[] = {"exited", "killed by a signal",
                                       "not started", "lost"};
  return kNames[static_cast<int>(cause)];
}

/// Replaces the number in bash's "line 1:  4711 Killed   p0", which is that of
/// a process.
std::string WithoutPids(std::string_view output) {
  constexpr std::string_view kBefore = ": line ";
  std::string result;
  for (;;) {
    size_t at = output.find(kBefore);
    if (at == std::string_view::npos)
      return result += output;
    at += kBefore.size();
    auto skip = [&](auto wanted) {
      size_t from = at;
      while (at < output.size() && wanted(output[at]))
        ++at;
      return at - from;
    };
    auto digit = [](char c) { return c >= '0' && c <= '9'; };
    auto space = [](char c) { return c == ' '; };
    auto colon = [](char c) { return c == ':'; };
    bool found = skip(digit) > 0 && skip(colon) == 1;
    result += output.substr(0, at);
    output.remove_prefix(at);
    at = 0;
    if (found && skip(space) > 0 && skip(digit) > 0 && skip(space) == 1) {
      result += " PID ";
      output.remove_prefix(at);
    }
  }
}

/// A shell that finds PPID in its environment passes on the number of its own
/// parent. This program is one that both ways have.
void ReplacePpid(Strings* environment) {
  for (std::string& entry : *environment)
    if (entry.starts_with("PPID=") && entry.size() > 5 &&
        entry.find_first_not_of("0123456789", 5) == std::string::npos)
      entry = entry == "PPID=" + std::to_string(getpid()) ? "PPID=(launcher)"
                                                          : "PPID=(a number)";
}

/// Two values from shortly before where they begin to differ.
void Show(std::string_view a, std::string_view b, std::string* shown_a,
          std::string* shown_b) {
  size_t same =
      std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin();
  size_t from = same < kShown / 2 ? 0 : same - 60;
  auto show = [from](std::string_view text) {
    std::string shown = from > 0 ? "..." : "";
    shown += Escape(text.substr(std::min(from, text.size()), kShown));
    return shown + (text.size() > from + kShown ? "..." : "");
  };
  *shown_a = show(a);
  *shown_b = show(b);
}

class Comparison {
 public:
  std::vector<Difference> Run(const Observation& a, const Observation& b) {
    Text("error", a.error, b.error);
    Text("cause", CauseName(a.done.cause), CauseName(b.done.cause));
    Number("code", a.done.code, b.done.code);
    Number("timed out", a.done.timed_out, b.done.timed_out);
    Number("core dumped", a.done.core_dumped, b.done.core_dumped);
    Number("output complete", a.done.output_complete, b.done.output_complete);
    Output("output", a.done.output, b.done.output);
    Output("error output", a.done.error_output, b.done.error_output);
    Text("files", a.files, b.files);
    if (a.reports != b.reports)
      Stages(ParseReports(a.reports), ParseReports(b.reports));
    return std::move(differences_);
  }

 private:
  void Text(const std::string& what, std::string_view a, std::string_view b) {
    if (a == b)
      return;
    Difference difference{what, "", ""};
    Show(a, b, &difference.shell, &difference.direct);
    differences_.push_back(std::move(difference));
  }

  void Number(const std::string& what, long a, long b) {
    Text(what, std::to_string(a), std::to_string(b));
  }

  void Output(const std::string& what, const std::string& a,
              const std::string& b) {
    if (a != b)
      Text(what, WithoutPids(a), WithoutPids(b));
  }

  void Stages(const std::vector<Stage>& a, const std::vector<Stage>& b) {
    Number("number of programs", a.size(), b.size());
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
      const std::string stage = "program " + std::to_string(i + 1) + ": ";
      static constexpr std::pair<char, const char*> kFields[] = {
          {'A', "argument"},  {'E', "environment"}, {'X', "AT_EXECFN"},
          {'C', "directory"}, {'U', "umask"},       {'M', "blocked signals"},
          {'I', "ignored"},   {'L', "limits"},      {'F', "descriptor"},
      };
      Text(stage + "file", a[i].program, b[i].program);
      for (const auto& [key, name] : kFields) {
        Strings texts_a = a[i].All(key), texts_b = b[i].All(key);
        if (key == 'E') {
          ReplacePpid(&texts_a);
          ReplacePpid(&texts_b);
        }
        List(stage + name, texts_a, texts_b);
      }
    }
  }

  /// All that is in one only, or the first place where the order differs.
  void List(const std::string& what, const Strings& a, const Strings& b) {
    if (a == b)
      return;
    if (a.size() == 1 && b.size() == 1)
      return Text(what, a[0], b[0]);
    auto without = [](Strings from, const Strings& others) {
      for (const std::string& other : others) {
        auto found = std::find(from.begin(), from.end(), other);
        if (found != from.end())
          from.erase(found);
      }
      return from;
    };
    Strings only_a = without(a, b), only_b = without(b, a);
    if (only_a.empty() && only_b.empty()) {
      size_t at =
          std::mismatch(a.begin(), a.end(), b.begin()).first - a.begin();
      return Text(what + " order, at " + std::to_string(at), a[at], b[at]);
    }
    for (size_t i = 0; i < std::max(only_a.size(), only_b.size()); ++i)
      Text(what, i < only_a.size() ? only_a[i] : "(none)",
           i < only_b.size() ? only_b[i] : "(none)");
  }

  std::vector<Difference> differences_;
};

}  // namespace

std::vector<std::string> Stage::All(char key) const {
  std::vector<std::string> texts;
  for (const auto& [letter, text] : fields)
    if (letter == key)
      texts.push_back(text);
  return texts;
}

std::vector<Stage> ParseReports(const std::string& reports) {
  std::vector<Stage> stages;
  for (size_t at = 0; at < reports.size();) {
    const char* field = reports.c_str() + at;
    at += strlen(field) + 1;
    if (field[0] == 'W')
      stages.push_back({field + 1, {}});
    else if (field[0] != 'Z' && field[0] != '\0' && !stages.empty())
      stages.back().fields.emplace_back(field[0], field + 1);
  }
  return stages;
}

std::vector<Difference> Compare(const Observation& shell,
                                const Observation& direct) {
  return Comparison().Run(shell, direct);
}

}  // namespace shell_fuzz
