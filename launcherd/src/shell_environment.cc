// SPDX-License-Identifier: Apache-2.0

#include "shell_environment.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "launcher/fd.h"
#include "shell_words.h"

namespace launcher {

namespace {

/// dash, busybox: hashvar() in var.c.
uint32_t AshBucket(std::string_view name) {
  uint32_t hash = static_cast<unsigned char>(name[0]) << 4;
  for (unsigned char c : name)
    hash += c;
  return hash;
}
constexpr size_t kAshBuckets = 39;

/// bash: hash_string() in hashlib.c.
uint32_t BashHash(std::string_view name) {
  uint32_t hash = 2166136261U;
  for (unsigned char c : name) {
    hash *= 16777619U;
    hash ^= c;
  }
  return hash;
}
constexpr size_t kBashBuckets = 1024;
constexpr size_t kBashInvalidBuckets = 64;
constexpr size_t kBashAssignmentBuckets = 4;

/// bash makes its table larger, and the order another, at twice the buckets.
constexpr size_t kMostVariables = 1000;

/// Variables of the environment that change how this shell reads a line, that
/// it does not pass on as they came, or that act on the shell's own process in
/// a way that can be seen (ld.so(8)).
bool IsSpecial(Shell shell, std::string_view name, const char* value) {
  constexpr std::string_view kAll[] = {"CDPATH", "GLIBC_TUNABLES", "IFS",
                                       "LINENO", "OPTIND",         "PPID"};
  constexpr std::string_view kBash[] = {
      "HISTCMD", "OPTERR", "POSIXLY_CORRECT", "POSIX_PEDANTIC", "PS1",
      "PS2",     "PS4",    "RANDOM",          "SHELLOPTS",      "SRANDOM"};
  auto is_in = [name](const auto& list) {
    return std::find(std::begin(list), std::end(list), name) != std::end(list);
  };
  if (is_in(kAll) || (name.starts_with("LD_") && name != "LD_LIBRARY_PATH"))
    return true;
  if (shell != Shell::kBash)
    return false;
  if (name == "LC_ALL") {
    std::string_view locale = value;
    return locale != "" && locale != "C" && locale != "POSIX" &&
           locale != "C.UTF-8";
  }
  return is_in(kBash) || name.starts_with("BASH") ||
         name.starts_with("COMP_") || name.starts_with("EPOCH");
}

/// Without empty and dot entries: what cd can go on from by text alone.
bool IsSimplestForm(std::string_view path) {
  if (path == "/")
    return true;
  for (size_t at = 0; at < path.size();) {
    size_t end = std::min(path.find('/', at + 1), path.size());
    std::string_view entry = path.substr(at + 1, end - at - 1);
    if (path[at] != '/' || entry.empty() || entry == "." || entry == "..")
      return false;
    at = end;
  }
  return !path.empty();
}

bool SameDirectory(const LookupDir& dir, const char* path) {
  struct stat a, b;
  int at = dir.fd >= 0 ? dir.fd : AT_FDCWD;
  int here = dir.fd >= 0 ? fstat(dir.fd, &a)
             : dir.path  ? stat(dir.path, &a)
                         : stat(".", &a);
  return here == 0 && fstatat(at, path, &b, 0) == 0 && a.st_dev == b.st_dev &&
         a.st_ino == b.st_ino;
}

bool IsDirectory(const LookupDir& dir, const std::string& path) {
  struct stat file;
  std::string from_dir = path;
  if (dir.fd < 0 && dir.path && path[0] != '/')
    from_dir = std::string(dir.path) + "/" + path;
  return !path.empty() &&
         fstatat(dir.fd >= 0 ? dir.fd : AT_FDCWD, from_dir.c_str(), &file, 0) ==
             0 &&
         S_ISDIR(file.st_mode);
}

/// As getcwd(3) in that directory; empty if there is no telling.
std::string DirectoryName(const LookupDir& dir) {
  char buffer[PATH_MAX];
  if (dir.fd < 0 && !dir.path)
    return getcwd(buffer, sizeof(buffer)) && buffer[0] == '/' ? buffer : "";
  Fd opened;
  if (dir.fd < 0)
    opened.Reset(open(dir.path, O_PATH | O_DIRECTORY | O_CLOEXEC));
  int fd = dir.fd >= 0 ? dir.fd : opened.get();
  if (fd < 0)
    return "";
  std::string link = "/proc/self/fd/" + std::to_string(fd);
  ssize_t size = readlink(link.c_str(), buffer, sizeof(buffer));
  if (size <= 0 || size == ssize_t{sizeof(buffer)})
    return "";
  std::string name(buffer, static_cast<size_t>(size));
  // One that has been removed reads "... (deleted)".
  return SameDirectory({fd, nullptr}, name.c_str()) ? name : "";
}

}  // namespace

const char* VariableTable::Variable::value() const {
  return entry[name_size] == '=' ? entry + name_size + 1 : nullptr;
}

void VariableTable::Clear(size_t buckets, Hash hash, New where) {
  hash_ = hash;
  where_ = where;
  heads_.assign(buckets, -1);
  variables_.clear();
}

const VariableTable::Variable* VariableTable::Find(
    std::string_view name) const {
  for (int at = heads_[hash_(name) % heads_.size()]; at >= 0;
       at = variables_[at].next)
    if (variables_[at].name() == name)
      return &variables_[at];
  return nullptr;
}

VariableTable::Variable* VariableTable::Set(const char* entry, size_t name_size,
                                            bool exported) {
  std::string_view name(entry, name_size);
  int* link = &heads_[hash_(name) % heads_.size()];
  int* head = link;
  for (; *link >= 0; link = &variables_[*link].next) {
    Variable* variable = &variables_[*link];
    if (variable->name() == name) {
      variable->entry = entry;
      variable->exported |= exported;
      return variable;
    }
  }
  int place = static_cast<int>(variables_.size());
  Variable variable = {entry, name_size, -1, exported};
  if (where_ == New::kFirstInBucket) {
    variable.next = *head;
    *head = place;
  } else {
    *link = place;
  }
  variables_.push_back(variable);
  return &variables_.back();
}

const char* ShellEnvironment::Keep(std::string text) {
  return kept_.emplace_back(std::move(text)).c_str();
}

/// Sets and exports it; returns the entry.
const char* ShellEnvironment::SetText(std::string_view name,
                                      std::string_view value) {
  std::string text(name);
  text.append("=").append(value);
  const char* entry = Keep(std::move(text));
  variables_.Set(entry, name.size(), true);
  return entry;
}

/// The shell's own variables hold places in the table.
void ShellEnvironment::Predefine() {
  constexpr const char* kBusybox[] = {"EPOCHREALTIME", "EPOCHSECONDS", "RANDOM",
                                      "FUNCNAME"};
  constexpr const char* kBoth[] = {"PS4",      "PS2",  "PS1", "PATH",
                                   "MAILPATH", "MAIL", "IFS"};
  if (shell_ == Shell::kBusybox)
    for (const char* name : kBusybox)
      variables_.Set(name, strlen(name), false);
  for (const char* name : kBoth)
    variables_.Set(name, strlen(name), false);
}

std::string ShellEnvironment::StartDir(const LookupDir& dir) {
  VariableTable::Variable* pwd = variables_.Find("PWD");
  const char* value = pwd ? pwd->value() : nullptr;
  if (value && value[0] == '/' && SameDirectory(dir, value)) {
    dir_ = value;
    return IsSimplestForm(value) ? "" : "PWD that is not in its simplest form";
  }
  std::string name = DirectoryName(dir);
  if (name.empty())
    return "a directory whose name cannot be found";
  dir_ = SetText("PWD", name) + strlen("PWD=");
  return "";
}

std::string ShellEnvironment::Start(Shell shell, char* const* entries,
                                    const LookupDir& dir) {
  shell_ = shell;
  changed_ = {};
  kept_.clear();
  if (shell == Shell::kBash) {
    variables_.Clear(kBashBuckets, BashHash,
                     VariableTable::New::kFirstInBucket);
    invalid_.Clear(kBashInvalidBuckets, BashHash,
                   VariableTable::New::kFirstInBucket);
  } else {
    variables_.Clear(kAshBuckets, AshBucket, VariableTable::New::kLastInBucket);
    invalid_ = VariableTable();
    Predefine();
  }
  for (; *entries; ++entries) {
    const char* equals = strchr(*entries, '=');
    if (!equals || equals == *entries)
      continue;
    std::string_view name(*entries, equals - *entries);
    bool is_identifier = IsIdentifier(name.data(), name.size());
    if (IsSpecial(shell, name, equals + 1))
      return std::string(name) + " in the environment";
    if (is_identifier)
      variables_.Set(*entries, name.size(), true);
    else if (shell == Shell::kBash && invalid_.Find(name))
      return "a duplicate in the environment";
    else if (shell == Shell::kBash)
      invalid_.Set(*entries, name.size(), true);
  }
  if (variables_.size() > kMostVariables ||
      invalid_.size() > 2 * kBashInvalidBuckets)
    return "a large environment";

  if (shell != Shell::kDash) {
    VariableTable::Variable* level = variables_.Find("SHLVL");
    std::string_view text = level ? level->value() : "0";
    unsigned number = 0;
    auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size() ||
        text.size() > 3 || number >= 998)
      return "SHLVL in the environment";
    level_ = number;
    SetText("SHLVL", std::to_string(number + 1));
  }
  if (shell == Shell::kBusybox && !variables_.Find("PATH")->value())
    return "no PATH in the environment";
  if (std::string reason = StartDir(dir); !reason.empty())
    return reason;
  if (shell == Shell::kBash)
    CheckOldPwd(dir);
  return "";
}

