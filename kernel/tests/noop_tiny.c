/* SPDX-License-Identifier: Apache-2.0 */
/* Three instructions: what a start costs when the program costs nothing. */
__attribute__((naked, noreturn)) void _start(void) {
  __asm__("xor %edi, %edi\n\tmov $231, %eax\n\tsyscall");
}
