// Options and statistics of a Launcher.
//
// SPDX-License-Identifier: Apache-2.0

#include "support/launcher_test.h"

#include <stdlib.h>
#include <sys/resource.h>

#include <string>

#include "support/refuse.h"
#include "support/temp_dir.h"

namespace launcher {
namespace {

using std::chrono::milliseconds;

/// Sets or removes a variable for the length of a scope.
class ScopedEnv {
 public:
  ScopedEnv(const char* name, const char* value) : name_(name) {
    if (const char* old = getenv(name)) {
      had_ = true;
      old_ = old;
    }
    Set(value);
  }
  ~ScopedEnv() { Set(had_ ? old_.c_str() : nullptr); }

 private:
  void Set(const char* value) {
    if (value)
      setenv(name_, value, 1);
    else
      unsetenv(name_);
  }

  const char* name_;
  bool had_ = false;
  std::string old_;
};

TEST(OptionsTest, DefaultsWithoutVariables) {
  ScopedEnv engine("LAUNCHER_ENGINE", nullptr);
  ScopedEnv drain("LAUNCHER_DRAIN_MS", nullptr);
  auto options = Launcher::Options::FromEnvironment();
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(Engine::kAuto, options.value().engine);
  EXPECT_LT(options.value().drain, milliseconds(0));
  EXPECT_EQ(64u, options.value().template_entries);
  EXPECT_FALSE(options.value().raise_fd_limit);
}

TEST(OptionsTest, EngineByName) {
  for (Engine engine : {Engine::kAuto, Engine::kClone3, Engine::kKernel,
                        Engine::kPosixSpawn, Engine::kWarm}) {
    ScopedEnv variable("LAUNCHER_ENGINE", EngineName(engine));
    auto options = Launcher::Options::FromEnvironment();
    ASSERT_TRUE(options.ok());
    EXPECT_EQ(engine, options.value().engine);
  }
  EXPECT_STREQ("auto", EngineName(Engine::kAuto));
  EXPECT_STREQ("clone3", EngineName(Engine::kClone3));
  EXPECT_STREQ("kernel", EngineName(Engine::kKernel));
  EXPECT_STREQ("posix_spawn", EngineName(Engine::kPosixSpawn));
}

TEST(OptionsTest, UnknownEngineIsAnError) {
  for (const char* text : {"", "fork", "Clone3", "clone3 "}) {
    ScopedEnv variable("LAUNCHER_ENGINE", text);
    auto options = Launcher::Options::FromEnvironment();
    ASSERT_FALSE(options.ok()) << text;
    EXPECT_EQ(EINVAL, options.error().code);
    EXPECT_STREQ("LAUNCHER_ENGINE", options.error().step);
    EXPECT_NE(std::string::npos, options.error().object.find(text));
  }
}

TEST(OptionsTest, DrainInMilliseconds) {
  for (int value : {0, 1, 250, 60'000}) {
    std::string text = std::to_string(value);
    ScopedEnv variable("LAUNCHER_DRAIN_MS", text.c_str());
    auto options = Launcher::Options::FromEnvironment();
    ASSERT_TRUE(options.ok()) << text;
    EXPECT_EQ(milliseconds(value), options.value().drain);
  }
}

TEST(OptionsTest, BadDrainIsAnError) {
  for (const char* text :
       {"", "-1", "1s", " 1", "0x10", "1.5", "soon", "99999999999999999999"}) {
    ScopedEnv variable("LAUNCHER_DRAIN_MS", text);
    auto options = Launcher::Options::FromEnvironment();
    ASSERT_FALSE(options.ok()) << text;
    EXPECT_EQ(EINVAL, options.error().code);
    EXPECT_STREQ("LAUNCHER_DRAIN_MS", options.error().step);
  }
}

class CreateTest : public LauncherTest {};

LAUNCHER_TEST_ENGINES(CreateTest);

TEST_P(CreateTest, BadPatternIsAnError) {
  Launcher::Options options;
  options.engine = GetParam();
  options.never_template = {"fine", "(bad"};
  auto created = Launcher::Create(options);
  ASSERT_FALSE(created.ok());
  EXPECT_EQ(EINVAL, created.error().code);
  EXPECT_STREQ("never_template", created.error().step);
  EXPECT_NE(std::string::npos, created.error().object.find("(bad"));
}

TEST_P(CreateTest, DescriptorsAreClosedByExec) {
  for (const auto& [fd, target] : OpenFds()) {
    if (target.find("anon_inode:") == 0) {
      EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD)) << target;
    }
  }
}

TEST_P(CreateTest, NothingIsLeftOfALauncher) {
  for (int i = 0; i < 100; ++i)
    Make({});
}

TEST_P(CreateTest, StatisticsCountTemplates) {
  TempDir dir;
  Make({.template_entries = 2});
  std::string a = dir.Program("a"), b = dir.Program("b"), c = dir.Program("c");
  for (const std::string& path : {a, a, b, c, a}) {
    ASSERT_TRUE(Start({path.c_str()}).ok());
    Finish();
  }
  dir.File("a", "#!/bin/true\n", 0755);
  ASSERT_TRUE(Start({a.c_str()}).ok());
  Finish();
  Statistics statistics = launcher_->statistics();
  EXPECT_EQ(6u, statistics.launches);
  EXPECT_EQ(0u, statistics.failed);
  EXPECT_EQ(0u, statistics.deferred);
  EXPECT_EQ(1u, statistics.template_hits);
  EXPECT_EQ(4u, statistics.template_misses);
  EXPECT_EQ(1u, statistics.template_stale);
  EXPECT_EQ(2u, statistics.template_evictions);
  EXPECT_EQ(0u, statistics.late_pidfds);
  EXPECT_EQ("", statistics.refusals);
}

TEST_P(CreateTest, NeverTemplateStillLaunches) {
  Make({.never_template = {".*/probe"}});
  EXPECT_EQ("x", Output({"write", "1", "x"}));
  EXPECT_EQ("x", Output({"write", "1", "x"}));
  Statistics statistics = launcher_->statistics();
  EXPECT_EQ(0u, statistics.template_misses);
  EXPECT_EQ(0u, statistics.template_hits);
}

TEST_P(CreateTest, WithoutCacheStillLaunches) {
  Make({.template_entries = 0});
  EXPECT_EQ("x", Output({"write", "1", "x"}));
  EXPECT_EQ(0u, launcher_->statistics().template_misses);
}

// Raising the limit of descriptors.

rlimit FdLimit() {
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit;
}

std::string Text(const rlimit& limit) {
  return std::to_string(limit.rlim_cur) + " " + std::to_string(limit.rlim_max);
}

TEST_P(CreateTest, RaisedLimitIsNotForChildrenAndIsRestored) {
  InChild([&] {
    rlimit low = {400, FdLimit().rlim_max};
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &low));
    Launcher::Options options;
    options.engine = GetParam();
    options.raise_fd_limit = true;
    {
      auto created = Launcher::Create(options);
      ASSERT_TRUE(created.ok());
      const bool raised =
          GetParam() == Engine::kClone3 || GetParam() == Engine::kWarm;
      EXPECT_EQ(raised ? low.rlim_max : low.rlim_cur, FdLimit().rlim_cur);
      const char* argv[] = {kProbe, "limit"};
      Command command;
      command.argv = argv;
      ASSERT_TRUE(created.value()->Spawn(command).ok());
      auto done = created.value()->Wait(kHang);
      while (!done.ok() && done.error().code == EINTR)
        done = created.value()->Wait(kHang);
      ASSERT_TRUE(done.ok());
      EXPECT_EQ(Text(low) + "\n", done.value().output);
    }
    EXPECT_EQ(Text(low), Text(FdLimit()));
  });
}

TEST_P(CreateTest, LimitIsLeftAloneByDefault) {
  InChild([&] {
    rlimit low = {400, FdLimit().rlim_max};
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &low));
    Launcher::Options options;
    options.engine = GetParam();
    auto created = Launcher::Create(options);
    ASSERT_TRUE(created.ok());
    EXPECT_EQ(Text(low), Text(FdLimit()));
  });
}

}  // namespace
}  // namespace launcher
