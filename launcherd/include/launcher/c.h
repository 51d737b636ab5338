/* launcher/c.h - start child processes cheaply and collect them, from C.
 *
 * The C face of launcher/launcher.h, for programs in C and for languages that
 * call C. Make a launcher, launcher_spawn() commands, call launcher_wait() in a
 * loop:
 *
 *   launcher_error error;
 *   launcher_handle *launcher;
 *   if (launcher_create(NULL, &launcher, &error) < 0) ...
 *   const char *argv[] = {"git", "status", NULL};
 *   launcher_command command = LAUNCHER_COMMAND_INIT;
 *   command.argv = argv;
 *   uint64_t id;
 *   if (launcher_spawn(launcher, &command, &id, &error) < 0) ...
 *   launcher_result *result;
 *   if (launcher_wait(launcher, -1, &result, &error) < 0) ...
 *   fwrite(result->out.data, 1, result->out.size, stdout);
 *   launcher_result_free(result);
 *   launcher_destroy(launcher);
 *
 *   Results  0 or more, or a negative errno. `error`, where it is not NULL, is
 *            filled in then: which step failed, on what. Nothing is printed, no
 *            signal is caught, nothing is thrown.
 *   Structs  begin with their size, as clone3(2) has it: set it to sizeof, or
 *            use the _INIT macro, and leave what you do not know zero, which is
 *            always the default. A library that knows less than its caller
 *            refuses with E2BIG what it does not know, unless it is zero; one
 *            that knows more takes what is missing for zero. Structs that the
 *            library hands out are as long as their `size` says.
 *   Threads  a launcher is used by one thread at a time; different launchers
 *            are independent. launcher_poll_fd() may be polled by any thread.
 *   fork(2)  a child of the calling program must not use a launcher that it has
 *            inherited, nor destroy it; it may make one of its own.
 *   Memory   arguments are borrowed for the call; results belong to the caller.
 *   Symbols  are versioned LAUNCHER_1. What they mean does not change.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#ifndef LAUNCHER_C_H_
#define LAUNCHER_C_H_

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Grows when something is added. launcher_abi_version() is the library's. */
#define LAUNCHER_ABI_VERSION 1

/* Children, templates and an epoll instance. */
typedef struct launcher_handle launcher_handle;

/* Why a call has failed. */
typedef struct launcher_error {
  int32_t code;      /* An errno value. */
  char step[28];     /* The system call or the stage: "execve", "lookup". */
  char object[1024]; /* What it was done to: a path, a number; cut if longer. */
} launcher_error;

/* How a child is started; the results do not depend on it. 0: as
 * LAUNCHER_ENGINE in the environment says, else LAUNCHER_ENGINE_AUTO. */
enum {
  LAUNCHER_ENGINE_AUTO = 1,
  LAUNCHER_ENGINE_CLONE3,
  LAUNCHER_ENGINE_KERNEL,
  LAUNCHER_ENGINE_POSIX_SPAWN,
  LAUNCHER_ENGINE_WARM
};

/* The environment variables that launcher.h names count where this is 0. */
typedef struct launcher_options {
  size_t size;
  uint32_t engine; /* LAUNCHER_ENGINE_... */
  uint32_t flags;  /* 0. */

  /* How long the output of a child may stay silent after its end before it is
   * given up, in ms; in all at most ten times this. Negative: for ever, the
   * default unless LAUNCHER_DRAIN_MS is set. 0: that default. */
  int64_t drain_ms;

  size_t template_entries; /* 0: 64. */
  uint64_t warm_after;     /* Uses before a program is parked. 0: 8. */
  size_t warm_processes;   /* At most so many are parked. 0: 16. */
  uint64_t warm_kib;       /* With so much memory of their own. 0: 262144. */
} launcher_options;

#define LAUNCHER_OPTIONS_INIT \
  { .size = sizeof(launcher_options) }

