// The C interface over the C++ one: copies structs, keeps results alive.
//
// SPDX-License-Identifier: Apache-2.0

#include <errno.h>
#include <string.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "launcher/c.h"
#include "launcher/launcher.h"

struct launcher_handle {
  std::unique_ptr<launcher::Launcher> launcher;
};

namespace {

using launcher::Action;
using launcher::ChildId;
using launcher::Command;
using launcher::Engine;
using launcher::Error;
using launcher::Fd;
using launcher::Finished;
using launcher::Launcher;
using launcher::Result;
using launcher::Stdio;

/// What the caller frees: the struct, and what it points to.
struct OwnedResult {
  launcher_result shown;
  Finished finished;
  std::vector<launcher_survivor> survivors;
};

int Fail(const Error& failure, launcher_error* error) {
  if (error) {
    auto copy = [](std::string_view text, char* to, size_t size) {
      size = std::min(text.size(), size - 1);
      memcpy(to, text.data(), size);
      to[size] = '\0';
    };
    error->code = failure.code;
    copy(failure.step, error->step, sizeof(error->step));
    copy(failure.object, error->object, sizeof(error->object));
  }
  return -failure.code;
}

/// A caller's struct of another version, as this library knows it.
template <class T>
Result<T> Take(const T* given, const char* step) {
  T taken = {};
  if (given->size < sizeof(size_t))
    return Error{EINVAL, step, "its size is not set"};
  auto* bytes = reinterpret_cast<const char*>(given);
  if (given->size > sizeof(T) &&
      std::any_of(bytes + sizeof(T), bytes + given->size,
                  [](char byte) { return byte != 0; }))
    return Error{E2BIG, step, "something that this library does not know"};
  memcpy(&taken, given, std::min(given->size, sizeof(T)));
  return taken;
}

constexpr Engine kEngines[] = {Engine::kAuto, Engine::kClone3, Engine::kKernel,
                               Engine::kPosixSpawn, Engine::kWarm};

uint32_t NumberOf(Engine engine) {
  return static_cast<uint32_t>(
      std::find(std::begin(kEngines), std::end(kEngines), engine) -
      std::begin(kEngines) + 1);
}

Result<Launcher::Options> TakeOptions(const launcher_options* given) {
  Result<Launcher::Options> options = Launcher::Options::FromEnvironment();
  if (!options.ok() || !given)
    return options;
  Result<launcher_options> taken = Take(given, "options");
  if (!taken.ok())
    return taken.error();
  const launcher_options& from = taken.value();
  Launcher::Options& to = options.value();
  if (from.engine > std::size(kEngines) || from.flags != 0)
    return Error{EINVAL, "options", "an unknown engine or flag"};
  if (from.engine > 0)
    to.engine = kEngines[from.engine - 1];
  if (from.drain_ms != 0)
    to.drain = std::chrono::milliseconds(from.drain_ms);
  if (from.template_entries > 0)
    to.template_entries = from.template_entries;
  if (from.warm_after > 0)
    to.warm_after = from.warm_after;
  if (from.warm_processes > 0)
    to.warm_processes = from.warm_processes;
  if (from.warm_kib > 0)
    to.warm_kib = from.warm_kib;
  return options;
}

/// A command and what it borrows beside the caller's memory.
struct OwnedCommand {
  Command command;
  const char* line = nullptr;
  std::vector<Action> actions;
  Fd input;
};

Error Invalid(const char* what) { return {EINVAL, "command", what}; }

Result<Stdio> TakeStdio(const launcher_stdio& from, Stdio usual) {
  switch (from.kind) {
    case LAUNCHER_STDIO_DEFAULT:
      return usual;
    case LAUNCHER_STDIO_INHERIT:
      return Stdio::Inherit();
    case LAUNCHER_STDIO_NULL:
      return Stdio::Null();
    case LAUNCHER_STDIO_CAPTURE:
      return Stdio::Capture();
    case LAUNCHER_STDIO_MERGE:
      return Stdio::Merge();
    case LAUNCHER_STDIO_FD:
      return Stdio::FromFd(from.fd);
  }
  return Invalid("an unknown kind of standard stream");
}

Result<Action> TakeAction(const launcher_action& from) {
  switch (from.kind) {
    case LAUNCHER_ACTION_CLOSE:
      return Action::Close(from.fd);
    case LAUNCHER_ACTION_DUP2:
      return Action::Dup2(from.fd, from.newfd, from.flags);
    case LAUNCHER_ACTION_OPEN:
      return Action::Open(from.newfd, from.path, from.flags, from.mode,
                          from.fd);
    case LAUNCHER_ACTION_FCHDIR:
      return Action::Fchdir(from.fd);
    case LAUNCHER_ACTION_CLOSE_RANGE:
      return Action::CloseRange(from.fd, from.newfd, from.flags);
  }
  if (from.kind < LAUNCHER_ACTION_SIGNAL_MASK ||
      from.kind > LAUNCHER_ACTION_SIGNAL_IGNORE)
    return Invalid("an unknown kind of action");
  if (!from.signals)
    return Invalid("an action without its signals");
  if (from.kind == LAUNCHER_ACTION_SIGNAL_MASK)
    return Action::SignalMask(*from.signals);
  if (from.kind == LAUNCHER_ACTION_SIGNAL_DEFAULT)
    return Action::SignalDefault(*from.signals);
  return Action::SignalIgnore(*from.signals);
}

Result<void> TakeActions(const launcher_command& from, OwnedCommand* to) {
  if (from.action_count > 0 && from.action_size != sizeof(launcher_action))
    return Error{E2BIG, "command", "actions of another size"};
  for (size_t i = 0; i < from.action_count; ++i) {
    Result<Action> action = TakeAction(from.actions[i]);
    if (!action.ok())
      return action.error();
    to->actions.push_back(action.value());
  }
  to->command.actions = to->actions;
  return {};
}

Result<void> TakeStreams(const launcher_command& from, OwnedCommand* to) {
  Command& command = to->command;
  const std::pair<const launcher_stdio*, Stdio*> streams[] = {
      {&from.in, &command.in},
      {&from.out, &command.out},
      {&from.err, &command.err}};
  for (auto [given, taken] : streams) {
    Result<Stdio> stream = TakeStdio(*given, *taken);
    if (!stream.ok())
      return stream.error();
    *taken = stream.value();
  }
  if (!from.input)
    return {};
  if (from.in.kind != LAUNCHER_STDIO_DEFAULT)
    return Invalid("input, and a standard input beside it");
  Result<Fd> input = launcher::MemoryInput(
      {static_cast<const char*>(from.input), from.input_size});
  if (!input.ok())
    return input.error();
  to->input = std::move(input.value());
  command.in = Stdio::FromFd(to->input.get());
  return {};
}

Result<void> TakeCommand(const launcher_command* given, OwnedCommand* to) {
  constexpr uint32_t kKnownFlags = LAUNCHER_INHERIT_FDS | LAUNCHER_AWAIT_START |
                                   LAUNCHER_CWD_FD | LAUNCHER_NO_OUTPUT;
  constexpr Command::Group kGroups[] = {
      Command::Group::kOwn, Command::Group::kInherit, Command::Group::kJoin,
      Command::Group::kSession};
  Result<launcher_command> taken = Take(given, "command");
  if (!taken.ok())
    return taken.error();
  const launcher_command& from = taken.value();
  if ((from.flags & ~kKnownFlags) || from.group >= std::size(kGroups) ||
      from.survivors > LAUNCHER_SURVIVORS_KILL)
    return Invalid("an unknown flag, group or wish for survivors");
  if (!from.line == !from.argv)
    return Invalid("either argv or a line is wanted");

  Command& command = to->command;
  to->line = from.line;
  if (from.argv) {
    size_t count = 0;
    while (from.argv[count])
      ++count;
    command.argv = {from.argv, count};
  }
  command.path = from.path;
  command.env = from.env;
  command.cwd = from.cwd;
  if (from.flags & LAUNCHER_CWD_FD)
    command.cwd_fd = from.cwd_fd;
  command.inherit_fds = (from.flags & LAUNCHER_INHERIT_FDS) != 0;
  command.await_start = (from.flags & LAUNCHER_AWAIT_START) != 0;
  command.group = kGroups[from.group];
  command.pgid = from.pgid;
  command.survivors = static_cast<Command::Survivors>(from.survivors);
  if (from.output_cap > 0 || (from.flags & LAUNCHER_NO_OUTPUT))
    command.output_cap = from.output_cap;
  command.timeout =
      std::chrono::milliseconds(std::max<int64_t>(from.timeout_ms, 0));
  if (from.drain_ms > 0)
    command.drain = std::chrono::milliseconds(from.drain_ms);
  command.tag = from.tag;
  if (Result<void> streams = TakeStreams(from, to); !streams.ok())
    return streams;
  return TakeActions(from, to);
}

int64_t Nanoseconds(launcher::Timeline::TimePoint when) {
  return std::chrono::nanoseconds(when.time_since_epoch()).count();
}

launcher_result* Show(Finished finished) {
  auto owned = std::make_unique<OwnedResult>();
  owned->finished = std::move(finished);
  const Finished& from = owned->finished;
  launcher_result& to = owned->shown;
  to = {.size = sizeof(to)};
  to.id = static_cast<uint64_t>(from.id);
  to.tag = from.tag;
  to.pid = from.pid;
  to.cause = static_cast<uint32_t>(from.cause) + LAUNCHER_EXITED;
  to.code = from.code;
  to.flags = (from.core_dumped ? LAUNCHER_CORE_DUMPED : 0) |
             (from.timed_out ? LAUNCHER_TIMED_OUT : 0) |
             (from.output_complete ? 0 : LAUNCHER_OUTPUT_INCOMPLETE);
  to.engine = NumberOf(from.engine);
  to.error_code = from.error.code;
  to.error_step = from.error.step;
  to.error_object = from.error.object.c_str();
  to.out = {from.output.data(), from.output.size(), from.output_bytes};
  to.err = {from.error_output.data(), from.error_output.size(),
            from.error_output_bytes};
  to.shell_reason = from.shell_reason.c_str();
  to.user_us = from.user_cpu.count();
  to.system_us = from.system_cpu.count();
  to.max_rss_kib = from.max_rss_kib;
  to.requested_ns = Nanoseconds(from.times.requested);
  to.cloned_ns = Nanoseconds(from.times.cloned);
  to.exec_ns = Nanoseconds(from.times.exec_called);
  to.first_output_ns = Nanoseconds(from.times.first_output);
  to.exited_ns = Nanoseconds(from.times.exited);
  to.drained_ns = Nanoseconds(from.times.drained);
  to.reaped_ns = Nanoseconds(from.times.reaped);
  for (const launcher::Survivor& survivor : from.survivors)
    owned->survivors.push_back(
        {.pid = survivor.pid, .comm = survivor.comm.c_str()});
  to.survivors = owned->survivors.data();
  to.survivor_count = owned->survivors.size();
  return &owned.release()->shown;
}

static_assert(offsetof(OwnedResult, shown) == 0, "it is freed by its address");
static_assert(LAUNCHER_SURVIVORS_KILL ==
              static_cast<int>(Command::Survivors::kKill));
static_assert(LAUNCHER_LOST ==
              static_cast<int>(Finished::Cause::kLost) + LAUNCHER_EXITED);

int Done(const Result<void>& result, launcher_error* error) {
  return result.ok() ? 0 : Fail(result.error(), error);
}

}  // namespace

