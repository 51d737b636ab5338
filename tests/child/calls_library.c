// Functions to be called from another object, and calls of its own.
//
// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "calls.h"

int Plain(void) { return 1; }

// What is called is decided by code that depends on the constructor: if that
// has run, as before the first call, it is After().
static int is_constructed;
static int Before(void) { return 2; }
static int After(void) { return 3; }
static int (*Resolve(void))(void) { return is_constructed ? After : Before; }
int Computed(void) __attribute__((ifunc("Resolve")));

// In no object until the program has opened one that has it.
int Optional(void) __attribute__((weak));
int CallOptional(void) { return Optional(); }

// The constructor leads calls of it elsewhere.
int Replaced(void) { return 4; }
int CallReplaced(void) { return Replaced(); }
static int Replacement(void) { return 5; }

__attribute__((constructor)) static void Construct(void) {
  is_constructed = 1;
  if (getenv("WARM_TEST_TWICE")) {
    dlopen(ALONE, RTLD_LAZY);
    dlmopen(LM_ID_NEWLM, ALONE, RTLD_LAZY);
  }
  *WordOf("Replaced") = (uintptr_t)Replacement;
}

#ifdef WITH_MISSING
int Missing(void) { return 8; }
#endif

void TellBound(void) {
  printf("Optional %d\nReplaced %d\n", IsBound("Optional"),
         IsBound("Replaced"));
}
