// SPDX-License-Identifier: Apache-2.0

#include "passenger.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "protocol.h"
#include "real_shell.h"
#include "sys.h"

namespace launcher {

namespace {

using sys::Arg;
using sys::Raw;

/// Those that end a process, or that it may want to know of. The terminal sends
/// its own to the job as well, which is in the same process group.
constexpr int kForwarded[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM,
                              SIGUSR1, SIGUSR2, SIGALRM};

sys::KernelSigset ForwardedSet() {
  sys::KernelSigset set = 0;
  for (int signal : kForwarded)
    set |= sys::KernelSigset{1} << (signal - 1);
  return set;
}

struct Server {
  std::string_view path;
  std::string_view hints;  ///< The number of the descriptor.
  pid_t pid = 0;
  const char* cookie = nullptr;
  bool counts = false;
};

/// /proc/PID/fd/N,M:COOKIE[:stats]
bool FindServer(Server* server) {
  const char* value = Environment(kServerVariable);
  if (!value)
    return false;
  std::string_view text = value;
  size_t colon = text.find(':');
  constexpr std::string_view kProc = "/proc/";
  if (colon == text.npos || colon >= 64 || !text.starts_with(kProc) ||
      text.size() < colon + 1 + kCookieSize)
    return false;
  size_t comma = text.find(',');
  if (comma >= colon)
    return false;
  server->path = text.substr(0, comma);
  server->hints = text.substr(comma + 1, colon - comma - 1);
  for (size_t at = kProc.size(); text[at] >= '0' && text[at] <= '9'; ++at)
    server->pid = server->pid * 10 + (text[at] - '0');
  server->cookie = value + colon + 1;
  server->counts = text.substr(colon + 1 + kCookieSize) == ":stats";
  return true;
}

/// Whether asking it for this program would be in vain.
bool HintsAt(const Server& server, const char* program) {
  std::string link(server.path.substr(0, server.path.rfind('/') + 1));
  link.append(server.hints);
  long fd = Raw(SYS_openat, AT_FDCWD, Arg(link.c_str()),
                O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
  const uint32_t bit = HintBit(program);
  unsigned char byte = 0;
  long got = Raw(SYS_pread64, fd, Arg(&byte), 1, bit / 8);
  Raw(SYS_close, fd);
  return got == 1 && (byte >> bit % 8 & 1);
}

/// A connection to it, or a negative number.
int Connect(const Server& server) {
  long fd = Raw(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return -1;
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, server.path.data(), server.path.size());
  ucred peer = {};
  socklen_t size = sizeof(peer);
  long ret;
  do {
    ret = Raw(SYS_connect, fd, Arg(&address), sizeof(address));
  } while (ret == -EINTR);
  if (ret != 0 ||
      Raw(SYS_getsockopt, fd, SOL_SOCKET, SO_PEERCRED, Arg(&peer),
          Arg(&size)) != 0 ||
      peer.pid != server.pid ||
      peer.uid != static_cast<uid_t>(Raw(SYS_geteuid))) {
    Raw(SYS_close, fd);
    return -1;
  }
  return static_cast<int>(fd);
}

/// The descriptors that the program will have, in ascending order. False: more
/// than can be sent, or a standard one is missing.
bool FindDescriptors(std::vector<int>* found) {
  long dir = Raw(SYS_openat, AT_FDCWD, Arg("/proc/self/fd"),
                 O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (dir < 0)
    return false;
  alignas(8) char buffer[4096];
  long size;
  while ((size = Raw(SYS_getdents64, dir, Arg(buffer), sizeof(buffer))) > 0) {
    for (long at = 0; at < size;) {
      auto* entry = reinterpret_cast<dirent*>(buffer + at);
      at += entry->d_reclen;
      int fd = 0;
      for (const char* digit = entry->d_name; *digit; ++digit)
        fd = *digit >= '0' && *digit <= '9' ? fd * 10 + (*digit - '0') : -1;
      if (fd < 0 || entry->d_name[0] == '.')
        continue;
      long flags = Raw(SYS_fcntl, fd, F_GETFD, 0);
      if (flags >= 0 && !(flags & FD_CLOEXEC))
        found->push_back(fd);
    }
  }
  Raw(SYS_close, dir);
  std::sort(found->begin(), found->end());
  return size == 0 && found->size() <= kMostDescriptors && found->size() >= 3 &&
         (*found)[2] == 2;
}

class Writer {
 public:
  void Add(const void* data, size_t size) {
    bytes_.append(static_cast<const char*>(data), size);
  }
  uint32_t AddTexts(char* const* texts) {
    uint32_t count = 0;
    for (; texts[count]; ++count)
      AddText(texts[count]);
    return count;
  }
  void AddText(const char* text) { Add(text, strlen(text) + 1); }
  std::string& bytes() { return bytes_; }

 private:
  std::string bytes_;
};

/// False: it cannot be asked for such a program.
bool WriteHello(const Server& server, const Program& program,
                const std::vector<int>& descriptors, std::string* message) {
  Hello hello = {.magic = kProtocolMagic,
                 .version = kProtocolVersion,
                 .mask = program.mask,
                 .descriptors = static_cast<uint32_t>(descriptors.size())};
  memcpy(hello.cookie, server.cookie, kCookieSize);
  ReadOwnState(hello.own);
  Writer writer;
  writer.bytes().reserve(16 * 1024);
  writer.Add(&hello, sizeof(hello));
  for (int fd : descriptors)
    writer.Add(&fd, sizeof(fd));
  for (const ChildStep& step : program.steps) {
    ProtocolStep sent = {.newfd = step.newfd, .fd = step.fd};
    if (step.kind == ChildStep::Kind::kOpen)
      sent = {.newfd = step.newfd, .fd = -1, .flags = step.flags};
    writer.Add(&sent, sizeof(sent));
    ++hello.steps;
  }
  writer.AddText(program.path.c_str());
  hello.arguments = writer.AddTexts(program.argv.data());
  hello.environment = writer.AddTexts(program.envp.data());
  for (const ChildStep& step : program.steps)
    if (step.kind == ChildStep::Kind::kOpen)
      writer.AddText(step.path);
  *message = std::move(writer.bytes());
  memcpy(message->data(), &hello, sizeof(hello));
  return message->size() <= kMostMessage && hello.steps <= kMostSteps;
}

/// `first` and `others` go with it.
bool Send(int socket, std::string* message, int first,
          const std::vector<int>& others) {
  alignas(cmsghdr) char
      control[CMSG_SPACE((kMostDescriptors + 1) * sizeof(int))] = {};
  iovec data = {message->data(), message->size()};
  msghdr header = {};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = CMSG_SPACE((others.size() + 1) * sizeof(int));
  cmsghdr* rights = CMSG_FIRSTHDR(&header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN((others.size() + 1) * sizeof(int));
  int* numbers = reinterpret_cast<int*>(CMSG_DATA(rights));
  numbers[0] = first;
  for (size_t i = 0; i < others.size(); ++i)
    numbers[i + 1] = others[i];
  long ret;
  do {
    ret = Raw(SYS_sendmsg, socket, Arg(&header), MSG_NOSIGNAL);
  } while (ret == -EINTR);
  return ret == static_cast<long>(message->size());
}

/// The next answer, with the descriptor that may come with it. False: there
/// will be none.
bool Receive(int socket, Answer* answer, int* descriptor) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  iovec data = {answer, sizeof(*answer)};
  msghdr header = {};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  long ret;
  do {
    ret = Raw(SYS_recvmsg, socket, Arg(&header), MSG_CMSG_CLOEXEC);
  } while (ret == -EINTR);
  if (ret != static_cast<long>(sizeof(*answer)))
    return false;
  const cmsghdr* rights = CMSG_FIRSTHDR(&header);
  if (rights && rights->cmsg_type == SCM_RIGHTS)
    memcpy(descriptor, CMSG_DATA(rights), sizeof(*descriptor));
  return true;
}

/// Hands on what was sent to this process alone. Returns the last of what has
/// come, or `seen`.
int Forward(int signals, int pidfd, int seen) {
  signalfd_siginfo info;
  while (Raw(SYS_read, signals, Arg(&info), sizeof(info)) ==
         static_cast<long>(sizeof(info))) {
    seen = static_cast<int>(info.ssi_signo);
    if (info.ssi_code != SI_KERNEL)
      sys::PidfdSendSignal(pidfd, seen);
  }
  return seen;
}

/// PIDFD_GET_INFO, <linux/pidfd.h>: from Linux 6.15 on it tells whoever has a
/// pidfd how a process has ended that its parent has reaped.
struct PidfdInfo {
  uint64_t mask;
  uint64_t cgroup;
  uint32_t ids[11];
  int32_t exit_code;
};
constexpr unsigned long kPidfdGetInfo = _IOWR(0xff, 11, PidfdInfo);
constexpr uint64_t kPidfdInfoExit = 1 << 3;

/// Returns 0 or a negative errno; ESRCH: it is just being reaped.
long ReadInfo(int pidfd, PidfdInfo* info) {
  *info = {.mask = kPidfdInfoExit};
  return Raw(SYS_ioctl, pidfd, static_cast<long>(kPidfdGetInfo), Arg(info));
}

/// The server is gone, the job goes on: as the child of whoever reaps orphans.
JobEnd AwaitOrphan(int pidfd) {
  PidfdInfo info;
  if (pidfd < 0)
    return {JobEnd::How::kUnknown};
  const long known = ReadInfo(pidfd, &info);
  pollfd ended = {pidfd, POLLIN, 0};
  while (Raw(SYS_poll, Arg(&ended), 1, -1) <= 0) {
  }
  // POLLHUP: it has been reaped. Not every first process does that.
  constexpr int kEnoughMs = 2000;
  ended = {pidfd, 0, 0};
  if ((known != 0 && known != -ESRCH) ||
      Raw(SYS_poll, Arg(&ended), 1, kEnoughMs) <= 0 ||
      ReadInfo(pidfd, &info) != 0 || !(info.mask & kPidfdInfoExit))
    return {JobEnd::How::kUnknown};
  if (WIFSIGNALED(info.exit_code))
    return {JobEnd::How::kSignaled, WTERMSIG(info.exit_code)};
  return {JobEnd::How::kExited, WEXITSTATUS(info.exit_code)};
}

/// `seen`: a signal that this process has got meanwhile.
JobEnd AwaitJob(int socket, int signals, int* seen) {
  bool launching = false;
  int pidfd = -1;
  for (;;) {
    pollfd table[] = {{socket, POLLIN, 0}, {signals, POLLIN, 0}};
    // Signals wait until there is somebody to have them.
    if (Raw(SYS_poll, Arg(table), pidfd >= 0 ? 2 : 1, -1) <= 0)
      continue;
    if (pidfd >= 0 && table[1].revents)
      *seen = Forward(signals, pidfd, *seen);
    if (!table[0].revents)
      continue;
    Answer answer;
    if (!Receive(socket, &answer, &pidfd))
      return launching ? AwaitOrphan(pidfd) : JobEnd{};
    switch (answer.kind) {
      case Answer::kLaunching:
        launching = true;
        break;
      case Answer::kLaunched:
        break;
      case Answer::kExited:
        return {JobEnd::How::kExited, answer.code};
      case Answer::kSignaled:
        return {JobEnd::How::kSignaled, answer.code};
      default:
        return {};
    }
  }
}

}  // namespace

JobEnd RunByServer(const Program& program) {
  Server server;
  if (program.path[0] != '/' || !FindServer(&server) ||
      (!server.counts && HintsAt(server, program.path.c_str())))
    return {};
  std::vector<int> descriptors;
  std::string message;
  if (!FindDescriptors(&descriptors) ||
      !WriteHello(server, program, descriptors, &message))
    return {};
  int socket = Connect(server);
  if (socket < 0)
    return {};
  int directory = static_cast<int>(
      Raw(SYS_openat, AT_FDCWD, Arg("."), O_PATH | O_DIRECTORY | O_CLOEXEC, 0));

  sys::KernelSigset forwarded = ForwardedSet(), mask = 0;
  Raw(SYS_rt_sigprocmask, SIG_BLOCK, Arg(&forwarded), Arg(&mask), sizeof(mask));
  int signals =
      static_cast<int>(Raw(SYS_signalfd4, -1, Arg(&forwarded),
                           sizeof(forwarded), SFD_CLOEXEC | SFD_NONBLOCK));
  JobEnd end;
  int seen = 0;
  if (directory >= 0 && signals >= 0 &&
      Send(socket, &message, directory, descriptors))
    end = AwaitJob(socket, signals, &seen);
  if (end.how == JobEnd::How::kNotRun || !program.place.is_last) {
    // What has come in the meantime is for the program, or for the shell: which
    // would have got it itself, had it had more to do.
    for (int fd : {socket, directory, signals})
      if (fd >= 0)
        Raw(SYS_close, fd);
    sys::SetSignalMask(mask);
    if (seen != 0)
      Raw(SYS_kill, Raw(SYS_getpid), seen);
  }
  return end;
}

void TellOfShell(std::string_view reason) {
  Server server;
  if (!FindServer(&server) || !server.counts)
    return;
  Note note = {.magic = kProtocolMagic, .version = kProtocolVersion};
  memcpy(note.cookie, server.cookie, kCookieSize);
  memcpy(note.reason, reason.data(),
         std::min(reason.size(), sizeof(note.reason) - 1));
  int socket = Connect(server);
  if (socket < 0)
    return;
  Raw(SYS_sendto, socket, Arg(&note), sizeof(note), MSG_NOSIGNAL);
  Raw(SYS_close, socket);
}

}  // namespace launcher
