// launcher/launcher.h - start child processes cheaply and collect them.
//
// Make one Launcher, Spawn() commands, call Wait() in a loop. A Launcher owns
// the epoll instance, the template cache and every child not yet handed back.
//
//   Threads  one thread per Launcher. The posix_spawn engine makes a
//   short-lived
//            thread of its own for each launch, because posix_spawn(3) holds
//            its caller until the exec; PR_SET_PDEATHSIG in a child refers to
//            it. Warm templates are made by a thread too, one at a time.
//   Warm     programs that are used often are started as clones of a process
//            that waits at their entry point: docs/warm-templates.md says what
//            is the same and what is not. These processes are children of this
//            one and end with it.
//   Signals  none are caught, SIGCHLD and waitpid(-1) are left alone. A child
//            starts with the mask the Launcher was created under; handlers
//            become the default, ignored signals stay ignored, as execve(2)
//            has it. A program that ignores SIGCHLD loses the exit statuses of
//            its children, waitid(2): see Finished::Cause::kLost.
//   Files    until its exec a child has a copy of every descriptor of the
//            program, as between fork(2) and execve(2), and Spawn() does not
//            wait for the exec. A file that was just written and closed may be
//            busy (ETXTBSY), a lock kept, an end of file late, for that moment.
//   Failure  is returned: never thrown, logged or fatal. The library builds
//            with -fno-exceptions -fno-rtti -DNDEBUG, as Ninja does.
//   Kernel   the clone3 engine needs Linux 5.5 (CLONE_CLEAR_SIGHAND) on x86-64;
//            without pidfd_open(2) (5.3) or waitid(P_PIDFD) (5.4) children are
//            looked after by timer. Whatever a kernel or a seccomp filter
//            refuses is met by the next best way: ARCHITECTURE.md, "Ladder".
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_LAUNCHER_H_
#define LAUNCHER_LAUNCHER_H_

#ifndef __cplusplus
#include "launcher/c.h"
#else

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "launcher/command.h"
#include "launcher/fd.h"
#include "launcher/result.h"

namespace launcher {

/// Names a child for the life of its Launcher. Unlike a pid it is not reused.
enum class ChildId : uint64_t {};

/// How a child is started. The results do not depend on it.
enum class Engine : uint8_t {
  kAuto,    ///< warm where it pays, else kernel where there is such a call,
            ///< else clone3, and posix_spawn once clone3 has been refused.
  kClone3,  ///< clone3(2) without waiting for the exec.
  kKernel,  ///< spawn_template_spawn(), of Linux with kernel/patches. What it
            ///< cannot do (scripts, relative paths, opens of files, ignored
            ///< signals) is done by clone3.
  kPosixSpawn,  ///< posix_spawn(3): works anywhere, the reference.
  kWarm,  ///< As clone3, but a program is parked when it is first used, and
          ///< waited for: to compare, and to test.
};

/// "auto", "clone3", "kernel", "posix_spawn", "warm".
const char* EngineName(Engine engine);

/// When each step of a launch was reached, CLOCK_MONOTONIC. A time that was not
/// reached, or that the engine cannot see, is the epoch of the clock (zero).
struct Timeline {
  using TimePoint = std::chrono::steady_clock::time_point;
  TimePoint requested;     ///< Spawn() was called.
  TimePoint cloned;        ///< The engine's call had returned.
  TimePoint child_ran;     ///< First instruction in the child; clone3 and warm.
  TimePoint exec_called;   ///< Actions done, execve(2) or the entry point of a
                           ///< warm template next; clone3 and warm.
  TimePoint first_output;  ///< First bytes read from the child.
  TimePoint exited;        ///< The end of the process was seen.
  TimePoint drained;  ///< End of file on all captured streams, or given up.
  TimePoint reaped;   ///< waitid(2) had returned.
};

/// A process that a child has left behind in its process group.
struct Survivor {
  pid_t pid = 0;
  std::string comm;  ///< Its name as in /proc/PID/comm.
};

/// A child that has ended and been reaped, or that could not be started.
struct Finished {
  enum class Cause : uint8_t {
    kExited,      ///< `code` is the exit status, 0 to 255.
    kSignaled,    ///< `code` is the signal number, signal(7).
    kNotStarted,  ///< `error` says which step failed; no program has run.
    kLost,        ///< It ended, but how is not known: SIGCHLD is ignored, or
                  ///< something else in this program reaped it.
  };

  ChildId id{};
  void* tag = nullptr;  ///< Command::tag.
  pid_t pid = 0;  ///< What it was, 0: there was none. Free for others by now.
  Cause cause = Cause::kExited;
  int code = 0;
  bool core_dumped = false;
  bool timed_out = false;  ///< Command::timeout has passed: the group, or what
                           ///< was left of it, has been killed.

