/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn_growth SPAWNS: whether anything grows with so many spawns, as many that
 * fail, as many templates that are refused and a tenth as many that are made.
 * Wants a system where nothing else is going on. Prints TAP.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/spawn_template.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define U64(p) ((uint64_t)(uintptr_t)(p))

static int create_of(const char* path) {
  struct spawn_template_create_args args = {
      .flags = SPAWN_TEMPLATE_CREATE_CLOEXEC,
      .execfd = -1,
      .filename = U64(path),
  };
  return syscall(472, &args, sizeof(args));
}

static int create(void) { return create_of("/b/noop_tiny"); }

/* Not an absolute path; so long that its copy would be missed. */
static int is_refused(void) {
  static char relative[3000];
  memset(relative, 'x', sizeof(relative) - 1);
  return create_of(relative) == -1 && errno == EINVAL;
}

/* The action closes a descriptor that is not there. */
static pid_t spawn(int tfd, int fails) {
  char *argv[] = {"tiny", NULL}, *envp[] = {NULL};
  struct spawn_template_action close_nothing = {
      .type = SPAWN_TEMPLATE_ACTION_CLOSE, .fd = 900};
  int pidfd = -1;
  struct spawn_template_spawn_args args = {.pidfd = U64(&pidfd),
                                           .argv = U64(argv),
                                           .envp = U64(envp),
                                           .actions = U64(&close_nothing),
                                           .actions_len = fails};
  pid_t pid = syscall(473, tfd, &args, sizeof(args));
  if (pid > 0)
    close(pidfd);
  return pid;
}

/* True if all went as it should. */
static int spawn_many(long count) {
  int tfd = create();
  for (long i = 0; i < count; i++) {
    int status = -1;
    pid_t pid = spawn(tfd, 0);
    if (pid <= 0 || waitpid(pid, &status, 0) != pid || status != 0)
      return 0;
    if (spawn(tfd, 1) != -1 || errno != EBADF || !is_refused())
      return 0;
    if (i % 10 == 0) {
      close(tfd);
      tfd = create();
    }
  }
  close(tfd);
  return tfd >= 0;
}

struct size {
  long slab_kib, processes, fds;
};

static struct size size_of_system(void) {
  struct size size = {0, 0, 0};
  char line[128];
  FILE* file = fopen("/proc/meminfo", "re");
  while (file && fgets(line, sizeof(line), file))
    if (!strncmp(line, "Slab:", 5))
      size.slab_kib = atol(line + 5);
  if (file)
    fclose(file);
  DIR* directory = opendir("/proc");
  for (struct dirent* entry; directory && (entry = readdir(directory));)
    size.processes += entry->d_name[0] >= '1' && entry->d_name[0] <= '9';
  if (directory)
    closedir(directory);
  for (int fd = 0; fd < 1024; fd++)
    size.fds += fcntl(fd, F_GETFD) >= 0;
  return size;
}

static int nothing_grows(long spawns) {
  if (!spawn_many(500))
    return 0;
  struct size before = size_of_system();
  if (!spawn_many(spawns))
    return 0;
  struct size after = size_of_system();
  printf(
      "# %ld spawns: slab %ld to %ld KiB, processes %ld to %ld, descriptors %ld "
      "to %ld\n",
      spawns, before.slab_kib, after.slab_kib, before.processes,
      after.processes, before.fds, after.fds);
  /* Kernel threads come and go; slab caches keep some pages. */
  return after.fds == before.fds && after.processes <= before.processes + 4 &&
         after.slab_kib <= before.slab_kib + 2048;
}

int main(int argc, char** argv) {
  if (argc != 2)
    return 2;
  if (syscall(472, NULL, 0) == -1 && errno == ENOSYS) {
    printf("1..0 # SKIP no spawn templates in this kernel\n");
    return 0;
  }
  int good = nothing_grows(atol(argv[1]));
  printf("1..1\n%sok 1 spawn_growth.nothing_grows\n", good ? "" : "not ");
  return !good;
}