/// bash passes OLDPWD on only if it is a directory.
void ShellEnvironment::CheckOldPwd(const LookupDir& dir) {
  VariableTable::Variable* old = variables_.Find("OLDPWD");
  const char* value = old ? old->value() : nullptr;
  had_oldpwd_ = value && IsDirectory(dir, value);
  if (!had_oldpwd_)
    variables_.Set("OLDPWD", strlen("OLDPWD"), true);
}

void ShellEnvironment::ChangeDir(const char* dir) {
  std::string name = dir[0] == '/' ? "/" : dir_;
  for (const char* at = dir; *at;) {
    const char* end = strchrnul(at, '/');
    std::string_view entry(at, end - at);
    if (entry == "..") {
      name.resize(std::max<size_t>(name.rfind('/'), 1));
    } else if (!entry.empty() && entry != ".") {
      if (name != "/")
        name.push_back('/');
      name.append(entry);
    }
    at = *end ? end + 1 : end;
  }
  changed_.oldpwd = SetText("OLDPWD", dir_);
  changed_.pwd = SetText("PWD", name);
  dir_ = changed_.pwd + strlen("PWD=");
}

bool ShellEnvironment::IsUtf8() const {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = Value(name);
    if (!value || !*value)
      continue;
    std::string locale = value;
    for (char& c : locale)
      c = static_cast<char>(tolower(c));
    return locale == "c" || locale == "posix" || locale.ends_with(".utf-8") ||
           locale.ends_with(".utf8");
  }
  return true;
}

