#!/usr/bin/env python3
"""Builds real projects whole, then again with nothing to do, then after one file
has changed; with the compiler, and with ccache that knows every file.

usage: repositories.py --build-dir DIR [--rounds N] [--full] [--report FILE] [NAME...]

Products are compared byte for byte: a difference fails it. NAME: of PROJECTS.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

import env
import measure
import record
from builds import Builds, Contestant
from make import shell_of
from ninjas import OURS, UPSTREAM
from projects import CCACHE, PROJECTS, QUICK, Project, ProjectError, Tree, variables

MAKE, OUR_MAKE = "make", "launcherd make"
SOURCES = (".c", ".cc", ".cpp")
NOOPS = 5


class Sample(NamedTuple):
    wall: float
    cpu: float
    other: float
    own: float
    peak: int
    noop: float
    noop_cpu: float
    one: float
    one_cpu: float


class Result(NamedTuple):
    project: Project
    products: int
    changed: str  # the file of the third build
    samples: Dict[str, List[Sample]]
    cached: Dict[str, List[measure.Sample]]

    @property
    def ours(self) -> str:
        return OUR_MAKE if MAKE in self.samples else OURS


def contestants(build_dir: Path, tree: Tree, settings: Dict[str, str]) -> Dict[str, Contestant]:
    jobs, bin_dir = f"-j{env.cpus()}", build_dir / "bin"
    if tree.make is not None:
        launcherd = str(bin_dir / "launcherd")
        shell = [f"SHELL={shell_of(build_dir)}"] if tree.names_shell else []
        return {
            MAKE: Contestant(["make", jobs, *tree.make], settings),
            OUR_MAKE: Contestant([launcherd, "make", jobs, *shell, *tree.make], settings),
        }
    return {
        UPSTREAM: Contestant([str(bin_dir / "ninja-upstream"), jobs], settings),
        OURS: Contestant([str(bin_dir / "ninja"), jobs], settings),
    }


def changed_file(tree: Tree, products: Dict[str, str]) -> Optional[Path]:
    """A source that has one object: the middle one, by name."""
    stems = {Path(name).name.split(".")[0] for name in products if name.endswith((".o", ".lo"))}
    sources = sorted(
        path for path in tree.source.rglob("*") if path.suffix in SOURCES and path.stem in stems
    )
    return sources[len(sources) // 2] if sources else None


class Repository:
    def __init__(self, build_dir: Path, project: Project) -> None:
        self.build_dir, self.project = build_dir, project
        self.area = build_dir / "bench" / "repositories" / project.name.replace(" ", "-")

    def builds(self, ccache: bool) -> Tuple[Tree, Builds]:
        area = self.area / ("ccache" if ccache else "plain")
        settings = variables(area.with_name("cache") if ccache else None)
        tree = self.project.prepare(self.build_dir, area, settings)
        made = contestants(self.build_dir, tree, settings)
        name = f"{self.project.name}{', ccache' if ccache else ''}"
        return tree, Builds(name, self.build_dir, tree.build, made, self.project.volatile)

    def again(self, builds: Builds, which: str) -> measure.Sample:
        command, settings = builds.contestants[which]
        return measure.run(
            command, builds.tree, builds.log, variables=measure.environment(**settings)
        )

    def run(self, rounds: int) -> Result:
        tree, builds = self.builds(False)
        changed: List[Path] = []

        def one(which: str, number: int) -> Sample:
            full = builds.build(which, number)
            # It takes milliseconds: one would say little.
            noops = sorted(self.again(builds, which) for _ in range(NOOPS))
            noop = noops[NOOPS // 2]
            if not changed:
                changed.append(changed_file(tree, builds.expected or {}) or Path())
            if changed[0].name:
                os.utime(changed[0])
            after = self.again(builds, which)
            builds.compare(which)
            return Sample(*full, noop.wall, noop.cpu, after.wall, after.cpu)

        samples = measure.interleave(
            list(builds.contestants), rounds, one, self.project.name, Sample
        )
        builds.clean()
        products, name = record.kept(
            f"{self.project.name}, products",
            lambda: [len(builds.expected or {}), changed[0].name if changed else "?"],
        )
        cached = self.run_cached(rounds) if CCACHE.is_dir() else {}
        return Result(self.project, products, name, samples, cached)

    def run_cached(self, rounds: int) -> Dict[str, List[measure.Sample]]:
        what = f"{self.project.name}, ccache warm"
        _, builds = self.builds(True)
        if what not in record.journal.done:
            shutil.rmtree(self.area / "cache", ignore_errors=True)
            builds.build(next(iter(builds.contestants)), 0)  # It fills the cache.
        samples = measure.interleave(list(builds.contestants), rounds, builds.build, what)
        builds.clean()
        return samples


# --- the report


def verdict(result: Result) -> str:
    baseline = next(iter(result.samples.values()))
    wall, cpu = measure.ratios(result.samples, result.ours)
    seconds = sorted(sample.wall for sample in baseline)[len(baseline) // 2]
    return f"{result.project.name:17}{seconds:6.1f} s: {wall.factor('wall')}, {cpu.factor('CPU')}"


def row(title: str, pairs: List[List[float]]) -> str:
    baseline, ours = pairs
    wall = measure.ratio(baseline, ours)
    cells = "".join(f"{sorted(values)[len(values) // 2]:10.3f}" for values in (baseline, ours))
    return f"  {title:26}{cells}   {wall}"


def table(result: Result) -> List[str]:
    first = next(iter(result.samples))
    lines = [f"  {'':26}{first[:9]:>10}{'ours':>10}   ours / {first}"]
    of = {
        "build, wall s": "wall",
        "build, CPU s": "cpu",
        "nothing to do, wall s": "noop",
        "one file changed, wall s": "one",
        "one file changed, CPU s": "one_cpu",
    }
    for title, metric in of.items():
        pairs = [[getattr(s, metric) for s in result.samples[n]] for n in (first, result.ours)]
        lines.append(row(title, pairs))
    for title, metric in (("wall", "wall"), ("CPU", "cpu")):
        if result.cached:
            pairs = [[getattr(s, metric) for s in result.cached[n]] for n in (first, result.ours)]
            lines.append(row(f"ccache warm, {title} s", pairs))
    return lines


def report(results: List[Result], left_out: List[str], failed: List[str], load: float) -> str:
    rounds = len(next(iter(results[0].samples.values())))
    everything: Dict[str, List[measure.Sample]] = {
        "all": [s for r in results for each in r.samples.values() for s in each]
    }
    lines = [
        "# Builds of real projects",
        "",
        "Question   Which builds are faster with our ninja or launcherd make, and which not?",
        "Answer     ours against upstream's ninja, or against make",
        *(f"           {verdict(result)}" for result in results),
        *(f"           FAILED: {each}" for each in failed),
        "",
        *env.header(load),
        f"           {env.first_line('gcc', '--version')}; {env.first_line('ccache', '--version')};",
        f"           {env.first_line('make', '--version')}; {env.shell()}",
        f"Method     -j{env.cpus()}; {rounds} rounds, interleaved: a build from a tree as configured,",
        f"           {NOOPS} of nothing (median), one after a file has been touched; page cache warm;",
        "           products compared byte for byte, after the third build too;",
        "           ccache warm: configured with its directory of compilers in front of PATH,",
        "           after a build that has filled it; sources are those of Debian's packages,",
        f"           configured as bench/CORPUS says or with defaults; {measure.noise(everything)}",
    ]
    for result in results:
        lines += [
            "",
            f"{result.project.name} ({result.project.what}); {result.products} products, all the"
            f" same; changed: {result.changed}",
            "",
            *table(result),
        ]
    lines.append("")
    lines += [f"{'' if number else 'Left out':11}{each}" for number, each in enumerate(left_out)]
    lines += ["Again      ./configure.py bench --only repositories [--full]", ""]
    return "\n".join(lines)


def chosen(names: List[str], quick: bool, full: bool) -> List[Project]:
    if names:
        return [project for project in PROJECTS if project.name in names]
    if quick:
        return [project for project in PROJECTS if project.name in QUICK]
    return [project for project in PROJECTS if project.normal or full]


def main() -> None:
    parser = measure.arguments(__doc__, 2)
    parser.add_argument("names", nargs="*")
    args = measure.begin(parser)

    load = env.load()
    results: List[Result] = []
    left_out, failed = [], []
    for project in chosen(args.names, args.quick, args.full):
        try:
            results.append(Repository(args.build_dir, project).run(args.rounds))
            print(f"      {verdict(results[-1])}", flush=True)
        except (ProjectError, OSError, subprocess.SubprocessError) as error:
            print(f"      {project.name}: left out: {error}", flush=True)
            left_out.append(f"{project.name}: {str(error).splitlines()[-1]}")
        except measure.MeasureError as error:
            print(f"      {project.name}: FAILED: {error}", flush=True)
            failed.append(f"{project.name}: {str(error).splitlines()[-1]}")
    if not args.full and not args.names:
        skipped = [project.name for project in PROJECTS if not project.normal]
        left_out.append(f"with --full only: {', '.join(skipped)}")
    if not results:
        sys.exit(f"repositories.py: error: nothing was built: {'; '.join(left_out + failed)}")
    text = report(results, left_out, failed, load)
    print(text)
    record.write(text, args.report)
    if failed:
        sys.exit(f"repositories.py: error: {'; '.join(failed)}")


if __name__ == "__main__":
    main()
