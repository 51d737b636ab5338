// Prints what a process can see of itself, a line each, in words that do not
// depend on its pid, on addresses or on the time. A line that starts with
// "differs" has a value that no two processes share.
//
// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <immintrin.h>
#include <link.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char** environ;

static int main_argc;
static char** main_argv;

// A constructor of the program itself runs behind the entry point.
static int constructor_argc;
static char** constructor_argv;
static char** constructor_environ;
__attribute__((constructor)) static void Construct(int argc, char** argv,
                                                   char** envp) {
  constructor_argc = argc;
  constructor_argv = argv;
  constructor_environ = envp;
}

static const char* YesNo(int value) { return value ? "yes" : "no"; }

/// Reads a whole file; its size, or -1.
static ssize_t ReadFile(const char* path, char* buffer, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return -1;
  size_t used = 0;
  ssize_t got;
  while (used < size && (got = read(fd, buffer + used, size - used)) > 0)
    used += (size_t)got;
  close(fd);
  return (ssize_t)used;
}

static void PrintText(const char* name, const char* text, size_t size) {
  printf("%s ", name);
  for (size_t i = 0; i < size; ++i)
    if (text[i] < ' ' || text[i] > '~')
      printf("\\%02x", (unsigned char)text[i]);
    else
      putchar(text[i]);
  putchar('\n');
}

static void Arguments(int argc, char** argv, char** envp) {
  printf("argc %d\n", argc);
  char name[32];
  for (int i = 0; i < argc; ++i) {
    snprintf(name, sizeof(name), "argv[%d]", i);
    PrintText(name, argv[i], strlen(argv[i]));
  }
  printf("argv[argc] is null: %s\n", YesNo(argv[argc] == NULL));
  int count = 0;
  for (; environ[count]; ++count) {
    snprintf(name, sizeof(name), "environ[%d]", count);
    PrintText(name, environ[count], strlen(environ[count]));
  }
  printf("envp == environ: %s\n", YesNo(envp == environ));
  printf("environ follows argv: %s\n", YesNo(environ == argv + argc + 1));
  printf("argc is in front of argv: %s\n",
         YesNo(((long*)argv)[-1] == (long)argc));
  printf("constructor: argc %s, argv %s, environ %s\n",
         YesNo(constructor_argc == argc), YesNo(constructor_argv == argv),
         YesNo(constructor_environ == envp));
  // The texts are one block, in order.
  int adjacent = 1;
  const char* next = argv[0];
  for (int i = 0; i < argc; ++i) {
    adjacent &= argv[i] == next;
    next = argv[i] + strlen(argv[i]) + 1;
  }
  for (int i = 0; i < count; ++i) {
    adjacent &= environ[i] == next;
    next = environ[i] + strlen(environ[i]) + 1;
  }
  const char* filename = (const char*)getauxval(AT_EXECFN);
  printf("texts adjacent: %s, executable name behind: %s\n", YesNo(adjacent),
         YesNo(filename == next));
  printf("aligned stack: %s\n", YesNo(((uintptr_t)(argv - 1) & 15) == 0));
#ifdef __GLIBC__
  printf("names: %s %s\n", program_invocation_name,
         program_invocation_short_name);
  printf("name is argv[0]: %s\n", YesNo(program_invocation_name == argv[0]));
#endif
}

