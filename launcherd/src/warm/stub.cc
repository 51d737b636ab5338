// See stub.h.
//
// SPDX-License-Identifier: Apache-2.0

#include "stub.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

// What a compiler may call without being asked to.
extern "C" {

void* memcpy(void* to, const void* from, size_t size) {
  auto* t = static_cast<char*>(to);
  auto* f = static_cast<const char*>(from);
  while (size-- > 0)
    *t++ = *f++;
  return to;
}

void* memset(void* at, int value, size_t size) {
  auto* a = static_cast<char*>(at);
  while (size-- > 0)
    *a++ = static_cast<char>(value);
  return at;
}

}  // extern "C"

namespace launcher::warm {

namespace {

using sys::Arg;
using sys::Raw;

constexpr uint64_t kPage = 4096;

struct Received {
  const int* descriptors;
  uint32_t count;
};

template <class T>
T* At(Request* request, uint32_t offset) {
  return reinterpret_cast<T*>(reinterpret_cast<char*>(request) + offset);
}

[[noreturn]] void Exit(int status) {
  for (;;)
    Raw(SYS_exit_group, status);
}

// Until it is the job nothing may hold it up: the launcher waits for it.
void Send(const Reply& reply) {
  Raw(SYS_sendto, kSocket, Arg(&reply), sizeof(reply), MSG_NOSIGNAL, 0);
}

/// The next request, or null when the launcher has closed its end.
Request* Receive(StubArea* area, Received* received) {
  iovec part = {area->request, sizeof(area->request)};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = area->control;
  message.msg_controllen = sizeof(area->control);
  long size = Raw(SYS_recvmsg, kSocket, Arg(&message), MSG_CMSG_CLOEXEC);
  if (size < static_cast<long>(sizeof(Request)))
    return nullptr;
  received->count = 0;
  if (message.msg_controllen > sizeof(cmsghdr)) {
    auto* header = reinterpret_cast<cmsghdr*>(area->control);
    received->descriptors = reinterpret_cast<const int*>(header + 1);
    received->count = static_cast<uint32_t>(
        (header->cmsg_len - sizeof(cmsghdr)) / sizeof(int));
  }
  return reinterpret_cast<Request*>(area->request);
}

/// Copies texts and points `pointers` to them.
void PlaceTexts(uint64_t to, const char* from, uint32_t size, char** pointers) {
  auto* text = reinterpret_cast<char*>(to);
  bool starts = true;
  for (uint32_t i = 0; i < size; ++i) {
    if (starts)
      *pointers++ = text + i;
    text[i] = from[i];
    starts = from[i] == '\0';
  }
}

long Protect(const Slot& slot, long protection) {
  return Raw(SYS_mprotect, static_cast<long>(slot.locked_start),
             static_cast<long>(slot.locked_size), protection);
}

long SetSlots(const StubContext& context, uint64_t name, uint64_t stack,
              uint32_t count, int32_t pid) {
  const Slot* open = nullptr;  // Whose lock is open.
  long ret = 0;
  for (uint32_t i = 0; i < context.slot_count; ++i) {
    const Slot& slot = context.slots[i];
    if (slot.locked_size &&
        !(open && open->locked_start == slot.locked_start)) {
      if (open)
        ret = Protect(*open, PROT_READ);
      open = &slot;
      if (ret == 0)
        ret = Protect(slot, PROT_READ | PROT_WRITE);
      if (ret < 0)
        return ret;
    }
    auto* word = reinterpret_cast<uint64_t*>(slot.address);
    auto* half = reinterpret_cast<uint32_t*>(slot.address);
    switch (slot.kind) {
      case Slot::Kind::kArguments:
        *word = stack + sizeof(uint64_t);
        break;
      case Slot::Kind::kStack:
        *word = stack;
        break;
      case Slot::Kind::kName:
        *word = name + slot.offset;
        break;
      case Slot::Kind::kCount:
        *half = count;
        break;
      case Slot::Kind::kPid:
        *half = static_cast<uint32_t>(pid);
        break;
    }
  }
  return open ? Protect(*open, PROT_READ) : 0;
}

/// Returns 0 or -errno.
long SetMemory(StubContext* context, Request* request, int32_t pid) {
  uint64_t texts_end = context->map.env_start;
  if (request->environment_size > 0) {
    texts_end = context->map.env_end - request->environment_size;
    context->map.env_start = texts_end;
    PlaceTexts(texts_end, At<char>(request, request->environment_offset),
               request->environment_size,
               reinterpret_cast<char**>(context->environment));
  }
  const uint64_t name = texts_end - request->arguments_size;
  const uint64_t arguments =
      context->environment - (request->argument_count + 1) * sizeof(uint64_t);
  const uint64_t stack = arguments - sizeof(uint64_t);
  if (name < context->strings || texts_end < context->strings)
    return -E2BIG;
  auto** pointers = reinterpret_cast<char**>(arguments);
  PlaceTexts(name, At<char>(request, request->arguments_offset),
             request->arguments_size, pointers);
  pointers[request->argument_count] = nullptr;
  *reinterpret_cast<uint64_t*>(stack) = request->argument_count;

  if (long ret = SetSlots(*context, name, stack, request->argument_count, pid);
      ret < 0)
    return ret;
  Relocate(&context->registers, stack);

  long got = Raw(SYS_getrandom, static_cast<long>(context->random), 16, 0);
  if (got < 16)
    return got < 0 ? got : -EIO;
  // As the loader makes it: a text that overruns cannot hold its zero byte.
  SetCanary(*reinterpret_cast<uint64_t*>(context->random) & ~uint64_t{0xff});

  context->map.arg_start = name;
  context->map.arg_end = texts_end;
  context->map.start_stack = stack;
  return Raw(SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, Arg(&context->map),
             sizeof(context->map), 0);
}

/// Puts what has been received where the launcher has it. Returns 0 or -errno.
long PlaceDescriptors(Request* request, const Received& received) {
  auto* placements = At<Placement>(request, request->placements_offset);
  for (uint32_t i = 0; i < received.count; ++i) {
    long fd = received.descriptors[i];
    if (request->move_above > 0) {
      fd = Raw(SYS_fcntl, fd, F_DUPFD_CLOEXEC, request->move_above);
      if (fd < 0)
        return fd;
      Raw(SYS_close, received.descriptors[i]);
    }
    const_cast<int*>(received.descriptors)[i] = static_cast<int>(fd);
  }
  for (uint32_t i = 0; i < received.count; ++i) {
    long fd = received.descriptors[i];
    long ret = Raw(SYS_dup3, fd, placements[i].number,
                   placements[i].cloexec ? O_CLOEXEC : 0);
    if (ret < 0)
      return ret;
    Raw(SYS_close, fd);
  }
  return 0;
}

[[noreturn]] void Become(StubContext* context, Request* request,
                         const Received& received) {
  const auto pid = static_cast<int32_t>(Raw(SYS_getpid));
  if (context->robust_list)
    Raw(SYS_set_robust_list, static_cast<long>(context->robust_list),
        static_cast<long>(context->robust_size));
  long ret = SetMemory(context, request, pid);
  Reply hello = {request->id, pid, static_cast<int32_t>(-ret)};
  Send(hello);
  if (ret < 0)
    Exit(127);
  Raw(SYS_close, kSocket);

  Report* report =
      reinterpret_cast<Report*>(context->reports) + request->report;
  report->ran_ns = NowNs();
  auto* steps = At<ChildStep>(request, request->steps_offset);
  for (uint32_t i = 0; i < request->step_count; ++i)
    if (steps[i].path)
      steps[i].path = At<char>(
          request,
          static_cast<uint32_t>(reinterpret_cast<uintptr_t>(steps[i].path)));
  size_t failed = request->step_count;
  ret = PlaceDescriptors(request, received);
  if (ret == 0)
    ret = RunSteps(steps, request->step_count, &failed);
  if (ret < 0) {
    report->failed_step = static_cast<uint32_t>(failed);
    report->error = static_cast<int32_t>(-ret);
    Exit(127);
  }
  report->exec_ns = NowNs();
  // Last, because a signal that is pending ends the clone here, as it would
  // have ended the program.
  sys::SetSignalMask(request->mask);
  GoToEntry(&context->registers, context->return_gadget, context->area,
            context->area_size);
}

}  // namespace

}  // namespace launcher::warm

extern "C" [[noreturn]] __attribute__((section(".text.stub_entry"))) void
StubMain(launcher::warm::StubContext* context) {
  using namespace launcher::warm;
  auto* area = reinterpret_cast<StubArea*>(context);
  for (;;) {
    Received received = {};
    Request* request = Receive(area, &received);
    if (!request)
      Exit(0);
    // CLONE_PARENT: the job is a child of the launcher, not of this process.
    long pid = received.count == request->descriptors
                   ? CloneProcess(
                         CLONE_PARENT | SIGCHLD |
                             (context->tid_address ? CLONE_CHILD_CLEARTID : 0),
                         context->tid_address)
                   : -EMFILE;
    if (pid == 0)
      Become(context, request, received);
    for (uint32_t i = 0; i < received.count; ++i)
      Raw(SYS_close, received.descriptors[i]);
    if (pid < 0) {
      Reply refused = {request->id, 0, static_cast<int32_t>(-pid)};
      Send(refused);
    }
  }
}
