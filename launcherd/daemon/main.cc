// SPDX-License-Identifier: Apache-2.0

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "inspect.h"

namespace {

constexpr int kUsage = 2;

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Starts processes from templates of their executables.",
               "launcherd");
  app.set_version_flag("--version", LAUNCHERD_VERSION);
  app.require_subcommand(1);

  int runs = 20;
  CLI::App* inspect = app.add_subcommand(
      "inspect", "Tells what a warm template of a program holds and saves.");
  inspect->add_option("--runs", runs, "times to run it cold and warm, in turns")
      ->check(CLI::Range(0, 100'000))
      ->capture_default_str();
  std::vector<std::string> words;
  inspect
      ->add_option("command", words,
                   "the program and its arguments; it is run, unless --runs "
                   "is 0")
      ->required();
  // What follows the program is its own.
  inspect->positionals_at_end();

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  return launcherd::Inspect(words, runs);
}
