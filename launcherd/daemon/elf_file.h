// What an ELF file says about the work of its loader.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHERD_DAEMON_ELF_FILE_H_
#define LAUNCHERD_DAEMON_ELF_FILE_H_

#include <cstdint>
#include <string>

#include "launcher/result.h"

namespace launcherd {

struct ElfFile {
  std::string interpreter;  ///< PT_INTERP; empty: static.
  uint64_t relative = 0;    ///< Relocations without a symbol.
  uint64_t symbolic = 0;    ///< Relocations that look one up.
  bool is_elf = false;

  /// Errors: of open(2), step "open". A file of another kind is none: is_elf.
  static launcher::Result<ElfFile> Read(const std::string& path);
};

}  // namespace launcherd

#endif  // LAUNCHERD_DAEMON_ELF_FILE_H_
