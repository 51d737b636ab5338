// What run_pairs is to launch cold and warm.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef TESTS_WARM_ENTRY_H_
#define TESTS_WARM_ENTRY_H_

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "launcher/launcher.h"

using Strings = std::vector<std::string>;

/// A launch to compare.
struct Entry {
  std::string name;
  Strings words;
  std::string input;  ///< Relative path; empty: /dev/null.
  std::string mask;
  std::set<std::string> ignored;
  bool own_pwd = false;
  Strings variables;
  std::function<void(launcher::Command*)> change;  ///< Of the probe.
  std::function<void()> before;  ///< Called when it has been parked already.
};

/// Prints it and ends the process.
[[noreturn]] void Die(const std::string& text);

/// Of a file like programs.txt.
std::vector<Entry> ReadTable(const std::string& path);

/// `descriptor`: one that some of them hand down.
std::vector<Entry> ProbeCases(const std::string& probe, int descriptor);

/// What a child has from its parent, changed after the probe has been parked.
std::vector<Entry> SurroundingCases(const std::string& probe);

#endif  // TESTS_WARM_ENTRY_H_
