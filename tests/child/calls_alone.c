// In need of nothing: what is loaded twice is this object alone.
//
// SPDX-License-Identifier: Apache-2.0

int Alone(void);
int Alone(void) { return 9; }
