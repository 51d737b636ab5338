/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn_fuzz CALLS SEED: both calls with random arguments, from two processes at
 * once.
 *
 * What may come back is checked as far as it can be known: a call that fails
 * leaves no child and no descriptor; one that succeeds leaves a child that can
 * be waited for by pid and by pidfd. The rest is the kernel's own checks.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/spawn_template.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define U64(p) ((uint64_t)(uintptr_t)(p))

static uint64_t state;
static char* hole; /* the end of mapped memory */
static char* self;

static uint32_t any(uint32_t below) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return below ? (uint32_t)(state >> 20) % below : 0;
}

static int odd(int percent) { return any(100) < (uint32_t)percent; }

static uint64_t number(void) {
  static const uint64_t edges[] = {
      0,    1,    2,          3,          7,          255,   256,      257,
      4095, 4096, 0x7fffffff, 0x80000000, 0xffffffff, ~0ull, ~0ull - 1};
  if (odd(70))
    return edges[any(sizeof(edges) / sizeof(*edges))];
  return (uint64_t)any(0) << 32 | state >> 32;
}

static uint64_t pointer(const void* good) {
  if (odd(92))
    return U64(good);
  switch (any(4)) {
    case 0:
      return 0;
    case 1:
      return U64(hole) - any(64); /* runs into the hole */
    case 2:
      return ~0ull - any(4096);
    default:
      return number();
  }
}

static int fd(void) { return odd(85) ? (int)any(24) : (int)number(); }

static void fail(const char* what, long value) {
  printf("spawn_fuzz: %s %ld errno %d\n", what, value, errno);
  exit(1);
}

/* It is another one as soon as a descriptor is left over, or gone. */
static int lowest_free_fd(void) {
  int fd = dup(0);
  close(fd);
  return fd;
}

static int create(void) {
  static const char* paths[] = {
      "/b/noop_tiny", "/b/noop_static", "/b/spawn_fuzz", "/init", "/b",
      "/dev/null",    "noop",           "/nothing",      ""};
  union {
    struct spawn_template_create_args args;
    unsigned char bytes[4200];
  } u;
  memset(&u, 0, sizeof(u));
  u.args.flags = odd(90) ? any(4) : number();
  if (odd(60)) {
    u.args.execfd = -1 - (int)any(2);
    u.args.filename = pointer(paths[odd(70) ? any(3) : any(9)]);
  } else {
    u.args.execfd = fd();
    if (odd(10))
      u.args.filename = pointer(paths[0]);
  }
  if (odd(5))
    u.bytes[any(odd(50) ? 72 : sizeof(u))] ^= 1 << any(8);
  size_t size = odd(90) ? 72 : any(sizeof(u) + 100);
  return syscall(472, pointer(&u), size);
}

static pid_t spawn(int tfd, int* pidfd) {
  static struct {
    struct spawn_template_action a[300];
    struct spawn_template_open open[16];
    struct spawn_template_sigset set[16];
    uint64_t bits[16];
  } s;
  static const char* opens[] = {"/dev/null", "/tmp/file", "/proc/self/fd/0",
                                "/tmp",      "/nothing",  ""};
  union {
    struct spawn_template_spawn_args args;
    unsigned char bytes[4200];
  } u;
  char *argv[] = {self, "child", NULL}, *envp[] = {"A=B", NULL};
  struct spawn_template_failure failure;

  memset(&u, 0, sizeof(u));
  memset(&s, 0, sizeof(s));
  unsigned int n = odd(95) ? any(6) : any(300);
  for (unsigned int i = 0; i < n; i++) {
    struct spawn_template_action* a = &s.a[i];
    unsigned int k = i % 16;
    a->type = odd(97) ? any(8) : number();
    switch (a->type) {
      case 0:
      case 2:
        a->fd = fd();
        break;
      case 1:
        a->fd = fd();
        a->newfd = fd();
        a->flags = odd(20) ? O_CLOEXEC : 0;
        break;
      case 3:
        a->fd = odd(70) ? AT_FDCWD : fd();
        a->newfd = fd();
        s.open[k].path = pointer(opens[any(6)]);
        s.open[k].how.flags =
            odd(90) ? any(3) | (odd(20) ? O_CLOEXEC : 0) : number();
        s.open[k].how.resolve = odd(95) ? 0 : number();
        a->arg = pointer(&s.open[k]);
        break;
      case 4:
        a->fd = fd();
        a->newfd = odd(50) ? -1 : fd();
        a->flags = odd(80) ? any(4) << 1 : number();
        break;
      case 5:
      case 6:
        s.bits[k] = number();
        s.set[k].sigset = pointer(&s.bits[k]);
        s.set[k].sigsetsize = odd(95) ? 8 : number();
        a->arg = pointer(&s.set[k]);
        break;
      case 7:
        a->arg = odd(70) ? 0 : number();
        break;
    }
    if (odd(2))
      ((unsigned char*)a)[any(sizeof(*a))] ^= 1 << any(8);
  }
  *pidfd = -1;
  u.args.flags = odd(90) ? any(2) : number();
  u.args.pidfd = U64(pidfd);
  u.args.argv = pointer(argv);
  u.args.envp = pointer(envp);
  u.args.actions = n ? pointer(s.a) : 0;
  u.args.actions_len = odd(97) ? n : number();
  u.args.failure = odd(50) ? pointer(&failure) : 0;
  u.args.action_size = odd(80) ? 0 : odd(80) ? 24 : number();
  if (odd(5))
    u.bytes[any(odd(50) ? 96 : sizeof(u))] ^= 1 << any(8);
  /* What the kernel writes through must not be memory that is in use. */
  u.args.pidfd = odd(95)   ? U64(pidfd)
                 : odd(50) ? U64(hole) - 1 - any(3)
                           : any(4096);
  if (u.args.failure != U64(&failure))
    u.args.failure = odd(50) ? 0 : U64(hole) - 1 - any(7);
  size_t size = odd(90) ? 96 : odd(50) ? 80 : any(sizeof(u) + 100);
  return syscall(473, tfd, pointer(&u), size);
}

