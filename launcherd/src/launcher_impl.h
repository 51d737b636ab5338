// The state of a Launcher and what works on it. In six files: launcher.cc
// (life, engines, waiting), launcher_start.cc (from a Command to a child),
// launcher_line.cc (from a command line to its programs), launcher_events.cc
// (from an event to a Finished), launcher_warm.cc and launcher_kernel.cc (from
// a job to its child by these engines).
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_LAUNCHER_IMPL_H_
#define LAUNCHER_SRC_LAUNCHER_IMPL_H_

#include <array>
#include <deque>
#include <list>
#include <memory>
#include <unordered_map>
#include <vector>

#include "engine.h"
#include "event_loop.h"
#include "job.h"
#include "launcher/launcher.h"
#include "path_lookup.h"
#include "shell.h"
#include "spawn_threads.h"
#include "template_cache.h"
#include "warm/warm_templates.h"

namespace launcher {

struct Launcher::Impl {
  using milliseconds = std::chrono::milliseconds;
  using steady_clock = std::chrono::steady_clock;
  using TimePoint = Timeline::TimePoint;

  /// The token of SpawnThreads::event_fd(); jobs and warm processes count from
  /// 1.
  static constexpr uint64_t kSpawnThreadsToken = 0;
  static constexpr uint64_t kParkedToken = 1;  ///< WarmTemplates::event_fd()
  static constexpr size_t kReadSize = 64 * 1024;

  Impl(Options wanted, EventLoop made_loop,
       std::unique_ptr<TemplateCache> made_cache)
      : options(std::move(wanted)),
        shell(options.shell_path),
        loop(std::move(made_loop)),
        cache(std::move(made_cache)) {}
  ~Impl();

  Result<ChildId> Spawn(const Command& command);
  Result<pid_t> StartProcess(const Command& command);
  Result<void> Prepare(const Command& command);
  Result<ChildId> SpawnLine(const char* line, const Command& command);
  std::string WhyShell(const char* line, const Command& command);
  Result<Finished> Wait(milliseconds timeout, const sigset_t* mask);
  Result<void> Kill(Job* job, int signal);
  void DropOutput(Job* job);

  /// For PollFd(): a Wait() that would not block is seen from outside.
  void ShowWork() { loop.ShowTimers(room_made || !finished.empty()); }
  Job* Find(uint64_t id);
  Statistics GetStatistics() const;

  // Engines.
  Result<void> UsePosixSpawn();
  void RaiseFdLimit();
  void RestoreFdLimit();

  // Starting.
  using Block = std::unique_ptr<LaunchBlock>;
  Result<Block> StoreCommand(const Command& command);
  Result<void> SetExecutable(const Command& command, LaunchBlock* block);
  Result<void> UseTemplate(const std::string& path);
  Result<Job*> AddCommand(const Command& command);
  Job* AddJob(const Command& command, TimePoint requested);
  void RemoveJob(Job* job);
  Result<ChildId> Launch(Job* job);
  Result<void> StartOrWait(Job* job);
  Result<void> StartOrGiveToShell(Job* job);
  Result<void> Start(Job* job);
  Result<void> StartOnce(Job* job, bool* refused);
  Result<Fd> OpenStream(Job* job, Watch watch);
  Result<Fd> OpenStart(Job* job);
  void CloseStart(Job* job);
  Result<void> AwaitStart(uint64_t id);
  Result<void> OpenStreams(Job* job, std::array<int, 3>* sources,
                           std::vector<Fd>* given);
  Result<void> RunEngine(Job* job, std::vector<Fd> given, bool* refused);
  void SetTimeout(Job* job);
  void Adopt(Job* job, Started started);
  void CollectThreads();
  void OnThreadDone(Job* job, Result<Started> result);
  void OnNotStarted(Job* job, const Error& error);
  bool PutOff(Job* job, const Error& error);
  void RetryWaiting();
  bool AnyRunning() const { return jobs.size() > waiting.size(); }
  Block TakeBlock();
  void ReleaseBlock(Block block);
  void TakeTimes(Job* job);