static void Auxiliary(char** envp) {
  char** end = envp;
  while (*end)
    ++end;
  for (ElfW(auxv_t)* aux = (ElfW(auxv_t)*)(end + 1); aux->a_type != AT_NULL;
       ++aux) {
    unsigned long type = aux->a_type, value = aux->a_un.a_val;
    switch (type) {
      case AT_PHDR:
      case AT_BASE:
      case AT_ENTRY:
      case AT_SYSINFO_EHDR:
      case AT_RANDOM:
        printf("aux %lu is %s\n", type, value ? "set" : "zero");
        break;
      case AT_EXECFN:
      case AT_PLATFORM:
        printf("aux %lu %s\n", type, value ? (const char*)value : "null");
        break;
      default:
        printf("aux %lu %#lx\n", type, value);
    }
    if (getauxval(type) != value)
      printf("getauxval(%lu) has another value\n", type);
  }
  char file[4096];
  ssize_t size = ReadFile("/proc/self/auxv", file, sizeof(file));
  printf("/proc/self/auxv is this: %s\n",
         YesNo(size > 0 && memcmp(file, end + 1, (size_t)size) == 0));
  const unsigned char* random = (const unsigned char*)getauxval(AT_RANDOM);
  printf("differs AT_RANDOM ");
  for (int i = 0; i < 16; ++i)
    printf("%02x", random[i]);
  uint64_t canary, first;
  __asm__("mov %%fs:0x28, %0" : "=r"(canary));
  memcpy(&first, random, sizeof(first));
  printf("\ndiffers canary %016llx\n", (unsigned long long)canary);
#ifdef __GLIBC__
  printf("canary is of AT_RANDOM: %s\n",
         YesNo(canary == (first & ~(uint64_t)0xff)));
#endif
  char name[64] = "";
  snprintf(name, sizeof(name), "/proc/self/exe");
  char link[4096];
  ssize_t length = readlink(name, link, sizeof(link) - 1);
  PrintText("exe", link, length > 0 ? (size_t)length : 0);
}

