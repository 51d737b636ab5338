// The fixture of tests that compare launches from a parked process with cold
// ones.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef TESTS_SUPPORT_WARM_TEST_H_
#define TESTS_SUPPORT_WARM_TEST_H_

#include <sys/types.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "launcher_test.h"
#include "temp_dir.h"

namespace launcher {

using Texts = std::vector<std::string>;

inline std::string Program(const std::string& name) {
  return LAUNCHER_TEST_CHILD_DIR "/warm_" + name;
}

class WarmTest : public LeakCheckTest {
 protected:
  using Cause = Finished::Cause;

  void SetUp() override {
    cold_ = Make(Engine::kClone3);
    warm_ = Make(Engine::kWarm);
    if (Run(*warm_, {kProbe}).engine == Engine::kWarm)
      return;
    // Where nothing may be traced, nothing is parked.
    const std::vector<std::string> reasons = warm_->statistics().never_warm;
    ASSERT_FALSE(reasons.empty());
    ASSERT_NE(std::string::npos, reasons[0].find("ptrace")) << reasons[0];
    GTEST_SKIP() << reasons[0];
  }

  static std::unique_ptr<Launcher> Make(Engine engine) {
    Launcher::Options options;
    options.engine = engine;
    auto created = Launcher::Create(std::move(options));
    EXPECT_TRUE(created.ok());
    return std::move(created.value());
  }

  Result<ChildId> Start(Launcher& launcher, const Texts& words,
                        Command command = {}) {
    std::vector<const char*> argv, env;
    for (const std::string& word : words)
      argv.push_back(word.c_str());
    for (const std::string& variable : environment_)
      env.push_back(variable.c_str());
    env.push_back(nullptr);
    command.argv = argv;
    command.env = env.data();
    return launcher.Spawn(command);
  }

  static Finished Finish(Launcher& launcher) {
    for (;;) {
      auto done = launcher.Wait(kHang);
      if (done.ok())
        return std::move(done.value());
      if (done.error().code == EINTR)
        continue;
      ADD_FAILURE() << done.error().ToString();
      Finished lost;
      lost.cause = Cause::kLost;
      return lost;
    }
  }

  Finished Run(Launcher& launcher, const Texts& words, Command command = {}) {
    auto started = Start(launcher, words, command);
    EXPECT_TRUE(started.ok()) << started.error().ToString();
    return started.ok() ? Finish(launcher) : Finished{};
  }

  /// Runs it cold and warm. Returns the engine that the second has used.
  Engine ExpectSame(const Texts& words, Command command = {}) {
    Finished cold = Run(*cold_, words, command);
    Finished warm = Run(*warm_, words, command);
    EXPECT_EQ(cold.cause, warm.cause) << words[0];
    EXPECT_EQ(cold.code, warm.code) << words[0];
    EXPECT_EQ(cold.output, warm.output) << words[0];
    return warm.engine;
  }

  /// Why the program with this path has not been parked.
  std::string Never(const std::string& path) const {
    for (const std::string& reason : warm_->statistics().never_warm)
      if (reason.starts_with(path + ": "))
        return reason.substr(path.size() + 2);
    return "";
  }

  /// The parked processes, where no job runs.
  static std::vector<pid_t> Parked() {
    std::ifstream children("/proc/self/task/" + std::to_string(getpid()) +
                           "/children");
    std::vector<pid_t> pids;
    for (pid_t pid; children >> pid;)
      pids.push_back(pid);
    return pids;
  }

  Texts environment_ = {"HOME=/", "PATH=/usr/bin:/bin"};
  std::unique_ptr<Launcher> cold_, warm_;
  TempDir dir_;
};

}  // namespace launcher

#endif  // TESTS_SUPPORT_WARM_TEST_H_
