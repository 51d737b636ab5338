// SPDX-License-Identifier: Apache-2.0

#include "bindings.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_set>

namespace launcher::warm {

namespace {

using Extent = Image::Extent;

// More than any object has; a number that is read from its memory.
constexpr uint64_t kMostEntries = 1 << 24;
constexpr uint64_t kMostBytes = 1 << 28;

/// The parts of an object's dynamic section that calls need.
struct DynamicPart {
  uint64_t relocations = 0, relocations_size = 0;
  uint64_t symbols = 0, texts = 0, texts_size = 0;
  uint64_t gnu_hash = 0, hash = 0;
};

template <typename T>
Result<std::vector<T>> ReadTable(const Process& process, uint64_t address,
                                 uint64_t count) {
  std::vector<T> table(count);
  Result<void> read =
      process.ReadMemory(address, table.data(), count * sizeof(T));
  if (!read.ok())
    return read.error();
  return table;
}

/// Nothing to be bound: an empty table of relocations.
Result<DynamicPart> ReadDynamic(const Process& process, const Extent& object) {
  DynamicPart part;
  bool known = true;
  for (uint64_t at = object.dynamic; at != 0; at += sizeof(Elf64_Dyn)) {
    Elf64_Dyn entry;
    Result<void> read = process.ReadMemory(at, &entry, sizeof(entry));
    if (!read.ok())
      return read.error();
    if (entry.d_tag == DT_NULL)
      break;
    // The loader has added the base, or not (musl).
    const uint64_t address = entry.d_un.d_ptr < object.start
                                 ? entry.d_un.d_ptr + object.base
                                 : entry.d_un.d_ptr;
    switch (entry.d_tag) {
      case DT_JMPREL:
        part.relocations = address;
        break;
      case DT_PLTRELSZ:
        part.relocations_size = entry.d_un.d_val;
        break;
      case DT_PLTREL:
        known = entry.d_un.d_val == DT_RELA;
        break;
      case DT_SYMTAB:
        part.symbols = address;
        break;
      case DT_STRTAB:
        part.texts = address;
        break;
      case DT_STRSZ:
        part.texts_size = entry.d_un.d_val;
        break;
      case DT_GNU_HASH:
        part.gnu_hash = address;
        break;
      case DT_HASH:
        part.hash = address;
        break;
    }
  }
  if (!known || !part.symbols || !part.texts || part.texts_size > kMostBytes ||
      part.relocations_size > kMostBytes)
    return DynamicPart{};
  return part;
}

/// The number of dynamic symbols is told by the tables of their hashes alone.
Result<uint64_t> CountSymbols(const Process& process, const DynamicPart& part) {
  if (part.hash) {  // Buckets, chains: one chain for each symbol.
    Result<std::vector<uint32_t>> header =
        ReadTable<uint32_t>(process, part.hash, 2);
    if (!header.ok())
      return header.error();
    return header.value()[1];
  }
  if (!part.gnu_hash)
    return uint64_t{0};
  // Buckets, first symbol in the table, words of the filter, shift.
  Result<std::vector<uint32_t>> header =
      ReadTable<uint32_t>(process, part.gnu_hash, 4);
  if (!header.ok())
    return header.error();
  const uint64_t bucket_count = header.value()[0], first = header.value()[1],
                 words = header.value()[2];
  if (bucket_count > kMostEntries || words > kMostEntries)
    return uint64_t{0};
  const uint64_t buckets = part.gnu_hash + 16 + words * sizeof(uint64_t);
  Result<std::vector<uint32_t>> heads =
      ReadTable<uint32_t>(process, buckets, bucket_count);
  if (!heads.ok())
    return heads.error();
  uint64_t last = 0;
  for (uint32_t head : heads.value())
    last = std::max<uint64_t>(last, head);
  if (last < first)
    return first;
  const uint64_t chains = buckets + bucket_count * sizeof(uint32_t);
  for (uint32_t chain = 0; (chain & 1) == 0; ++last) {
    Result<void> read = process.ReadMemory(
        chains + (last - first) * sizeof(chain), &chain, sizeof(chain));
    if (!read.ok())
      return read.error();
  }
  return last;
}

/// The calls of one object, as they are in its memory.
struct CallTable {
  std::vector<Elf64_Rela> relocations;
  uint64_t first = 0;           ///< Address of words[0].
  std::vector<uint64_t> words;  ///< From the lowest to the highest one.

