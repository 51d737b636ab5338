// What all processes of shell_fuzz have found together.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef TESTS_SHELL_REPORT_H_
#define TESTS_SHELL_REPORT_H_

#include <string>
#include <vector>

#include "worker.h"

namespace shell_fuzz {

/// A text in Markdown as in bench/results. `logs`: what the workers have
/// written in the end.
std::string Summary(const Options& options, const Counts& counts,
                    const std::vector<std::string>& logs, double seconds);

}  // namespace shell_fuzz

#endif  // TESTS_SHELL_REPORT_H_
