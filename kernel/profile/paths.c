/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin of QEMU that counts the guest's instructions by call path, of the
 * kernel exactly and of user code as one path, between two no-ops that
 * spawn_cost executes. One CPU.
 *
 *   -plugin paths.so,symbols=FILE,out=FILE
 *
 * FILE is System.map, by address. Written are lines "function;function;... count";
 * each task has a path of its own, which begins with CALLER for who executed the
 * no-ops, CHILD for what has been made since, OTHER for the rest.
 *
 * A path is followed by the instructions themselves: a call pushes, a return pops
 * to the frame whose return address it goes to, a jump to another function is a
 * tail call. Tasks are told apart by where __switch_to_asm stores and loads the
 * stack pointer.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of qemu-plugin.h, version 1, what is used: distributions do not ship it. */
struct tb;
struct insn;
typedef void translated_fn(uint64_t id, struct tb* tb);
typedef void executed_fn(unsigned int cpu, void* data);
typedef void access_fn(unsigned int cpu, uint32_t info, uint64_t address,
                       void* data);
typedef void exit_fn(uint64_t id, void* data);
extern void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, translated_fn*);
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct insn*, executed_fn*,
                                                   int flags, void* data);
extern void qemu_plugin_register_vcpu_mem_cb(struct insn*, access_fn*,
                                             int flags, int rw, void* data);
extern void qemu_plugin_register_atexit_cb(uint64_t id, exit_fn*, void* data);
extern size_t qemu_plugin_tb_n_insns(const struct tb*);
extern struct insn* qemu_plugin_tb_get_insn(const struct tb*, size_t);
extern const void* qemu_plugin_insn_data(const struct insn*);
extern size_t qemu_plugin_insn_size(const struct insn*);
extern uint64_t qemu_plugin_insn_vaddr(const struct insn*);
__attribute__((visibility("default"))) int qemu_plugin_version = 1;

/* --- functions */

struct function {
  uint64_t start;
  char* name;
  bool is_exception;
};

static struct function* functions;
static int nr_functions;

enum { USER = -1, CALLER = -2, CHILD = -3, OTHER = -4 };

static const char* function_name(int function) {
  static const char* const special[] = {"user", "CALLER", "CHILD", "OTHER"};
  return function < 0 ? special[-1 - function] : functions[function].name;
}

static int find_function(uint64_t address) {
  int low = 0, high = nr_functions;
  if (address < 1ull << 47)
    return USER;
  while (high - low > 1) {
    int middle = (low + high) / 2;
    if (functions[middle].start <= address)
      low = middle;
    else
      high = middle;
  }
  return low;
}

static bool starts_with(const char* text, const char* start) {
  return !strncmp(text, start, strlen(start));
}

static bool read_functions(const char* path) {
  unsigned long long start;
  char kind, name[512];
  FILE* file = fopen(path, "r");
  if (!file)
    return false;
  while (fscanf(file, "%llx %c %511s", &start, &kind, name) == 3) {
    if (!strchr("tTwW", kind) || start < 0xffffffff80000000ull)
      continue;
    bool is_exception =
        starts_with(name, "asm_exc_") || starts_with(name, "asm_sysvec_");
    /* Of several names for one address, that of the entry code counts. */
    bool again = nr_functions && functions[nr_functions - 1].start == start;
    if (again && !starts_with(name, "asm_"))
      continue;
    if (!again && nr_functions % 4096 == 0)
      functions =
          realloc(functions, (nr_functions + 4096) * sizeof(*functions));
    /* What the compiler has moved out of the way is still that function. */
    char* cold = strstr(name, ".cold");
    if (cold)
      *cold = 0;
    functions[nr_functions - again] =
        (struct function){start, strdup(name), is_exception};
    nr_functions += !again;
  }
  fclose(file);
  return nr_functions > 0;
}

/* --- paths */

struct node {
  int function;
  uint64_t count;
  struct node *first_child, *sibling;
};

static struct node roots[] = {{CALLER}, {CHILD}, {OTHER}};

static struct node* child_of(struct node* node, int function) {
  struct node* child = node->first_child;
  while (child && child->function != function)
    child = child->sibling;
  if (child)
    return child;
  child = calloc(1, sizeof(*child));
  child->function = function;
  child->sibling = node->first_child;
  node->first_child = child;
  return child;
}

static void write_paths(FILE* file, const struct node* node, char* path,
                        size_t length) {
  size_t more = length + sprintf(path + length, "%s%s", length ? ";" : "",
                                 function_name(node->function));
  if (node->count)
    fprintf(file, "%s %llu\n", path, (unsigned long long)node->count);
  for (const struct node* child = node->first_child; child;
       child = child->sibling)
    write_paths(file, child, path, more);
  path[length] = 0;
}

/* --- tasks */

