// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_HASH_H_
#define LAUNCHER_SRC_HASH_H_

#include <cstddef>
#include <string_view>

namespace launcher {

/// xxHash (XXH3, 64 bits) for string keys; found by string_view too.
struct Hash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const;
};

}  // namespace launcher

#endif  // LAUNCHER_SRC_HASH_H_
