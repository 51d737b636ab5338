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
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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
using Strings = std::vector<std::string>;

constexpr size_t kAtOnce = 8;
constexpr int kSkip = 77;
constexpr int kColdRuns = 2;
constexpr std::chrono::seconds kHang{120};

[[noreturn]] void Die(const std::string& text) {
  fprintf(stderr, "run_pairs: %s\n", text.c_str());
  exit(2);
}

/// A launch to compare.
struct Entry {
  std::string name;
  Strings words;
  std::string input;  ///< Relative path; empty: /dev/null.
  std::string mask;
  std::set<std::string> ignored;
  bool own_pwd = false;
  Strings variables;
  std::function<void(Command*)> change;  ///< Of the probe.
  std::function<void()> before;  ///< Called when it has been parked already.
};

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

// The table.

Strings Split(const std::string& text) {
  Strings words;
  std::string word;
  bool in_word = false, quoted = false;
  for (char c : text) {
    if (c == '\'') {
      quoted = !quoted;
      in_word = true;
    } else if (c == ' ' && !quoted) {
      if (in_word)
        words.push_back(std::exchange(word, {}));
      in_word = false;
    } else {
      word += c;
      in_word = true;
    }
  }
  if (in_word)
    words.push_back(word);
  return words;
}

std::string Trim(const std::string& text) {
  size_t first = text.find_first_not_of(' ');
  size_t last = text.find_last_not_of(' ');
  return first == std::string::npos ? "" : text.substr(first, last - first + 1);
}

std::string OutputOf(const std::string& line) {
  std::string text;
  FILE* pipe = popen((line + " 2>/dev/null").c_str(), "re");
  if (!pipe)
    return text;
  char buffer[4096];
  while (size_t size = fread(buffer, 1, sizeof(buffer), pipe))
    text.append(buffer, size);
  pclose(pipe);
  return Trim(text.substr(0, text.find('\n')));
}

Entry Parse(const std::string& line) {
  Entry entry;
  size_t bar = line.find('|');
  size_t options = line.rfind(" %% ");
  if (bar == std::string::npos)
    Die("no command: " + line);
  entry.name = Trim(line.substr(0, bar));
  std::string command = line.substr(
      bar + 1, options == std::string::npos ? options : options - bar - 1);
  command = Trim(command);
  if (command.starts_with("$(")) {
    size_t end = command.find(')');
    // $(A)/B as well: the rest of the word follows.
    command = OutputOf(command.substr(2, end - 2)) + command.substr(end + 1);
  }
  entry.words = Split(command);
  if (!entry.words.empty() && entry.words.back().starts_with('<')) {
    entry.input = entry.words.back().substr(1);
    entry.words.pop_back();
  }
  if (entry.words.empty())
    Die("no words: " + line);
  if (options == std::string::npos)
    return entry;
  std::string rest = Trim(line.substr(options + 4));
  while (!rest.empty()) {
    if (rest.starts_with("mask=")) {  // To the end: it may have spaces.
      entry.mask = rest.substr(5);
      if (RE2 mask(entry.mask, RE2::Latin1); !mask.ok())
        Die(mask.error());
      break;
    }
    std::string word = rest.substr(0, rest.find(' '));
    rest = Trim(rest.substr(word.size()));
    if (word == "dir")
      entry.own_pwd = true;
    else if (word.starts_with("ignore="))
      entry.ignored.insert(word.substr(7));
    else
      Die("unknown: " + word);
  }
  return entry;
}

std::vector<Entry> ReadTable(const std::string& path) {
  std::ifstream in(path);
  if (!in)
    Die("cannot read " + path);
  std::vector<Entry> entries;
  for (std::string line; std::getline(in, line);)
    if (!line.empty() && line[0] != '#')
      entries.push_back(Parse(line));
  return entries;
}

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

