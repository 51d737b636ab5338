#!/usr/bin/env python3
"""Measures the tools that an agent runtime starts all day.

usage: agent_tools.py --build-dir DIR [--rounds N] [--calls N] [--report FILE]

The mix of the RFC "exec: add spawn templates": 16 kinds of calls in equal parts
over a tree of Python-like files and a small git repository, 16 in flight,
spread over 1, 2, 4 and 8 worker processes. A worker is a Python program with
threads; how it starts its tools is what is compared.
"""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Dict, List, NamedTuple, Tuple

import env
import measure
import record

CALLS = 6144
QUICK_CALLS = 160
IN_FLIGHT = 16
WORKERS = (1, 2, 4, 8)
FILES = 240
PYTHON = "/usr/bin/python3"
WORKER = Path(__file__).resolve().parent / "agent_worker.py"

SUBPROCESS, POSIX_SPAWN, COLD, OURS = "subprocess", "posix_spawn", "launcher, cold", "launcher"
ASYNCIO, OURS_ASYNCIO = "asyncio", "launcher asyncio"
# (how the worker starts them, settings)
CONTESTANTS: Dict[str, Tuple[str, Dict[str, str]]] = {
    SUBPROCESS: ("subprocess", {}),
    POSIX_SPAWN: ("posix_spawn", {}),
    COLD: ("launcher", {"LAUNCHER_ENGINE": "clone3"}),
    OURS: ("launcher", {}),
    ASYNCIO: ("asyncio", {}),
    OURS_ASYNCIO: ("launcher_asyncio", {}),
}


class Sample(NamedTuple):
    wall: float
    cpu: float
    other: float
    p50: float  # seconds, of the calls of the run
    p95: float
    p99: float


Samples = Dict[str, List[Sample]]


class Setting(NamedTuple):
    workers: int
    contestants: Tuple[str, ...]
    resident: int = 0  # MiB touched by each worker
    without: str = ""  # a kind of calls

    def __str__(self) -> str:
        loop = " in one event loop" if ASYNCIO in self.contestants else ""
        memory = f" of {self.resident} MiB" if self.resident else ""
        less = f" without {self.without}" if self.without else ""
        return f"{self.workers}x{IN_FLIGHT // self.workers}{memory}{loop}{less}"


IN_THREADS = (SUBPROCESS, POSIX_SPAWN, COLD, OURS)
SETTINGS = (
    Setting(WORKERS[0], IN_THREADS),
    *(Setting(workers, (SUBPROCESS, POSIX_SPAWN, OURS)) for workers in WORKERS[1:]),
    # Half of the CPU time of the mix is node's own.
    Setting(1, IN_THREADS, without="node"),
    Setting(1, (SUBPROCESS, OURS), 1024),
    Setting(1, (ASYNCIO, OURS_ASYNCIO)),
)


class Result(NamedTuple):
    setting: Setting
    calls: int
    samples: Samples


