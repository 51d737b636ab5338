// Finds executables by name as execvp(3) does, and remembers where they were.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_PATH_LOOKUP_H_
#define LAUNCHER_SRC_PATH_LOOKUP_H_

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "hash.h"
#include "launcher/result.h"

namespace launcher {

/// The directory that relative PATH entries start from: `fd`, or `path` if fd
/// is negative, or the launcher's own if that is null too.
struct LookupDir {
  int fd = -1;
  const char* path = nullptr;
};

class PathLookup {
 public:
  /// The path to execute `name` by, as execvp(3) would form it: relative if the
  /// PATH entry is, `name` alone for an empty entry. path == null:
  /// "/bin:/usr/bin".
  ///
  /// What was found before is checked again with one statx(2) for each entry
  /// before the hit, so that a program put there since is seen at once. A name
  /// that is not found is not remembered.
  ///
  /// Errors (step "lookup", object the name): ENOENT; EACCES if there was only
  /// a file that may not be executed; ELOOP, ENAMETOOLONG and the like end the
  /// search, as they do for execvp(3).
  Result<std::string> Find(std::string_view name, const char* path,
                           const LookupDir& dir);

 private:
  struct Hit {
    std::vector<std::string> before;  ///< Candidates that did not exist.
    std::string found;
  };

  std::unordered_map<std::string, Hit, Hash, std::equal_to<>> hits_;
};

}  // namespace launcher

#endif  // LAUNCHER_SRC_PATH_LOOKUP_H_
