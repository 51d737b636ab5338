// launcher-sh: stands in for /bin/sh where make looks for its SHELL. A line of
// one program is that program, started by launcherd if that can do it faster;
// programs joined by && are so one after the other; all the rest is the
// shell's.
//
// SPDX-License-Identifier: Apache-2.0

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string_view>

#include "ending.h"
#include "line.h"
#include "make_error.h"
#include "passenger.h"
#include "real_shell.h"
#include "sys.h"

namespace launcher {

namespace {

using sys::Arg;
using sys::Raw;

struct Arguments {
  char* line = nullptr;
  bool as_make_does = false;  ///< -c or -ec, in one word.
};

/// Whether it is `sh -c LINE`, or with -e, which changes nothing for a line of
/// one program.
bool ReadArguments(char** argv, Arguments* arguments) {
  bool has_line = false;
  int i = 1;
  for (; argv[0] && argv[i] && argv[i + 1]; ++i) {
    std::string_view word = argv[i];
    if (word != "-c" && word != "-e" && word != "-ec" && word != "-ce")
      return false;
    has_line |= word.find('c') != word.npos;
    arguments->as_make_does = i == 1 && (word == "-c" || word == "-ec");
  }
  if (!has_line || !argv[i])
    return false;
  arguments->line = argv[i];
  return true;
}

/// Whether the parent is make: others have never seen a line started without a
/// shell.
bool ParentIsMake() {
  char number[16];
  size_t at = sizeof(number);
  for (long pid = Raw(SYS_getppid); pid > 0; pid /= 10)
    number[--at] = static_cast<char>('0' + pid % 10);
  std::string link = "/proc/";
  link.append(number + at, sizeof(number) - at).append("/exe");
  char target[4096];
  ssize_t size = readlink(link.c_str(), target, sizeof(target));
  std::string_view name(target, size > 0 ? static_cast<size_t>(size) : 0);
  name.remove_prefix(name.rfind('/') + 1);
  return name.starts_with("make") || name.starts_with("gmake");
}

[[noreturn]] void GiveToShell(std::string_view reason) {
  TellOfShell(reason);
  RunRealShell();
}

/// This process becomes the program.
[[noreturn]] void RunInPlace(const Program& program) {
  FailAsMake(program.argv[0],
             Raw(SYS_execve, Arg(program.path.c_str()),
                 Arg(program.argv.data()), Arg(program.envp.data())));
  RunRealShell();
}

/// Ends as dash does when a signal has killed the program of the line. What it
/// says, and whether it dies too, depends on its version: so a dash is made to
/// run a program that dies of the same signal.
[[noreturn]] void DieAsShell(const Program& program, int signal) {
  char digits[] = {static_cast<char>('0' + signal / 10),
                   static_cast<char>('0' + signal % 10), '\0'};
  std::string line = program.place.in_list ? ": && " : "";
  line.append("/bin/sh -c 'ulimit -c 0; kill -").append(digits);
  line.append(" $$; exit $((128 + ").append(digits).append("))'");
  if (program.place.redirected)
    line += " >/dev/null";
  if (!program.place.is_last)
    line += " && :";
  // Its message goes where the standard error of the line went.
  size_t failed;
  for (ChildStep step : program.steps) {
    step.flags = (step.flags & ~O_TRUNC) | O_NONBLOCK;
    if ((step.flags & O_ACCMODE) == O_WRONLY)
      step.flags |= O_APPEND;
    (void)RunSteps(&step, 1, &failed);
  }
  static char name[] = "/bin/sh", flag[] = "-c";
  char* argv[] = {name, flag, line.data(), nullptr};
  Raw(SYS_execve, Arg(name), Arg(argv), Arg(invocation.envp));
  Exit(128 + signal);
}

/// Runs it as a child, as dash does. Returns its exit status.
int RunAsShell(const Program& program) {
  alignas(16) static char stack[16 * 1024];
  ChildLaunch launch;
  launch.plan = {.steps = program.steps.data(),
                 .step_count = program.steps.size(),
                 .path = program.path.c_str(),
                 .argv = program.argv.data(),
                 .envp = program.envp.data(),
                 .mask = program.mask};
  clone_args args = {};
  args.flags = CLONE_VM | CLONE_VFORK;
  args.exit_signal = SIGCHLD;
  args.stack = reinterpret_cast<uint64_t>(stack);
  args.stack_size = sizeof(stack);
  long pid = sys::Clone3(&args, RunChild, &launch);
  if (pid < 0)
    RunRealShell();
  siginfo_t info = {};
  while (sys::Waitid(P_PID, static_cast<int>(pid), &info, WEXITED, nullptr) ==
         -EINTR) {
  }
  if (launch.report.error != 0)
    RunRealShell();  // Which says what is wrong.
  if (info.si_code == CLD_EXITED)
    return info.si_status;
  DieAsShell(program, info.si_status);
}

/// Returns the exit status of the program; ends as it does in all other cases.
int Run(const Program& program) {
  JobEnd end = RunByServer(program);
  switch (end.how) {
    case JobEnd::How::kNotRun:
      if (!program.in_shell)
        RunInPlace(program);
      return RunAsShell(program);
    case JobEnd::How::kExited:
      return end.code;
    case JobEnd::How::kSignaled:
      program.in_shell ? DieAsShell(program, end.code) : DieOf(end.code);
    case JobEnd::How::kUnknown:
      break;
  }
  EndUnknown("launcher-sh", program.argv[0], "this line");
}

}  // namespace

void Main(char** argv, char** envp) {
  invocation = {argv, envp};
  Arguments arguments;
  const char* use = Environment("LAUNCHER_SHELL");
  Line line;
  if (use && strcmp(use, "always") == 0)
    GiveToShell("LAUNCHER_SHELL=always");
  if (!ReadArguments(argv, &arguments))
    GiveToShell("other arguments than -c and a line");
  if (!line.Read(arguments.line, arguments.as_make_does && ParentIsMake()))
    GiveToShell(line.reason());
  for (;;) {
    const int status = Run(line.program());
    if (status != 0 || !line.HasNext())
      Exit(status);
    if (!line.Next())
      GiveToShell(line.reason());
  }
}

}  // namespace launcher
