// What makes a file the same executable as before.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_EXEC_IDENTITY_H_
#define LAUNCHER_SRC_EXEC_IDENTITY_H_

#include <cstdint>
#include <string>

#include "launcher/result.h"

namespace launcher {

/// Two equal identities are one file with one content and the same rights: any
/// write, chmod, chown, rename-over or relink changes at least the ctime.
struct ExecIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t size = 0;
  uint32_t mode = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  int64_t ctime_ns = 0;
  int64_t mtime_ns = 0;

  bool operator==(const ExecIdentity&) const = default;

  /// Of the file that `path` leads to from `dirfd`, links followed.
  /// Errors: those of statx(2), step "lookup"; EACCES if it is no regular file
  /// or may not be executed by anybody, as execve(2) says for both.
  static Result<ExecIdentity> Of(int dirfd, const char* path);
};

}  // namespace launcher

#endif  // LAUNCHER_SRC_EXEC_IDENTITY_H_
