// SPDX-License-Identifier: Apache-2.0

#include "request.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <string.h>

#include <algorithm>
#include <map>
#include <string_view>

namespace launcher::warm {

namespace {

using Kind = ChildStep::Kind;

bool NamesDirectory(std::string_view entry) {
  return entry.starts_with("PWD=") || entry.starts_with("OLDPWD=");
}

/// The table of descriptors of the clone, followed step by step: which ones
/// have to be sent, and which are left for an exec to close.
class Table {
 public:
  explicit Table(const std::vector<int>& inherited) {
    for (int fd : inherited) {
      Send(fd, false);
      open_[fd] = false;
    }
  }

  void Follow(const ChildStep& step) {
    switch (step.kind) {
      case Kind::kDup2:
        Use(step.fd);
        open_[step.newfd] = (step.flags & O_CLOEXEC) != 0;
        return;
      case Kind::kOpen:
        if (step.fd >= 0)
          Use(step.fd);
        open_[step.newfd] = (step.flags & O_CLOEXEC) != 0;
        return;
      case Kind::kFchdir:
        Use(step.fd);
        return;
      case Kind::kClose:
        Close(step.fd, step.fd);
        return;
      case Kind::kCloexecAll:
        Mark(step.fd, -1);
        return;
      case Kind::kCloseRange:
        if (step.flags & CLOSE_RANGE_CLOEXEC)
          Mark(step.fd, step.newfd);
        else
          Close(step.fd, step.newfd);
        return;
      case Kind::kSetpgid:
      case Kind::kSetsid:
      case Kind::kChdir:
      case Kind::kSignalDefault:
      case Kind::kSignalIgnore:
      case Kind::kFixedLayout:
      case Kind::kTraceMe:
        return;
    }
  }

  /// Standard descriptors that no step has touched are the launcher's own.
  /// False if one is not as simple as that.
  bool FollowStandard() {
    for (int fd = 0; fd <= 2; ++fd) {
      if (open_.contains(fd) || closed_standard_[fd])
        continue;
      if (fcntl(fd, F_GETFD) != 0)  // Not open, or to be closed by the exec.
        return false;
      Use(fd);
      open_[fd] = false;
    }
    return true;
  }

  /// What does the closing of an exec.
  std::vector<ChildStep> ExecSteps() const {
    bool keeps = false;
    std::vector<ChildStep> steps;
    for (const auto& [fd, marked] : open_) {
      if (marked)
        steps.push_back({.kind = Kind::kClose, .fd = fd});
      keeps |= fd > 2 && !marked;
    }
    if (keeps)
      return steps;
    std::erase_if(steps, [](const ChildStep& step) { return step.fd > 2; });
    steps.push_back({.kind = Kind::kCloseRange, .fd = 3, .newfd = -1});
    return steps;
  }

  const std::vector<Placement>& sent() const { return sent_; }

 private:
  void Send(int fd, bool marked) {
    sent_.push_back({fd, marked ? FD_CLOEXEC : 0});
  }

  void Use(int fd) {
    if (open_.contains(fd))
      return;
    Send(fd, fd > 2);
    open_[fd] = fd > 2;
  }

  void Close(int first, int last) {
    std::erase_if(open_, [&](const auto& entry) {
      return entry.first >= first && (last < 0 || entry.first <= last);
    });
    for (int fd = std::max(first, 0); fd <= 2 && (last < 0 || fd <= last); ++fd)
      closed_standard_[fd] = true;
  }

  void Mark(int first, int last) {
    for (auto& [fd, marked] : open_)
      marked |= fd >= first && (last < 0 || fd <= last);
  }

  std::map<int, bool> open_;  ///< With FD_CLOEXEC.
  std::vector<Placement> sent_;
  bool closed_standard_[3] = {};
};

class Writer {
 public:
  explicit Writer(std::vector<char>* bytes) : bytes_(bytes) {
    bytes_->assign(sizeof(Request), '\0');
  }

  uint32_t size() const { return static_cast<uint32_t>(bytes_->size()); }

