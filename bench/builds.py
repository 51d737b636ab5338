"""Builds a tree again and again with upstream's ninja and with ours, in turns,
each time from the same state, and compares time and products."""

import hashlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence

import env
import measure
from ninjas import COLD, OURS, UPSTREAM

SETTINGS: Dict[str, Dict[str, str]] = {COLD: {"LAUNCHER_ENGINE": "clone3"}}
LOGS = (".ninja_log", ".ninja_deps")

Samples = Dict[str, List[measure.Sample]]


class Contestant(NamedTuple):
    command: Sequence[str]
    settings: Dict[str, str]


class Builds:
    """All that `tree` does not hold on construction is a product, but for files
    with a name of `volatile`."""

    def __init__(
        self,
        name: str,
        build_dir: Path,
        tree: Path,
        contestants: Dict[str, Contestant],
        volatile: Sequence[str] = (),
    ) -> None:
        self.contestants = contestants
        self.name = name
        self.tree = tree
        self.log = build_dir / "logs" / f"{re.sub(r'[^a-z0-9.]+', '-', name.lower())}.log"
        self.log.parent.mkdir(exist_ok=True)
        self.volatile = (*LOGS, *volatile)
        self.configured = set(tree.rglob("*"))
        self.expected: Optional[Dict[str, str]] = None

    def run(self, rounds: int) -> Samples:
        samples = measure.interleave(list(self.contestants), rounds, self.build, self.name)
        self.clean()
        return samples

    def build(self, which: str, number: int) -> measure.Sample:
        self.clean()
        progress = Progress(f"round {number}, {which}")
        command, settings = self.contestants[which]
        sample = measure.run(
            command,
            self.tree,
            self.log,
            progress.show,
            variables=measure.environment(**settings),
        )
        progress.end(f"{sample.wall:.1f} s")
        self.compare(which)
        return sample

    def new_paths(self) -> List[Path]:
        """The content of a directory after it."""
        return sorted(set(self.tree.rglob("*")) - self.configured)

    def clean(self) -> None:
        """Each build starts in the same place, as after configuring."""
        for path in reversed(self.new_paths()):
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()

    def products(self) -> Dict[str, str]:
        return {
            str(path.relative_to(self.tree)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.new_paths()
            if path.is_file() and path.name not in self.volatile
        }

    def compare(self, which: str) -> None:
        """Every build must produce the same files, byte for byte."""
        files = self.products()
        if self.expected is None:
            self.expected = files
            return
        different = sorted(
            name
            for name in files.keys() | self.expected.keys()
            if files.get(name) != self.expected.get(name)
        )
        if different:
            raise measure.MeasureError(
                f"the build with {which} differs from the first one in "
                f"{len(different)} files:\n  " + "\n  ".join(different[:20])
            )


class NinjaBuilds(Builds):
    """Builds of a tree that has a build.ninja."""

    def __init__(
        self,
        name: str,
        build_dir: Path,
        tree: Path,
        targets: Sequence[str] = (),
        contestants: Sequence[str] = (UPSTREAM, OURS),
    ) -> None:
        self.bin = build_dir / "bin"
        self.jobs = len(os.sched_getaffinity(0))
        self.engine = "?"
        self.commands = measure.commands(self.bin / OURS, tree, *targets)
        made = {
            which: Contestant(self.ninja(which, *targets), SETTINGS.get(which, {}))
            for which in contestants
        }
        super().__init__(name, build_dir, tree, made)

    def ninja(self, which: str, *arguments: str) -> List[str]:
        return [str(self.bin / which.split()[0]), f"-j{self.jobs}", *arguments]

    def warm_up(self, *targets: str) -> None:
        """A few edges, unmeasured: says which engine is used, and warms the
        disk cache for the compiler."""
        self.clean()
        done = subprocess.run(
            self.ninja(OURS, "-d", "stats", *targets),
            cwd=self.tree,
            env=measure.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        if done.returncode != 0:
            raise measure.MeasureError(done.stdout)
        found = re.search(r"launcher: engine (\w+)", done.stdout)
        if found:
            self.engine = found.group(1)

    # --- what came of it

    def summary(self, samples: Samples) -> str:
        rounds = len(samples[OURS])
        lines = [
            "",
            f"{self.name}, {self.commands.total} edges, -j{self.jobs}, "
            f"{rounds} builds with each; {self.commands}",
            "",
            f"  {'build':16}{'engine':14}{'wall s':>8}{'CPU s':>8}{'jobs/s':>8}{'ratio':>8}",
        ]
        engines = {UPSTREAM: "-", OURS: self.engine, COLD: "clone3"}
        for pair in zip(*samples.values()):
            for which, sample in zip(samples, pair):
                lines.append(
                    f"  {which:16}{engines[which]:14}{sample.wall:8.1f}{sample.cpu:8.1f}"
                    f"{self.commands.total / sample.wall:8.0f}"
                    f"{sample.wall / pair[0].wall:8.2f}"
                )
        lines += [
            "",
            "ratio: wall time against upstream's build of the same round;",
            f"{measure.noise(samples)} meanwhile",
            f"all builds made the same {len(self.expected or {})} files, byte for byte",
        ]
        return "\n".join(lines)

    def report(self, title: str, question: str, what: str, samples: Samples, load: float) -> str:
        wall, cpu = measure.ratios(samples, OURS)
        cold: List[str] = []
        if COLD in samples:
            cold_wall, cold_cpu = measure.ratios(samples, COLD)
            cold = [
                "           Without warm templates (LAUNCHER_ENGINE=clone3):",
                f"           wall time: {cold_wall.verdict}; CPU time: {cold_cpu.verdict}.",
            ]
        return "\n".join(
            [
                f"# {title}",
                "",
                f"Question   {question}",
                f"Answer     Wall time: {wall.verdict}; CPU time: {cpu.verdict}.",
                *cold,
                "",
                *env.header(load),
                f"           builds {what}",
                f"Method     {self.commands.total} edges, -j{self.jobs}, clean tree each time;",
                f"           {len(samples[OURS])} rounds, interleaved; engine {self.engine};",
                f"           {self.commands}; {env.shell()};",
                f"           {len(self.expected or {})} products compared byte for byte; "
                f"{measure.noise(samples)}",
                "",
                *measure.comparison(samples),
                "",
                "Again      ./configure.py bench",
                "",
            ]
        )


class Progress:
    """One line for each build: in place on a terminal, else every 5 seconds."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.in_place = sys.stdout.isatty()
        self.shown = time.monotonic()

    def show(self, line: str) -> None:
        found = re.match(r"\[\d+/\d+\]", line)
        now = time.monotonic()
        if found and (self.in_place or now - self.shown > 5):
            self.shown = now
            self.write(found.group())

    def write(self, text: str, end: str = "") -> None:
        line = f"      {self.title:26} {text:14}"
        if self.in_place:
            print("\r" + line, end=end, flush=True)
        else:
            print(line.rstrip(), flush=True)

    def end(self, text: str) -> None:
        self.write(text, "\n")
