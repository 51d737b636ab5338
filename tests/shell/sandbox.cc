// SPDX-License-Identifier: Apache-2.0

#include "sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <span>
#include <utility>

#include "programs.h"

namespace shell_fuzz {
namespace {

using launcher::Fd;

enum class Kind : uint8_t { kDirectory, kFile, kSymlink, kWitness, kCopy };

/// Something that is in top before each line, directories before what they
/// hold. `text`: what a file holds or where a symlink leads. kWitness is a hard
/// link, kCopy a file with the same bytes.
struct Entry {
  const char* path;
  Kind kind;
  mode_t mode;
  std::string_view text;
};

constexpr std::string_view kScript = "p7 \"$0\" \"$@\"\n";
constexpr std::string_view kBang = "#!@R@/bin/p7 arg\n";
constexpr std::string_view kBangMissing = "#!@R@/bin/missing\n";
constexpr std::string_view kBangRelative = "#!bin/p0\n";
constexpr std::string_view kBadFormat{
    "\x7f"
    "ELF\0\0 not\n",
    11};

constexpr Entry kTop[] = {
    {".", Kind::kDirectory, 0755, ""},
    {"sib", Kind::kDirectory, 0755, ""},
    {"w", Kind::kDirectory, 0755, ""},
    {"w/real", Kind::kDirectory, 0755, ""},
    {"w/real/deep", Kind::kDirectory, 0755, ""},
    {"w/a b", Kind::kDirectory, 0755, ""},
    {"w/-", Kind::kDirectory, 0755, ""},
    {"w/dark", Kind::kDirectory, 0311, ""},
    {"w/shut", Kind::kDirectory, 0, ""},
    {"w/bin", Kind::kDirectory, 0555, ""},
    {"w/bin/p0", Kind::kWitness, 0555, ""},
    {"w/bin/p7", Kind::kWitness, 0555, ""},
    {"w/bin/cc", Kind::kWitness, 0555, ""},
    {"w/link", Kind::kSymlink, 0777, "real"},
    {"w/abs", Kind::kSymlink, 0777, "@W@/real"},
    {"w/up", Kind::kSymlink, 0777, ".."},
    {"w/dangling", Kind::kSymlink, 0777, "nowhere"},
    {"w/loop", Kind::kSymlink, 0777, "loop"},
    {"w/tofile", Kind::kSymlink, 0777, "file"},
    {"w/file", Kind::kFile, 0644, "file\n"},
    {"w/out", Kind::kFile, 0644, "0123456789abcdef\n"},
    {"w/locked", Kind::kFile, 0, "locked\n"},
    {"w/readonly", Kind::kFile, 0444, "readonly\n"},
    {"w/here", Kind::kWitness, 0555, ""},
    {"w/unreadable", Kind::kCopy, 0111, ""},
    {"w/here.sh", Kind::kFile, 0755, kScript},
    {"w/bang", Kind::kFile, 0755, kBang},
    {"w/bangmissing", Kind::kFile, 0755, kBangMissing},
    {"w/bangrel", Kind::kFile, 0755, kBangRelative},
    {"w/empty", Kind::kFile, 0755, ""},
    {"w/badformat", Kind::kFile, 0755, kBadFormat},
    {"w/noexec", Kind::kFile, 0644, kScript},
};

// The time of modification of all there is in top: another one is a change.
constexpr timespec kUntouched = {1'000'000'000, 0};

void Check(bool good, const std::string& what) {
  if (!good)
    Die(what);
}

bool HasBytes(const Entry& entry) {
  return entry.kind == Kind::kFile || entry.kind == Kind::kCopy;
}

mode_t Type(const Entry& entry) {
  switch (entry.kind) {
    case Kind::kDirectory:
      return S_IFDIR;
    case Kind::kSymlink:
      return S_IFLNK;
    default:
      return S_IFREG;
  }
}

void WriteFile(int dirfd, const std::string& path, std::string_view bytes,
               mode_t mode) {
  Fd fd(openat(dirfd, path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
               0600));
  Check(fd && write(fd.get(), bytes.data(), bytes.size()) ==
                  static_cast<ssize_t>(bytes.size()),
        path);
  Check(fchmod(fd.get(), mode) == 0, path);
}

std::string ReadFile(int dirfd, const std::string& path) {
  Fd fd(openat(dirfd, path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  std::string bytes(1 << 16, '\0');
  ssize_t size = fd ? read(fd.get(), bytes.data(), bytes.size()) : 0;
  bytes.resize(size > 0 ? size : 0);
  return bytes;
}

/// The names in a directory, sorted; it must be readable.
std::vector<std::string> Names(int dirfd, const std::string& path) {
  std::vector<std::string> names;
  int fd = openat(dirfd, path.c_str(),
                  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR* dir = fd < 0 ? nullptr : fdopendir(fd);
  if (!dir)
    return names;
  while (dirent* entry = readdir(dir))
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      names.emplace_back(entry->d_name);
  closedir(dir);
  std::sort(names.begin(), names.end());
  return names;
}

void RemoveAt(int dirfd, const std::string& path) {
  if (unlinkat(dirfd, path.c_str(), 0) == 0 || errno == ENOENT)
    return;
  struct stat status;
  if (fstatat(dirfd, path.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 ||
      !S_ISDIR(status.st_mode))
    return;
  fchmodat(dirfd, path.c_str(), 0700, 0);
  for (const std::string& name : Names(dirfd, path))
    RemoveAt(dirfd, path + "/" + name);
  unlinkat(dirfd, path.c_str(), AT_REMOVEDIR);
}

const Entry* FindEntry(const std::string& path) {
  for (const Entry& entry : kTop)
    if (path == entry.path)
      return &entry;
  return nullptr;
}

}  // namespace

void Die(const std::string& what) {
  fprintf(stderr, "shell_fuzz: error: %s: %s\n", what.c_str(), strerror(errno));
  exit(2);
}

void RemoveTree(const std::string& path) { RemoveAt(AT_FDCWD, path); }

Sandbox::Sandbox(std::string root, const std::string& witness,
                 const std::vector<Shell>& shells)
    : root_(std::move(root)), work_(root_ + "/top/w") {
  for (const char* name : {"", "/bin", "/bin2", "/shells", "/top", "/gone"})
    Check(mkdir((root_ + name).c_str(), 0755) == 0, root_ + name);
  MakePrograms(witness);
  MakeDecoys();
  for (const Shell& shell : shells) {
    std::string path = ShellPath(shell);
    Check(mkdir(path.substr(0, path.rfind('/')).c_str(), 0755) == 0 &&
              symlink(shell.path.c_str(), path.c_str()) == 0,
          path);
  }
  gone_.Reset(open((root_ + "/gone").c_str(), O_PATH | O_CLOEXEC));
  Check(gone_ && rmdir((root_ + "/gone").c_str()) == 0, root_ + "/gone");
  top_.Reset(open((root_ + "/top").c_str(), O_PATH | O_CLOEXEC));
  Check(bool(top_), root_ + "/top");
  Repair();
  for (const char* name : {"/bin", "/bin2", "/shells", ""})
    Check(chmod((root_ + name).c_str(), 0555) == 0, root_ + name);
}

void Sandbox::MakePrograms(const std::string& witness) {
  const std::string bin = root_ + "/bin/", first = bin + "p0";
  // Not writable: lines may name it in a redirection.
  std::string bytes = ReadFile(AT_FDCWD, witness);
  Check(bytes.starts_with("\x7f"
                          "ELF"),
        witness);
  // Some lines make a shell read it as a script. That ends in the padding of
  // the header: what follows would start background jobs, with luck.
  bytes.replace(9, 7, "\nexit\n", 7);
  WriteFile(AT_FDCWD, first, bytes, 0555);
  timespec times[] = {kUntouched, kUntouched};
  Check(utimensat(AT_FDCWD, first.c_str(), times, 0) == 0, first);
  auto add = [&](const char* name) {
    Check(link(first.c_str(), (bin + name).c_str()) == 0 || errno == EEXIST,
          bin + name);
  };
  for (const auto& names : {std::span<const char* const>(kEnding),
                            std::span<const char* const>(kTools),
                            std::span<const char* const>(kWords),
                            std::span<const char* const>(kOdd),
                            std::span<const char* const>(kDecoys)})
    for (const char* name : names)
      add(name);
  WriteFile(AT_FDCWD, bin + "unreadable", bytes, 0111);
  WriteFile(AT_FDCWD, bin + "here.sh", kScript, 0755);
  WriteFile(AT_FDCWD, bin + "bang", Expand(kBang), 0755);
  WriteFile(AT_FDCWD, bin + "bangmissing", Expand(kBangMissing), 0755);
  WriteFile(AT_FDCWD, bin + "bangrel", kBangRelative, 0755);
  WriteFile(AT_FDCWD, bin + "empty", "", 0755);
  WriteFile(AT_FDCWD, bin + "badformat", kBadFormat, 0755);
  WriteFile(AT_FDCWD, bin + "noexec", kScript, 0644);
}

void Sandbox::MakeDecoys() {
  const std::string bin2 = root_ + "/bin2/";
  Check(mkdir((bin2 + "decoydir").c_str(), 0755) == 0, bin2);
  WriteFile(AT_FDCWD, bin2 + "decoyfile", kScript, 0644);
  WriteFile(AT_FDCWD, bin2 + "decoyformat", kBadFormat, 0755);
  Check(symlink("../bin/p7", (bin2 + "decoylink").c_str()) == 0 &&
            symlink("../bin/none", (bin2 + "decoydead").c_str()) == 0 &&
            link((root_ + "/bin/p0").c_str(), (bin2 + "only2").c_str()) == 0,
        bin2);
}

std::string Sandbox::ShellPath(const Shell& shell) const {
  return root_ + "/shells/" + shell.name + "/sh";
}

std::string Sandbox::Expand(std::string_view text) const {
  if (text.find('@') == std::string_view::npos)
    return std::string(text);
  return Replace(Replace(text, "@W@", work_), "@R@", root_);
}

std::string Sandbox::Contract(std::string_view text) const {
  return Replace(Replace(text, work_, "@W@"), root_, "@R@");
}

std::string Sandbox::Path(Case::Start start) const {
  switch (start) {
    case Case::Start::kReal:
      return work_ + "/real";
    case Case::Start::kLink:
      return work_ + "/link";
    case Case::Start::kSpace:
      return work_ + "/a b";
    case Case::Start::kDark:
      return work_ + "/dark";
    default:
      return work_;
  }
}

bool Sandbox::Changed() const {
  for (const Entry& entry : kTop) {
    struct stat now;
    if (fstatat(top_.get(), entry.path, &now, AT_SYMLINK_NOFOLLOW) != 0 ||
        now.st_mode != (Type(entry) | entry.mode) ||
        now.st_mtim.tv_sec != kUntouched.tv_sec ||
        now.st_mtim.tv_nsec != kUntouched.tv_nsec)
      return true;
  }
  return false;
}

std::string Sandbox::Collect() {
  if (!Changed())
    return "";
  std::string list = List();
  Repair();
  Check(!Changed(), "cannot put " + root_ + "/top back");
  // An empty list would say that nothing has changed.
  return "changed\n" + list;
}

/// All that is new, other than at the start, or gone.
std::string Sandbox::List() {
  std::string list;
  std::vector<std::string> left = {"."};
  std::vector<const Entry*> seen;
  while (!left.empty()) {
    std::string path = std::move(left.back());
    left.pop_back();
    struct stat now;
    if (fstatat(top_.get(), path.c_str(), &now, AT_SYMLINK_NOFOLLOW) != 0)
      continue;
    const Entry* entry = FindEntry(path);
    seen.push_back(entry);
    bool same_mode = entry && now.st_mode == (Type(*entry) | entry->mode);
    std::string bytes;
    if (S_ISDIR(now.st_mode)) {
      fchmodat(top_.get(), path.c_str(), 0700, 0);
      for (const std::string& name : Names(top_.get(), path))
        left.push_back(path == "." ? name : path + "/" + name);
      if (same_mode)
        continue;
    } else if (S_ISLNK(now.st_mode)) {
      bytes.resize(4096);
      ssize_t size = readlinkat(top_.get(), path.c_str(), bytes.data(), 4096);
      bytes.resize(size > 0 ? size : 0);
    } else if (S_ISREG(now.st_mode)) {
      if (same_mode && now.st_mtim.tv_sec == kUntouched.tv_sec)
        continue;
      if ((now.st_mode & 0400) == 0)
        fchmodat(top_.get(), path.c_str(), 0600, 0);
      bytes = ReadFile(top_.get(), path);
    }
    if (entry && entry->kind == Kind::kSymlink && same_mode &&
        bytes == Expand(entry->text))
      continue;
    char mode[16];
    snprintf(mode, sizeof(mode), "%o", now.st_mode);
    list += Escape(path) + " " + mode + " " + std::to_string(bytes.size()) +
            " '" + Escape(Contract(bytes)) + "'\n";
  }
  for (const Entry& entry : kTop)
    if (std::find(seen.begin(), seen.end(), &entry) == seen.end())
      list += std::string(entry.path) + " is gone\n";
  return list;
}

void Sandbox::Repair() {
  const int top = top_.get();
  // What does not belong there.
  for (const Entry& entry : kTop) {
    struct stat now;
    if (fstatat(top, entry.path, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
        (now.st_mode & S_IFMT) != Type(entry))
      RemoveAt(top, entry.path);
    if (entry.kind != Kind::kDirectory)
      continue;
    mkdirat(top, entry.path, 0700);
    Check(fchmodat(top, entry.path, 0700, 0) == 0, entry.path);
    const std::string prefix =
        strcmp(entry.path, ".") == 0 ? "" : entry.path + std::string("/");
    for (const std::string& name : Names(top, entry.path))
      if (!FindEntry(prefix + name))
        RemoveAt(top, prefix + name);
  }
  // What does.
  const std::string witness = root_ + "/bin/p0";
  struct stat original;
  Check(stat(witness.c_str(), &original) == 0, witness);
  for (const Entry& entry : kTop) {
    struct stat now = {};
    bool there = fstatat(top, entry.path, &now, AT_SYMLINK_NOFOLLOW) == 0;
    bool touched = !there || now.st_mtim.tv_sec != kUntouched.tv_sec;
    if (entry.kind == Kind::kSymlink && touched) {
      RemoveAt(top, entry.path);
      Check(symlinkat(Expand(entry.text).c_str(), top, entry.path) == 0,
            entry.path);
    } else if (entry.kind == Kind::kWitness && now.st_ino != original.st_ino) {
      RemoveAt(top, entry.path);
      Check(linkat(AT_FDCWD, witness.c_str(), top, entry.path, 0) == 0,
            entry.path);
    } else if (HasBytes(entry) && touched) {
      RemoveAt(top, entry.path);
      WriteFile(top, entry.path,
                entry.kind == Kind::kCopy ? ReadFile(AT_FDCWD, witness)
                                          : Expand(entry.text),
                entry.mode);
    }
    if (entry.kind != Kind::kSymlink && entry.kind != Kind::kDirectory)
      Check(fchmodat(top, entry.path, entry.mode, 0) == 0, entry.path);
  }
  // From the inside out, because it takes the right to go through.
  const timespec times[] = {kUntouched, kUntouched};
  for (size_t i = std::size(kTop); i-- > 0;) {
    const Entry& entry = kTop[i];
    Check(utimensat(top, entry.path, times, AT_SYMLINK_NOFOLLOW) == 0,
          entry.path);
    if (entry.kind == Kind::kDirectory)
      Check(fchmodat(top, entry.path, entry.mode, 0) == 0, entry.path);
  }
}

}  // namespace shell_fuzz
