#!/usr/bin/env python3
"""Measures launches in a second by the number of launching threads, and what
running jobs cost the launcher, up to 10,000; and what that says of machines with
more CPUs than this one.

usage: scale.py --build-dir DIR [--rounds N] [--full] [--report FILE]
"""

import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Dict, List, NamedTuple, Sequence

import edges
import env
import launch_programs
import measure
import record

THREADS = (1, 2, 4, 8, 16, 64)
JOBS = (10, 100, 1000, 10000)
POSIX_SPAWN, CLONE3, WARM = "posix_spawn", "clone3", "warm"
METHODS = (POSIX_SPAWN, CLONE3, WARM)
MILLISECONDS = 1000
QUICK_MILLISECONDS = 50
MACHINES = (64, 192)

# Ends when its input does.
HOLD = """
__asm__(".globl _start\\n_start:\\txor %eax, %eax\\n\\txor %edi, %edi\\n\\tlea -8(%rsp), %rsi\\n"
        "\\tmov $1, %edx\\n\\tsyscall\\n\\tmov $231, %eax\\n\\txor %edi, %edi\\n\\tsyscall\\n");
"""


class Rate(NamedTuple):
    rate: float  # launches in a second
    parent: float  # us of CPU time, for each launch
    child: float


class Jobs(NamedTuple):
    start: float  # us, for each job
    collect: float
    parent: float
    memory: float  # KiB of the launcher while all run


def call(build_dir: Path, words: Sequence[str], cpus: int = 0) -> List[float]:
    """What scale_bench says; on so many CPUs, 0: all."""
    here = sorted(os.sched_getaffinity(0))
    done = subprocess.run(
        [str(build_dir / "bin" / "scale_bench"), *words],
        env=measure.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, here[:cpus] if cpus else here),
    )
    if done.returncode != 0:
        raise measure.MeasureError(f"scale_bench {' '.join(words)}: {done.stdout}")
    return [float(word) for word in done.stdout.split()]


Rates = Dict[str, List[Rate]]


class Measured(NamedTuple):
    one_cpu: Rates
    rates: Dict[int, Rates]  # by threads
    jobs: Dict[int, List[Jobs]]  # by jobs


def measure_all(build_dir: Path, rounds: int, quick: bool) -> Measured:
    directory = build_dir / "bench" / "scale"
    directory.mkdir(parents=True, exist_ok=True)
    program, hold = str(directory / "noop"), str(directory / "hold")
    edges.compile_noop(Path(program))
    launch_programs.compile_program(["cc", "-static", "-nostdlib", "-x", "c"], HOLD, Path(hold))
    milliseconds = str(QUICK_MILLISECONDS if quick else MILLISECONDS)

    def rate(threads: int, cpus: int) -> Rates:
        def one(method: str, number: int) -> Rate:
            words = ["rate", method, str(threads), milliseconds, program]
            launches, wall, parent, child = call(build_dir, words, cpus)
            return Rate(launches / wall * 1e6, parent / launches, child / launches)

        where = ", one CPU" if cpus else ""
        what = f"{threads} launching thread{'s' if threads > 1 else ''}{where}"
        return measure.interleave(METHODS, rounds, one, what, Rate)

    def jobs(count: int) -> List[Jobs]:
        def one(method: str, number: int) -> Jobs:
            start, collect, parent, memory = call(build_dir, ["jobs", method, str(count), hold])
            return Jobs(start / count, collect / count, parent / count, memory)

        few = rounds if count < JOBS[-1] else min(2, rounds)
        return measure.interleave([CLONE3], few, one, f"{count:,} running jobs", Jobs)[CLONE3]

    threads, counts = (THREADS[:2], JOBS[:3]) if quick else (THREADS, JOBS)
    return Measured(
        rate(1, 1), {each: rate(each, 0) for each in threads}, {each: jobs(each) for each in counts}
    )


# --- the model


class Model(NamedTuple):
    """A launch takes `serial` of the launching thread and `parallel` of any
    other CPU, for the child and a parked process; nothing else is in the way."""

    serial: float  # us
    parallel: float

    def rate(self, threads: int, cpus: int) -> float:
        """Of threads that each wait for their child before the next."""
        return min(threads, cpus) / (self.serial + self.parallel) * 1e6

    def most(self) -> float:
        """Of one thread that does not wait, as ninja's."""
        return 1e6 / self.serial

    def shortest_job(self, cpus: int) -> float:
        """CPU time in us that a job must take beside its start and end, so that
        one launching thread keeps all other CPUs busy."""
        return max(0.0, (cpus - 1) * self.serial - self.parallel)


def model(rates: List[Rate]) -> Model:
    """From what one CPU can do, which has to do all of it."""
    serial = median(each.parent for each in rates)
    return Model(serial, max(0.0, 1e6 / middle(rates) - serial))


def middle(samples: List[Rate]) -> float:
    return median(each.rate for each in samples)


