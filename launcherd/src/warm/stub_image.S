/* SPDX-License-Identifier: Apache-2.0 */
        .section .rodata
        .globl  launcher_stub_start, launcher_stub_end
        .balign 16
launcher_stub_start:
        .incbin LAUNCHER_STUB_IMAGE
launcher_stub_end:
        .section .note.GNU-stack,"",@progbits
