// The fixture of tests of SpawnLine(): each engine with each shell, and every
// line once without and once with the shell.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef TESTS_SUPPORT_LINE_TEST_H_
#define TESTS_SUPPORT_LINE_TEST_H_

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "launcher_test.h"
#include "shells.h"
#include "temp_dir.h"

namespace launcher {

/// Something that happens between a test and programs that know its path.
class Fifo {
 public:
  explicit Fifo(const std::string& path) : path_(path) {
    EXPECT_EQ(0, mkfifo(path.c_str(), 0600)) << path;
    // Both ends, so that no open waits.
    fd_.Reset(open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
  }
  ~Fifo() { unlink(path_.c_str()); }
  Fifo(const Fifo&) = delete;
  Fifo& operator=(const Fifo&) = delete;

  const std::string& path() const { return path_; }

  /// Whether somebody has written to it since the last call.
  bool Happened() {
    char buffer[256];
    return read(fd_.get(), buffer, sizeof(buffer)) > 0;
  }

  /// Its readers come to the end of file.
  void End() { fd_.Reset(); }

 private:
  std::string path_;
  Fd fd_;
};

struct LineParam {
  Engine engine;
  const char* shell;
};

inline std::ostream& operator<<(std::ostream& out, const LineParam& param) {
  return out << EngineName(param.engine) << " " << param.shell;
}

class LineTest : public LeakCheckTest,
                 public testing::WithParamInterface<LineParam> {
 protected:
  using Cause = Finished::Cause;
  using ShellUse = Launcher::Options::ShellUse;
  static constexpr ShellUse kUses[] = {ShellUse::kAuto, ShellUse::kAlways};

  LineTest() {
    dir_.Dir("bin");
    EXPECT_EQ(0, symlink(kProbe, (dir_ / "bin/act").c_str()));
    path_ = "PATH=" + (dir_ / "bin");
    work_ = dir_ / "here";
    env_ = {path_.c_str(), "A=outside", "HOME=/", nullptr};
  }

  void SetUp() override {
    if (std::string why = WhyNoEngine(GetParam().engine); !why.empty())
      GTEST_SKIP() << why;
    ResetWork();
    Make({});
    if (!launcher_)
      return;
    Command command = Surroundings({});
    const char* argv[] = {kHold};
    command.argv = argv;
    auto started = launcher_->Spawn(command);
    if (!started.ok())
      GTEST_SKIP() << started.error().ToString();
    Expect(Cause::kExited, 0, Finish());
  }

  static bool ShellIs(const std::string& name) {
    return name == GetParam().shell;
  }

  /// Makes launcher_ anew with engine and shell of this test.
  void Make(Launcher::Options options) {
    launcher_.reset();
    options.engine = GetParam().engine;
    if (options.shell_path == "/bin/sh")
      options.shell_path = shell_;
    auto created = Launcher::Create(std::move(options));
    ASSERT_TRUE(created.ok()) << created.error().ToString();
    launcher_ = std::move(created.value());
  }

  void InChild(const std::function<void()>& run, bool check_leaks = true) {
    launcher_.reset();
    launcher::InChild(
        [&] {
          run();
          launcher_.reset();
        },
        check_leaks);
  }

  /// Where lines are run: work_, empty but for what `prepare_` puts there.
  void ResetWork() {
    std::filesystem::remove_all(work_);
    dir_.Dir("here");
    dir_.Dir("here/sub");
    if (prepare_)
      prepare_();
  }

  Command Surroundings(Command command) {
    if (!command.env)
      command.env = env_.data();
    if (!command.cwd)
      command.cwd = work_.c_str();
    return command;
  }

  ChildId Start(const std::string& line, Command command = {}) {
    auto started = launcher_->SpawnLine(line.c_str(), Surroundings(command));
    EXPECT_TRUE(started.ok()) << started.error().ToString();
    return started.ok() ? started.value() : ChildId{};
  }

  Finished Finish() {
    auto done = launcher_->Wait(kHang);
    EXPECT_TRUE(done.ok()) << done.error().ToString();
    if (done.ok())
      return std::move(done.value());
    Finished lost;
    lost.cause = Cause::kLost;
    return lost;
  }

  Finished Run(const std::string& line, Command command = {}) {
    ChildId id = Start(line, command);
    Finished done = Finish();
    EXPECT_EQ(id, done.id);
    return done;
  }

  static void Expect(Cause cause, int code, const Finished& done) {
    EXPECT_EQ(cause, done.cause) << done.error.ToString() << done.output;
    EXPECT_EQ(code, done.code) << done.output;
  }

  /// What a shell that was killed leaves comes to us; waits for its end.
  void ReapOrphansOf(ShellUse use) {
    if (use != ShellUse::kAlways)
      return;
    launcher_.reset();  // With the processes that it has parked.
    ReapChildren(1'000'000);
  }

  /// Lets the launcher work until then; no line may end meanwhile.
  void Await(const std::function<bool()>& happened) {
    auto guard = std::chrono::steady_clock::now() + kHang;
    while (!happened()) {
      auto none = launcher_->Wait(std::chrono::milliseconds(1));
      ASSERT_FALSE(none.ok()) << none.value().output;
      ASSERT_EQ(ETIMEDOUT, none.error().code);
      ASSERT_LT(std::chrono::steady_clock::now(), guard) << "nothing came";
    }
  }
  void Await(Fifo& event) {
    Await([&] { return event.Happened(); });
  }

  /// All below work_: files with what is in them.
  std::map<std::string, std::string> Files() {
    std::map<std::string, std::string> files;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(work_)) {
      std::string text = "not a file";
      if (entry.is_regular_file()) {
        std::ifstream in(entry.path());
        text.assign(std::istreambuf_iterator<char>(in), {});
      }
      files[entry.path().string().substr(work_.size())] = text;
    }
    return files;
  }

