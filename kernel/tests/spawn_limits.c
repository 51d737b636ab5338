/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn_limits SPAWNS: what other parts of the kernel make of a spawn, Landlock,
 * audit and the memory cgroup, and whether anything grows with SPAWNS of them.
 * Needs root, and a guest of its own: it takes audit over. Prints TAP.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/landlock.h>
#include <linux/netlink.h>
#include <linux/spawn_template.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define U64(p) ((uint64_t)(uintptr_t)(p))
#define TINY "/b/noop_tiny"
#define OTHER "/b/noop_static"
#define SELF "/b/spawn_limits"
#define GROUP "/sys/fs/cgroup/spawn_limits"

static int create(const char* path) {
  struct spawn_template_create_args args = {
      .flags = SPAWN_TEMPLATE_CREATE_CLOEXEC,
      .execfd = -1,
      .filename = U64(path),
  };
  return syscall(472, &args, sizeof(args));
}

static pid_t spawn(int tfd, char** argv) {
  char* envp[] = {NULL};
  int pidfd = -1;
  struct spawn_template_spawn_args args = {
      .pidfd = U64(&pidfd), .argv = U64(argv), .envp = U64(envp)};
  pid_t pid = syscall(473, tfd, &args, sizeof(args));
  if (pid > 0)
    close(pidfd);
  return pid;
}

static pid_t spawn_tiny(int tfd) {
  char* argv[] = {"tiny", NULL};
  return spawn(tfd, argv);
}

/* Spawns and collects; 1: it exited with 0. */
static int runs(int tfd) {
  int status = -1;
  pid_t pid = spawn_tiny(tfd);
  return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static int in_child(int (*check)(void)) {
  int status = -1;
  fflush(stdout);
  pid_t pid = fork();
  if (!pid) {
    int good = check();
    fflush(stdout);
    _exit(!good);
  }
  return waitpid(pid, &status, 0) == pid && status == 0;
}

static int put(const char* path, const char* text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  int good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
  close(fd);
  return good;
}

/* May execute TINY and nothing else. */
static int landlock(void) {
  int before = create(TINY);
  struct landlock_ruleset_attr attr = {.handled_access_fs =
                                           LANDLOCK_ACCESS_FS_EXECUTE};
  int rules = syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
  struct landlock_path_beneath_attr beneath = {
      .allowed_access = LANDLOCK_ACCESS_FS_EXECUTE,
      .parent_fd = open(TINY, O_PATH | O_CLOEXEC),
  };
  if (before < 0 || !runs(before) || rules < 0 ||
      syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH,
              &beneath, 0) ||
      prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
      syscall(SYS_landlock_restrict_self, rules, 0)) {
    printf("# set-up: errno %d\n", errno);
    return 0;
  }
  /* Other credentials than the template's. */
  if (spawn_tiny(before) != -1 || errno != EACCES)
    return 0;
  int allowed = create(TINY);
  if (allowed < 0 || !runs(allowed))
    return 0;
  return create(OTHER) == -1 && errno == EACCES;
}

static int events(const char* name) {
  char line[128];
  int count = -1;
  FILE* file = fopen(GROUP "/memory.events", "re");
  while (file && fgets(line, sizeof(line), file))
    if (!strncmp(line, name, strlen(name)) && line[strlen(name)] == ' ')
      count = atoi(line + strlen(name));
  if (file)
    fclose(file);
  return count;
}

/* The child belongs to the group of its caller, and pays for its memory. */
static int memory_in_group(void) {
  char* argv[] = {"self", "eat", NULL};
  int status = 0, tfd = create(SELF);
  if (!put(GROUP "/cgroup.procs", "0") || tfd < 0)
    return 0;
  pid_t pid = spawn(tfd, argv);
  return pid > 0 && waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
         WTERMSIG(status) == SIGKILL;
}

static int memory_cgroup(void) {
  if (!put("/sys/fs/cgroup/cgroup.subtree_control", "+memory") ||
      mkdir(GROUP, 0755) || !put(GROUP "/memory.max", "16777216")) {
    printf("# set-up: errno %d\n", errno);
    return 0;
  }
  int good = events("oom_kill") == 0 && in_child(memory_in_group) &&
             events("oom_kill") == 1;
  return !rmdir(GROUP) && good;
}

