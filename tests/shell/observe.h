// Runs a case with a shell, or as the launcher would, and says what can be seen
// of it from outside and from within the programs.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef TESTS_SHELL_OBSERVE_H_
#define TESTS_SHELL_OBSERVE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "case.h"
#include "launcher/launcher.h"
#include "sandbox.h"

namespace shell_fuzz {

enum class Mode { kShell, kDirect };

struct Observation {
  std::string error;  ///< Of SpawnLine() or Wait(); empty: it ran.
  launcher::Finished done;
  std::string reports;  ///< Of all witnesses, see witness.c.
  std::string files;    ///< Sandbox::Collect().
};

/// The fields of one witness, without its first and last.
struct Stage {
  std::string program;
  std::vector<std::pair<char, std::string>> fields;

  /// The texts of those with this letter.
  std::vector<std::string> All(char key) const;
};

std::vector<Stage> ParseReports(const std::string& reports);

struct Difference {
  std::string what;    ///< "stage 2: environment", "code", ...
  std::string shell;   ///< What there is with the shell,
  std::string direct;  ///< and without. Both in words, escaped.
};

/// In what the two differ; empty: nothing.
std::vector<Difference> Compare(const Observation& shell,
                                const Observation& direct);

/// Has a Launcher for each shell and mode.
class Runner {
 public:
  struct Options {
    launcher::Engine engine = launcher::Engine::kAuto;
    bool self = false;  ///< Mode::kDirect uses the shell as well.
  };

  /// An error is fatal.
  Runner(Sandbox* sandbox, const std::vector<Shell>& shells, Options options);

  /// Launcher::WhyShell().
  std::string WhyShell(size_t shell, const Case& that);

  Observation Run(size_t shell, Mode mode, const Case& that);

  struct Both {
    Observation shell, direct;
    std::vector<Difference> differences;
    bool unstable = false;  ///< Not all runs of the shell were the same.
  };

  /// Both modes, compared. Shells have races of their own: no difference is
  /// what one of `again` more runs of the shell shows as well.
  Both RunBoth(size_t shell, const Case& that, int again = 30);

 private:
  struct Prepared;
  struct Launchers {
    std::unique_ptr<launcher::Launcher> always, automatic;
  };

  Sandbox* sandbox_;
  const bool self_;
  launcher::Fd reports_;
  launcher::Fd null_;
  std::vector<Launchers> launchers_;  ///< For each shell.
};

}  // namespace shell_fuzz

#endif  // TESTS_SHELL_OBSERVE_H_