  /// Null: it is no call.
  uint64_t* WordOf(const Elf64_Rela& relocation, const Extent& object) {
    if (ELF64_R_TYPE(relocation.r_info) != kCallRelocation)
      return nullptr;
    return &words[(object.base + relocation.r_offset - first) / 8];
  }
};

Result<CallTable> ReadCalls(const Process& process, const Extent& object,
                            const DynamicPart& part) {
  CallTable table;
  auto relocations = ReadTable<Elf64_Rela>(
      process, part.relocations, part.relocations_size / sizeof(Elf64_Rela));
  if (!relocations.ok())
    return relocations.error();
  uint64_t low = UINT64_MAX, high = 0;
  for (const Elf64_Rela& one : relocations.value()) {
    if (ELF64_R_TYPE(one.r_info) != kCallRelocation)
      continue;
    const uint64_t address = object.base + one.r_offset;
    if (address % 8 != 0 || address < object.start || address + 8 > object.end)
      return table;
    low = std::min(low, address);
    high = std::max(high, address);
  }
  if (low > high || high - low > kMostBytes)
    return table;
  auto words = ReadTable<uint64_t>(process, low, (high - low) / 8 + 1);
  if (!words.ok())
    return words.error();
  table.relocations = std::move(relocations.value());
  table.first = low;
  table.words = std::move(words.value());
  return table;
}

struct Symbols {
  std::vector<Elf64_Sym> symbols;
  std::string texts;

  std::string_view NameOf(uint64_t symbol) const {
    if (symbol >= symbols.size() || symbols[symbol].st_name >= texts.size())
      return {};
    return texts.c_str() + symbols[symbol].st_name;
  }
};

Result<Symbols> ReadSymbols(const Process& process, const DynamicPart& part) {
  Symbols read;
  Result<uint64_t> count = CountSymbols(process, part);
  if (!count.ok())
    return count.error();
  if (count.value() > kMostEntries)
    return read;
  auto symbols = ReadTable<Elf64_Sym>(process, part.symbols, count.value());
  if (!symbols.ok())
    return symbols.error();
  read.symbols = std::move(symbols.value());
  read.texts.resize(part.texts_size);
  Result<void> texts =
      process.ReadMemory(part.texts, read.texts.data(), read.texts.size());
  if (!texts.ok())
    return texts.error();
  return read;
}

/// The index of the object whose code is at `address`, or -1.
int ObjectOfCode(const Image& image, uint64_t address) {
  for (const Mapping& mapping : image.mappings()) {
    if (!mapping.Contains(address) || !mapping.executable)
      continue;
    for (size_t i = 0; i < image.extents().size(); ++i)
      if (image.extents()[i].Contains(address) &&
          image.extents()[i].path == mapping.path)
        return static_cast<int>(i);
  }
  return -1;
}

/// Reads code in pages, the last one of which is kept.
class CodeReader {
 public:
  explicit CodeReader(const Process& process) : process_(process) {}

  /// The aligned 16 bytes around `address`; zeros if they cannot be read.
  std::array<uint8_t, 16> Around(uint64_t address) {
    std::array<uint8_t, 16> bytes = {};
    const uint64_t page = address & ~uint64_t{sizeof(page_) - 1};
    if (page != start_ &&
        !process_.ReadMemory(page, page_.data(), page_.size()).ok()) {
      start_ = 1;  // No page's.
      return bytes;
    }
    start_ = page;
    std::copy_n(page_.begin() + (address - page) / 16 * 16, 16, bytes.begin());
    return bytes;
  }

