// What one process of shell_fuzz does: its share of the cases.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef TESTS_SHELL_WORKER_H_
#define TESTS_SHELL_WORKER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "case.h"
#include "observe.h"
#include "sandbox.h"

namespace shell_fuzz {

inline constexpr size_t kMostShells = 8;
inline constexpr size_t kMostJobs = 256;

struct Options {
  std::vector<Shell> shells;
  std::string witness;
  uint64_t seed = 1;
  uint64_t first = 0;
  uint64_t cases = 20'000;
  uint64_t most_differences = 20;
  size_t jobs = 1;
  std::vector<Case> regressions;
  std::string directory;  ///< For the sandboxes.
  bool unconfined = false;
  Runner::Options runner;
  std::string report, header;
};

using Count = std::atomic<uint64_t>;

/// Lies in memory that all processes share.
struct Counts {
  Count cases;        ///< Lines that were run, each with all shells that count.
  Count regressions;  ///< Of regressions.txt, not among `cases`.
  Count generated;    ///< Lines that were made.
  Count unplanned;    ///< Of these, not run: no shell has a plan for them.
  Count differences;  ///< Reported ones.
  Count repeated;     ///< The same as one reported.
  struct {
    Count runs;         ///< Of lines that have a plan,
    Count unplanned;    ///< and of `cases` those that have none.
    Count fallbacks;    ///< Runs that needed the shell in the end.
    Count programs;     ///< Witnesses, as the shell has started them,
    Count signals;      ///< of these, killed by a signal,
    Count redirected;   ///< with descriptor 0, 1 or 2 elsewhere.
    Count files;        ///< Runs that changed files.
    Count unstable;     ///< Runs::Both::unstable
    Count differences;  ///< Runs that differed.
  } shells[kMostShells];
  Count current[kMostJobs];  ///< The case that a process is at, plus 1.
};

class Worker {
 public:
  /// `log` is the descriptor of a file for what Tell() says in the end.
  Worker(const Options& options, size_t job, Counts* counts, int log);

  /// The share of this process of regressions and cases.
  void Run();

  /// Runs one case and prints all that was seen. False if there is a
  /// difference.
  bool Explain(const Case& that);

  /// Prints `number` cases as they are made, and why they need the shell.
  void Show(uint64_t number);

 private:
  struct Differing {
    size_t shell;
    std::vector<Difference> differences;
  };

  void Confine();
  bool Enough() const;
  void RunRandom(uint64_t number);
  void RunCase(const Case& that, const std::vector<size_t>& shells,
               const std::string& name, bool counts);
  void Add(size_t shell, const Case& that, const Runner::Both& both);
  void Report(const Case& that, std::vector<Differing> differing,
              const std::string& name);
  void WriteLog();

  const Options& options_;
  const size_t job_;
  Counts* counts_;
  const int log_;
  Sandbox sandbox_;
  Runner runner_;
  std::map<std::string, uint64_t> reasons_;    ///< To need the shell.
  std::map<std::string, uint64_t> fallbacks_;  ///< To need it after all.
  std::set<std::string> reported_;
  std::string log_text_;
};

}  // namespace shell_fuzz

#endif  // TESTS_SHELL_WORKER_H_
