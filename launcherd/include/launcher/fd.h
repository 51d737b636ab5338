// launcher/fd.h - an owned file descriptor.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_FD_H_
#define LAUNCHER_FD_H_

#include <unistd.h>

#include <utility>

namespace launcher {

/// Owns one descriptor and closes it once. Move-only; -1 means empty.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}  ///< Takes ownership; negative: empty.
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other)
      Reset(std::exchange(other.fd_, -1));
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { Reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

  /// Gives the descriptor up: the caller closes it.
  int Release() { return std::exchange(fd_, -1); }

  /// Closes what is held and holds `fd`. An error of close(2) is ignored: Linux
  /// frees the descriptor whatever it returns, so there is nothing to retry.
  void Reset(int fd = -1) {
    if (fd_ >= 0)
      (void)close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

}  // namespace launcher

#endif  // LAUNCHER_FD_H_
