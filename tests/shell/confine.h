// Keeps what random lines do to one directory.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef TESTS_SHELL_CONFINE_H_
#define TESTS_SHELL_CONFINE_H_

#include <string>
#include <vector>

namespace shell_fuzz {

/// Whether the kernel has Landlock, landlock_create_ruleset(2).
bool CanConfine();

/// This process and its children, for good: files are made, changed, removed
/// and executed below `directory` only, but for `programs` and libraries;
/// signals reach themselves only where the kernel knows that (Linux 6.12); root
/// has no more rights to a file than its owner, so that modes matter. False if
/// that fails.
bool Confine(const std::string& directory,
             const std::vector<std::string>& programs);

}  // namespace shell_fuzz

#endif  // TESTS_SHELL_CONFINE_H_
