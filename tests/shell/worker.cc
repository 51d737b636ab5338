// SPDX-License-Identifier: Apache-2.0

#include "worker.h"

#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "confine.h"
#include "generate.h"
#include "minimize.h"

namespace shell_fuzz {
namespace {

constexpr int kMostAttempts = 10'000;
constexpr int kFewRuns = 4;
constexpr size_t kShownLine = 600;

uint64_t SeedOf(uint64_t seed, uint64_t number) {
  return Rng(Rng(seed).Next() ^ number).Next();
}

/// "builtin" of "builtin 'echo'": there are as many as there are words.
std::string KindOf(const std::string& reason) {
  std::string kind = reason.substr(0, reason.find('\''));
  while (!kind.empty() && kind.back() == ' ')
    kind.pop_back();
  return kind.empty() ? "without a word" : kind;
}

/// The error of "cannot start 'x': error".
std::string KindOfFallback(const std::string& reason) {
  size_t colon = reason.rfind(": ");
  return colon == std::string::npos ? KindOf(reason) : reason.substr(colon + 2);
}

/// "argument" of "program 2: argument".
std::string Subject(const std::string& what) {
  size_t colon = what.find(": ");
  return colon == std::string::npos ? what : what.substr(colon + 2);
}

bool HasSubject(const std::vector<Difference>& differences,
                const std::string& subject) {
  return std::any_of(differences.begin(), differences.end(),
                     [&](const Difference& difference) {
                       return Subject(difference.what) == subject;
                     });
}

bool IsSignal(const std::string& program) {
  return program.size() > 1 && program[0] == 'k' &&
         isdigit(static_cast<unsigned char>(program[1]));
}

bool IsElsewhere(const std::string& descriptor, bool file_input) {
  if (descriptor.starts_with("0 "))
    return !descriptor.ends_with(file_input ? "/w/file" : " /dev/null");
  if (descriptor.starts_with("1 "))
    return !descriptor.ends_with(" pipe of 1");
  return descriptor.starts_with("2 ") && !descriptor.ends_with(" pipe of 1") &&
         !descriptor.ends_with(" pipe of 2");
}

void Print(const std::string& text) {
  // In one piece: several processes write.
  if (write(STDOUT_FILENO, text.data(), text.size()) < 0)
    Die("standard output");
}

std::string Cut(const std::string& text) {
  return text.size() <= kShownLine
             ? text
             : text.substr(0, kShownLine) + "... (" +
                   std::to_string(text.size()) + " bytes)";
}

}  // namespace

Worker::Worker(const Options& options, size_t job, Counts* counts, int log)
    : options_(options),
      job_(job),
      counts_(counts),
      log_(log),
      sandbox_(options.directory + "/" + std::to_string(job), options.witness,
               options.shells),
      runner_(&sandbox_, options.shells, options.runner) {
  Confine();
}

void Worker::Confine() {
  std::vector<std::string> programs;
  for (const Shell& shell : options_.shells)
    programs.push_back(shell.path);
  if (!shell_fuzz::Confine(sandbox_.root(), programs) && !options_.unconfined) {
    fprintf(stderr,
            "shell_fuzz: error: Landlock is refused: random lines could write\n"
            "where this user may. --unconfined: let them\n");
    _exit(2);
  }
}

bool Worker::Enough() const {
  return counts_->differences >= options_.most_differences;
}

void Worker::Run() {
  for (size_t i = job_; i < options_.regressions.size() && !Enough();
       i += options_.jobs) {
    ++counts_->regressions;
    std::vector<size_t> all;
    for (size_t shell = 0; shell < options_.shells.size(); ++shell)
      all.push_back(shell);
    RunCase(options_.regressions[i], all, "regression " + std::to_string(i + 1),
            false);
  }
  for (uint64_t i = options_.first + job_;
       i < options_.first + options_.cases && !Enough(); i += options_.jobs) {
    counts_->current[job_] = i + 1;
    RunRandom(i);
  }
  WriteLog();
}

void Worker::RunRandom(uint64_t number) {
  Generator generator(SeedOf(options_.seed, number));
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    Case that = generator.Next();
    ++counts_->generated;
    std::vector<size_t> planned;
    for (size_t shell = 0; shell < options_.shells.size(); ++shell) {
      std::string reason = runner_.WhyShell(shell, that);
      if (reason.empty())
        planned.push_back(shell);
      else
        ++reasons_[KindOf(reason)];
    }
    if (planned.empty()) {
      ++counts_->unplanned;
      continue;
    }
    ++counts_->cases;
    for (size_t shell = 0; shell < options_.shells.size(); ++shell)
      if (!std::count(planned.begin(), planned.end(), shell))
        ++counts_->shells[shell].unplanned;
    RunCase(that, planned,
            "seed " + std::to_string(options_.seed) + " case " +
                std::to_string(number),
            true);
    return;
  }
}

void Worker::RunCase(const Case& that, const std::vector<size_t>& shells,
                     const std::string& name, bool counts) {
  std::vector<Differing> differing;
  for (size_t shell : shells) {
    Runner::Both both = runner_.RunBoth(shell, that);
    if (counts)
      Add(shell, that, both);
    if (both.differences.empty())
      continue;
    differing.push_back({shell, std::move(both.differences)});
  }
  if (!differing.empty())
    Report(that, std::move(differing), name);
}

