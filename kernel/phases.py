#!/usr/bin/env python3
"""Where the instructions of a spawn go; writes a report.

usage: phases.py --build-dir=DIR --report=FILE

Wants the plain kernel and the programs that lab.py has built in DIR. A plugin of
QEMU, profile/paths.c, counts by call path; here the paths are sorted by what they
are for.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Tuple

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE.parent / "bench"))
import cost  # noqa: E402
import env  # noqa: E402
import lab  # noqa: E402

PLUGIN = HERE / "profile" / "paths.c"
SPAWNS = 200

CASES = [
    ("vfork", "noop_tiny"),
    ("clone3", "noop_tiny"),
    ("template-fd", "noop_tiny"),
    ("template-path", "noop_tiny"),
    ("template-fd", "noop_dynamic"),
]

# A path belongs to the first of these that has one of its functions.
PHASES: List[Tuple[str, str]] = [
    ("interrupts", "asm_sysvec_apic_timer_interrupt asm_common_interrupt common_interrupt_return"),
    ("user code", "user"),
    ("page faults of user code", "asm_exc_page_fault"),
    ("open the executable", "do_open_execat open_exec reopen_exec"),
    ("read or take ELF headers", "kernel_read load_elf_phdrs elf_read elf_read_headers"),
    ("a new mm", "mm_alloc"),
    (
        "arguments, stack pages",
        "copy_string_kernel copy_strings setup_arg_pages create_elf_tables"
        " bprm_stack_limits count.constprop.0",
    ),
    ("map segments, vdso, brk", "elf_load arch_setup_additional_pages vm_brk_flags load_elf_interp"),
    ("leave the old mm", "exec_mmap"),
    ("point of no return, rest", "begin_new_exec"),
    (
        "exec, rest",
        "__x64_sys_execve __x64_sys_execveat bprm_execve_prepared bprm_prepare_file bprm_discard",
    ),
    ("copy the caller's mm", "dup_mm dup_mm.constprop.0 dup_mmap"),
    ("table of descriptors", "dup_fd dup_fd_named unshare_files_named unshare_fds"),
    (
        "caller waits",
        "wait_for_completion_state wait_for_completion_killable_state wait_for_vfork_done",
    ),
    ("pidfd", "__pidfd_prepare pidfd_prepare pidfs_alloc_file"),
    ("new task", "kernel_clone"),
    ("exit: tear down the mm", "exit_mmap"),
    ("exit, rest", "__x64_sys_exit_group"),
    ("collect the child", "__x64_sys_wait4 __x64_sys_waitid"),
    ("the call itself, actions", "__x64_sys_spawn_template_spawn spawn_child"),
    ("other system calls", "do_syscall_64"),
    ("other tasks", "OTHER"),
]
REST = "entry, return from fork"


def sort_out(text: str) -> Dict[str, int]:
    """Instructions of each phase."""
    functions = [(name, set(words.split())) for name, words in PHASES]
    found: Dict[str, int] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        path, count = line.rsplit(" ", 1)
        there = set(path.split(";"))
        phase = next((name for name, words in functions if words & there), REST)
        found[phase] = found.get(phase, 0) + int(count)
    return found


def profile(where: Path) -> List[Dict[str, float]]:
    """For each of CASES: instructions a spawn, by phase."""
    programs = sorted((where / "programs").iterdir())
    log = where / "profile-build.log"
    log.write_text("")
    plugin = where / "paths.so"
    lab.run(["gcc", "-O2", "-shared", "-fPIC", "-o", str(plugin), str(PLUGIN)], log)
    kernel = where / "plain-kernel"
    symbols = where / "symbols"
    with symbols.open("w") as file:
        subprocess.run(["sort", str(kernel / "System.map")], stdout=file, check=True)
    results = []
    for method, target in CASES:
        out = where / f"profile-{method}-{target}.paths"
        out.unlink(missing_ok=True)
        options = ["-plugin", f"{plugin},symbols={symbols},out={out}"]
        text = lab.boot(
            kernel / "vmlinux",
            programs,
            f"spawn_cost {method} /b/{target} {SPAWNS} 1 3 0 1\n",
            where / "profile.log",
            cost.GUEST._replace(qemu=[*cost.GUEST.qemu, *options]),
        )
        if "COST" not in text or not out.exists():
            raise lab.LabError(f"no profile of {method}; log: {where}/profile.log")
        found = sort_out(out.read_text())
        results.append({phase: count / SPAWNS for phase, count in found.items()})
    return results


def table(results: List[Dict[str, float]]) -> List[str]:
    names = [f"{method}, {target.replace('noop_', '')}" for method, target in CASES]
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    totals = [sum(found.values()) for found in results]
    for phase in [name for name, _ in PHASES] + [REST]:
        shares = [found.get(phase, 0) for found in results]
        if not any(shares):
            continue
        cells = [
            f"{count / 1000:.1f} ({count / total * 100:.1f} %)" if count else "-"
            for count, total in zip(shares, totals)
        ]
        lines.append(f"| {phase} | " + " | ".join(cells) + " |")
    sums = " | ".join(f"{total / 1000:.1f}" for total in totals)
    return lines + [f"| all | {sums} |"]


def main() -> int:
    parser = argparse.ArgumentParser(usage=argparse.SUPPRESS)
    parser.format_help = lambda: __doc__ or ""  # type: ignore[method-assign]
    parser.add_argument("--build-dir", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    args = parser.parse_args()
    try:
        results = profile(args.build_dir.resolve())
    except lab.LabError as error:
        print(error, file=sys.stderr)
        return 1
    report = [
        "# Where the instructions of a spawn go",
        "",
        "Question   What is left to save, with spawn templates and without?",
        "",
        *env.header(),
        f"Guest      {lab.describe_source()}; kernel/config/guest.config, one",
        "           CPU, QEMU TCG with -icount shift=0",
        f"Method     kernel/tests/spawn_cost.c, {SPAWNS} spawns, counted by kernel/profile/paths.c:",
        "           each instruction of the kernel by the calls that lead to it, user code",
        "           as one; kernel/phases.py sorts them. Caller and child together",
        "",
        "Thousands of instructions a spawn:",
        "",
        *table(results),
        "",
        "Again      ./configure.py kernel-test && kernel/phases.py --build-dir=build/kernel \\",
        "             --report=bench/results/kernel-paths.md",
    ]
    args.report.write_text("\n".join(report) + "\n")
    print(f"wrote {args.report}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
