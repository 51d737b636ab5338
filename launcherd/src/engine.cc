// SPDX-License-Identifier: Apache-2.0

#include "engine.h"

#include <errno.h>

namespace launcher {

// EPERM comes from seccomp profiles of containers, EINVAL from kernels that
// have clone3 without CLONE_CLEAR_SIGHAND (5.3, 5.4), E2BIG from kernels that
// know a shorter clone_args.
bool IsRefusal(int error) {
  return error == ENOSYS || error == EPERM || error == EINVAL ||
         error == E2BIG || error == EOPNOTSUPP;
}

bool IsShortage(int error) {
  return error == EAGAIN || error == ENOMEM || error == EMFILE ||
         error == ENFILE || error == ENOSPC;
}

const char* EngineName(Engine engine) {
  switch (engine) {
    case Engine::kAuto:
      return "auto";
    case Engine::kClone3:
      return "clone3";
    case Engine::kKernel:
      return "kernel";
    case Engine::kPosixSpawn:
      return "posix_spawn";
    case Engine::kWarm:
      return "warm";
  }
  return "?";
}

}  // namespace launcher