const char* ShellEnvironment::Value(std::string_view name) const {
  const VariableTable::Variable* variable = variables_.Find(name);
  return variable && variable->exported ? variable->value() : nullptr;
}

void ShellEnvironment::Export(const std::vector<const char*>& assignments,
                              const CommandPlace& place,
                              const std::string& path,
                              std::vector<char*>* envp) {
  envp->clear();
  if (shell_ == Shell::kBash) {
    ExportBash(assignments, place, path, envp);
  } else {
    auto add = [envp](const VariableTable::Variable& variable) {
      if (variable.exported && variable.value())
        envp->push_back(const_cast<char*>(variable.entry));
    };
    if (assignments.empty()) {
      variables_.ForEach(add);
    } else {
      VariableTable with = variables_;
      for (const char* entry : assignments)
        with.Set(entry, strchr(entry, '=') - entry, true);
      with.ForEach(add);
    }
  }
  envp->push_back(nullptr);
}

void ShellEnvironment::ExportBash(const std::vector<const char*>& assignments,
                                  const CommandPlace& place,
                                  const std::string& path,
                                  std::vector<char*>* envp) {
  // What it runs in its own process is no level deeper.
  bool in_place = place.exec || (place.is_last && !place.redirected);
  SetText("SHLVL", std::to_string(in_place ? level_ : level_ + 1));
  VariableTable::Variable* last = variables_.Find("_");
  bool had_last = last && last->value();
  if (had_last && place.in_list)
    last->exported = false;

  VariableTable assigned;
  assigned.Clear(kBashAssignmentBuckets, BashHash,
                 VariableTable::New::kFirstInBucket);
  for (const char* entry : assignments)
    assigned.Set(entry, strchr(entry, '=') - entry, true);
  auto add = [&](const VariableTable::Variable& variable) {
    if (variable.exported && variable.value())
      envp->push_back(const_cast<char*>(variable.entry));
  };
  invalid_.ForEach(add);
  assigned.ForEach(add);
  variables_.ForEach([&](const VariableTable::Variable& variable) {
    if (assignments.empty() || !assigned.Find(variable.name()))
      add(variable);
  });

  auto find = [&](std::string_view entry) {
    return std::find_if(envp->begin(), envp->end(), [&](const char* text) {
      return std::string_view(text).starts_with(entry);
    });
  };
  // Then it has not made the array anew, but patched that of its start.
  bool patched = !in_place && assignments.empty() && !had_last;
  if (patched && changed_.pwd && !had_oldpwd_)
    std::rotate(find("OLDPWD="), find("OLDPWD=") + 1, envp->end());
  if (!place.exec) {
    char* entry = const_cast<char*>(Keep("_=" + path));
    if (auto at = find("_="); at != envp->end())
      *at = entry;
    else
      envp->push_back(entry);
  }
}

void ShellEnvironment::ExportForShell(char* const* entries,
                                      const Directory& changed,
                                      std::vector<char*>* envp) const {
  char* pwd = const_cast<char*>(changed.pwd);
  char* oldpwd = const_cast<char*>(changed.oldpwd);
  bool has_pwd = !pwd, has_oldpwd = !oldpwd;
  envp->clear();
  for (; *entries; ++entries) {
    std::string_view entry = *entries;
    if (shell_ == Shell::kBash && entry.starts_with("_="))
      continue;
    // In their places: that decides on the order in which they are handed on.
    bool is_pwd = pwd && entry.starts_with("PWD=");
    bool is_oldpwd = oldpwd && entry.starts_with("OLDPWD=");
    has_pwd |= is_pwd;
    has_oldpwd |= is_oldpwd;
    envp->push_back(is_pwd ? pwd : is_oldpwd ? oldpwd : *entries);
  }
  if (!has_pwd)
    envp->push_back(pwd);
  if (!has_oldpwd)
    envp->push_back(oldpwd);
  envp->push_back(nullptr);
}

}  // namespace launcher
