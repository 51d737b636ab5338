// Runs commands cold and warm and compares all that comes of them: standard
// output and error, status, and the files of the directory that they run in.
//
//   run_pairs --table FILE --inputs SCRIPT [--runs N] [--only NAME]
//   run_pairs --probe PROGRAM... [--runs N] [--only NAME]
//
// Every command runs twice cold, each time in a directory of its own, and then
// N times warm, eight at once. The two cold runs must be equal, else what
// differs by nature has not been named in the table.
//
// SPDX-License-Identifier: Apache-2.0

#include <errno.h>
#include <fcntl.h>
#include <re2/re2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "entry.h"
#include "launcher/launcher.h"
#include "warm/trial.h"

namespace {

namespace fs = std::filesystem;
using launcher::Command;
using launcher::Engine;
using launcher::Fd;
using launcher::Finished;
using launcher::Launcher;
using launcher::Result;

constexpr size_t kAtOnce = 8;
constexpr int kSkip = 77;
constexpr int kColdRuns = 2;
constexpr std::chrono::seconds kHang{120};

/// What came of one.
struct Outcome {
  Finished::Cause cause{};
  int code = 0;
  std::string out, err;
  std::map<std::string, std::string> files;
  Engine engine{};
};

/// One that is on its way. Holds what its Command points to.
struct Run {
  const Entry* entry = nullptr;
  std::string directory;
  Strings variables;
  std::vector<const char*> argv, env;
  Fd input;
};

// Directories.

std::string ReadFile(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

/// `text` without the directory of the run (a name as long for every run) and
/// what the entry says that differs.
std::string Normal(const Entry& entry, const std::string& directory,
                   std::string text) {
  for (size_t at = 0; (at = text.find(directory, at)) != std::string::npos;)
    text.replace(at, directory.size(), std::string(directory.size(), '@'));
  if (!entry.mask.empty())
    RE2::GlobalReplace(&text, RE2(entry.mask, RE2::Latin1), "@");
  return text;
}

std::map<std::string, std::string> Snapshot(const Entry& entry,
                                            const std::string& directory) {
  std::map<std::string, std::string> files;
  for (const auto& item : fs::recursive_directory_iterator(directory)) {
    std::string name = item.path().lexically_relative(directory);
    if (entry.ignored.contains(name))
      continue;
    struct stat status;
    if (lstat(item.path().c_str(), &status) != 0)
      Die("lstat " + item.path().string());
    std::string& text = files[name];
    text = std::to_string(status.st_mode) + ":";
    if (S_ISLNK(status.st_mode))
      text += fs::read_symlink(item.path());
    else if (S_ISREG(status.st_mode))
      text += Normal(entry, directory, ReadFile(item.path()));
  }
  return files;
}

class Directories {
 public:
  explicit Directories(const std::string& script) {
    const char* base = getenv("TMPDIR");
    std::string path =
        std::string(base && *base ? base : "/tmp") + "/run_pairs.XXXXXX";
    if (!mkdtemp(path.data()))
      Die("mkdtemp " + path);
    top_ = fs::canonical(path);
    inputs_ = top_ + "/inputs";
    fs::create_directory(inputs_);
    fs::create_directory(top_ + "/programs");
    if (!script.empty() &&
        system(("cd " + inputs_ + " && sh " + fs::absolute(script).string() +
                " > ../log 2>&1")
                   .c_str()) != 0)
      Die("inputs: " + ReadFile(top_ + "/log"));
  }
  ~Directories() {
    std::error_code ignored;
    fs::remove_all(top_, ignored);
  }
  Directories(const Directories&) = delete;
  Directories& operator=(const Directories&) = delete;

  std::string Make() {
    std::string number = std::to_string(++count_);
    fs::path path =
        top_ + "/run" + std::string(6 - number.size(), '0') + number;
    fs::copy(inputs_, path,
             fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    for (const auto& item : fs::recursive_directory_iterator(inputs_))
      if (item.is_regular_file())
        fs::last_write_time(path / item.path().lexically_relative(inputs_),
                            item.last_write_time());
    return path;
  }

  const std::string& inputs() const { return inputs_; }
  const std::string& top() const { return top_; }

 private:
  std::string top_, inputs_;
  int count_ = 0;
};

// Runs.

constexpr char kPath[] = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

/// The file that is executed, empty if there is none.
std::string Find(const Entry& entry, const Directories& directories) {
  const std::string& program = entry.words[0];
  if (program.find('/') != std::string::npos) {
    fs::path path = fs::path(directories.inputs()) / program;
    return access(path.c_str(), X_OK) == 0 ? path.string() : "";
  }
  std::string_view rest = kPath;
  while (!rest.empty()) {
    std::string path(rest.substr(0, rest.find(':')));
    rest.remove_prefix(std::min(rest.size(), path.size() + 1));
    path += "/" + program;
    if (access(path.c_str(), X_OK) == 0)
      return path;
  }
  return "";
}

Strings Variables(const Entry& entry, const std::string& directory) {
  Strings variables = {std::string("PATH=") + kPath,
                       "HOME=/nonexistent",
                       "LC_ALL=C",
                       "TZ=UTC",
                       "USER=somebody",
                       "SOURCE_DATE_EPOCH=1000000000",
                       "GIT_CONFIG_NOSYSTEM=1"};
  if (entry.own_pwd)
    variables.push_back("PWD=" + directory);
  variables.insert(variables.end(), entry.variables.begin(),
                   entry.variables.end());
  return variables;
}

/// Runs `entry` `times` times and gives each outcome to `done`.
void RunAll(Launcher* launcher, const Entry& entry, int times, size_t at_once,
            Directories* directories,
            const std::function<void(Outcome)>& done) {
  std::vector<std::unique_ptr<Run>> runs;
  for (int started = 0, ended = 0; ended < times;) {
    if (started < times && launcher->children() < at_once) {
      ++started;
      auto run = std::make_unique<Run>();
      run->entry = &entry;
      run->directory = directories->Make();
      run->variables = Variables(entry, run->directory);
      Command command;
      for (const std::string& word : entry.words)
        run->argv.push_back(word.c_str());
      for (const std::string& variable : run->variables)
        run->env.push_back(variable.c_str());
      run->env.push_back(nullptr);
      command.argv = run->argv;
      command.env = run->env.data();
      command.cwd = run->directory.c_str();
      command.err = launcher::Stdio::Capture();
      if (!entry.input.empty()) {
        run->input.Reset(open((run->directory + "/" + entry.input).c_str(),
                              O_RDONLY | O_CLOEXEC));
        if (run->input.get() < 0)
          Die("no input " + entry.input);
        command.in = launcher::Stdio::FromFd(run->input.get());
      }
      if (entry.change)
        entry.change(&command);
      command.tag = run.get();
      auto spawned = launcher->Spawn(command);
      if (!spawned.ok())
        Die(entry.name + ": " + spawned.error().ToString());
      runs.push_back(std::move(run));
      continue;
    }
    auto finished = launcher->Wait(kHang);
    if (!finished.ok() && finished.error().code == EINTR)
      continue;
    if (!finished.ok())
      Die(entry.name + ": hangs: " + finished.error().ToString());
    Finished& job = finished.value();
    ++ended;
    auto at = std::find_if(runs.begin(), runs.end(), [&](const auto& run) {
      return run.get() == job.tag;
    });
    if (at == runs.end())
      Die(entry.name + ": a job that is not known");
    Outcome outcome;
    outcome.cause = job.cause;
    outcome.code =
        job.cause == Finished::Cause::kNotStarted ? job.error.code : job.code;
    outcome.engine = job.engine;
    const std::string& directory = (*at)->directory;
    outcome.out = Normal(entry, directory, std::move(job.output));
    outcome.err = Normal(entry, directory, std::move(job.error_output));
    outcome.files = Snapshot(entry, directory);
    std::error_code ignored;
    fs::remove_all(directory, ignored);
    runs.erase(at);
    done(std::move(outcome));
  }
}

std::string Excerpt(const std::string& text, size_t at) {
  size_t start = text.rfind('\n', at ? at - 1 : 0);
  start = start == std::string::npos || start > at ? 0 : start + 1;
  std::string line =
      text.substr(start, std::min(text.find('\n', at), at + 160) - start);
  for (char& c : line)
    if (static_cast<unsigned char>(c) < ' ')
      c = '?';
  return line;
}

/// Where the two are not the same, empty if they are.
std::string DiffText(const std::string& what, const std::string& a,
                     const std::string& b) {
  if (a == b)
    return "";
  size_t at =
      std::mismatch(
          a.begin(),
          a.begin() + static_cast<ptrdiff_t>(std::min(a.size(), b.size())),
          b.begin())
          .first -
      a.begin();
  return what + ":\n    - " + Excerpt(a, at) + "\n    + " + Excerpt(b, at) +
         "\n";
}

std::string Diff(const Outcome& a, const Outcome& b) {
  std::string text;
  if (a.cause != b.cause || a.code != b.code)
    text += "status: " + std::to_string(int(a.cause)) + ":" +
            std::to_string(a.code) + " and " + std::to_string(int(b.cause)) +
            ":" + std::to_string(b.code) + "\n";
  text += DiffText("output", a.out, b.out);
  text += DiffText("error output", a.err, b.err);
  std::set<std::string> names;
  for (const auto* files : {&a.files, &b.files})
    for (const auto& [name, file] : *files)
      names.insert(name);
  for (const std::string& name : names) {
    auto in_a = a.files.find(name), in_b = b.files.find(name);
    if (in_a == a.files.end() || in_b == b.files.end())
      text += "file " + name + " is only in one\n";
    else
      text += DiffText("file " + name, in_a->second, in_b->second);
  }
  return text;
}

// Comparing.

struct Row {
  int warm = 0;
  std::string wrong;  ///< Empty: equal.
};

using Clean = std::function<void(Outcome*, std::string* wrong)>;

Row Compare(Launcher* cold, Launcher* warm, const Entry& entry, int times,
            Directories* directories, const Clean& clean) {
  Row row;
  std::vector<Outcome> colds;
  RunAll(cold, entry, kColdRuns, 1, directories, [&](Outcome outcome) {
    if (clean)
      clean(&outcome, &row.wrong);
    colds.push_back(std::move(outcome));
  });
  std::string text = Diff(colds[0], colds[1]);
  if (!text.empty()) {
    row.wrong = "two cold runs differ: " + text;
    return row;
  }
  RunAll(warm, entry, times, kAtOnce, directories, [&](Outcome outcome) {
    row.warm += outcome.engine == Engine::kWarm;
    if (clean)
      clean(&outcome, &row.wrong);
    if (row.wrong.empty())
      row.wrong = Diff(colds[0], outcome);
  });
  return row;
}

std::unique_ptr<Launcher> Create(Engine engine) {
  Launcher::Options options;
  options.engine = engine;
  auto made = Launcher::Create(std::move(options));
  if (!made.ok())
    Die(made.error().ToString());
  return std::move(made.value());
}

/// Why `path` is not launched warm, of the launcher's reasons.
std::string Reason(const Launcher& launcher, const std::string& path) {
  for (const std::string& reason : launcher.statistics().never_warm)
    if (reason.starts_with(path + ": "))
      return reason.substr(path.size() + 2);
  return "";
}

std::string LoaderTime(const Entry& entry, const std::string& path,
                       const Directories& directories) {
  launcher::warm::Program program;
  program.path = path;
  program.name = entry.words[0];
  program.environment = Variables(entry, directories.inputs());
  launcher::warm::Canceller canceller;
  auto trial = launcher::warm::TryProgram(program, &canceller);
  if (!trial.ok())
    return "-";
  char text[32];
  snprintf(text, sizeof(text), "%.2f",
           static_cast<double>(trial.value().loader_cpu.count()) / 1e6);
  return text;
}

int CountDescriptors() {
  return static_cast<int>(std::distance(fs::directory_iterator("/proc/self/fd"),
                                        fs::directory_iterator()));
}

/// What is left when there is no Launcher any more.
std::string Leftovers(int descriptors) {
  std::string text;
  if (int now = CountDescriptors(); now != descriptors)
    text += std::to_string(now - descriptors) + " descriptors are left\n";
  if (waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD)
    text += "a child is left\n";
  return text;
}

int RunTable(const std::string& table, const std::string& inputs, int runs,
             const std::string& only) {
  Directories directories(inputs);
  if (chdir(directories.top().c_str()) != 0)
    Die("chdir");
  const int descriptors = CountDescriptors();
  int failed = 0, compared = 0, skipped = 0, warm_count = 0;
  std::set<std::string> programs;
  Strings missing;
  {
    auto cold = Create(Engine::kClone3), warm = Create(Engine::kWarm);
    printf("%-18s %9s  %s\n", "command", "loader ms", "warm");
    for (Entry entry : ReadTable(table)) {
      if (!only.empty() && entry.name != only)
        continue;
      if (entry.words[0].starts_with("programs/"))
        entry.words[0] = directories.top() + "/" + entry.words[0];
      std::string path = Find(entry, directories);
      if (path.empty()) {
        ++skipped;
        missing.push_back(entry.name);
        continue;
      }
      Row row = Compare(cold.get(), warm.get(), entry, runs, &directories, {});
      ++compared;
      programs.insert(fs::path(path).filename());
      std::string how =
          std::to_string(row.warm) + " of " + std::to_string(runs);
      if (row.warm == runs) {
        how = "warm";
        ++warm_count;
      } else if (std::string reason = Reason(*warm, path); !reason.empty()) {
        how = (row.warm ? how + ": " : "") + reason;
      }
      printf("%-18s %9s  %s\n", entry.name.c_str(),
             LoaderTime(entry, path, directories).c_str(), how.c_str());
      if (!row.wrong.empty()) {
        ++failed;
        printf("FAILED %s: %s", entry.name.c_str(), row.wrong.c_str());
      }
      fflush(stdout);
    }
    auto statistics = warm->statistics();
    printf(
        "\n%d commands of %zu programs compared, %d of them warm, %d wrong; "
        "%d not installed:",
        compared, programs.size(), warm_count, failed, skipped);
    for (const std::string& name : missing)
      printf(" %s", name.c_str());
    printf(
        "\nparked %llu, stale %llu, evicted %llu, died %llu; now %llu with "
        "%llu KiB of their own\n",
        static_cast<unsigned long long>(statistics.warm_parked),
        static_cast<unsigned long long>(statistics.warm_stale),
        static_cast<unsigned long long>(statistics.warm_evictions),
        static_cast<unsigned long long>(statistics.warm_deaths),
        static_cast<unsigned long long>(statistics.warm_processes),
        static_cast<unsigned long long>(statistics.warm_private_kib));
  }
  if (std::string left = Leftovers(descriptors); !left.empty()) {
    printf("FAILED: %s", left.c_str());
    ++failed;
  }
  if (failed)
    return 1;
  return warm_count ? 0 : kSkip;
}

// The probe.

/// Takes the values out of the lines "differs NAME VALUE", which no two runs
/// may share.
Clean CheckDiffering(std::set<std::string>* seen) {
  return [seen](Outcome* outcome, std::string* wrong) {
    std::string text;
    size_t at = 0;
    while (at < outcome->out.size()) {
      size_t end = std::min(outcome->out.find('\n', at), outcome->out.size());
      std::string line = outcome->out.substr(at, end - at);
      at = end + 1;
      if (line.starts_with("differs ")) {
        if (!seen->insert(line).second)
          *wrong += "seen before: " + line + "\n";
        line.resize(line.rfind(' '));
      }
      text += line + "\n";
    }
    outcome->out = std::move(text);
  };
}

int RunProbes(const Strings& probes, int runs, const std::string& only) {
  Directories directories("");
  // One of which children get a copy, if they are to.
  Fd descriptor(fcntl(open("/dev/zero", O_RDONLY | O_CLOEXEC), F_DUPFD, 40));
  const int descriptors = CountDescriptors();
  int failed = 0, warm_count = 0;
  {
    auto cold = Create(Engine::kClone3), warm = Create(Engine::kWarm);
    std::set<std::string> seen;
    for (const std::string& probe : probes) {
      printf("%s\n", fs::path(probe).filename().c_str());
      std::vector<Entry> cases = ProbeCases(probe, descriptor.get());
      if (&probe == &probes.back())  // The changes stay.
        for (Entry& entry : SurroundingCases(probe))
          cases.push_back(std::move(entry));
      for (const Entry& entry : cases) {
        if (!only.empty() && entry.name != only)
          continue;
        if (entry.before) {
          RunAll(warm.get(), entry, 1, 1, &directories, [](Outcome) {});
          entry.before();
        }
        Row row = Compare(cold.get(), warm.get(), entry, runs, &directories,
                          CheckDiffering(&seen));
        warm_count += row.warm;
        printf("  %-26s %d of %d warm %s\n", entry.name.c_str(), row.warm, runs,
               row.warm ? "" : Reason(*warm, probe).c_str());
        if (!row.wrong.empty()) {
          ++failed;
          printf("FAILED %s: %s", entry.name.c_str(), row.wrong.c_str());
        }
        fflush(stdout);
      }
    }
  }
  if (std::string left = Leftovers(descriptors); !left.empty()) {
    printf("FAILED: %s", left.c_str());
    ++failed;
  }
  if (failed)
    return 1;
  return warm_count ? 0 : kSkip;
}

}  // namespace

int main(int argc, char** argv) {
  std::string table, inputs, only;
  Strings probes;
  int runs = 3;
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    if (i + 1 >= argc)
      Die("no value: " + word);
    if (word == "--table")
      table = argv[++i];
    else if (word == "--inputs")
      inputs = argv[++i];
    else if (word == "--runs")
      runs = atoi(argv[++i]);
    else if (word == "--only")
      only = argv[++i];
    else if (word == "--probe")
      probes.push_back(argv[++i]);
    else
      Die("unknown: " + word);
  }
  if (runs < 1 || (table.empty() == probes.empty()))
    Die("--table FILE --inputs SCRIPT or --probe PROGRAM");
  return table.empty() ? RunProbes(probes, runs, only)
                       : RunTable(fs::absolute(table), inputs, runs, only);
}
