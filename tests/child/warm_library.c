// What the constructor of a library does before its program starts: one thing,
// chosen by a macro. Report() tells what came of it.
//
// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE
#include <fcntl.h>
#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char** environ;

void Report(int argc, char** argv);

#define CONSTRUCTOR                                                         \
  __attribute__((constructor)) static void Construct(int argc, char** argv, \
                                                     char** envp)
#define UNUSED (void)argc, (void)argv, (void)envp

#if defined(DO_nothing)

CONSTRUCTOR { UNUSED; }
void Report(int argc, char** argv) { (void)argc, (void)argv; }

#elif defined(DO_allocates)

static char* kept[100];
CONSTRUCTOR {
  UNUSED;
  for (int i = 0; i < 100; ++i)
    kept[i] = calloc(1, 1000 * i + 1);
  for (int i = 0; i < 100; i += 2)
    free(kept[i]), kept[i] = NULL;
}
void Report(int argc, char** argv) {
  (void)argc, (void)argv;
  int found = 0;
  for (int i = 1; i < 100; i += 2) {
    found += kept[i][1000 * i] == 0;
    kept[i] = realloc(kept[i], 200000);
    memset(kept[i], 'x', 200000);
    free(kept[i]);
  }
  printf("found %d\n", found);
}

#elif defined(DO_registers_handlers)

static void OnExit(void) { puts("exit"); }
static void Prepare(void) { puts("prepare"); }
static void Parent(void) { puts("parent"); }
static void Child(void) { _exit(7); }
CONSTRUCTOR {
  UNUSED;
  atexit(OnExit);
  pthread_atfork(Prepare, Parent, Child);
}
void Report(int argc, char** argv) {
  (void)argc, (void)argv;
  fflush(stdout);
  int status = 0;
  if (waitpid(fork(), &status, 0) > 0)
    printf("child %d\n", WEXITSTATUS(status));
}

#elif defined(DO_keeps_arguments)

static int count;
static char** arguments;
static char* name;
static char** variables;
static struct {
  long count;
  char** arguments;
} * on_heap;
CONSTRUCTOR {
  count = argc;
  arguments = argv;
  name = argv[0] + 1;
  variables = envp;
  on_heap = malloc(sizeof(*on_heap));
  on_heap->count = argc;
  on_heap->arguments = argv;
}
void Report(int argc, char** argv) {
  printf("%d %d %d %d %d %d\n", count == argc, arguments == argv,
         name == argv[0] + 1, variables == environ, on_heap->count == argc,
         on_heap->arguments == argv);
}

#elif defined(DO_keeps_one_argument)

static char* kept;
CONSTRUCTOR {
  (void)envp;
  kept = argc > 1 ? argv[1] : NULL;
}
void Report(int argc, char** argv) {
  (void)argc, (void)argv;
  printf("%s\n", kept ? kept : "none");
}

#elif defined(DO_reads_argument)

static char first;
CONSTRUCTOR {
  (void)envp;
  first = argc > 1 ? argv[1][0] : '-';
}
void Report(int argc, char** argv) {
  (void)argc, (void)argv;
  printf("%d\n", first);
}

#elif defined(DO_counts_options)

static int options;
CONSTRUCTOR {
  (void)argv, (void)envp;
  options = argc - 1;
}
void Report(int argc, char** argv) {
  (void)argc, (void)argv;
  printf("%d\n", options);
}

#elif defined(DO_asks_for_arguments)

static char any;
CONSTRUCTOR {
  (void)argv, (void)envp;
  any = argc > 1;
}
void Report(int argc, char** argv) {
  (void)argc, (void)argv;
  printf("%d\n", any);
}

#elif defined(DO_changes_its_name)

CONSTRUCTOR {
  (void)argc, (void)envp;
  argv[0][0] = '#';
}
void Report(int argc, char** argv) {
  (void)argc;
  puts(argv[0]);
}

#elif defined(DO_removes_a_variable)

CONSTRUCTOR {
  UNUSED;
  unsetenv("WARM_TEST_REMOVED");
}
void Report(int argc, char** argv) {
  (void)argc, (void)argv;
  for (char** variable = environ; *variable; ++variable)
    puts(*variable);
}

#elif defined(DO_adds_a_variable)

CONSTRUCTOR {
  UNUSED;
  setenv("WARM_TEST_ADDED", "1", 1);
}
void Report(int argc, char** argv) {
  (void)argc, (void)argv;
  for (char** variable = environ; *variable; ++variable)
    puts(*variable);
}

#elif defined(DO_reads_directory_variable)

static char directory[4096];
CONSTRUCTOR {
  UNUSED;
  const char* value = getenv("PWD");
  if (value)
    snprintf(directory, sizeof(directory), "%s", value);
}
void Report(int argc, char** argv) {
  (void)argc, (void)argv;
  puts(directory);
}

#elif defined(DO_keeps_variable)

static const char* value;
CONSTRUCTOR {
  UNUSED;
  value = getenv("PWD");
}
void Report(int argc, char** argv) {
  (void)argc, (void)argv;
  puts(value ? value : "none");
}

