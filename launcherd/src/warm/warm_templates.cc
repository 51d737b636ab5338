// SPDX-License-Identifier: Apache-2.0

#include "warm_templates.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "above_stdio.h"

namespace launcher::warm {

namespace {

using std::chrono::steady_clock;

// Far beyond what a loader takes.
constexpr std::chrono::milliseconds kPatience{10'000};

// Far more than programs that are worth it; each is as long as an environment.
constexpr size_t kMostEntries = 64;

/// Whether the kernel reaps children by itself: a pid says nothing then.
bool IgnoresChildren() {
  struct sigaction action;
  return sigaction(SIGCHLD, nullptr, &action) != 0 ||
         action.sa_handler == SIG_IGN || (action.sa_flags & SA_NOCLDWAIT);
}

/// Whether the loader is asked by the environment for something out of the
/// ordinary.
bool AddressesLoader(const std::vector<std::string>& environment) {
  return std::any_of(
      environment.begin(), environment.end(),
      [](const std::string& entry) { return entry.starts_with("LD_"); });
}

bool SameLimit(const Program& program, const ChildPlan& plan) {
  return program.set_fd_limit == plan.set_fd_limit &&
         (!plan.set_fd_limit ||
          (program.fd_limit.rlim_cur == plan.fd_limit.rlim_cur &&
           program.fd_limit.rlim_max == plan.fd_limit.rlim_max));
}

/// A clone leaves the group of its parked process by a step of its own.
bool CanBeAsked(const LaunchBlock& block) {
  return block.child.plan.path[0] == '/' &&
         block.group != Command::Group::kInherit;
}

}  // namespace

/// What the thread does.
struct WarmTemplates::Work {
  Program program;
  bool odd = false;
  std::shared_ptr<const Trial> trial;
  int event = -1;
  Canceller canceller;
  pthread_t thread = {};
  steady_clock::time_point start = steady_clock::now();
  std::optional<Result<Parked>> parked;
};

WarmTemplates::WarmTemplates(const Launcher::Options& options, Watch watch,
                             Patterns never, Fd event)
    : options_(options),
      watch_(std::move(watch)),
      never_(std::move(never)),
      event_(std::move(event)) {}

Result<std::unique_ptr<WarmTemplates>> WarmTemplates::Create(
    const Launcher::Options& options, Watch watch) {
  Result<Patterns> never = Patterns::Create("never_warm", options.never_warm);
  if (!never.ok())
    return never.error();
  Fd event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event)
    return Error{errno, "eventfd", ""};
  Result<Fd> above = AboveStdio(std::move(event));
  if (!above.ok())
    return above.error();
  return std::unique_ptr<WarmTemplates>(
      new WarmTemplates(options, std::move(watch), std::move(never.value()),
                        std::move(above.value())));
}

WarmTemplates::~WarmTemplates() {
  if (!work_)
    return;
  work_->canceller.Cancel();
  pthread_join(work_->thread, nullptr);
  if (work_->parked->ok())
    WarmProcess(std::move(work_->parked->value()));
}

void* WarmTemplates::RunWork(void* argument) {
  auto* work = static_cast<Work*>(argument);
  work->parked.emplace(
      Park(work->program, work->odd, work->trial, &work->canceller));
  const uint64_t one = 1;
  (void)!write(work->event, &one, sizeof(one));
  return nullptr;
}

WarmTemplates::Entry* WarmTemplates::FindEntry(const LaunchBlock& block,
                                               EnvironmentMatch* match) {
  const ChildPlan& plan = block.child.plan;
  size_t count = 0;
  while (plan.argv[count])
    ++count;
  const bool odd = count % 2 == 1;
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (entry->odd != odd || entry->program.path != plan.path ||
        entry->program.name != plan.argv[0] ||
        entry->program.mask != plan.mask || !SameLimit(entry->program, plan))
      continue;
    *match = MatchEnvironment(entry->program.environment, plan.envp);
    if (*match == EnvironmentMatch::kDifferent ||
        (*match == EnvironmentMatch::kOtherDirectory && entry->process &&
         entry->process->parked().fixed_directory))
      continue;
    entries_.splice(entries_.begin(), entries_, entry);
    return &entries_.front();
  }