  // Warm launches.
  using WarmPointer = warm::WarmTemplates::ProcessPointer;
  Result<void> UseWarm();
  bool WatchProcess(const WarmPointer& process);
  bool StartWarm(Job* job, std::vector<Fd>* given);
  std::string WhyNeverWarm(const LaunchBlock& block);
  void OnWarmEvent(uint64_t id);
  void OnWarmTimer(uint64_t id);
  void AwaitAnswer(uint64_t id);
  void StartCold(Job* job);
  void TakeReport(Job* job);
  static uint64_t WarmTimer(uint64_t id) {
    return id << kWatchBits | static_cast<uint64_t>(Watch::kPoll);
  }

  // Launches by the kernel's spawn templates.
  Result<void> UseKernel();
  Result<bool> StartByKernel(Job* job, bool want_pidfd);
  void OnFailed(Job* job);

  // Command lines.
  Result<Block> StoreShell(const char* line, const Command& command);
  void PrepareProgram(Job* job);
  void GiveToShell(Job* job, const Error& error);
  enum class Progress : uint8_t { kNotYet, kGoesOn, kEnded };
  Progress AdvanceLine(Job* job);
  void StartNext(Job* job);
  void NoteDeath(Job* job, int signal, bool core_dumped);
  void EndLine(Job* job, Finished* result);
  std::unique_ptr<ShellLine> TakeLine();
  void ReleaseLine(Job* job);

  // Pidfds.
  void WatchExit(Job* job);
  bool OpenPidfd(Job* job);
  bool RevokePidfds();
  void List(Job* job, Job::Listed where);

  // Events.
  void Handle(uint64_t token);
  void OnReadable(Job* job, Stream* stream);
  void Keep(Job* job, Stream* stream, std::string_view text);
  void OnExit(Job* job);
  void OnPoll(Job* job);
  void OnHeld(Job* job);
  void ArmDrain(Job* job, milliseconds drain);
  void CloseStream(Job* job, Stream* stream);
  void CloseStreams(Job* job);
  void CloseWriteEnds(Job* job);
  void FinishIfDone(Job* job);
  void LookAgain(Job* job);
  void FinishNotStarted(Job* job, Error error);
  void Finish(Job* job, Finished result);
  void TakeSurvivors(Job* job, Finished* result);
  void SetTimer(Job* job, Watch watch, TimePoint when);
  void CancelTimer(Job* job, Watch watch);

  Options options;
  SystemShell shell;
  EventLoop loop;
  std::unique_ptr<TemplateCache> cache;
  PathLookup lookup;
  std::unique_ptr<LaunchEngine> kernel;   ///< Null: not here, or not wanted.
  std::unique_ptr<LaunchEngine> engine;   ///< What `kernel` does not do.
  std::unique_ptr<SpawnThreads> threads;  ///< Made with a blocking engine.
  uint64_t thread_starts = 0;  ///< Launches that were given to a thread.
  sys::KernelSigset child_mask = 0;
  bool fd_limit_raised = false;
  rlimit fd_limit = {};  ///< What children get, when raised.

  std::unique_ptr<warm::WarmTemplates> templates;  ///< Null: all starts cold.
  std::unordered_map<uint64_t, WarmPointer> warm_processes;
  warm::Message message;

  uint64_t next_id = 1;
  std::unordered_map<uint64_t, std::unique_ptr<Job>> jobs;
  std::deque<Finished> finished;
  std::deque<uint64_t> waiting;  ///< Jobs in State::kWaiting, oldest first.

  /// Jobs whose child may still be in its block, and blocks free for use.
  std::deque<uint64_t> leaving;
  std::vector<Block> free_blocks;
  std::vector<std::unique_ptr<ShellLine>> free_lines;

  std::list<Job*> with_pidfd;  ///< These could do without until end of file.
  std::list<Job*> late;        ///< These do without.
  bool pidfd_refused = false;
  bool room_made = false;  ///< A job has ended since the last RetryWaiting().

  Statistics statistics;
  std::unique_ptr<char[]> buffer{new char[kReadSize]};
};

}  // namespace launcher

#endif  // LAUNCHER_SRC_LAUNCHER_IMPL_H_