  /// With kNotStarted: errno, the step ("open", "dup2", "chdir", "execve", ...)
  /// and its object. posix_spawn(3) tells the errno alone: its step is
  /// "posix_spawn" and its object the executable. That engine cannot run an
  /// executable by way of a descriptor that the child does not keep
  /// (/proc/self/fd/N): it has been closed by then.
  Error error;

  std::string output;         ///< Standard output; with Stdio::Merge() both.
  std::string error_output;   ///< Standard error, if captured by itself.
  uint64_t output_bytes = 0;  ///< Read in all, more than kept under a cap.
  uint64_t error_output_bytes = 0;  ///< The same of error_output.
  bool output_complete =
      true;  ///< False if the drain or DropOutput() ended it.

  /// By Command::survivors, those that this user may see. None of a child whose
  /// group has got SIGKILL by timeout or Launcher::Kill(), or with kLost.
  std::vector<Survivor> survivors;

  std::chrono::microseconds user_cpu{};    ///< ru_utime, getrusage(2): of the
  std::chrono::microseconds system_cpu{};  ///< child and all it waited for.
  int64_t max_rss_kib = 0;  ///< Peak resident set in KiB, ru_maxrss.
  Timeline times;
  Engine engine = Engine::kAuto;  ///< The one that was used.

  /// Of SpawnLine(): why the shell has run the line, such as "glob '*'"; empty
  /// if it ran without.
  std::string shell_reason;
};

/// A process other than the child that keeps a captured stream open.
struct Held {
  ChildId id{};
  void* tag = nullptr;
  pid_t pid = 0;     ///< 0: none that this user may see.
  std::string comm;  ///< Its name as in /proc/PID/comm.
};

/// What a Launcher has done so far.
struct Statistics {
  uint64_t launches = 0;            ///< Commands accepted by Spawn().
  uint64_t failed = 0;              ///< Of these, not started in the end.
  uint64_t deferred = 0;            ///< Had to wait for another child to end.
  uint64_t template_hits = 0;       ///< Template found and still true.
  uint64_t template_misses = 0;     ///< Made for the first time.
  uint64_t template_stale = 0;      ///< Executable had changed; made again.
  uint64_t template_evictions = 0;  ///< Least recently used, dropped.
  uint64_t late_pidfds = 0;         ///< Children without a pidfd for a while.
  uint64_t lines = 0;               ///< Accepted by SpawnLine().
  uint64_t shells = 0;              ///< Of these, run by the shell.
  uint64_t warm_launches = 0;       ///< By a clone of a parked process.
  std::chrono::nanoseconds warm_saved{};  ///< CPU time of the loads that they
                                          ///< did without, as measured when
                                          ///< the processes were parked.
  uint64_t warm_parked = 0;               ///< Processes that were parked.
  uint64_t warm_stale = 0;        ///< Of these, given up since a file that they
                                  ///< were loaded from, or something that this
                                  ///< process hands down, has changed.
  uint64_t warm_evictions = 0;    ///< Given up to make room.
  uint64_t warm_deaths = 0;       ///< Ended by themselves, or were killed.
  uint64_t warm_processes = 0;    ///< There now.
  uint64_t warm_private_kib = 0;  ///< Memory that is theirs alone.
  std::vector<std::string> never_warm;  ///< "/usr/bin/gdb: it asks for the
                                        ///< time", one for each program.
  std::string refusals;  ///< "clone3: Operation not permitted; ..." or empty.
};

class Launcher {
 public:
  struct Options {
    Engine engine = Engine::kAuto;  ///< A forced engine that is refused fails.

    size_t template_entries = 64;  ///< Least recently used goes; 0: no cache.

    /// RE2 patterns over the whole absolute path of an executable. Those that
    /// match are launched without a template.
    std::vector<std::string> never_template;

    /// Warm templates, engine kAuto: a program is parked when it has been used
    /// `warm_after` times, kept if its loader took at least `warm_least` of CPU
    /// time, and given up, least recently used first, when there are more than
    /// `warm_processes` or their private memory is more than `warm_kib` KiB.
    /// Parking costs as much as 8 to 30 loads do, in a thread of its own: a
    /// program that has been used that often will likely be used again.
    uint64_t warm_after = 8;
    std::chrono::microseconds warm_least{200};
    size_t warm_processes = 16;
    uint64_t warm_kib = 256 * 1024;

    /// RE2 patterns as in never_template: executables that are never parked.
    std::vector<std::string> never_warm;

    /// The host promises that from the first launch on it does not change what
    /// its children inherit from it: credentials, umask, ignored signals,
    /// namespaces, root and working directory, session, personality, filters
    /// and labels of security, policy of memory, and which of its descriptors
    /// stay open in an exec. A parked process has these from the time when it
    /// was made, so they are compared before each warm launch; this leaves that
    /// out. What others can change in the host (limits,
    /// priority, scheduling, affinity, cgroup, timer slack, ...) is compared
    /// all the same.
    bool host_keeps_state = false;