def make_tree(tree: Path) -> None:
    """The same files each time."""
    shutil.rmtree(tree, ignore_errors=True)
    words = random.Random(1)
    for number in range(FILES):
        directory = tree / f"package{number % 12}"
        directory.mkdir(parents=True, exist_ok=True)
        lines = ["import os", "", ""]
        for function in range(20):
            name = f"function_{words.randrange(1000)}"
            lines += [
                f"def {name}(argument, value={words.randrange(100)}):",
                f'    """Does what {name} does."""',
                f"    result = os.path.join(argument, str(value * {function}))",
                "    return result",
                "",
                "",
            ]
        (directory / f"module{number}.py").write_text("\n".join(lines))
    git = ["git", "-C", str(tree), "-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *command], check=True)
    for number in range(4):  # Something for git diff.
        with (tree / "package0" / f"module{number * 12}.py").open("a") as file:
            file.write("CHANGED = True\n")


def kinds(tree: Path) -> Dict[str, List[List[str]]]:
    """Of each kind some calls that differ, as those of an agent do."""
    files = sorted(str(path) for path in tree.glob("package*/*.py"))[::10]
    directories = sorted(str(path) for path in tree.glob("package*"))
    made = {
        "rg": [["rg", "-j1", "--sort", "path", "-n", f"function_{n}\\b", str(tree)] for n in range(9)],
        "grep": [["grep", "-n", f"function_{n}", *files[:8]] for n in range(9)],
        "sed": [["sed", "-n", "1,40p", file] for file in files],
        "awk": [["awk", "/^def/ { print $2 }", file] for file in files],
        "cat": [["cat", file] for file in files],
        "head": [["head", "-n", "20", file] for file in files],
        "tail": [["tail", "-n", "20", file] for file in files],
        "find": [["find", directory, "-name", "*1*.py"] for directory in directories],
        "stat": [["stat", "-c", "%n %s %Y", file] for file in files],
        "ls": [["ls", "-l", directory] for directory in directories],
        "git status": [["git", "-C", str(tree), "status", "--short"]],
        "git diff": [["git", "-C", str(tree), "diff", "--stat"]],
        "python3": [[PYTHON, "-I", "-S", "-c", f"print({n} ** 2)"] for n in range(9)],
        "node": [["node", "-e", f"console.log({n} ** 2)"] for n in range(9)],
        "sh -c": [["sh", "-c", f"grep -c def {file} | tr -d '\\n'"] for file in files],
        "bash -c": [["bash", "-c", f'x=$(wc -l < {file}); echo "$x lines"'] for file in files],
    }
    return {kind: calls for kind, calls in made.items() if shutil.which(calls[0][0])}


def make_calls(of: Dict[str, List[List[str]]], count: int) -> List[List[str]]:
    order = random.Random(2)
    calls = []
    for number in range(count):
        kind = list(of.values())[number % len(of)]
        calls.append(kind[number // len(of) % len(kind)])
    order.shuffle(calls)
    return calls


def run_workers(
    build_dir: Path, directory: Path, which: str, setting: Setting
) -> Tuple[Sample, List[str]]:
    """One run; what each call gave comes with it."""
    how, settings = CONTESTANTS[which]
    workers = setting.workers
    answers = [directory / f"answer{number}.json" for number in range(workers)]
    parts = [
        f"{PYTHON} {WORKER} {how} {IN_FLIGHT // workers} {setting.resident}"
        f" calls.json {number} {workers} > {answer.name} &"
        for number, answer in enumerate(answers)
    ]
    variables = measure.environment(
        LAUNCHER_LIBRARY=str(build_dir / "lib" / "liblauncher.so.0"),
        PYTHONPATH=str(env.ROOT / "launcherd" / "bindings" / "python"),
        PYTHONDONTWRITEBYTECODE="1",
        GIT_OPTIONAL_LOCKS="0",
        LC_ALL="C.UTF-8",
        **settings,
    )
    line = " ".join([*parts, "wait"])
    sample = measure.run(["sh", "-c", line], directory, directory / "output", variables=variables)
    latencies: List[float] = []
    digests: List[str] = []
    for answer in answers:
        try:
            read = json.loads(answer.read_text())
        except ValueError:
            raise measure.MeasureError(
                f"a worker has failed\n{measure.last_lines(directory / 'output')}"
            ) from None
        latencies += read["seconds"]
        digests += read["digests"]
    latencies.sort()
    shares = (percentile(latencies, share) for share in (0.5, 0.95, 0.99))
    return Sample(sample.wall, sample.cpu, sample.other, *shares), digests


def compare(
    build_dir: Path, directory: Path, calls: List[List[str]], setting: Setting, rounds: int
) -> Result:
    mine = [call for call in calls if call[0] != setting.without]
    (directory / "calls.json").write_text(json.dumps(mine))
    expected: List[str] = []

    def one(which: str, number: int) -> Sample:
        sample, digests = run_workers(build_dir, directory, which, setting)
        if not expected:
            expected.extend(digests)
        if digests != expected:
            different = sum(a != b for a, b in zip(expected, digests))
            raise measure.MeasureError(f"{different} calls of {which} gave something else")
        return sample

    samples = measure.interleave(setting.contestants, rounds, one, str(setting), Sample)
    return Result(setting, len(mine), samples)


def percentile(sorted_values: List[float], share: float) -> float:
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]


def report(results: List[Result], count: int, of: List[str], load: float) -> str:
    everything: Samples = {which: [] for which in CONTESTANTS}
    for result in results:
        for which, samples in result.samples.items():
            everything[which] += samples
    lines = [
        "# The tools of an agent: rg, grep, git, sed, python3, sh -c, ...",
        "",
        "Question   How many tool calls does a Python runtime make in a second, and at what cost?",
        "Answer     the launcher module against subprocess, or asyncio",
    ]
    for result in results:
        wall, cpu = measure.ratios(result.samples, result.setting.contestants[-1])
        lines.append(f"           {result.setting}: {wall.factor('wall')}, {cpu.factor('CPU')}")
    rounds = len(results[0].samples[SUBPROCESS])
    lines += [
        "",
        *env.header(load),
        f"Method     {count:,} calls in equal parts of {', '.join(of)};",
        f"           {FILES} Python-like files, one git repository; {IN_FLIGHT} in flight: WxN is",
        "           W worker processes with N threads each; a worker starts without templates,",
        f"           and its own start is in the time; cold: LAUNCHER_ENGINE=clone3;",
        f"           {rounds} rounds, interleaved; status and output of each call compared;",
        f"           {measure.noise(everything)}",
    ]
    for result in results:
        lines += ["", str(result.setting), "", *measure.comparison(result.samples), ""]
        lines.append(f"  {'':19}  calls/s   p50 ms   p95 ms   p99 ms  (median of the rounds)")
        for which, runs in result.samples.items():
            rate = median(result.calls / run.wall for run in runs)
            cells = "".join(
                f"{median(getattr(run, share) for run in runs) * 1000:9.2f}"
                for share in ("p50", "p95", "p99")
            )
            lines.append(f"  {which:19}{rate:9.0f}{cells}")
    lines += [
        "",
        "Reading    posix_spawn: os.posix_spawn() and reads by hand, without what subprocess",
        "           does beside (a directory, closed descriptors, errors of the child);",
        "           latencies are of 16 at once on 2 CPUs: mostly waiting for a CPU",
        "Again      ./configure.py bench --only agent-tools",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = measure.arguments(__doc__, 3)
    parser.add_argument("--calls", type=int, default=CALLS)
    args = measure.begin(parser)

    load = env.load()
    build_dir = args.build_dir
    directory = build_dir / "bench" / "agent_tools"
    directory.mkdir(parents=True, exist_ok=True)
    try:
        make_tree(directory / "tree")
        of = kinds(directory / "tree")
        calls = make_calls(of, QUICK_CALLS if args.quick else args.calls)
        results = [
            compare(build_dir, directory, calls, setting, args.rounds) for setting in SETTINGS
        ]
    except (measure.MeasureError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"agent_tools.py: error: {error}")
    text = report(results, len(calls), list(of), load)
    print(text)
    record.write(text, args.report)


if __name__ == "__main__":
    main()
