// Prints its arguments and what its library has to tell (warm_library.c).
//
// SPDX-License-Identifier: Apache-2.0

#include <stdio.h>

void Report(int argc, char** argv);

int main(int argc, char** argv) {
  printf("%d\n", argc);
  for (int i = 1; i < argc; ++i)
    puts(argv[i]);
  printf("%d\n", argv[argc] == NULL);
  Report(argc, argv);
  return 0;
}
