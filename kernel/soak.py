#!/usr/bin/env python3
"""The calls a million times with random arguments, and 100,000 spawns.

usage: soak.py --build-dir=DIR --report=FILE [--calls=N] [--spawns=N] [--seed=N]

Builds the kernel twice, as it is measured and with what looks for mistakes
of memory, boots each in QEMU and runs the selftest, the fuzzer and the test of
growth at length. Writes a report; status 1 if anything is wrong. Takes hours.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import List, NamedTuple

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE.parent / "bench"))
import env  # noqa: E402
import lab  # noqa: E402


class Part(NamedTuple):
    name: str
    title: str
    fragments: List[str]
    spawns_divisor: int  # An instrumented kernel does a part of the spawns.


PARTS = [
    Part("kasan", "KASAN, UBSAN", ["guest.config", "kasan.config"], 10),
    Part("plain", "the kernel that is measured", ["guest.config"], 1),
]


def soak(part: Part, tree: Path, where: Path, log: Path, args: argparse.Namespace) -> List[str]:
    """The paragraph of the report; its first line says whether all is well."""
    out = where / f"{part.name}-kernel"
    vmlinux = lab.build(tree, out, part.fragments, log)
    files = lab.compile_programs(tree, out, where / f"{part.name}-programs", log)
    spawns = args.spawns // part.spawns_divisor
    script = lab.TEST.format(calls=args.calls, spawns=spawns, seed=args.seed)
    guest = lab.Guest(memory=2048, seconds=12 * 3600)
    text = lab.boot(vmlinux, files, script, where / f"{part.name}-soak.log", guest)
    wrong = lab.failures(text)
    lines = [f"    {part.title}: {'FAILED' if wrong else 'passed'}"]
    lines += [f"        {line}" for line in wrong[:20]]
    kept = r"^(?:# Totals: .*|spawn_fuzz: .*|# \d+ spawns: .*|kmemleak: .*)$"
    lines += [f"        {line}" for line in re.findall(kept, text, re.M)]
    print("\n".join(lines), flush=True)
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(usage=argparse.SUPPRESS)
    parser.format_help = lambda: __doc__ or ""  # type: ignore[method-assign]
    parser.add_argument("--build-dir", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--spawns", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    where = args.build_dir.resolve()
    where.mkdir(parents=True, exist_ok=True)
    log = where / "soak-build.log"
    log.write_text("")
    load = env.load()
    try:
        tree = lab.unpack(where / "source", log, lab.patches())
        results = [soak(part, tree, where, log, args) for part in PARTS]
    except lab.LabError as error:
        print(error, file=sys.stderr)
        return 1
    good = not any("FAILED" in lines[0] for lines in results)
    report = [
        "# Many spawns from spawn templates",
        "",
        "Question   Do a million calls with random arguments find a mistake, and does",
        "           anything grow?",
        f"Answer     {'Passed.' if good else 'FAILED.'}",
        "",
        *env.header(load),
        f"Guest      {lab.describe_source()}; two CPUs, QEMU TCG;",
        "           kernel/config/guest.config, the first with kasan.config",
        f"Command    spawn_template; spawn_fuzz {args.calls} {args.seed}, half of it by each",
        f"           of two processes; spawn_growth {args.spawns} ({args.spawns // 10} in the",
        "           first), with as many spawns that fail",
        "",
        *(line for lines in results for line in lines),
        "",
        "Again      ./configure.py kernel-test --soak",
    ]
    args.report.write_text("\n".join(report) + "\n")
    print(f"wrote {args.report}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
