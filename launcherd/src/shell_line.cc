// SPDX-License-Identifier: Apache-2.0

#include "shell_line.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "above_stdio.h"

namespace launcher {

namespace {

using Kind = PlanToken::Kind;

char* Mutable(const char* text) { return const_cast<char*>(text); }

/// Whether every entry is of a form that all shells search alike, and that
/// makes the same path with a name behind it.
bool IsPlainSearchPath(std::string_view path) {
  for (;;) {
    size_t colon = path.find(':');
    std::string_view entry = path.substr(0, colon);
    if (!entry.starts_with('/') || entry.ends_with('/') ||
        entry.find('%') != entry.npos)
      return false;
    if (colon == path.npos)
      return true;
    path.remove_prefix(colon + 1);
  }
}

bool IsAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return c < 0x80; });
}

/// Whether there are some descriptors to be had beside this one.
bool SparesDescriptors(int fd) {
  constexpr rlim_t kSpare = 16;
  rlimit limit;
  return getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
         static_cast<rlim_t>(fd) + kSpare < limit.rlim_cur;
}

/// Whether a file that was made by opening it for writing can be so opened once
/// more, which the shell does if the program cannot be started after that.
bool MayBeOpenedAgain() {
  // umask(2) cannot be asked without being changed.
  char status[512];
  Fd fd(open("/proc/self/status", O_RDONLY | O_CLOEXEC));
  ssize_t size = fd ? read(fd.get(), status, sizeof(status) - 1) : 0;
  status[std::max<ssize_t>(size, 0)] = '\0';
  const char* umask = strstr(status, "Umask:");
  return umask && (strtoul(umask + strlen("Umask:"), nullptr, 8) & 0600) == 0;
}

}  // namespace

std::string ShellLine::Plan(LaunchBlock& surroundings) {
  kind_ = shell_->Kind();
  if (kind_ == Shell::kUnknown)
    return "an unknown shell";
  if (surroundings.group == Command::Group::kSession)
    return "a session to lead";
  // dash and busybox catch it, so that it is the default in their programs.
  struct sigaction action;
  if (sigaction(SIGCHLD, nullptr, &action) != 0 ||
      action.sa_handler == SIG_IGN || (action.sa_flags & SA_NOCLDWAIT))
    return "SIGCHLD that is ignored";

  const char* line = surroundings.argv()[2];
  const size_t size = strlen(line);
  text_.resize(std::max(text_.size(), size + 1));
  if (tokens_.empty())
    tokens_.resize(64);
  CommandLine read;
  for (;;) {
    read = ReadCommandLine(line, size, kind_, text_.data(), tokens_.data(),
                           tokens_.size());
    if (read.verdict != CommandLine::Verdict::kNoRoom)
      break;
    tokens_.resize(4 * tokens_.size());
  }
  if (read.verdict == CommandLine::Verdict::kShell)
    return ToString(read.reason);
  token_count_ = read.token_count;
  next_ = first_ = last_ = 0;
  place_ = {};
  status_ = 0;
  found_.clear();
  chdirs_.clear();
  has_run_ = false;

  std::string reason = environment_.Start(
      kind_, surroundings.env(), {surroundings.cwd_fd, surroundings.cwd});
  if (!reason.empty())
    return reason;
  if (kind_ == Shell::kBash && !IsAscii(line) && !environment_.IsUtf8())
    return "a locale that is not UTF-8";
  return CheckPrograms(surroundings.child.plan.mask, surroundings.HasActions());
}

