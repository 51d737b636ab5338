// The interface of a way to start a child.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_ENGINE_H_
#define LAUNCHER_SRC_ENGINE_H_

#include <memory>

#include "launch_block.h"
#include "launcher/fd.h"
#include "launcher/launcher.h"
#include "launcher/result.h"
#include "template_cache.h"

namespace launcher {

struct Started {
  pid_t pid = -1;
  Fd pidfd;  ///< Empty if not asked for or not given.
};

class LaunchEngine {
 public:
  virtual ~LaunchEngine() = default;

  virtual Engine kind() const = 0;

  /// True: Start() holds its thread until the child's exec, and is called on a
  /// thread of its own.
  virtual bool blocks() const = 0;

  /// Starts the child of `block`, which must not be touched until its
  /// report.present is 0. A failure in the child is left in the report (clone3;
  /// kernel, without a child then: pid is -1) or returned (posix_spawn). Called
  /// with all signals blocked.
  /// Errors: of clone3(2) and mmap(2), or of posix_spawn(3) and the child.
  /// kernel: ENOEXEC, this launch is not for it; or one that IsRefusal().
  virtual Result<Started> Start(LaunchBlock* block, bool want_pidfd) = 0;
};

std::unique_ptr<LaunchEngine> MakeClone3Engine();
std::unique_ptr<LaunchEngine> MakePosixSpawnEngine();

/// Keeps descriptors in the templates of `cache`, which is borrowed.
/// Errors: ENOSYS, EPERM, ... (step "spawn_template_create"): no such call
/// here.
Result<std::unique_ptr<LaunchEngine>> MakeKernelEngine(TemplateCache* cache);

/// Whether an error of an engine's own call (not of the child) means that this
/// kernel or a filter does not allow the call at all, rather than not now.
bool IsRefusal(int error);

/// Whether it means that a resource has run out and may come back.
bool IsShortage(int error);

}  // namespace launcher

#endif  // LAUNCHER_SRC_ENGINE_H_
