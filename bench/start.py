#!/usr/bin/env python3
"""Measures how long a start holds the thread that asks for it.

usage: start.py --build-dir DIR [--rounds N] [--report FILE]
"""

import re
import subprocess
from statistics import median
from typing import Dict, List, NamedTuple

import env
import measure
import record

LAUNCHES = 1000
QUICK_LAUNCHES = 50
WHAT = "/bin/true, 2 at once"
ROW = re.compile(r"^\| ([^|]+?) \|" + r" +([\d.]+) \([^)]*\) \|" * 3 + r"$", re.MULTILINE)


class Sample(NamedTuple):
    """Microseconds of a launch."""

    held: float
    launch: float
    all_cpu: float


def measure_all(program: str, launches: int, rounds: int) -> Dict[str, List[Sample]]:
    """A round has all the ways in turn."""

    def measured() -> Dict[str, List[Dict[str, float]]]:
        samples: Dict[str, List[Dict[str, float]]] = {}
        for _ in range(rounds):
            command = [program, str(launches), "1"]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            for name, *cells in ROW.findall(done.stdout):
                sample = Sample(*(float(cell) for cell in cells))
                samples.setdefault(name, []).append(sample._asdict())
        return samples

    samples = record.kept(WHAT, measured)
    record.add(WHAT, samples)
    return {name: [Sample(**run) for run in runs] for name, runs in samples.items()}


def table(samples: Dict[str, List[Sample]], launches: int, rounds: int) -> List[str]:
    lines = [
        f"| {launches} x {WHAT}, {rounds} rounds; us a launch, median (min max) "
        "| caller held | wall | CPU |",
        "|---|---|---|---|",
    ]
    for name, runs in samples.items():
        cells = []
        for metric in Sample._fields:
            values = [getattr(run, metric) for run in runs]
            cells.append(f"{median(values):6.1f} ({min(values):6.1f} {max(values):6.1f})")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def report(samples: Dict[str, List[Sample]], launches: int, rounds: int, load: float) -> str:
    held = {name: median(run.held for run in runs) for name, runs in samples.items()}
    return "\n".join(
        [
            "# How to start a child without being held by it",
            "",
            "Question   Which way to start a child holds the caller least, at what cost?",
            "Answer     " + ", ".join(f"{name}: {time:.0f} us" for name, time in held.items()),
            "",
            *env.header(load),
            "Method     bench/start_bench.cc: the library's own plan for the child, by each way",
            "           in turn in every round; two children at once; wall and CPU are those of",
            "           caller and children together, for each launch",
            "",
            *table(samples, launches, rounds),
            "",
            "Reading    'caller held' is the time in the call that starts. It includes being",
            "           preempted by the child on a machine with few CPUs.",
            "Again      ./configure.py bench --only start",
            "",
        ]
    )


def main() -> None:
    args = measure.begin(measure.arguments(__doc__, 11))

    load = env.load()
    launches = QUICK_LAUNCHES if args.quick else LAUNCHES
    samples = measure_all(str(args.build_dir / "bin" / "start_bench"), launches, args.rounds)
    text = report(samples, launches, args.rounds, load)
    print(text)
    record.write(text, args.report)


if __name__ == "__main__":
    main()
