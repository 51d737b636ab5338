// What shell_fuzz starts in place of compilers: appends what it sees of itself
// to descriptor 100, writes a line to standard output and one to standard
// error, and ends as the name of its file tells:
//
//   p7   exits with 7        k9   kills itself with signal 9
//
// and any other exits with 0. Without a C library on x86-64, so that a launch
// costs little more than the launch.
//
// A report is a row of fields, each a letter, a text and a null:
//
//   W name of the file   A each argument     E each string of the environment
//   X AT_EXECFN          C directory         U umask        L resource limits
//   M blocked signals    I ignored signals   Z the end
//   F descriptor, flags, offset, where it leads
//
// SPDX-License-Identifier: Apache-2.0

#include <asm/unistd.h>

#if defined(__x86_64__) && !defined(WITNESS_LIBC)
static long Call(long number, long a, long b, long c, long d) {
  long result;
  register long r10 __asm__("r10") = d;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
                   : "rcx", "r11", "memory");
  return result;
}
__asm__(
    ".globl _start\n"
    "_start:\n"
    "  mov %rsp, %rdi\n"
    "  and $-16, %rsp\n"
    "  call Begin\n");
#else
#include <unistd.h>
#define Call(number, a, b, c, d) syscall(number, a, b, c, d)
#endif

enum {
  kReportFd = 100,
  kLastFd = 19,
  kLastSignal = 64,
  kAtFdcwd = -100,
  kAtExecfn = 31,
  kGetFlags = 3,    // F_GETFL
  kSeekCurrent = 1  // SEEK_CUR
};

static char buffer[1 << 16];
static unsigned long used;

static void Flush(void) {
  Call(__NR_write, kReportFd, (long)buffer, used, 0);
  used = 0;
}

static void Add(const char* bytes, unsigned long size) {
  for (unsigned long i = 0; i < size; ++i) {
    if (used == sizeof(buffer))
      Flush();
    buffer[used++] = bytes[i];
    __asm__ volatile("" ::: "memory");  // Or this becomes a call of memcpy.
  }
}

static unsigned long Length(const char* text) {
  unsigned long size = 0;
  for (; text[size] != '\0'; ++size)
    __asm__ volatile("");
  return size;
}

static int Same(const char* a, const char* b) {
  while (*a != '\0' && *a == *b)
    ++a, ++b;
  return *a == *b;
}

static void AddText(const char* text) { Add(text, Length(text)); }

static void AddNumber(unsigned long number, unsigned base) {
  char digits[24];
  int at = sizeof(digits);
  do {
    digits[--at] = "0123456789abcdef"[number % base];
    number /= base;
  } while (number > 0);
  Add(digits + at, sizeof(digits) - at);
}

static void Field(char key, const char* text) {
  Add(&key, 1);
  Add(text, Length(text) + 1);
}

static void NumberField(char key, unsigned long number, unsigned base) {
  Add(&key, 1);
  AddNumber(number, base);
  Add("", 1);
}

// A pipe has a number of its own each time: it is told by the first descriptor
// that leads there.
static void AddDescriptors(void) {
  static char targets[kLastFd + 1][1024];
  for (int fd = 0; fd <= kLastFd; ++fd) {
    long flags = Call(__NR_fcntl, fd, kGetFlags, 0, 0);
    char path[] = "/proc/self/fd/\0\0";
    char* digits = path + sizeof(path) - 3;
    if (flags < 0)
      continue;
    if (fd >= 10)
      *digits++ = '0' + fd / 10;
    *digits = '0' + fd % 10;
    char* target = targets[fd];
    long size = Call(__NR_readlinkat, kAtFdcwd, (long)path, (long)target, 1023);
    target[size > 0 ? size : 0] = '\0';
    Add("F", 1);
    AddNumber(fd, 10);
    AddText(" ");
    AddNumber(flags, 8);
    AddText(" ");
    long offset = Call(__NR_lseek, fd, 0, kSeekCurrent, 0);
    AddNumber(offset > 0 ? offset : 0, 10);
    AddText(" ");
    if (target[0] == 'p' && target[1] == 'i') {
      int first = 0;
      while (!Same(targets[first], target))
        ++first;
      AddText("pipe of ");
      AddNumber(first, 10);
    } else {
      AddText(target);
    }
    Add("", 1);
  }
}