std::string ShellLine::CheckPrograms(sys::KernelSigset mask,
                                     bool has_actions) const {
  // Its table of them is made larger then, and their order another.
  constexpr size_t kMostBashAssignments = 8;
  size_t first = 0;        // Of the command.
  bool is_program = true;  // The next word is.
  bool has_program = false;
  for (size_t i = 0; i < token_count_; ++i) {
    const PlanToken& token = tokens_[i];
    if (token.kind == Kind::kAnd) {
      is_program = true;
      first = i + 1;
    } else if (token.kind == Kind::kOpen && !MayBeOpenedAgain()) {
      return "redirection under this umask";
    } else if (token.kind == Kind::kExec && mask != 0) {
      return "exec while signals are blocked";
    } else if (token.kind == Kind::kChangeDir && has_actions) {
      // They might take the number of the directory's descriptor.
      return "cd and actions";
    } else if (token.kind == Kind::kAssignment && kind_ == Shell::kBash &&
               i - first >= kMostBashAssignments) {
      return "many assignments, in bash";
    } else if (token.kind == Kind::kChangeDir && has_program &&
               kind_ == Shell::kBash) {
      // Where OLDPWD stands in its environment by then is not known.
      return "cd after a program, in bash";
    } else if (token.kind == Kind::kWord && is_program) {
      is_program = false;
      has_program = true;
      if (!strchr(token.text, '/'))
        if (std::string reason = CheckSearchPath(token.text); !reason.empty())
          return reason;
    }
  }
  return "";
}

std::string ShellLine::CheckSearchPath(const char* name) const {
  const char* path = environment_.Value("PATH");
  if (!path)
    return "no PATH in the environment";
  if (!IsPlainSearchPath(path))
    return "PATH with entries that are not plain";
  if (kind_ == Shell::kBusybox && shell_->MayBeApplet(name))
    return std::string("applet '") + name + "'";
  return "";
}

std::unique_ptr<LaunchBlock> ShellLine::Release() {
  dir_fd_.Reset();
  new_dir_fd_.Reset();
  return std::move(surroundings_);
}

bool ShellLine::Next() {
  if (last_ > 0) {
    // A program has run. Behind it is the && that leads on.
    has_run_ = true;
    if (next_ < token_count_) {
      resume_offset_ = tokens_[next_].offset;
      resume_newlines_ = tokens_[next_].number;
    }
    resume_dir_ = environment_.changed();
    if (new_dir_fd_)
      dir_fd_ = std::move(new_dir_fd_);
    chdirs_.clear();
    first_ = last_ = 0;
  }
  for (; next_ < token_count_; ++next_) {
    const PlanToken& token = tokens_[next_];
    switch (token.kind) {
      case Kind::kAnd:
        break;
      case Kind::kChangeDir:
        environment_.ChangeDir(token.text);
        chdirs_.push_back(environment_.dir());
        break;
      case Kind::kStatus:
        status_ = static_cast<int>(token.number);
        if (status_ != 0) {
          next_ = token_count_;
          return false;
        }
        break;
      default:
        first_ = next_;
        place_ = {.in_list = first_ > 0};
        for (; next_ < token_count_ && tokens_[next_].kind != Kind::kAnd;
             ++next_) {
          Kind kind = tokens_[next_].kind;
          place_.redirected |= kind == Kind::kOpen || kind == Kind::kDup;
          place_.exec |= kind == Kind::kExec;
        }
        last_ = next_;
        place_.is_last = last_ == token_count_;
        status_ = -1;
        return true;
    }
  }
  return false;
}

const char* ShellLine::Program() const {
  for (size_t i = first_; i < last_; ++i)
    if (tokens_[i].kind == Kind::kWord)
      return tokens_[i].text;
  return "";
}

Result<std::string> ShellLine::FindProgram(PathLookup* lookup) {
  std::string_view name = Program();
  if (name.find('/') != name.npos)
    return std::string(name);
  // All shells remember where they have found a program.
  for (const auto& [known, path] : found_)
    if (known == name)
      return path;
  Result<std::string> path = lookup->Find(name, environment_.Value("PATH"), {});
  if (path.ok() && HasNext())
    found_.emplace_back(name, path.value());
  return path;
}