uint32_t launcher_abi_version() { return LAUNCHER_ABI_VERSION; }

int launcher_create(const launcher_options* options, launcher_handle** launcher,
                    launcher_error* error) {
  Result<Launcher::Options> taken = TakeOptions(options);
  if (!taken.ok())
    return Fail(taken.error(), error);
  auto created = Launcher::Create(std::move(taken.value()));
  if (!created.ok())
    return Fail(created.error(), error);
  *launcher = new launcher_handle{std::move(created.value())};
  return 0;
}

void launcher_destroy(launcher_handle* launcher) { delete launcher; }

int launcher_spawn(launcher_handle* launcher, const launcher_command* command,
                   uint64_t* id, launcher_error* error) {
  OwnedCommand owned;
  if (Result<void> taken = TakeCommand(command, &owned); !taken.ok())
    return Fail(taken.error(), error);
  Result<ChildId> spawned =
      owned.line ? launcher->launcher->SpawnLine(owned.line, owned.command)
                 : launcher->launcher->Spawn(owned.command);
  if (!spawned.ok())
    return Fail(spawned.error(), error);
  *id = static_cast<uint64_t>(spawned.value());
  return 0;
}

int launcher_start_process(launcher_handle* launcher,
                           const launcher_command* command,
                           launcher_error* error) {
  OwnedCommand owned;
  owned.command.in = owned.command.out = owned.command.err = Stdio::Inherit();
  if (Result<void> taken = TakeCommand(command, &owned); !taken.ok())
    return Fail(taken.error(), error);
  if (owned.line)
    return Fail(Invalid("a line is no process"), error);
  Result<pid_t> pid = launcher->launcher->StartProcess(owned.command);
  return pid.ok() ? pid.value() : Fail(pid.error(), error);
}

