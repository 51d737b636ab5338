// SPDX-License-Identifier: Apache-2.0

#include "template_cache.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "support/leak_check.h"
#include "support/temp_dir.h"

namespace launcher {
namespace {

/// Turns the cache into words: each of Hit(), Miss() and Stale() looks up one
/// program and says whether it was that.
class TemplateCacheTest : public LeakCheckTest {
 protected:
  static constexpr size_t kEntries = 3;

  TemplateCacheTest() { Make(kEntries, {}); }

  void Make(size_t entries, const std::vector<std::string>& never) {
    auto created = TemplateCache::Create(entries, never);
    ASSERT_TRUE(created.ok()) << created.error().ToString();
    cache_ = std::move(created.value());
  }

  SpawnTemplate* Get(const std::string& path) {
    Result<SpawnTemplate*> got = cache_->Get(path);
    error_ = got.ok() ? 0 : got.error().code;
    return got.ok() ? got.value() : nullptr;
  }

  std::string Lookup(const std::string& name) {
    TemplateCache::Counters before = cache_->counters();
    std::string path = dir_ / name;
    SpawnTemplate* found = Get(path);
    const TemplateCache::Counters& after = cache_->counters();
    if (!found)
      return "nothing";
    EXPECT_EQ(path, found->path);
    EXPECT_EQ(ExecIdentity::Of(-1, path.c_str()).value(), found->identity);
    uint64_t hits = after.hits - before.hits;
    uint64_t misses = after.misses - before.misses;
    uint64_t stale = after.stale - before.stale;
    EXPECT_EQ(1u, hits + misses + stale);
    return hits ? "hit" : misses ? "miss" : "stale";
  }
  bool Hit(const std::string& name) { return Lookup(name) == "hit"; }
  bool Miss(const std::string& name) { return Lookup(name) == "miss"; }
  bool Stale(const std::string& name) { return Lookup(name) == "stale"; }

