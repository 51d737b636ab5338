#!/usr/bin/env python3
"""Builds musl with upstream's ninja and with ours, interleaved, and compares
time and results.

usage: demo.py --build-dir DIR --source MUSL_TARBALL [--rounds N] [--report FILE]
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, List, Optional

import env
import measure
import musl

UPSTREAM, OURS = "ninja-upstream", "ninja"
PRODUCTS = ("obj", "lib")


class Demo:
    def __init__(self, build_dir: Path, tarball: Path) -> None:
        self.bin = build_dir / "bin"
        self.tree = musl.prepare(tarball, build_dir / "demo")
        self.log = build_dir / "logs" / "demo.log"
        self.log.parent.mkdir(exist_ok=True)
        self.edges = musl.edges(self.tree)
        self.jobs = len(os.sched_getaffinity(0))
        self.engine = self.find_engine()
        self.expected: Optional[Dict[str, str]] = None

    def ninja(self, which: str, *arguments: str) -> List[str]:
        return [str(self.bin / which), f"-j{self.jobs}", *arguments]

    def find_engine(self) -> str:
        """One edge, unmeasured: says which engine is used, and warms the
        disk cache for the compiler."""
        self.clean()
        done = subprocess.run(
            self.ninja(OURS, "-d", "stats", "obj/src/internal/version.h", "lib/crt1.o"),
            cwd=self.tree,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode != 0:
            sys.exit(done.stdout)
        found = re.search(r"launcher: engine (\w+)", done.stdout)
        return found.group(1) if found else os.environ.get("LAUNCHER_ENGINE", "?")

    def clean(self) -> None:
        """Each build starts in the same place, as after unpacking."""
        for name in PRODUCTS:
            shutil.rmtree(self.tree / name, ignore_errors=True)
        for name in (".ninja_log", ".ninja_deps"):
            (self.tree / name).unlink(missing_ok=True)

    def build(self, which: str, number: int) -> measure.Sample:
        self.clean()
        progress = Progress(f"round {number}, {which}")
        sample = measure.run(self.ninja(which), self.tree, self.log, progress.show)
        progress.end(f"{sample.wall:.1f} s")
        self.compare(which)
        return sample

    def compare(self, which: str) -> None:
        """Every build must produce the same files, byte for byte."""
        files = contents(self.tree)
        if self.expected is None:
            self.expected = files
            return
        different = sorted(
            name
            for name in files.keys() | self.expected.keys()
            if files.get(name) != self.expected.get(name)
        )
        if different:
            sys.exit(
                f"demo.py: error: the build with {which} differs from the first one in "
                f"{len(different)} files:\n  " + "\n  ".join(different[:20])
            )


def contents(tree: Path) -> Dict[str, str]:
    return {
        str(path.relative_to(tree)): hashlib.sha256(path.read_bytes()).hexdigest()
        for name in PRODUCTS
        for path in (tree / name).rglob("*")
        if path.is_file()
    }


class Progress:
    """One line for each build: in place on a terminal, else every 5 seconds."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.in_place = sys.stdout.isatty()
        self.shown = time.monotonic()

    def show(self, line: str) -> None:
        found = re.match(r"\[\d+/\d+\]", line)
        now = time.monotonic()
        if found and (self.in_place or now - self.shown > 5):
            self.shown = now
            self.write(found.group())

    def write(self, text: str, end: str = "") -> None:
        line = f"      {self.title:26} {text:14}"
        if self.in_place:
            print("\r" + line, end=end, flush=True)
        else:
            print(line.rstrip(), flush=True)

    def end(self, text: str) -> None:
        self.write(text, "\n")


def builds_table(demo: Demo, samples: Dict[str, List[measure.Sample]]) -> str:
    lines = [f"  {'build':16}{'engine':14}{'wall s':>8}{'CPU s':>8}{'jobs/s':>8}{'ratio':>8}"]
    engines = {UPSTREAM: "-", OURS: demo.engine}
    for number, pair in enumerate(zip(samples[UPSTREAM], samples[OURS])):
        for which, sample in zip((UPSTREAM, OURS), pair):
            lines.append(
                f"  {which:16}{engines[which]:14}{sample.wall:8.1f}{sample.cpu:8.1f}"
                f"{demo.edges / sample.wall:8.0f}{sample.wall / pair[0].wall:8.2f}"
            )
    return "\n".join(lines)


def report(demo: Demo, samples: Dict[str, List[measure.Sample]], load: float) -> str:
    wall, cpu = measure.ratios(samples)
    compiler = env.first_line("clang", "--version")
    return "\n".join(
        [
            "# A real build: musl",
            "",
            "Question   Is a build of many small C files faster with our ninja?",
            f"Answer     Wall time: {wall.verdict}; CPU time: {cpu.verdict}.",
            "",
            *env.header(load),
            f"           builds musl 1.2.3 (static) with {compiler}",
            f"Method     {demo.edges} edges, -j{demo.jobs}, clean tree each time;",
            f"           {len(samples[OURS])} rounds, interleaved; engine {demo.engine};",
            f"           results compared byte for byte; {measure.noise(samples)}",
            "",
            *measure.comparison(samples),
            "",
            "Again      ./configure.py bench",
            "",
        ]
    )


def main() -> None:
    parser = measure.arguments(__doc__, 2)
    parser.add_argument("--source", type=Path, required=True)
    args = parser.parse_args()

    load = env.load()
    demo = Demo(args.build_dir.resolve(), args.source.resolve())
    try:
        samples = measure.interleave((UPSTREAM, OURS), args.rounds, demo.build)
    except measure.MeasureError as error:
        sys.exit(f"demo.py: error: {error}")
    demo.clean()

    print(f"\nmusl 1.2.3, {demo.edges} edges, -j{demo.jobs}, {args.rounds} builds with each\n")
    print(builds_table(demo, samples))
    print("\nratio: wall time against upstream's build of the same round;")
    print(f"{measure.noise(samples)} meanwhile")
    print(f"all builds made the same {len(demo.expected or {})} files, byte for byte")
    if args.report:
        measure.write_report(report(demo, samples, load), args.report)


if __name__ == "__main__":
    main()
