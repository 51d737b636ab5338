// For tests of a host that has closed its standard descriptors.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef TESTS_SUPPORT_WITHOUT_STDIO_H_
#define TESTS_SUPPORT_WITHOUT_STDIO_H_

#include <fcntl.h>
#include <unistd.h>

namespace launcher {

/// Closes 0 to 2 for its scope.
class WithoutStdio {
 public:
  WithoutStdio() {
    for (int fd : {0, 1, 2}) {
      kept_[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 10);
      close(fd);
    }
  }
  ~WithoutStdio() {
    for (int fd : {0, 1, 2}) {
      dup2(kept_[fd], fd);
      close(kept_[fd]);
    }
  }

 private:
  int kept_[3];
};

}  // namespace launcher

#endif  // TESTS_SUPPORT_WITHOUT_STDIO_H_
