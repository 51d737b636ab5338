// What launcher-sh and launcherd say to each other: messages over a
// SOCK_SEQPACKET socket, one connection for each line. Plain data.
//
//   client  Hello and what follows it, in one message, descriptors with it
//   server  Answer kInPlace; or
//           Answer kLaunching, before it does anything, and then kLaunched,
//           with the pidfd of the job, and when that has ended kExited or
//           kSignaled. Until then kInPlace may come: no program has run.
//
// The client closes the connection to have the job killed. A server that finds
// anything odd about a message says kInPlace. When the server goes away before
// it has said kLaunching, nothing has happened; later, nobody can tell.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_CLIENT_PROTOCOL_H_
#define LAUNCHER_CLIENT_PROTOCOL_H_

#include <stdint.h>
#include <sys/prctl.h>

#include "sys.h"

namespace launcher {

/// The variable that names the server: /proc/PID/fd/N,M:COOKIE, and ":stats"
/// behind it if it wants to be asked, and told of lines for the shell, whatever
/// comes of it. N is the socket, M the hints.
inline constexpr char kServerVariable[] = "LAUNCHER_SERVER";

inline constexpr uint32_t kProtocolMagic = 0x684c7253;
/// Changes with anything in this file.
inline constexpr uint32_t kProtocolVersion = 2;
inline constexpr int kCookieSize = 32;  ///< Hexadecimal digits.

/// One bit for each path of an executable, by its hash: set if asking for it
/// will come to nothing. It may be wrong, since others have the same bit. To be
/// asked in vain takes 300 us of CPU time, as much as many programs do to load.
inline constexpr uint32_t kHintBits = 1 << 15;

inline uint32_t HintBit(const char* path) {
  uint32_t hash = 2166136261;  // FNV-1a
  for (; *path; ++path)
    hash = (hash ^ static_cast<unsigned char>(*path)) * 16777619;
  return (hash ^ hash >> 15) % kHintBits;
}

inline constexpr uint32_t kMostMessage = 128 * 1024;
inline constexpr uint32_t kMostDescriptors = 60;
inline constexpr uint32_t kMostSteps = 64;

/// What a job inherits and only a process itself can be asked for: timer slack,
/// securebits, policy for memory errors, personality, memory policy, signal at
/// the death of the parent and being a subreaper, session keyring.
inline constexpr int kOwnStates = 8;

inline void ReadOwnState(uint64_t* own) {
  auto prctl = [](long what) {
    return static_cast<uint64_t>(sys::Raw(SYS_prctl, what));
  };
  int death = 0, subreaper = 0, policy = 0;
  unsigned long nodes[16] = {};
  sys::Raw(SYS_prctl, PR_GET_PDEATHSIG, sys::Arg(&death));
  sys::Raw(SYS_prctl, PR_GET_CHILD_SUBREAPER, sys::Arg(&subreaper));
  sys::Raw(SYS_get_mempolicy, sys::Arg(&policy), sys::Arg(nodes),
           8 * sizeof(nodes));
  own[0] = prctl(PR_GET_TIMERSLACK);
  own[1] = prctl(PR_GET_SECUREBITS);
  own[2] = prctl(PR_MCE_KILL_GET);
  own[3] = static_cast<uint64_t>(sys::Raw(SYS_personality, 0xffffffff));
  own[4] = static_cast<uint64_t>(policy);
  own[5] = nodes[0];
  own[6] = static_cast<uint64_t>(death) | static_cast<uint64_t>(subreaper)
                                              << 32;
  // KEYCTL_GET_KEYRING_ID of KEY_SPEC_SESSION_KEYRING.
  own[7] = static_cast<uint64_t>(sys::Raw(SYS_keyctl, 0, -3, 0));
}

/// A redirection, to be done in the job after its descriptors are in place.
struct ProtocolStep {
  int32_t newfd;
  int32_t fd;     ///< Becomes a copy of this one; or if negative:
  int32_t flags;  ///< open(2), mode 0666, of the next of the paths.
};

/// Behind it: `descriptors` int32_t (the numbers that those sent have in the
/// job, in ascending order, 0 to 2 first; the first one sent is the directory
/// and has none), `steps` ProtocolStep, and texts with a null behind each: the
/// path of the executable, `arguments`, `environment`, the paths of the steps.
struct Hello {
  uint32_t magic;
  uint32_t version;
  char cookie[kCookieSize];
  uint64_t own[kOwnStates];  ///< ReadOwnState()
  uint64_t mask;             ///< Of the job's blocked signals.
  uint32_t descriptors;
  uint32_t steps;
  uint32_t arguments;
  uint32_t environment;
};

struct Answer {
  enum Kind : uint32_t {
    kInPlace,
    kLaunching,
    kLaunched,
    kExited,
    kSignaled,
  };
  uint32_t kind;
  int32_t code;  ///< Exit status or signal.
  uint32_t core_dumped;
};

/// A line for the real shell, told in passing where launcherd --stats counts
/// them. It has no answer.
struct Note {
  uint32_t magic;
  uint32_t version;
  char cookie[kCookieSize];
  char reason[64];  ///< With a null at its end.
};

}  // namespace launcher

#endif  // LAUNCHER_CLIENT_PROTOCOL_H_
