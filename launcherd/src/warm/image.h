// The memory of a program at its entry point: what in it depends on the process
// rather than on the program.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHER_SRC_WARM_IMAGE_H_
#define LAUNCHER_SRC_WARM_IMAGE_H_

#include <string.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "launcher/result.h"
#include "process.h"
#include "stub.h"
#include "tracee.h"

namespace launcher::warm {

/// An address in terms that mean the same in another process of the program.
struct Place {
  std::string object;  ///< A file, "[heap]", "[thread]"; empty: there are none.
  int64_t offset;

  auto operator<=>(const Place&) const = default;
};

/// A copy of pages that are a process's own, in the order of their addresses.
struct OwnMemory {
  struct Page {
    uint64_t address;
    size_t mapping;  ///< Index.
  };
  static constexpr size_t kPageSize = 4096;

  std::vector<Page> pages;

  /// Room for the bytes of all pages, one after the other. Not of malloc(3),
  /// which would keep it: 12 MiB for clang. Errors: ENOMEM (step "mmap").
  Result<void> Allocate();

  char* BytesOf(size_t page) const { return bytes_.get() + page * kPageSize; }

 private:
  struct Unmap {
    size_t size;
    void operator()(char* bytes) const;
  };
  std::unique_ptr<char, Unmap> bytes_;
};

/// The address space of a tracee at its entry point.
class Image {
 public:
  /// An object that is mapped, with its zeroed data.
  struct Extent {
    uint64_t start, end;
    uint64_t base;     ///< What is added to its addresses.
    uint64_t dynamic;  ///< The address of its dynamic section; 0: it has none.
    std::string path;

    bool Contains(uint64_t address) const {
      return address >= start && address < end;
    }
  };

  /// Copies what is the process's own. Errors: those of Process. `tracee` must
  /// outlive it.
  static Result<Image> Of(const Tracee& tracee);

  /// The same without the copy.
  static Result<Image> LayoutOf(const Tracee& tracee);

  const std::vector<Mapping>& mappings() const { return mappings_; }
  /// One for each object.
  const std::vector<Extent>& extents() const { return extents_; }
  /// Whether an object is mapped in another place too.
  bool has_copies() const { return has_copies_; }

  struct Found {
    uint64_t address;
    size_t mapping;  ///< Index.
  };
  /// Where in the memory that is the process's own (but for its stack) a 4-byte
  /// `value` is, in the order of the addresses.
  std::vector<Found> FindValue(uint32_t value) const;

  /// Calls `look` with each word of the same memory: the index of its mapping,
  /// its address, its value.
  template <typename Look>
  void EachOwnWord(Look look) const {
    for (size_t i = 0; i < memory_.pages.size(); ++i)
      for (size_t at = 0; at < OwnMemory::kPageSize; at += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, memory_.BytesOf(i) + at, sizeof(word));
        look(memory_.pages[i].mapping, memory_.pages[i].address + at, word);
      }
  }

  /// The same memory; this has none of it then.
  OwnMemory TakeMemory() { return std::move(memory_); }

  Place PlaceOf(uint64_t address) const;

  /// The address of a `syscall; ret` in code that stays mapped.
  /// Errors: ENOENT (step "entry point").
  Result<uint64_t> FindReturnGadget() const;

  /// Whether `address` is in the loader's own memory.
  bool IsOfLoader(uint64_t address) const;

  /// The objects that are mapped, in an order that does not depend on where.
  std::vector<std::string> Objects() const;

 private:
  explicit Image(const Tracee* tracee) : tracee_(tracee) {}
  void AddExtent(const Mapping& first);
  Result<void> CopyOwn();

  const Tracee* tracee_;
  std::vector<Mapping> mappings_;
  OwnMemory memory_;
  std::vector<Extent> extents_;
  bool has_copies_ = false;
};

/// Everything that holds the address of argc, of argv or of argv[0] and into
/// it, the value of argc or of the pid. `counts` and `pids`: where another
/// process of the program has those, sorted. Errors: EPERM (step "entry point",
/// object a clause) if there is too much; EAGAIN if another try may have a
/// better end; those of Process.
Result<std::vector<Slot>> FindSlots(const Tracee& tracee, const Image& image,
                                    const prctl_mm_map& map,
                                    const std::vector<Place>& counts,
                                    const std::vector<Place>& pids);

}  // namespace launcher::warm

#endif  // LAUNCHER_SRC_WARM_IMAGE_H_
