// SPDX-License-Identifier: Apache-2.0

#include "exec.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <memory>
#include <utility>

#include "die_of.h"
#include "launcher/launcher.h"

namespace launcherd {

namespace {

using launcher::Command;
using launcher::Error;
using launcher::Fd;
using launcher::Finished;
using launcher::Launcher;
using launcher::Result;
using launcher::Stdio;

constexpr int kFailed = 1;
constexpr int kUsage = 2;
// As timeout(1), env(1) and the shell have it.
constexpr int kTimedOut = 124;
constexpr int kLost = 125;
constexpr int kCannotRun = 126;
constexpr int kNotFound = 127;

constexpr int kPassedOn[] = {SIGHUP,  SIGINT,  SIGQUIT,
                             SIGTERM, SIGUSR1, SIGUSR2};

volatile sig_atomic_t caught[_NSIG];

void OnSignal(int signal) { caught[signal] = 1; }

/// To be blocked but while we wait. What is ignored stays so: the program
/// inherits it.
sigset_t CatchSignals() {
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  sigset_t set;
  sigemptyset(&set);
  for (int signal : kPassedOn)
    sigaddset(&set, signal);
  sigset_t mask;
  sigprocmask(SIG_BLOCK, &set, &mask);
  for (int signal : kPassedOn) {
    struct sigaction old;
    if (sigaction(signal, nullptr, &old) == 0 && old.sa_handler != SIG_IGN)
      sigaction(signal, &action, nullptr);
  }
  return mask;
}

int Fail(const std::string& text, int status) {
  fprintf(stderr, "launcherd: %s\n", text.c_str());
  return status;
}

/// What a Command points to.
struct Words {
  std::vector<const char*> argv;
  std::vector<std::string> names;
  std::vector<launcher::EnvChange> changes;
};

Words MakeWords(const ExecOptions& options) {
  Words words;
  for (const std::string& word : options.argv)
    words.argv.push_back(word.c_str());
  for (const std::string& entry : options.env)
    words.names.push_back(entry.substr(0, entry.find('=')));
  for (size_t i = 0; i < words.names.size(); ++i)
    words.changes.push_back(
        {words.names[i].c_str(),
         options.env[i].c_str() + words.names[i].size() + 1});
  return words;
}

/// Runs it to its end.
Finished Run(Launcher* launcher, const Command& command) {
  // The program starts with the mask that its Launcher was created under.
  const sigset_t mask = CatchSignals();
  Result<launcher::ChildId> id = launcher->Spawn(command);
  if (!id.ok())
    return NotStarted(id.error());
  for (;;) {
    Result<Finished> done =
        launcher->Wait(std::chrono::milliseconds(-1), &mask);
    if (done.ok())
      return std::move(done.value());
    for (int signal : kPassedOn)
      if (std::exchange(caught[signal], 0))
        (void)launcher->Kill(id.value(), signal);
  }
}

int EndAs(const Finished& finished, const std::string& name) {
  for (const launcher::Survivor& survivor : finished.survivors)
    Fail("killed process " + std::to_string(survivor.pid) + " (" +
             survivor.comm + "), which '" + name + "' has left behind",
         0);
  if (finished.timed_out)
    return Fail("'" + name + "' has run out of time; it has been killed",
                kTimedOut);
  switch (finished.cause) {
    case Finished::Cause::kExited:
      return finished.code;
    case Finished::Cause::kSignaled:
      DieOf(finished.code);
    case Finished::Cause::kNotStarted:
      return Fail(finished.error.ToString() + "; nothing has been run",
                  finished.error.code == ENOENT ? kNotFound : kCannotRun);
    case Finished::Cause::kLost:
      break;
  }
  return Fail(
      "how '" + name + "' has ended cannot be known: SIGCHLD is ignored",
      kLost);
}

int Print(const Finished& finished) {
  const std::string line = ToLine(ResultToJson(finished)) + "\n";
  if (fwrite(line.data(), 1, line.size(), stdout) == line.size() &&
      fflush(stdout) == 0)
    return 0;
  return Fail(std::string("write 'standard output': ") + strerror(errno) +
                  "; the result is lost",
              kFailed);
}

}  // namespace

void AddExecOptions(CLI::App* app, ExecOptions* options) {
  app->add_option("--cwd", options->cwd, "directory of the program")
      ->type_name("DIR");
  app->add_option("--env", options->env, "NAME=VALUE, added or replaced")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false)
      ->check([](const std::string& entry) {
        const size_t equals = entry.find('=');
        return equals == 0 || equals == entry.npos ? "not NAME=VALUE: " + entry
                                                   : std::string();
      });
  app->add_flag("--clear-env", options->clear_env,
                "start from an empty environment");
  app->add_option("--timeout", options->timeout_ms,
                  "milliseconds until all of it gets SIGKILL")
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000'000'000}))
      ->type_name("MS");
  app->add_option("--stdin", options->in, "null, inherit, or a file")
      ->type_name("FILE")
      ->capture_default_str();
  app->add_flag("--merge", options->merge,
                "standard error goes where standard output goes");
  app->add_flag("--keep", options->keep,
                "leave the processes that it leaves behind");
  CLI::Option* json = app->add_flag("--json", options->json,
                                    "collect the output; print a JSON object");
  app->add_option("--cap", options->cap, "bytes kept of each stream")
      ->type_name("BYTES")
      ->needs(json)
      ->check(CLI::Range(int64_t{0}, int64_t{1'000'000'000'000}))
      ->capture_default_str();
  app->add_option("command", options->argv, "the program and its arguments")
      ->required();
  // What follows the program is its own.
  app->positionals_at_end();
}

int Exec(const ExecOptions& options) {
  Result<Launcher::Options> set = Launcher::Options::FromEnvironment();
  if (!set.ok())
    return Fail(set.error().ToString(), kUsage);
  if (set.value().drain < std::chrono::milliseconds::zero())
    set.value().drain = kDefaultDrain;
  Result<std::unique_ptr<Launcher>> launcher =
      Launcher::Create(std::move(set.value()));
  if (!launcher.ok())
    return Fail(launcher.error().ToString(), kFailed);

  const Words words = MakeWords(options);
  const char* const empty[] = {nullptr};
  Command command;
  command.argv = words.argv;
  command.env = options.clear_env ? empty : nullptr;
  command.env_changes = words.changes;
  command.cwd = options.cwd.empty() ? nullptr : options.cwd.c_str();
  command.timeout = std::chrono::milliseconds(options.timeout_ms);
  command.output_cap = static_cast<size_t>(options.cap);
  command.out = options.json ? Stdio::Capture() : Stdio::Inherit();
  command.err = options.merge ? Stdio::Merge() : command.out;
  command.survivors =
      options.keep ? Command::Survivors::kTell : Command::Survivors::kKill;
  Fd input;
  Finished finished;
  if (options.in == "inherit") {
    command.in = Stdio::Inherit();
  } else if (options.in != "null") {
    input.Reset(open(options.in.c_str(), O_RDONLY | O_CLOEXEC));
    command.in = Stdio::FromFd(input.get());
  }
  if (options.in != "inherit" && options.in != "null" && !input)
    finished = NotStarted({errno, "open", options.in});
  else
    finished = Run(launcher.value().get(), command);
  if (options.json)
    return Print(finished);
  if (options.keep)
    finished.survivors.clear();
  return EndAs(finished, options.argv[0]);
}

}  // namespace launcherd