  /// What can be seen of a line from outside.
  struct Seen {
    Finished done;
    std::map<std::string, std::string> files;
  };

  Seen RunAnew(const std::string& line, ShellUse use, Command command) {
    ResetWork();
    Make({.shell = use});
    Seen seen;
    if (!launcher_)
      return seen;
    seen.done = Run(line, command);
    seen.files = Files();
    return seen;
  }

  static void ExpectSameEnd(const Finished& shell, const Finished& plan) {
    EXPECT_EQ(shell.cause, plan.cause) << plan.error.ToString();
    EXPECT_EQ(shell.code, plan.code);
    EXPECT_EQ(shell.core_dumped, plan.core_dumped);
    EXPECT_EQ(shell.timed_out, plan.timed_out);
    EXPECT_EQ(shell.output, plan.output);
    EXPECT_EQ(shell.error_output, plan.error_output);
    EXPECT_EQ(shell.output_bytes, plan.output_bytes);
    EXPECT_EQ(shell.output_complete, plan.output_complete);
  }

  /// Whether the shell may be used although the line itself does not ask for
  /// it.
  static bool MayTakeShell(const std::string& reason) {
    // posix_spawn(3) cannot ignore SIGQUIT, as busybox has it done.
    return (GetParam().engine == Engine::kPosixSpawn &&
            reason.starts_with("cannot start") &&
            reason.ends_with(strerror(ENOTSUP))) ||
           (ShellIs("bash") && reason == "cd after a program, in bash") ||
           reason == "cd to a relative name behind a program";
  }

  /// Expects the same of both ways, and that the shell was used for `reason`:
  /// empty for not at all; "cannot start" when a program could not be started.
  Finished ExpectSame(const std::string& line, const std::string& reason = "",
                      Command command = {}) {
    SCOPED_TRACE(line);
    Seen plan = RunAnew(line, ShellUse::kAuto, command);
    Seen shell = RunAnew(line, ShellUse::kAlways, command);
    EXPECT_EQ("LAUNCHER_SHELL=always", shell.done.shell_reason);
    const std::string& given = plan.done.shell_reason;
    if (reason == "cannot start" ? !given.starts_with(reason)
                                 : given != reason) {
      EXPECT_TRUE(MayTakeShell(given)) << given << "\nand not: " << reason;
    }
    ExpectSameEnd(shell.done, plan.done);
    EXPECT_EQ(shell.files, plan.files);
    return std::move(plan.done);
  }

  TempDir dir_;
  std::string shell_ = LinkShell(dir_, GetParam().shell);
  std::string path_, work_;
  std::vector<const char*> env_;
  std::function<void()> prepare_;
  std::unique_ptr<Launcher> launcher_;
};

inline std::vector<LineParam> LineParams() {
  std::vector<LineParam> params;
  for (Engine engine :
       {Engine::kClone3, Engine::kPosixSpawn, Engine::kKernel, Engine::kWarm})
    for (const char* shell : kShells)
      params.push_back({engine, shell});
  return params;
}

inline std::string LineTestName(const testing::TestParamInfo<LineParam>& info) {
  return EngineName(info.param.engine) + std::string("_") + info.param.shell;
}

#define LINE_TEST_ENGINES(suite)                                            \
  INSTANTIATE_TEST_SUITE_P(Engines, suite, testing::ValuesIn(LineParams()), \
                           LineTestName)

}  // namespace launcher

#endif  // TESTS_SUPPORT_LINE_TEST_H_
