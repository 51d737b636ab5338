"""Where the instructions of a spawn go: the paths that profile/paths.c counts, by
what they are for."""

import subprocess
from pathlib import Path
from typing import Dict, List, Tuple

import lab

PLUGIN = Path(__file__).resolve().parent / "profile" / "paths.c"
SPAWNS = 200

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


def profile(
    where: Path, programs: List[Path], guest: lab.Guest, cases: List[Tuple[str, str]]
) -> List[Dict[str, float]]:
    """For each method and target: instructions a spawn, by phase."""
    log = where / "profile-build.log"
    log.write_text("")
    plugin = where / "paths.so"
    lab.run(["gcc", "-O2", "-shared", "-fPIC", "-o", str(plugin), str(PLUGIN)], log)
    kernel = where / "plain-kernel"
    symbols = where / "symbols"
    with symbols.open("w") as file:
        subprocess.run(["sort", str(kernel / "System.map")], stdout=file, check=True)
    results = []
    for method, target in cases:
        out = where / f"profile-{method}-{target}.paths"
        out.unlink(missing_ok=True)
        options = ["-plugin", f"{plugin},symbols={symbols},out={out}"]
        text = lab.boot(
            kernel / "vmlinux",
            programs,
            f"spawn_cost {method} /b/{target} {SPAWNS} 1 3 0 1\n",
            where / "profile.log",
            guest._replace(qemu=[*guest.qemu, *options]),
        )
        if "COST" not in text or not out.exists():
            raise lab.LabError(f"no profile of {method}; log: {where}/profile.log")
        found = sort_out(out.read_text())
        results.append({phase: count / SPAWNS for phase, count in found.items()})
    return results


def table(cases: List[Tuple[str, str]], results: List[Dict[str, float]]) -> List[str]:
    names = [f"{method}, {target.replace('noop_', '')}" for method, target in cases]
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