 private:
  const Process& process_;
  uint64_t start_ = 1;
  std::array<uint8_t, 4096> page_;
};

}  // namespace

Result<Bindings> FindBindings(const Tracee& tracee, const Image& image) {
  if (image.has_copies())
    return Bindings{};
  const Process& process = tracee.process();
  const std::vector<Extent>& objects = image.extents();
  std::vector<DynamicPart> parts;
  std::vector<Symbols> symbols;
  std::unordered_set<std::string_view> computed;
  for (const Extent& object : objects) {
    Result<DynamicPart> part = ReadDynamic(process, object);
    if (!part.ok())
      return part.error();
    Result<Symbols> read = Symbols{};
    if (part.value().symbols)
      read = ReadSymbols(process, part.value());
    if (!read.ok())
      return read.error();
    parts.push_back(part.value());
    symbols.push_back(std::move(read.value()));
  }
  for (const Symbols& one : symbols)
    for (size_t i = 0; i < one.symbols.size(); ++i)
      if (ELF64_ST_TYPE(one.symbols[i].st_info) == STT_GNU_IFUNC)
        computed.insert(one.NameOf(i));

  Bindings bindings;
  for (size_t i = 0; i < objects.size(); ++i) {
    Bindings::Object found = {objects[i].path, {}};
    Result<CallTable> table = ReadCalls(process, objects[i], parts[i]);
    if (!table.ok())
      return table.error();
    for (uint32_t k = 0; k < table.value().relocations.size(); ++k) {
      const Elf64_Rela& relocation = table.value().relocations[k];
      const uint64_t* word = table.value().WordOf(relocation, objects[i]);
      if (!word)
        continue;
      std::string_view name = symbols[i].NameOf(ELF64_R_SYM(relocation.r_info));
      if (name.empty() || computed.contains(name))
        continue;
      if (int object = ObjectOfCode(image, *word); object >= 0)
        found.calls.push_back(
            {k, static_cast<uint32_t>(object),
             *word - objects[static_cast<size_t>(object)].start});
    }
    bindings.objects.push_back(std::move(found));
  }
  return bindings;
}

Result<void> Bind(const Tracee& tracee, const Image& image,
                  const Bindings& bindings) {
  if (image.has_copies())
    return {};
  const Process& process = tracee.process();
  std::vector<const Extent*> objects;  // In the order of `bindings`.
  for (const Bindings::Object& object : bindings.objects) {
    auto same = std::find_if(
        image.extents().begin(), image.extents().end(),
        [&](const Extent& extent) { return extent.path == object.path; });
    if (same == image.extents().end())
      return {};
    objects.push_back(&*same);
  }
  CodeReader code(process);
  for (size_t i = 0; i < objects.size(); ++i) {
    const Extent& object = *objects[i];
    Result<DynamicPart> part = ReadDynamic(process, object);
    if (!part.ok())
      return part.error();
    Result<CallTable> read = ReadCalls(process, object, part.value());
    if (!read.ok())
      return read.error();
    CallTable& table = read.value();
    bool changed = false;
    for (const Bindings::Call& call : bindings.objects[i].calls) {
      if (call.relocation >= table.relocations.size())
        continue;
      uint64_t* word = table.WordOf(table.relocations[call.relocation], object);
      if (!word || !object.Contains(*word) ||
          !AsksLoader(code.Around(*word), *word % 16, call.relocation))
        continue;
      *word = objects[call.object]->start + call.offset;
      changed = true;
    }
    if (!changed)
      continue;
    Result<void> written = process.WriteMemory(table.first, table.words.data(),
                                               table.words.size() * 8);
    if (!written.ok())
      return written;
  }
  return {};
}

}  // namespace launcher::warm
