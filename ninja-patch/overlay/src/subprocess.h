// Ninja's jobs, on the launcher library. Names and meaning of the members are
// Ninja's, so that the rest of it compiles unchanged; how a process is started,
// watched and collected is the library's business (launcher/launcher.h).
//
// SPDX-License-Identifier: Apache-2.0

#ifndef NINJA_SUBPROCESS_H_
#define NINJA_SUBPROCESS_H_

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "exit_status.h"

namespace launcher {
class Launcher;
struct Error;
struct Finished;
}  // namespace launcher

/// One command. Belongs to the SubprocessSet until NextFinished() hands it to
/// the caller, who deletes it. Changes only within SubprocessSet::DoWork().
struct Subprocess {
  /// Once Done(): the command's own exit status, ExitInterrupted if SIGINT,
  /// SIGTERM or SIGHUP ended it, ExitFailure if it could not be started.
  ExitStatus Finish() { return exit_status_; }

  /// The process has ended and, if not a console job, so has its output.
  bool Done() const { return done_; }

  /// Standard output and error as they came; empty for a console job.
  const std::string& GetOutput() const { return output_; }

 private:
  friend struct SubprocessSet;

  Subprocess(const std::string& command, bool use_console)
      : command_(command), use_console_(use_console) {}

  void NotStarted(const launcher::Error& error);
  void Ended(launcher::Finished* result);

  std::string command_;
  bool use_console_;
  bool done_ = false;
  ExitStatus exit_status_ = ExitFailure;
  std::string output_;
  uint64_t child_ = 0;  ///< launcher::ChildId.
  size_t place_ = 0;    ///< Index in SubprocessSet::running_.
};

/// The jobs that are under way. Catches SIGINT, SIGTERM and SIGHUP as long as
/// it exists, and lets them in only while DoWork() or Clear() waits.
struct SubprocessSet {
  SubprocessSet();
  ~SubprocessSet();

  /// Starts what /bin/sh -c `command` would start. Never null: a command that
  /// cannot be started is a job that fails, with the reason as its output.
  Subprocess* Add(const std::string& command, bool use_console = false);

  /// Waits until a job is done. True: interrupted, `interrupted_` says by what.
  bool DoWork();

  /// The next job that is done, or null.
  Subprocess* NextFinished();

  /// Passes the signal in `interrupted_`, if any, on to all jobs but those on
  /// the console, waits for their processes and deletes them; output is
  /// dropped. A further signal kills them.
  void Clear();

  std::vector<Subprocess*> running_;
  std::queue<Subprocess*> finished_;

  static void SetInterruptedFlag(int signum) { interrupted_ = signum; }
  static bool IsInterrupted() { return interrupted_ != 0; }
  /// Takes one of the signals that is blocked and pending to `interrupted_`.
  static void HandlePendingInterruption();
  static volatile sig_atomic_t interrupted_;

 private:
  void SetSignals();
  void RestoreSignals();
  void MoveToFinished(Subprocess* subprocess);
  void PrintStatistics() const;

  std::unique_ptr<launcher::Launcher> launcher_;
  std::vector<Subprocess*> not_started_;  ///< In running_ too.
  struct sigaction old_actions_[4];       ///< In the order of kSignals.
  sigset_t old_mask_;
};

#endif  // NINJA_SUBPROCESS_H_
