// usage: calls bound|call|missing
//
// Calls functions of other objects, or tells which calls have been bound.
//
// SPDX-License-Identifier: Apache-2.0

#include "calls.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int Plain(void);
int Computed(void);
int Missing(void);
int CallOptional(void);
int CallReplaced(void);
void TellBound(void);

int main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "bound") == 0) {
    printf("Plain %d\nComputed %d\n", IsBound("Plain"), IsBound("Computed"));
    TellBound();
    return 0;
  }
#ifdef WITH_MISSING
  if (argc == 2 && strcmp(argv[1], "missing") == 0)
    return Missing();
#endif
  if (!dlopen(MORE, RTLD_NOW | RTLD_GLOBAL))
    return 1;
  printf("%d %d %d %d\n", Plain(), Computed(), CallOptional(), CallReplaced());
  return 0;
}
