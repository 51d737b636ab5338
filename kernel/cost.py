#!/usr/bin/env python3
"""Counts what a spawn costs in the guest, and writes a report.

usage: cost.py --build-dir=DIR --report=FILE

Wants the plain kernel and the programs that lab.py has built in DIR. QEMU runs
one instruction for each nanosecond of the guest's clock, so that the clock of
the guest counts instructions, the same in each run and at any load. Then once
more by an ordinary clock. Where they go: phases.py.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import Dict, List, Tuple

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE.parent / "bench"))
import env  # noqa: E402
import lab  # noqa: E402

# ERMS would make QEMU count each byte of a copy; a random layout would make it
# translate ld.so anew for each start.
GUEST = lab.Guest(
    cpus=1,
    cpu="max,-erms,-fsrm",
    qemu=["-icount", "shift=0,sleep=off", "-seed", "1", "-rtc", "base=2024-01-01,clock=vm"],
    kernel="norandmaps quiet",
)
CLOCK_GUEST = lab.Guest(cpus=1, kernel="norandmaps quiet")
ROUNDS = 9

Key = Tuple[str, str, int, int, int]  # method, target, descriptors, MiB, callers
Cost = Tuple[int, int, int]  # lowest, median, highest

METHODS = ["fork", "vfork", "posix_spawn", "clone3", "template-path", "template-fd"]
TARGETS = ["noop_tiny", "noop_static", "noop_dynamic"]


def plain_cases() -> List[Key]:
    return [(method, target, 3, 0, 1) for target in TARGETS for method in METHODS]


def cases() -> List[Key]:
    wanted = plain_cases()
    wanted.append(("template-write", "noop_tiny", 3, 0, 1))
    wanted.append(("template-write", "noop_dynamic", 3, 0, 1))
    for fds in (100, 1000):
        wanted += [(method, "noop_tiny", fds, 0, 1) for method in METHODS]
    wanted += [(method, "noop_tiny", 3, 64, 1) for method in METHODS]
    wanted += [(method, "noop_tiny", 3, 0, 16) for method in METHODS]
    return wanted


def count(
    vmlinux: Path, programs: List[Path], log: Path, guest: lab.Guest, wanted: List[Key]
) -> Dict[Key, Cost]:
    lines = []
    for method, target, fds, mib, callers in wanted:
        spawns = 100 if callers > 1 else 30 if method == "fork" and mib else 200
        lines.append(
            f"spawn_cost {method} /b/{target} {spawns} {ROUNDS} {fds} {mib} {callers}"
        )
    text = lab.boot(vmlinux, programs, "\n".join(lines) + "\n", log, guest)
    found: Dict[Key, Cost] = {}
    for match in re.finditer(r"COST (\S+) (\S+) (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)", text):
        method, target, *numbers = match.groups()
        fds, mib, callers, low, median, high = map(int, numbers)
        found[(method, target, fds, mib, callers)] = (low, median, high)
    missing = [case for case in wanted if case not in found]
    if missing:
        raise lab.LabError(f"no result for {missing[0]} and {len(missing) - 1} more; log: {log}")
    return found


def table(costs: Dict[Key, Cost], columns: List[Tuple[str, Key]]) -> List[str]:
    """A row for each method; the method of each column's key is replaced."""
    lines = ["| | " + " | ".join(name for name, _ in columns) + " |"]
    lines.append("|---|" + "---|" * len(columns))
    for method in METHODS:
        cells = []
        for _, key in columns:
            low, median, high = costs[(method, *key[1:])]
            cells.append(f"{median / 1000:.1f} ({low / 1000:.1f} {high / 1000:.1f})")
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return lines


def goals(costs: Dict[Key, Cost]) -> List[str]:
    def key(method: str, target: str = "noop_tiny", fds: int = 3, mib: int = 0, n: int = 1) -> Key:
        return (method, target, fds, mib, n)

    def verdict(value: float, goal: float) -> str:
        return "reached" if value >= goal else "missed"

    rows = ["| three instructions, template from a descriptor | less by | goal | |"]
    rows.append("|---|---|---|---|")
    for what, other, fds, goal in (
        ("than clone3(VM, VFORK, PIDFD) + execveat", "clone3", 3, 3.0),
        ("than posix_spawn", "posix_spawn", 3, 36.0),
        ("than vfork + execve, 1,000 descriptors", "vfork", 1000, 55.0),
    ):
        ours, theirs = key("template-fd", fds=fds), key(other, fds=fds)
        value = (1 - costs[ours][1] / costs[theirs][1]) * 100
        rows.append(f"| {what} | {value:.1f} % | {goal:.0f} % | {verdict(value, goal)} |")
    small = costs[key("template-fd")][1]
    for what, other in (
        ("growth from 3 to 1,000 descriptors", key("template-fd", fds=1000)),
        ("growth from nothing to 64 MiB resident", key("template-fd", mib=64)),
        ("growth from 1 to 16 callers", key("template-fd", n=16)),
    ):
        growth = (costs[other][1] / small - 1) * 100
        rows.append(f"| {what} | {growth:+.1f} % | none | |")
    return rows