static void run(long calls) {
  int tfd[4] = {-1, -1, -1, -1}, pidfd, status;
  long started = 0, made = 0;
  int fds = lowest_free_fd();

  for (long i = 0; i < calls; i++) {
    if (i && i % 50000 == 0)
      printf("# %ld of %ld calls\n", i, calls);
    int slot = any(4);
    if (tfd[slot] < 0 || odd(15)) {
      if (tfd[slot] >= 0)
        close(tfd[slot]);
      tfd[slot] = create();
      made += tfd[slot] >= 0;
      continue;
    }
    int before = lowest_free_fd();
    pid_t pid = spawn(odd(95) ? tfd[slot] : fd(), &pidfd);
    if (pid > 0) {
      started++;
      siginfo_t info;
      kill(pid, SIGKILL); /* it may be stopped or wait on its input */
      if (waitid(3 /* P_PIDFD */, pidfd, &info, WEXITED | WNOWAIT))
        fail("waitid", pid);
      if (waitpid(pid, &status, 0) != pid)
        fail("waitpid", pid);
      close(pidfd);
    } else if (pid == 0) {
      fail("pid", pid);
    }
    if (lowest_free_fd() != before)
      fail("descriptors", lowest_free_fd() - before);
    if (waitpid(-1, NULL, WNOHANG | __WALL) != -1 || errno != ECHILD)
      fail("a child", pid);
  }
  for (int i = 0; i < 4; i++)
    if (tfd[i] >= 0)
      close(tfd[i]);
  if (lowest_free_fd() != fds)
    fail("descriptors at the end", lowest_free_fd() - fds);
  if (!started || !made)
    fail("nothing ever succeeded", started);
  printf("spawn_fuzz: %ld calls, %ld templates, %ld children\n", calls, made,
         started);
}

int main(int argc, char** argv) {
  if (argc == 2)
    return 0; /* a child */
  if (argc != 3)
    return 2;
  self = argv[0];
  if (syscall(472, NULL, 0) == -1 && errno == ENOSYS) {
    printf("spawn_fuzz: no spawn templates in this kernel, skipped\n");
    return 0;
  }
  hole = (char*)mmap(NULL, 8192, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) +
         4096;
  munmap(hole, 4096);
  for (int i = 10; i < 16; i++)
    dup2(0, i);
  open("/b/noop_tiny", O_RDONLY | O_CLOEXEC);
  open("/b", O_RDONLY | O_CLOEXEC);
  open("/b/noop_static", O_PATH | O_CLOEXEC);
  fflush(stdout);

  /* A fuzzer waits for any child of its own, so each is a process. */
  int bad = 0, status;
  for (int worker = 0; worker < 2; worker++) {
    if (fork())
      continue;
    state = 88172645463325252ull + 7919ull * atoi(argv[2]) + 104729 * worker;
    for (int i = 0; i < 8; i++)
      any(0);
    run((atol(argv[1]) + worker) / 2);
    return 0;
  }
  while (wait(&status) > 0)
    bad |= status;
  return bad != 0;
}
