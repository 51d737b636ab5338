"""Times whole builds fairly: whole process trees, interleaved variants."""

import argparse
import ctypes
import os
import random
import re
import select
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import env
import record

PR_SET_CHILD_SUBREAPER = 36
LEFTOVER_SECONDS = 5
LOOK_MS = 50
# Without a difference, six rounds agree on one by chance in 3 % of the cases.
ENOUGH = 6


class MeasureError(Exception):
    pass


class Sample(NamedTuple):
    wall: float  # seconds
    cpu: float  # seconds, user plus system, of the whole process tree
    other: float  # CPU seconds that went to others meanwhile: noise
    own: float = 0  # CPU seconds of the process that was started, without its children
    peak: int = 0  # KiB, its largest resident set


class Ratio(NamedTuple):
    """Candidate / baseline, median of the pairs, with a 95 % interval; of fewer
    rounds than that can be had from, the lowest and the highest pair."""

    median: float
    low: float
    high: float
    rounds: int

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f} to {self.high:.3f})"

    @property
    def verdict(self) -> str:
        if self.low <= 1 <= self.high:
            return "no difference shown"
        few = f" in {self.rounds} of {self.rounds} rounds" if self.rounds < ENOUGH else ""
        return f"{abs(1 - self.median):.0%} {'less' if self.median < 1 else 'more'}{few}"

    def factor(self, of: str) -> str:
        """For a large difference: 1.85x less CPU."""
        if self.low <= 1 <= self.high:
            return f"no difference shown in {of}"
        if self.median < 1:
            return f"{1 / self.median:.2f}x less {of}"
        return f"{self.median:.2f}x more {of}"


class Commands(NamedTuple):
    """What ninja's `-t launch` says of the commands of a build."""

    without_shell: int
    total: int

    def __str__(self) -> str:
        return f"{self.without_shell} of {self.total} commands without a shell"


def environment(**settings: str) -> Dict[str, str]:
    """The caller's, but how jobs are started is for the measurement to say."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LAUNCHER_")}
    return {**kept, **settings}


def run(
    command: Sequence[str],
    cwd: Path,
    log: Path,
    progress: Optional[Callable[[str], None]] = None,
    variables: Optional[Mapping[str, str]] = None,
) -> Sample:
    """Runs a command with its output in `log`; `progress` sees the newest line.

    The output goes to a file, so that reading it costs the build nothing.
    `variables`: all of its environment; by default environment().
    """
    variables = environment() if variables is None else variables
    # Processes whose parent has gone come to us: their CPU time counts too,
    # and one that outlives the build is noticed.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before, machine_before = env.children_cpu(), env.machine_cpu()
    with log.open("wb") as file:
        start = time.monotonic()
        child = subprocess.Popen(
            command,
            cwd=cwd,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
        peak = await_end(child.pid, log, progress)
        wall = time.monotonic() - start
    own = own_cpu(child.pid)
    status = child.wait()
    reap_leftovers()
    if status != 0:
        raise MeasureError(f"{last_lines(log)}\nstatus {status}: {' '.join(command)}")
    cpu = env.children_cpu() - before
    other = max(0.0, env.machine_cpu() - machine_before - cpu)
    return Sample(wall, cpu, other, own, peak)


def await_end(pid: int, log: Path, progress: Optional[Callable[[str], None]]) -> int:
    """Returns its largest resident set in KiB, as often as it was looked at."""
    pidfd, peak, shown = os.pidfd_open(pid), 0, time.monotonic()
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        while not poll.poll(LOOK_MS):
            # Memory that is gone, of a process that has ended meanwhile, is 0.
            found = re.search(r"VmHWM:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())
            peak = max(peak, int(found.group(1)) if found else 0)
            if progress and time.monotonic() - shown > 0.5:
                shown = time.monotonic()
                progress(last_lines(log, 1))
    finally:
        os.close(pidfd)
    return peak


def own_cpu(pid: int) -> float:
    """Of a process that has ended and is not reaped yet."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def noise(samples: Dict[str, List[Sample]]) -> str:
    """How much of the machine others used while we measured."""
    runs = [run for each in samples.values() for run in each]
    capacity = sum(run.wall for run in runs) * len(os.sched_getaffinity(0))
    return f"other work took {sum(run.other for run in runs) / capacity:.0%} of the CPUs"


def reap_leftovers() -> None:
    deadline = time.monotonic() + LEFTOVER_SECONDS
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            if time.monotonic() > deadline:
                raise MeasureError("the build left a process behind")
            time.sleep(0.01)


