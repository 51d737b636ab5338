// What words are to shells: names, builtins, variables of their own, paths.
//
// No library: it is built freestanding too.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_SHELL_WORDS_H_
#define LAUNCHER_SRC_SHELL_WORDS_H_

#include <stddef.h>

namespace launcher {

size_t Length(const char* text);
bool Same(const char* text, const char* other);
bool StartsWith(const char* text, const char* prefix);

bool IsDigit(char c);

/// A name of POSIX: letters, digits and underscores, no digit in front.
bool IsIdentifier(const char* text, size_t size);

bool IsReservedWord(const char* word);

/// The builtins of dash, bash and busybox ash, in any configuration. Some are
/// programs as well (echo, kill, test): these differ from the builtin.
bool IsBuiltin(const char* word);

/// Assigned to before a command, these are refused by some shell, or change how
/// it goes on.
bool IsShellVariable(const char* name, size_t size);

/// bash warns of a locale that it cannot have.
bool IsDoubtfulLocale(const char* assignment, size_t name_size);

const char* BaseName(const char* path);

/// Whether it has a slash, but not in front.
bool IsRelativePath(const char* program);

/// Whether the shells agree on where `cd dir` leads: the text decides, with any
/// number of ".." in front and none later.
bool IsPlainDirectory(const char* dir);

}  // namespace launcher

#endif  // LAUNCHER_SRC_SHELL_WORDS_H_
