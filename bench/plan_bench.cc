// What it costs to plan a command line, so that it can be started without a
// shell: to read it, to plan it, to prepare the launch. Starts nothing.
//
//   plan_bench [ROUNDS] [MILLISECONDS]
//     prints a row for each line and step, separated by tabs: line, bytes,
//     words, step, then nanoseconds for one: median, min, max over rounds of
//     at least so many milliseconds, all lines and steps in turn in each
//   plan_bench --count LINE STEP PASSES
//     nothing but so many passes, inside CountedPasses(); for callgrind
//
// SPDX-License-Identifier: Apache-2.0

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "launch_block.h"
#include "path_lookup.h"
#include "shell.h"
#include "shell_line.h"

namespace launcher {
namespace {

[[noreturn]] void Die(const std::string& what) {
  fprintf(stderr, "plan_bench: error: %s\n", what.c_str());
  exit(1);
}

double NowNs() {
  using namespace std::chrono;
  return duration<double, std::nano>(steady_clock::now().time_since_epoch())
      .count();
}

// ---------------------------------------------------------------------------
// Lines, as generators write them

std::string CMakeCompile() {
  const std::string object =
      "src/engine/CMakeFiles/engine.dir/scheduler/work_queue.cc.o";
  return "/usr/bin/c++ -DENGINE_SHARED -DENGINE_VERSION=\\\"2.14.1\\\" "
         "-DNDEBUG_CHECKS=1 -I/home/user/project/src "
         "-I/home/user/project/src/engine/include "
         "-I/home/user/project/build/src/engine "
         "-isystem /home/user/project/third_party/json/include "
         "-isystem /home/user/project/third_party/fmt/include "
         "-O3 -DNDEBUG -std=gnu++17 -fPIC -fvisibility=hidden -Wall -Wextra "
         "-Wno-unused-parameter -MD -MT " +
         object + " -MF " + object + ".d -o " + object +
         " -c /home/user/project/src/engine/scheduler/work_queue.cc";
}

std::string CMakeLink(size_t size) {
  std::string line =
      ": && /usr/bin/c++ -fPIC -O3 -DNDEBUG -shared -Wl,-soname,libengine.so.2 "
      "-o src/engine/libengine.so.2.14.1";
  const std::string end =
      "  -Wl,-rpath,/home/user/project/build/src/base:  "
      "src/base/libbase.so.2.14.1  third_party/fmt/libfmt.a  -lpthread  -ldl "
      "&& :";
  for (int i = 0; line.size() + end.size() < size; ++i)
    line += " src/engine/CMakeFiles/engine.dir/module" +
            std::to_string(1000 + i) + ".cc.o";
  return line + end;
}

std::string MesonCompile() {
  std::string line =
      "c++ -Isrc/shared/libshared.a.p -Isrc/shared -I../src/shared "
      "-I../src/basic -Isrc/basic -I../include -I. -I.. "
      "-I/usr/include/glib-2.0 -I/usr/lib/x86_64-linux-gnu/glib-2.0/include "
      "-fdiagnostics-color=always -D_FILE_OFFSET_BITS=64 -Wall -Winvalid-pch "
      "-Wextra -std=c++17 -O2 -g";
  for (const char* name :
       {"PACKAGE_NAME", "PACKAGE_VERSION", "PACKAGE_BUGREPORT", "LOCALE_DIR",
        "DATA_DIR", "SYSTEM_CONFIG_DIR", "LIBEXEC_DIR", "PLUGIN_DIR",
        "RUNTIME_STATE_DIR", "DEFAULT_HOSTNAME"})
    line += std::string(" '-D") + name + "=\"/usr/share/a project (unstable)/" +
            name + "\"'";
  for (const char* warning :
       {"undef", "shadow", "format=2", "date-time", "logical-op", "init-self",
        "missing-include-dirs", "pointer-arith", "strict-aliasing=2"})
    line += std::string(" -W") + warning;
  const std::string object = "src/shared/libshared.a.p/bus-message-util.cpp.o";
  return line + " -fPIC -MD -MQ " + object + " -MF " + object + ".d -o " +
         object + " -c ../src/shared/bus-message-util.cpp";
}

/// Fixed, so that every run plans the same. The directory is one that is there.
constexpr const char* kDirectory = "/usr/bin";
constexpr const char* kEnvironment[] = {
    "HOME=/home/user",
    "USER=user",
    "LOGNAME=user",
    "SHELL=/bin/bash",
    "LANG=C.UTF-8",
    "LC_COLLATE=C",
    "TERM=xterm-256color",
    "COLORTERM=truecolor",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PWD=/usr/bin",
    "OLDPWD=/home/user",
    "SHLVL=1",
    "EDITOR=vi",
    "PAGER=less",
    "LESS=-FRX",
    "HOSTNAME=builder-17",
    "MAIL=/var/mail/user",
    "DISPLAY=:0",
    "XDG_RUNTIME_DIR=/run/user/1000",
    "XDG_SESSION_ID=2",
    "XDG_DATA_DIRS=/usr/local/share:/usr/share",
    "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus",
    "SSH_AUTH_SOCK=/run/user/1000/keyring/ssh",
    "CCACHE_DIR=/home/user/.cache/ccache",
    "NINJA_STATUS=[%f/%t] ",
    "CI=true",
    "CI_JOB_NAME=build and test",
    "CI_COMMIT_SHA=4f2a7c1d9be0835acb21f77d1e6a90bb52c8d3ef",
    "PKG_CONFIG_PATH=/usr/local/lib/pkgconfig",
    "_=/usr/bin/ninja",
    nullptr,
};

// ---------------------------------------------------------------------------
// Steps

enum class Step { kRead, kPlan, kPrepare };
constexpr const char* kSteps[] = {"read", "plan", "prepare"};

/// One line with all that its steps need, as the Launcher has it.
struct Case {
  Case(const char* a_name, std::string a_line)
      : name(a_name), line(std::move(a_line)) {
    const char* argv[] = {"/bin/sh", "-c", line.c_str()};
    Command command;
    command.argv = argv;
    command.env = kEnvironment;
    if (!surroundings->Store(command, kEnvironment).ok())
      Die("cannot store " + line);
    text.resize(line.size() + 1);
    tokens.resize(line.size() + 1);
  }

