// SPDX-License-Identifier: Apache-2.0

#include "observe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <string_view>

namespace shell_fuzz {
namespace {

using launcher::Action;
using launcher::Command;
using launcher::Fd;
using launcher::Finished;
using launcher::Stdio;

constexpr int kReportFd = 100;  // As witness.c has it.
constexpr int kExtraFd = 7;

// What takes longer is taken for a hang.
constexpr std::chrono::seconds kHang{10};

}  // namespace

/// A case as the launcher gets it, and what of it is a matter of the whole
/// process: set here, put back in the end.
struct Runner::Prepared {
  Prepared(const Case& that, const Sandbox& sandbox, int reports, int null);
  ~Prepared();
  Prepared(const Prepared&) = delete;
  Prepared& operator=(const Prepared&) = delete;

  std::string line;
  std::vector<std::string> env;
  std::vector<const char*> envp;
  std::string directory;
  Fd directory_fd;
  Fd input;
  std::vector<Action> actions;
  Command command;

 private:
  const Sandbox& sandbox_;
  int ignored_;
  mode_t umask_;
};

Runner::Prepared::Prepared(const Case& that, const Sandbox& sandbox,
                           int reports, int null)
    : line(sandbox.Expand(that.line)),
      sandbox_(sandbox),
      ignored_(that.ignored) {
  for (const std::string& entry : that.env)
    env.push_back(sandbox.Expand(entry));
  for (const std::string& entry : env)
    envp.push_back(entry.c_str());
  envp.push_back(nullptr);
  command.env = envp.data();

  directory = sandbox.Path(that.start);
  if (that.start == Case::Start::kGone) {
    command.cwd_fd = sandbox.gone_fd();
  } else if (that.enter == Case::Enter::kFd) {
    directory_fd.Reset(open(directory.c_str(), O_PATH | O_CLOEXEC));
    command.cwd_fd = directory_fd.get();
  } else if (that.enter == Case::Enter::kCwd) {
    command.cwd = directory.c_str();
  } else if (chdir(directory.c_str()) != 0) {
    Die(directory);
  }

  actions.push_back(Action::Dup2(reports, kReportFd));
  if (that.extra_fd)
    actions.push_back(Action::Dup2(null, kExtraFd));
  if (that.blocked != 0) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, that.blocked);
    actions.push_back(Action::SignalMask(set));
  }
  command.actions = actions;
  if (that.file_input) {
    input.Reset(open((sandbox.Path(Case::Start::kWork) + "/file").c_str(),
                     O_RDONLY | O_CLOEXEC));
    command.in = Stdio::FromFd(input.get());
  }
  if (that.split_errors)
    command.err = Stdio::Capture();
  command.timeout = kHang;

  if (ignored_ != 0)
    signal(ignored_, SIG_IGN);
  umask_ = umask(that.umask);
}

Runner::Prepared::~Prepared() {
  umask(umask_);
  if (ignored_ != 0)
    signal(ignored_, SIG_DFL);
  if (chdir(sandbox_.root().c_str()) != 0)
    Die(sandbox_.root());
}

Runner::Runner(Sandbox* sandbox, const std::vector<Shell>& shells,
               Options options)
    : sandbox_(sandbox), self_(options.self) {
  reports_.Reset(memfd_create("reports", MFD_CLOEXEC));
  null_.Reset(open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!reports_ || !null_ || fcntl(reports_.get(), F_SETFL, O_APPEND) != 0)
    Die("memfd_create");
  using Use = launcher::Launcher::Options::ShellUse;
  for (const Shell& shell : shells) {
    auto create = [&](Use use) {
      launcher::Launcher::Options own;
      own.engine = options.engine;
      own.shell = use;
      own.shell_path = sandbox->ShellPath(shell);
      auto created = launcher::Launcher::Create(own);
      if (!created.ok())
        Die(created.error().ToString());
      return std::move(created.value());
    };
    launchers_.push_back({create(Use::kAlways), create(Use::kAuto)});
  }
}

std::string Runner::WhyShell(size_t shell, const Case& that) {
  Prepared prepared(that, *sandbox_, reports_.get(), null_.get());
  return launchers_[shell].automatic->WhyShell(prepared.line.c_str(),
                                               prepared.command);
}

Observation Runner::Run(size_t shell, Mode mode, const Case& that) {
  Observation seen;
  if (ftruncate(reports_.get(), 0) != 0)
    Die("ftruncate");
  {
    Prepared prepared(that, *sandbox_, reports_.get(), null_.get());
    launcher::Launcher* with = mode == Mode::kShell || self_
                                   ? launchers_[shell].always.get()
                                   : launchers_[shell].automatic.get();
    auto started = with->SpawnLine(prepared.line.c_str(), prepared.command);
    if (!started.ok()) {
      seen.error = started.error().ToString();
    } else {
      auto done = with->Wait(std::chrono::milliseconds(-1));
      while (!done.ok() && done.error().code == EINTR)
        done = with->Wait(std::chrono::milliseconds(-1));
      if (done.ok())
        seen.done = std::move(done.value());
      else
        seen.error = done.error().ToString();
    }
  }
  struct stat status;
  if (fstat(reports_.get(), &status) != 0)
    Die("fstat");
  seen.reports.resize(status.st_size);
  if (pread(reports_.get(), seen.reports.data(), status.st_size, 0) !=
      status.st_size)
    Die("pread");
  seen.files = sandbox_->Collect();
  return seen;
}

Runner::Both Runner::RunBoth(size_t shell, const Case& that, int again) {
  Both both;
  both.shell = Run(shell, Mode::kShell, that);
  both.direct = Run(shell, Mode::kDirect, that);
  both.differences = Compare(both.shell, both.direct);
  for (int i = 0; i < again && !both.differences.empty() &&
                  !both.shell.done.timed_out && !both.direct.done.timed_out;
       ++i) {
    Observation other = Run(shell, Mode::kShell, that);
    if (!Compare(other, both.direct).empty())
      continue;
    both.shell = std::move(other);
    both.differences.clear();
    both.unstable = true;
  }
  return both;
}

}  // namespace shell_fuzz
