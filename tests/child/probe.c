// A child for the tests: does what its arguments say, one after the other, and
// exits with 0. What it finds out it prints on standard output.
//
//   fds        each open descriptor: number, access (r, w, rw), where it leads
//   env        the environment          argv   argv[0] and all after "argv"
//   sig        SigBlk, SigIgn, SigCgt   ids    pid ppid pgid sid
//   keyring    that of the session      slice  ns, -1: the kernel has none
//   cwd        the directory            limit  RLIMIT_NOFILE, soft and hard
//   echo FD    what can be read there, to the end of file
//   write FD TEXT      fill FD COUNT (bytes)      close FD
//   pid FD     writes its pid there     wait FD    until the end of file
//   burn MS    that much processor time  grow MIB  that much memory
//   ignore SIG         raise SIG        exit STATUS
//   setpgid    leads a process group of its own
//   fork ... end       a child does what stands between
//   fork-exit ... end  the same, and this process exits with 0
//
// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

extern char** environ;

static void Die(const char* what) {
  dprintf(STDERR_FILENO, "probe: %s: %m\n", what);
  _exit(99);
}

static void PrintFds(void) {
  static const char* const kAccess[] = {"r", "w", "rw", "?"};
  DIR* dir = opendir("/proc/self/fd");
  if (!dir)
    Die("/proc/self/fd");
  for (struct dirent* entry; (entry = readdir(dir));) {
    char target[4096];
    int fd = atoi(entry->d_name);
    if (entry->d_name[0] == '.' || fd == dirfd(dir))
      continue;
    ssize_t size = readlinkat(dirfd(dir), entry->d_name, target, 4095);
    if (size < 0)
      Die("readlink");
    target[size] = '\0';
    printf("%d %s %s\n", fd, kAccess[fcntl(fd, F_GETFL) & O_ACCMODE], target);
  }
  closedir(dir);
}

static void PrintSignals(void) {
  char line[256];
  FILE* status = fopen("/proc/self/status", "re");
  if (!status)
    Die("/proc/self/status");
  while (fgets(line, sizeof(line), status))
    if (strncmp(line, "SigBlk", 6) == 0 || strncmp(line, "SigIgn", 6) == 0 ||
        strncmp(line, "SigCgt", 6) == 0)
      fputs(line, stdout);
  fclose(status);
}

static void WriteAll(int fd, const char* text, size_t size) {
  while (size > 0) {
    ssize_t done = write(fd, text, size);
    if (done < 0)
      Die("write");
    text += done;
    size -= done;
  }
}

static void Fill(int fd, long count) {
  char block[4096];
  memset(block, 'x', sizeof(block));
  for (; count > 0; count -= sizeof(block))
    WriteAll(fd, block, count < 4096 ? count : 4096);
}

static void ReadAll(int from, int to) {
  char buffer[4096];
  ssize_t size;
  while ((size = read(from, buffer, sizeof(buffer))) > 0)
    if (to >= 0)
      WriteAll(to, buffer, size);
  if (size < 0)
    Die("read");
}

static void Burn(long milliseconds) {
  while (clock() * 1000 / CLOCKS_PER_SEC < milliseconds) {
  }
}

static void Grow(long mib) {
  char* memory = malloc(mib << 20);
  if (!memory)
    Die("malloc");
  memset(memory, 1, mib << 20);
  // Or the compiler sees that nobody looks.
  __asm__ volatile("" ::"r"(memory) : "memory");
}

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const char* word = argv[i];
    const char* next = i + 1 < argc ? argv[i + 1] : "0";
    if (strcmp(word, "fds") == 0) {
      PrintFds();
    } else if (strcmp(word, "env") == 0) {
      for (char** name = environ; *name; ++name)
        puts(*name);
    } else if (strcmp(word, "argv") == 0) {
      puts(argv[0]);
      while (++i < argc)
        puts(argv[i]);
    } else if (strcmp(word, "sig") == 0) {
      PrintSignals();
    } else if (strcmp(word, "ids") == 0) {
      printf("%d %d %d %d\n", getpid(), getppid(), getpgrp(), getsid(0));
    } else if (strcmp(word, "cwd") == 0) {
      char path[4096];
      puts(getcwd(path, sizeof(path)) ? path : "?");
    } else if (strcmp(word, "keyring") == 0) {
      printf("%ld\n", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID,
                              KEY_SPEC_SESSION_KEYRING, 0));
    } else if (strcmp(word, "slice") == 0) {
      uint64_t attributes[16] = {0};
      if (syscall(SYS_sched_getattr, 0, attributes, sizeof(attributes), 0))
        Die("sched_getattr");
      printf("%lld\n", attributes[3] ? (long long)attributes[3] : -1);
    } else if (strcmp(word, "limit") == 0) {
      struct rlimit limit;
      if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        Die("getrlimit");
      printf("%ld %ld\n", (long)limit.rlim_cur, (long)limit.rlim_max);
    } else if (strcmp(word, "echo") == 0) {
      ReadAll(atoi(next), STDOUT_FILENO);
      ++i;
    } else if (strcmp(word, "write") == 0 && i + 2 < argc) {
      WriteAll(atoi(next), argv[i + 2], strlen(argv[i + 2]));
      i += 2;
    } else if (strcmp(word, "fill") == 0 && i + 2 < argc) {
      Fill(atoi(next), atol(argv[i + 2]));
      i += 2;
    } else if (strcmp(word, "close") == 0) {
      close(atoi(next));
      ++i;
    } else if (strcmp(word, "flags") == 0) {
      printf("%o\n", fcntl(atoi(next), F_GETFL));
      ++i;
    } else if (strcmp(word, "nonblock") == 0) {
      int fd = atoi(next);
      fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
      ++i;
    } else if (strcmp(word, "pid") == 0) {
      dprintf(atoi(next), "%d\n", getpid());
      ++i;
    } else if (strcmp(word, "wait") == 0) {
      ReadAll(atoi(next), -1);
      ++i;
    } else if (strcmp(word, "burn") == 0) {
      Burn(atol(next));
      ++i;
    } else if (strcmp(word, "grow") == 0) {
      Grow(atol(next));
      ++i;
    } else if (strcmp(word, "ignore") == 0) {
      signal(atoi(next), SIG_IGN);
      ++i;
    } else if (strcmp(word, "raise") == 0) {
      raise(atoi(next));
      ++i;
    } else if (strcmp(word, "exit") == 0) {
      fflush(stdout);
      _exit(atoi(next));
    } else if (strcmp(word, "setpgid") == 0) {
      if (setpgid(0, 0) != 0)
        Die("setpgid");
    } else if (strncmp(word, "fork", 4) == 0) {
      fflush(stdout);
      pid_t pid = fork();
      if (pid < 0)
        Die("fork");
      if (pid > 0) {
        if (strcmp(word, "fork-exit") == 0)
          _exit(0);
        while (i < argc && strcmp(argv[i], "end") != 0)
          ++i;
      }
    } else if (strcmp(word, "end") == 0) {
      fflush(stdout);
      _exit(0);
    } else {
      dprintf(STDERR_FILENO, "probe: what is '%s'?\n", word);
      _exit(98);
    }
    fflush(stdout);
  }
  return 0;
}
