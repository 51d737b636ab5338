#!/usr/bin/env python3
"""Measures launch-bound builds: edges of `/bin/true $out`, of a no-op and of
`cmake -E true`.

usage: edges.py --build-dir DIR [--rounds N] [--report FILE]

N is for 1,000 edges; 10,000 get an eighth of it, at least 3. The no-op is a
dynamic C program with an empty main(): /bin/true looks for translations.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, NamedTuple

import env
import measure
import record

SIZES = (1000, 10000)
JOBS = 2
TRUE, NOOP, CMAKE = "/bin/true", "noop", "cmake -E true"


class Contestant(NamedTuple):
    program: str
    settings: Dict[str, str]


UPSTREAM, OURS = "ninja-upstream", "ninja"
COLD, ALWAYS = "ninja (clone3)", "ninja (always)"
CONTESTANTS = {
    UPSTREAM: Contestant("ninja-upstream", {}),
    OURS: Contestant("ninja", {}),
    COLD: Contestant("ninja", {"LAUNCHER_ENGINE": "clone3"}),
    ALWAYS: Contestant("ninja", {"LAUNCHER_ENGINE": "clone3", "LAUNCHER_SHELL": "always"}),
}

Samples = Dict[str, List[measure.Sample]]


class Result(NamedTuple):
    edges: int
    program: str
    commands: measure.Commands
    samples: Samples


def rounds_of(edges: int, rounds: int) -> int:
    return rounds if edges == SIZES[0] else max(3, rounds // 8)


def write_manifest(directory: Path, edges: int, program: str = TRUE) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    if program == NOOP:
        compile_noop(directory / NOOP)
        program = str(directory / NOOP)
    lines = ["rule t", f"  command = {program} $out"]
    lines += [f"build o{number}: t" for number in range(edges)]
    (directory / "build.ninja").write_text("\n".join(lines) + "\n")


def compile_noop(path: Path) -> None:
    done = subprocess.run(
        ["cc", "-O2", "-x", "c", "-", "-o", str(path)],
        input="int main(void) { return 0; }\n",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        raise measure.MeasureError(done.stdout)


def build(build_dir: Path, edges: int, rounds: int, program: str = TRUE) -> Result:
    directory = build_dir / "bench" / "edges"
    write_manifest(directory, edges, program)

    def one(which: str, number: int) -> measure.Sample:
        # The outputs never come to be; only the log is left of a build.
        (directory / ".ninja_log").unlink(missing_ok=True)
        program, settings = CONTESTANTS[which]
        return measure.run(
            [str(build_dir / "bin" / program), f"-j{JOBS}"],
            directory,
            directory / "output",
            variables=measure.environment(**settings),
        )

    commands = measure.commands(build_dir / "bin" / CONTESTANTS[OURS].program, directory)
    measure.interleave(list(CONTESTANTS), 1, one)
    what = f"{edges} edges of {program}"
    return Result(edges, program, commands, measure.interleave(list(CONTESTANTS), rounds, one, what))


def answers(results: List[Result], candidate: str) -> List[str]:
    lines = []
    for result in results:
        wall, cpu = measure.ratios(result.samples, candidate)
        lines.append(
            f"           {result.edges:6,} edges of {result.program}: {wall.factor('wall')}, {cpu.factor('CPU')}"
        )
    return lines


def report(results: List[Result], load: float) -> str:
    everything: Samples = {
        which: [sample for result in results for sample in result.samples[which]]
        for which in CONTESTANTS
    }
    lines = [
        "# Launch-bound builds: edges of /bin/true, of a no-op and of cmake -E true",
        "",
        "Question   What does Ninja need to start and collect jobs that do nothing?",
        "Answer     Ours against upstream's Ninja",
        *answers(results, OURS),
        "           with LAUNCHER_ENGINE=clone3, without warm templates",
        *answers(results, COLD),
        "           and with LAUNCHER_SHELL=always too, the launcher without its plans",
        *answers(results, ALWAYS),
    ]
    counts = ", ".join(str(len(result.samples[OURS])) for result in results)
    lines += [
        "",
        *env.header(load),
        "Method     `/bin/true $out`, a dynamic C program with an empty main(), and",
        f"           `cmake -E true $out`; -j{JOBS}, no log to start from; {env.shell()};",
        f"           {COLD}: ours with LAUNCHER_ENGINE=clone3, an exec for each job;",
        f"           {ALWAYS}: with LAUNCHER_SHELL=always too, a shell for each job;",
        f"           {counts} rounds after one that is not counted, interleaved;",
        f"           {measure.noise(everything)}",
    ]
    for result in results:
        lines += [
            "",
            f"{result.edges:,} edges of {result.program}; {OURS}: {result.commands}",
            "",
            *measure.comparison(result.samples),
        ]
    lines += [
        "",
        "Not shown  jobs that do work: see musl.md, musl-gcc.md, googletest.md",
        "Again      ./configure.py bench",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    args = measure.begin(measure.arguments(__doc__, 11))

    load = env.load()
    build_dir = args.build_dir
    try:
        sizes = SIZES[:1] if args.quick else SIZES
        results = [build(build_dir, size, rounds_of(size, args.rounds)) for size in sizes]
        for program in (NOOP,) if args.quick else (NOOP, CMAKE):
            results.append(build(build_dir, SIZES[0], args.rounds, program))
    except (measure.MeasureError, OSError) as error:
        sys.exit(f"edges.py: error: {error}")
    text = report(results, load)
    print(text)
    record.write(text, args.report)


if __name__ == "__main__":
    main()
