#!/usr/bin/env python3
"""Does anything grow in 200,000 warm launches, and is what programs do the same
cold and warm, 100 times each? Writes a report for each question.

usage: soak.py --build-dir DIR [--launches N] [--runs N] [--only WHICH]
"""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import List

import env

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"


def check(title: str, question: str, command: List[str], path: Path) -> bool:
    """Runs it in view, and writes what it has said."""
    lines = []
    load = env.load()
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as child:
        for line in child.stdout:
            print(line, end="", flush=True)
            lines.append(line.rstrip())
    answers = {0: "Passed.", 77: "Not known: nothing can be parked here."}
    report = [
        f"# {title}",
        "",
        f"Question   {question}",
        f"Answer     {answers.get(child.returncode, f'FAILED, status {child.returncode}.')}",
        "",
        *env.header(load),
        f"Command    {Path(command[0]).name} "
        + " ".join(Path(word).name if "/" in word else word for word in command[1:]),
        "",
        *("    " + line if line else "" for line in lines),
        "",
        "Again      ./configure.py soak",
        "",
    ]
    path.write_text("\n".join(report))
    return child.returncode in (0, 77)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build-dir", type=Path, required=True)
    parser.add_argument("--launches", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--only", choices=("soak", "pairs"))
    args = parser.parse_args()
    build, tests = args.build_dir.resolve(), ROOT / "tests" / "warm"
    good = True
    if args.only != "pairs":
        children = [str(build / "child" / name) for name in ("warm_nothing", "warm_allocates")]
        good &= check(
            "Many warm launches",
            f"Does anything grow in {args.launches:,} launches, eight at once?",
            [str(build / "bin" / "soak"), "--launches", str(args.launches)]
            + [*children, "/bin/true", "/bin/echo"],
            RESULTS / "warm-soak.md",
        )
    if args.only != "soak":
        good &= check(
            "Programs cold and warm",
            f"Do real programs do the same cold and warm, {args.runs} times each?",
            [str(build / "bin" / "run_pairs"), "--runs", str(args.runs)]
            + ["--table", str(tests / "programs.txt"), "--inputs", str(tests / "inputs.sh")],
            RESULTS / "warm-pairs.md",
        )
    if not good:
        sys.exit("soak.py: error: something differs or has grown")


if __name__ == "__main__":
    main()
