#!/usr/bin/env python3
"""Builds musl with make and with `launcherd make`, interleaved, and compares
time and results; then lines that a shell has to run, 1,000 of them.

usage: make.py --build-dir DIR --source MUSL_TARBALL [--rounds N] [--report FILE]
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, NamedTuple

import env
import measure
import musl
import record
from builds import Builds, Contestant, Samples

MAKE, OURS, ALONE = "make", "launcherd make", "launcher-sh"
COMPILERS = ("clang", "gcc")
LINES = 1000
# make itself cannot start a line with a redirection, but one of plain words.
REDIRECTED, PLAIN = "./tiny > /dev/null", "./tiny"
# Ends at once: what is left is the shell, make, and an exec.
TINY = """
__asm__(".globl _start\\n_start:\\tmov $231, %eax\\n\\txor %edi, %edi\\n\\tsyscall\\n");
"""


class Result(NamedTuple):
    what: str
    products: int  # that were compared; 0: there are none
    samples: Samples


def shell_of(build_dir: Path) -> Path:
    path = build_dir / "libexec" / "launcherd" / "sh"
    if not path.is_file():
        raise measure.MeasureError(f"{path} is not there: launcher-sh is not built")
    return path


def contestants(build_dir: Path) -> Dict[str, Contestant]:
    jobs = f"-j{len(os.sched_getaffinity(0))}"
    launcherd = str(build_dir / "bin" / "launcherd")
    return {
        MAKE: Contestant(["make", jobs], {}),
        OURS: Contestant([launcherd, "make", jobs], {}),
    }


def build_musl(build_dir: Path, tarball: Path, compiler: str, rounds: int) -> Result:
    area = build_dir / ("demo" if compiler == "clang" else f"demo-{compiler}")
    tree = musl.prepare(tarball, area, compiler)
    musl.clean(tree)
    builds = Builds(f"musl 1.2.3 with {compiler}", build_dir, tree, contestants(build_dir))
    samples = builds.run(rounds)
    return Result(f"musl 1.2.3 with {compiler}", len(builds.expected or {}), samples)


def run_lines(build_dir: Path, rounds: int, line: str) -> Result:
    directory = build_dir / "bench" / "lines"
    directory.mkdir(parents=True, exist_ok=True)
    compile_tiny(directory / "tiny")
    targets = " ".join(f"t{number}" for number in range(LINES))
    (directory / "Makefile").write_text(
        f"all: {targets}\n.PHONY: all {targets}\n{targets}:\n\t@{line}\n"
    )
    variants = contestants(build_dir)
    shell = shell_of(build_dir)
    variants[ALONE] = Contestant([*variants[MAKE].command, f"SHELL={shell}"], {})

    def one(which: str, number: int) -> measure.Sample:
        command, settings = variants[which]
        return measure.run(
            command,
            directory,
            directory / "output",
            variables=measure.environment(**settings),
        )

    measure.interleave(list(variants), 1, one)
    what = f"{LINES:,} lines `{line}`"
    return Result(what, 0, measure.interleave(list(variants), rounds, one, what))


def compile_tiny(path: Path) -> None:
    done = subprocess.run(
        ["cc", "-static", "-nostdlib", "-x", "c", "-", "-o", str(path)],
        input=TINY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        raise measure.MeasureError(done.stdout)


def answers(result: Result) -> List[str]:
    lines = []
    for candidate in list(result.samples)[1:]:
        wall, cpu = measure.ratios(result.samples, candidate)
        lines.append(
            f"           {result.what}, {candidate}:",
        )
        lines.append(f"             {wall.factor('wall')}, {cpu.factor('CPU')}")
    return lines


def report(results: List[Result], load: float) -> str:
    everything = {
        which: [sample for result in results for sample in result.samples[which]]
        for which in (MAKE, OURS)
    }
    lines = [
        "# make, with launcherd and without",
        "",
        "Question   Is a build by make faster under launcherd?",
        "Answer     Against plain make",
        *(line for result in results for line in answers(result)),
        "",
        *env.header(load),
        f"           {env.first_line('make', '--version')}; {env.shell()};",
        *(f"           {env.first_line(compiler, '--version')}" for compiler in COMPILERS),
        f"Method     -j{env.cpus()}, clean tree each time, interleaved; products compared byte",
        "           for byte; tiny: a static program of two instructions, in a line that",
        "           needs a shell, and in one that make starts without;",
        f"           {ALONE}: SHELL=launcher-sh without launcherd, so that each program is",
        "           executed in place;",
        f"           {measure.noise(everything)}",
    ]
    for result in results:
        rounds = len(result.samples[MAKE])
        same = f"; {result.products} products, all the same" if result.products else ""
        lines += [
            "",
            f"{result.what}, {rounds} rounds{same}",
            "",
            *measure.comparison(result.samples),
        ]
    lines += ["", "Again      ./configure.py bench --only make", ""]
    return "\n".join(lines)


def main() -> None:
    parser = measure.arguments(__doc__, 2)
    parser.add_argument("--source", type=Path, required=True)
    args = measure.begin(parser)

    load = env.load()
    build_dir = args.build_dir
    try:
        results = [
            build_musl(build_dir, args.source.resolve(), compiler, args.rounds)
            for compiler in COMPILERS
        ]
        for line in (REDIRECTED, PLAIN):
            results.append(run_lines(build_dir, 4 * args.rounds, line))
    except (measure.MeasureError, RuntimeError, OSError) as error:
        sys.exit(f"make.py: error: {error}")
    text = report(results, load)
    print(text)
    record.write(text, args.report)


if __name__ == "__main__":
    main()