int launcher_prepare(launcher_handle* launcher, const launcher_command* command,
                     launcher_error* error) {
  OwnedCommand owned;
  if (Result<void> taken = TakeCommand(command, &owned); !taken.ok())
    return Fail(taken.error(), error);
  if (owned.line)
    return Fail(Invalid("a line has no template"), error);
  return Done(launcher->launcher->Prepare(owned.command), error);
}

int launcher_wait(launcher_handle* launcher, int64_t timeout_ms,
                  launcher_result** result, launcher_error* error) {
  Result<Finished> done =
      launcher->launcher->Wait(std::chrono::milliseconds(timeout_ms));
  if (!done.ok())
    return Fail(done.error(), error);
  *result = Show(std::move(done.value()));
  return 0;
}

void launcher_result_free(launcher_result* result) {
  delete reinterpret_cast<OwnedResult*>(result);
}

int launcher_poll_fd(launcher_handle* launcher, launcher_error* error) {
  Result<int> fd = launcher->launcher->PollFd();
  return fd.ok() ? fd.value() : Fail(fd.error(), error);
}

int launcher_kill(launcher_handle* launcher, uint64_t id, int signal,
                  launcher_error* error) {
  return Done(launcher->launcher->Kill(ChildId{id}, signal), error);
}

int launcher_pid(launcher_handle* launcher, uint64_t id,
                 launcher_error* error) {
  Result<pid_t> pid = launcher->launcher->Pid(ChildId{id});
  return pid.ok() ? pid.value() : Fail(pid.error(), error);
}