def commands(ninja: Path, tree: Path, *targets: str) -> Commands:
    """Asks our ninja about the edges of `targets`, or all; runs none of them."""
    done = subprocess.run(
        [str(ninja), "--quiet", "-t", "launch", *targets],
        cwd=tree,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if done.returncode != 0:
        raise MeasureError(f"{done.stdout}ninja -t launch failed in {tree}")
    counts: Dict[str, int] = {}
    for count, how in re.findall(r"^ *(\d+) +[\d.]+ %  (.*)$", done.stdout, re.MULTILINE):
        counts[how] = int(count)
    return Commands(counts.get("without a shell", 0), sum(counts.values()))


def last_lines(log: Path, count: int = 20) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 8192))
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-count:])


def interleave(
    variants: Sequence[str],
    rounds: int,
    one: Callable[[str, int], Any],
    what: str = "",
    kind: Any = Sample,
) -> Dict[str, List[Any]]:
    """Runs every variant once in each round, so that what changes on the
    machine meanwhile meets all of them; in turn forwards and backwards, so that
    a machine that slows down does not slow the last one most. `what` is measured,
    for the record; empty: it does not count. `kind`: of the samples."""

    def measured() -> Dict[str, List[Dict[str, float]]]:
        samples: Dict[str, List[Dict[str, float]]] = {variant: [] for variant in variants}
        progress = record.Progress(what, rounds * len(variants))
        for number in range(1, rounds + 1):
            for variant in variants if number % 2 else reversed(variants):
                samples[variant].append(one(variant, number)._asdict())
                if what:
                    progress.step()
        return samples

    runs = record.kept(what, measured) if what else measured()
    if what:
        record.add(what, runs)
    return {variant: [kind(**run) for run in each] for variant, each in runs.items()}


def ratio(baseline: Sequence[float], candidate: Sequence[float]) -> Ratio:
    """Compares round by round; bootstrap interval of the median."""
    pairs = [c / b for b, c in zip(baseline, candidate)]
    if len(pairs) < ENOUGH:
        return Ratio(statistics.median(pairs), min(pairs), max(pairs), len(pairs))
    generator = random.Random(1)  # the same report from the same samples
    medians = sorted(
        statistics.median(generator.choices(pairs, k=len(pairs))) for _ in range(10000)
    )
    return Ratio(statistics.median(pairs), medians[250], medians[9749], len(pairs))


def ratios(samples: Dict[str, List[Sample]], candidate: str) -> Tuple[Ratio, Ratio]:
    """(wall, cpu) of one variant against the first."""
    baseline = next(iter(samples.values()))
    return (
        ratio([s.wall for s in baseline], [s.wall for s in samples[candidate]]),
        ratio([s.cpu for s in baseline], [s.cpu for s in samples[candidate]]),
    )


def table(samples: Dict[str, List[Sample]]) -> str:
    """Median, minimum and maximum of each variant, in seconds."""
    width = max(16, *(len(variant) + 2 for variant in samples))
    lines = [
        f"  {'':{width}}{'wall s':<26}CPU s (whole process tree)",
        f"  {'':{width}}" + "median   min      max      " * 2,
    ]
    for variant, runs in samples.items():
        cells = ""
        for values in ([s.wall for s in runs], [s.cpu for s in runs]):
            for value in (statistics.median(values), min(values), max(values)):
                cells += f"{value:<9.3f}"
        lines.append(f"  {variant:{width}}{cells}")
    return "\n".join(line.rstrip() for line in lines)


def comparison(samples: Dict[str, List[Sample]]) -> List[str]:
    """The body of a report: the table, and each variant against the first."""
    baseline, *candidates = samples
    lines = [table(samples)]
    for candidate in candidates:
        wall, cpu = ratios(samples, candidate)
        interval = "lowest to highest" if wall.rounds < ENOUGH else "95 % bootstrap interval"
        lines += [
            "",
            f"  {candidate} / {baseline}, median of the rounds ({interval})",
            f"    wall {wall}",
            f"    CPU  {cpu}",
        ]
    return lines


def arguments(description: str, rounds: int) -> argparse.ArgumentParser:
    """The options that the programs beside this one have in common."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--build-dir", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--report", type=Path)
    parser.add_argument("--quick", action="store_true", help="less of it, to see that it works")
    parser.add_argument("--full", action="store_true", help="all of it, however long it takes")
    parser.add_argument("--resume", action="store_true", help="go on with what was measured before")
    return parser


def begin(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The options; and from here on what is measured is kept for --resume."""
    args = parser.parse_args()
    args.build_dir = args.build_dir.resolve()
    if args.report:
        journal = args.build_dir / "bench" / "journal" / f"{args.report.stem}.jsonl"
        record.journal.open(journal, args.resume)
    return args
