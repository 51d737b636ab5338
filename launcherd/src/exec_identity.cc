// SPDX-License-Identifier: Apache-2.0

#include "exec_identity.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

namespace launcher {

namespace {

int64_t ToNs(const statx_timestamp& time) {
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

Result<ExecIdentity> ExecIdentity::Of(int dirfd, const char* path) {
  struct statx file;
  if (statx(dirfd, path, 0, STATX_BASIC_STATS, &file) != 0)
    return Error{errno, "lookup", path};
  if (!S_ISREG(file.stx_mode) || (file.stx_mode & 0111) == 0)
    return Error{EACCES, "lookup", path};

  ExecIdentity identity;
  identity.device = uint64_t{file.stx_dev_major} << 32 | file.stx_dev_minor;
  identity.inode = file.stx_ino;
  identity.size = file.stx_size;
  identity.mode = file.stx_mode;
  identity.uid = file.stx_uid;
  identity.gid = file.stx_gid;
  identity.ctime_ns = ToNs(file.stx_ctime);
  identity.mtime_ns = ToNs(file.stx_mtime);
  return identity;
}

}  // namespace launcher
