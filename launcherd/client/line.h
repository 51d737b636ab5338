// From a command line to its programs, if nothing else is in it: to one, as
// make would start it by itself; or to one after the other, as dash would.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_CLIENT_LINE_H_
#define LAUNCHER_CLIENT_LINE_H_

#include <string>
#include <utility>
#include <vector>

#include "child_setup.h"
#include "shell.h"
#include "shell_environment.h"

namespace launcher {

/// One program and what is done before it.
struct Program {
  /// False: make would have started it itself, and it is this process that
  /// becomes the program. True: dash would stay its parent.
  bool in_shell = false;

  std::string path;
  std::vector<char*> argv;  ///< With a null at the end, as envp.
  std::vector<char*> envp;
  std::vector<ChildStep> steps;  ///< Redirections: kOpen, kDup2.
  sys::KernelSigset mask = 0;
  CommandPlace place;
};

/// Goes over a line. What dash does in its own process, such as cd, this one
/// does too; `invocation` is meanwhile what a shell would have to be given to
/// go on from before the current program.
class Line {
 public:
  /// `text` is the line, the last argument of `invocation`; it is written to.
  /// `from_make`: make has sent it, with flags that let it start simple lines
  /// by itself. Goes on to the first program. False: the shell is to run it.
  /// Where there is none (`true`, `exit 1`) this process ends.
  bool Read(char* text, bool from_make);

  const Program& program() const { return program_; }

  /// Whether there is more to do once the current program has ended with 0.
  bool HasNext() const { return next_ < tokens_.size(); }

  /// Goes on behind it, as Read().
  bool Next();

  /// Why the shell is to run the line, or what is left of it: glob '*'.
  const std::string& reason() const { return reason_; }

 private:
  bool ReadSimple(const char* text);
  bool ReadPlan(const char* text);
  std::string MakePlan(const char* text);
  bool FindNext();
  bool ChangeDir(const char* dir);
  void StoreToken(const PlanToken& token);
  long FindProgram(const char* search_path);

  std::string reason_;
  char* text_ = nullptr;
  char** entries_ = nullptr;       ///< The environment as it came.
  std::vector<PlanToken> tokens_;  ///< None of a simple line.
  size_t next_ = 0;
  Program program_;
  ShellEnvironment environment_;
  std::vector<const char*> assignments_;
  std::vector<char*> shell_envp_;
  /// A shell remembers where it has found a program.
  std::vector<std::pair<const char*, std::string>> found_;
};

}  // namespace launcher

#endif  // LAUNCHER_CLIENT_LINE_H_
