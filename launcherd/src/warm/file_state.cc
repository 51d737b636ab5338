// SPDX-License-Identifier: Apache-2.0

#include "file_state.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

namespace launcher::warm {

FileState FileState::Of(const char* path) {
  FileState state;
  struct statx file;
  if (statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &file) != 0) {
    state.error = errno;
    return state;
  }
  auto to_ns = [](const statx_timestamp& time) {
    return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
  };
  state.mode = file.stx_mode;
  state.device = uint64_t{file.stx_dev_major} << 32 | file.stx_dev_minor;
  state.inode = file.stx_ino;
  state.size = file.stx_size;
  state.uid = file.stx_uid;
  state.gid = file.stx_gid;
  state.ctime_ns = to_ns(file.stx_ctime);
  state.mtime_ns = to_ns(file.stx_mtime);
  return state;
}

}  // namespace launcher::warm
