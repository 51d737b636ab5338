// Opened by calls.c.
//
// SPDX-License-Identifier: Apache-2.0

int Optional(void) { return 6; }
int Plain(void) { return 7; }
