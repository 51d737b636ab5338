// SPDX-License-Identifier: Apache-2.0

#include "path_lookup.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace launcher {

namespace {

// Enough for the names of any build; past it everything is looked up anew.
constexpr size_t kMaxHits = 1024;

constexpr char kDefaultPath[] = "/bin:/usr/bin";  // confstr(_CS_PATH), glibc.

/// Errors that execvp(3) of glibc takes for "not in this directory".
bool IsAbsence(int error) {
  return error == ENOENT || error == ENOTDIR || error == ESTALE ||
         error == ENODEV || error == ETIMEDOUT;
}

/// A candidate as seen from the directory of the child.
class Place {
 public:
  Place(const LookupDir& dir, const std::string& candidate)
      : fd_(dir.fd >= 0 ? dir.fd : AT_FDCWD), path_(candidate) {
    if (dir.fd < 0 && dir.path && candidate[0] != '/')
      path_ = std::string(dir.path) + "/" + candidate;
  }

  /// 0 if it may be executed, else an errno.
  int Check() const {
    struct stat file;
    if (fstatat(fd_, path_.c_str(), &file, 0) != 0)
      return errno;
    if (!S_ISREG(file.st_mode))
      return EACCES;
    return faccessat(fd_, path_.c_str(), X_OK, AT_EACCESS) == 0 ? 0 : errno;
  }

  bool Absent() const {
    struct stat file;
    return fstatat(fd_, path_.c_str(), &file, 0) != 0 &&
           (errno == ENOENT || errno == ENOTDIR);
  }

 private:
  int fd_;
  std::string path_;
};

/// What makes relative entries mean the same as before: nothing if there are
/// none, else the directory they start from. Empty optional: not known.
bool AppendDir(const LookupDir& dir, std::string* key) {
  char buffer[4096];
  if (dir.fd >= 0) {
    std::string link = "/proc/self/fd/" + std::to_string(dir.fd);
    ssize_t length = readlink(link.c_str(), buffer, sizeof(buffer));
    if (length <= 0 || length == ssize_t{sizeof(buffer)})
      return false;
    key->append(buffer, length);
    return true;
  }
  if (dir.path && dir.path[0] == '/') {
    key->append(dir.path);
    return true;
  }
  if (!getcwd(buffer, sizeof(buffer)))
    return false;
  key->append(buffer);
  if (dir.path)
    key->append("/").append(dir.path);
  return true;
}

bool HasRelativeEntry(std::string_view path) {
  for (size_t at = 0; at <= path.size();) {
    if (at == path.size() || path[at] != '/')
      return true;
    size_t colon = path.find(':', at);
    if (colon == path.npos)
      return false;
    at = colon + 1;
  }
  return false;
}

}  // namespace

Result<std::string> PathLookup::Find(std::string_view name, const char* path,
                                     const LookupDir& dir) {
  if (name.empty())
    return Error{ENOENT, "lookup", ""};
  if (!path)
    path = kDefaultPath;

  std::string key;
  key.append(name).push_back('\0');
  key.append(path).push_back('\0');
  bool remember = !HasRelativeEntry(path) || AppendDir(dir, &key);

  if (auto known = hits_.find(key); remember && known != hits_.end()) {
    const Hit& hit = known->second;
    bool same = Place(dir, hit.found).Check() == 0;
    for (size_t i = 0; same && i < hit.before.size(); ++i)
      same = Place(dir, hit.before[i]).Absent();
    if (same)
      return hit.found;
    hits_.erase(known);
  }

  Hit hit;
  int error = ENOENT;
  std::string_view rest = path;
  for (;;) {
    size_t colon = rest.find(':');
    std::string candidate(rest.substr(0, colon));
    if (!candidate.empty())
      candidate.push_back('/');
    candidate.append(name);

    Place place(dir, candidate);
    int failed = place.Check();
    if (failed == 0) {
      if (remember && hits_.size() >= kMaxHits)
        hits_.clear();
      hit.found = candidate;
      if (remember)
        hits_[std::move(key)] = std::move(hit);
      return candidate;
    }
    // As execvp(3): a file that may not be executed is remembered and the
    // search goes on; a place that is not there is passed over.
    if (failed == EACCES)
      error = EACCES;
    else if (!IsAbsence(failed))
      return Error{failed, "lookup", std::string(name)};
    if (failed != ENOENT && failed != ENOTDIR)
      remember = false;  // Absent() would not hold for it.
    hit.before.push_back(std::move(candidate));

    if (colon == rest.npos)
      return Error{error, "lookup", std::string(name)};
    rest.remove_prefix(colon + 1);
  }
}

}  // namespace launcher
