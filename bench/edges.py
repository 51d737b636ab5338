#!/usr/bin/env python3
"""Measures launch-bound builds: edges that do next to nothing, by how many there
are, how many run at once, and what they start.

usage: edges.py --build-dir DIR [--rounds N] [--full] [--report FILE]

N is for 1,000 edges; builds that take longer get fewer rounds.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Dict, List, NamedTuple, Sequence

import env
import measure
import ninjas
import record
from ninjas import ALWAYS, COLD, DISTRIBUTION, OURS, UPSTREAM, Contestant

SIZES = (1000, 10000, 100000)
PARALLEL = (1, 2, 8, 64)
JOBS = 2
TRUE, NOOP, TOUCH, COPY = "/bin/true", "noop", "touch", "cp"
CMAKE, PYTHON = "cmake -E true", "python3 -S"
# What an edge runs.
COMMANDS = {
    TRUE: "/bin/true $out",
    NOOP: "{directory}/noop $out",
    TOUCH: "touch $out",
    COPY: "cp build.ninja $out",
    CMAKE: "cmake -E true $out",
    PYTHON: "/usr/bin/python3 -I -S -c pass $out",
}
# They take milliseconds each.
SLOW = (CMAKE, PYTHON)
FEW = (UPSTREAM, OURS, COLD, ALWAYS, DISTRIBUTION)
FEWER = (UPSTREAM, OURS, COLD)
FEWEST = (UPSTREAM, OURS)

Samples = Dict[str, List[measure.Sample]]


class Workload(NamedTuple):
    edges: int
    program: str
    jobs: int
    contestants: Sequence[str] = ()  # Empty: all.

    def __str__(self) -> str:
        jobs = "" if self.jobs == JOBS else f", -j{self.jobs}"
        return f"{self.edges:,} edges of {self.program}{jobs}"

    def rounds(self, rounds: int) -> int:
        if self.edges == SIZES[0] and self.program not in SLOW:
            return rounds
        least = 2 if self.edges == SIZES[2] else 3
        return max(min(least, rounds), rounds // 4)


class Result(NamedTuple):
    workload: Workload
    commands: measure.Commands
    samples: Samples


def workloads(quick: bool, full: bool) -> List[Workload]:
    if quick:
        return [Workload(SIZES[0], program, JOBS) for program in (TRUE, NOOP)]
    made = [Workload(SIZES[0], program, JOBS) for program in COMMANDS if program not in SLOW]
    made += [Workload(SIZES[0], program, JOBS, FEW) for program in SLOW]
    made.append(Workload(SIZES[1], TRUE, JOBS))
    others = [jobs for jobs in PARALLEL if jobs != JOBS]
    made += [Workload(SIZES[1], TRUE, jobs, FEWER) for jobs in others]
    made.append(Workload(SIZES[2], TRUE, JOBS, FEWEST))
    if full:
        made += [Workload(SIZES[0], each, jobs, FEWEST) for each in COMMANDS for jobs in others]
        made.append(Workload(SIZES[1], NOOP, JOBS, FEWEST))
    return made


def write_manifest(directory: Path, edges: int, program: str = TRUE) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    if program == NOOP:
        compile_noop(directory / NOOP)
    command = COMMANDS[program].replace("{directory}", str(directory))
    lines = ["rule t", f"  command = {command}"]
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


def clean(directory: Path) -> int:
    """Returns how many outputs there were."""
    (directory / ".ninja_log").unlink(missing_ok=True)
    outputs = list(directory.glob("o[0-9]*"))
    for path in outputs:
        path.unlink()
    return len(outputs)


def build(
    build_dir: Path, workload: Workload, rounds: int, contestants: Dict[str, Contestant]
) -> Result:
    directory = build_dir / "bench" / "edges"
    write_manifest(directory, workload.edges, workload.program)
    expected = workload.edges if workload.program in (TOUCH, COPY) else 0
    wanted = workload.contestants or contestants
    names = [name for name in contestants if name in wanted]

    def one(which: str, number: int) -> measure.Sample:
        clean(directory)
        program, settings, _ = contestants[which]
        sample = measure.run(
            [str(program), f"-j{workload.jobs}"],
            directory,
            directory / "output",
            variables=measure.environment(**settings),
        )
        made = clean(directory)
        if made != expected:
            raise measure.MeasureError(f"{which} made {made} of {expected} files")
        return sample

    commands = measure.commands(contestants[OURS].program, directory)
    if workload.edges == SIZES[0] and str(workload) not in record.journal.done:
        measure.interleave(names, 1, one)
    samples = measure.interleave(names, workload.rounds(rounds), one, str(workload))
    return Result(workload, commands, samples)


# --- the report


def answers(results: List[Result], candidate: str) -> List[str]:
    lines = []
    for result in results:
        if candidate in result.samples:
            wall, cpu = measure.ratios(result.samples, candidate)
            verdict = f"{wall.factor('wall')}, {cpu.factor('CPU')}"
            lines.append(f"           {result.workload}: {verdict}")
    return lines


def rates(results: List[Result]) -> List[str]:
    """Edges a second, and what ninja itself takes."""
    lines = [
        "Growth: edges a second; CPU time of ninja itself, us an edge (steps of 10 ms in all);",
        "its peak memory, MiB",
        "",
        f"  {'':36}{'':20}{'edges/s':>9}{'own us':>8}{'MiB':>6}",
    ]
    for result in results:
        edges = result.workload.edges
        for name, samples in result.samples.items():
            rate = edges / median(sample.wall for sample in samples)
            own = median(sample.own for sample in samples) / edges * 1e6
            peak = median(sample.peak for sample in samples) / 1024
            lines.append(f"  {str(result.workload):36}{name:20}{rate:9.0f}{own:8.1f}{peak:6.1f}")
    return lines


def report(results: List[Result], contestants: Dict[str, Contestant], load: float) -> str:
    everything: Samples = {"all": [s for r in results for each in r.samples.values() for s in each]}
    lines = [
        "# Launch-bound builds: edges that do next to nothing",
        "",
        "Question   What does Ninja need to start and collect jobs that do nothing?",
        "Answer     Ours against upstream's Ninja",
        *answers(results, OURS),
        "           with LAUNCHER_ENGINE=clone3, without warm templates",
        *answers(results, COLD),
        "           and with LAUNCHER_SHELL=always too, the launcher without its plans",
        *answers(results, ALWAYS),
        "",
        *env.header(load),
        f"Method     {'; '.join(c for name, c in COMMANDS.items() if name != NOOP)};",
        f"           noop: a dynamic C program with an empty main(); -j{JOBS} unless it is said;",
        f"           no log and no outputs to start from; {env.shell()};",
        "           interleaved, 1,000 edges after a round that is not counted;",
        f"           {measure.noise(everything)}",
    ]
    width = max(len(name) for name in contestants) + 2
    for number, (name, contestant) in enumerate(contestants.items()):
        lines.append(f"{'' if number else 'Builds with':12}{name:{width}}{contestant.title}")
    lines += ["", *rates(results)]
    for result in results:
        rounds = len(result.samples[OURS])
        lines += [
            "",
            f"{result.workload}, {rounds} rounds; {OURS}: {result.commands}",
            "",
            *measure.comparison(result.samples),
        ]
    lines.append("")
    for number, each in enumerate(ninjas.missing(contestants)):
        lines.append(f"{'' if number else 'Not here':11}{each}")
    lines += [
        "Not shown  jobs that do work: see repositories.md",
        "Again      ./configure.py bench --only edges [--full]",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    args = measure.begin(measure.arguments(__doc__, 6))

    load = env.load()
    try:
        contestants = ninjas.contestants(args.build_dir, others=not args.quick)
        results = [
            build(args.build_dir, workload, args.rounds, contestants)
            for workload in workloads(args.quick, args.full)
        ]
    except (measure.MeasureError, OSError) as error:
        sys.exit(f"edges.py: error: {error}")
    text = report(results, contestants, load)
    print(text)
    record.write(text, args.report)


if __name__ == "__main__":
    main()