static void Identity(void) {
  char directory[4096];
  printf("cwd %s\n", getcwd(directory, sizeof(directory)));
  mode_t mask = umask(0);
  umask(mask);
  printf("umask %03o\n", mask);
  pid_t pid = getpid();
  printf("leads its group %s, its session %s\n", YesNo(getpgrp() == pid),
         YesNo(getsid(0) == pid));
  printf("session of the parent %s, group of the parent %s\n",
         YesNo(getsid(0) == getsid(getppid())),
         YesNo(getpgrp() == getpgid(getppid())));
  char file[4096], comm[64];
  snprintf(directory, sizeof(directory), "/proc/%d/comm", getppid());
  ssize_t size = ReadFile(directory, file, sizeof(file));
  PrintText("parent", file, size > 0 ? (size_t)size : 0);
  printf("tid is pid %s\n", YesNo(syscall(SYS_gettid) == pid));
  printf("uid %d %d gid %d %d\n", getuid(), geteuid(), getgid(), getegid());
  prctl(PR_GET_NAME, comm);
  printf("name %s\n", comm);
  printf("dumpable %d, slack %d, keepcaps %d, no_new_privs %d, subreaper ",
         prctl(PR_GET_DUMPABLE), prctl(PR_GET_TIMERSLACK),
         prctl(PR_GET_KEEPCAPS), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  int value = -1;
  prctl(PR_GET_CHILD_SUBREAPER, &value);
  printf("%d", value);
  value = -1;
  prctl(PR_GET_PDEATHSIG, &value);
  printf(", signal of the parent's death %d", value);
  printf(", securebits %d, thp %d, tsc %d\n", prctl(PR_GET_SECUREBITS),
         prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0),
         prctl(PR_GET_TSC, &value) == 0 ? value : -1);
  int policy = sched_getscheduler(0);
  struct sched_param parameters = {0};
  sched_getparam(0, &parameters);
  cpu_set_t cpus;
  sched_getaffinity(0, sizeof(cpus), &cpus);
  printf("scheduler %d %d, nice %d, cpus %d\n", policy,
         parameters.sched_priority, getpriority(PRIO_PROCESS, 0),
         CPU_COUNT(&cpus));
  for (int i = 0; i < RLIM_NLIMITS; ++i) {
    struct rlimit limit;
    getrlimit(i, &limit);
    printf("limit %d %llx %llx\n", i, (unsigned long long)limit.rlim_cur,
           (unsigned long long)limit.rlim_max);
  }
  int mode = -1;
  unsigned long nodes[16] = {0};
  long ret = syscall(SYS_get_mempolicy, &mode, nodes, 1024, 0, 0);
  printf("memory policy %ld %d %lx, i/o priority %ld, machine checks %d\n", ret,
         mode, nodes[0], syscall(SYS_ioprio_get, 1, 0),
         prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
  struct itimerval timer;
  for (int i = 0; i < 3; ++i) {
    getitimer(i, &timer);
    printf("timer %d: %ld %ld\n", i, timer.it_value.tv_sec,
           timer.it_interval.tv_sec);
  }
  size = ReadFile("/proc/self/cmdline", file, sizeof(file));
  PrintText("cmdline", file, size > 0 ? (size_t)size : 0);
  size = ReadFile("/proc/self/environ", file, sizeof(file));
  PrintText("environ", file, size > 0 ? (size_t)size : 0);
  size = ReadFile("/proc/self/cgroup", file, sizeof(file));
  PrintText("cgroup", file, size > 0 ? (size_t)size : 0);
  size = ReadFile("/proc/self/personality", file, sizeof(file));
  PrintText("personality", file, size > 0 ? (size_t)size : 0);
  size = ReadFile("/proc/self/coredump_filter", file, sizeof(file));
  PrintText("coredump_filter", file, size > 0 ? (size_t)size : 0);
  size = ReadFile("/proc/self/oom_score_adj", file, sizeof(file));
  PrintText("oom_score_adj", file, size > 0 ? (size_t)size : 0);
  size = ReadFile("/proc/self/timers", file, sizeof(file));
  PrintText("timers", file, size > 0 ? (size_t)size : 0);
  size = ReadFile("/proc/self/syscall", file, sizeof(file));
  PrintText("syscall", file, size > 0 ? (size_t)strcspn(file, " ") : 0);
  DIR* tasks = opendir("/proc/self/task");
  int count = 0;
  while (tasks && readdir(tasks))
    ++count;
  closedir(tasks);
  printf("threads %d\n", count - 2);
  snprintf(directory, sizeof(directory), "/proc/self/task/%d/children", pid);
  size = ReadFile(directory, file, sizeof(file));
  printf("bytes of children %zd\n", size);
}

static void Descriptors(void) {
  for (int fd = 0; fd < 1200; ++fd) {
    int flags = fcntl(fd, F_GETFD);
    if (flags < 0)
      continue;
    char path[64], target[4096];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    ssize_t size = readlink(path, target, sizeof(target) - 1);
    target[size > 0 ? size : 0] = '\0';
    target[strcspn(target, "[")] = '\0';  // pipe:[number]
    struct stat status;
    fstat(fd, &status);
    printf("fd %d cloexec %d flags %#o mode %#o %s\n", fd, flags,
           fcntl(fd, F_GETFL), status.st_mode & S_IFMT, target);
  }
  DIR* directory = opendir("/proc/self/fd");
  int count = 0;
  while (directory && readdir(directory))
    ++count;
  closedir(directory);
  printf("descriptors %d\n", count - 3);
}

static void Signals(void) {
  sigset_t blocked, pending;
  sigprocmask(SIG_SETMASK, NULL, &blocked);
  sigpending(&pending);
  for (int i = 1; i <= 64; ++i) {
    struct {
      void* handler;
      unsigned long flags;
      void* restorer;
      unsigned long mask;
    } action = {0};
    long ret = syscall(SYS_rt_sigaction, i, NULL, &action, 8);
    printf("signal %d: %s, flags %lx, mask %lx%s%s%s\n", i,
           action.handler == SIG_DFL   ? "default"
           : action.handler == SIG_IGN ? "ignored"
                                       : "caught",
           action.flags, action.mask, ret ? ", unknown" : "",
           sigismember(&blocked, i) == 1 ? ", blocked" : "",
           sigismember(&pending, i) == 1 ? ", pending" : "");
  }
  stack_t stack;
  sigaltstack(NULL, &stack);
  printf("alternate stack: %s %d %zu\n", YesNo(stack.ss_sp != NULL),
         stack.ss_flags, stack.ss_size);
}

/// The lines of /proc/self/status that do not depend on pid, time and memory.
static void Status(void) {
  static const char* const kLeftOut[] = {"Tgid:",
                                         "Ngid:",
                                         "Pid:",
                                         "PPid:",
                                         "NStgid:",
                                         "NSpid:",
                                         "NSpgid:",
                                         "NSsid:",
                                         "VmPeak:",
                                         "VmHWM:",
                                         "VmRSS:",
                                         "RssAnon:",
                                         "RssFile:",
                                         "RssShmem:",
                                         "voluntary_ctxt_switches:",
                                         "VmSize:",
                                         "VmPTE:",
                                         "nonvoluntary_ctxt_switches:",
                                         "SigQ:",
                                         "Cpus_allowed_list:",
                                         "VmData:",
                                         "Mems_allowed_list:",
                                         "State:",
                                         "FDSize:",
                                         "VmStk:"};
  FILE* file = fopen("/proc/self/status", "re");
  char line[4096];
  while (file && fgets(line, sizeof(line), file)) {
    int left_out = 0;
    for (size_t i = 0; i < sizeof(kLeftOut) / sizeof(kLeftOut[0]); ++i)
      left_out |= strncmp(line, kLeftOut[i], strlen(kLeftOut[i])) == 0;
    if (!left_out)
      printf("status %s", line);
  }
  if (file)
    fclose(file);
}

/// Field `number` of /proc/self/stat, proc(5).
static unsigned long long Stat(int number) {
  char text[4096];
  ssize_t size = ReadFile("/proc/self/stat", text, sizeof(text) - 1);
  text[size > 0 ? size : 0] = '\0';
  char* at = strrchr(text, ')');
  for (int i = 2; at && i < number; ++i)
    at = strchr(at + 1, ' ');
  return at ? strtoull(at, NULL, 10) : 0;
}

static void StatFields(void) {
  char** end = environ;
  while (*end)
    ++end;
  char* last = end[-1] + strlen(end[-1]) + 1;
  printf("startstack is &argc: %s\n",
         YesNo(Stat(28) == (uintptr_t)(main_argv - 1)));
  printf("arg_start %s, arg_end %s, env_start %s, env_end %s\n",
         YesNo(Stat(48) == (uintptr_t)main_argv[0]),
         YesNo(Stat(49) == (uintptr_t)main_argv[main_argc - 1] +
                               strlen(main_argv[main_argc - 1]) + 1),
         YesNo(Stat(50) == (uintptr_t)environ[0]),
         YesNo(Stat(51) == (uintptr_t)last));
  extern char etext, edata, end_of_program __asm__("end");
  printf("code %s, data %s %s, heap %s\n",
         YesNo(Stat(26) <= (uintptr_t)&Stat && Stat(27) > (uintptr_t)&Stat),
         YesNo(Stat(45) <= (uintptr_t)&main_argv),
         YesNo(Stat(46) >= (uintptr_t)&edata),
         YesNo(Stat(47) >= (uintptr_t)&end_of_program));
  (void)etext;
  printf("exit signal %llu\n", Stat(38));
  printf("priority %llu, policy %llu, tty %llu\n", Stat(18), Stat(41), Stat(7));
}

/// The mappings, without where they are: name, rights, how often, pages.
/// Where the kernel's own pages are among the others is random on Linux 6.1.
static int IsOfKernel(const char* path) {
  return strncmp(path, "[v", 2) == 0;  // vvar, vdso, vsyscall
}

/// Each mapping, what it is marked with, whether it is merged and locked; the
/// kernel's own last.
static void Maps(void) {
  for (int of_kernel = 0; of_kernel < 2; ++of_kernel) {
    FILE* file = fopen("/proc/self/smaps", "re");
    char line[4096];
    int shown = 0;
    while (file && fgets(line, sizeof(line), file)) {
      unsigned long start, end, offset;
      char rights[8], path[2048] = "";
      if (sscanf(line, "%lx-%lx %7s %lx %*s %*s %2047[^\n]", &start, &end,
                 rights, &offset, path) >= 4) {
        shown = IsOfKernel(path) == of_kernel;
        // The heap has grown by what stdio and opendir(3) asked for.
        if (shown && (path[0] == '\0' || path[0] == '/' || path[0] == '['))
          printf("map %s %s pages %lu offset %#lx\n", rights,
                 path[0] ? path : "anonymous",
                 strcmp(path, "[stack]") == 0 ? 0 : (end - start) / 4096,
                 offset);
      } else if (shown && (strncmp(line, "VmFlags:", 8) == 0 ||
                           strncmp(line, "Locked:", 7) == 0)) {
        printf("smaps %s", line);
      }
    }
    if (file)
      fclose(file);
  }
}

static void* Nothing(void* argument) { return argument; }

static void* TakeRobust(void* mutex) {
  pthread_mutex_lock(mutex);
  return NULL;
}

static volatile sig_atomic_t got;
static void OnSignal(int signal) { got = signal; }

static __thread int in_thread = 5;

static void Threads(void) {
  void *head = NULL, *result = NULL;
  size_t size = 0;
  printf("robust list: %ld, %s, %zu\n",
         syscall(SYS_get_robust_list, 0, &head, &size), YesNo(head != NULL),
         size);
#ifdef __GLIBC__
  extern const unsigned int __rseq_size;
  extern const ptrdiff_t __rseq_offset;
  // cpu_id: what the kernel keeps up to date, -1 if it is not registered.
  char* self;
  __asm__("mov %%fs:0, %0" : "=r"(self));
  int32_t cpu = *(volatile int32_t*)(self + __rseq_offset + 4);
  printf("rseq %u, registered %s\n", __rseq_size, YesNo(cpu >= 0));
  int right = 1;
  for (int i = 0; i < CPU_SETSIZE && __rseq_size; ++i) {
    cpu_set_t all, one;
    sched_getaffinity(0, sizeof(all), &all);
    if (!CPU_ISSET(i, &all))
      continue;
    CPU_ZERO(&one);
    CPU_SET(i, &one);
    sched_setaffinity(0, sizeof(one), &one);
    right &= *(volatile int32_t*)(self + __rseq_offset + 4) == i;
    sched_setaffinity(0, sizeof(all), &all);
  }
  printf("rseq follows %s\n", YesNo(right));
#endif
  int* clear = NULL;
  prctl(PR_GET_TID_ADDRESS, &clear);
  printf("tid address %s, holds the tid %s\n", YesNo(clear != NULL),
         YesNo(clear && *clear == getpid()));

  pthread_attr_t attributes;
  void* stack = NULL;
  pthread_getattr_np(pthread_self(), &attributes);
  pthread_attr_getstack(&attributes, &stack, &size);
  char here;
  printf("stack has argc %s, this %s\n",
         YesNo((char*)stack <= (char*)main_argv &&
               (char*)main_argv < (char*)stack + size),
         YesNo((char*)stack <= &here && &here < (char*)stack + size));
  pthread_attr_destroy(&attributes);

  pthread_t thread;
  int error = pthread_create(&thread, NULL, Nothing, &here);
  if (!error)
    pthread_join(thread, &result);
  printf("thread %d %s\n", error, YesNo(result == &here));

  pthread_mutex_t mutex;
  pthread_mutexattr_t kind;
  pthread_mutexattr_init(&kind);
  pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
  pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ERRORCHECK);
  pthread_mutex_init(&mutex, &kind);
  pthread_create(&thread, NULL, TakeRobust, &mutex);
  pthread_join(thread, NULL);
  int locked = pthread_mutex_lock(&mutex);
  printf("robust mutex of a dead thread %s, again %s\n",
         YesNo(locked == EOWNERDEAD),
         YesNo(pthread_mutex_lock(&mutex) == EDEADLK));

  // The main thread's own list, seen by another process when it ends.
  pthread_mutex_t* shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
  pthread_mutex_init(shared, &kind);
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    pthread_mutex_lock(shared);
    // getpid() and the thread's idea of its tid are the new ones.
    _exit(syscall(SYS_gettid) == getpid() &&
                  pthread_mutex_lock(shared) == EDEADLK
              ? in_thread
              : 99);
  }
  int status = -1;
  waitpid(child, &status, 0);
  printf("fork %d, robust mutex of a dead process %s\n", WEXITSTATUS(status),
         YesNo(pthread_mutex_lock(shared) == EOWNERDEAD));
  munmap(shared, 4096);

  signal(SIGUSR1, OnSignal);
  raise(SIGUSR1);
  printf("raise %d", (int)got);
  got = 0;
  pthread_kill(pthread_self(), SIGUSR1);
  printf(", pthread_kill %d\n", (int)got);
  signal(SIGUSR1, SIG_DFL);
  clockid_t clock;
  struct timespec now;
  printf("clocks %d %d\n", pthread_getcpuclockid(pthread_self(), &clock),
         clock_gettime(clock, &now));
}

