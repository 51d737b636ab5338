// The spawn templates that are kept, least recently used first to go.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_TEMPLATE_CACHE_H_
#define LAUNCHER_SRC_TEMPLATE_CACHE_H_

#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "exec_identity.h"
#include "hash.h"
#include "launcher/fd.h"
#include "launcher/result.h"
#include "patterns.h"

namespace launcher {

/// What is known about an executable before a job asks for it. Engines that
/// keep more than this add it here.
struct SpawnTemplate {
  std::string path;  ///< Absolute.
  ExecIdentity identity;
  uint64_t launches = 0;  ///< Since it was made; what a costly engine goes by.

  // Of engine kernel.
  Fd kernel;                  ///< From spawn_template_create(), or empty.
  bool needs_loader = false;  ///< Not ELF: there can be none.
};

/// Invariant: `index_` has one entry for each element of `entries_`, its key a
/// view of that element's path; the front of `entries_` was used last.
class TemplateCache {
 public:
  struct Counters {
    uint64_t hits = 0;
    uint64_t misses = 0;
    uint64_t stale = 0;
    uint64_t evictions = 0;
  };

  /// Errors: EINVAL, step "never_template", object the pattern and its fault.
  static Result<std::unique_ptr<TemplateCache>> Create(
      size_t entries, const std::vector<std::string>& never);

  /// The template of `path`, made if there is none and made again if the file
  /// has changed; null if the path is relative, ruled out by a pattern, or
  /// nothing is kept. Valid until the next call.
  ///
  /// Errors: as ExecIdentity::Of(). The file cannot be executed, a template of
  /// it is dropped and none is made: the next call looks again.
  Result<SpawnTemplate*> Get(std::string_view path);

  /// What Get() has made of `path`, not looked at again; null if it is no more.
  SpawnTemplate* Find(std::string_view path);

  /// Closes what templates hold open. False if nothing was.
  bool CloseDescriptors();

  size_t size() const { return entries_.size(); }
  const Counters& counters() const { return counters_; }

 private:
  using Entries = std::list<SpawnTemplate>;

  TemplateCache(size_t entries, Patterns never);
  void Drop(Entries::iterator entry);

  size_t limit_;
  Patterns never_;
  Entries entries_;
  std::unordered_map<std::string_view, Entries::iterator, Hash> index_;
  Counters counters_;
};

}  // namespace launcher

#endif  // LAUNCHER_SRC_TEMPLATE_CACHE_H_
