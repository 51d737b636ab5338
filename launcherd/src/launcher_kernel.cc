// SPDX-License-Identifier: Apache-2.0

#include <errno.h>

#include <utility>

#include "launcher_impl.h"

namespace launcher {

Result<void> Launcher::Impl::UseKernel() {
  Result<std::unique_ptr<LaunchEngine>> made = MakeKernelEngine(cache.get());
  if (!made.ok())
    return made.error();
  kernel = std::move(made.value());
  return {};
}

/// True: the job has started, or has failed where a child would have. False:
/// the next engine is to do it.
Result<bool> Launcher::Impl::StartByKernel(Job* job, bool want_pidfd) {
  if (!kernel)
    return false;
  LaunchBlock* block = job->block.get();
  sys::KernelSigset mask = sys::BlockAllSignals();
  Result<Started> started = kernel->Start(block, want_pidfd);
  sys::SetSignalMask(mask);
  if (!started.ok()) {
    if (!IsRefusal(started.error().code))
      return false;
    if (options.engine == Engine::kKernel)
      return started.error();
    statistics.refusals += started.error().ToString() + "; ";
    kernel.reset();
    cache->CloseDescriptors();
    return false;
  }
  job->engine = Engine::kKernel;
  if (started.value().pid < 0) {
    // Spawn() does not tell of it, Wait() does: as if a child had failed.
    job->state = Job::State::kFailed;
    SetTimer(job, Watch::kPoll, steady_clock::now());
    return true;
  }
  ReleaseBlock(std::move(job->block));
  Adopt(job, std::move(started.value()));
  return true;
}

void Launcher::Impl::OnFailed(Job* job) {
  job->state = Job::State::kWaiting;
  OnNotStarted(job, job->block->ReportedError());
}

}  // namespace launcher
