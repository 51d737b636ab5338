// Proves, as far as chance reaches, that Launcher::SpawnLine() does with a
// command line what a real shell does: runs random lines both ways and compares
// all that programs, files and output tell.
//
// SPDX-License-Identifier: Apache-2.0

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "confine.h"
#include "report.h"
#include "worker.h"

namespace shell_fuzz {
namespace {

constexpr char kUsage[] =
    R"(usage: shell_fuzz --witness FILE --shell NAME=PATH... [options]

  --witness FILE     the program that lines start, built from witness.c
  --shell NAME=PATH  a shell to compare with; once for each

  --seed N           of the random numbers                             [1]
  --cases N          lines to run                                      [20000]
  --first N          the first of them                                 [0]
  --regressions FILE lines that are run before them
  --differences N    how many to report before giving up               [20]
  --jobs N           processes                                  [one a CPU]
  --engine NAME      auto, clone3, posix_spawn                         [auto]
  --dir DIR          for the files of the lines                  [/dev/shm]
  --report FILE      write the summary there too
  --header FILE      what the summary says about the machine: bench/env.py
  --self             the shell against itself: tests this program
  --unconfined       run without Landlock; lines may write where you may

instead of all this:
  --line TEXT        run one line, as in a regressions file; say what was seen
  --show N           print lines as they are made

Ends with 0: all the same; 1: there are differences; 2: could not run; 77: this
kernel has no Landlock to confine the lines with.
)";

[[noreturn]] void Fail(const std::string& what) {
  fprintf(stderr, "shell_fuzz: error: %s\n", what.c_str());
  exit(2);
}

struct Arguments {
  Options options;
  std::optional<std::string> line;
  uint64_t show = 0;
};

uint64_t Number(const std::string& text) {
  char* end;
  errno = 0;
  uint64_t number = strtoull(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || errno != 0 || text[0] == '-')
    Fail("not a number: '" + text + "'");
  return number;
}

Shell ParseShell(const std::string& text) {
  size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    Fail("not NAME=PATH: '" + text + "'");
  Shell shell = {text.substr(0, equals), text.substr(equals + 1)};
  char* real = realpath(shell.path.c_str(), nullptr);
  if (!real || access(real, X_OK) != 0)
    Fail("shell '" + shell.path + "': " + strerror(errno));
  shell.path = real;
  free(real);
  return shell;
}

launcher::Engine ParseEngine(const std::string& name) {
  using launcher::Engine;
  for (Engine engine : {Engine::kAuto, Engine::kClone3, Engine::kPosixSpawn})
    if (name == launcher::EngineName(engine))
      return engine;
  Fail("no engine: '" + name + "'");
}

std::vector<Case> ReadRegressions(const std::string& path) {
  std::ifstream file(path);
  if (!file)
    Fail(path + ": " + strerror(errno));
  std::vector<Case> cases;
  int number = 0;
  for (std::string line, error; std::getline(file, line);) {
    ++number;
    if (line.empty() || line[0] == '#')
      continue;
    if (!Case::FromText(line, &cases.emplace_back(), &error))
      Fail(path + ":" + std::to_string(number) + ": " + error);
  }
  return cases;
}

Arguments Parse(int argc, char** argv) {
  Arguments result;
  Options& options = result.options;
  options.jobs = std::max(1u, std::thread::hardware_concurrency());
  options.directory = "/dev/shm";
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    auto value = [&]() -> std::string {
      if (++i == argc)
        Fail(name + " needs a value");
      return argv[i];
    };
    if (name == "--help" || name == "-h") {
      fputs(kUsage, stdout);
      exit(0);
    } else if (name == "--self") {
      options.runner.self = true;
    } else if (name == "--unconfined") {
      options.unconfined = true;
    } else if (name == "--witness") {
      options.witness = value();
    } else if (name == "--shell") {
      options.shells.push_back(ParseShell(value()));
    } else if (name == "--seed") {
      options.seed = Number(value());
    } else if (name == "--cases") {
      options.cases = Number(value());
    } else if (name == "--first") {
      options.first = Number(value());
    } else if (name == "--differences") {
      options.most_differences = Number(value());
    } else if (name == "--jobs") {
      options.jobs = Number(value());
    } else if (name == "--engine") {
      options.runner.engine = ParseEngine(value());
    } else if (name == "--regressions") {
      options.regressions = ReadRegressions(value());
    } else if (name == "--dir") {
      options.directory = value();
    } else if (name == "--report") {
      options.report = value();
    } else if (name == "--header") {
      options.header = value();
    } else if (name == "--line") {
      result.line = value();
    } else if (name == "--show") {
      result.show = Number(value());
    } else {
      Fail("what is '" + name + "'? --help tells the options");
    }
  }
  if (options.witness.empty() || options.shells.empty())
    Fail("--witness and --shell are needed; --help tells more");
  if (options.shells.size() > kMostShells)
    Fail("too many shells");
  if (options.jobs < 1 || options.jobs > kMostJobs)
    Fail("--jobs: 1 to " + std::to_string(kMostJobs));
  return result;
}