def rates_table(measured: Measured) -> List[str]:
    models = {method: model(measured.one_cpu[method]) for method in METHODS}
    lines = [
        "Launches a second; model: from the row of one CPU",
        "",
        f"  {'threads':10}"
        + "".join(f"{method:>14}{'min':>8}{'max':>8}{'model':>8}" for method in METHODS),
    ]
    rows = {"1, 1 CPU": (measured.one_cpu, 1, 1)}
    rows.update({str(n): (rates, n, env.cpus()) for n, rates in measured.rates.items()})
    for title, (rates, threads, cpus) in rows.items():
        cells = ""
        for method in METHODS:
            values = [each.rate for each in rates[method]]
            cells += f"{median(values):14.0f}{min(values):8.0f}{max(values):8.0f}"
            cells += f"{models[method].rate(threads, cpus):8.0f}"
        lines.append(f"  {title:10}{cells}")
    return lines


def jobs_table(measured: Measured) -> List[str]:
    lines = [
        "Running jobs, clone3, output captured; us a job, KiB of the launcher while all run",
        "",
        f"  {'jobs':10}{'start':>10}{'collect':>10}{'CPU':>10}{'KiB':>10}{'KiB a job':>10}",
    ]
    least = min(measured.jobs)
    base = median(each.memory for each in measured.jobs[least])
    for count, samples in measured.jobs.items():
        start, collect, parent, memory = (
            median(getattr(each, of) for each in samples) for of in Jobs._fields
        )
        row = f"  {count:<10,}{start:10.1f}{collect:10.1f}{parent:10.1f}{memory:10.0f}"
        share = f"{(memory - base) / (count - least):10.2f}" if count > least else ""
        lines.append(row + share)
    return lines


def model_table(measured: Measured) -> List[str]:
    lines = [
        "The model on other machines: NOT MEASURED. One launching thread, as ninja's",
        "",
        f"  {'':14}{'serial us':>10}{'parallel us':>12}{'launches/s at most':>20}"
        + "".join(f"{f'job for {cpus} CPUs, ms':>22}" for cpus in MACHINES),
    ]
    for method in METHODS:
        made = model(measured.one_cpu[method])
        cells = "".join(f"{made.shortest_job(cpus) / 1000:22.1f}" for cpus in MACHINES)
        row = f"  {method:14}{made.serial:10.1f}{made.parallel:12.1f}{made.most():20.0f}"
        lines.append(row + cells)
    return lines


def deviation(measured: Measured) -> str:
    """Of what was measured from the model, for as many threads as CPUs."""
    threads = max(n for n in measured.rates if n <= env.cpus())
    parts = []
    for method in METHODS:
        expected = model(measured.one_cpu[method]).rate(threads, env.cpus())
        parts.append(f"{method} {middle(measured.rates[threads][method]) / expected:.2f}")
    return f"{threads} threads on {env.cpus()} CPUs, measured / model: {', '.join(parts)}"


def report(measured: Measured, rounds: int, load: float) -> str:
    most = max(measured.jobs)
    last = measured.jobs[most]
    rates = {
        method: max(middle(each[method]) for each in measured.rates.values()) for method in METHODS
    }
    lines = [
        "# Threads and running jobs: how far it goes",
        "",
        "Question   How many programs can be started in a second, and with how many running?",
        "Answer     at most, of any number of threads: "
        + ", ".join(f"{method} {rate:.0f}/s" for method, rate in rates.items()) + ";",
        f"           {most:,} jobs at once in {median(each.memory for each in last) / 1024:.1f} MiB,"
        f" {median(each.start for each in last):.0f} us each to start;",
        f"           {deviation(measured)}",
        "",
        *env.header(load),
        "Method     bench/scale_bench.cc; a dynamic C program with an empty main(), started and",
        "           waited for by each thread again and again, a Launcher for each thread;",
        f"           {rounds} rounds of {MILLISECONDS} ms, interleaved; a running job: three",
        "           instructions that wait for the end of its input",
        "",
        *rates_table(measured),
        "",
        *jobs_table(measured),
        "",
        *model_table(measured),
        "",
        "Reading    serial is the launching thread's CPU time, with the system calls that it",
        "           makes; parallel is all the rest of a launch on one CPU. 'job for 64 CPUs': as",
        "           much work of its own must a job have, so that one thread can start jobs",
        "           as fast as 63 CPUs end them; shorter ones leave CPUs idle, whoever starts",
        "           them. What the kernel's locks and the memory cost with more CPUs is not in",
        "           it: the rows above say how far the model is off on this machine.",
        "           A start gets dearer with the descriptors of the launcher, two for each job:",
        "           the kernel copies their table for each child.",
        "Again      ./configure.py bench --only scale",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    args = measure.begin(measure.arguments(__doc__, 5))

    load = env.load()
    try:
        measured = measure_all(args.build_dir, args.rounds, args.quick)
    except (measure.MeasureError, OSError) as error:
        sys.exit(f"scale.py: error: {error}")
    text = report(measured, args.rounds, load)
    print(text)
    record.write(text, args.report)


if __name__ == "__main__":
    main()