enum pending { NOTHING, CALL, RETURN };

struct frame {
  struct node* node;
  uint64_t return_address;
  bool is_exception;
  enum pending pending; /* of what the exception has interrupted */
  uint64_t pending_address;
};

struct task {
  struct node* root;
  struct frame frames[512];
  int depth;
  enum pending pending; /* what the last instruction was */
  uint64_t pending_address;
};

/* By the address at which a task's stack pointer is kept while it sleeps. */
static struct {
  uint64_t key;
  struct task* task;
} sleeping[1 << 16];

static struct task* running;

static struct task** sleeping_task(uint64_t key) {
  unsigned int i = (uint32_t)((uint32_t)(key >> 6) * 0x9e3779b1u) >> 16;
  while (sleeping[i].key && sleeping[i].key != key)
    i = (i + 1) & 0xffff;
  sleeping[i].key = key;
  return &sleeping[i].task;
}

static struct task* new_task(struct node* root) {
  struct task* task = calloc(1, sizeof(*task));
  task->root = root;
  return task;
}

static void switched_out(unsigned int cpu, uint32_t info, uint64_t address,
                         void* data) {
  if (running)
    *sleeping_task(address) = running;
}

static void switched_in(unsigned int cpu, uint32_t info, uint64_t address,
                        void* data) {
  if (!running)
    return;
  struct task** task = sleeping_task(address);
  if (!*task)
    *task = new_task(&roots[2]);
  running = *task;
}

static struct node* current_node(void) {
  return running->depth ? running->frames[running->depth - 1].node
                        : running->root;
}

static void push(int function, uint64_t return_address, bool is_exception) {
  struct node* node = child_of(current_node(), function);
  if (running->depth == 512)
    running->depth = 0;
  running->frames[running->depth++] = (struct frame){
      node, return_address, is_exception, running->pending,
      running->pending_address};
  running->pending = NOTHING;
}

static void restart(struct node* root, int function) {
  running->root = root;
  running->depth = 0;
  running->pending = NOTHING;
  push(function, 0, false);
}

/* --- instructions */

enum kind {
  PLAIN,
  IS_CALL,
  IS_RETURN,
  IS_IRET,
  IS_SYSRET,
  STARTS_SYSCALL,
  STARTS_EXCEPTION,
  STARTS_TASK,
  STARTS_COUNTING,
  STOPS_COUNTING
};

struct instruction {
  uint64_t address, next;
  int function;
  enum kind kind;
};

static bool counting;
static uint64_t total;

static void pop_to(uint64_t address, int function) {
  int depth = running->depth;
  while (depth > 0 && !running->frames[depth - 1].is_exception &&
         running->frames[depth - 1].return_address != address)
    depth--;
  if (depth > 0 && !running->frames[depth - 1].is_exception)
    running->depth = depth - 1;
  else if (running->depth > 0 &&
           !running->frames[running->depth - 1].is_exception)
    running->depth--;
  if (current_node()->function != function)
    push(function, 0, false);
}

static void tail_call(int function) {
  if (!running->depth || running->frames[running->depth - 1].is_exception) {
    push(function, 0, false);
    return;
  }
  struct node* before = running->depth > 1
                            ? running->frames[running->depth - 2].node
                            : running->root;
  running->frames[running->depth - 1].node = child_of(before, function);
}

static void end_of_exception(void) {
  int depth = running->depth;
  while (depth > 0 && !running->frames[depth - 1].is_exception)
    depth--;
  running->depth = depth > 0 ? depth - 1 : 0;
  running->pending = NOTHING;
  if (depth > 0) {
    running->pending = running->frames[depth - 1].pending;
    running->pending_address = running->frames[depth - 1].pending_address;
  }
}

static void go_to(const struct instruction* i) {
  enum pending pending = running->pending;
  if (i->kind == STARTS_EXCEPTION) {
    push(i->function, 0, true);
  } else if (i->kind == STARTS_SYSCALL) {
    restart(running->root, i->function);
  } else if (i->kind == STARTS_TASK) {
    restart(&roots[1], i->function);
  } else if (i->function == USER) {
    if (running->depth != 1 || current_node()->function != USER)
      restart(running->root, USER);
  } else if (pending == CALL) {
    running->pending = NOTHING;
    push(i->function, running->pending_address, false);
  } else if (pending == RETURN) {
    running->pending = NOTHING;
    pop_to(i->address, i->function);
  } else if (current_node()->function != i->function) {
    tail_call(i->function);
  }
}

