// SPDX-License-Identifier: Apache-2.0

#include "trial.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <string_view>

#include "loader_calls.h"

namespace launcher::warm {

namespace {

constexpr uint64_t kPage = OwnMemory::kPageSize;

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

/// Bytes that are another load's own.
Result<std::array<uint64_t, 2>> SetRandom(const Tracee& tracee, uint64_t seed) {
  std::array<uint64_t, 2> bytes = {0x9e3779b97f4a7c15 * seed,
                                   0xbf58476d1ce4e5b9 * seed};
  Result<void> written = tracee.process().WriteMemory(
      tracee.image().aux.at(AT_RANDOM), bytes.data(), sizeof(bytes));
  if (!written.ok())
    return written.error();
  return bytes;
}

/// What a load has left in its memory, and what that may depend on.
struct Load {
  Trial trial;
  OwnMemory memory;
  std::vector<Image::Found> counts;  ///< Where argc may be.
  std::vector<Place> count_places;   ///< The same; with many arguments only.
  uint64_t stack = 0;
  uint32_t argument_count = 0;
  uint32_t pid = 0;
  uint64_t random_word = 0;  ///< malloc(3)'s, which it writes to freed memory.
  std::array<uint64_t, 2> random = {};

  uint64_t canary() const { return random[0] & ~uint64_t{0xff}; }
  uint64_t guard() const { return random[1]; }
};

/// Whether two words at one address are the same but for what follows the load.
bool Follow(const Load& a, uint64_t one, const Load& b, uint64_t other) {
  for (uint64_t offset : {0, 8})  // &argc, argv
    if (one == a.stack + offset && other == b.stack + offset)
      return true;
  if ((one == a.canary() && other == b.canary()) ||
      (one == a.random_word && other == b.random_word) ||
      (one == a.guard() && other == b.guard()))
    return true;
  // PTR_MANGLE of glibc on x86-64.
  if ((std::rotr(one, 17) ^ a.guard()) == (std::rotr(other, 17) ^ b.guard()))
    return true;
  auto half_follows = [&](uint64_t x, uint64_t y) {
    x &= 0xffffffff;
    y &= 0xffffffff;
    return x == y || (x == a.pid && y == b.pid) ||
           (x == a.argument_count && y == b.argument_count);
  };
  return half_follows(one, other) && half_follows(one >> 32, other >> 32);
}

/// Why a load is not like another one, as a clause, or an empty text.
std::string Compare(const Load& a, const Load& b) {
  static constexpr char kDiffers[] =
      "what it keeps in memory is not the same each time";
  if (a.trial.objects != b.trial.objects ||
      a.memory.pages.size() != b.memory.pages.size())
    return kDiffers;
  for (size_t i = 0; i < a.memory.pages.size(); ++i) {
    const char *x = a.memory.BytesOf(i), *y = b.memory.BytesOf(i);
    if (a.memory.pages[i].address != b.memory.pages[i].address)
      return kDiffers;
    if (memcmp(x, y, kPage) == 0)
      continue;
    for (size_t at = 0; at < kPage; at += sizeof(uint64_t)) {
      uint64_t one, other;
      memcpy(&one, x + at, sizeof(one));
      memcpy(&other, y + at, sizeof(other));
      if (one != other && !Follow(a, one, b, other))
        return kDiffers;
    }
  }
  return "";
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

/// Whether the program knows where the texts of its arguments or environment
/// are.
Result<void> CheckAddresses(const Tracee& tracee, const Image& image,
                            const Traps& traps, Trial* trial) {
  const StartImage& start = tracee.image();
  Result<prctl_mm_map> map = tracee.process().MemoryMap();
  if (!map.ok())
    return map.error();
  bool held = false;
  image.EachOwnWord([&](size_t, uint64_t, uint64_t word) {
    held |= traps.IsArgument(word);
    trial->holds_environment |=
        traps.IsDirectory(word) ||
        (word > start.environment && word < start.auxiliary) ||
        (word >= map.value().env_start && word < map.value().env_end);
  });
  if (held)
    return Refused("it keeps the address of an argument");
  return {};
}

/// All that execve(2) has put on the stack.
Result<std::string> ReadTexts(const Tracee& tracee) {
  Result<prctl_mm_map> map = tracee.process().MemoryMap();
  if (!map.ok())
    return map.error();
  const uint64_t start = tracee.image().stack;
  if (map.value().env_end < start)
    return Refused("its arguments are elsewhere");
  std::string texts(map.value().env_end - start, '\0');
  Result<void> read =
      tracee.process().ReadMemory(start, texts.data(), texts.size());
  if (!read.ok())
    return read.error();
  return texts;
}

Result<Load> LoadOnce(const Program& program, bool many, bool spare_directory,
                      Canceller* canceller) {
  // Texts of the same length: all that lies above has the same address.
  std::vector<std::string> arguments(many ? Trial::kManyArguments - 1 : 2);
  if (!many)
    arguments[0].assign(Trial::kManyArguments - 3, 'x');
  LaunchBlock block;
  if (Result<void> made = program.Prepare(arguments, {}, &block); !made.ok())
    return made.error();
  block.line_steps().push_back({.kind = ChildStep::Kind::kFixedLayout});
  Result<Tracee> started = Tracee::Start(&block, canceller);
  if (!started.ok())
    return started.error();
  Tracee& tracee = started.value();
  const Process& process = tracee.process();
  if (std::string clause = WhyNotItself(program.path, tracee); !clause.empty())
    return Refused(clause);

  if (!many)
    if (Result<void> dropped = tracee.DropArguments(); !dropped.ok())
      return dropped.error();
  Traps traps;
  if (Result<void> set = traps.Set(&tracee, spare_directory); !set.ok())
    return set.error();
  if (Result<void> hidden = HideVdso(tracee); !hidden.ok())
    return hidden.error();
  auto random = SetRandom(tracee, many ? 2 : 1);
  if (!random.ok())
    return random.error();
  Result<std::string> texts = ReadTexts(tracee);
  if (!texts.ok())
    return texts.error();
  LoaderCalls calls(&process);
  const FileState itself = FileState::Of(program.path.c_str());
  const std::string status = process.File("status");
  Result<void> arrived = tracee.RunToEntry(
      [&](const SystemCall& info) { return calls.OnCall(info); });
  Load load;
  Trial& trial = load.trial;
  if (!arrived.ok()) {
    if (traps.IsArgument(tracee.fault_address()))
      return Refused("it reads its arguments before it starts");
    trial.reads_directory = traps.IsDirectory(tracee.fault_address());
    if (trial.reads_directory)
      return load;
    return arrived.error();
  }
  Result<std::string> texts_now = ReadTexts(tracee);
  if (!texts_now.ok())
    return texts_now.error();
  if (texts_now.value() != texts.value())
    return Refused("it changes its arguments or environment");
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
  load.counts = image.value().FindValue(
      static_cast<uint32_t>(tracee.image().argument_count));
  if (many)
    for (const Image::Found& one : load.counts)
      load.count_places.push_back(image.value().PlaceOf(one.address));
  for (const Image::Found& one :
       image.value().FindValue(static_cast<uint32_t>(process.pid())))
    trial.pids.push_back(image.value().PlaceOf(one.address));
  std::sort(trial.pids.begin(), trial.pids.end());
  trial.looked_at = calls.TakeLookedAt();
  trial.looked_at.push_back({program.path, itself});
  trial.loader_cpu = tracee.loader_cpu();
  load.stack = tracee.image().stack;
  load.argument_count = static_cast<uint32_t>(tracee.image().argument_count);
  load.pid = static_cast<uint32_t>(process.pid());
  if (calls.random() != 0)
    if (Result<void> read = process.ReadMemory(
            calls.random(), &load.random_word, sizeof(load.random_word));
        !read.ok())
      return read.error();
  load.random = random.value();
  load.memory = image.value().TakeMemory();
  // It is aligned to its size, and the kernel writes it anew in each clone.
  constexpr size_t kRseqSize = 32;
  for (size_t i = 0; i < load.memory.pages.size(); ++i) {
    const uint64_t address = load.memory.pages[i].address;
    char* bytes = load.memory.BytesOf(i);
    if (image.value().IsOfLoader(address))  // It counts its cycles.
      memset(bytes, 0, kPage);
    else if (address == (calls.rseq() & ~(kPage - 1)) &&
             calls.rseq() % kRseqSize == 0)
      memset(bytes + calls.rseq() % kPage, 0, kRseqSize);
  }
  return load;
}

/// What the loader finds for all calls if it is asked to find it beforehand.
/// No bindings if the program does not start then: a name is missing.
Bindings LoadBound(const Program& program,
                   const std::vector<std::string>& objects,
                   Canceller* canceller) {
  Program bound = program;
  bound.environment.push_back("LD_BIND_NOW=1");
  LaunchBlock block;
  if (!bound.Prepare({}, {}, &block).ok())
    return {};
  Result<Tracee> started = Tracee::Start(&block, canceller);
  if (!started.ok())
    return {};
  Tracee& tracee = started.value();
  LoaderCalls calls(&tracee.process());
  if (!tracee
           .RunToEntry(
               [&](const SystemCall& info) { return calls.OnCall(info); })
           .ok())
    return {};
  Result<Image> image = Image::LayoutOf(tracee);
  if (!image.ok() || image.value().Objects() != objects)
    return {};
  Result<Bindings> bindings = FindBindings(tracee, image.value());
  return bindings.ok() ? std::move(bindings.value()) : Bindings{};
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
  bool spare_directory = false;
  Result<Load> few = LoadOnce(program, false, spare_directory, canceller);
  if (few.ok() && few.value().trial.reads_directory) {
    spare_directory = true;
    few = LoadOnce(program, false, spare_directory, canceller);
  }
  if (!few.ok())
    return few.error();
  Result<Load> many = LoadOnce(program, true, spare_directory, canceller);
  if (!many.ok())
    return many.error();
  // What was copied from dead memory may differ by chance.
  if (std::string clause = Compare(few.value(), many.value()); !clause.empty())
    return Error{EAGAIN, "entry point", clause};
  Trial& trial = few.value().trial;
  trial.reads_directory = spare_directory;
  const std::vector<Image::Found>& ones = few.value().counts;
  for (size_t i = 0; i < many.value().counts.size(); ++i)
    if (std::binary_search(ones.begin(), ones.end(), many.value().counts[i],
                           [](const Image::Found& a, const Image::Found& b) {
                             return a.address < b.address;
                           }))
      trial.counts.push_back(std::move(many.value().count_places[i]));
  std::sort(trial.counts.begin(), trial.counts.end());
  trial.bindings = LoadBound(program, trial.objects, canceller);
  return std::move(few.value().trial);
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
