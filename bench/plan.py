#!/usr/bin/env python3
"""Measures what it costs to plan a command line so that it needs no shell.

usage: plan.py --build-dir DIR [--rounds N] [--report FILE]

Times come from bench/plan_bench.cc, instructions from the same program under
callgrind, where that is installed.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Dict, List, NamedTuple, Optional, Tuple

import env
import measure
import record

STEPS = ("read", "plan", "prepare")
TITLES = {
    "true": "/bin/true o1",
    "cmake-compile": "CMake compile",
    "cmake-link": "CMake link, : && ... && :",
    "meson-compile": "Meson compile, quotes",
    "link-1MiB": "link of 1 MiB",
}
MILLISECONDS = 20  # of each sample
SMALL = 64 * 1024  # bytes; longer lines are counted once
PASSES = 100
COUNTED = "*CountedPasses*"
TOLERANCE = 0.01


class PlanError(Exception):
    pass


class Cost(NamedTuple):
    """Nanoseconds for one."""

    median: float
    low: float
    high: float


class Line(NamedTuple):
    name: str
    size: int  # bytes
    words: int
    cost: Dict[str, Cost]  # by step


# Of one pass, by line and step, for each of two runs.
Instructions = Dict[Tuple[str, str], Tuple[float, float]]


def output(command: List[str]) -> str:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    if done.returncode != 0:
        raise PlanError(
            f"{done.stdout}{done.stderr}status {done.returncode}: {' '.join(command)}"
        )
    return done.stdout


def parse_times(text: str) -> List[Line]:
    """The rows of plan_bench."""
    lines: Dict[str, Line] = {}
    for row in text.splitlines():
        name, size, words, step, *times = row.split("\t")
        line = lines.setdefault(name, Line(name, int(size), int(words), {}))
        line.cost[step] = Cost(*map(float, times))
    return list(lines.values())


def measure_times(program: Path, rounds: int) -> List[Line]:
    """Of so many rounds, each of which has all lines and steps."""

    def measured() -> List[str]:
        return [output([str(program), "1", str(MILLISECONDS)]) for _ in range(rounds)]

    runs = [parse_times(text) for text in record.kept("rounds", measured)]
    merged = []
    for lines in zip(*runs):
        costs = {}
        for step in STEPS:
            values = sorted(line.cost[step].median for line in lines)
            costs[step] = Cost(median(values), values[0], values[-1])
        merged.append(lines[0]._replace(cost=costs))
        samples = {
            step: [{"plan": line.cost[step].median / 1000} for line in lines] for step in STEPS
        }
        record.add(TITLES.get(lines[0].name, lines[0].name), samples)
    return merged


def parse_count(profile: str) -> int:
    """All that callgrind has collected."""
    found = re.search(r"^(?:summary|totals): (\d+)$", profile, re.MULTILINE)
    if not found or int(found.group(1)) == 0:
        raise PlanError(f"callgrind has counted nothing in {COUNTED}")
    return int(found.group(1))


def count(program: Path, line: Line, step: str, profile: Path) -> float:
    passes = PASSES if line.size < SMALL else 1
    profile.unlink(missing_ok=True)
    output(
        ["valgrind", "--tool=callgrind", f"--toggle-collect={COUNTED}"]
        + [f"--callgrind-out-file={profile}"]
        + [str(program), "--count", line.name, step, str(passes)]
    )
    return parse_count(profile.read_text(errors="replace")) / passes


def count_all(program: Path, lines: List[Line], area: Path) -> Optional[Instructions]:
    if not shutil.which("valgrind"):
        return None
    area.mkdir(parents=True, exist_ok=True)
    runs = []
    for number in (1, 2):
        print(f"      counting instructions, run {number} of 2", flush=True)
        runs.append(
            {
                (line.name, step): count(program, line, step, area / "callgrind.out")
                for line in lines
                for step in STEPS
            }
        )
    return {key: (runs[0][key], runs[1][key]) for key in runs[0]}


def difference(instructions: Instructions) -> float:
    """The largest one between the two runs, as a part of the first."""
    return max(abs(second - first) / first for first, second in instructions.values())


def verdict(instructions: Optional[Instructions]) -> str:
    if instructions is None:
        return "NOT COUNTED: valgrind is not installed; as root: apt-get install valgrind"
    largest = difference(instructions)
    equal = "equal" if largest <= TOLERANCE else "NOT equal"
    return f"counted twice, {equal} within {TOLERANCE:.0%} (largest difference {largest:.4%})"


def us(nanoseconds: float) -> str:
    value = nanoseconds / 1000
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def times_table(lines: List[Line]) -> List[str]:
    rows = [
        "  us for one line: median (min to max)",
        "",
        f"  {'':26}{'bytes':>8}{'words':>7}{'read':>9}{'':22}{'MB/s':>5}"
        f"{'plan':>10}{'':22}{'prepare':>9}",
    ]
    for line in lines:
        row = f"  {TITLES.get(line.name, line.name):26}{line.size:8}{line.words:7}"
        for step in STEPS:
            cost = line.cost[step]
            spread = f" ({us(cost.low)} to {us(cost.high)})"
            row += f"{us(cost.median):>9}{spread:22}"
            if step == "read":
                row += f"{line.size / cost.median * 1000:5.0f} "
        rows.append(row.rstrip())
    return rows


def instructions_table(lines: List[Line], instructions: Instructions) -> List[str]:
    rows = [
        "  instructions for one line, without those of the kernel",
        "",
        f"  {'':26}{'read':>14}{'a byte':>9}{'plan':>15}{'prepare':>15}",
    ]
    for line in lines:
        first = {step: instructions[line.name, step][0] for step in STEPS}
        rows.append(
            f"  {TITLES.get(line.name, line.name):26}{first['read']:14,.0f}"
            f"{first['read'] / line.size:9.1f}{first['plan']:15,.0f}"
            f"{first['prepare']:15,.0f}"
        )
    return rows


def report(
    lines: List[Line], instructions: Optional[Instructions], rounds: int, load: float
) -> str:
    typical = next(line for line in lines if line.name == "cmake-compile")
    answer = (
        f"A CMake compile of {typical.size} bytes: {us(typical.cost['read'].median)} us to read,"
        f" {us(typical.cost['prepare'].median)} us in all"
    )
    if instructions:
        answer += f", {instructions[typical.name, 'prepare'][0]:,.0f} instructions"
    text = [
        "# What a plan costs",
        "",
        "Question   What does it cost to find out that a command needs no shell?",
        f"Answer     {answer}.",
        "",
        *env.header(load),
        "Method     bench/plan_bench.cc: the library's own functions on lines as generators",
        f"           write them; {rounds} rounds of {MILLISECONDS} ms for each line and step, in turn;",
        f"           {env.shell()}; a fixed environment of 30 variables",
        "           read     ReadCommandLine()",
        "           plan     ShellLine::Plan(): read, which shell it is, its environment and",
        "                    directory",
        "           prepare  plan, and for each program: search, words, environment, steps;",
        "                    all that comes before the child, except copying the line",
        f"           instructions: {verdict(instructions)}",
        "",
        *times_table(lines),
    ]
    if instructions:
        text += ["", *instructions_table(lines, instructions)]
    text += [
        "",
        "Not shown  lines that take the shell",
        "Again      ./configure.py bench --only plan",
        "",
    ]
    return "\n".join(text)


def main() -> None:
    args = measure.begin(measure.arguments(__doc__, 11))

    load = env.load()
    build_dir = args.build_dir
    program = build_dir / "bin" / "plan_bench"
    try:
        lines = measure_times(program, args.rounds)
        instructions = count_all(program, lines, build_dir / "bench" / "plan")
    except (PlanError, OSError) as error:
        sys.exit(f"plan.py: error: {error}")
    text = report(lines, instructions, args.rounds, load)
    print(text)
    record.write(text, args.report)


if __name__ == "__main__":
    main()