static void executed(unsigned int cpu, void* data) {
  const struct instruction* i = data;
  if (i->kind == STARTS_COUNTING) {
    counting = true;
    if (!running)
      running = new_task(&roots[0]);
    running->root = &roots[0];
    running->depth = 0;
    running->pending = NOTHING;
    return;
  }
  if (i->kind == STOPS_COUNTING)
    counting = false;
  if (!counting)
    return;

  go_to(i);
  total++;
  current_node()->count++;
  switch (i->kind) {
    case IS_CALL:
      running->pending = CALL;
      running->pending_address = i->next;
      break;
    case IS_RETURN:
      running->pending = RETURN;
      break;
    case IS_IRET:
      end_of_exception();
      break;
    case IS_SYSRET:
      running->depth = 0;
      running->pending = NOTHING;
      break;
    default:
      break;
  }
}

/* nopl 0x5a5a5a01(%rax) and nopl 0x5a5a5a02(%rax) */
static enum kind user_kind(const uint8_t* code, size_t size) {
  static const uint8_t marker[] = {0x0f, 0x1f, 0x80};
  if (size != 7 || memcmp(code, marker, 3) || memcmp(code + 4, "ZZZ", 3))
    return PLAIN;
  return code[3] == 1 ? STARTS_COUNTING : STOPS_COUNTING;
}

static enum kind kernel_kind(const struct instruction* i, const uint8_t* code,
                             const uint8_t* end) {
  const struct function* f = &functions[i->function];
  while (code < end - 1 && ((*code & 0xf0) == 0x40 || *code == 0x2e ||
                            *code == 0x3e || *code == 0xf3))
    code++;
  if (f->start == i->address) {
    if (!strcmp(f->name, "entry_SYSCALL_64"))
      return STARTS_SYSCALL;
    if (!strcmp(f->name, "ret_from_fork_asm"))
      return STARTS_TASK;
    if (f->is_exception)
      return STARTS_EXCEPTION;
  } else if (!strcmp(f->name, "irq_entries_start") ||
             !strcmp(f->name, "spurious_entries_start")) {
    if (*code == 0x6a || *code == 0x68)
      return STARTS_EXCEPTION;
  }
  bool has_more = code + 1 < end;
  if (*code == 0xe8 || (*code == 0xff && has_more && (code[1] >> 3 & 7) == 2))
    return IS_CALL;
  if (*code == 0xc3 || *code == 0xc2)
    return IS_RETURN;
  if (*code == 0xcf)
    return IS_IRET;
  return *code == 0x0f && has_more && code[1] == 0x07 ? IS_SYSRET : PLAIN;
}

/* mov %rsp, offset(%rdi) and mov offset(%rsi), %rsp; reads alone do not report. */
static void watch_switch(struct insn* insn, const uint8_t* code, size_t size) {
  if (size == 7 && !memcmp(code, "\x48\x89\xa7", 3))
    qemu_plugin_register_vcpu_mem_cb(insn, switched_out, 0, 3, NULL);
  if (size == 7 && !memcmp(code, "\x48\x8b\xa6", 3))
    qemu_plugin_register_vcpu_mem_cb(insn, switched_in, 0, 3, NULL);
}

static void translated(uint64_t id, struct tb* tb) {
  for (size_t n = 0; n < qemu_plugin_tb_n_insns(tb); n++) {
    struct insn* insn = qemu_plugin_tb_get_insn(tb, n);
    const uint8_t* code = qemu_plugin_insn_data(insn);
    size_t size = qemu_plugin_insn_size(insn);
    struct instruction* i = calloc(1, sizeof(*i));
    i->address = qemu_plugin_insn_vaddr(insn);
    i->next = i->address + size;
    i->function = find_function(i->address);
    if (i->function == USER) {
      i->kind = user_kind(code, size);
    } else {
      i->kind = kernel_kind(i, code, code + size);
      if (!strcmp(functions[i->function].name, "__switch_to_asm"))
        watch_switch(insn, code, size);
    }
    qemu_plugin_register_vcpu_insn_exec_cb(insn, executed, 0, i);
  }
}

static void at_exit(uint64_t id, void* path) {
  static char text[1 << 16];
  FILE* file = fopen(path, "w");
  if (!file)
    return;
  fprintf(file, "# total %llu\n", (unsigned long long)total);
  for (int i = 0; i < 3; i++)
    write_paths(file, &roots[i], text, 0);
  fclose(file);
}

__attribute__((visibility("default"))) int qemu_plugin_install(
    uint64_t id, const void* info, int argc, char** argv) {
  const char* symbols = NULL;
  char* out = NULL;
  for (int i = 0; i < argc; i++) {
    if (starts_with(argv[i], "symbols="))
      symbols = argv[i] + strlen("symbols=");
    if (starts_with(argv[i], "out="))
      out = strdup(argv[i] + strlen("out="));
  }
  if (!out || !symbols || !read_functions(symbols)) {
    fprintf(stderr, "paths: wants symbols=FILE,out=FILE\n");
    return -1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, at_exit, out);
  return 0;
}
