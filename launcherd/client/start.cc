// The entry point of a program without a C library.
//
// SPDX-License-Identifier: Apache-2.0

#include "real_shell.h"

/// What the kernel has put on the stack: argc, argv, null, envp, null.
extern "C" [[noreturn]] void StartMain(long* stack) {
  char** argv = reinterpret_cast<char**>(stack + 1);
  launcher::Main(argv, argv + stack[0] + 1);
}

__asm__(
    ".globl _start\n"
    "_start:\n\t"
    "xor %ebp, %ebp\n\t"
    "mov %rsp, %rdi\n\t"
    "and $-16, %rsp\n\t"
    "call StartMain\n\t"
    "hlt\n");