    /// Asked before the executable of this absolute path is parked. A parked
    /// process keeps others from writing to its executable (ETXTBSY): say false
    /// for what may be made anew.
    std::function<bool(const std::string& path)> may_park;

    /// How long the output may stay silent after the child itself has ended
    /// before it is given up; in all at most ten times this. A process left
    /// behind by the child can hold the pipe open for ever. Negative: wait.
    std::chrono::milliseconds drain{-1};

    /// Raise the soft RLIMIT_NOFILE of this process to the hard one; children
    /// get the old one, and ~Launcher() restores it. Only with clone3: it stays
    /// as it is where engine kernel is used, and the old limit comes back when
    /// the posix_spawn engine takes over. For one Launcher of a process.
    bool raise_fd_limit = false;

    /// Called once, from within Wait(), for a child that ended `held_after` ago
    /// while something holds a captured stream of it open.
    std::function<void(const Held&)> on_held;
    std::chrono::milliseconds held_after{5000};

    /// When SpawnLine() takes the shell. kAuto: for what only the shell can do.
    enum class ShellUse : uint8_t { kAuto, kAlways };
    ShellUse shell = ShellUse::kAuto;
    /// The shell; its argv[0] is "/bin/sh" whatever this says.
    std::string shell_path = "/bin/sh";

    /// LAUNCHER_ENGINE=auto|clone3|kernel|posix_spawn|warm,
    /// LAUNCHER_SHELL=auto|always, LAUNCHER_DRAIN_MS=N (0 or more) and
    /// LAUNCHER_NEVER_WARM=PATTERN over the defaults. Errors: EINVAL, step the
    /// name of the variable.
    static Result<Options> FromEnvironment();
  };

  /// Errors: EMFILE, ENFILE, ENOMEM (steps "epoll_create1", "eventfd"), EINVAL
  /// (step "never_template" or "never_warm", object the bad pattern and what is
  /// wrong); engine kKernel: ENOSYS, EPERM and the like (step
  /// "spawn_template_create") where there is no such call.
  static Result<std::unique_ptr<Launcher>> Create(Options options);

  /// Sends SIGKILL to the children still running and reaps them. Blocks until
  /// that is done: a child delays it that is in uninterruptible sleep, has
  /// changed its user, or with the posix_spawn engine blocks before its exec on
  /// a system without /proc/PID/task/TID/children.
  ~Launcher();

  Launcher(const Launcher&) = delete;
  Launcher& operator=(const Launcher&) = delete;

  /// Starts one child. Does not wait for its exec: what goes wrong in the child
  /// comes back from Wait() as Finished::Cause::kNotStarted.
  ///
  /// When a limit is reached (processes, descriptors, memory) while other
  /// children run, the command waits for one of them to end: it is started
  /// from within Wait(), or fails there once nothing runs any more. Descriptors
  /// that it names are duplicated for that time; if there is no room for these
  /// either, that is an Error at once (EMFILE, step "fcntl").
  ///
  /// Errors: EINVAL (step "command": empty argv, captured input and the like),
  /// ENOENT, EACCES, ENOTDIR, ELOOP, ENAMETOOLONG (step "lookup", object the
  /// program; of one that has no template they come back from Wait()), EAGAIN,
  /// EMFILE, ENFILE, ENOMEM (steps "clone3", "pthread_create", "pipe2",
  /// "epoll_ctl") when no child runs whose end could help; a forced engine that
  /// is refused: ENOSYS, EPERM, EINVAL, E2BIG (step "clone3"). After an Error
  /// there is no process and no descriptor, and nothing to Wait for.
  Result<ChildId> Spawn(const Command& command);

  /// Starts a process that is the caller's own, as posix_spawn(3) does: it runs
  /// its program when this returns, Wait() knows nothing of it, and it must be
  /// reaped by its pid, waitpid(2). For programs that look after processes
  /// themselves. It stays when the Launcher goes.
  /// Errors: as Spawn() with Command::await_start; EINVAL (step "command") for
  /// what needs a Launcher: captured streams, a timeout.
  Result<pid_t> StartProcess(const Command& command);

  /// Makes the template of the program of `command` and parks it for later
  /// Spawn()s with the same argv[0] and environment, whatever its use so far;
  /// waits for that (milliseconds). Nothing of `command` is run.
  /// Errors: as Spawn(), about the command; EPERM (step "warm", object why): it
  /// will always start cold; ENOTSUP (step "warm"): warm templates are off, or
  /// it could not be parked this time. Spawn() works in spite of these two.
  Result<void> Prepare(const Command& command);

