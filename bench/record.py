"""Keeps what was measured: for the JSON beside a report, and for --resume."""

import json
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, TypeVar

import env

T = TypeVar("T")

# By the names that samples give them: unit, and what it is.
METRICS = {
    "wall": ("s", "wall time"),
    "cpu": ("s", "CPU time, user and system, of the whole process tree"),
    "other": ("s", "CPU time that went to others meanwhile"),
    "own": ("s", "CPU time of the first process alone, of all its threads; in steps of 10 ms"),
    "peak": ("KiB", "largest resident set of the first process, looked at 20 times a second"),
    "noop": ("s", "wall time of a build that has nothing to do"),
    "noop_cpu": ("s", "its CPU time"),
    "one": ("s", "wall time of a build after one source file was touched"),
    "one_cpu": ("s", "its CPU time"),
    "p50": ("s", "latency of a call, median"),
    "p95": ("s", "latency of a call, 95th percentile"),
    "p99": ("s", "latency of a call, 99th percentile"),
    "launch": ("us", "wall time of a launch, from the call until the child is reaped"),
    "held": ("us", "time in the call that starts a child"),
    "all_cpu": ("us", "CPU time of caller and child, for each launch"),
    "plan": ("us", "time for one command line"),
    "parent": ("us", "CPU time of the launching process, for each launch"),
    "child": ("us", "CPU time of its children, for each launch"),
    "first": ("us", "from the call to the first instruction of the program, median"),
    "faults": ("", "page faults of parent and children, for each launch"),
    "warm": ("", "share of the launches that were clones of a parked process"),
    "rate": ("1/s", "launches in a second, all threads together"),
    "start": ("us", "wall time to start a job, with the others running"),
    "collect": ("us", "wall time to collect a job, of all that end together"),
    "memory": ("KiB", "resident set of the launching process"),
}
# Of the CPUs; more than this went to others, and a report says so.
BUSY = 0.1

# What the report of this program rests on; see results/schema.json.
groups: List[Dict[str, Any]] = []


class Journal:
    """What has been measured so far, one JSON line for each group. Another
    commit or other options start it anew."""

    def __init__(self) -> None:
        self.path: Optional[Path] = None
        self.done: Dict[str, Any] = {}

    def open(self, path: Path, resume: bool) -> None:
        head = {"commit": env.commit(), "options": self.options(sys.argv)}
        lines = []
        if resume and path.is_file():
            # The last line may be half of one.
            lines = [line for line in path.read_text().splitlines() if line.endswith("}")]
        if lines and json.loads(lines[0]) == head:
            for line in lines[1:]:
                entry = json.loads(line)
                self.done[entry["what"]] = entry["samples"]
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        entries = [{"what": what, "samples": samples} for what, samples in self.done.items()]
        path.write_text("".join(json.dumps(each) + "\n" for each in [head, *entries]))

    @staticmethod
    def options(words: Sequence[str]) -> List[str]:
        return [word for word in words[1:] if word != "--resume"]

    def keep(self, what: str, samples: Any) -> None:
        if self.path:
            with self.path.open("a") as file:
                file.write(json.dumps({"what": what, "samples": samples}) + "\n")


journal = Journal()


def add(what: str, samples: Dict[str, List[Dict[str, float]]]) -> None:
    groups.append({"what": what, "samples": samples})


def kept(what: str, make: Callable[[], T]) -> T:
    """What `make` gives, which JSON can hold; with --resume what it gave before."""
    if what in journal.done:
        return journal.done[what]
    made = make()
    journal.keep(what, made)
    return made


class Watch:
    """How much of the machine others use while this program and its children run."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.machine, self.mine = env.machine_cpu(), self.my_cpu()

    @staticmethod
    def my_cpu() -> float:
        return time.process_time() + env.children_cpu()

    def share(self) -> float:
        others = env.machine_cpu() - self.machine - (self.my_cpu() - self.mine)
        return max(0.0, others / (time.monotonic() - self.start) / env.cpus())


watch = Watch()


def marked(text: str) -> str:
    """A report made on a busy machine says so where nobody can miss it."""
    share = watch.share()
    if share <= BUSY:
        return text
    title, rest = text.split("\n", 1)
    mark = f"UNDER LOAD: other work took {share:.0%} of the CPUs; not to be quoted."
    return f"{title}\n\n{mark}\n{rest}"


def write(text: str, path: Optional[Path]) -> None:
    """The report, and all samples beside it, as JSON."""
    if not path:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(marked(text))
    print(f"report: {path}")
    if not groups:
        return
    used = {
        name
        for group in groups
        for runs in group["samples"].values()
        for run in runs
        for name in run
    }
    data = {
        "title": text.splitlines()[0].lstrip("# "),
        "machine": " ".join(" ".join(env.header()).split()),
        "metrics": {
            name: {"unit": unit, "what": what}
            for name, (unit, what) in METRICS.items()
            if name in used
        },
        "groups": groups,
    }
    path.with_suffix(".json").write_text(dump(data))


def dump(data: Dict[str, Any]) -> str:
    """A line for each sample: to be read, and compared by line."""
    lines = json.dumps({**data, "groups": []}, indent=1)[: -len("[]\n}")] + "[\n"
    lines += ",\n".join(dump_group(group) for group in data["groups"])
    return lines + "\n]}\n"


def dump_group(group: Dict[str, Any]) -> str:
    contestants = []
    for name, runs in group["samples"].items():
        rounded = [{metric: round(value, 6) for metric, value in run.items()} for run in runs]
        rows = ",\n".join("   " + json.dumps(run) for run in rounded)
        contestants.append(f"  {json.dumps(name)}: [\n{rows}]")
    inner = ",\n".join(contestants)
    return f' {{"what": {json.dumps(group["what"])}, "samples": {{\n{inner}}}}}'


class Progress:
    """How far a long measurement is: in place on a terminal, else a line now
    and then."""

    WIDTH = 24

    def __init__(self, what: str, total: int) -> None:
        self.what, self.total, self.done = what, total, 0
        self.start = self.shown = time.monotonic()
        self.in_place = sys.stdout.isatty()

    def step(self) -> None:
        self.done += 1
        now = time.monotonic()
        last = self.done == self.total
        if not last and now - self.shown < (0.2 if self.in_place else 10):
            return
        self.shown = now
        spent = now - self.start
        left = spent / self.done * (self.total - self.done)
        bar = "#" * (self.WIDTH * self.done // self.total)
        line = f"      {self.what:34.34} [{bar:{self.WIDTH}}] "
        line += f"{spent:.0f} s" if last else f"{left:.0f} s left"
        if self.in_place:
            print("\r" + line.ljust(79), end="\n" if last else "", flush=True)
        elif spent > 2:
            print(line, flush=True)
