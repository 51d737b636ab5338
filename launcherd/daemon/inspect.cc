// SPDX-License-Identifier: Apache-2.0

#include "inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <set>
#include <span>
#include <string_view>

#include "elf_file.h"
#include "exec_identity.h"
#include "launcher/launcher.h"
#include "path_lookup.h"
#include "warm/park.h"
#include "warm/trial.h"
#include "warm/warm_process.h"

namespace launcherd {

namespace {

using launcher::Command;
using launcher::Engine;
using launcher::Error;
using launcher::ExecIdentity;
using launcher::Finished;
using launcher::LaunchBlock;
using launcher::Launcher;
using launcher::Result;
using launcher::Stdio;
using launcher::warm::Canceller;
using launcher::warm::Mapping;
using launcher::warm::Park;
using launcher::warm::Parked;
using launcher::warm::Program;
using launcher::warm::Tracee;

constexpr auto kForEver = std::chrono::milliseconds(-1);

int Fail(const Error& error) {
  fprintf(stderr, "launcherd: error: %s\n", error.ToString().c_str());
  return 1;
}

int64_t Microseconds(std::chrono::nanoseconds time) {
  return std::chrono::duration_cast<std::chrono::microseconds>(time).count();
}

std::string Date(int64_t ns) {
  const auto seconds = static_cast<time_t>(ns / 1'000'000'000);
  tm parts;
  char text[64] = "?";
  if (gmtime_r(&seconds, &parts))
    strftime(text, sizeof(text), "%F %T UTC", &parts);
  return text;
}

void PrintIdentity(const std::string& path, const ExecIdentity& identity) {
  printf("executable   %s\n", path.c_str());
  printf("identity     device %" PRIu64 ":%" PRIu64 ", inode %" PRIu64
         ", %" PRIu64 " bytes, mode %04o, owner %u:%u\n",
         identity.device >> 32, identity.device & 0xffffffff, identity.inode,
         identity.size, identity.mode & 07777, identity.uid, identity.gid);
  printf("             changed %s, modified %s\n",
         Date(identity.ctime_ns).c_str(), Date(identity.mtime_ns).c_str());
}

void PrintInterpreter(const std::string& path) {
  Result<ElfFile> elf = ElfFile::Read(path);
  if (!elf.ok())
    printf("interpreter  not known: %s\n", elf.error().ToString().c_str());
  else if (!elf.value().is_elf)
    printf("interpreter  no ELF file: what it names itself, or the shell\n");
  else
    printf("interpreter  %s\n", elf.value().interpreter.empty()
                                    ? "none: it is static"
                                    : elf.value().interpreter.c_str());
}

void PrintObjects(const std::vector<Mapping>& mappings) {
  std::set<std::string> objects;
  for (const Mapping& mapping : mappings)
    if (mapping.inode != 0)
      objects.insert(mapping.path);
  printf("objects      %zu, in %zu mappings\n", objects.size(),
         mappings.size());
  uint64_t relocations = 0, symbolic = 0;
  for (const std::string& object : objects) {
    Result<ElfFile> elf = ElfFile::Read(object);
    if (!elf.ok() || !elf.value().is_elf) {
      printf("             %s\n", object.c_str());
      continue;
    }
    const ElfFile& file = elf.value();
    relocations += file.relative + file.symbolic;
    symbolic += file.symbolic;
    printf("             %s: %" PRIu64 " relocations\n", object.c_str(),
           file.relative + file.symbolic);
  }
  printf("relocations  %" PRIu64 ", of these %" PRIu64 " by symbol\n",
         relocations, symbolic);
}

/// Loads it once, untouched but for a breakpoint at its entry point.
Result<void> PrintLoad(const Program& program, Canceller* canceller) {
  LaunchBlock block;
  Result<void> prepared = program.Prepare({}, {}, &block);
  if (!prepared.ok())
    return prepared;
  Result<Tracee> tracee = Tracee::Start(&block, canceller);
  if (!tracee.ok())
    return tracee.error();
  Result<void> arrived = tracee.value().RunToEntry();
  if (!arrived.ok())
    return arrived;
  Result<std::vector<Mapping>> mappings = tracee.value().process().Mappings();
  if (!mappings.ok())
    return mappings.error();
  PrintObjects(mappings.value());
  printf("loader       %" PRId64
         " us of CPU time, from the exec to the entry "
         "point\n",
         Microseconds(tracee.value().loader_cpu()));
  return {};
}

/// Parks it and gives it up again.
bool PrintParked(const Program& program, bool odd, Canceller* canceller) {
  Result<Parked> parked = Park(program, odd, nullptr, canceller);
  if (!parked.ok()) {
    const Error& error = parked.error();
    const bool of_program = std::string_view(error.step) == "entry point";
    printf("parked       no: %s\n",
           of_program ? error.object.c_str() : error.ToString().c_str());
    return false;
  }
  printf("parked       yes: %" PRIu64
         " KiB of its own memory; %zu paths are "
         "looked at before each launch\n",
         parked.value().private_kib, parked.value().trial->looked_at.size());
  launcher::warm::WarmProcess ends_it(std::move(parked.value()));
  return true;
}

struct Times {
  std::vector<int64_t> wall, cpu;  ///< us
  int cold = 0;                    ///< Launches that were not warm.
};

int64_t Median(std::vector<int64_t> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2,
                   values.end());
  return values[values.size() / 2];
}

void PrintTimes(const char* way, const char* what,
                const std::vector<int64_t>& us) {
  const auto [least, most] = std::minmax_element(us.begin(), us.end());
  printf("%-13s%s %" PRId64 " us (%" PRId64 " to %" PRId64 ")\n", way, what,
         Median(us), *least, *most);
}

Result<Finished> RunOnce(Launcher* launcher, const Command& command) {
  auto id = launcher->Spawn(command);
  if (!id.ok())
    return id.error();
  Result<Finished> finished = launcher->Wait(kForEver);
  while (!finished.ok() && finished.error().code == EINTR)
    finished = launcher->Wait(kForEver);
  if (finished.ok() && finished.value().cause == Finished::Cause::kNotStarted)
    return finished.value().error;
  return finished;
}

/// What becomes of it, if that is not exit status 0.
void PrintEnd(const Finished& finished) {
  if (finished.cause == Finished::Cause::kSignaled)
    printf("ended        by signal %d\n", finished.code);
  else if (finished.code != 0)
    printf("ended        with status %d\n", finished.code);
}

Result<void> PrintRuns(const std::string& path,
                       const std::vector<std::string>& argv, int runs,
                       bool parked) {
  std::vector<const char*> words;
  for (const std::string& word : argv)
    words.push_back(word.c_str());
  Command command;
  command.argv = words;
  command.path = path.c_str();
  command.out = command.err = Stdio::Null();

  struct Way {
    const char* name;
    Engine engine;
    std::unique_ptr<Launcher> launcher;
    Times times;
  };
  Way ways[] = {{"cold", Engine::kClone3, nullptr, {}},
                {"warm", Engine::kWarm, nullptr, {}}};
  const std::span<Way> used(ways, parked ? 2 : 1);
  for (Way& way : used) {
    Result<std::unique_ptr<Launcher>> made =
        Launcher::Create({.engine = way.engine});
    if (!made.ok())
      return made.error();
    way.launcher = std::move(made.value());
  }
  // The first of each fills the page cache, and parks.
  for (int i = 0; i <= runs; ++i) {
    for (Way& way : used) {
      Result<Finished> finished = RunOnce(way.launcher.get(), command);
      if (!finished.ok())
        return finished.error();
      const Finished& end = finished.value();
      if (i == 0) {
        if (&way == &used.front())
          PrintEnd(end);
        continue;
      }
      way.times.wall.push_back(
          Microseconds(end.times.reaped - end.times.requested));
      way.times.cpu.push_back(Microseconds(end.user_cpu + end.system_cpu));
      way.times.cold += end.engine != Engine::kWarm;
    }
  }
  printf("runs         %d each way, in turns; median (least to most)\n", runs);
  for (const Way& way : used) {
    PrintTimes(way.name, "wall", way.times.wall);
    PrintTimes("", "CPU ", way.times.cpu);
  }
  if (!parked)
    return {};
  const Times &cold = ways[0].times, &warm = ways[1].times;
  if (warm.cold > 0)
    printf("             %d of %d could not be warm\n", warm.cold, runs);
  printf("saved        %" PRId64 " us wall, %" PRId64 " us of CPU time\n",
         Median(cold.wall) - Median(warm.wall),
         Median(cold.cpu) - Median(warm.cpu));
  return {};
}

}  // namespace

int Inspect(const std::vector<std::string>& argv, int runs) {
  Result<std::string> found = argv[0];
  if (argv[0].find('/') == std::string::npos)
    found = launcher::PathLookup().Find(argv[0], getenv("PATH"), {});
  if (!found.ok())
    return Fail(found.error());
  Result<ExecIdentity> identity =
      ExecIdentity::Of(AT_FDCWD, found.value().c_str());
  if (!identity.ok())
    return Fail(identity.error());
  PrintIdentity(found.value(), identity.value());
  PrintInterpreter(found.value());

  Program program{.path = found.value(), .name = argv[0]};
  for (char** variable = environ; *variable; ++variable)
    program.environment.push_back(*variable);
  // The parked process has to be absolute, wherever it is started from.
  if (program.path[0] != '/') {
    std::unique_ptr<char, void (*)(void*)> cwd(get_current_dir_name(), free);
    if (cwd)
      program.path = std::string(cwd.get()) + "/" + program.path;
  }
  Canceller canceller;
  if (Result<void> loaded = PrintLoad(program, &canceller); !loaded.ok())
    printf("loader       not seen: %s\n", loaded.error().ToString().c_str());
  const bool parked = PrintParked(program, argv.size() % 2 == 1, &canceller);
  if (runs == 0)
    return 0;
  Result<void> ran = PrintRuns(program.path, argv, runs, parked);
  return ran.ok() ? 0 : Fail(ran.error());
}

}  // namespace launcherd
