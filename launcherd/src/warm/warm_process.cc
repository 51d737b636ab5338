// SPDX-License-Identifier: Apache-2.0

#include "warm_process.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <utility>

#include "reap.h"

namespace launcher::warm {

WarmProcess::WarmProcess(Parked parked) : parked_(std::move(parked)) {}

WarmProcess::~WarmProcess() {
  parked_.socket.Reset();
  if (!EndChild(parked_.process.pid, parked_.process.pidfd.get()))
    return;
  // Clones are of its group until their first step, behind the reply.
  while (waitpid(-parked_.process.pid, nullptr, WNOHANG) > 0) {
  }
}

bool WarmProcess::IsFresh() const {
  // May this process still look into that one? Not if its credentials, or its
  // Landlock domain, which cannot be asked for, are others by now.
  long head, size;
  if (sys::Raw(SYS_get_robust_list, parked_.process.pid, sys::Arg(&head),
               sys::Arg(&size)) < 0)
    return false;
  for (const LookedAt& looked : parked_.trial->looked_at)
    if (FileState::Of(looked.path.c_str()) != looked.state)
      return false;
  return true;
}

Result<void> WarmProcess::Send(uint64_t job, Message* message,
                               uint32_t* report) {
  std::erase_if(left_reports_, [this](uint32_t left) {
    const bool written = this->report(left)->exec_ns != 0;
    if (written)
      FreeReport(left);
    return written;
  });
  if (!free_reports_.empty()) {
    *report = free_reports_.back();
    free_reports_.pop_back();
  } else if (next_report_ < kReportCount) {
    *report = next_report_++;
  } else {
    return Error{ENOSPC, "sendmsg", "reports"};
  }
  *this->report(*report) = {};
  message->request()->id = job;
  message->request()->report = *report;

  iovec part = {message->bytes.data(), message->bytes.size()};
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(kMostDescriptors * sizeof(int))];
  const size_t size = message->descriptors.size() * sizeof(int);
  if (size > 0) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(size);
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(rights), message->descriptors.data(), size);
  }
  if (sendmsg(socket(), &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    FreeReport(*report);
    return Error{errno, "sendmsg", "parked process"};
  }
  unanswered_.insert(job);
  used_ = true;
  return {};
}

std::optional<Reply> WarmProcess::Receive() {
  Reply reply;
  ssize_t size;
  while ((size = recv(socket(), &reply, sizeof(reply), MSG_DONTWAIT)) < 0 &&
         errno == EINTR) {
  }
  if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
    return std::nullopt;
  if (size != sizeof(reply)) {
    at_end_ = true;
    return std::nullopt;
  }
  unanswered_.erase(reply.id);
  return reply;
}

void WarmProcess::Retire() { (void)shutdown(socket(), SHUT_WR); }

bool WarmProcess::IsStuck() const {
  const pid_t pid = parked_.process.pid;
  const char state = Process(pid).State();
  if (state == 'T' || state == 't')
    return true;
  siginfo_t info = {};
  return IsAsked() &&
         waitid(P_PGID, static_cast<id_t>(pid), &info,
                WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid != 0 && info.si_pid != pid;
}

void WarmProcess::EndIfStuck() {
  if (IsStuck())
    SendKill(parked_.process.pid, parked_.process.pidfd.get());
}

}  // namespace launcher::warm
