// What a program's loader has found under a path, and whether it would find it
// again.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_WARM_FILE_STATE_H_
#define LAUNCHER_SRC_WARM_FILE_STATE_H_

#include <cstdint>
#include <string>

namespace launcher::warm {

/// Two equal states of one path: nothing was there before and nothing is now,
/// or the same file or directory with the same content, as ExecIdentity has it.
struct FileState {
  int error = 0;  ///< Of statx(2); all else is 0 then.
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t size = 0;
  uint32_t mode = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  int64_t ctime_ns = 0;
  int64_t mtime_ns = 0;

  bool operator==(const FileState&) const = default;

  static FileState Of(const char* path);
};

/// A path that was looked at, with what was there.
struct LookedAt {
  std::string path;  ///< Absolute.
  FileState state;
};

}  // namespace launcher::warm

#endif  // LAUNCHER_SRC_WARM_FILE_STATE_H_
