// Turns the plan of a launch into a request to a parked process.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_WARM_REQUEST_H_
#define LAUNCHER_SRC_WARM_REQUEST_H_

#include <string>
#include <vector>

#include "child_setup.h"
#include "protocol.h"

namespace launcher::warm {

struct Message {
  std::vector<char> bytes;
  std::vector<int> descriptors;  ///< To be sent with it; borrowed.

  Request* request() { return reinterpret_cast<Request*>(bytes.data()); }
};

/// What is known to be the same, or not, between a job and a parked process.
enum class EnvironmentMatch { kSame, kOtherDirectory, kDifferent };

/// kOtherDirectory: the same names in the same order, and the same values but
/// for PWD and OLDPWD.
EnvironmentMatch MatchEnvironment(const std::vector<std::string>& parked,
                                  char* const* environment);

/// Makes the request of `plan`. `inherited`: descriptors above 2 that the child
/// gets unless a step takes them away. `fd_limit`: what the child may open.
/// Everything but Request::id and Request::report is filled in. Returns why it
/// is not possible, or an empty text.
std::string MakeRequest(const ChildPlan& plan,
                        const std::vector<int>& inherited, rlim_t fd_limit,
                        EnvironmentMatch match, Message* message);

}  // namespace launcher::warm

#endif  // LAUNCHER_SRC_WARM_REQUEST_H_
