// SPDX-License-Identifier: Apache-2.0

#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <algorithm>
#include <cinttypes>
#include <map>
#include <sstream>
#include <utility>

namespace shell_fuzz {
namespace {

constexpr size_t kReasons = 16;

__attribute__((format(printf, 1, 2))) std::string Format(const char* format,
                                                         ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  int size = vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  return std::string(text, std::min<size_t>(size, sizeof(text) - 1));
}

/// 1234567 as 1,234,567.
std::string Thousands(uint64_t number) {
  std::string text = std::to_string(number);
  for (size_t at = text.size(); at > 3;)
    text.insert(at -= 3, ",");
  return text;
}

/// The package of a shell and its version, or nothing.
std::string Version(const std::string& path) {
  char* real = realpath(path.c_str(), nullptr);
  std::string file = real ? real : path;
  free(real);
  // Debian knows files by the names they had before /bin became a link.
  if (file.starts_with("/usr"))
    file = file.substr(4);
  std::string command =
      "p=$(dpkg-query -S '" + file + "' '/usr" + file +
      "' 2>/dev/null | sed -n '1s/:.*//p'); [ -n \"$p\" ] && "
      "dpkg-query -W -f '${Package} ${Version}' \"$p\" 2>/dev/null";
  char text[128] = "";
  if (FILE* pipe = popen(command.c_str(), "r")) {
    if (!fgets(text, sizeof(text), pipe))
      text[0] = '\0';
    pclose(pipe);
  }
  return text;
}

std::string ReadAll(const std::string& path) {
  std::string text;
  if (FILE* file = fopen(path.c_str(), "re")) {
    char buffer[4096];
    while (size_t size = fread(buffer, 1, sizeof(buffer), file))
      text.append(buffer, size);
    fclose(file);
  }
  return text;
}

/// The most frequent ones, with their share of all.
std::string Shares(const std::map<std::string, uint64_t>& counts) {
  std::vector<std::pair<uint64_t, std::string>> sorted;
  uint64_t all = 0;
  for (const auto& [what, count] : counts) {
    sorted.emplace_back(count, what);
    all += count;
  }
  std::sort(sorted.rbegin(), sorted.rend());
  sorted.resize(std::min(kReasons, sorted.size()));
  std::string text;
  for (const auto& [count, what] : sorted)
    text += Format("    %5.1f %%  ", 100.0 * static_cast<double>(count) /
                                         static_cast<double>(all)) +
            what + "\n";
  return text;
}

}  // namespace

std::string Summary(const Options& options, const Counts& counts,
                    const std::vector<std::string>& logs, double seconds) {
  std::map<std::string, uint64_t> reasons, fallbacks;
  std::string differences;
  for (const std::string& log : logs) {
    std::istringstream lines(log);
    for (std::string kind, first, second, rest;
         std::getline(lines, kind, '\t') && std::getline(lines, first, '\t');) {
      if (kind == "difference") {
        std::getline(lines, second, '\t');
        std::getline(lines, rest);
        differences += "  " + first + ", " + second + ": " + rest + "\n";
      } else {
        std::getline(lines, rest);
        (kind == "reason" ? reasons : fallbacks)[rest] +=
            strtoull(first.c_str(), nullptr, 10);
      }
    }
  }

  std::string text =
      "# Command lines without a shell, against the shells\n\n"
      "Question   Can anything tell whether a line was run by a shell or "
      "without?\n";
  if (counts.differences == 0)
    text += "Answer     Nothing did in " + Thousands(counts.cases) +
            " random lines and " + Thousands(counts.regressions) +
            " known ones.\n\n";
  else
    text += "Answer     Yes: " + Thousands(counts.differences) +
            " differences, below.\n\n";
  if (!options.header.empty())
    text += ReadAll(options.header);
  const char* label = "Shells     ";
  for (const Shell& shell : options.shells) {
    text += std::exchange(label, "           ") + shell.name + ": " +
            Version(shell.path) + "\n";
  }
  text +=
      Format("Method     seed %" PRIu64 ", lines from number %" PRIu64
             " on: by a grammar, and\n           mutated ones of generators;\n",
             options.seed, options.first);
  text +=
      "           random surroundings; each line twice, by the shell and as "
      "planned.\n"
      "           Compared: arguments, environment in order, AT_EXECFN, "
      "directory,\n"
      "           umask, signals, limits and descriptors as each program sees\n"
      "           them; output, status, files\n";
  text += Format("Speed      %.0f lines a second, %zu processes, %.0f s\n\n",
                 static_cast<double>(counts.cases) / seconds, options.jobs,
                 seconds);

  text +=
      "               lines  not planned   programs  redirected  signals"
      "  files changed  fell back  unstable  differ\n";
  for (size_t i = 0; i < options.shells.size(); ++i) {
    const auto& shell = counts.shells[i];
    text += Format(
        "  %-8s %9s %12s %10s %11s %8s %14s %10s %9s %7s\n",
        options.shells[i].name.c_str(), Thousands(shell.runs).c_str(),
        Thousands(shell.unplanned).c_str(), Thousands(shell.programs).c_str(),
        Thousands(shell.redirected).c_str(), Thousands(shell.signals).c_str(),
        Thousands(shell.files).c_str(), Thousands(shell.fallbacks).c_str(),
        Thousands(shell.unstable).c_str(),
        Thousands(shell.differences).c_str());
  }
  text += "\n  " + Thousands(counts.generated) + " lines were made; " +
          Thousands(counts.unplanned) +
          " of them no shell has a plan for. Why not:\n" + Shares(reasons);
  text += "\n  Why a run fell back to the shell:\n" + Shares(fallbacks);
  if (!differences.empty())
    text += "\nDifferences, least lines (" + Thousands(counts.repeated) +
            " more led to the same):\n\n" + differences;
  text += Format("\nAgain      shell_fuzz --seed %" PRIu64 " --cases %" PRIu64
                 " --witness FILE",
                 options.seed, options.cases);
  for (const Shell& shell : options.shells)
    text += " --shell " + shell.name + "=PATH";
  return text + "\n";
}

}  // namespace shell_fuzz
