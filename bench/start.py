#!/usr/bin/env python3
"""Measures how long a start holds the thread that asks for it.

usage: start.py --build-dir DIR [--rounds N] [--report FILE]
"""

import subprocess

import env
import measure
import record

LAUNCHES = 1000


def report(table: str, load: float) -> str:
    return "\n".join(
        [
            "# How to start a child without being held by it",
            "",
            "Question   Which way to start a child holds the caller least, at what cost?",
            "",
            *env.header(load),
            "Method     bench/start_bench.cc: the library's own plan for the child, by each way",
            "           in turn in every round; two children at once; wall and CPU are those of",
            "           caller and children together, for each launch",
            "",
            table.rstrip(),
            "",
            "Reading    'caller held' is the time in the call that starts. It includes being",
            "           preempted by the child on a machine with few CPUs.",
            "Again      ./configure.py bench",
            "",
        ]
    )


def main() -> None:
    args = measure.begin(measure.arguments(__doc__, 11))

    load = env.load()
    program = args.build_dir / "bin" / "start_bench"
    done = subprocess.run(
        [str(program), str(LAUNCHES), str(args.rounds)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    text = report(done.stdout, load)
    print(text)
    record.write(text, args.report)


if __name__ == "__main__":
    main()