int launcher_open_pidfd(launcher_handle* launcher, uint64_t id,
                        launcher_error* error) {
  Result<Fd> pidfd = launcher->launcher->OpenPidfd(ChildId{id});
  return pidfd.ok() ? pidfd.value().Release() : Fail(pidfd.error(), error);
}

int launcher_drop_output(launcher_handle* launcher, uint64_t id,
                         launcher_error* error) {
  return Done(launcher->launcher->DropOutput(ChildId{id}), error);
}

size_t launcher_children(launcher_handle* launcher) {
  return launcher->launcher->children();
}

int launcher_get_statistics(launcher_handle* launcher,
                            launcher_statistics* statistics) {
  const size_t size = statistics->size;
  if (size < sizeof(size_t))
    return -EINVAL;
  const launcher::Statistics from = launcher->launcher->statistics();
  launcher_statistics to = {};
  to.size = std::min(size, sizeof(to));
  to.launches = from.launches;
  to.failed = from.failed;
  to.deferred = from.deferred;
  to.template_hits = from.template_hits;
  to.template_misses = from.template_misses;
  to.template_stale = from.template_stale;
  to.template_evictions = from.template_evictions;
  to.lines = from.lines;
  to.shells = from.shells;
  to.warm_launches = from.warm_launches;
  to.warm_parked = from.warm_parked;
  to.warm_stale = from.warm_stale;
  to.warm_evictions = from.warm_evictions;
  to.warm_deaths = from.warm_deaths;
  to.warm_processes = from.warm_processes;
  to.warm_private_kib = from.warm_private_kib;
  to.warm_saved_ns = static_cast<uint64_t>(from.warm_saved.count());
  memcpy(statistics, &to, to.size);
  return 0;
}
