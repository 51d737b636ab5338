// Bytes of programs as JSON can carry them.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHERD_DAEMON_ENCODING_H_
#define LAUNCHERD_DAEMON_ENCODING_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace launcherd {

/// How many bytes at the start of `text` are whole characters of UTF-8, RFC
/// 3629: no surrogates, nothing longer than it needs to be.
size_t Utf8Prefix(std::string_view text);

/// Whether `tail` may be the start of one character that has been cut off.
bool IsCutUtf8(std::string_view tail);

/// RFC 4648, section 4, with padding.
std::string ToBase64(std::string_view bytes);

/// Empty if `text` is not what ToBase64() makes.
std::optional<std::string> FromBase64(std::string_view text);

}  // namespace launcherd

#endif  // LAUNCHERD_DAEMON_ENCODING_H_
