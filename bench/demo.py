#!/usr/bin/env python3
"""Builds musl with upstream's ninja and with ours, interleaved, and compares
time and results.

usage: demo.py --build-dir DIR --source MUSL_TARBALL [--compiler clang|gcc]
               [--rounds N] [--report FILE]
"""

import sys
from pathlib import Path

import env
import measure
import musl
import record
from builds import COLD, OURS, UPSTREAM, NinjaBuilds

COMPILERS = ("clang", "gcc")


def main() -> None:
    parser = measure.arguments(__doc__, 2)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--compiler", choices=COMPILERS, default=COMPILERS[0])
    args = measure.begin(parser)
    compiler = args.compiler

    load = env.load()
    build_dir = args.build_dir
    area = build_dir / ("demo" if compiler == "clang" else f"demo-{compiler}")
    try:
        tree = musl.prepare(args.source.resolve(), area, compiler)
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
            f"A real build: musl with {compiler}",
            "Is a build of many small C files faster with our ninja?",
            f"musl 1.2.3 (static) with {env.first_line(compiler, '--version')}",
            samples,
            load,
        )
        record.write(text, args.report)


if __name__ == "__main__":
    main()