  if (entries_.size() == kMostEntries) {
    Retire(&entries_.back());
    entries_.pop_back();
  }
  Entry fresh;
  fresh.odd = odd;
  fresh.program = {.path = plan.path,
                   .name = plan.argv[0],
                   .mask = plan.mask,
                   .set_fd_limit = plan.set_fd_limit,
                   .fd_limit = plan.fd_limit};
  for (char* const* variable = plan.envp; *variable; ++variable)
    fresh.program.environment.push_back(*variable);
  if (never_.Match(fresh.program.path))
    fresh.never = "a pattern rules it out";
  else if (AddressesLoader(fresh.program.environment))
    fresh.never = "an LD_ variable is set";
  entries_.push_front(std::move(fresh));
  *match = EnvironmentMatch::kSame;
  return &entries_.front();
}

std::string WarmTemplates::WhyNever(const LaunchBlock& block) {
  if (!CanBeAsked(block))
    return "its path is relative, or it stays in the launcher's group";
  EnvironmentMatch match;
  return FindEntry(block, &match)->never;
}

Result<void> WarmTemplates::Prepare(const LaunchBlock& block) {
  if (std::string why = WhyNever(block); !why.empty())
    return Error{EPERM, "warm", std::move(why)};
  if (work_) {
    AwaitParking();
    FinishParking();
  }
  EnvironmentMatch match;
  Entry* entry = FindEntry(block, &match);
  if (!entry->process)
    ParkNow(entry);
  if (entry->process)
    return {};
  if (!entry->never.empty())
    return Error{EPERM, "warm", entry->never};
  return Error{ENOTSUP, "warm", entry->program.path};
}

WarmTemplates::ProcessPointer WarmTemplates::Find(const LaunchBlock& block,
                                                  Message* message) {
  if (!CanBeAsked(block))
    return nullptr;
  const ChildPlan& plan = block.child.plan;
  EnvironmentMatch match;
  Entry* entry = FindEntry(block, &match);
  ++entry->uses;
  if (!entry->never.empty())
    return nullptr;
  const bool now = options_.engine == Engine::kWarm;
  if (!entry->process) {
    if (work_ && steady_clock::now() - work_->start > kPatience)
      work_->canceller.Cancel();
    if (work_ || (!now && entry->uses <= options_.warm_after))
      return nullptr;
    if (!now) {
      BeginParking(entry);
      return nullptr;
    }
    ParkNow(entry);
    if (!entry->process)
      return nullptr;
  }
  if (match != EnvironmentMatch::kSame &&
      entry->process->parked().fixed_directory)
    return nullptr;
  if (IgnoresChildren() || !CheckState() || !entry->process)
    return nullptr;
  if (!entry->process->IsFresh()) {
    ++counters.stale;
    Retire(entry);
    return nullptr;
  }
  if (block.inherit_fds && !(options_.host_keeps_state && inherited_))
    inherited_ = FindInherited();
  const rlim_t fd_limit = plan.set_fd_limit
                              ? plan.fd_limit.rlim_cur
                              : now_.limits[RLIMIT_NOFILE].rlim_cur;
  if (!MakeRequest(plan, block.inherit_fds ? *inherited_ : std::vector<int>(),
                   fd_limit, match, message)
           .empty())
    return nullptr;
  return entry->process;
}

void WarmTemplates::BeginParking(Entry* entry) {
  if (!CheckState())
    return;
  if (options_.may_park && !options_.may_park(entry->program.path)) {
    entry->never = "the caller rules it out";
    return;
  }
  auto work = std::make_unique<Work>();
  work->program = entry->program;
  work->odd = entry->odd;
  // The one of the other alignment of the stack has the same trial.
  for (const Entry& other : entries_)
    if (other.process && other.program == entry->program &&
        other.process->IsFresh())
      work->trial = other.process->parked().trial;
  work->event = event_.get();
  sigset_t all, mask;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &mask);
  int error = pthread_create(&work->thread, nullptr, RunWork, work.get());
  pthread_sigmask(SIG_SETMASK, &mask, nullptr);
  if (error == 0)
    work_ = std::move(work);
}

void WarmTemplates::ParkNow(Entry* entry) {
  BeginParking(entry);
  if (!work_)
    return;
  AwaitParking();
  FinishParking();
}

/// Until the thread is done; a constructor that never ends is given up.
void WarmTemplates::AwaitParking() {
  pollfd done = {event_.get(), POLLIN, 0};
  if (poll(&done, 1, static_cast<int>(kPatience.count())) == 0)
    work_->canceller.Cancel();
}