static int audit_send(int fd, int type, const void* data, size_t size) {
  struct {
    struct nlmsghdr header;
    char data[2048];
  } message = {.header = {.nlmsg_len = NLMSG_LENGTH(size),
                          .nlmsg_type = type,
                          .nlmsg_flags = NLM_F_REQUEST}};
  memcpy(message.data, data, size);
  return send(fd, &message, message.header.nlmsg_len, 0) > 0;
}

/* One record of the call, and one of the program in it. */
static int audit(void) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  struct audit_status status = {
      .mask = AUDIT_STATUS_ENABLED | AUDIT_STATUS_PID,
      .enabled = 1,
      .pid = getpid(),
  };
  struct audit_rule_data rule = {.flags = AUDIT_FILTER_EXIT,
                                 .action = AUDIT_ALWAYS};
  rule.mask[473 / 32] = 1u << 473 % 32;
  if (fd < 0 || connect(fd, (struct sockaddr*)&kernel, sizeof(kernel)) ||
      !audit_send(fd, AUDIT_SET, &status, sizeof(status)) ||
      !audit_send(fd, AUDIT_ADD_RULE, &rule, sizeof(rule))) {
    printf("# set-up: errno %d\n", errno);
    return 0;
  }
  /* A task made before audit was enabled has no context: a fork has one. */
  pid_t pid = fork();
  if (!pid)
    _exit(!runs(create(TINY)));
  waitpid(pid, NULL, 0);

  int calls = 0, execs = 0;
  struct pollfd ready = {fd, POLLIN, 0};
  while ((!calls || !execs) && poll(&ready, 1, 3000) == 1) {
    struct {
      struct nlmsghdr header;
      char text[8970];
    } record = {};
    if (recv(fd, &record, sizeof(record) - 1, 0) <= 0)
      break;
    int type = record.header.nlmsg_type;
    if (type >= 1300 && type < 1400)
      printf("# audit %d %.150s\n", type, record.text);
    calls += type == AUDIT_SYSCALL && strstr(record.text, "syscall=473");
    execs += type == AUDIT_EXECVE && strstr(record.text, "a0=\"tiny\"");
  }
  status = (struct audit_status){.mask = AUDIT_STATUS_ENABLED};
  audit_send(fd, AUDIT_DEL_RULE, &rule, sizeof(rule));
  audit_send(fd, AUDIT_SET, &status, sizeof(status));
  close(fd);
  return calls && execs;
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

static long spawns;

static int nothing_grows(void) {
  int tfd = create(TINY);
  for (int i = 0; i < 1000; i++)
    if (!runs(tfd))
      return 0;
  struct size before = size_of_system();
  for (long i = 0; i < spawns; i++)
    if (!runs(tfd))
      return 0;
  struct size after = size_of_system();
  printf("# %ld spawns: slab %ld to %ld KiB, processes %ld to %ld, descriptors %ld to %ld\n",
         spawns, before.slab_kib, after.slab_kib, before.processes,
         after.processes, before.fds, after.fds);
  /* Kernel threads come and go; slab caches keep some pages. */
  return after.fds == before.fds && after.processes <= before.processes + 4 &&
         after.slab_kib <= before.slab_kib + 2048;
}

int main(int argc, char** argv) {
  if (argc == 2 && !strcmp(argv[1], "eat")) {
    char* memory = (char*)mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(memory, 1, 64 << 20);
    return 0;
  }
  if (argc != 2)
    return 2;
  spawns = atol(argv[1]);
  static const struct {
    const char* name;
    int (*check)(void);
  } checks[] = {{"landlock", landlock},
                {"memory_cgroup", memory_cgroup},
                {"audit", audit},
                {"nothing_grows", nothing_grows}};
  const int count = sizeof(checks) / sizeof(*checks);
  if (syscall(472, NULL, 0) == -1 && errno == ENOSYS) {
    printf("1..0 # SKIP no spawn templates in this kernel\n");
    return 0;
  }
  int bad = 0;
  printf("1..%d\n", count);
  for (int i = 0; i < count; i++) {
    int good = in_child(checks[i].check);
    bad += !good;
    printf("%sok %d spawn_limits.%s\n", good ? "" : "not ", i + 1,
           checks[i].name);
  }
  return bad != 0;
}
