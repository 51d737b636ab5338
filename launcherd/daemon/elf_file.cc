// SPDX-License-Identifier: Apache-2.0

#include "elf_file.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>

#include <algorithm>
#include <bit>
#include <map>
#include <memory>

#include "launcher/fd.h"

namespace launcherd {

namespace {

using launcher::Error;
using launcher::Fd;
using launcher::Result;
using ElfHandle = std::unique_ptr<Elf, int (*)(Elf*)>;

/// The bytes that are loaded at `address`, or null.
Elf_Data* DataAt(Elf* elf, uint64_t address, uint64_t size, Elf_Type type) {
  size_t count;
  GElf_Phdr header;
  if (elf_getphdrnum(elf, &count) != 0)
    return nullptr;
  for (size_t i = 0; i < count; ++i)
    if (gelf_getphdr(elf, static_cast<int>(i), &header) &&
        header.p_type == PT_LOAD && address >= header.p_vaddr &&
        address - header.p_vaddr < header.p_filesz)
      return elf_getdata_rawchunk(
          elf, static_cast<int64_t>(header.p_offset + address - header.p_vaddr),
          size, type);
  return nullptr;
}

std::map<int64_t, uint64_t> Dynamic(Elf* elf, const GElf_Phdr& header) {
  std::map<int64_t, uint64_t> entries;
  Elf_Data* data = elf_getdata_rawchunk(
      elf, static_cast<int64_t>(header.p_offset), header.p_filesz, ELF_T_DYN);
  GElf_Dyn entry;
  for (int i = 0; data && gelf_getdyn(data, i, &entry); ++i) {
    if (entry.d_tag == DT_NULL)
      break;
    entries[entry.d_tag] = entry.d_un.d_val;
  }
  return entries;
}

/// A table of `size` bytes with addends.
void CountRela(Elf* elf, uint64_t address, uint64_t size, ElfFile* file) {
  Elf_Data* data = DataAt(elf, address, size, ELF_T_RELA);
  GElf_Rela entry;
  for (int i = 0; data && gelf_getrela(data, i, &entry); ++i)
    ++(GELF_R_SYM(entry.r_info) == 0 ? file->relative : file->symbolic);
}

/// DT_RELR: an even word is an address, an odd one a map of the 63 after it.
void CountRelr(Elf* elf, uint64_t address, uint64_t size, ElfFile* file) {
  Elf_Data* data = DataAt(elf, address, size, ELF_T_XWORD);
  if (!data)
    return;
  auto* words = static_cast<const uint64_t*>(data->d_buf);
  for (size_t i = 0; i < data->d_size / sizeof(uint64_t); ++i)
    file->relative +=
        words[i] & 1 ? static_cast<uint64_t>(std::popcount(words[i] >> 1)) : 1;
}

}  // namespace

Result<ElfFile> ElfFile::Read(const std::string& path) {
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd)
    return Error{errno, "open", path};
  ElfFile file;
  elf_version(EV_CURRENT);
  ElfHandle elf(elf_begin(fd.get(), ELF_C_READ, nullptr), elf_end);
  size_t count;
  if (!elf || elf_kind(elf.get()) != ELF_K_ELF ||
      elf_getphdrnum(elf.get(), &count) != 0)
    return file;
  file.is_elf = true;
  for (size_t i = 0; i < count; ++i) {
    GElf_Phdr header;
    if (!gelf_getphdr(elf.get(), static_cast<int>(i), &header))
      continue;
    if (header.p_type == PT_INTERP) {
      Elf_Data* data =
          elf_getdata_rawchunk(elf.get(), static_cast<int64_t>(header.p_offset),
                               header.p_filesz, ELF_T_BYTE);
      if (data)
        file.interpreter = static_cast<const char*>(data->d_buf);
    } else if (header.p_type == PT_DYNAMIC) {
      auto dynamic = Dynamic(elf.get(), header);
      CountRela(elf.get(), dynamic[DT_RELA], dynamic[DT_RELASZ], &file);
      if (dynamic[DT_PLTREL] == DT_RELA)
        CountRela(elf.get(), dynamic[DT_JMPREL], dynamic[DT_PLTRELSZ], &file);
      CountRelr(elf.get(), dynamic[DT_RELR], dynamic[DT_RELRSZ], &file);
    }
  }
  return file;
}

}  // namespace launcherd
