// What libFuzzer calls, and fuzz_main.cc where there is none.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef TESTS_FUZZ_FUZZ_H_
#define TESTS_FUZZ_FUZZ_H_

#include <stddef.h>
#include <stdint.h>

/// Returns 0; aborts if something is wrong.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

#endif  // TESTS_FUZZ_FUZZ_H_
