// From a command line to one program, if it is one: as make would start it by
// itself, or as dash would.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_CLIENT_LINE_H_
#define LAUNCHER_CLIENT_LINE_H_

#include <string>
#include <vector>

#include "child_setup.h"
#include "shell.h"
#include "shell_environment.h"

namespace launcher {

/// One program and what is done before it. Nothing has been done yet.
struct Program {
  /// False: make would have started it itself, and it is this process that
  /// becomes the program. True: dash would stay its parent.
  bool in_shell = false;

  std::string path;
  std::vector<char*> argv;  ///< With a null at the end, as envp.
  std::vector<char*> envp;
  std::vector<ChildStep> steps;  ///< cd and redirections: kChdir, kOpen, kDup2.
  sys::KernelSigset mask = 0;
  CommandPlace place;
};

class Line {
 public:
  /// `text` is the line, borrowed. `from_make`: make has sent it, with flags
  /// that let it start simple lines by itself. False: the shell is to run it.
  /// A line that runs no program (`true`, `exit 1`) ends this process.
  bool Read(const char* text, bool from_make);

  Program& program() { return program_; }

 private:
  bool ReadSimple(const char* text);
  bool ReadPlan(const char* text);
  bool StoreToken(const PlanToken& token);
  bool FindProgram(const char* search_path);

  Program program_;
  ShellEnvironment environment_;
  std::vector<const char*> assignments_;
};

/// The value of a variable of the invocation, or null.
const char* Environment(const char* name);

}  // namespace launcher

#endif  // LAUNCHER_CLIENT_LINE_H_
