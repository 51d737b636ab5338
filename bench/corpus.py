#!/usr/bin/env python3
"""Counts which commands of real projects our ninja starts without a shell.

usage: corpus.py --build-dir DIR [--report FILE]

Obtains the projects that CORPUS names and configures each with its own
generator, then asks `ninja -t launch` about every edge. Builds nothing.
Exits with status 1 where a goal is missed.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

import env
import measure
import record
import musl

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "ninja-patch"))
import fetch  # noqa: E402

UPSTREAM, OURS = "ninja-upstream", "ninja"
WITHOUT = "without a shell"
COMPILED = re.compile(r"\.(o|obj|lo|pcm|gcm|gch|pch|bmi|ifc)$")
GOALS = {"all edges": 95.0, "compiles": 99.0}
# Fewer than this of a kind, and the corpus does not say much.
LEAST = {"cmake": 5, "meson": 4, "others": 1}
EXAMPLE = 240  # characters

# Would change the commands that a generator writes down.
IGNORED_VARIABLES = (
    *musl.IGNORED_VARIABLES,
    *("AR", "CC", "CXX", "CXXFLAGS", "LD", "DESTDIR", "GN", "GYP_DEFINES", "GYP_GENERATORS"),
    *("CMAKE_GENERATOR", "CMAKE_BUILD_TYPE", "CMAKE_EXPORT_COMPILE_COMMANDS"),
)


class CorpusError(Exception):
    """One project cannot be had or configured; the others still count."""


class Project(NamedTuple):
    name: str
    source: fetch.Source
    described_in: Optional[Path]  # there the source has other ways, too
    generator: str
    directory: str  # where in the source the generator starts
    without: List[str]  # not unpacked
    options: List[str]

    @property
    def kind(self) -> str:
        return self.generator if self.generator in LEAST else "others"

    @property
    def title(self) -> str:
        return f"{self.name} {self.source.version}"


class Edge(NamedTuple):
    reason: str  # WITHOUT: none
    output: str  # the first one


class Share(NamedTuple):
    without: int
    total: int

    @property
    def percent(self) -> float:
        return 100 * self.without / self.total if self.total else 100.0

    def __str__(self) -> str:
        # Never rounded up to all of them.
        return f"{int(self.percent * 100) / 100:.2f} %"


class Result(NamedTuple):
    project: Project
    edges: List[Edge]
    default: Share  # of the edges that a build without targets runs
    distinct: int  # commands
    examples: Dict[str, str]  # by reason, the shortest command

    @property
    def compiles(self) -> List[Edge]:
        return [edge for edge in self.edges if COMPILED.search(edge.output)]


# --- the list


def read_corpus(path: Path) -> List[Project]:
    """The first paragraph holds what all the others have in common."""
    common, *paragraphs = fetch.parse_paragraphs(path.read_text())
    projects = []
    for paragraph in ({**common, **each} for each in paragraphs):
        name = paragraph["name"]
        described_in = None
        if "described-in" in paragraph:
            described_in = path.parent / paragraph["described-in"]
            source = fetch.read_source(described_in, name)
        else:
            package = paragraph.get("package", name)
            source = fetch.Source(
                name=package,
                version=paragraph["version"],
                sha256=paragraph["sha256"],
                package=package,
                suites=paragraph["suites"].split(),
                url="",
            )
        projects.append(
            Project(
                name=name,
                source=source,
                described_in=described_in,
                generator=paragraph["generator"],
                directory=paragraph.get("directory", "."),
                without=paragraph.get("without", "").split(),
                options=shlex.split(paragraph.get("options", "")),
            )
        )
    return projects


# --- sources


# Tarballs by Source.tarball; one that cannot be had is not there.
Tarballs = Dict[str, Path]


def obtain(projects: List[Project], downloads: Path) -> Tarballs:
    found: Tarballs = {}
    wanted: List[fetch.Source] = []
    for project in {p.source.tarball: p for p in projects}.values():
        source = project.source
        kept = downloads / source.tarball
        cached = fetch.cache_directory() / source.tarball
        place = next((path for path in (kept, cached) if path.is_file()), None)
        try:
            if place:
                fetch.verify(place, source, ours=True)
                found[source.tarball] = fetch.keep(place, kept)
            elif project.described_in:
                tarball = fetch.fetch(source, downloads, indented, Path("/etc/apt"))
                found[source.tarball] = tarball
            else:
                wanted.append(source)
        except fetch.SourceError as error:
            indented(str(error))
    return {**found, **from_archive(wanted, downloads)}


def from_archive(wanted: List[fetch.Source], downloads: Path) -> Tarballs:
    """All at once, as each look at the index of a suite takes its time."""
    found: Tarballs = {}
    entries = fetch.archive_entries(Path("/etc/apt"), fetch.machine_codename())
    area = downloads / "corpus-fetch"
    for suite in sorted({suite for source in wanted for suite in source.suites}):
        for uri, entry in {entry["uris"]: entry for entry in entries}.items():
            missing = [s for s in wanted if suite in s.suites and s.tarball not in found]
            if not missing:
                continue
            indented(f"trying apt-get source from {suite} at {uri}: {len(missing)} packages")
            shutil.rmtree(area, ignore_errors=True)
            try:
                tarballs = apt_source(missing, entry, suite, area.resolve())
            except fetch.Unavailable as reason:
                indented(f"  no: {reason}")
                continue
            for source, tarball in tarballs:
                try:
                    found[source.tarball] = accept(source, tarball, downloads)
                except fetch.SourceError as error:
                    indented(f"  no: {error}")
    shutil.rmtree(area, ignore_errors=True)
    return found


def apt_source(
    sources: List[fetch.Source], entry: fetch.Paragraph, suite: str, area: Path
) -> List[Tuple[fetch.Source, Path]]:
    """As fetch.from_apt, for many; what one server lacks is just not there."""
    configuration = fetch.apt_configuration(area, entry, suite)
    fetch.run_apt(["apt-get", "update", "-q"], configuration, area)
    records = fetch.run_apt(
        ["apt-cache", "showsrc", "--only-source"] + [s.package for s in sources],
        configuration,
        area,
    )
    versions = {
        (record["package"], record["version"].rsplit("-", 1)[0]): record["version"]
        for record in fetch.parse_paragraphs(records)
    }
    there = [s for s in sources if (s.package, s.version) in versions]
    try:
        fetch.run_apt(
            ["apt-get", "source", "-q", "--download-only", "--tar-only"]
            + [f"{s.package}={versions[s.package, s.version]}" for s in there],
            configuration,
            area,
        )
    except fetch.Unavailable as reason:
        indented(f"  note: {reason}")
    return [
        (source, tarball)
        for source in there
        for tarball in area.glob(f"{source.package}_{source.version}.orig.tar.*[!c]")
    ]


def accept(source: fetch.Source, tarball: Path, downloads: Path) -> Path:
    fetch.verify(tarball, source, ours=True)
    try:
        fetch.keep(tarball, fetch.cache_directory() / source.tarball)
    except OSError as error:
        indented(f"note: not cached: {error}")
    return fetch.keep(tarball, downloads / source.tarball)


def unpack(project: Project, tarball: Path, target: Path) -> None:
    with tarfile.open(tarball) as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        members = [
            member
            for member in tar
            if not any(
                (member.name + "/").split("/", 1)[1].startswith(prefix + "/")
                for prefix in project.without
            )
        ]
        staging = target.with_name("unpacked")
        tar.extractall(staging, members)
    (root,) = staging.iterdir()
    root.rename(target)


# --- generators


def generate(
    project: Project,
    tarball: Path,
    area: Path,
    ninja: Path,
    variables: Optional[Dict[str, str]] = None,
) -> Path:
    """Returns the directory that build.ninja is in; configures once."""
    if project.generator == "musl.py":
        return musl.prepare(tarball, area)
    # Where they lie is part of the commands.
    source, build = area / "source", area / "build"
    top = source / project.directory
    python = sys.executable
    command, tree = {
        "cmake": (
            ["cmake", "-G", "Ninja", "-S", str(top), "-B", str(build)]
            + [f"-DCMAKE_MAKE_PROGRAM={ninja}", "-DCMAKE_BUILD_TYPE=Release"],
            build,
        ),
        "meson": (["meson", "setup", "--wrap-mode=nodownload", str(build), str(top)], build),
        "gn": (["gn", "gen", str(build), f"--root={top}"], build),
        "gen.py": ([python, "build/gen.py", f"--out-path={build}"], build),
        "gyp": ([python, "configure.py"], top / "out" / "Release"),
        "configure.py": ([python, "configure.py"], top),
    }[project.generator]
    command += project.options
    stamp = area / "configured"
    if not stamp.is_file() or stamp.read_text() != repr((project, command)):
        shutil.rmtree(area, ignore_errors=True)
        unpack(project, tarball, source)
        log = area / "configure.log"
        environment = {k: v for k, v in os.environ.items() if k not in IGNORED_VARIABLES}
        environment.update({"NINJA": str(ninja), "LC_ALL": "C.UTF-8", **(variables or {})})
        if project.generator == "meson":
            # Or it would put ccache in front of each compiler that it finds.
            environment.update(CC="cc", CXX="c++")
        with log.open("wb") as file:
            status = subprocess.run(
                command,
                cwd=top,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            ).returncode
        if status != 0 or not (tree / "build.ninja").is_file():
            raise CorpusError(
                f"{measure.last_lines(log)}\nstatus {status}: {' '.join(command)}\n"
                f"full output: {log}"
            )
        stamp.write_text(repr((project, command)))
    return tree


# --- questions to ninja


def ask(ninja: Path, tree: Path, tool: str, *arguments: str) -> List[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LAUNCHER_")}
    command = [str(ninja), "--quiet", "-C", str(tree), "-t", tool, *arguments]
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    if done.returncode != 0:
        raise CorpusError(f"{done.stderr or done.stdout}ninja -t {tool} failed in {tree}")
    return done.stdout.splitlines()


def look_at(project: Project, tarball: Path, area: Path, bin_dir: Path) -> Result:
    tree = generate(project, tarball, area, bin_dir / UPSTREAM)
    listed = ask(bin_dir / UPSTREAM, tree, "targets", "all")
    targets = [line.rsplit(": ", 1)[0] for line in listed]
    commands = ask(bin_dir / UPSTREAM, tree, "commands", *targets)
    lines = ask(bin_dir / OURS, tree, "launch", "-v", *targets)
    # Counts follow the edges.
    edges = [Edge(*line.split("\t", 1)) for line in lines if "\t" in line]
    if len(edges) != len(commands):
        raise CorpusError(f"ninja -t launch knows {len(edges)} edges of {len(commands)}")
    default = ask(bin_dir / UPSTREAM, tree, "commands")
    in_default = set(default)
    with_shell = 0
    examples: Dict[str, str] = {}
    for edge in edges:
        if edge.reason == WITHOUT:
            continue
        command = ask(bin_dir / UPSTREAM, tree, "commands", "-s", edge.output)[-1]
        with_shell += command in in_default
        command = without_paths(command, area, bin_dir)
        examples[edge.reason] = min(examples.get(edge.reason, command), command, key=len)
    return Result(
        project,
        edges,
        Share(len(default) - with_shell, len(default)),
        len(set(commands)),
        examples,
    )


def without_paths(command: str, area: Path, bin_dir: Path) -> str:
    """A report says nothing about where things are on this machine."""
    names = {str(area): "AREA", str(bin_dir): "BIN", str(Path.home()): "HOME"}
    for path, name in names.items():
        command = command.replace(path + "/", name + "/")
    return command


# --- the report


def share(edges: List[Edge]) -> Share:
    return Share(sum(edge.reason == WITHOUT for edge in edges), len(edges))


def totals(results: List[Result]) -> Dict[str, Share]:
    return {
        "all edges": share([edge for result in results for edge in result.edges]),
        "compiles": share([edge for result in results for edge in result.compiles]),
        "default build": Share(
            sum(result.default.without for result in results),
            sum(result.default.total for result in results),
        ),
    }


def projects_table(results: List[Result]) -> List[str]:
    width = max(len(result.project.title) for result in results) + 2
    lines = [
        f"  {'':{width}}{'':14}{'distinct':>8}  {'edges,':>8} without  {'compiles,':>9} without",
        f"  {'project':{width}}{'generator':14}{'commands':>8}  {'all':>8} a shell  "
        f"{'all':>9} a shell",
    ]
    for result in results:
        edges, compiles = share(result.edges), share(result.compiles)
        lines.append(
            f"  {result.project.title:{width}}{result.project.generator:14}"
            f"{result.distinct:8}  {edges.total:7}{str(edges):>9}"
            f"  {compiles.total:8}{str(compiles):>9}"
        )
    return lines


def reasons_table(results: List[Result]) -> List[str]:
    counts = Counter(edge.reason for result in results for edge in result.edges)
    everything = sum(counts.values())
    del counts[WITHOUT]
    lines = []
    for reason, count in counts.most_common():
        example, name = min(
            (
                (result.examples[reason], result.project.name)
                for result in results
                if reason in result.examples
            ),
            key=lambda pair: len(pair[0]),
        )
        if len(example) > EXAMPLE:
            example = example[:EXAMPLE] + " ..."
        lines.append(f"  {count:6}  {100 * count / everything:6.3f} %  {reason}")
        lines.append(f"          {name}: {example}")
    return lines or ["  none"]


def versions() -> str:
    shell = Path("/bin/sh").resolve().name
    cmake = env.first_line("cmake", "--version").replace("version ", "")
    meson = env.first_line("meson", "--version")
    return f"{cmake}, meson {meson}, gn {env.first_line('gn', '--version')}; /bin/sh is {shell}"


def verdicts(sums: Dict[str, Share]) -> Dict[str, bool]:
    return {name: sums[name].percent >= goal for name, goal in GOALS.items()}


def report(results: List[Result], left_out: List[str]) -> str:
    sums = totals(results)
    reached = verdicts(sums)
    lines = [
        "# Commands of real projects: which need a shell?",
        "",
        "Question   What share of the commands that generators write runs without /bin/sh?",
        f"Answer     {sums['all edges']} of all edges, {sums['compiles']} of the compiles.",
        "",
        *env.header(),
        f"Tools      {versions()}",
        f"Method     {len(results)} projects, configured by their own generators, not built;",
        "           `ninja -t launch -v` on every edge of build.ninja that has a command,",
        "           also of targets that no default build reaches (ctest, install, ...).",
        "           A compile is an edge whose first output is an object or a",
        "           precompiled header or module.",
        "",
        *projects_table(results),
        "",
        "  what took the shell, over the whole corpus, and the shortest example",
        "  (AREA: where the project was configured)",
        "",
        *reasons_table(results),
        "",
        "  in total",
    ]
    for name, each in sums.items():
        goal = ""
        if name in GOALS:
            word = "reached" if reached[name] else "MISSED"
            goal = f"   goal: at least {GOALS[name]:.0f} %, {word}"
        lines.append(f"  {name:14}{each.without:7} of {each.total:6}{str(each):>10}{goal}")
    lines.append("")
    for name in left_out:
        lines.append(f"Left out   {name}")
    lines += ["Again      ./configure.py bench", ""]
    return "\n".join(lines)


def indented(text: str) -> None:
    print("      " + text, flush=True)


def too_few(results: List[Result]) -> List[str]:
    kinds = Counter(result.project.kind for result in results)
    return [
        f"{kinds[kind]} of kind {kind}, at least {least} are needed"
        for kind, least in LEAST.items()
        if kinds[kind] < least
    ]


def collect(build_dir: Path) -> Tuple[List[Result], List[str]]:
    """The results, and the titles of the projects there is none of."""
    projects = read_corpus(ROOT / "bench" / "CORPUS")
    tarballs = obtain(projects, build_dir / "downloads")

    def one(project: Project) -> Optional[Result]:
        if project.source.tarball not in tarballs:
            indented(f"{project.title}: left out, its source cannot be had")
            return None
        area = build_dir / "corpus" / project.name
        try:
            result = look_at(project, tarballs[project.source.tarball], area, build_dir / "bin")
        except (CorpusError, OSError, RuntimeError, tarfile.TarError) as error:
            indented(f"{project.title}: left out: {error}")
            return None
        indented(f"{project.title}: {share(result.edges)} of {len(result.edges)} edges")
        return result

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        results = list(pool.map(one, projects))
    return (
        [result for result in results if result],
        [project.title for project, result in zip(projects, results) if not result],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build-dir", type=Path, required=True)
    parser.add_argument("--report", type=Path)
    args = parser.parse_args()

    results, left_out = collect(args.build_dir.resolve())
    problems = too_few(results)
    if problems:
        sys.exit("corpus.py: error: too few projects: " + "; ".join(problems))
    text = report(results, left_out)
    print(text)
    record.write(text, args.report)
    missed = [name for name, reached in verdicts(totals(results)).items() if not reached]
    if missed:
        sys.exit("corpus.py: goal missed: " + ", ".join(missed))


if __name__ == "__main__":
    main()
