#!/usr/bin/env python3
"""Measures every way to start a program: what a launch costs, and how long it
is until the program's first instruction.

usage: launch.py --build-dir DIR [--rounds N] [--full] [--report FILE]

A worker (launch_bench.cc, launch_worker.py, launch_worker.js) has the size and
the descriptors that are asked for, and launches the program in the way that it
is told to, one after the other. Rounds go over all the ways in turn.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import env
import launch_tax
import measure
import record
from launch_programs import PROGRAMS, Program, make_programs
from plan import parse_count

BENCH = Path(__file__).resolve().parent
BATCH_US = 60_000  # of launches, for one sample
QUICK_BATCH_US = 5_000
WARM_UP_US = 500_000  # Parking clang takes that long.
ENDLESS = 1_000_000_000
COUNTED = 20  # launches, for system calls

POSIX_SPAWN, OURS, COLD, SHELL = "posix_spawn", "ours: warm", "ours: clone3", "sh -c"
SUBPROCESS, OURS_PYTHON = "Python subprocess", "ours: Python"
# (worker, its name for the method); the first is what the others are compared with.
METHODS: Dict[str, Tuple[str, str]] = {
    POSIX_SPAWN: ("c", "posix_spawn"),
    "pidfd_spawn": ("c", "pidfd_spawn"),
    "fork + exec": ("c", "fork"),
    "vfork + exec": ("c", "vfork"),
    SHELL: ("c", "sh"),
    COLD: ("c", "clone3"),
    OURS: ("c", "warm"),
    "ours: C interface": ("c", "c"),
    SUBPROCESS: ("python", "subprocess"),
    OURS_PYTHON: ("python", "python"),
    "node spawn": ("node", "node"),
}
RESIDENT = (0, 256, 1024)  # MiB
DESCRIPTORS = (3, 100, 1000)


class Setting(NamedTuple):
    resident: int
    descriptors: int

    def __str__(self) -> str:
        size = "small" if self.resident == 0 else f"{self.resident} MiB"
        return f"parent {size}, {self.descriptors:,} descriptors"


SMALL = Setting(RESIDENT[0], DESCRIPTORS[0])
ALL = [Setting(resident, count) for resident in RESIDENT for count in DESCRIPTORS]


class Sample(NamedTuple):
    """Microseconds of one launch, but faults and warm, which is a share."""

    launch: float
    parent: float
    child: float
    faults: float
    warm: float
    first: float


Samples = Dict[str, List[Sample]]


class Result(NamedTuple):
    program: str
    setting: Setting
    samples: Samples


def command(worker: str, build_dir: Path) -> Optional[List[str]]:
    if worker == "c":
        return [str(build_dir / "bin" / "launch_bench")]
    if worker == "python":
        return [launch_tax.PYTHON, str(BENCH / "launch_worker.py")]
    node = shutil.which("node")
    return [node, str(BENCH / "launch_worker.js")] if node else None


def variables(build_dir: Path) -> Dict[str, str]:
    return measure.environment(
        LAUNCHER_LIBRARY=str(build_dir / "lib" / "liblauncher.so.0"),
        PYTHONPATH=str(env.ROOT / "launcherd" / "bindings" / "python"),
        PYTHONDONTWRITEBYTECODE="1",
    )


class Worker:
    """A launching process; ends when it is closed."""

    def __init__(self, build_dir: Path, words: Sequence[str], setting: Setting) -> None:
        head = [str(setting.resident), str(setting.descriptors)]
        first, *rest = words
        self.process = subprocess.Popen(
            [*first_words(first, build_dir), *head, *rest],
            env=variables(build_dir),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, method: str, launches: int, microseconds: int, send: bool) -> List[float]:
        """Empty: this system has no such method."""
        before = self.parked_cpu()
        self.process.stdin.write(f"{method} {launches} {microseconds} {int(send)}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        if answer == ["none"]:
            return []
        if len(answer) != 7:
            raise measure.MeasureError(f"the worker for {method} has failed")
        values = [float(cell) for cell in answer]
        # What a parked process does for a launch is the launcher's work.
        values[2] += max(0.0, self.parked_cpu() - before) / values[0]
        return values

    def parked_cpu(self) -> float:
        """Microseconds of the processes that the worker keeps."""
        total = 0.0
        for path in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            for pid in path.read_text().split():
                total += float((env.read(f"/proc/{pid}/schedstat") or "0").split()[0]) / 1000
        return total

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def first_words(worker: str, build_dir: Path) -> List[str]:
    words = command(worker, build_dir)
    if words is None:
        raise measure.MeasureError(f"no {worker} here")
    return words


def methods_here() -> List[str]:
    node = shutil.which("node")
    return [name for name, (worker, _) in METHODS.items() if worker != "node" or node]


def measure_setting(
    build_dir: Path, program: Program, setting: Setting, rounds: int, batch: int
) -> Result:
    names = methods_here()
    kinds = sorted({METHODS[name][0] for name in names})
    # For each kind one that launches the program, and one that launches its
    # copy, which sends the clock at its entry point.
    real = {kind: Worker(build_dir, [kind, *program.words], setting) for kind in kinds}
    copy = {kind: Worker(build_dir, [kind, *program.sender], setting) for kind in kinds}
    try:
        missing = [
            name
            for name in names
            for kind, method in [METHODS[name]]
            if not real[kind].ask(method, 3, ENDLESS, False)
        ]

        def one(name: str, number: int) -> Sample:
            kind, method = METHODS[name]
            if number == 1:  # Whatever is done but once has been done by then.
                real[kind].ask(method, 30, WARM_UP_US, False)
                copy[kind].ask(method, 30, WARM_UP_US, True)
            of_real = real[kind].ask(method, ENDLESS, batch, False)
            of_copy = copy[kind].ask(method, ENDLESS, batch, True)
            return Sample(*of_real[1:6], first=of_copy[6])

        there = [name for name in names if name not in missing]
        what = f"{program.name}, {setting}"
        samples = measure.interleave(there, rounds, one, what, Sample)
    finally:
        for worker in (*real.values(), *copy.values()):
            worker.close()
    return Result(program.name, setting, samples)


# --- counts


def count_calls(build_dir: Path, program: Program, name: str) -> Optional[float]:
    """System calls of one launch, of all processes; None: cannot be counted."""
    kind, method = METHODS[name]
    words = [*first_words(kind, build_dir), "0", "3", *program.words]

    def count(launches: int) -> Optional[int]:
        requests = f"{method} 10 {ENDLESS} 0\n{method} {launches} {ENDLESS} 0\n"
        command = ["perf", "stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "--", *words]
        done = run_worker(command, requests, build_dir)
        found = re.search(r"^(\d+),,raw_syscalls", done.stderr, re.MULTILINE)
        return int(found.group(1)) if done.returncode == 0 and found else None

    few, many = count(COUNTED), count(2 * COUNTED)
    return None if few is None or many is None else (many - few) / COUNTED


def run_worker(command: List[str], requests: str, build_dir: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        command,
        input=requests,
        env=variables(build_dir),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def count_all(build_dir: Path, program: Program, names: Sequence[str]) -> Dict[str, float]:
    if not shutil.which("perf"):
        return {}
    counted = {name: count_calls(build_dir, program, name) for name in names}
    return {name: count for name, count in counted.items() if count is not None}


def count_instructions(build_dir: Path, method: str) -> float:
    """Of one launch, of the launching process, without those of the kernel."""
    profile = build_dir / "bench" / "launch" / "callgrind.out"
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}"]
    command += [*first_words("c", build_dir), "0", "3", "/bin/true"]
    counts = []
    for launches in (COUNTED, 10 * COUNTED):
        done = run_worker(command, f"{method} {launches} {ENDLESS} 0\n", build_dir)
        if done.returncode != 0:
            raise measure.MeasureError(done.stderr)
        counts.append(parse_count(profile.read_text(errors="replace")))
    return (counts[1] - counts[0]) / (9 * COUNTED)


def instructions(build_dir: Path) -> List[str]:
    if not shutil.which("valgrind"):
        return ["Instructions: NOT COUNTED, valgrind is not installed"]
    lines = [
        "Instructions of a launch in the launching process, without the kernel's; callgrind,",
        "counted twice; it has no clone3, so that the library's own part is counted with its",
        "posix_spawn engine, which has a thread for each launch",
        "",
    ]
    for name, method in {POSIX_SPAWN: "posix_spawn", "ours: posix_spawn": "ours_spawn"}.items():
        first, second = (count_instructions(build_dir, method) for _ in range(2))
        apart = abs(second - first) / first
        lines.append(f"  {name:19}{first:9,.0f}{second:9,.0f}   {apart:.1%} apart")
    return lines


# --- the report


def of(result: Result, name: str, metric: str) -> float:
    return median(getattr(sample, metric) for sample in result.samples[name])


def ratio(result: Result, name: str, baseline: str, metric: str = "launch") -> measure.Ratio:
    pair = [[getattr(s, metric) for s in result.samples[which]] for which in (baseline, name)]
    return measure.ratio(*pair)


def table(result: Result, calls: Dict[str, float]) -> List[str]:
    lines = [
        f"{result.program}, {result.setting}",
        "",
        f"  {'us':19}{'launch':>9}{'min':>9}{'max':>9}{'first':>9}{'parent':>8}{'child':>8}"
        f"{'faults':>8}{'calls':>7}  / {POSIX_SPAWN}",
    ]
    for name, samples in result.samples.items():
        walls = [sample.launch for sample in samples]
        cells = "".join(f"{value:9.1f}" for value in (median(walls), min(walls), max(walls)))
        cells += f"{of(result, name, 'first'):9.1f}"
        for metric in ("parent", "child", "faults"):
            cells += f"{of(result, name, metric):8.1f}"
        cells += f"{calls[name]:7.0f}" if name in calls else f"{'':7}"
        against = "" if name == POSIX_SPAWN else f"  {ratio(result, name, POSIX_SPAWN)}"
        lines.append(f"  {name:19}{cells}{against}")
    return lines


def verdicts(results: List[Result]) -> List[str]:
    """Of the small parent, all programs: the losing ones too."""
    lines = []
    for result in results:
        if result.setting != SMALL:
            continue
        ours = ratio(result, OURS, POSIX_SPAWN).factor("time")
        python = ratio(result, OURS_PYTHON, SUBPROCESS).factor("time")
        parked = "warm" if of(result, OURS, "warm") > 0.5 else "not parked"
        lines.append(f"           {result.program:18}{parked:12}{ours}; Python: {python}")
    return lines


def report(
    results: List[Result],
    calls: Dict[str, Dict[str, float]],
    counted_instructions: List[str],
    missing: List[str],
    load: float,
) -> str:
    rounds = len(results[0].samples[POSIX_SPAWN])
    counted = "perf stat" if any(calls.values()) else "NOT COUNTED, perf stat cannot here"
    lines = [
        "# A launch: every way to start a program",
        "",
        "Question   What does it cost to start a program and wait for its end, from what parent?",
        "Answer     ours against posix_spawn, and in Python against subprocess; small parent",
        *verdicts(results),
        "",
        *env.header(load),
        "Method     one launch after the other; the child gets /dev/null three times and no other",
        f"           descriptor; {rounds} rounds of {BATCH_US // 1000} ms each, interleaved;",
        "           launch: from the call until the child is reaped; first: until the first",
        "           instruction of the program, where a copy of it sends its clock at its entry",
        "           point (median); parent, child: CPU time, a parked process counts as parent;",
        f"           calls: system calls of all processes for one launch ({counted});",
        "           4 KiB pages in the parent; node: CPU time in steps of 10 ms",
    ]
    if missing:
        lines.append(f"           not here: {', '.join(missing)}")
    for result in results:
        shown = calls.get(result.program, {}) if result.setting == SMALL else {}
        lines += ["", *table(result, shown)]
    lines += [
        "",
        *counted_instructions,
        "",
        "Reading    a program that cannot be parked (static ones) starts by clone3 whatever is",
        "           asked for: both rows are the same then; ours puts each child into a process",
        "           group of its own, the others do not",
        "Not shown  several launching threads, running jobs: scale.md",
        "Again      ./configure.py bench --only launch [--full]",
        "",
    ]
    return "\n".join(lines)


def has_memory(setting: Setting) -> bool:
    """Six workers of that size are there at once."""
    available = int(env.field(env.read("/proc/meminfo"), "MemAvailable").split()[0]) // 1024
    return 6 * setting.resident < 0.8 * available


def plan(programs: List[Program], quick: bool, full: bool) -> List[Tuple[Program, Setting]]:
    """All programs from the small parent; what the parent is matters to the
    exec alone, so that two of them show it."""
    if full:
        return [(program, setting) for program in programs for setting in ALL]
    if quick:
        return [(program, setting) for program in programs[:1] for setting in (SMALL, ALL[4])]
    pairs = [(program, SMALL) for program in programs]
    return pairs + [
        (program, setting)
        for program in programs
        if program.name in ("no libc", "dynamic C")
        for setting in ALL[1:]
    ]


def main() -> None:
    args = measure.begin(measure.arguments(__doc__, 6))

    load = env.load()
    directory = args.build_dir / "bench" / "launch"
    batch = QUICK_BATCH_US if args.quick else BATCH_US
    try:
        programs = make_programs(directory, ("dynamic C",) if args.quick else tuple(PROGRAMS))
        results = [
            measure_setting(args.build_dir, program, setting, args.rounds, batch)
            for program, setting in plan(programs, args.quick, args.full)
            if has_memory(setting)
        ]
        calls = {
            program.name: count_all(args.build_dir, program, list(results[0].samples))
            for program in programs
        }
        counted = instructions(args.build_dir)
    except (measure.MeasureError, OSError) as error:
        sys.exit(f"launch.py: error: {error}")
    missing = [name for name in METHODS if name not in results[0].samples]
    if not args.quick:
        missing += [name for name in PROGRAMS if name not in [p.name for p in programs]]
    missing += [f"memory for: {each}" for each in ALL if not has_memory(each)]
    text = report(results, calls, counted, missing, load)
    print(text)
    record.write(text, args.report)


if __name__ == "__main__":
    main()
