// SPDX-License-Identifier: Apache-2.0

#include "confine.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#include "launcher/fd.h"

namespace shell_fuzz {
namespace {

// Everything but reading, of the first version.
constexpr uint64_t kFiles =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
    LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
    LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |
    LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
    LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
    LANDLOCK_ACCESS_FS_MAKE_SYM;
constexpr uint64_t kRefer = 1 << 13;       // Version 2: link to elsewhere.
constexpr uint64_t kScopeSignal = 1 << 1;  // Version 6.
constexpr long kReferVersion = 2, kScopeVersion = 6;

// struct landlock_ruleset_attr as it is today; old kernels take less of it.
struct Ruleset {
  uint64_t files, network, scoped;
};

bool Allow(int ruleset, const char* path, uint64_t access) {
  launcher::Fd fd(open(path, O_PATH | O_CLOEXEC));
  landlock_path_beneath_attr rule = {access, fd.get()};
  return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
                 &rule, 0) == 0;
}

long LandlockVersion() {
  return syscall(SYS_landlock_create_ruleset, nullptr, 0,
                 LANDLOCK_CREATE_RULESET_VERSION);
}

}  // namespace

bool CanConfine() { return LandlockVersion() >= 1; }

bool Confine(const std::string& directory,
             const std::vector<std::string>& programs) {
  // A root that execs gets its capabilities back without these bits.
  prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED);
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  syscall(SYS_capset, &header, none);

  long version = LandlockVersion();
  if (version < 1)
    return false;
  Ruleset rules = {kFiles, 0, 0};
  if (version >= kReferVersion)
    rules.files |= kRefer;
  size_t size = sizeof(rules.files);
  if (version >= kScopeVersion) {
    rules.scoped = kScopeSignal;
    size = sizeof(rules);
  }
  launcher::Fd ruleset(
      static_cast<int>(syscall(SYS_landlock_create_ruleset, &rules, size, 0)));
  // Where the dynamic loader is. Not all of these are everywhere.
  for (const char* path : {"/lib", "/lib64", "/usr/lib", "/usr/lib64"})
    Allow(ruleset.get(), path, LANDLOCK_ACCESS_FS_EXECUTE);
  for (const std::string& path : programs)
    Allow(ruleset.get(), path.c_str(), LANDLOCK_ACCESS_FS_EXECUTE);
  return ruleset && Allow(ruleset.get(), directory.c_str(), rules.files) &&
         Allow(ruleset.get(), "/dev/null", LANDLOCK_ACCESS_FS_WRITE_FILE) &&
         prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         syscall(SYS_landlock_restrict_self, ruleset.get(), 0) == 0;
}

}  // namespace shell_fuzz
