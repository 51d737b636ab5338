// SPDX-License-Identifier: Apache-2.0

#include <string.h>

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "exec.h"
#include "inspect.h"
#include "serve.h"
#include "wrapper.h"

namespace {

constexpr int kUsage = 2;

bool IsSubcommand(const CLI::App& app, const std::string& word) {
  for (const CLI::App* each :
       app.get_subcommands([](const CLI::App*) { return true; }))
    if (each->get_name() == word)
      return true;
  return false;
}

/// `launcherd [--stats] [--tools] [--] COMMAND [ARG...]`: not for the parser of
/// options, because all of COMMAND is its own. Null: something else.
char** FindCommand(const CLI::App& app, char** argv,
                   launcherd::WrapOptions* options) {
  char** at = argv + (argv[0] != nullptr);
  for (; *at; ++at) {
    if (strcmp(*at, "--stats") == 0)
      options->stats = true;
    else if (strcmp(*at, "--tools") == 0)
      options->tools = true;
    else
      break;
  }
  if (*at && strcmp(*at, "--") == 0)
    return at[1] ? at + 1 : nullptr;
  if (!*at || **at == '-' ||
      (!options->stats && !options->tools && IsSubcommand(app, *at)))
    return nullptr;
  return at;
}

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

  launcherd::ExecOptions exec_options;
  CLI::App* exec = app.add_subcommand(
      "exec", "Runs a program; its result as JSON, for runtimes.");
  launcherd::AddExecOptions(exec, &exec_options);

  launcherd::ServeOptions serve_options;
  CLI::App* serve = app.add_subcommand(
      "serve", "Runs programs for a runtime: JSON-RPC on stdin and stdout.");
  launcherd::AddServeOptions(serve, &serve_options);

  // Behind the subcommands, which would have taken it over.
  app.footer(
      "launcherd [--stats] [--tools] [--] COMMAND [ARG...]\n"
      "COMMAND is a build tool, such as make -j8. It runs as without "
      "launcherd, but\nprograms that it starts often are started from warm "
      "templates. --stats: tells\nafterwards what was started how. --tools: "
      "for "
      "other tools than make. See\nlauncherd(1).");

  launcherd::WrapOptions wrap;
  if (char** command = FindCommand(app, argv, &wrap))
    return launcherd::Wrap(command, wrap);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  if (exec->parsed())
    return launcherd::Exec(exec_options);
  if (serve->parsed())
    return launcherd::Serve(serve_options);
  return launcherd::Inspect(words, runs);
}
