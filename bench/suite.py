#!/usr/bin/env python3
"""Runs the benchmarks one after the other, says how long that will take, and
draws the page.

usage: suite.py --build-dir DIR --musl TARBALL [--quick | --full] [--only NAME]
                [--rounds N] [--resume] [--busy]

Reports go to bench/results; with --quick to DIR/bench/results, as what was
measured in passing is not to be quoted. A machine that has other work to do is
waited for, then refused; --busy measures in spite of it.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import List, NamedTuple, Set

import env
import record

BENCH = Path(__file__).resolve().parent
QUICK, NORMAL, FULL = "quick", "normal", "full"
WAIT_SECONDS = 120
LOOK_SECONDS = 3


class Bench(NamedTuple):
    """A program and its report; minutes and rounds by mode, as measured on two
    quiet CPUs. Minutes 0: not in this mode. Rounds 0: the program has none."""

    report: str
    what: str
    script: str
    quick: float
    normal: float
    full: float
    rounds: int
    full_rounds: int
    musl: bool = False  # It wants musl's source.
    alone: bool = False  # Times nothing: only by --only.

    def minutes(self, mode: str) -> float:
        return {QUICK: self.quick, NORMAL: self.normal, FULL: self.full}[mode]


BENCHES = [
    Bench("start", "how long a start holds the caller", "start.py", 0.1, 0.3, 0.5, 11, 21),
    Bench("plan", "what a plan costs", "plan.py", 0.5, 1, 1, 11, 21),
    Bench("launch", "every way to start a child", "launch.py", 0.7, 6, 9, 6, 3),
    Bench("launch-tax", "the way to the entry point", "launch_tax.py", 0.2, 3.5, 3.5, 3, 3),
    Bench("scale", "threads and running jobs", "scale.py", 0.2, 2.5, 2.5, 5, 5),
    Bench("edges", "launch-bound builds", "edges.py", 0.4, 20, 26, 6, 6),
    Bench("musl", "musl with clang", "demo.py", 1.2, 2.5, 3, 2, 3, True),
    Bench("make", "make, with launcherd and without", "make.py", 0, 3, 4, 2, 3, True),
    Bench("agent-tools", "tools of an agent", "agent_tools.py", 1, 12, 12, 2, 2),
    Bench("repositories", "builds of real projects", "repositories.py", 1.2, 8, 60, 2, 2),
    Bench("corpus", "commands of real projects", "corpus.py", 0, 0, 12, 0, 0, alone=True),
]


class Done:
    """Which reports a run that was interrupted has finished."""

    def __init__(self, path: Path, mode: str, resume: bool) -> None:
        self.path, self.names = path, set()  # type: ignore[var-annotated]
        self.head = {"mode": mode, "commit": env.commit()}
        if resume and path.is_file():
            kept = json.loads(path.read_text())
            if all(kept[key] == value for key, value in self.head.items()):
                self.names: Set[str] = set(kept["names"])

    def add(self, name: str) -> None:
        self.names.add(name)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps({**self.head, "names": sorted(self.names)}) + "\n")


def busy_share() -> float:
    before = env.machine_cpu()
    time.sleep(LOOK_SECONDS)
    return (env.machine_cpu() - before) / LOOK_SECONDS / env.cpus()


def await_quiet() -> bool:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        share = busy_share()
        if share <= record.BUSY:
            return True
        if time.monotonic() > deadline:
            return False
        print(f"      other work takes {share:.0%} of the CPUs; waiting for its end", flush=True)
        time.sleep(10)


def command(bench: Bench, mode: str, args: argparse.Namespace, results: Path) -> List[str]:
    words = [sys.executable, str(BENCH / bench.script), "--build-dir", str(args.build_dir)]
    words += ["--report", str(results / f"{bench.report}.md")]
    if bench.musl:
        words += ["--source", str(args.musl)]
    if bench.rounds:
        rounds = {QUICK: 1, NORMAL: bench.rounds, FULL: bench.full_rounds}[mode]
        words += ["--rounds", str(args.rounds or rounds)]
        words += [f"--{mode}"] if mode != NORMAL else []
        words += ["--resume"] if args.resume else []
    return words


def chosen(only: str, mode: str) -> List[Bench]:
    if only:
        return [bench for bench in BENCHES if bench.report == only]
    return [bench for bench in BENCHES if bench.minutes(mode) and not bench.alone]


def run(benches: List[Bench], mode: str, args: argparse.Namespace, results: Path) -> List[str]:
    """Returns the reports that failed: one does not keep the others from being made."""
    done = Done(args.build_dir / "bench" / "journal" / "done.json", mode, args.resume)
    todo = [bench for bench in benches if bench.report not in done.names]
    failed: List[str] = []
    total = sum(bench.minutes(mode) or bench.full for bench in todo)
    spent = expected = 0.0
    for number, bench in enumerate(todo, 1):
        minutes = bench.minutes(mode) or bench.full
        # So far it may have been slower or faster than on the machine of the estimates.
        pace = spent / expected if expected > 1 else 1.0
        left = (total - expected) * pace
        print(
            f"({number}/{len(todo)}) {bench.report}: {bench.what}; "
            f"about {minutes * pace:.1f} min, {left:.0f} min left of all",
            flush=True,
        )
        began = time.monotonic()
        if subprocess.run(command(bench, mode, args, results)).returncode == 0:
            done.add(bench.report)
        else:
            failed.append(bench.report)
        spent += (time.monotonic() - began) / 60
        expected += minutes
    print(f"{spent:.0f} min in all", flush=True)
    return failed


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--build-dir", type=Path, required=True)
    parser.add_argument("--musl", type=Path, required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--rounds", type=int)
    for option in ("--quick", "--full", "--resume", "--busy"):
        parser.add_argument(option, action="store_true")
    args = parser.parse_args()

    mode = QUICK if args.quick else FULL if args.full else NORMAL
    benches = chosen(args.only, mode)
    if not benches:
        names = ", ".join(bench.report for bench in BENCHES)
        sys.exit(f"suite.py: error: no benchmark of that name: {names}")
    if mode != QUICK and not args.busy and not await_quiet():
        sys.exit("suite.py: error: this machine is busy; --busy measures and marks the reports")
    results = args.build_dir / "bench" / "results" if mode == QUICK else BENCH / "results"
    failed = run(benches, mode, args, results)
    # The distribution's Python has matplotlib, whichever runs this.
    draw = ["/usr/bin/python3", str(BENCH / "index.py"), "--results", str(results)]
    if subprocess.run(draw).returncode != 0:
        failed.append("index.html")
    if mode != QUICK and subprocess.run([sys.executable, str(BENCH / "readme.py")]).returncode != 0:
        failed.append("the table in README.md")
    if failed:
        sys.exit(f"suite.py: error: failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