/// Removed at its end, with all in it.
class Directory {
 public:
  explicit Directory(const std::string& parent)
      : path_(parent + "/shell_fuzz.XXXXXX"), owner_(getpid()) {
    if (!mkdtemp(path_.data()))
      Die(path_);
    // Without links in it, as the shells will see it.
    char* real = realpath(path_.c_str(), nullptr);
    path_ = real;
    free(real);
  }
  ~Directory() {
    if (getpid() == owner_)
      RemoveTree(path_);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
  pid_t owner_;
};

/// Starts the processes, watches them and adds up what they say.
class Master {
 public:
  explicit Master(const Options& options) : options_(options) {
    void* memory = mmap(nullptr, sizeof(Counts), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
      Die("mmap");
    counts_ = new (memory) Counts();
  }

  int Run() {
    sigset_t wanted, old;
    sigemptyset(&wanted);
    for (int number : {SIGCHLD, SIGINT, SIGTERM, SIGHUP})
      sigaddset(&wanted, number);
    sigprocmask(SIG_BLOCK, &wanted, &old);
    for (size_t job = 0; job < options_.jobs; ++job)
      Start(job, old);
    while (Running()) {
      const timespec tick = {10, 0};
      int number = sigtimedwait(&wanted, nullptr, &tick);
      if (number == SIGCHLD)
        Collect();
      else if (number > 0)
        return Interrupted(number);
      else
        Progress();
    }
    return Result();
  }

 private:
  struct Job {
    pid_t pid = 0;
    launcher::Fd log;
  };

  void Start(size_t job, const sigset_t& mask) {
    launcher::Fd log(memfd_create("log", MFD_CLOEXEC));
    pid_t pid = log ? fork() : -1;
    if (pid < 0)
      Die("fork");
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      sigprocmask(SIG_SETMASK, &mask, nullptr);
      Worker(options_, job, counts_, log.get()).Run();
      _exit(0);
    }
    jobs_.push_back({pid, std::move(log)});
  }

  bool Running() const {
    return std::any_of(jobs_.begin(), jobs_.end(),
                       [](const Job& job) { return job.pid != 0; });
  }

  void Collect() {
    for (size_t i = 0; i < jobs_.size(); ++i) {
      int status;
      if (jobs_[i].pid == 0 || waitpid(jobs_[i].pid, &status, WNOHANG) <= 0)
        continue;
      jobs_[i].pid = 0;
      if (status == 0)
        continue;
      broken_ = true;
      fprintf(stderr,
              "shell_fuzz: error: process %zu ended with status 0x%x at case "
              "%" PRIu64 "\n",
              i, status, counts_->current[i].load() - 1);
    }
  }

  int Interrupted(int number) {
    for (const Job& job : jobs_)
      if (job.pid != 0) {
        ::kill(job.pid, SIGKILL);
        waitpid(job.pid, nullptr, 0);
      }
    fprintf(stderr, "shell_fuzz: interrupted\n");
    return 128 + number;
  }

  double Seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                         start_)
        .count();
  }

  void Progress() {
    fprintf(stderr,
            "%" PRIu64 " of %" PRIu64 " cases, %.0f/s, %" PRIu64
            " differences\n",
            counts_->cases.load(), options_.cases,
            static_cast<double>(counts_->cases) / Seconds(),
            counts_->differences.load());
  }

  int Result() {
    std::vector<std::string> logs;
    for (const Job& job : jobs_) {
      struct stat status;
      if (fstat(job.log.get(), &status) != 0)
        Die("fstat");
      std::string log(status.st_size, '\0');
      if (pread(job.log.get(), log.data(), log.size(), 0) != status.st_size)
        Die("pread");
      logs.push_back(log);
    }
    std::string text = Summary(options_, *counts_, logs, Seconds());
    fputs(text.c_str(), stdout);
    if (!options_.report.empty() &&
        !(std::ofstream(options_.report) << text << std::flush))
      Fail(options_.report + ": cannot be written");
    if (broken_)
      return 2;
    // None of these can be for want of luck.
    for (size_t i = 0; i < options_.shells.size(); ++i)
      if (options_.cases >= 1000 &&
          (counts_->shells[i].programs == 0 || counts_->shells[i].runs == 0))
        Fail(options_.shells[i].name + " has started no program");
    return counts_->differences > 0 ? 1 : 0;
  }

  const Options& options_;
  Counts* counts_;
  std::vector<Job> jobs_;
  bool broken_ = false;
  std::chrono::steady_clock::time_point start_ =
      std::chrono::steady_clock::now();
};

/// --show and --line.
int Look(const Arguments& arguments) {
  Counts counts{};
  Worker worker(arguments.options, 0, &counts, -1);
  if (arguments.show > 0) {
    worker.Show(arguments.show);
    return 0;
  }
  Case that;
  std::string error;
  if (!Case::FromText(*arguments.line, &that, &error))
    Fail(error);
  return worker.Explain(that) ? 0 : 1;
}

int Main(int argc, char** argv) {
  Arguments arguments = Parse(argc, argv);
  Options& options = arguments.options;
  if (!CanConfine() && !options.unconfined) {
    fputs("shell_fuzz: this kernel has no Landlock: nothing was run\n", stderr);
    return 77;
  }
  if (!options.header.empty() && access(options.header.c_str(), R_OK) != 0)
    Fail(options.header + ": " + strerror(errno));
  // No core files among what lines make, and none that `cat x >> x` grows.
  const rlimit none = {0, 0}, few = {16 << 20, 16 << 20};
  setrlimit(RLIMIT_CORE, &none);
  setrlimit(RLIMIT_FSIZE, &few);
  umask(022);

  Directory directory(options.directory);
  options.directory = directory.path();
  if (!arguments.line && arguments.show == 0)
    return Master(options).Run();
  // In a process of its own too, because it cannot leave its confinement to
  // clean up.
  pid_t pid = fork();
  if (pid < 0)
    Die("fork");
  if (pid == 0)
    _exit(Look(arguments));
  int status;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

}  // namespace
}  // namespace shell_fuzz

int main(int argc, char** argv) { return shell_fuzz::Main(argc, argv); }
