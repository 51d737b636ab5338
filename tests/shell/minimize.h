// SPDX-License-Identifier: Apache-2.0

#ifndef TESTS_SHELL_MINIMIZE_H_
#define TESTS_SHELL_MINIMIZE_H_

#include <functional>

#include "case.h"

namespace shell_fuzz {

/// A case with less in it for which `still` holds as it does for `that`: leaves
/// out surroundings, then words, then bytes.
Case Minimize(const Case& that, const std::function<bool(const Case&)>& still);

}  // namespace shell_fuzz

#endif  // TESTS_SHELL_MINIMIZE_H_