void WarmTemplates::Collect() {
  uint64_t count;
  if (read(event_.get(), &count, sizeof(count)) == sizeof(count) && work_)
    FinishParking();
}

void WarmTemplates::FinishParking() {
  std::unique_ptr<Work> work = std::move(work_);
  pthread_join(work->thread, nullptr);
  uint64_t count;  // A late Collect() is not to take it for the next one.
  (void)!read(event_.get(), &count, sizeof(count));

  ProcessPointer process;
  if (work->parked->ok())
    process = std::make_shared<WarmProcess>(std::move(work->parked->value()));
  auto entry = std::find_if(
      entries_.begin(), entries_.end(), [&](const Entry& candidate) {
        return candidate.odd == work->odd && candidate.program == work->program;
      });
  if (entry == entries_.end())
    return;
  entry->uses = 0;  // After a failure it has to get hot again.
  if (!process) {
    const Error& error = work->parked->error();
    if (error.code == EPERM || error.code == ENOTSUP || error.code == ENOEXEC)
      entry->never = std::string_view(error.step) == "entry point"
                         ? error.object
                         : error.ToString();
    return;
  }
  if (options_.engine != Engine::kWarm &&
      process->parked().loader_cpu < options_.warm_least) {
    entry->never = "its loader takes no time";
    return;
  }
  MakeRoom(process->parked().private_kib);
  ++counters.parked;
  if (watch_(process))
    entry->process = std::move(process);
}

void WarmTemplates::MakeRoom(uint64_t kib) {
  for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry) {
    if (size() < options_.warm_processes &&
        private_kib() + kib <= options_.warm_kib)
      return;
    if (!entry->process)
      continue;
    ++counters.evicted;
    Retire(&*entry);
  }
}

void WarmTemplates::Retire(Entry* entry) {
  entry->uses = 0;
  if (ProcessPointer process = std::exchange(entry->process, nullptr))
    process->Retire();
}

void WarmTemplates::OnEnd(const ProcessPointer& process) {
  for (Entry& entry : entries_) {
    if (entry.process != process)
      continue;
    ++counters.ended;
    entry.uses = 0;
    entry.process.reset();
  }
}

/// Whether this process hands down what it did when the parked ones were made;
/// they are given up if not. False as well if that cannot be told.
bool WarmTemplates::CheckState() {
  const bool known = options_.host_keeps_state && is_read_
                         ? reader_.ReadForeign(&now_)
                         : reader_.Read(&now_);
  is_read_ = known;
  if (known && now_ == state_)
    return true;
  for (Entry& entry : entries_) {
    counters.stale += entry.process != nullptr;
    Retire(&entry);
  }
  if (work_)
    work_->canceller.Cancel();
  if (known)
    state_ = now_;
  return known;
}

std::vector<int> WarmTemplates::FindInherited() const {
  // One call says which of them are open, where most are not.
  constexpr int kAtOnce = 64;
  std::vector<int> inherited;
  for (int first = 3; first < reader_.descriptor_bound(); first += kAtOnce) {
    pollfd table[kAtOnce] = {};
    for (int i = 0; i < kAtOnce; ++i)
      table[i].fd = first + i;
    const bool known = poll(table, kAtOnce, 0) >= 0;
    for (const pollfd& one : table)
      if ((!known || !(one.revents & POLLNVAL)) && fcntl(one.fd, F_GETFD) == 0)
        inherited.push_back(one.fd);
  }
  return inherited;
}

size_t WarmTemplates::size() const {
  return static_cast<size_t>(
      std::count_if(entries_.begin(), entries_.end(),
                    [](const Entry& entry) { return bool{entry.process}; }));
}

uint64_t WarmTemplates::private_kib() const {
  uint64_t kib = 0;
  for (const Entry& entry : entries_)
    kib += entry.process ? entry.process->parked().private_kib : 0;
  return kib;
}

std::vector<std::string> WarmTemplates::Reasons() const {
  std::vector<std::string> reasons;
  for (const Entry& entry : entries_)
    if (!entry.never.empty())
      reasons.push_back(entry.program.path + ": " + entry.never);
  std::sort(reasons.begin(), reasons.end());
  reasons.erase(std::unique(reasons.begin(), reasons.end()), reasons.end());
  return reasons;
}

}  // namespace launcher::warm
