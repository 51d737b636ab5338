// What make says of a program that it has tried to start by itself, in vain.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_CLIENT_MAKE_ERROR_H_
#define LAUNCHER_CLIENT_MAKE_ERROR_H_

namespace launcher {

/// Ends this process, a child of make, with make's words (4.3 and 4.4) and the
/// status that it gives to such a line: "make[1]: x: No such file or
/// directory", 127. Returns if these are not known: another error than ENOENT
/// and EACCES, or make may speak another language. `error` is a negative errno.
void FailAsMake(const char* program, long error);

}  // namespace launcher

#endif  // LAUNCHER_CLIENT_MAKE_ERROR_H_