  CommandLine Read() {
    return ReadCommandLine(line.data(), line.size(), kind, text.data(),
                           tokens.data(), tokens.size());
  }

  /// Up to what the engine needs for the child.
  void Prepare() {
    if (!plan.Plan(*surroundings).empty())
      Die("the plan has changed");
    plan.Keep(std::move(surroundings));
    while (plan.Next()) {
      Result<std::string> path = plan.FindProgram(&lookup);
      if (!path.ok())
        Die(path.error().ToString());
      if (!plan.StoreProgram(path.value(), &program).ok())
        Die("cannot store the program of " + line);
    }
    surroundings = plan.Release();
  }

  void Pass(Step step) {
    if (step == Step::kRead)
      result = Read();
    else if (step == Step::kPlan)
      reason = plan.Plan(*surroundings);
    else
      Prepare();
  }

  const char* name;
  std::string line;
  SystemShell shell{"/bin/sh"};
  Shell kind = shell.Kind();
  ShellLine plan{&shell};
  PathLookup lookup;
  std::unique_ptr<LaunchBlock> surroundings = std::make_unique<LaunchBlock>();
  LaunchBlock program;
  std::vector<char> text;
  std::vector<PlanToken> tokens;
  CommandLine result;
  std::string reason;
};

std::vector<std::unique_ptr<Case>> MakeCases() {
  std::vector<std::unique_ptr<Case>> cases;
  auto add = [&cases](const char* name, std::string line) {
    cases.push_back(std::make_unique<Case>(name, std::move(line)));
  };
  add("true", "/bin/true o1");
  add("cmake-compile", CMakeCompile());
  add("cmake-link", CMakeLink(2048));
  add("meson-compile", MesonCompile());
  add("link-1MiB", CMakeLink(size_t{1} << 20));
  return cases;
}

/// Fails where a step would not do what it is to be measured for.
void Check(Case* each) {
  if (std::string why = each->plan.Plan(*each->surroundings); !why.empty())
    Die(std::string(each->name) + " takes the shell: " + why);
  if (each->Read().verdict != CommandLine::Verdict::kPlan)
    Die(std::string(each->name) + " is not read");
  each->Prepare();
}

}  // namespace

/// Has a name of its own for `valgrind --toggle-collect`.
__attribute__((noinline)) void CountedPasses(Case* each, Step step,
                                             size_t passes) {
  for (size_t i = 0; i < passes; ++i)
    each->Pass(step);
}

namespace {

double Time(Case* each, Step step, size_t passes) {
  double start = NowNs();
  CountedPasses(each, step, passes);
  return (NowNs() - start) / static_cast<double>(passes);
}

/// How many passes take `enough` nanoseconds.
size_t Calibrate(Case* each, Step step, double enough) {
  for (size_t passes = 1;; passes *= 2)
    if (Time(each, step, passes) * static_cast<double>(passes) >= enough)
      return passes;
}

int PrintTimes(size_t rounds, double milliseconds) {
  std::vector<std::unique_ptr<Case>> cases = MakeCases();
  struct Row {
    Case* each;
    Step step;
    size_t passes;
    std::vector<double> times;
  };
  std::vector<Row> rows;
  for (const auto& each : cases) {
    Check(each.get());
    for (size_t i = 0; i < std::size(kSteps); ++i) {
      Step step = static_cast<Step>(i);
      rows.push_back({each.get(),
                      step,
                      Calibrate(each.get(), step, milliseconds * 1e6),
                      {}});
    }
  }
  for (size_t round = 0; round < rounds; ++round)
    for (Row& row : rows)
      row.times.push_back(Time(row.each, row.step, row.passes));
  for (Row& row : rows) {
    std::sort(row.times.begin(), row.times.end());
    const std::vector<PlanToken>& tokens = row.each->tokens;
    auto words = std::count_if(tokens.begin(),
                               tokens.begin() + row.each->Read().token_count,
                               [](const PlanToken& token) {
                                 return token.kind == PlanToken::Kind::kWord;
                               });
    printf("%s\t%zu\t%td\t%s\t%.1f\t%.1f\t%.1f\n", row.each->name,
           row.each->line.size(), words, kSteps[static_cast<size_t>(row.step)],
           row.times[row.times.size() / 2], row.times.front(),
           row.times.back());
  }
  return 0;
}

int Count(const char* name, const char* step_name, size_t passes) {
  for (const auto& each : MakeCases())
    for (size_t i = 0; i < std::size(kSteps); ++i)
      if (!strcmp(each->name, name) && !strcmp(kSteps[i], step_name)) {
        Check(each.get());  // Not counted: memory that is kept for the next.
        CountedPasses(each.get(), static_cast<Step>(i), passes);
        return 0;
      }
  Die(std::string("no line ") + name + " or no step " + step_name);
}

}  // namespace

int Main(int argc, char** argv) {
  if (chdir(kDirectory) != 0)
    Die(std::string("no directory ") + kDirectory);
  signal(SIGCHLD, SIG_DFL);
  if (argc == 5 && !strcmp(argv[1], "--count"))
    return Count(argv[2], argv[3], strtoul(argv[4], nullptr, 10));
  size_t rounds = argc > 1 ? strtoul(argv[1], nullptr, 10) : 11;
  double milliseconds = argc > 2 ? strtod(argv[2], nullptr) : 20;
  if (rounds == 0 || milliseconds <= 0 || argc > 3) {
    fprintf(stderr,
            "usage: plan_bench [ROUNDS] [MILLISECONDS]\n"
            "       plan_bench --count LINE STEP PASSES\n");
    return 2;
  }
  return PrintTimes(rounds, milliseconds);
}

}  // namespace launcher

int main(int argc, char** argv) { return launcher::Main(argc, argv); }
