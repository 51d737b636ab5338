// One child of a Launcher, from Spawn() until it is handed back.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_JOB_H_
#define LAUNCHER_SRC_JOB_H_

#include <array>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "kept_fd.h"
#include "launch_block.h"
#include "launcher/fd.h"
#include "launcher/launcher.h"
#include "reap.h"
#include "shell_line.h"
#include "warm/warm_process.h"

namespace launcher {

/// What a token of the event loop means for its job. The id is in the bits
/// above.
enum class Watch : uint8_t {
  kOutput,
  kErrorOutput,
  kExit,
  kStarted,
  kTimeout,  // From here on: timers.
  kDrain,
  kDrainLimit,
  kHeld,
  kPoll,
};
inline constexpr int kWatchBits = 4;
inline constexpr size_t kFirstTimer = static_cast<size_t>(Watch::kTimeout);
inline constexpr size_t kTimers = 5;

/// A captured stream.
struct Stream {
  Fd fd;  ///< Read end, non-blocking; empty once it has ended.
  /// Of a line with several programs, until its end: all of them have the same
  /// pipe, as a shell would hand it to them.
  KeptFd write_end;
  std::string text;
  uint64_t bytes = 0;
};

struct Job {
  enum class State : uint8_t {
    kWaiting,   ///< For a resource: another child has to end first.
    kStarting,  ///< On a thread of a blocking engine.
    kFailed,    ///< Without a child; Wait() is to tell.
    kRunning,   ///< Has a pid.
    kExited,    ///< A zombie; its output has not ended yet.
  };

  uint64_t id = 0;
  State state = State::kWaiting;
  Engine engine = Engine::kAuto;
  pid_t pid = -1;
  Fd pidfd;
  std::array<Stream, 2> streams;       ///< Watch::kOutput and kErrorOutput.
  std::unique_ptr<LaunchBlock> block;  ///< Null once the child has left it.
  Command::Group group = Command::Group::kOwn;
  Command::Survivors survivors = Command::Survivors::kLeave;
  bool group_killed = false;  ///< SIGKILL has been sent to its group.
  size_t output_cap = SIZE_MAX;
  std::chrono::milliseconds timeout{0};
  std::chrono::milliseconds drain{-1};  ///< Negative: wait.
  std::chrono::milliseconds poll_interval{1};
  int pending_signal = 0;   ///< Kill() came while kStarting.
  bool had_others = false;  ///< Other jobs ran when it was started.
  uint64_t start = 0;       ///< Launcher::Impl::thread_starts by then.
  bool timed_out = false;
  Fd start_pipe;  ///< Read end of a pipe that the child holds until its exec.
  bool drop_output = false;  ///< DropOutput() came while kWaiting.
  bool output_complete = true;
  void* tag = nullptr;

  // Of a command line.
  std::unique_ptr<ShellLine> line;
  bool in_shell = false;     ///< A shell does the rest of `line`.
  std::string shell_reason;  ///< Finished::shell_reason.
  pid_t leader = -1;         ///< The first program, ended: kept for its group.
  int killed = 0;            ///< The signal of a Kill() that ends a shell.
  bool stopped = false;      ///< Kill() came with 0.
  bool noticed = false;      ///< The death of a program has been dealt with.
  Usage usage;               ///< Of the programs before this one.
  std::optional<Reaped> reaped;  ///< How it ended, where that cannot be had
                                 ///< without reaping it.

  // Of a warm launch.
  std::shared_ptr<warm::WarmProcess> warm;  ///< Until its report is taken.
  std::shared_ptr<warm::WarmProcess> ended_with;  ///< Then until it is reaped.
  uint32_t report = 0;                            ///< Index of its report.
  std::vector<Fd> given;   ///< Its own descriptors, until it has been cloned.
  bool cold = false;       ///< Not to be tried again.
  bool warm_only = false;  ///< Command::warm_only.

  bool await_start = false;  ///< Command::await_start.
  bool given_away = false;   ///< StartProcess(): not ours to reap.

  Timeline times;
  std::array<Timeline::TimePoint, kTimers> timers = {};  ///< Zero: not set.

  /// Where the job stands in Launcher::Impl's list of jobs with or without a
  /// pidfd, `listed` says which.
  enum class Listed : uint8_t { kNowhere, kWithPidfd, kLate };
  Listed listed = Listed::kNowhere;
  std::list<Job*>::iterator place;

  uint64_t Token(Watch watch) const {
    return id << kWatchBits | static_cast<uint64_t>(watch);
  }
  /// Whether further programs of its line are to be started.
  bool MayGoOn() const { return killed == 0 && !stopped && !timed_out; }
  /// Whether it runs without the shell that it was meant for.
  bool Planned() const { return line && !in_shell; }
  bool KillsDescendants() const {
    return survivors == Command::Survivors::kKill;
  }
  bool StreamsOpen() const { return streams[0].fd || streams[1].fd; }
  /// Whether the end of a stream tells the end of the child.
  bool StreamTellsEnd() const {
    return StreamsOpen() && !streams[0].write_end && !streams[1].write_end;
  }
};

}  // namespace launcher

#endif  // LAUNCHER_SRC_JOB_H_
