// Calls from one object of a program into another, resolved ahead.
//
// A call goes through a word that the loader fills in when it is made for the
// first time: it looks the function up by its name in all objects. Each job of
// the program would do that again, with the same result. So the program is
// loaded once more with LD_BIND_NOW set, where the loader does it for all calls
// before the entry point, and what it has found is put into the parked process.
//
// The result of a lookup does not depend on when it is made: objects that come
// later, by dlopen(3), are searched after all that are there at the start
// (ld.so(8); glibc's add_to_global()), and none of these can go. Left to the
// first call are
//   - functions whose address is the result of code of theirs (STT_GNU_IFUNC):
//     that may depend on what a constructor has done before;
//   - names that are in no object yet, and what the loader does not find within
//     the objects: the vDSO;
//   - words that do not hold what the loader puts there for a first call: they
//     have been filled in, or written by the program itself.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_WARM_BINDINGS_H_
#define LAUNCHER_SRC_WARM_BINDINGS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "image.h"
#include "launcher/result.h"
#include "tracee.h"

namespace launcher::warm {

/// What the calls of each object lead to, in terms that mean the same in every
/// process of the program.
struct Bindings {
  struct Call {
    uint32_t relocation;  ///< Index in the object's DT_JMPREL.
    uint32_t object;      ///< Where the function is: index in `objects`.
    uint64_t offset;
  };
  struct Object {
    std::string path;
    std::vector<Call> calls;
  };
  std::vector<Object> objects;
};

/// What a program that is at its entry point, loaded with LD_BIND_NOW, has
/// bound. `image` need not have its memory. Objects that are not understood
/// have no calls; a program that has an object twice (dlmopen(3)) has none at
/// all. Errors: those of Process.
Result<Bindings> FindBindings(const Tracee& tracee, const Image& image);

/// Binds the calls of another process of the program that would still have to
/// be. Errors: those of Process.
Result<void> Bind(const Tracee& tracee, const Image& image,
                  const Bindings& bindings);

}  // namespace launcher::warm

#endif  // LAUNCHER_SRC_WARM_BINDINGS_H_
