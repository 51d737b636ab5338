// SPDX-License-Identifier: Apache-2.0

#include "park.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "above_stdio.h"
#include "image.h"
#include "stub.h"

namespace launcher::warm {

namespace {

constexpr uint64_t kPage = 4096;
constexpr size_t kReportsSize =
    (kReportCount * sizeof(Report) + kPage - 1) / kPage * kPage;

// An argc that nothing else has: what follows it from the trial to here is it.
constexpr size_t kArguments = Trial::kManyArguments;
static_assert(kArguments % 2 == 1);

uint64_t RoundUp(uint64_t size) { return (size + kPage - 1) / kPage * kPage; }

Error Refused(std::string clause) {
  return {EPERM, "entry point", std::move(clause)};
}

/// Above the numbers that are given away in the child.
Result<Fd> AboveOurs(int fd) {
  Fd moved(fcntl(fd, F_DUPFD_CLOEXEC, kReports + 1));
  if (!moved)
    return Error{errno, "fcntl", std::to_string(fd)};
  return moved;
}

/// Where the code, the StubArea and the reports are.
struct Area {
  uint64_t code, data, reports, end;
};

Result<Area> MapArea(Tracee* tracee) {
  const uint64_t code =
      RoundUp(static_cast<uint64_t>(launcher_stub_end - launcher_stub_start));
  const uint64_t data = RoundUp(sizeof(StubArea));
  const uint64_t size = code + data + kReportsSize;
  Result<uint64_t> start =
      tracee->Call("mmap", SYS_mmap,
                   {0, size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, ~uint64_t{0}, 0});
  if (!start.ok())
    return start.error();
  Area area = {start.value(), start.value() + code, start.value() + code + data,
               start.value() + size};
  Result<uint64_t> mapped = tracee->Call(
      "mmap", SYS_mmap,
      {area.reports, kReportsSize, PROT_READ | PROT_WRITE,
       MAP_SHARED | MAP_FIXED, static_cast<uint64_t>(kReports), 0});
  if (!mapped.ok())
    return mapped.error();
  if (Result<uint64_t> closed =
          tracee->Call("close", SYS_close, {static_cast<uint64_t>(kReports)});
      !closed.ok())
    return closed.error();
  Result<void> written = tracee->process().WriteMemory(
      area.code, launcher_stub_start,
      static_cast<size_t>(launcher_stub_end - launcher_stub_start));
  if (!written.ok())
    return written.error();
  Result<uint64_t> protect = tracee->Call(
      "mprotect", SYS_mprotect, {area.code, code, PROT_READ | PROT_EXEC});
  if (!protect.ok())
    return protect.error();
  return area;
}

/// What the stub is told.
Result<void> FillContext(Tracee* tracee, const Area& area, const Image& memory,
                         const prctl_mm_map& map, std::vector<Slot> slots,
                         StubContext* context) {
  const StartImage& image = tracee->image();
  const Process& process = tracee->process();
  Result<uint64_t> gadget = memory.FindReturnGadget();
  if (!gadget.ok())
    return gadget.error();
  context->registers = ForStub(tracee->registers());
  context->return_gadget = gadget.value();
  context->area = area.code;
  context->area_size = area.end - area.code;
  context->reports = area.reports;
  context->environment = image.environment;
  context->strings = map.arg_start;
  context->random = image.aux.at(AT_RANDOM);
  context->map = map;
  context->slot_count = static_cast<uint32_t>(slots.size());
  // Those of one page together.
  std::sort(slots.begin(), slots.end(),
            [](const Slot& a, const Slot& b) { return a.address < b.address; });
  std::copy(slots.begin(), slots.end(), context->slots);

  // The data area is not in use yet.
  Result<uint64_t> told =
      tracee->Call("prctl", SYS_prctl, {PR_GET_TID_ADDRESS, area.data});
  if (!told.ok())
    return told.error();
  Result<void> read = process.ReadMemory(area.data, &context->tid_address,
                                         sizeof(context->tid_address));
  if (!read.ok())
    return read;
  long ret = sys::Raw(SYS_get_robust_list, process.pid(),
                      sys::Arg(&context->robust_list),
                      sys::Arg(&context->robust_size));
  if (ret < 0)
    return Error{static_cast<int>(-ret), "get_robust_list", ""};

  Result<uint64_t> end = tracee->Call("brk", SYS_brk, {0});
  if (!end.ok())
    return end.error();
  context->map.brk = end.value();
  // A dry run. For ps(1) the parked process has its name alone, without the
  // room for arguments.
  Result<std::string> name = process.ReadText(map.arg_start);
  if (!name.ok())
    return name.error();
  prctl_mm_map parked = context->map;
  parked.arg_end = map.arg_start + name.value().size() + 1;
  Result<void> written =
      process.WriteMemory(area.data, &parked, sizeof(parked));
  if (!written.ok())
    return written;
  Result<uint64_t> set = tracee->Call(
      "prctl", SYS_prctl,
      {PR_SET_MM, PR_SET_MM_MAP, area.data, sizeof(prctl_mm_map), 0});
  if (!set.ok())
    return Refused("its arguments cannot be told to the kernel: " +
                   set.error().ToString());
  return process.WriteMemory(area.data, context, sizeof(*context));
}

}  // namespace

Reports::Reports(Reports&& other) noexcept
    : fd_(std::move(other.fd_)),
      reports_(std::exchange(other.reports_, nullptr)) {}

Reports& Reports::operator=(Reports&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(reports_, other.reports_);
  return *this;
}

Reports::~Reports() {
  if (reports_)
    munmap(reports_, kReportsSize);
}

Result<Reports> Reports::Create() {
  Reports made;
  Fd fd(memfd_create("launcher-reports", MFD_CLOEXEC));
  if (!fd)
    return Error{errno, "memfd_create", ""};
  if (ftruncate(fd.get(), kReportsSize) != 0)
    return Error{errno, "ftruncate", "memfd"};
  Result<Fd> above = AboveOurs(fd.get());
  if (!above.ok())
    return above.error();
  made.fd_ = std::move(above.value());
  void* memory = mmap(nullptr, kReportsSize, PROT_READ | PROT_WRITE, MAP_SHARED,
                      made.fd_.get(), 0);
  if (memory == MAP_FAILED)
    return Error{errno, "mmap", "memfd"};
  made.reports_ = static_cast<Report*>(memory);
  return made;
}

namespace {

Result<Parked> ParkOnce(const Program& program, bool odd,
                        std::shared_ptr<const Trial> known,
                        Canceller* canceller) {
  if (!known) {
    Result<Trial> tried = TryProgram(program, canceller);
    if (!tried.ok())
      return tried.error();
    known = std::make_shared<const Trial>(std::move(tried.value()));
  }
  const Trial& trial = *known;

  Parked parked;
  parked.trial = known;
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return Error{errno, "socketpair", ""};
  Fd low(ends[1]);
  Result<Fd> our_end = AboveStdio(Fd(ends[0]));
  if (!our_end.ok())
    return our_end.error();
  parked.socket = std::move(our_end.value());
  if (fcntl(parked.socket.get(), F_SETFL, O_NONBLOCK) != 0)
    return Error{errno, "fcntl", "socket"};
  Result<Fd> other_end = AboveOurs(low.get());
  if (!other_end.ok())
    return other_end.error();
  low.Reset();
  Result<Reports> reports = Reports::Create();
  if (!reports.ok())
    return reports.error();
  parked.reports = std::move(reports.value());

  std::vector<std::string> arguments(kArguments - odd);
  arguments[0].assign(kArgumentRoom, 'x');
  const Action actions[] = {Action::Dup2(other_end.value().get(), kSocket),
                            Action::Dup2(parked.reports.fd(), kReports)};
  LaunchBlock block;
  if (Result<void> made = program.Prepare(arguments, actions, &block);
      !made.ok())
    return made.error();
  Result<Tracee> started = Tracee::Start(&block, canceller);
  if (!started.ok())
    return started.error();
  Tracee& tracee = started.value();
  if (Result<void> arrived = tracee.RunToEntry(); !arrived.ok())
    return arrived.error();

  const Process& process = tracee.process();
  Result<Image> image = Image::Of(tracee);
  if (!image.ok())
    return image.error();
  if (image.value().Objects() != trial.objects)
    return Error{EAGAIN, "entry point", "it loads other objects each time"};
  Result<prctl_mm_map> map = process.MemoryMap();
  if (!map.ok())
    return map.error();
  Result<std::vector<Slot>> slots =
      FindSlots(tracee, image.value(), map.value(), trial.counts, trial.pids);
  if (!slots.ok())
    return slots.error();
  if (Result<void> bound = Bind(tracee, image.value(), trial.bindings);
      !bound.ok())
    return bound.error();
  parked.fixed_directory = trial.reads_directory || trial.holds_environment;

  Result<Area> area = MapArea(&tracee);
  if (!area.ok())
    return area.error();
  StubContext context = {};
  if (Result<void> filled =
          FillContext(&tracee, area.value(), image.value(), map.value(),
                      std::move(slots.value()), &context);
      !filled.ok())
    return filled.error();
  Result<uint64_t> kib = process.PrivateKib();
  if (!kib.ok())
    return kib.error();
  parked.private_kib = kib.value();
  parked.loader_cpu = tracee.loader_cpu();
  // What has changed meanwhile may have been loaded before or after that.
  for (const LookedAt& looked : trial.looked_at)
    if (FileState::Of(looked.path.c_str()) != looked.state)
      return Error{ESTALE, "entry point", looked.path};
  parked.reports.CloseFd();
  Result<Started> released = tracee.Release(
      area.value().code, area.value().data,
      area.value().data + offsetof(StubArea, stack) + sizeof(StubArea::stack));
  if (!released.ok())
    return released.error();
  parked.process = std::move(released.value());
  return parked;
}

bool IsOfProgram(const Error& error) {
  return std::string_view(error.step) == "entry point";
}

}  // namespace

Result<Parked> Park(const Program& program, bool odd,
                    std::shared_ptr<const Trial> trial, Canceller* canceller) {
  if (std::string clause = WhyNeverExecuted(program.path); !clause.empty())
    return Refused(clause);
  // What happens by chance does not happen each time.
  constexpr int kTries = 3;
  for (int i = 1;; ++i) {
    Result<Parked> parked =
        ParkOnce(program, odd, std::exchange(trial, nullptr), canceller);
    if (parked.ok() || parked.error().code != EAGAIN ||
        !IsOfProgram(parked.error()))
      return parked;
    if (i == kTries)
      return Refused(parked.error().object);
  }
}

}  // namespace launcher::warm
