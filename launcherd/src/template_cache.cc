// SPDX-License-Identifier: Apache-2.0

#include "template_cache.h"

#include <errno.h>
#include <fcntl.h>

namespace launcher {

TemplateCache::TemplateCache(size_t entries, Patterns never)
    : limit_(entries), never_(std::move(never)) {}

Result<std::unique_ptr<TemplateCache>> TemplateCache::Create(
    size_t entries, const std::vector<std::string>& never) {
  Result<Patterns> patterns = Patterns::Create("never_template", never);
  if (!patterns.ok())
    return patterns.error();
  return std::unique_ptr<TemplateCache>(
      new TemplateCache(entries, std::move(patterns.value())));
}

Result<SpawnTemplate*> TemplateCache::Get(std::string_view path) {
  auto found = index_.find(path);
  if (found == index_.end() &&
      (limit_ == 0 || path.empty() || path[0] != '/' || never_.Match(path)))
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
  entries_.emplace_front();
  entries_.front().path = std::move(owned);
  entries_.front().identity = identity.value();
  index_.emplace(entries_.front().path, entries_.begin());
  return &entries_.front();
}

SpawnTemplate* TemplateCache::Find(std::string_view path) {
  auto found = index_.find(path);
  return found == index_.end() ? nullptr : &*found->second;
}

bool TemplateCache::CloseDescriptors() {
  bool any = false;
  for (SpawnTemplate& entry : entries_) {
    any |= bool{entry.kernel};
    entry.kernel.Reset();
  }
  return any;
}

void TemplateCache::Drop(Entries::iterator entry) {
  index_.erase(entry->path);
  entries_.erase(entry);
}

}  // namespace launcher