__attribute__((noinline)) static double Vectors(double x) {
  // Aligned stores to the stack fault when it is not aligned.
  volatile __m128d on_stack = _mm_set_pd(x, 2 * x);
  __m128d sum = on_stack;
  return sum[0] + sum[1];
}

static jmp_buf back;

static void Library(void) {
  printf("vectors %g, control %x, x87 ", Vectors(1.5), _mm_getcsr());
  unsigned short control;
  __asm__ volatile("fnstcw %0" : "=m"(control));
  printf("%x\n", control);
  void* libm = dlopen("libm.so.6", RTLD_NOW);
  double (*cosine)(double) =
      libm ? (double (*)(double))dlsym(libm, "cos") : NULL;
  printf("dlopen %s, cos %g\n", YesNo(libm != NULL), cosine ? cosine(0) : -1.0);
  int objects = 0;
  struct link_map* map = dlopen(NULL, RTLD_NOW);
  for (; map; map = map->l_next, ++objects)
    printf("object %s\n", map->l_name);
  for (int i = 0; i < 3; ++i) {
    static const char* const kLocales[] = {"C", "C.UTF-8", ""};
    const char* locale = setlocale(LC_ALL, kLocales[i]);
    printf("locale %s, most bytes %zu\n", locale ? locale : "none",
           (size_t)MB_CUR_MAX);
  }
  setlocale(LC_ALL, "C");
  if (setjmp(back) == 0)
    longjmp(back, 1);
  char* blocks[64];
  for (int i = 0; i < 64; ++i)
    memset(blocks[i] = malloc((size_t)1 << (i % 18)), i, (size_t)1 << (i % 18));
  for (int i = 0; i < 64; ++i)
    free(blocks[i]);
  printf("PATH %s, none %s\n", getenv("PATH"), YesNo(!getenv("NOT-THERE")));
  setenv("NEW", "value", 1);
  printf("setenv %s\n", getenv("NEW"));
  fflush(stdout);
  int status = system("exit 6");
  printf("system %d\n", WEXITSTATUS(status));
  struct timespec one, two;
  clock_gettime(CLOCK_MONOTONIC, &one);
  clock_gettime(CLOCK_MONOTONIC, &two);
  printf("clock goes on %s, cpu time small %s\n",
         YesNo(two.tv_sec > one.tv_sec ||
               (two.tv_sec == one.tv_sec && two.tv_nsec >= one.tv_nsec)),
         YesNo(clock() < 60 * CLOCKS_PER_SEC));
  uint64_t bytes[2] = {0, 0};
  printf("getrandom %ld\n", syscall(SYS_getrandom, bytes, sizeof(bytes), 0));
}

static void First(void) { printf("atexit: registered first\n"); }
static void Second(void) { printf("atexit: registered second\n"); }
__attribute__((destructor)) static void Destroy(void) {
  printf("destructor\n");
}

int main(int argc, char** argv, char** envp) {
  main_argc = argc;
  main_argv = argv;
  // First, before stdio has memory.
  static char sbrk_text[64];
  snprintf(sbrk_text, sizeof(sbrk_text), "heap used at main: %s\n",
           YesNo((uintptr_t)sbrk(0) > Stat(47)));
  Descriptors();
  fputs(sbrk_text, stdout);
  Arguments(argc, argv, envp);
  Auxiliary(envp);
  Identity();
  Signals();
  Status();
  StatFields();
  Maps();
  Threads();
  Library();
  atexit(First);
  atexit(Second);
  fflush(stdout);
  return argc > 1 ? atoi(argv[1]) & 0x7f : 0;
}