/* Where a standard descriptor of a child leads. */
enum {
  LAUNCHER_STDIO_DEFAULT = 0, /* in: NULL; out: CAPTURE; err: MERGE. */
  LAUNCHER_STDIO_INHERIT,     /* The caller's own. */
  LAUNCHER_STDIO_NULL,        /* /dev/null. */
  LAUNCHER_STDIO_CAPTURE,     /* Read by the launcher; not for in. */
  LAUNCHER_STDIO_MERGE,       /* err alone: the same as out. */
  LAUNCHER_STDIO_FD           /* `fd`, which stays the caller's. */
};

typedef struct launcher_stdio {
  uint32_t kind; /* LAUNCHER_STDIO_... */
  int32_t fd;
} launcher_stdio;

/* One step of the child before its program is loaded; in order, after standard
 * descriptors, group and directory. As posix_spawn_file_actions_*(3). */
enum {
  LAUNCHER_ACTION_CLOSE = 1,   /* close(fd); not open is no error */
  LAUNCHER_ACTION_DUP2,        /* dup3(fd, newfd, flags); fd == newfd keeps
                                  it over the exec */
  LAUNCHER_ACTION_OPEN,        /* openat(fd, path, flags, mode) as newfd; fd:
                                  AT_FDCWD or a directory */
  LAUNCHER_ACTION_FCHDIR,      /* fchdir(fd) */
  LAUNCHER_ACTION_CLOSE_RANGE, /* close_range(fd, newfd, flags); newfd -1:
                                  to the end */
  LAUNCHER_ACTION_SIGNAL_MASK, /* the program starts with `signals` blocked */
  LAUNCHER_ACTION_SIGNAL_DEFAULT, /* SIG_DFL for each of `signals` */
  LAUNCHER_ACTION_SIGNAL_IGNORE   /* SIG_IGN; not with posix_spawn: ENOTSUP */
};

typedef struct launcher_action {
  uint32_t kind; /* LAUNCHER_ACTION_... */
  int32_t fd;
  int32_t newfd;
  int32_t flags;
  uint32_t mode;
  uint32_t reserved; /* 0. */
  const char* path;
  const sigset_t* signals;
} launcher_action;

/* The process group of a child. */
enum {
  LAUNCHER_GROUP_OWN = 0, /* A new one, which launcher_kill() reaches whole. */
  LAUNCHER_GROUP_INHERIT, /* The caller's; never warm, see JOIN. */
  LAUNCHER_GROUP_JOIN,    /* `pgid`, of the same session: getpgrp() is as
                             INHERIT, and may be warm. launcher_kill() reaches
                             the child alone. */
  LAUNCHER_GROUP_SESSION  /* A new session, setsid(2). */
};

enum {
  /* The child gets all descriptors without FD_CLOEXEC, not 0 to 2 and what
   * `actions` place alone. */
  LAUNCHER_INHERIT_FDS = 1,
  /* launcher_spawn() returns when the program runs: what goes wrong in the
   * child (cwd, execve) is its error. Not for lines. */
  LAUNCHER_AWAIT_START = 2,
  /* `cwd_fd` counts. */
  LAUNCHER_CWD_FD = 4,
  /* `output_cap` counts, though it is 0. */
  LAUNCHER_NO_OUTPUT = 8
};

/* What becomes of processes that a child has left in its group, OWN or SESSION,
 * when it and its output have ended. With KILL a child that is ended by its
 * timeout, or by launcher_kill() with SIGKILL, takes its descendants in other
 * groups and sessions with it, but for daemons, whose parent has ended. */
enum {
  LAUNCHER_SURVIVORS_LEAVE = 0, /* Nobody looks for them. */
  LAUNCHER_SURVIVORS_TELL,      /* They are in the result. */
  LAUNCHER_SURVIVORS_KILL       /* And get SIGKILL. */
};

