// SPDX-License-Identifier: Apache-2.0

#include "request.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include <algorithm>

namespace launcherd {

namespace {

using launcher::Action;
using launcher::Fd;
using launcher::Hello;
using launcher::kCookieSize;
using launcher::kMostDescriptors;
using launcher::ProtocolStep;
using launcher::Stdio;

/// Without telling by the time it takes how much of it was right.
bool SameCookie(const char* said, const std::string& cookie) {
  unsigned char difference = 0;
  for (int i = 0; i < kCookieSize; ++i)
    difference |= static_cast<unsigned char>(said[i] ^ cookie[i]);
  return difference == 0;
}

/// Reads a message from front to back.
class Reader {
 public:
  explicit Reader(const std::vector<char>& bytes)
      : at_(bytes.data()), end_(at_ + bytes.size()) {}

  template <class T>
  bool Take(T* value) {
    if (static_cast<size_t>(end_ - at_) < sizeof(T))
      return false;
    memcpy(value, at_, sizeof(T));
    at_ += sizeof(T);
    return true;
  }

  /// Null if there is no whole one.
  const char* TakeText() {
    const void* end = memchr(at_, '\0', static_cast<size_t>(end_ - at_));
    if (!end)
      return nullptr;
    const char* text = at_;
    at_ = static_cast<const char*>(end) + 1;
    return text;
  }

  bool TakeTexts(uint32_t count, std::vector<const char*>* texts) {
    for (; count > 0; --count) {
      const char* text = TakeText();
      if (!text)
        return false;
      texts->push_back(text);
    }
    return true;
  }

  bool AtEnd() const { return at_ == end_; }

 private:
  const char* at_;
  const char* end_;
};

/// Moves what has arrived out of the way of the numbers that it is to have.
bool MoveAbove(int highest, std::vector<Fd>* descriptors) {
  for (Fd& fd : *descriptors) {
    if (fd.get() > highest)
      continue;
    Fd moved(fcntl(fd.get(), F_DUPFD_CLOEXEC, highest + 1));
    if (!moved)
      return false;
    fd = std::move(moved);
  }
  return true;
}

}  // namespace

sigset_t ToSigset(uint64_t signals) {
  // Not by sigaddset(3), which refuses the two signals of glibc.
  sigset_t set;
  sigemptyset(&set);
  static_assert(sizeof(set) >= sizeof(signals));
  memcpy(&set, &signals, sizeof(signals));
  return set;
}

int ReceiveMessage(int socket, Message* message) {
  message->bytes.resize(launcher::kMostMessage);
  alignas(
      cmsghdr) char control[CMSG_SPACE((kMostDescriptors + 1) * sizeof(int))];
  iovec data = {message->bytes.data(), message->bytes.size()};
  msghdr header = {};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  ssize_t size;
  do {
    size = recvmsg(socket, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (size < 0 && errno == EINTR);
  if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
    return 0;
  if (size < 0)
    return -1;
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part;
       part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
      continue;
    for (size_t at = CMSG_LEN(0); at + sizeof(int) <= part->cmsg_len;
         at += sizeof(int)) {
      int fd;
      memcpy(&fd, reinterpret_cast<char*>(part) + at, sizeof(fd));
      message->descriptors.emplace_back(fd);
    }
  }
  message->bytes.resize(static_cast<size_t>(size));
  if (size == 0 || (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
    return -1;
  return 1;
}

bool ReadNote(const Message& message, const std::string& cookie,
              std::string* reason) {
  launcher::Note note;
  Reader reader(message.bytes);
  if (!reader.Take(&note) || !reader.AtEnd() ||
      note.magic != launcher::kProtocolMagic ||
      note.version != launcher::kProtocolVersion ||
      !SameCookie(note.cookie, cookie))
    return false;
  reason->assign(note.reason, strnlen(note.reason, sizeof(note.reason)));
  for (char& c : *reason)
    if (c < ' ' || c > '~')
      c = '?';
  return true;
}

std::string ReadRequest(Message* message, const std::string& cookie,
                        Request* request) {
  Reader reader(message->bytes);
  Hello& hello = request->hello;
  if (!reader.Take(&hello) || hello.magic != launcher::kProtocolMagic)
    return "a message of another kind";
  if (hello.version != launcher::kProtocolVersion)
    return "another version of launcher-sh";
  if (!SameCookie(hello.cookie, cookie))
    return "a message of a stranger";
  const std::string malformed = "a malformed message";
  if (hello.descriptors < 3 || hello.descriptors > kMostDescriptors ||
      hello.descriptors + 1 != message->descriptors.size() ||
      hello.steps > launcher::kMostSteps || hello.arguments == 0)
    return malformed;

  std::vector<int> numbers(hello.descriptors);
  for (size_t i = 0; i < numbers.size(); ++i)
    if (!reader.Take(&numbers[i]) || numbers[i] < 0 ||
        (i < 3 ? numbers[i] != static_cast<int>(i)
               : numbers[i] <= numbers[i - 1]))
      return malformed;
  std::vector<ProtocolStep> steps(hello.steps);
  for (ProtocolStep& step : steps)
    if (!reader.Take(&step) || step.newfd < 0 || step.newfd > 2 || step.fd > 2)
      return malformed;
  request->path = reader.TakeText();
  if (!request->path || request->path[0] != '/' ||
      !reader.TakeTexts(hello.arguments, &request->argv) ||
      !reader.TakeTexts(hello.environment, &request->envp))
    return malformed;
  request->envp.push_back(nullptr);

  if (!MoveAbove(numbers.back(), &message->descriptors))
    return "too many descriptors";
  const std::vector<Fd>& sent = message->descriptors;
  for (size_t i = 3; i < numbers.size(); ++i)
    request->actions.push_back(Action::Dup2(sent[i + 1].get(), numbers[i]));
  for (const ProtocolStep& step : steps) {
    if (step.fd >= 0) {
      request->actions.push_back(Action::Dup2(step.fd, step.newfd));
      continue;
    }
    const char* path = reader.TakeText();
    if (!path)
      return malformed;
    request->actions.push_back(
        Action::Open(step.newfd, path, step.flags, 0666));
  }
  if (!reader.AtEnd())
    return malformed;
  request->actions.push_back(Action::SignalMask(ToSigset(hello.mask)));

  launcher::Command& command = request->command;
  command.argv = request->argv;
  command.path = request->path;
  command.env = request->envp.data();
  command.cwd_fd = sent[0].get();
  command.in = Stdio::FromFd(sent[1].get());
  command.out = Stdio::FromFd(sent[2].get());
  command.err = Stdio::FromFd(sent[3].get());
  command.warm_only = true;
  return "";
}

}  // namespace launcherd
