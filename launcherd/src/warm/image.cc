// SPDX-License-Identifier: Apache-2.0

#include "image.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <algorithm>
#include <string_view>

namespace launcher::warm {

namespace {

constexpr uint64_t kPage = OwnMemory::kPageSize;

// Around the thread pointer: what glibc and musl have there of the thread
// itself, and static thread-local variables below.
constexpr uint64_t kThreadBelow = 16 * 1024;
constexpr uint64_t kThreadAbove = 4096;

/// The stack has nothing but what execve(2) puts there, and what is dead.
bool IsOfInterest(const Mapping& mapping) {
  return mapping.readable && !mapping.executable && !mapping.shared &&
         !mapping.path.starts_with("[stack") && !mapping.path.starts_with("[v");
}

}  // namespace

void OwnMemory::Unmap::operator()(char* bytes) const { munmap(bytes, size); }

Result<void> OwnMemory::Allocate() {
  const size_t size = pages.size() * kPageSize;
  if (size == 0)
    return {};
  void* bytes = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (bytes == MAP_FAILED)
    return Error{errno, "mmap", "copy of a program's memory"};
  // Its 4 KiB pages would cost as many faults as there are pages.
  (void)madvise(bytes, size, MADV_HUGEPAGE);
  bytes_ = {static_cast<char*>(bytes), Unmap{size}};
  return {};
}

Result<Image> Image::LayoutOf(const Tracee& tracee) {
  Image image(&tracee);
  Result<std::vector<Mapping>> mappings = tracee.process().Mappings();
  if (!mappings.ok())
    return mappings.error();
  image.mappings_ = std::move(mappings.value());
  for (const Mapping& mapping : image.mappings_)
    if (mapping.inode != 0 && mapping.offset == 0)
      image.AddExtent(mapping);
  return image;
}

Result<Image> Image::Of(const Tracee& tracee) {
  Result<Image> image = LayoutOf(tracee);
  if (!image.ok())
    return image;
  if (Result<void> copied = image.value().CopyOwn(); !copied.ok())
    return copied.error();
  return image;
}

/// From the program headers; what has none is left out.
void Image::AddExtent(const Mapping& first) {
  for (const Extent& known : extents_)
    if (known.path == first.path) {
      has_copies_ |= !known.Contains(first.start);
      return;
    }
  const Process& process = tracee_->process();
  Elf64_Ehdr header;
  if (!process.ReadMemory(first.start, &header, sizeof(header)).ok() ||
      memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
      header.e_phentsize != sizeof(Elf64_Phdr))
    return;
  std::vector<Elf64_Phdr> headers(header.e_phnum);
  if (!process
           .ReadMemory(first.start + header.e_phoff, headers.data(),
                       headers.size() * sizeof(Elf64_Phdr))
           .ok())
    return;
  uint64_t lowest = UINT64_MAX, highest = 0, dynamic = 0;
  for (const Elf64_Phdr& segment : headers) {
    if (segment.p_type == PT_DYNAMIC)
      dynamic = segment.p_vaddr;
    if (segment.p_type != PT_LOAD)
      continue;
    lowest = std::min(lowest, segment.p_vaddr & ~(kPage - 1));
    highest = std::max(highest, segment.p_vaddr + segment.p_memsz);
  }
  if (lowest >= highest)
    return;
  const uint64_t base = first.start - lowest;
  extents_.push_back({first.start, base + highest, base,
                      dynamic ? base + dynamic : 0, first.path});
}

Place Image::PlaceOf(uint64_t address) const {
  const uint64_t thread = ThreadPointer(tracee_->registers());
  for (const Extent& extent : extents_)
    if (extent.Contains(address))
      return {extent.path, static_cast<int64_t>(address - extent.start)};
  if (address + kThreadBelow >= thread && address < thread + kThreadAbove)
    return {"[thread]", static_cast<int64_t>(address - thread)};
  for (const Mapping& mapping : mappings_)
    if (mapping.path == "[heap]" && mapping.Contains(address))
      return {mapping.path, static_cast<int64_t>(address - mapping.start)};
  return {"", 0};
}

Result<void> Image::CopyOwn() {
  const Process& process = tracee_->process();
  for (size_t i = 0; i < mappings_.size(); ++i) {
    if (!IsOfInterest(mappings_[i]))
      continue;
    Result<std::vector<uint64_t>> pages = process.OwnPages(mappings_[i]);
    if (!pages.ok())
      return pages.error();
    for (uint64_t address : pages.value())
      memory_.pages.push_back({address, i});
  }
  const std::vector<OwnMemory::Page>& pages = memory_.pages;
  if (Result<void> room = memory_.Allocate(); !room.ok())
    return room;
  for (size_t first = 0, end; first < pages.size(); first = end) {
    for (end = first + 1; end < pages.size() &&
                          pages[end].address == pages[end - 1].address + kPage;
         ++end) {
    }
    Result<void> read = process.ReadMemory(
        pages[first].address, memory_.BytesOf(first), (end - first) * kPage);
    if (!read.ok())
      return read;
  }
  return {};
}

std::vector<Image::Found> Image::FindValue(uint32_t value) const {
  std::vector<Found> found;
  EachOwnWord([&](size_t mapping, uint64_t address, uint64_t word) {
    for (uint64_t half : {0, 4})
      if (static_cast<uint32_t>(word >> half * 8) == value)
        found.push_back({address + half, mapping});
  });
  return found;
}

bool Image::IsOfLoader(uint64_t address) const {
  const uint64_t loader = tracee_->image().aux.at(AT_BASE);
  for (const Extent& extent : extents_)
    if (extent.start == loader)
      return extent.Contains(address);
  return false;
}

std::vector<std::string> Image::Objects() const {
  std::vector<std::string> objects;
  for (const Mapping& mapping : mappings_)
    if (mapping.inode != 0)
      objects.push_back(mapping.path + " " + std::to_string(mapping.inode) +
                        " " + std::to_string(mapping.offset) + " " +
                        std::to_string(mapping.end - mapping.start) +
                        (mapping.writable ? "w" : "") +
                        (mapping.executable ? "x" : ""));
  std::sort(objects.begin(), objects.end());
  return objects;
}

Result<uint64_t> Image::FindReturnGadget() const {
  // The loader has one; so has any libc.
  const uint64_t loader = tracee_->image().aux.at(AT_BASE);
  std::string path;
  for (const Mapping& mapping : mappings_)
    if (mapping.Contains(loader))
      path = mapping.path;
  for (const Mapping& mapping : mappings_) {
    if (!mapping.executable || !mapping.readable || mapping.path != path)
      continue;
    std::string text(mapping.end - mapping.start, '\0');
    Result<void> read =
        tracee_->process().ReadMemory(mapping.start, text.data(), text.size());
    if (!read.ok())
      return read.error();
    size_t at = text.find(kReturnGadget);
    if (at != text.npos)
      return mapping.start + at;
  }
  return Error{ENOENT, "entry point", "no way back from a system call"};
}

Result<std::vector<Slot>> FindSlots(const Tracee& tracee, const Image& image,
                                    const prctl_mm_map& map,
                                    const std::vector<Place>& counts,
                                    const std::vector<Place>& pids) {
  const StartImage& start = tracee.image();
  Result<std::string> name = tracee.process().ReadText(map.arg_start);
  if (!name.ok())
    return name.error();
  const uint64_t name_end = map.arg_start + name.value().size() + 1;

  std::vector<Slot> slots;
  auto add = [&](uint64_t address, size_t mapping, Slot::Kind kind,
                 uint64_t offset = 0) {
    slots.push_back({.address = address,
                     .kind = kind,
                     .offset = static_cast<uint32_t>(offset),
                     .locked_start = 0,
                     .locked_size = 0});
    const Mapping& around = image.mappings()[mapping];
    if (around.writable)
      return;
    constexpr uint64_t kSmall = 16 * kPage;
    const bool whole = around.end - around.start <= kSmall;
    slots.back().locked_start = whole ? around.start : address & ~(kPage - 1);
    slots.back().locked_size = whole ? around.end - around.start : kPage;
  };
  image.EachOwnWord([&](size_t mapping, uint64_t address, uint64_t word) {
    if (word == start.arguments)
      add(address, mapping, Slot::Kind::kArguments);
    else if (word == start.stack)
      add(address, mapping, Slot::Kind::kStack);
    else if (word >= map.arg_start && word < name_end)
      add(address, mapping, Slot::Kind::kName, word - map.arg_start);
  });

  // What has the value in both processes follows it. Where the place of another
  // process is not known, it may be by chance or not.
  auto add_values = [&](uint32_t value, const std::vector<Place>& others,
                        Slot::Kind kind) -> Result<void> {
    for (const Image::Found& one : image.FindValue(value)) {
      const Place place = image.PlaceOf(one.address);
      if (place.object.empty())
        return Error{
            EAGAIN, "entry point",
            "it has " + std::to_string(value) + " in a place without a name"};
      if (std::binary_search(others.begin(), others.end(), place))
        add(one.address, one.mapping, kind);
    }
    return {};
  };
  Result<void> added = add_values(static_cast<uint32_t>(start.argument_count),
                                  counts, Slot::Kind::kCount);
  if (added.ok())
    added = add_values(static_cast<uint32_t>(tracee.process().pid()), pids,
                       Slot::Kind::kPid);
  if (!added.ok())
    return added.error();
  if (slots.size() > kMostSlots)
    return Error{EPERM, "entry point",
                 "it keeps too many addresses of its arguments"};
  return slots;
}

}  // namespace launcher::warm
