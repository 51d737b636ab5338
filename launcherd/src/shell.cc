// SPDX-License-Identifier: Apache-2.0

#include "shell.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "launcher/fd.h"

namespace launcher {

namespace {

/// The whole file, to be unmapped by the caller; empty if that fails.
std::string_view MapFile(const char* path) {
  Fd fd(open(path, O_RDONLY | O_CLOEXEC));
  struct stat file;
  if (!fd || fstat(fd.get(), &file) != 0 || file.st_size <= 0)
    return {};
  size_t size = static_cast<size_t>(file.st_size);
  void* image = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (image == MAP_FAILED)
    return {};
  return {static_cast<const char*>(image), size};
}

bool Contains(std::string_view image, std::string_view text) {
  return memmem(image.data(), image.size(), text.data(), text.size());
}

/// Runs `line` without input or output; -1 or its wait status.
int RunQuietly(const char* shell, const char* line) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
  posix_spawn_file_actions_adddup2(&actions, 0, 1);
  posix_spawn_file_actions_adddup2(&actions, 0, 2);
  posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  char* argv[] = {const_cast<char*>("/bin/sh"), const_cast<char*>("-c"),
                  const_cast<char*>(line), nullptr};
  char* envp[] = {nullptr};
  pid_t pid;
  int failed = posix_spawn(&pid, shell, &actions, nullptr, argv, envp);
  posix_spawn_file_actions_destroy(&actions);
  if (failed)
    return -1;
  int status;
  pid_t got;
  do {
    got = waitpid(pid, &status, 0);
  } while (got < 0 && errno == EINTR);
  return got == pid ? status : -1;
}

/// As strsignal(3) of a program that has set no locale: the shells have not.
std::string Describe(int signal) {
#ifdef __GLIBC__
  if (const char* description = sigdescr_np(signal))
    return description;
  if (signal >= SIGRTMIN && signal <= SIGRTMAX)
    return "Real-time signal " + std::to_string(signal - SIGRTMIN);
  return "Unknown signal " + std::to_string(signal);
#else
  return strsignal(signal);
#endif
}

}  // namespace

SystemShell::~SystemShell() { Unmap(); }

void SystemShell::Unmap() {
  if (!image_.empty())
    munmap(const_cast<char*>(image_.data()), image_.size());
  image_ = {};
}

Shell SystemShell::Kind() {
  Result<ExecIdentity> now = ExecIdentity::Of(AT_FDCWD, path_.c_str());
  if (!now.ok())
    return Shell::kUnknown;
  if (!(now.value() == identity_)) {
    identity_ = now.value();
    Detect();
  }
  return kind_;
}

void SystemShell::Detect() {
  Unmap();
  applets_.clear();
  in_place_.clear();
  kind_ = Shell::kUnknown;
  char target[PATH_MAX];
  if (!realpath(path_.c_str(), target))
    return;
  std::string_view name = target;
  name.remove_prefix(name.rfind('/') + 1);
  if (name == "dash") {
    kind_ = Shell::kDash;
  } else if (name == "bash") {
    // Others treat SHLVL, or the last command of a list, in another way; those
    // that have not been compared are not known.
    image_ = MapFile(target);
    if (Contains(image_, "@(#)Bash version 5.2."))
      kind_ = Shell::kBash;
    Unmap();
  } else if (name.starts_with("busybox")) {
    image_ = MapFile(target);
    if (Contains(image_, "BusyBox v1.35."))
      kind_ = Shell::kBusybox;
  }
}

bool SystemShell::MayBeApplet(std::string_view name) {
  auto [known, is_new] = applets_.try_emplace(std::string(name));
  if (is_new) {
    // The names stand one after the other, each with a null behind it.
    std::string entry(1, '\0');
    entry.append(name).push_back('\0');
    known->second = Contains(image_, entry);
  }
  return known->second;
}

bool SystemShell::RunsInPlace(const CommandPlace& place) {
  if (place.exec)
    return true;
  if (!place.is_last)
    return false;
  if (kind_ == Shell::kBash)
    return !place.redirected;
  if (kind_ == Shell::kBusybox)
    return true;
  // Not in 0.5.12, but there are others, and the file does not say which it is.
  auto [known, is_new] =
      in_place_.try_emplace(2 * place.in_list + place.redirected);
  if (is_new) {
    std::string line = place.in_list ? ": && " : "";
    line += "/bin/sh -c 'kill -9 $$'";
    if (place.redirected)
      line += " >/dev/null";
    int status = RunQuietly(path_.c_str(), line.c_str());
    known->second = status != -1 && WIFSIGNALED(status);
    // It may have failed, or met with an interrupt: to be asked again.
    if (status == -1 || (known->second && WTERMSIG(status) != SIGKILL)) {
      in_place_.erase(known);
      return false;
    }
  }
  return known->second;
}

sys::KernelSigset SystemShell::ProgramMask(sys::KernelSigset mask) const {
  if (kind_ == Shell::kDash)
    return 0;
  if (kind_ == Shell::kBash)
    return mask & ~(sys::KernelSigset{1} << (SIGCHLD - 1));
  return mask;
}

std::string SystemShell::DeathNotice(int signal, bool core_dumped) {
  if (kind_ == Shell::kBash || signal == SIGINT || signal == SIGPIPE)
    return "";
  std::string notice = Describe(signal);
  if (core_dumped)
    notice += " (core dumped)";
  return notice + "\n";
}

std::string ToString(const ShellReason& reason) {
  std::string text = reason.what;
  if (reason.detail_size > 0)
    text.append(" '").append(reason.detail, reason.detail_size).append("'");
  return text;
}

}  // namespace launcher