Result<void> ShellLine::StoreProgram(const std::string& path,
                                     LaunchBlock* block) {
  block->StoreProgramOf(*surroundings_);
  block->child.plan.mask = shell_->ProgramMask(block->child.plan.mask);
  std::vector<ChildStep>& steps = block->line_steps();
  if (dir_fd_)
    steps.push_back({.kind = ChildStep::Kind::kFchdir, .fd = dir_fd_.get()});
  for (const char* dir : chdirs_)
    steps.push_back({.kind = ChildStep::Kind::kChdir, .path = dir});
  if (!chdirs_.empty() && HasNext()) {
    Fd opened(open(chdirs_.back(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!opened)
      return Error{errno, "open", chdirs_.back()};
    new_dir_fd_ = AboveStdioOrNone(std::move(opened));
    if (!new_dir_fd_)
      return Error{EMFILE, "fcntl", chdirs_.back()};
    if (!SparesDescriptors(new_dir_fd_.get())) {
      new_dir_fd_.Reset();
      return Error{EMFILE, "open", chdirs_.back()};
    }
    steps.back() = {.kind = ChildStep::Kind::kFchdir, .fd = new_dir_fd_.get()};
  }

  if (shell_->IgnoresQuit(place_))
    steps.push_back({.kind = ChildStep::Kind::kSignalIgnore,
                     .signals = sys::KernelSigset{1} << (SIGQUIT - 1)});

  assignments_.clear();
  for (size_t i = first_; i < last_; ++i) {
    const PlanToken& token = tokens_[i];
    switch (token.kind) {
      case Kind::kWord:
        block->argv().push_back(Mutable(token.text));
        break;
      case Kind::kAssignment:
        assignments_.push_back(token.text);
        break;
      case Kind::kOpen:
        steps.push_back({.kind = ChildStep::Kind::kOpen,
                         .fd = AT_FDCWD,
                         .newfd = token.fd,
                         .flags = token.flags,
                         .mode = 0666,
                         .path = token.text});
        break;
      case Kind::kDup:
        steps.push_back({.kind = ChildStep::Kind::kDup2,
                         .fd = static_cast<int>(token.number),
                         .newfd = token.fd});
        break;
      default:
        break;
    }
  }
  block->argv().push_back(nullptr);
  environment_.Export(assignments_, place_, path, &block->envp());
  block->SetExecutable(path);
  return {};
}

std::unique_ptr<LaunchBlock> ShellLine::TakeShell() {
  if (!has_run_)
    return std::move(surroundings_);
  // Its messages count lines. The blank: a '-' in front would be an option.
  resume_line_.assign(resume_newlines_, '\n');
  resume_line_.push_back(' ');
  resume_line_.append(surroundings_->argv()[2] + resume_offset_);
  auto block = std::make_unique<LaunchBlock>();
  block->StoreProgramOf(*surroundings_);
  for (const char* word : {"/bin/sh", "-c", resume_line_.c_str()})
    block->argv().push_back(Mutable(word));
  block->argv().push_back(nullptr);
  environment_.ExportForShell(surroundings_->env(), resume_dir_,
                              &block->envp());
  if (dir_fd_)
    block->line_steps().push_back(
        {.kind = ChildStep::Kind::kFchdir, .fd = dir_fd_.get()});
  block->SetExecutable(shell_->path());
  return block;
}

ShellLine::ErrorTarget ShellLine::FindErrorTarget() const {
  ErrorTarget targets[3] = {{0, ""}, {1, ""}, {2, ""}};
  for (size_t i = first_; i < last_; ++i) {
    const PlanToken& token = tokens_[i];
    if (token.kind == Kind::kDup) {
      targets[token.fd] = targets[token.number];
    } else if (token.kind == Kind::kOpen) {
      targets[token.fd] = {};
      if ((token.flags & O_ACCMODE) == O_WRONLY)
        targets[token.fd].path =
            token.text[0] == '/'
                ? token.text
                : std::string(environment_.dir()) + "/" + token.text;
    }
  }
  return targets[2];
}

}  // namespace launcher
