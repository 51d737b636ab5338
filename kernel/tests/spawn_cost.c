/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn_cost METHOD TARGET SPAWNS ROUNDS DESCRIPTORS MEBIBYTES CALLERS
 *
 * What it costs to start TARGET and to collect it, in units of CLOCK_MONOTONIC.
 * Under "-icount shift=0" that is guest instructions, of all that runs.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/spawn_template.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char** environ;
static char *target, *args[2];
static int target_fd, template_fd;

static void die(const char* what) {
  perror(what);
  _exit(1);
}

static void collect(pid_t pid) {
  int status;
  if (waitpid(pid, &status, 0) != pid || status)
    die("waitpid");
}

static void collect_pidfd(int pidfd) {
  siginfo_t info;
  if (waitid(3 /* P_PIDFD */, pidfd, &info, WEXITED) || info.si_status)
    die("waitid");
  close(pidfd);
}

static void by_fork(void) {
  pid_t pid = fork();
  if (pid < 0)
    die("fork");
  if (!pid) {
    execve(target, args, environ);
    _exit(127);
  }
  collect(pid);
}

static void by_vfork(void) {
  pid_t pid = vfork();
  if (pid < 0)
    die("vfork");
  if (!pid) {
    execve(target, args, environ);
    _exit(127);
  }
  collect(pid);
}

static void by_posix_spawn(void) {
  pid_t pid;
  if (posix_spawn(&pid, target, NULL, NULL, args, environ))
    die("posix_spawn");
  collect(pid);
}

static inline __attribute__((always_inline)) long raw5(long n, long a, long b,
                                                       long c, long d, long e) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "0"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                   : "rcx", "r11", "memory");
  return result;
}

/* The child runs on our stack and so must not return from here. */
__attribute__((noinline)) static void by_clone3(void) {
  int pidfd = -1;
  struct clone_args clone = {
      .flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD,
      .pidfd = (uintptr_t)&pidfd,
      .exit_signal = SIGCHLD,
  };
  long pid = raw5(SYS_clone3, (long)&clone, sizeof(clone), 0, 0, 0);
  if (pid == 0) {
    raw5(SYS_execveat, target_fd, (long)"", (long)args, (long)environ,
         AT_EMPTY_PATH);
    raw5(SYS_exit_group, 127, 0, 0, 0, 0);
  }
  if (pid < 0)
    die("clone3");
  collect_pidfd(pidfd);
}

static void by_template(void) {
  int pidfd;
  struct spawn_template_spawn_args spawn = {
      .pidfd = (uintptr_t)&pidfd,
      .argv = (uintptr_t)args,
      .envp = (uintptr_t)environ,
  };
  if (syscall(473, template_fd, &spawn, sizeof(spawn)) < 0)
    die("spawn_template_spawn");
  collect_pidfd(pidfd);
}

static const struct {
  const char* name;
  void (*run)(void);
} methods[] = {
    {"fork", by_fork},
    {"vfork", by_vfork},
    {"posix_spawn", by_posix_spawn},
    {"clone3", by_clone3},
    {"template-path", by_template},
    {"template-fd", by_template},
    {"template-write", by_template},
};

static int make_template(const char* method) {
  struct spawn_template_create_args create = {.flags = 1, .execfd = -1};
  if (!strcmp(method, "template-fd")) {
    create.execfd = target_fd;
  } else {
    create.filename = (uintptr_t)target;
    if (!strcmp(method, "template-write"))
      create.flags |= SPAWN_TEMPLATE_CREATE_ALLOW_WRITE;
  }
  int fd = syscall(472, &create, sizeof(create));
  if (fd < 0)
    die("spawn_template_create");
  return fd;
}

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* No-ops that profile/paths.c looks for. */
static void start_of_round(void) {
  __asm__ volatile(".byte 0x0f, 0x1f, 0x80, 0x01, 0x5a, 0x5a, 0x5a");
}

static void end_of_round(void) {
  __asm__ volatile(".byte 0x0f, 0x1f, 0x80, 0x02, 0x5a, 0x5a, 0x5a");
}

static int compare(const void* a, const void* b) {
  double x = *(const double*)a, y = *(const double*)b;
  return (x > y) - (x < y);
}

int main(int argc, char** argv) {
  if (argc != 8)
    return 2;
  unsigned int m = 0;
  while (strcmp(methods[m].name, argv[1]))
    if (++m == sizeof(methods) / sizeof(*methods))
      return 2;
  args[0] = target = argv[2];
  int spawns = atoi(argv[3]), rounds = atoi(argv[4]), fds = atoi(argv[5]),
      mib = atoi(argv[6]);
  int callers = atoi(argv[7]);
  double results[99];

  target_fd = open(target, O_RDONLY | O_CLOEXEC);
  if (mib)
    memset(mmap(NULL, (size_t)mib << 20, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
           1, (size_t)mib << 20);
  struct rlimit limit = {fds + 64, fds + 64};
  setrlimit(RLIMIT_NOFILE, &limit);
  while (fds > 3 && dup(0) < fds - 1)
    continue;

  for (int round = -1; round < rounds; round++) {
    uint64_t start = now();
    if (round >= 0)
      start_of_round();
    if (callers == 1 && strncmp(argv[1], "template", 8) == 0 && round == -1)
      template_fd = make_template(argv[1]);
    if (callers == 1) {
      for (int i = 0; i < spawns; i++)
        methods[m].run();
    } else {
      for (int c = 0; c < callers; c++) {
        if (fork())
          continue;
        if (!strncmp(argv[1], "template", 8))
          template_fd = make_template(argv[1]);
        for (int i = 0; i < spawns; i++)
          methods[m].run();
        _exit(0);
      }
      for (int c = 0; c < callers; c++)
        wait(NULL);
    }
    if (round < 0)
      continue;
    end_of_round();
    results[round] = (double)(now() - start) / spawns / callers;
  }
  qsort(results, rounds, sizeof(*results), compare);
  printf("COST %s %s %s %s %s %.0f %.0f %.0f\n", argv[1],
         strrchr(target, '/') + 1, argv[5], argv[6], argv[7], results[0],
         results[rounds / 2], results[rounds - 1]);
  return 0;
}
