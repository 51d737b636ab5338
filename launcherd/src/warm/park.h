// Makes a parked process: a program that waits at its entry point, with the
// stub in its memory (stub.h), for jobs to become clones of it.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_WARM_PARK_H_
#define LAUNCHER_SRC_WARM_PARK_H_

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "engine.h"
#include "launcher/fd.h"
#include "launcher/result.h"
#include "protocol.h"
#include "trial.h"

namespace launcher::warm {

/// Memory that a launcher and its parked process share.
class Reports {
 public:
  Reports() = default;
  Reports(Reports&& other) noexcept;
  Reports& operator=(Reports&& other) noexcept;
  ~Reports();

  /// Errors: of memfd_create(2), ftruncate(2), mmap(2).
  static Result<Reports> Create();

  Report* get() const { return reports_; }
  int fd() const { return fd_.get(); }

  /// Once the other side has mapped it.
  void CloseFd() { fd_.Reset(); }

 private:
  Fd fd_;
  Report* reports_ = nullptr;
};

/// A parked process and what is known of it. The process ends when `socket` is
/// shut down or closed; it is a child of this process, to be reaped, and always
/// has a pidfd.
struct Parked {
  Started process;
  Fd socket;  ///< Non-blocking, for Request and Reply.
  Reports reports;
  std::shared_ptr<const Trial> trial;  ///< What it has looked at must be equal
                                       ///< at each launch.
  bool fixed_directory = false;        ///< PWD and OLDPWD must be equal too.
  std::chrono::nanoseconds loader_cpu{};
  uint64_t private_kib = 0;
};

/// Parks `program` for jobs with an even or an odd number of arguments
/// (argv[0] counts), which decides on the alignment of their stack. Blocks.
/// `trial` is one of the same program, from the same state of this process, or
/// null: one is made.
///
/// Errors: those of TryProgram(): EPERM with the step "entry point" means that
/// the program can never be parked, and why. After an Error nothing is left.
Result<Parked> Park(const Program& program, bool odd,
                    std::shared_ptr<const Trial> trial, Canceller* canceller);

}  // namespace launcher::warm

#endif  // LAUNCHER_SRC_WARM_PARK_H_