  /// Runs a command line as `/bin/sh -c line` would, sh(1), with the rest of
  /// `command` (argv empty, path null) as the shell's surroundings. The shell
  /// itself is left out where the same comes of it: a line of plain commands
  /// joined by && is then one or more children, one after the other, each
  /// started from within Wait() when the one before has ended with 0. They
  /// share process group and pipe, and all that an observer of files, streams,
  /// arguments, environment, directory and status can see is as the shell of
  /// this system (dash, bash 5.2, busybox 1.35) makes it. What is not:
  ///
  ///   - the parent of a program is the launcher where it would be the shell;
  ///   - the first program leads the process group where the shell would: a
  ///     program that signals its group (`kill 0`, `kill -- -$$`) reaches
  ///     itself, and the status is that of the program, not of a shell.
  ///
  /// A program that cannot be executed, or whose redirections or directory
  /// fail, is given to the shell with the rest of the line: its words and its
  /// status come back. (That shell finds a directory that a program has moved
  /// by its new name.) What keeps the shell from being started as well (a
  /// limit, no /proc to find the pipe again that a program has left to another
  /// process) ends the line as kNotStarted, though programs of it may have run.
  /// Finished has cause and code of the line as the shell would end: with 128 +
  /// n and its notice ("Segmentation fault") where a signal kills a program.
  /// After a Kill() no further program of the line is started.
  ///
  /// Descriptors that `command` names are kept by the launcher until the line
  /// has ended: who waits for the end of file of such a pipe must call Wait().
  ///
  /// Errors: as Spawn(), about the shell; EINVAL if argv, path, warm_only or
  /// await_start are set.
  Result<ChildId> SpawnLine(const char* line, const Command& command);

  /// Why SpawnLine() would use the shell, empty if it would not. Starts
  /// nothing and does not look for the programs.
  std::string WhyShell(const char* line, const Command& command);

  /// Hands back the next child that has ended: process and output. The zombie
  /// is kept until both have come, so that its process group stays its own.
  ///
  /// timeout: negative waits for ever, zero does not wait.
  /// mask: signals blocked during the wait, as in epoll_pwait(2); null: no
  /// change. A signal that is pending and not in `mask` ends the wait even
  /// while output pours in.
  /// Errors: ETIMEDOUT; ECHILD when there is no child; EINTR when a signal
  /// arrived. Nothing is lost by any of them: call again.
  Result<Finished> Wait(std::chrono::milliseconds timeout,
                        const sigset_t* mask = nullptr);

  /// A descriptor for an event loop of the caller's: readable while a Wait()
  /// of no time has something to do, which need not be a child to hand back.
  /// Then call Wait(0) until it gives ETIMEDOUT or ECHILD. It stays the
  /// Launcher's and the same; not to be read from or changed.
  /// Errors: EMFILE, ENFILE, ENOMEM (step "timerfd_create").
  Result<int> PollFd();

  /// The process of a child that runs or has just ended: Finished::pid. Of a
  /// line, the one that runs now. Errors: ESRCH, no such child, or no process
  /// yet: with Command::await_start there is one when Spawn() returns.
  Result<pid_t> Pid(ChildId id) const;

  /// A new descriptor of the process of a child, pidfd_open(2): for others to
  /// signal it by, and to see its end. Errors: ESRCH, no such child, or it has
  /// no process yet or any more; ENOSYS, EPERM, EMFILE, ... (step
  /// "pidfd_open").
  Result<Fd> OpenPidfd(ChildId id);

  /// Sends `signal` to the whole process group of the child, or to the child
  /// alone if it has none of its own. A command that still waits to be started
  /// is dropped, whatever the signal, 0 too: it comes back as kNotStarted with
  /// ECANCELED. So does a command line that 0 keeps from going on; after a
  /// signal that ends a shell it comes back as kSignaled.
  /// Errors: ESRCH, no such child or already handed back; EINVAL; EPERM when it
  /// has changed its user (step "kill").
  Result<void> Kill(ChildId id, int signal);

  /// Closes the captured streams of a child: what has been read is kept, its
  /// next write gets SIGPIPE, and it is finished when its process ends.
  /// Errors: ESRCH.
  Result<void> DropOutput(ChildId id);

  /// Children that Spawn() accepted and Wait() has not handed back.
  size_t children() const;

  /// The engine of the next launch that is not warm: kKernel, kClone3 or
  /// kPosixSpawn.
  Engine engine() const;

  Statistics statistics() const;

 private:
  struct Impl;  // Keeps <sys/epoll.h> and the kernel headers out of here.
  explicit Launcher(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace launcher

#endif  // __cplusplus

#endif  // LAUNCHER_LAUNCHER_H_