static void AddSignals(void) {
  unsigned long blocked = 0, ignored = 0;
  Call(__NR_rt_sigprocmask, 0, 0, (long)&blocked, 8);
  for (int number = 1; number <= kLastSignal; ++number) {
    // The first word is the handler; 1 is SIG_IGN.
    unsigned long action[8] = {0};
    Call(__NR_rt_sigaction, number, 0, (long)action, 8);
    if (action[0] == 1)
      ignored |= 1UL << (number - 1);
  }
  NumberField('M', blocked, 16);
  NumberField('I', ignored, 16);
}

// RLIMIT_FSIZE, STACK, CORE, NOFILE.
static void AddLimits(void) {
  static const int kLimits[] = {1, 3, 4, 7};
  Add("L", 1);
  for (unsigned i = 0; i < sizeof(kLimits) / sizeof(*kLimits); ++i) {
    unsigned long limit[2] = {0, 0};
    Call(__NR_prlimit64, 0, kLimits[i], 0, (long)limit);
    AddNumber(limit[0], 16);
    AddText("/");
    AddNumber(limit[1], 16);
    AddText(" ");
  }
  Add("", 1);
}

static void Say(int fd, char letter, int argc) {
  used = 0;
  Add(&letter, 1);
  AddNumber(argc, 10);
  AddText("\n");
  Call(__NR_write, fd, (long)buffer, used, 0);
  used = 0;
}

static void End(const char* name) {
  unsigned long number = 0;
  const char* digits = name + 1;
  while (*digits >= '0' && *digits <= '9')
    number = number * 10 + (*digits++ - '0');
  if (digits == name + 1 || *digits != '\0' ||
      (name[0] != 'p' && name[0] != 'k'))
    number = 0;
  else if (name[0] == 'k') {
    static const unsigned long kNoCore[2] = {0, 0};
    Call(__NR_prlimit64, 0, 4, (long)kNoCore, 0);
    Call(__NR_kill, Call(__NR_getpid, 0, 0, 0, 0), number, 0, 0);
    number = 99;  // Blocked or ignored.
  }
  for (;;)
    Call(__NR_exit_group, number, 0, 0, 0);
}

static void Witness(int argc, char** argv) {
  static char path[4096];
  long size = Call(__NR_readlinkat, kAtFdcwd, (long)"/proc/self/exe",
                   (long)path, sizeof(path) - 1);
  const char* name = path;
  for (long i = 0; i < size; ++i)
    if (path[i] == '/')
      name = path + i + 1;
  Field('W', name);
  char** word = argv;
  for (; *word; ++word)
    Field('A', *word);
  for (++word; *word; ++word)
    Field('E', *word);
  for (unsigned long* aux = (unsigned long*)(word + 1); aux[0] != 0; aux += 2)
    if (aux[0] == kAtExecfn)
      Field('X', (const char*)aux[1]);
  static char directory[4096];
  size = Call(__NR_getcwd, (long)directory, sizeof(directory), 0, 0);
  Field('C', size > 0 ? directory : "none");
  NumberField('U', Call(__NR_umask, 0, 0, 0, 0), 8);
  AddSignals();
  AddLimits();
  AddDescriptors();
  Field('Z', "");
  Flush();

  // Moves the offset that a next program shares with this one. A pipe has none,
  // and might have nothing to read.
  char byte;
  if (Call(__NR_lseek, 0, 0, kSeekCurrent, 0) >= 0)
    Call(__NR_read, 0, (long)&byte, 1, 0);
  Say(1, 'o', argc);
  Say(2, 'e', argc);
  End(name);
}

#if defined(__x86_64__) && !defined(WITNESS_LIBC)
__attribute__((used)) void Begin(long* stack) {
  Witness((int)stack[0], (char**)(stack + 1));
}
#else
int main(int argc, char** argv) { Witness(argc, argv); }
#endif
