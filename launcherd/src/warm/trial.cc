// SPDX-License-Identifier: Apache-2.0

#include "trial.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <string_view>

#include "loader_calls.h"

namespace launcher::warm {

namespace {

constexpr uint64_t kPage = 4096;

// Far from where the kernel maps what asks for no address, so that the rest of
// the memory is as without them; and a number that nothing else has.
constexpr uint64_t kTraps = 0x2f5a'3c71'e000;

Error Refused(std::string clause) {
  return {EPERM, "entry point", std::move(clause)};
}

/// Variables that a job may have its own value of.
constexpr std::string_view kDirectory[] = {"PWD=", "OLDPWD="};

/// Pages that cannot be read, each but the first behind one that can.
class Traps {
 public:
  Result<void> Set(Tracee* tracee, bool spare_directory) {
    constexpr uint64_t kPages = 1 + 2 * std::size(kDirectory);
    Result<uint64_t> mapped = tracee->Call(
        "mmap", SYS_mmap,
        {kTraps, kPages * kPage, PROT_READ | PROT_WRITE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, ~uint64_t{0}, 0});
    if (!mapped.ok())
      return mapped.error();
    start_ = mapped.value();
    end_ = start_ + kPages * kPage;
    for (uint64_t page = start_; page < end_; page += 2 * kPage)
      if (Result<uint64_t> done =
              tracee->Call("mprotect", SYS_mprotect, {page, kPage, PROT_NONE});
          !done.ok())
        return done.error();

    const Process& process = tracee->process();
    const StartImage& image = tracee->image();
    for (uint64_t i = 1; i < image.argument_count; ++i)
      if (Result<void> written = process.WriteMemory(
              image.arguments + i * sizeof(uint64_t), &start_, sizeof(start_));
          !written.ok())
        return written;
    if (!spare_directory)
      return SetOnDirectory(process, image);
    return {};
  }

  bool IsDirectory(uint64_t address) const {
    return address >= start_ + kPage && address < end_;
  }
  bool IsArgument(uint64_t address) const {
    return address >= start_ && address < start_ + kPage;
  }

 private:
  /// The name stays readable, to its `=`.
  Result<void> SetOnDirectory(const Process& process, const StartImage& image) {
    for (size_t i = 0; i < image.environment_texts.size(); ++i) {
      Result<std::string> text = process.ReadText(image.environment_texts[i]);
      for (size_t k = 0; text.ok() && k < std::size(kDirectory); ++k) {
        if (!text.value().starts_with(kDirectory[k]))
          continue;
        uint64_t to = start_ + (2 + 2 * k) * kPage - kDirectory[k].size();
        Result<void> written =
            process.WriteMemory(to, kDirectory[k].data(), kDirectory[k].size());
        if (written.ok())
          written = process.WriteMemory(image.environment + i * sizeof(to), &to,
                                        sizeof(to));
        if (!written.ok())
          return written;
      }
    }
    return {};
  }