void Worker::Add(size_t shell, const Case& that, const Runner::Both& both) {
  auto& counts = counts_->shells[shell];
  ++counts.runs;
  if (!both.direct.done.shell_reason.empty()) {
    ++counts.fallbacks;
    ++fallbacks_[KindOfFallback(both.direct.done.shell_reason)];
  }
  if (!both.shell.files.empty())
    ++counts.files;
  if (both.unstable)
    ++counts.unstable;
  if (!both.differences.empty())
    ++counts.differences;
  for (const Stage& stage : ParseReports(both.shell.reports)) {
    ++counts.programs;
    if (IsSignal(stage.program))
      ++counts.signals;
    for (const auto& [key, text] : stage.fields)
      if (key == 'F' && IsElsewhere(text, that.file_input)) {
        ++counts.redirected;
        break;
      }
  }
}

void Worker::Report(const Case& that, std::vector<Differing> differing,
                    const std::string& name) {
  while (!differing.empty()) {
    const size_t shell = differing.front().shell;
    auto found = std::move(differing.front().differences);
    differing.erase(differing.begin());
    Case least = that;
    const bool again = !runner_.RunBoth(shell, that).differences.empty();
    if (again) {
      const std::string subject = Subject(found[0].what);
      least = Minimize(that, [&](const Case& smaller) {
        return runner_.WhyShell(shell, smaller).empty() &&
               HasSubject(runner_.RunBoth(shell, smaller, kFewRuns).differences,
                          subject);
      });
      auto differences = runner_.RunBoth(shell, least).differences;
      if (differences.empty())
        least = that;
      else
        found = std::move(differences);
    }
    // One text for all shells that have it.
    std::string names = options_.shells[shell].name;
    std::erase_if(differing, [&](const Differing& other) {
      if (runner_.RunBoth(other.shell, least).differences.empty())
        return false;
      names += ", " + options_.shells[other.shell].name;
      return true;
    });
    if (!reported_.insert(names + least.ToText()).second) {
      ++counts_->repeated;
      continue;
    }
    if (counts_->differences++ >= options_.most_differences)
      return;
    std::string text = "--- " + names + ", " + name +
                       (again ? "\n" : ": differed, but not again\n") +
                       "made       " + Cut(that.ToText()) + "\nleast      " +
                       Cut(least.ToText()) + "\n";
    for (const Difference& difference : found)
      text += difference.what + "\n  shell    " +
              sandbox_.Contract(difference.shell) + "\n  without  " +
              sandbox_.Contract(difference.direct) + "\n";
    Print(text);
    log_text_ += "difference\t" + names + "\t" + (again ? "" : "not again: ") +
                 (found.empty() ? "?" : found[0].what) + "\t" +
                 Replace(Cut(least.ToText()), "\t", " ") + "\n";
  }
}

void Worker::WriteLog() {
  for (const auto& [reason, count] : reasons_)
    log_text_ +=
        "reason\t" + std::to_string(count) + "\t" + Escape(reason) + "\n";
  for (const auto& [reason, count] : fallbacks_)
    log_text_ +=
        "fallback\t" + std::to_string(count) + "\t" + Escape(reason) + "\n";
  if (write(log_, log_text_.data(), log_text_.size()) < 0)
    Die("log");
}

bool Worker::Explain(const Case& that) {
  bool same = true;
  for (size_t shell = 0; shell < options_.shells.size(); ++shell) {
    std::string reason = runner_.WhyShell(shell, that);
    Runner::Both both = runner_.RunBoth(shell, that);
    const auto& [by_shell, direct, differences, unstable] = both;
    same = same && differences.empty();
    std::string text = "--- " + options_.shells[shell].name + "\nplan       " +
                       (reason.empty() ? "yes" : reason) + "\nfell back  " +
                       direct.done.shell_reason + "\n";
    if (!by_shell.error.empty())
      text += "error      " + by_shell.error + "\n";
    text += std::string("ended      ") +
            (by_shell.done.cause == launcher::Finished::Cause::kSignaled
                 ? "by signal "
                 : "with ") +
            std::to_string(by_shell.done.code) + "\noutput     " +
            Escape(by_shell.done.output + by_shell.done.error_output) + "\n" +
            (by_shell.files.empty() ? "" : "files      ") + by_shell.files;
    for (const Stage& stage : ParseReports(by_shell.reports)) {
      text += "program    " + stage.program + "\n";
      for (const auto& [key, value] : stage.fields)
        text += std::string("           ") + key + " " + Escape(value) + "\n";
    }
    for (const Difference& difference : differences)
      text += "DIFFERS in " + difference.what + "\n  shell    " +
              difference.shell + "\n  without  " + difference.direct + "\n";
    Print(sandbox_.Contract(text));
  }
  return same;
}

void Worker::Show(uint64_t number) {
  for (uint64_t i = options_.first; i < options_.first + number; ++i) {
    Case that = Generator(SeedOf(options_.seed, i)).Next();
    std::string text = Cut(that.ToText()) + "\n";
    for (size_t shell = 0; shell < options_.shells.size(); ++shell) {
      std::string reason = runner_.WhyShell(shell, that);
      text += "  " + options_.shells[shell].name + ": " +
              (reason.empty() ? "planned" : reason) + "\n";
    }
    Print(text);
  }
}

}  // namespace shell_fuzz
