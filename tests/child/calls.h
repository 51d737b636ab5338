// The word that a call of `name` from the object at `header` goes through, and
// whether the loader has bound it.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef TESTS_CHILD_CALLS_H_
#define TESTS_CHILD_CALLS_H_

#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern ElfW(Dyn) _DYNAMIC[] __attribute__((visibility("hidden")));

static uintptr_t Find(ElfW(Sxword) tag) {
  for (const ElfW(Dyn)* entry = _DYNAMIC; entry->d_tag != DT_NULL; ++entry)
    if (entry->d_tag == tag)
      return entry->d_un.d_ptr;
  return 0;
}

static uintptr_t* WordOf(const char* name) {
  const ElfW(Rela)* relocations = (const void*)Find(DT_JMPREL);
  const ElfW(Sym)* symbols = (const void*)Find(DT_SYMTAB);
  const char* texts = (const void*)Find(DT_STRTAB);
  for (size_t i = 0; i < Find(DT_PLTRELSZ) / sizeof(*relocations); ++i)
    if (strcmp(texts + symbols[ELF64_R_SYM(relocations[i].r_info)].st_name,
               name) == 0)
      return (uintptr_t*)(__ehdr_start + relocations[i].r_offset);
  return NULL;
}

/// A word that is not bound leads to a `push` in the object's own table.
static int IsBound(const char* name) {
  const unsigned char* code = (const void*)*WordOf(name);
  static const unsigned char kEndbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
  if (memcmp(code, kEndbr64, sizeof(kEndbr64)) == 0)
    code += sizeof(kEndbr64);
  return *code != 0x68;
}

#endif  // TESTS_CHILD_CALLS_H_
