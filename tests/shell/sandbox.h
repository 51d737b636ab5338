// The directory in which lines are run: the same before each of them.
//
//   bin       the witness under all its names, and programs that are none
//   bin2      other things under some of these names
//   shells    NAME/sh, a link to each shell
//   top       the one place that lines can change:
//   top/w     where they start; sandbox.cc has what lies there
//
// SPDX-License-Identifier: Apache-2.0

#ifndef TESTS_SHELL_SANDBOX_H_
#define TESTS_SHELL_SANDBOX_H_

#include <string>
#include <string_view>
#include <vector>

#include "case.h"
#include "launcher/fd.h"

namespace shell_fuzz {

struct Shell {
  std::string name;
  std::string path;
};

class Sandbox {
 public:
  /// Makes all of it in `root`, which must not exist. An error is fatal.
  Sandbox(std::string root, const std::string& witness,
          const std::vector<Shell>& shells);
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;

  const std::string& root() const { return root_; }
  std::string ShellPath(const Shell& shell) const;

  /// With the places of this sandbox instead of "@R@" and "@W@", or back.
  std::string Expand(std::string_view text) const;
  std::string Contract(std::string_view text) const;

  /// A directory to start in.
  std::string Path(Case::Start start) const;

  /// A descriptor of one that has been removed.
  int gone_fd() const { return gone_.get(); }

  /// What a line has made of top: empty if nothing has changed, else one line
  /// for each file. Puts everything back.
  std::string Collect();

 private:
  void MakePrograms(const std::string& witness);
  void MakeDecoys();
  bool Changed() const;
  std::string List();
  void Repair();

  std::string root_;
  std::string work_;
  launcher::Fd top_;
  launcher::Fd gone_;
};

/// Removes a directory and all in it, whatever the modes.
void RemoveTree(const std::string& path);

/// Says on standard error what could not be done, with errno, and exits with 2.
[[noreturn]] void Die(const std::string& what);

}  // namespace shell_fuzz

#endif  // TESTS_SHELL_SANDBOX_H_
