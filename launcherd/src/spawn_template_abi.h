// The system calls of kernel/patches, as include/uapi/linux/spawn_template.h of
// a patched kernel has them: no distribution ships that header.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_SPAWN_TEMPLATE_ABI_H_
#define LAUNCHER_SRC_SPAWN_TEMPLATE_ABI_H_

#include <linux/openat2.h>

#include <cstddef>
#include <cstdint>

#include "sys.h"

namespace launcher::sys {

struct SpawnTemplateCreateArgs {
  uint64_t flags;
  int32_t execfd;  ///< Negative: by `filename`.
  uint32_t exec_flags;
  uint64_t filename;
  uint64_t actions;
  uint64_t actions_len;
  uint64_t reserved[4];
};
static_assert(sizeof(SpawnTemplateCreateArgs) == 72);

constexpr uint64_t kCreateCloexec = 1;
constexpr uint64_t kCreateAllowWrite = 2;

struct SpawnTemplateSpawnArgs {
  uint64_t flags;
  uint64_t pidfd;
  uint64_t argv;
  uint64_t envp;
  uint64_t actions;
  uint64_t actions_len;
  uint64_t reserved[4];
  uint64_t failure;
  uint32_t action_size;
  uint32_t reserved1;
};
static_assert(sizeof(SpawnTemplateSpawnArgs) == 96);

constexpr uint64_t kSpawnInheritFds = 1;

struct SpawnTemplateAction {
  enum Type : uint32_t {
    kClose,
    kDup2,
    kFchdir,
    kOpen,
    kCloseRange,
    kSigmask,
    kSigdefault,
    kSetpgid,
  };
  Type type;
  uint32_t flags;
  int32_t fd;
  int32_t newfd;
  uint64_t arg;
};
static_assert(sizeof(SpawnTemplateAction) == 24);

constexpr size_t kSpawnTemplateMaxActions = 256;

struct SpawnTemplateOpen {
  uint64_t path;
  open_how how;
};
static_assert(sizeof(SpawnTemplateOpen) == 32);

struct SpawnTemplateSigset {
  uint64_t sigset;
  uint64_t sigsetsize;
};

struct SpawnTemplateFailure {
  enum Step : uint32_t { kSetup, kAction, kExec };
  Step step;
  uint32_t action;
};

/// Linux 6.12 with kernel/patches. A descriptor or -errno.
inline long SpawnTemplateCreate(const SpawnTemplateCreateArgs* args,
                                size_t size) {
  return Raw(472, Arg(args), static_cast<long>(size));
}

/// The same. Returns when the program has been loaded: its pid or -errno.
inline long SpawnTemplateSpawn(int fd, const SpawnTemplateSpawnArgs* args) {
  return Raw(473, fd, Arg(args), sizeof(*args));
}

}  // namespace launcher::sys

#endif  // LAUNCHER_SRC_SPAWN_TEMPLATE_ABI_H_
