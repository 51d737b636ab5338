// Which shell /bin/sh is, and what of its behaviour a job can see.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_SHELL_H_
#define LAUNCHER_SRC_SHELL_H_

#include <sys/types.h>

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "command_line.h"
#include "exec_identity.h"
#include "sys.h"

namespace launcher {

/// Where a command stands in its line.
struct CommandPlace {
  bool in_list = false;     ///< Another command comes before it.
  bool is_last = true;      ///< None comes after it.
  bool redirected = false;  ///< It has a redirection.
  bool exec = false;        ///< exec is before it.
};

class SystemShell {
 public:
  /// `path`: the executable, /bin/sh.
  explicit SystemShell(std::string path) : path_(std::move(path)) {}
  ~SystemShell();
  SystemShell(const SystemShell&) = delete;
  SystemShell& operator=(const SystemShell&) = delete;

  const std::string& path() const { return path_; }

  /// Which one it is. Goes by the name of the file that the path leads to and,
  /// for bash and busybox, by the version within; looks again when the file has
  /// changed. kUnknown: none whose behaviour we know.
  Shell Kind();

  /// Whether busybox would take `name` for an applet of its own rather than
  /// look for a program. May say yes for a name that is none.
  bool MayBeApplet(std::string_view name);

  /// Whether this shell runs a command in that place in its own process, so
  /// that a signal that kills the command has killed the shell. With dash this
  /// asks the shell the first time, and waits for it (some ms).
  bool RunsInPlace(const CommandPlace& place);

  /// The blocked signals of a program, not behind exec, of a shell that was
  /// started with `mask`.
  sys::KernelSigset ProgramMask(sys::KernelSigset mask) const;

  /// Whether a command in that place starts with SIGQUIT ignored.
  bool IgnoresQuit(const CommandPlace& place) const {
    return kind_ == Shell::kBusybox && place.is_last && !place.exec;
  }

  /// What it writes to standard error when a signal has killed a command that
  /// it did not run in its own process; ends with a newline, or is empty.
  std::string DeathNotice(int signal, bool core_dumped);

 private:
  void Detect();
  void Unmap();

  std::string path_;
  ExecIdentity identity_;
  Shell kind_ = Shell::kUnknown;
  std::string_view image_;  ///< The file, mapped; busybox only.
  std::unordered_map<std::string, bool> applets_;
  std::unordered_map<int, bool> in_place_;
};

/// The reason as one text: glob '*'.
std::string ToString(const ShellReason& reason);

}  // namespace launcher

#endif  // LAUNCHER_SRC_SHELL_H_