typedef struct launcher_command {
  size_t size;

  /* The program and its arguments; ends with NULL. Or: */
  const char* const* argv;
  /* a command line as of `sh -c`, for which a shell is started only where that
   * makes a difference. */
  const char* line;

  const char* path;       /* The executable. NULL: argv[0], looked up in the
                             child's PATH. Not with a line. */
  const char* const* env; /* NAME=VALUE, ends with NULL. NULL: environ. */
  const char* cwd;        /* NULL: the caller's. */
  int32_t cwd_fd;         /* With LAUNCHER_CWD_FD: instead of cwd. */
  uint32_t flags;

  launcher_stdio in, out, err;

  /* Bytes for standard input: they come from an unnamed file. Not NULL: `in`
   * must be LAUNCHER_STDIO_DEFAULT. */
  const void* input;
  size_t input_size;

  const launcher_action* actions;
  size_t action_count;
  size_t action_size; /* sizeof(launcher_action), if there are any. */

  uint32_t group; /* LAUNCHER_GROUP_... */
  int32_t pgid;

  uint32_t survivors; /* LAUNCHER_SURVIVORS_... */
  uint32_t reserved;  /* 0. */

  uint64_t output_cap; /* Bytes kept of each captured stream; the rest is read
                          and counted. 0: all. */
  int64_t timeout_ms;  /* Then the group is killed. 0: no limit. */
  int64_t drain_ms; /* As in launcher_options, for this child. 0: that one. */
  void* tag;        /* Comes back in launcher_result. */
} launcher_command;

#define LAUNCHER_COMMAND_INIT \
  { .size = sizeof(launcher_command) }

enum {
  LAUNCHER_EXITED = 1,  /* `code` is the status. */
  LAUNCHER_SIGNALED,    /* `code` is the signal. */
  LAUNCHER_NOT_STARTED, /* `error_...` say why; no program has run. */
  LAUNCHER_LOST         /* It has ended, how is not known. */
};

enum {
  LAUNCHER_CORE_DUMPED = 1,
  LAUNCHER_TIMED_OUT = 2,        /* `timeout_ms` has passed. */
  LAUNCHER_OUTPUT_INCOMPLETE = 4 /* Given up after `drain_ms`, or dropped. */
};

/* A captured stream. More `total` than `size`: cut at the cap. */
typedef struct launcher_output {
  const char* data;
  size_t size;
  uint64_t total;
} launcher_output;

typedef struct launcher_survivor {
  int32_t pid;
  uint32_t reserved;
  const char* comm; /* Its name as in /proc/PID/comm. */
} launcher_survivor;

/* A child that has ended, or could not be started. */
typedef struct launcher_result {
  size_t size;
  uint64_t id;
  void* tag;
  int32_t pid;    /* What it was; 0: there was none. */
  uint32_t cause; /* LAUNCHER_EXITED, ... */
  int32_t code;
  uint32_t flags;  /* LAUNCHER_CORE_DUMPED, ... */
  uint32_t engine; /* LAUNCHER_ENGINE_...; the one that was used. */
  int32_t error_code;
  const char* error_step;
  const char* error_object;
  launcher_output out, err;   /* `out` has both where they were merged. */
  const char* shell_reason;   /* Why a line had a shell; "": it had none. */
  int64_t user_us, system_us; /* CPU time, of it and all it waited for. */
  int64_t max_rss_kib;
  /* CLOCK_MONOTONIC in ns, 0: not reached or not known. `exec` is the last
   * moment before the program, `drained` the end of its output. */
  int64_t requested_ns, cloned_ns, exec_ns, first_output_ns, exited_ns,
      drained_ns, reaped_ns;
  const launcher_survivor* survivors;
  size_t survivor_count;
} launcher_result;

/* What a launcher has done so far; see Statistics in launcher.h. */
typedef struct launcher_statistics {
  size_t size; /* Set by the caller. */
  uint64_t launches, failed, deferred;
  uint64_t template_hits, template_misses, template_stale, template_evictions;
  uint64_t lines, shells;
  uint64_t warm_launches, warm_parked, warm_stale, warm_evictions, warm_deaths;
  uint64_t warm_processes, warm_private_kib;
  uint64_t warm_saved_ns;
} launcher_statistics;