def times(found: Dict[Key, Cost]) -> List[str]:
    lines = ["| | three instructions | static, glibc | dynamic, glibc |", "|---|---|---|---|"]
    for method in METHODS:
        cells = [f"{found[(method, target, 3, 0, 1)][0] / 1000:.0f}" for target in TARGETS]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return lines


def report(costs: Dict[Key, Cost], clock: Dict[Key, Cost]) -> str:
    def key(target: str, fds: int = 3, mib: int = 0, n: int = 1) -> Key:
        return ("", target, fds, mib, n)

    cached, read = costs[("template-path", "noop_tiny", 3, 0, 1)], costs[
        ("template-write", "noop_tiny", 3, 0, 1)
    ]
    dynamic = ("noop_dynamic", 3, 0, 1)
    cached_dynamic = costs[("template-path", *dynamic)][1]
    read_dynamic = costs[("template-write", *dynamic)][1]
    lines = ["# What a spawn costs with and without spawn templates", ""]
    lines += ["Question   How many instructions does it take to start and collect a child?", ""]
    lines += env.header()
    lines += [
        f"Guest      {lab.describe_source()}; kernel/config/guest.config, no",
        "           mitigations, one CPU, QEMU TCG with -icount shift=0: the clock counts",
        "           instructions of all that runs, kernel and user",
        f"Method     kernel/tests/spawn_cost.c, {ROUNDS} rounds of 200 (fork of 64 MiB: 30; 16",
        "           callers: 100 each); static caller; files in a ramfs, two path components",
        "",
        "Thousands of instructions a spawn, median (lowest highest):",
        "",
    ]
    lines += table(
        costs,
        [
            ("three instructions", key("noop_tiny")),
            ("static, glibc", key("noop_static")),
            ("dynamic, glibc", key("noop_dynamic")),
        ],
    )
    lines += ["", "The first of these from other callers:", ""]
    lines += table(
        costs,
        [
            ("100 descriptors", key("noop_tiny", 100)),
            ("1,000 descriptors", key("noop_tiny", 1000)),
            ("64 MiB resident", key("noop_tiny", 3, 64)),
            ("16 callers", key("noop_tiny", 3, 0, 16)),
        ],
    )
    lines += ["", *goals(costs), ""]
    lines += [
        "Microseconds a spawn, lowest round, by the clock of a guest without -icount. An",
        "emulator's time is that of its translated code, and of whatever else ran on the",
        "machine; it is for comparing the methods, roughly:",
        "",
        *times(clock),
        "",
    ]
    lines += [
        "Headers    Keeping the ELF headers saves "
        f"{(read[1] - cached[1]) / 1000:.1f} k of {read[1] / 1000:.1f} k for three",
        "           instructions and "
        f"{(read_dynamic - cached_dynamic) / 1000:.1f} k of {read_dynamic / 1000:.1f} k for a "
        "dynamic program: the path",
        "           form with and without SPAWN_TEMPLATE_CREATE_ALLOW_WRITE, which does",
        "           without them.",
        "Reading    vfork and posix_spawn make no pidfd; the templates and clone3 do. Each",
        "           of 16 callers makes a template of its own, which is counted, and",
        "           so is its share of the fork that makes it. A count says nothing of",
        "           caches, TLB or the cost of a fault. Where they go: kernel-paths.md.",
        "Again      ./configure.py kernel-test && kernel/cost.py --build-dir=build/kernel \\",
        "             --report=bench/results/kernel.md",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(usage=argparse.SUPPRESS)
    parser.format_help = lambda: __doc__ or ""  # type: ignore[method-assign]
    parser.add_argument("--build-dir", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    args = parser.parse_args()
    where = args.build_dir.resolve()
    programs = sorted((where / "programs").iterdir())
    vmlinux = where / "plain-kernel" / "vmlinux"
    try:
        costs = count(vmlinux, programs, where / "cost.log", GUEST, cases())
        clock = count(vmlinux, programs, where / "clock.log", CLOCK_GUEST, plain_cases())
    except lab.LabError as error:
        print(error, file=sys.stderr)
        return 1
    args.report.write_text(report(costs, clock))
    print(f"wrote {args.report}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
