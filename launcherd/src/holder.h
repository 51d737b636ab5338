// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_HOLDER_H_
#define LAUNCHER_SRC_HOLDER_H_

#include <sys/types.h>

#include <string>

namespace launcher {

struct Holder {
  pid_t pid = 0;  ///< 0: none found, or none that this user may see.
  std::string comm;
};

/// A process that has the pipe of `read_end` open for writing, from /proc. Not
/// this process, and not `except`. Reads every descriptor of every process: for
/// the rare case that a message is worth it.
Holder FindPipeHolder(int read_end, pid_t except);

}  // namespace launcher

#endif  // LAUNCHER_SRC_HOLDER_H_
