#!/usr/bin/env python3
"""Builds musl with upstream's ninja and with ours, interleaved, and compares
time and results.

usage: demo.py --build-dir DIR --source MUSL_TARBALL [--rounds N] [--report FILE]
"""

import sys
from pathlib import Path

import env
import measure
import musl
import record
from builds import COLD, OURS, UPSTREAM, NinjaBuilds


def main() -> None:
    parser = measure.arguments(__doc__, 2)
    parser.add_argument("--source", type=Path, required=True)
    args = measure.begin(parser)

    load = env.load()
    build_dir = args.build_dir
    try:
        tree = musl.prepare(args.source.resolve(), build_dir / "demo")
        musl.clean(tree)
        # For a demo two are enough.
        contestants = (UPSTREAM, OURS, COLD) if args.report else (UPSTREAM, OURS)
        builds = NinjaBuilds("musl 1.2.3", build_dir, tree, contestants=contestants)
        builds.warm_up("obj/src/internal/version.h", "lib/crt1.o")
        samples = builds.run(args.rounds)
    except (measure.MeasureError, RuntimeError, OSError) as error:
        sys.exit(f"demo.py: error: {error}")
    print(builds.summary(samples))
    if args.report:
        text = builds.report(
            "A real build: musl with clang",
            "Is a build of many small C files faster with our ninja?",
            f"musl 1.2.3 (static) with {env.first_line('clang', '--version')}",
            samples,
            load,
        )
        record.write(text, args.report)


if __name__ == "__main__":
    main()
