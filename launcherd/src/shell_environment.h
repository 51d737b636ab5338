// The environment and directory that a shell would give to its commands: names
// that are no identifiers, duplicates, PWD, OLDPWD, SHLVL, _, and the order.
//
// Each shell keeps its variables in a hash table and hands them on in the order
// of that table; to come to the same result this does the same.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_SHELL_ENVIRONMENT_H_
#define LAUNCHER_SRC_SHELL_ENVIRONMENT_H_

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "path_lookup.h"
#include "shell.h"

namespace launcher {

/// A hash table of variables that is read in the order of its buckets.
class VariableTable {
 public:
  struct Variable {
    const char* entry;  ///< NAME=value, or NAME alone while it has no value.
    size_t name_size;
    int next;
    bool exported;

    std::string_view name() const { return {entry, name_size}; }
    const char* value() const;  ///< Null if it has none.
  };

  using Hash = uint32_t (*)(std::string_view name);
  enum class New : uint8_t { kFirstInBucket, kLastInBucket };

  void Clear(size_t buckets, Hash hash, New where);
  const Variable* Find(std::string_view name) const;
  Variable* Find(std::string_view name) {
    return const_cast<Variable*>(std::as_const(*this).Find(name));
  }

  /// `entry` is borrowed. A variable that is there keeps its place, and stays
  /// exported if it was.
  Variable* Set(const char* entry, size_t name_size, bool exported);

  template <class Function>
  void ForEach(Function function) const {
    for (int head : heads_)
      for (int at = head; at >= 0; at = variables_[at].next)
        function(variables_[at]);
  }
  size_t size() const { return variables_.size(); }

 private:
  Hash hash_ = nullptr;
  New where_ = New::kLastInBucket;
  std::vector<int> heads_;
  std::vector<Variable> variables_;
};

class ShellEnvironment {
 public:
  /// Takes what a shell would on its start: `entries` (null-terminated,
  /// borrowed) and the directory it is started in. Returns why it cannot be
  /// foreseen, or an empty text.
  std::string Start(Shell shell, char* const* entries, const LookupDir& dir);

  /// As the command cd does, `dir` as ReadCommandLine() admits it.
  void ChangeDir(const char* dir);

  /// The name of the directory: what the shell has in PWD.
  const char* dir() const { return dir_; }

  /// Which directory variables cd has set; null while there has been none.
  struct Directory {
    const char* pwd = nullptr;     ///< PWD=...
    const char* oldpwd = nullptr;  ///< OLDPWD=...
  };
  Directory changed() const { return changed_; }

  /// Whether bytes above 127 are UTF-8, or none mean anything, in its locale.
  bool IsUtf8() const;

  /// The value of an exported variable, or null.
  const char* Value(std::string_view name) const;

  /// The environment of a program. `assignments` stand before it, `path` is
  /// what is executed. Valid as long as this object and what it borrows.
  void Export(const std::vector<const char*>& assignments,
              const CommandPlace& place, const std::string& path,
              std::vector<char*>* envp);

  /// `entries` for a shell that is to go on after a program, where cd had led
  /// to `changed`: as they came, but for PWD and OLDPWD if a cd has set them.
  /// bash keeps `_` to itself after its first command.
  void ExportForShell(char* const* entries, const Directory& changed,
                      std::vector<char*>* envp) const;

 private:
  std::string StartDir(const LookupDir& dir);
  void CheckOldPwd(const LookupDir& dir);
  void Predefine();
  const char* Keep(std::string text);
  const char* SetText(std::string_view name, std::string_view value);
  void ExportBash(const std::vector<const char*>& assignments,
                  const CommandPlace& place, const std::string& path,
                  std::vector<char*>* envp);

  Shell shell_ = Shell::kUnknown;
  VariableTable variables_;
  VariableTable invalid_;  ///< bash passes on what is no identifier.
  bool had_oldpwd_ = false;
  unsigned level_ = 0;  ///< SHLVL as it came.
  const char* dir_ = nullptr;
  Directory changed_;
  std::deque<std::string> kept_;
};

}  // namespace launcher

#endif  // LAUNCHER_SRC_SHELL_ENVIRONMENT_H_
