// SPDX-License-Identifier: Apache-2.0

#include "template_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <re2/re2.h>

namespace launcher {

TemplateCache::TemplateCache(size_t entries) : limit_(entries) {}
TemplateCache::~TemplateCache() = default;

Result<std::unique_ptr<TemplateCache>> TemplateCache::Create(
    size_t entries, const std::vector<std::string>& never) {
  std::unique_ptr<TemplateCache> cache(new TemplateCache(entries));
  for (const std::string& pattern : never) {
    auto compiled = std::make_unique<re2::RE2>(pattern, re2::RE2::Quiet);
    if (!compiled->ok())
      return Error{EINVAL, "never_template",
                   pattern + ": " + compiled->error()};
    cache->never_.push_back(std::move(compiled));
  }
  return cache;
}

Result<SpawnTemplate*> TemplateCache::Get(std::string_view path) {
  auto found = index_.find(path);
  if (found == index_.end() &&
      (limit_ == 0 || path.empty() || path[0] != '/' || Never(path)))
    return nullptr;

  std::string owned(path);
  Result<ExecIdentity> identity = ExecIdentity::Of(AT_FDCWD, owned.c_str());
  if (!identity.ok()) {
    if (found != index_.end())
      Drop(found->second);
    return identity.error();
  }

  if (found != index_.end()) {
    Entries::iterator entry = found->second;
    if (entry->identity == identity.value()) {
      ++counters_.hits;
      entries_.splice(entries_.begin(), entries_, entry);
      return &*entry;
    }
    ++counters_.stale;
    Drop(entry);
  } else {
    ++counters_.misses;
  }

  if (entries_.size() == limit_) {
    ++counters_.evictions;
    Drop(std::prev(entries_.end()));
  }
  entries_.push_front({std::move(owned), identity.value()});
  index_.emplace(entries_.front().path, entries_.begin());
  return &entries_.front();
}

void TemplateCache::Drop(Entries::iterator entry) {
  index_.erase(entry->path);
  entries_.erase(entry);
}

bool TemplateCache::Never(std::string_view path) const {
  for (const auto& pattern : never_)
    if (re2::RE2::FullMatch(re2::StringPiece(path.data(), path.size()),
                            *pattern))
      return true;
  return false;
}

}  // namespace launcher
