// launcher/command.h - what to run, and in which surroundings.
//
// A Command is a view: everything it points to is borrowed for the call of
// Launcher::Spawn() only. The defaults are those of a build job: no input,
// standard output and error collected as one stream, no other descriptor.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_COMMAND_H_
#define LAUNCHER_COMMAND_H_

#include <fcntl.h>
#include <signal.h>
#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "launcher/fd.h"
#include "launcher/result.h"

namespace launcher {

/// Where one of the descriptors 0, 1 and 2 of the child leads.
struct Stdio {
  enum class Kind : uint8_t {
    kInherit,  ///< The launcher's own descriptor of that number.
    kNull,     ///< /dev/null, opened for this child.
    kCapture,  ///< A pipe that the Launcher reads; not for standard input.
    kMerge,    ///< Standard error only: the same as standard output.
    kFd,       ///< `fd`, which stays the caller's.
  };
  Kind kind = Kind::kInherit;
  int fd = -1;

  static constexpr Stdio Inherit() { return {Kind::kInherit, -1}; }
  static constexpr Stdio Null() { return {Kind::kNull, -1}; }
  static constexpr Stdio Capture() { return {Kind::kCapture, -1}; }
  static constexpr Stdio Merge() { return {Kind::kMerge, -1}; }
  static constexpr Stdio FromFd(int fd) { return {Kind::kFd, fd}; }
};

/// A descriptor to read these bytes from, for Stdio::FromFd(): an unnamed file
/// (memfd_create(2), Linux 3.17) at its start, open for reading alone, so that
/// nobody has to feed a pipe. `name` is what /proc/PID/fd shows of it.
/// Errors: EMFILE, ENFILE, ENOMEM, ENOSPC (steps "memfd_create", "write",
/// "open").
Result<Fd> MemoryInput(std::string_view bytes, const char* name = "input");

/// One step that the child takes before its program is loaded. Actions run in
/// order, after the standard descriptors, the process group and the directory
/// are set; the first that fails ends the launch. Make them with the functions
/// below; they are the set of posix_spawn_file_actions_*(3) and its attributes.
struct Action {
  enum class Kind : uint8_t {
    kClose,          ///< close(fd); no error if it is not open
    kDup2,           ///< dup3(fd, newfd, flags); fd == newfd keeps it over exec
    kOpen,           ///< close(newfd); openat(fd, path, flags, mode) as newfd
    kFchdir,         ///< fchdir(fd)
    kCloseRange,     ///< close_range(fd, newfd, flags)
    kSignalMask,     ///< the program starts with the mask `signals`
    kSignalDefault,  ///< SIG_DFL for each member of `signals`
    kSignalIgnore,   ///< SIG_IGN for each member of `signals`
  };
  Kind kind;
  int fd = -1;
  int newfd = -1;
  int flags = 0;
  mode_t mode = 0;
  const char* path = nullptr;
  sigset_t signals = {};

  static Action Close(int fd) { return {.kind = Kind::kClose, .fd = fd}; }

  /// flags: 0 or O_CLOEXEC. A target of 3 or more survives the default close.
  static Action Dup2(int fd, int newfd, int flags = 0) {
    return {.kind = Kind::kDup2, .fd = fd, .newfd = newfd, .flags = flags};
  }

  /// `dirfd` is AT_FDCWD or a directory; a relative path starts there.
  static Action Open(int newfd, const char* path, int flags, mode_t mode = 0,
                     int dirfd = AT_FDCWD) {
    return {.kind = Kind::kOpen,
            .fd = dirfd,
            .newfd = newfd,
            .flags = flags,
            .mode = mode,
            .path = path};
  }

  static Action Fchdir(int fd) { return {.kind = Kind::kFchdir, .fd = fd}; }

  /// Closes first..last, or with CLOSE_RANGE_CLOEXEC marks them to be closed by
  /// the exec. last == -1: all from `first` on. Descriptors that are not open
  /// do not matter, close_range(2).
  static Action CloseRange(int first, int last, int flags = 0) {
    return {
        .kind = Kind::kCloseRange, .fd = first, .newfd = last, .flags = flags};
  }