std::vector<Entry> ProbeCases(const std::string& probe, int descriptor) {
  std::vector<Entry> cases;
  auto add = [&](const char* name, Strings arguments) -> Entry& {
    Entry entry;
    entry.name = name;
    entry.words = {probe};
    entry.words.insert(entry.words.end(), arguments.begin(), arguments.end());
    cases.push_back(std::move(entry));
    return cases.back();
  };
  add("no arguments", {});
  add("one argument", {"7"});
  add("two arguments", {"0", "two words"});
  add("three arguments", {"3", "", ""});
  add("empty arguments", {"", "", ""});
  add("200 arguments", Strings(200, "1"));
  add("201 arguments", Strings(201, "x=y"));
  add("long argument", {"1", std::string(20'000, 'l')});
  add("beyond any room", {"1", std::string(100'000, 'l')});
  add("directory", {"1"}).own_pwd = true;
  add("old directory", {"1"}).variables = {"OLDPWD=/somewhere", "PWD=/"};
  add("one variable more", {"1"}).variables = {"MORE=1"};
  add("empty variable", {"1"}).variables = {"", "=", "NO-VALUE"};
  add("other name", {"1"}).change = [probe](Command* command) {
    static const char* const kArgv[] = {"another name", "5"};
    command->argv = kArgv;
    command->path = probe.c_str();
  };
  add("group of the launcher", {"1"}).change = [](Command* command) {
    command->group = Command::Group::kInherit;
  };
  add("signal mask", {"1"}).change = [](Command* command) {
    static launcher::Action action;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGRTMIN + 3);
    action = launcher::Action::SignalMask(set);
    command->actions = {&action, 1};
  };
  add("descriptors", {"1"}).change = [](Command* command) {
    using launcher::Action;
    static const Action kActions[] = {
        Action::Open(3, "made.txt", O_WRONLY | O_CREAT | O_APPEND, 0640),
        Action::Dup2(3, 4),
        Action::Dup2(1, 5),
        Action::Dup2(1, 6, O_CLOEXEC),
        Action::Open(100, "/", O_RDONLY | O_DIRECTORY),
        Action::Dup2(100, 1000),
        Action::Close(0)};
    command->actions = kActions;
  };
  add("directory descriptor", {"1"}).change = [](Command* command) {
    using launcher::Action;
    static const Action kActions[] = {
        Action::Open(3, "/usr", O_RDONLY | O_DIRECTORY), Action::Fchdir(3),
        Action::CloseRange(3, -1)};
    command->actions = kActions;
  };
  add("what is not close-on-exec", {"1"}).change = [](Command* command) {
    command->inherit_fds = true;
  };
  add("given descriptor", {"1"}).change = [descriptor](Command* command) {
    command->in = launcher::Stdio::FromFd(descriptor);
    command->err = launcher::Stdio::Merge();
  };
  add("inherited streams", {"1"}).change = [](Command* command) {
    command->in = launcher::Stdio::Inherit();
    command->err = launcher::Stdio::Inherit();
  };
  return cases;
}

/// What a child has from its parent, changed after the probe has been parked.
std::vector<Entry> SurroundingCases(const std::string& probe) {
  std::vector<Entry> cases;
  auto add = [&](const char* name, std::function<void()> before) {
    Entry entry;
    entry.name = name;
    entry.words = {probe, "1"};
    entry.before = std::move(before);
    cases.push_back(std::move(entry));
  };
  auto write_to = [](const char* path, const char* text) {
    return [path, text] { std::ofstream(path) << text; };
  };
  add("umask", [] { umask(0027); });
  add("limit", [] {
    rlimit limit = {0, 0};
    setrlimit(RLIMIT_CORE, &limit);
  });
  add("nice", [] { (void)!nice(3); });
  add("scheduler", [] {
    sched_param none = {};
    sched_setscheduler(0, SCHED_BATCH, &none);
  });
  add("affinity", [] {
    cpu_set_t set, one;
    sched_getaffinity(0, sizeof(set), &set);
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++i)
      if (CPU_ISSET(i, &set))
        CPU_SET(i, &one);
    sched_setaffinity(0, sizeof(one), &one);
  });
  add("ignored signals", [] {
    signal(SIGUSR1, SIG_IGN);
    signal(SIGRTMIN + 1, SIG_IGN);
  });
  add("ignored no more", [] { signal(SIGUSR1, SIG_DFL); });
  add("handler", [] { signal(SIGUSR2, [](int) {}); });
  add("timer slack", [] { prctl(PR_SET_TIMERSLACK, 77777); });
  add("session", [] { (void)setsid(); });
  add("directory of the launcher", [] { (void)!chdir("/"); });
  add("huge pages", [] { prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); });
  add("personality", [] { personality(ADDR_NO_RANDOMIZE); });
  add("no new privileges", [] { prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); });
  add("core dump filter", write_to("/proc/self/coredump_filter", "0x21"));
  add("out of memory score", write_to("/proc/self/oom_score_adj", "123"));
  add("i/o priority", [] { syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 7); });
  add("memory policy", [] {
    unsigned long node = 1;
    syscall(SYS_set_mempolicy, 1, &node, 64);
  });
  add("machine checks",
      [] { prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0); });
  add("securebits", [] { prctl(PR_SET_SECUREBITS, 1 << 2); });
  return cases;
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