/* LAUNCHER_ABI_VERSION of the library. */
uint32_t launcher_abi_version(void);

/* Options NULL: all defaults. Errors: EINVAL (step "options", or the name of an
 * environment variable with a bad value), E2BIG, EMFILE, ENFILE, ENOMEM; of an
 * engine that was asked for by name: ENOSYS, EPERM. */
int launcher_create(const launcher_options* options, launcher_handle** launcher,
                    launcher_error* error);

/* Kills what still runs, and waits for that. NULL: nothing. */
void launcher_destroy(launcher_handle* launcher);

/* Starts one child and returns without waiting for its exec, unless
 * LAUNCHER_AWAIT_START is set. What goes wrong later is told by
 * launcher_wait(): LAUNCHER_NOT_STARTED.
 * Errors: EINVAL, E2BIG (step "command"); ENOENT, EACCES, ... (step "lookup");
 * EAGAIN, EMFILE, ENOMEM, ... (step the call); with LAUNCHER_AWAIT_START those
 * of the child. Nothing has been started then. */
int launcher_spawn(launcher_handle* launcher, const launcher_command* command,
                   uint64_t* id, launcher_error* error);

/* Starts a process that is the caller's own, as posix_spawn(3) does: it runs
 * its program when this returns, launcher_wait() knows nothing of it, and the
 * caller reaps it, waitpid(2). Returns the pid. It has no captured streams
 * (LAUNCHER_STDIO_DEFAULT is INHERIT for all three), timeout, cap or drain.
 * Errors: as launcher_spawn() with LAUNCHER_AWAIT_START. */
int launcher_start_process(launcher_handle* launcher,
                           const launcher_command* command,
                           launcher_error* error);

/* Makes the template of the command's program and parks it, for the launches
 * that follow with the same argv[0] and environment. Runs nothing of it.
 * Errors: as launcher_spawn(); EPERM (step "warm", object why): it always
 * starts cold; ENOTSUP (step "warm"). launcher_spawn() works all the same. */
int launcher_prepare(launcher_handle* launcher, const launcher_command* command,
                     launcher_error* error);

/* The next child that has ended, to be freed by launcher_result_free().
 * timeout_ms: negative for ever, 0 do not wait. Errors: ETIMEDOUT; ECHILD,
 * there is none; EINTR, a signal has been handled. Nothing is lost by them. */
int launcher_wait(launcher_handle* launcher, int64_t timeout_ms,
                  launcher_result** result, launcher_error* error);
void launcher_result_free(launcher_result* result);

/* A descriptor to poll: readable while launcher_wait() of no time has something
 * to do. Call that until it gives -ETIMEDOUT or -ECHILD. Belongs to the
 * launcher. Errors: EMFILE, ENFILE, ENOMEM. */
int launcher_poll_fd(launcher_handle* launcher, launcher_error* error);

/* Signals the group of a child; one that has not been started is dropped.
 * Errors: ESRCH, no such child or handed back; EINVAL; EPERM. */
int launcher_kill(launcher_handle* launcher, uint64_t id, int signal,
                  launcher_error* error);

/* The process of a child that has not been handed back. Errors: ESRCH. */
int launcher_pid(launcher_handle* launcher, uint64_t id, launcher_error* error);

/* A new pidfd of it, pidfd_open(2). Errors: ESRCH, ENOSYS, EMFILE, ... */
int launcher_open_pidfd(launcher_handle* launcher, uint64_t id,
                        launcher_error* error);

/* Closes the captured streams of a child; what was read is kept.
 * Errors: ESRCH. */
int launcher_drop_output(launcher_handle* launcher, uint64_t id,
                         launcher_error* error);

/* Children that launcher_wait() has not handed back. */
size_t launcher_children(launcher_handle* launcher);

/* Fills in as much of `statistics` as its size says. Errors: EINVAL. */
int launcher_get_statistics(launcher_handle* launcher,
                            launcher_statistics* statistics);

#ifdef __cplusplus
}
#endif

#endif /* LAUNCHER_C_H_ */