  /// Replaces the mask; takes effect just before the exec, whatever its place.
  static Action SignalMask(const sigset_t& set) {
    return {.kind = Kind::kSignalMask, .signals = set};
  }
  static Action SignalDefault(const sigset_t& set) {
    return {.kind = Kind::kSignalDefault, .signals = set};
  }
  /// Not with the posix_spawn engine: ENOTSUP.
  static Action SignalIgnore(const sigset_t& set) {
    return {.kind = Kind::kSignalIgnore, .signals = set};
  }
};

/// One change to the environment; value == nullptr removes the name.
struct EnvChange {
  const char* name;
  const char* value;
};

struct Command {
  /// Process group of the child, setpgid(2).
  enum class Group : uint8_t {
    kOwn,      ///< Leads a new one: Launcher::Kill() reaches its descendants.
    kInherit,  ///< Stays in the launcher's: gets the terminal's signals itself.
    kJoin,     ///< Enters `pgid`, of the launcher's session. Launcher::Kill()
               ///< reaches the child alone: the group has other owners.
    kSession,  ///< Leads a new session and group, setsid(2), without a
               ///< terminal. A line has a shell then, to lead them.
  };

  std::span<const char* const> argv;  ///< argv[0] first, no null at the end.

  /// The executable. Null: argv[0] is looked up as execvp(3) does, in the PATH
  /// of the child's environment, relative entries against the child's
  /// directory. A path with a slash is used as it is.
  const char* path = nullptr;

  /// Null-terminated array of NAME=VALUE. Null: the launcher's environ.
  const char* const* env = nullptr;
  std::span<const EnvChange> env_changes;  ///< Applied to `env`, in order.

  const char* cwd = nullptr;  ///< chdir(2), and only if cwd_fd is negative.
  int cwd_fd = -1;            ///< fchdir(2); stays the caller's.

  Stdio in = Stdio::Null();
  Stdio out = Stdio::Capture();
  Stdio err = Stdio::Merge();

  std::span<const Action> actions;

  /// False: the child gets 0 to 2 and what `actions` place at 3 and above.
  /// True: also every descriptor of the launcher without FD_CLOEXEC.
  bool inherit_fds = false;

  Group group = Group::kOwn;
  pid_t pgid = 0;  ///< For kJoin. No such group: EPERM, step "setpgid".

  /// What becomes of processes that the child has left in its group, once it
  /// and its output have ended. Others than kLeave: only with Group::kOwn and
  /// kSession. Who has gone to another group or session is not found; when
  /// `timeout` or a Kill() with SIGKILL ends a child with kKill, its
  /// descendants get SIGKILL there too, but for those whose parent has ended:
  /// daemons.
  enum class Survivors : uint8_t {
    kLeave,  ///< Nobody looks for them.
    kTell,   ///< They are named in Finished::survivors.
    kKill,   ///< And get SIGKILL.
  };
  Survivors survivors = Survivors::kLeave;

  /// Start it as a clone of a parked process or not at all. Where there is none
  /// that can do it, Spawn() gives ENOTSUP, step "warm", and has counted the
  /// use, so that the program becomes worth one, or EPERM with the reason if it
  /// never will; a parked process that fails at it ends the launch as
  /// kNotStarted with ENOTSUP. Not for lines.
  bool warm_only = false;

  /// Spawn() returns when the program runs, as posix_spawn(3) does: what goes
  /// wrong in the child, a missing directory say, is an Error of Spawn(), and a
  /// shortage too. The launcher's other children go on meanwhile, and their
  /// ends are kept for Wait(). A step that hangs, the open of a FIFO say, holds
  /// Spawn(). Not for lines.
  bool await_start = false;

  /// Bytes kept of each captured stream; what comes after is read and counted,
  /// so that the child does not block, and dropped.
  size_t output_cap = SIZE_MAX;

  /// After this long the group is killed with SIGKILL. Zero: no limit.
  std::chrono::milliseconds timeout{0};

  /// Launcher::Options::drain for this child. Negative: that one.
  std::chrono::milliseconds drain{-1};

  /// Comes back in Finished::tag.
  void* tag = nullptr;
};

}  // namespace launcher

#endif  // LAUNCHER_COMMAND_H_
