// A parked process from the launcher's side: requests out, replies in.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_WARM_WARM_PROCESS_H_
#define LAUNCHER_SRC_WARM_WARM_PROCESS_H_

#include <optional>
#include <set>
#include <vector>

#include "park.h"
#include "request.h"

namespace launcher::warm {

/// Invariant: `unanswered_` are the jobs of the requests that were sent and to
/// which no Reply has come. Once Receive() has met the end of file these have
/// not been started and never will be: every clone holds the socket until its
/// reply is out.
class WarmProcess {
 public:
  explicit WarmProcess(Parked parked);

  /// Kills and reaps the process and clones that did not come to their reply.
  /// Blocks until that is done; no job of it may be without its status.
  ~WarmProcess();
  WarmProcess(const WarmProcess&) = delete;
  WarmProcess& operator=(const WarmProcess&) = delete;

  const Parked& parked() const { return parked_; }
  int socket() const { return parked_.socket.get(); }

  /// Whether everything that the program was loaded from is still the same.
  bool IsFresh() const;

  /// Sends a request for `job`, whose report is at index *report until
  /// FreeReport(). Errors: EAGAIN, ETOOMANYREFS, EPIPE and others of
  /// sendmsg(2); ENOSPC: too many jobs of this process are running.
  Result<void> Send(uint64_t job, Message* message, uint32_t* report);

  Report* report(uint32_t index) { return parked_.reports.get() + index; }
  void FreeReport(uint32_t index) { free_reports_.push_back(index); }

  /// The same of one that its clone may still write to.
  void LeaveReport(uint32_t index) { left_reports_.push_back(index); }

  /// The next reply, if there is one.
  std::optional<Reply> Receive();

  /// The process is no more, and nothing of it is under way.
  bool AtEnd() const { return at_end_; }

  /// The jobs that were not started; to be called at the end.
  std::set<uint64_t> TakeUnanswered() { return std::move(unanswered_); }

  /// Lets it answer what it has been asked, and end.
  void Retire();

  /// Whether there are requests without a reply.
  bool IsAsked() const { return !unanswered_.empty(); }

  // The owner's.
  uint64_t id = 0;
  bool watched = false;  ///< It is looked after from time to time.

  /// Whether there were requests since the last call.
  bool TakeUsed() { return std::exchange(used_, false); }

  /// Kills it if it would keep an answer back for ever: it has been stopped, or
  /// a clone has ended before its reply.
  void EndIfStuck();

 private:
  bool IsStuck() const;

  Parked parked_;
  std::vector<uint32_t> free_reports_;
  std::vector<uint32_t> left_reports_;
  uint32_t next_report_ = 0;
  std::set<uint64_t> unanswered_;
  bool at_end_ = false;
  bool used_ = false;
};

}  // namespace launcher::warm

#endif  // LAUNCHER_SRC_WARM_WARM_PROCESS_H_