  uint64_t start_ = 0;
  uint64_t end_ = 0;
};

/// Without it the C library makes system calls for the time.
Result<void> HideVdso(const Tracee& tracee) {
  const StartImage& image = tracee.image();
  for (uint64_t at = image.auxiliary;; at += 2 * sizeof(uint64_t)) {
    uint64_t type;
    Result<void> read = tracee.process().ReadMemory(at, &type, sizeof(type));
    if (!read.ok() || type == AT_NULL)
      return read;
    const uint64_t ignore = AT_IGNORE;
    if (type == AT_SYSINFO_EHDR)
      return tracee.process().WriteMemory(at, &ignore, sizeof(ignore));
  }
}

/// Whether the file of `path` is what is executed, a clause if not.
std::string WhyNotItself(const std::string& path, const Tracee& tracee) {
  struct stat file, executed;
  std::string link = "/proc/" + std::to_string(tracee.process().pid()) + "/exe";
  if (stat(path.c_str(), &file) != 0 || stat(link.c_str(), &executed) != 0)
    return "it cannot be seen";
  if (file.st_dev != executed.st_dev || file.st_ino != executed.st_ino)
    return "it is run by " + tracee.process().Executable();
  const auto& aux = tracee.image().aux;
  if (auto base = aux.find(AT_BASE); base == aux.end() || base->second == 0)
    return "it has no loader (static): nothing would be saved";
  if (auto secure = aux.find(AT_SECURE);
      secure != aux.end() && secure->second != 0)
    return "it has more rights than its caller (AT_SECURE)";
  if (!aux.contains(AT_RANDOM))
    return "it gets no random bytes from the kernel (AT_RANDOM)";
  return "";
}

/// Whether the program knows more of its arguments and environment than where
/// they start. What looks like an address may be none (padding that was copied
/// from the stack): another try will tell.
Result<void> CheckAddresses(const Tracee& tracee, const Image& image,
                            const Traps& traps, Trial* trial) {
  const StartImage& start = tracee.image();
  Result<prctl_mm_map> map = tracee.process().MemoryMap();
  if (!map.ok())
    return map.error();
  bool held = false;
  Result<void> looked = image.EachOwnWord([&](size_t, uint64_t, uint64_t word) {
    held |= (word > start.arguments && word < start.environment) ||
            traps.IsArgument(word);
    trial->holds_environment |=
        traps.IsDirectory(word) ||
        (word > start.environment && word < start.auxiliary) ||
        (word >= map.value().env_start && word < map.value().env_end);
  });
  if (looked.ok() && held)
    return Error{EAGAIN, "entry point", "it keeps the address of an argument"};
  return looked;
}

Result<Trial> TryOnce(const Program& program, bool spare_directory,
                      Canceller* canceller) {
  LaunchBlock block;
  if (Result<void> made = program.Prepare({"x"}, {}, &block); !made.ok())
    return made.error();
  Result<Tracee> started = Tracee::Start(&block, canceller);
  if (!started.ok())
    return started.error();
  Tracee& tracee = started.value();
  const Process& process = tracee.process();
  if (std::string clause = WhyNotItself(program.path, tracee); !clause.empty())
    return Refused(clause);

  Traps traps;
  if (Result<void> set = traps.Set(&tracee, spare_directory); !set.ok())
    return set.error();
  if (Result<void> hidden = HideVdso(tracee); !hidden.ok())
    return hidden.error();
  LoaderCalls calls(&process);
  const FileState itself = FileState::Of(program.path.c_str());
  const std::string status = process.File("status");
  Result<void> arrived = tracee.RunToEntry(
      [&](const SystemCall& info) { return calls.OnCall(info); });
  Trial trial;
  if (!arrived.ok()) {
    if (traps.IsArgument(tracee.fault_address()))
      return Refused("it reads its arguments before it starts");
    trial.reads_directory = traps.IsDirectory(tracee.fault_address());
    if (trial.reads_directory)
      return trial;
    return arrived.error();
  }
  if (std::string clause = calls.LeftOpen(); !clause.empty())
    return Refused(clause);
  const std::string now = process.File("status");
  for (const char* field : {"SigBlk", "SigIgn", "SigCgt", "Threads"})
    if (StatusField(status, field) != StatusField(now, field))
      return Refused(std::string("it changes its signals or threads (") +
                     field + ")");

  Result<Image> image = Image::Of(tracee);
  if (!image.ok())
    return image.error();
  trial.objects = image.value().Objects();
  if (Result<void> looked =
          CheckAddresses(tracee, image.value(), traps, &trial);
      !looked.ok())
    return looked.error();
  auto counts = image.value().FindValue(Trial::kArgumentCount);
  if (!counts.ok())
    return counts.error();
  trial.counts = PlacesOf(counts.value());
  auto pids = image.value().FindValue(static_cast<uint32_t>(process.pid()));
  if (!pids.ok())
    return pids.error();
  trial.pids = PlacesOf(pids.value());
  trial.looked_at = calls.TakeLookedAt();
  trial.looked_at.push_back({program.path, itself});
  trial.loader_cpu = tracee.loader_cpu();
  return trial;
}

}  // namespace

bool Program::operator==(const Program& other) const {
  return path == other.path && name == other.name &&
         environment == other.environment && mask == other.mask &&
         set_fd_limit == other.set_fd_limit &&
         fd_limit.rlim_cur == other.fd_limit.rlim_cur &&
         fd_limit.rlim_max == other.fd_limit.rlim_max;
}

Result<void> Program::Prepare(const std::vector<std::string>& arguments,
                              std::span<const Action> actions,
                              LaunchBlock* block) const {
  std::vector<const char*> words{name.c_str()}, variables;
  for (const std::string& argument : arguments)
    words.push_back(argument.c_str());
  for (const std::string& variable : environment)
    variables.push_back(variable.c_str());
  variables.push_back(nullptr);
  Command command;
  command.argv = words;
  command.path = path.c_str();
  command.env = variables.data();
  command.out = command.err = Stdio::Null();
  command.actions = actions;
  Result<void> stored = block->Store(command, variables.data());
  if (!stored.ok())
    return stored;
  block->SetExecutable(path);
  block->child.plan.mask = mask;
  block->child.plan.set_fd_limit = set_fd_limit;
  block->child.plan.fd_limit = fd_limit;
  return {};
}

Result<Trial> TryProgram(const Program& program, Canceller* canceller) {
  Result<Trial> trial = TryOnce(program, false, canceller);
  if (!trial.ok() || !trial.value().reads_directory)
    return trial;
  trial = TryOnce(program, true, canceller);
  if (trial.ok())
    trial.value().reads_directory = true;
  return trial;
}

std::string WhyNeverExecuted(const std::string& path) {
  struct stat file;
  if (stat(path.c_str(), &file) != 0)
    return std::string("it cannot be found: ") + strerror(errno);
  if (file.st_mode & (S_ISUID | S_ISGID))
    return "it is set-user-ID or set-group-ID";
  if (getxattr(path.c_str(), "security.capability", nullptr, 0) >= 0)
    return "it has capabilities of its own";
  if (access(path.c_str(), R_OK) != 0)
    return "it may not be read";
  return "";
}

}  // namespace launcher::warm