  TempDir dir_;
  std::unique_ptr<TemplateCache> cache_;
  int error_ = 0;
};

TEST_F(TemplateCacheTest, MissThenHit) {
  dir_.Program("cc");
  EXPECT_EQ(0u, cache_->size());
  EXPECT_TRUE(Miss("cc"));
  EXPECT_TRUE(Hit("cc"));
  EXPECT_TRUE(Hit("cc"));
  EXPECT_EQ(1u, cache_->size());
}

TEST_F(TemplateCacheTest, ATemplateStaysTheSameObject) {
  dir_.Program("cc");
  SpawnTemplate* first = Get(dir_ / "cc");
  ASSERT_NE(nullptr, first);
  first->launches = 41;
  EXPECT_EQ(first, Get(dir_ / "cc"));
  EXPECT_EQ(41u, first->launches);
}

TEST_F(TemplateCacheTest, LeastRecentlyUsedGoesFirst) {
  for (const char* name : {"a", "b", "c", "d"})
    dir_.Program(name);
  EXPECT_TRUE(Miss("a"));
  EXPECT_TRUE(Miss("b"));
  EXPECT_TRUE(Miss("c"));
  EXPECT_TRUE(Hit("a"));
  EXPECT_TRUE(Miss("d"));  // Instead of b.
  EXPECT_EQ(kEntries, cache_->size());
  EXPECT_EQ(1u, cache_->counters().evictions);
  EXPECT_TRUE(Hit("a"));
  EXPECT_TRUE(Hit("c"));
  EXPECT_TRUE(Hit("d"));
  EXPECT_TRUE(Miss("b"));
  EXPECT_EQ(2u, cache_->counters().evictions);
}

TEST_F(TemplateCacheTest, OneEntryIsEnough) {
  Make(1, {});
  dir_.Program("a");
  dir_.Program("b");
  EXPECT_TRUE(Miss("a"));
  EXPECT_TRUE(Hit("a"));
  EXPECT_TRUE(Miss("b"));
  EXPECT_TRUE(Miss("a"));
  EXPECT_EQ(1u, cache_->size());
}

TEST_F(TemplateCacheTest, ManyNamesInAFewEntries) {
  Make(8, {});
  for (int i = 0; i < 32; ++i)
    dir_.Program(std::to_string(i));
  for (int round = 0; round < 3; ++round)
    for (int i = 0; i < 32; ++i)
      EXPECT_TRUE(Miss(std::to_string(i)));
  EXPECT_EQ(8u, cache_->size());
  for (int i = 24; i < 32; ++i)
    EXPECT_TRUE(Hit(std::to_string(i)));
}

TEST_F(TemplateCacheTest, NoEntriesMeansNoCache) {
  Make(0, {});
  dir_.Program("cc");
  EXPECT_EQ("nothing", Lookup("cc"));
  EXPECT_EQ(0, error_);
  EXPECT_EQ(0u, cache_->size());
  EXPECT_EQ(0u, cache_->counters().misses);
}

TEST_F(TemplateCacheTest, RewrittenFileIsStaleOnce) {
  dir_.Program("cc");
  EXPECT_TRUE(Miss("cc"));
  dir_.File("cc", "#!/bin/sh\necho another\n", 0755);
  EXPECT_TRUE(Stale("cc"));
  EXPECT_TRUE(Hit("cc"));
  EXPECT_EQ(1u, cache_->size());
}

TEST_F(TemplateCacheTest, ReplacedFileIsStale) {
  dir_.Program("cc");
  dir_.Program("cc.new");
  EXPECT_TRUE(Miss("cc"));
  ASSERT_EQ(0, rename((dir_ / "cc.new").c_str(), (dir_ / "cc").c_str()));
  EXPECT_TRUE(Stale("cc"));
  EXPECT_TRUE(Hit("cc"));
}

TEST_F(TemplateCacheTest, ChmodAndTouchMakeStale) {
  std::string path = dir_.Program("cc");
  EXPECT_TRUE(Miss("cc"));
  ASSERT_EQ(0, chmod(path.c_str(), 0700));
  EXPECT_TRUE(Stale("cc"));
  timespec times[2] = {{1, 0}, {1, 0}};
  ASSERT_EQ(0, utimensat(AT_FDCWD, path.c_str(), times, 0));
  EXPECT_TRUE(Stale("cc"));
  EXPECT_TRUE(Hit("cc"));
}

TEST_F(TemplateCacheTest, StaleStartsFromNothingAndEvictsNobody) {
  for (const char* name : {"a", "b", "c"})
    dir_.Program(name);
  for (const char* name : {"a", "b", "c"})
    EXPECT_TRUE(Miss(name));
  Get(dir_ / "a")->launches = 41;
  dir_.File("a", "#!/bin/true\n", 0755);
  EXPECT_TRUE(Stale("a"));
  EXPECT_EQ(0u, Get(dir_ / "a")->launches);
  EXPECT_EQ(0u, cache_->counters().evictions);
  EXPECT_TRUE(Hit("b"));
  EXPECT_TRUE(Hit("c"));
}

TEST_F(TemplateCacheTest, MissingFileIsNotRemembered) {
  EXPECT_EQ("nothing", Lookup("cc"));
  EXPECT_EQ(ENOENT, error_);
  EXPECT_EQ(0u, cache_->size());
  dir_.Program("cc");
  EXPECT_TRUE(Miss("cc"));
}

TEST_F(TemplateCacheTest, RemovedFileIsForgotten) {
  std::string path = dir_.Program("cc");
  EXPECT_TRUE(Miss("cc"));
  ASSERT_EQ(0, unlink(path.c_str()));
  EXPECT_EQ("nothing", Lookup("cc"));
  EXPECT_EQ(ENOENT, error_);
  EXPECT_EQ(0u, cache_->size());
  dir_.Program("cc");
  EXPECT_TRUE(Miss("cc"));
}

TEST_F(TemplateCacheTest, FileThatLosesItsRightsIsForgotten) {
  std::string path = dir_.Program("cc");
  EXPECT_TRUE(Miss("cc"));
  ASSERT_EQ(0, chmod(path.c_str(), 0644));
  EXPECT_EQ("nothing", Lookup("cc"));
  EXPECT_EQ(EACCES, error_);
  EXPECT_EQ(0u, cache_->size());
}

TEST_F(TemplateCacheTest, RelativePathHasNoTemplate) {
  EXPECT_EQ(nullptr, Get("cc"));
  EXPECT_EQ(0, error_);
  EXPECT_EQ(nullptr, Get("./cc"));
  EXPECT_EQ(0, error_);
  EXPECT_EQ(nullptr, Get(""));
  EXPECT_EQ(0, error_);
}

TEST_F(TemplateCacheTest, NeverPatternsMatchTheWholePath) {
  Make(kEntries, {".*/ccache", "/build/.*"});
  dir_.Program("ccache");
  dir_.Program("ccache-swig");
  dir_.Dir("ccache.d");
  dir_.Program("ccache.d/cc");
  EXPECT_EQ("nothing", Lookup("ccache"));
  EXPECT_EQ(0, error_);
  EXPECT_EQ(nullptr, Get("/build/tool"));
  EXPECT_EQ(0, error_) << "ruled out, so not even looked at";
  EXPECT_TRUE(Miss("ccache-swig"));
  EXPECT_TRUE(Miss("ccache.d/cc"));
  EXPECT_EQ(2u, cache_->size());
}

TEST_F(TemplateCacheTest, BadPatternIsAnError) {
  auto created = TemplateCache::Create(kEntries, {"good", "bad("});
  ASSERT_FALSE(created.ok());
  EXPECT_EQ(EINVAL, created.error().code);
  EXPECT_STREQ("never_template", created.error().step);
  EXPECT_EQ(0u, created.error().object.find("bad("));
  EXPECT_GT(created.error().object.size(), strlen("bad(")) << "what is wrong";
}

}  // namespace
}  // namespace launcher
