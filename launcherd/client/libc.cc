// The few functions of the C and C++ libraries that the code shared with the
// library calls, on bare system calls: launcher-sh has neither library, whose
// start-up costs more than all that it does itself.
//
// Memory is never given back: the process lives for one command line.
//
// SPDX-License-Identifier: Apache-2.0

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <new>

#include "real_shell.h"
#include "sys.h"

using launcher::sys::Arg;
using launcher::sys::Raw;

namespace {

int error_number;

long Checked(long result) {
  if (result >= 0)
    return result;
  error_number = static_cast<int>(-result);
  return -1;
}

void* Allocate(size_t size) {
  constexpr size_t kChunk = 1024 * 1024;
  alignas(16) static char first[64 * 1024];
  static char* at = first;
  static size_t room = sizeof(first);
  size = (size + 15) & ~size_t{15};
  if (size > room) {
    size_t chunk = size > kChunk ? size : kChunk;
    long map;
    // Six arguments: more than Raw() takes.
    register long r10 __asm__("r10") = MAP_PRIVATE | MAP_ANONYMOUS;
    register long r8 __asm__("r8") = -1;
    register long r9 __asm__("r9") = 0;
    __asm__ volatile("syscall"
                     : "=a"(map)
                     : "a"(SYS_mmap), "D"(0), "S"(chunk),
                       "d"(PROT_READ | PROT_WRITE), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    if (map < 0)
      launcher::RunRealShell();
    at = reinterpret_cast<char*>(map);
    room = chunk;
  }
  char* taken = at;
  at += size;
  room -= size;
  return taken;
}

}  // namespace

void* operator new(size_t size) { return Allocate(size); }
void* operator new[](size_t size) { return Allocate(size); }
void operator delete(void*) noexcept {}
void operator delete(void*, size_t) noexcept {}
void operator delete[](void*) noexcept {}
void operator delete[](void*, size_t) noexcept {}

// What ends in an exception elsewhere is the shell's here.
namespace std {
void __throw_length_error(const char*) { launcher::RunRealShell(); }
void __throw_logic_error(const char*) { launcher::RunRealShell(); }
void __throw_bad_alloc() { launcher::RunRealShell(); }
void __throw_bad_array_new_length() { launcher::RunRealShell(); }
void __throw_out_of_range_fmt(const char*, ...) { launcher::RunRealShell(); }
}  // namespace std

extern "C" {

int* __errno_location() { return &error_number; }
void* __dso_handle = nullptr;
int __cxa_atexit(void (*)(void*), void*, void*) { return 0; }

void* memcpy(void* to, const void* from, size_t size) {
  void* result = to;
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size)::"memory");
  return result;
}

void* memmove(void* to, const void* from, size_t size) {
  if (to <= from || to >= static_cast<const char*>(from) + size)
    return memcpy(to, from, size);
  char* target = static_cast<char*>(to);
  const char* source = static_cast<const char*>(from);
  while (size-- > 0)
    target[size] = source[size];
  return to;
}

void* memset(void* to, int byte, size_t size) {
  void* result = to;
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(byte) : "memory");
  return result;
}

int memcmp(const void* a, const void* b, size_t size) {
  auto* x = static_cast<const unsigned char*>(a);
  auto* y = static_cast<const unsigned char*>(b);
  for (size_t i = 0; i < size; ++i)
    if (x[i] != y[i])
      return x[i] - y[i];
  return 0;
}

void* memchr(const void* text, int byte, size_t size) {
  auto* at = static_cast<const unsigned char*>(text);
  for (; size > 0; ++at, --size)
    if (*at == static_cast<unsigned char>(byte))
      return const_cast<unsigned char*>(at);
  return nullptr;
}

size_t strlen(const char* text) {
  size_t size = 0;
  while (text[size])
    ++size;
  return size;
}

char* strchrnul(const char* text, int byte) {
  while (*text && *text != static_cast<char>(byte))
    ++text;
  return const_cast<char*>(text);
}

char* strchr(const char* text, int byte) {
  char* at = strchrnul(text, byte);
  return *at == static_cast<char>(byte) ? at : nullptr;
}

int strcmp(const char* a, const char* b) {
  while (*a && *a == *b)
    ++a, ++b;
  return static_cast<unsigned char>(*a) - static_cast<unsigned char>(*b);
}

int tolower(int c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; }

int open(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  int mode = flags & O_CREAT ? va_arg(list, int) : 0;
  va_end(list);
  return static_cast<int>(
      Checked(Raw(SYS_openat, AT_FDCWD, Arg(path), flags, mode)));
}

int close(int fd) { return static_cast<int>(Checked(Raw(SYS_close, fd))); }

ssize_t readlink(const char* path, char* buffer, size_t size) {
  return Checked(
      Raw(SYS_readlink, Arg(path), Arg(buffer), static_cast<long>(size)));
}

char* getcwd(char* buffer, size_t size) {
  return Checked(Raw(SYS_getcwd, Arg(buffer), static_cast<long>(size))) < 0
             ? nullptr
             : buffer;
}

int stat(const char* path, struct stat* file) {
  return static_cast<int>(Checked(Raw(SYS_stat, Arg(path), Arg(file))));
}

int fstat(int fd, struct stat* file) {
  return static_cast<int>(Checked(Raw(SYS_fstat, fd, Arg(file))));
}

int fstatat(int dir, const char* path, struct stat* file, int flags) {
  return static_cast<int>(
      Checked(Raw(SYS_newfstatat, dir, Arg(path), Arg(file), flags)));
}

}  // extern "C"