#elif defined(DO_sets_rounding)

CONSTRUCTOR {
  UNUSED;
  fesetround(FE_UPWARD);
}
void Report(int argc, char** argv) {
  (void)argc, (void)argv;
  volatile double one = 1, three = 3;
  printf("%d %a\n", fegetround() == FE_UPWARD, one / three);
}

#elif defined(DO_reads_file) || defined(DO_keeps_file)

static char line[256];
static int fd = -1;
CONSTRUCTOR {
  UNUSED;
  const char* path = getenv("WARM_TEST_FILE");
  fd = path ? open(path, O_RDONLY) : -1;
  if (fd < 0 || read(fd, line, sizeof(line) - 1) < 0)
    return;
#ifdef DO_reads_file
  close(fd);
#endif
}
void Report(int argc, char** argv) {
  (void)argc, (void)argv;
  char byte;
  printf("%s %ld\n", line, (long)pread(fd, &byte, 1, 0));
}

#elif defined(DO_keeps_time)

static struct stat kept;
CONSTRUCTOR {
  UNUSED;
  const char* path = getenv("WARM_TEST_FILE");
  if (path)
    stat(path, &kept);
}
void Report(int argc, char** argv) {
  (void)argc, (void)argv;
  printf("%ld %ld\n", (long)kept.st_mtim.tv_sec, kept.st_mtim.tv_nsec);
}

#elif defined(DO_asks_for_pid)

static pid_t pid;
CONSTRUCTOR {
  UNUSED;
  pid = getpid();
}
void Report(int argc, char** argv) {
  (void)argc, (void)argv;
  puts(pid == getpid() ? "same" : "other");
}

#elif defined(DO_asks_for_time)

static struct timespec then;
CONSTRUCTOR {
  UNUSED;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &then);
  clock_gettime(CLOCK_MONOTONIC, &then);
}
void Report(int argc, char** argv) {
  (void)argc, (void)argv;
  printf("%d\n", then.tv_sec > 0 || then.tv_nsec > 0);
}

#elif defined(DO_asks_for_random)

static char bytes[16];
CONSTRUCTOR {
  UNUSED;
  if (getrandom(bytes, sizeof(bytes), 0) < 0)
    abort();
}
void Report(int argc, char** argv) {
  (void)argc, (void)argv;
  static const char zero[sizeof(bytes)];
  printf("%d\n", memcmp(bytes, zero, sizeof(bytes)) != 0);
}

#elif defined(DO_starts_thread)

static pthread_t thread;
static void* Run(void* value) { return value; }
CONSTRUCTOR {
  UNUSED;
  pthread_create(&thread, NULL, Run, "thread");
}
void Report(int argc, char** argv) {
  (void)argc, (void)argv;
  void* value;
  puts(pthread_join(thread, &value) == 0 ? value : "none");
}

#elif defined(DO_sets_timer)

CONSTRUCTOR {
  UNUSED;
  const struct itimerval hour = {{0, 0}, {3600, 0}};
  setitimer(ITIMER_REAL, &hour, NULL);
}
void Report(int argc, char** argv) {
  (void)argc, (void)argv;
  struct itimerval left;
  getitimer(ITIMER_REAL, &left);
  printf("%d\n", left.it_value.tv_sec > 0);
}

#elif defined(DO_handles_signal)

static void Handle(int number) { printf("signal %d\n", number); }
CONSTRUCTOR {
  UNUSED;
  signal(SIGUSR1, Handle);
}
void Report(int argc, char** argv) {
  (void)argc, (void)argv;
  raise(SIGUSR1);
}

#elif defined(DO_shares_memory) || defined(DO_shares_memory_late)

static int* shared;
CONSTRUCTOR {
  UNUSED;
#ifdef DO_shares_memory
  shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                -1, 0);
#else
  shared = mmap(NULL, 4096, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  mprotect(shared, 4096, PROT_READ | PROT_WRITE);
#endif
}
void Report(int argc, char** argv) {
  (void)argc, (void)argv;
  printf("%d\n", (*shared)++);
}

#elif defined(DO_writes)

CONSTRUCTOR {
  UNUSED;
  if (write(STDOUT_FILENO, "constructor\n", 12) != 12)
    abort();
}
void Report(int argc, char** argv) { (void)argc, (void)argv; }

#elif defined(DO_blocks_signal)

CONSTRUCTOR {
  UNUSED;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  sigprocmask(SIG_BLOCK, &set, NULL);
}
void Report(int argc, char** argv) {
  (void)argc, (void)argv;
  sigset_t set;
  sigprocmask(SIG_BLOCK, NULL, &set);
  printf("%d %d\n", sigismember(&set, SIGUSR1), sigismember(&set, SIGUSR2));
}

#elif defined(DO_changes_directory)

CONSTRUCTOR {
  UNUSED;
  if (chdir("/") != 0)
    abort();
}
void Report(int argc, char** argv) {
  (void)argc, (void)argv;
  char path[4096];
  puts(getcwd(path, sizeof(path)) ? path : "?");
}

#else
#error "what does it do?"
#endif
