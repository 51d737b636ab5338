#!/usr/bin/env python3
"""Measures a launch-bound build: 1,000 edges that run `/bin/true $out`.

usage: edges.py --build-dir DIR [--rounds N] [--report FILE]
"""

import shutil
import sys
from pathlib import Path
from typing import Dict, List

import env
import measure

UPSTREAM, OURS = "ninja-upstream", "ninja"
EDGES = 1000
JOBS = 2


def write_manifest(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    lines = ["rule t", "  command = /bin/true $out"]
    lines += [f"build o{number}: t" for number in range(EDGES)]
    (directory / "build.ninja").write_text("\n".join(lines) + "\n")


def report(samples: Dict[str, List[measure.Sample]], load: float) -> str:
    wall, cpu = measure.ratios(samples)
    return "\n".join(
        [
            "# A launch-bound build: 1,000 edges of /bin/true",
            "",
            "Question   What does Ninja need to start and collect jobs that do nothing?",
            f"Answer     Against upstream's Ninja, wall time: {wall.verdict}; "
            f"CPU time: {cpu.verdict}.",
            "",
            *env.header(load),
            f"Method     {EDGES} edges of `/bin/true $out`, -j{JOBS}, no log to start from;",
            f"           {len(samples[OURS])} rounds after one that is not counted, interleaved;",
            f"           {measure.noise(samples)}",
            "",
            *measure.comparison(samples),
            "",
            "Not shown  jobs that do work: see musl.md",
            "Again      ./configure.py bench",
            "",
        ]
    )


def main() -> None:
    args = measure.arguments(__doc__, 11).parse_args()

    load = env.load()
    build_dir = args.build_dir.resolve()
    directory = build_dir / "bench" / "edges"
    write_manifest(directory)

    def one(which: str, number: int) -> measure.Sample:
        # The outputs never come to be; only the log is left of a build.
        (directory / ".ninja_log").unlink(missing_ok=True)
        ninja = str(build_dir / "bin" / which)
        return measure.run([ninja, f"-j{JOBS}"], directory, directory / "output")

    try:
        measure.interleave((UPSTREAM, OURS), 1, one)
        samples = measure.interleave((UPSTREAM, OURS), args.rounds, one)
    except measure.MeasureError as error:
        sys.exit(f"edges.py: error: {error}")
    text = report(samples, load)
    print(text)
    measure.write_report(text, args.report)


if __name__ == "__main__":
    main()