  void Align() { bytes_->resize((bytes_->size() + 7) / 8 * 8); }

  uint32_t Add(const void* data, size_t size) {
    uint32_t at = this->size();
    auto* from = static_cast<const char*>(data);
    bytes_->insert(bytes_->end(), from, from + size);
    return at;
  }

  uint32_t AddTexts(char* const* texts, uint32_t* count) {
    uint32_t at = size();
    for (*count = 0; texts[*count]; ++*count)
      Add(texts[*count], strlen(texts[*count]) + 1);
    return at;
  }

 private:
  std::vector<char>* bytes_;
};

}  // namespace

EnvironmentMatch MatchEnvironment(const std::vector<std::string>& parked,
                                  char* const* environment) {
  auto match = EnvironmentMatch::kSame;
  size_t i = 0;
  for (; i < parked.size() && environment[i]; ++i) {
    if (parked[i] == environment[i])
      continue;
    std::string_view entry = environment[i];
    if (!NamesDirectory(entry) ||
        !parked[i].starts_with(entry.substr(0, entry.find('=') + 1)))
      return EnvironmentMatch::kDifferent;
    match = EnvironmentMatch::kOtherDirectory;
  }
  if (i != parked.size() || environment[i])
    return EnvironmentMatch::kDifferent;
  return match;
}

std::string MakeRequest(const ChildPlan& plan,
                        const std::vector<int>& inherited, rlim_t fd_limit,
                        EnvironmentMatch match, Message* message) {
  Table table(inherited);
  for (size_t i = 0; i < plan.step_count; ++i)
    table.Follow(plan.steps[i]);
  if (!table.FollowStandard())
    return "a standard descriptor is not open or not to be inherited";
  const std::vector<Placement>& placements = table.sent();
  if (placements.size() > kMostDescriptors)
    return "it takes too many descriptors";

  std::vector<ChildStep> steps(plan.steps, plan.steps + plan.step_count);
  for (const ChildStep& step : table.ExecSteps())
    steps.push_back(step);

  // Those that arrive take the first free numbers.
  const int taken = kSocket + static_cast<int>(placements.size());
  int highest = taken;
  bool collides = false;
  auto look_at = [&](int number) {
    highest = std::max(highest, number);
    collides |= number >= kSocket && number <= taken;
  };
  for (const Placement& placement : placements)
    look_at(placement.number);
  for (const ChildStep& step : steps)
    if (step.kind == Kind::kDup2 || step.kind == Kind::kOpen)
      look_at(step.newfd);
  if (static_cast<rlim_t>(highest) + placements.size() + 1 >= fd_limit)
    return "its descriptors come close to their limit";

  message->descriptors.clear();
  for (const Placement& placement : placements)
    message->descriptors.push_back(placement.number);
  Writer writer(&message->bytes);
  Request request = {};
  request.mask = plan.mask;
  request.descriptors = static_cast<uint32_t>(placements.size());
  request.placements_offset =
      writer.Add(placements.data(), placements.size() * sizeof(Placement));
  request.move_above = collides ? highest + 1 : 0;
  request.arguments_offset =
      writer.AddTexts(plan.argv, &request.argument_count);
  request.arguments_size = writer.size() - request.arguments_offset;
  if (match == EnvironmentMatch::kOtherDirectory) {
    uint32_t count;
    request.environment_offset = writer.AddTexts(plan.envp, &count);
    request.environment_size = writer.size() - request.environment_offset;
  }
  for (ChildStep& step : steps)
    if (step.path)
      step.path = reinterpret_cast<const char*>(
          uintptr_t{writer.Add(step.path, strlen(step.path) + 1)});
  writer.Align();
  request.step_count = static_cast<uint32_t>(steps.size());
  request.steps_offset =
      writer.Add(steps.data(), steps.size() * sizeof(ChildStep));
  if (writer.size() > kMostRequest || request.arguments_size > kArgumentRoom)
    return "its arguments are too long";
  memcpy(message->bytes.data(), &request, sizeof(request));
  return "";
}

}  // namespace launcher::warm
