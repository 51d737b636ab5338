#!/usr/bin/env python3
"""Real builds by make and by `launcherd make`, configured anew each time: the
same files must come of both, byte for byte.

usage: builds_test.py [--report FILE] [NAME...]; all: every one there is;
without names: lua and zlib.

Environment: LAUNCHERD, the binary; DOWNLOADS, where sources are kept.
"""

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence, Tuple

import sources

sys.path.insert(0, str(sources.ROOT / "bench"))
import env  # noqa: E402

LAUNCHERD = os.environ["LAUNCHERD"]
JOBS = f"-j{len(os.sched_getaffinity(0))}"
# They say when, or by which process.
LOGS = ("config.log", "configure.log")
LINUX = Path("/usr/src/linux-source-6.12.tar.xz")
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LC_ALL": "C",
    "HOME": "/nonexistent",
    "SOURCE_DATE_EPOCH": "1",
    "KBUILD_BUILD_TIMESTAMP": "1",
    "KBUILD_BUILD_USER": "nobody",
    "KBUILD_BUILD_HOST": "nowhere",
}
QUESTION = "Does `launcherd make` make what make makes, byte for byte?"


# Debian 12's clang cannot build the other one.
TINY_64_BIT = """
make CC=clang O=../out tinyconfig
scripts/config --file ../out/.config --enable 64BIT
make CC=clang O=../out olddefconfig
"""


class Build(NamedTuple):
    source: str
    configure: Sequence[str]
    make: Sequence[str]
    outside: bool = False  # It leaves its source alone: all is in ../out.
    links: Sequence[str] = ()  # Programs that come to launcherd by PATH.


BUILDS = {
    "lua": Build("lua", [], ["linux"]),
    "zlib": Build("zlib", ["./configure"], []),
    "musl-gcc": Build("musl", ["./configure", "CC=gcc"], []),
    "musl-clang": Build("musl", ["./configure", "CC=clang"], []),
    "redis": Build("redis", [], ["MALLOC=libc"]),
    "sqlite": Build("sqlite", ["./configure"], ["sqlite3.c", "all"]),
    "linux": Build("linux", ["make", "O=../out", "tinyconfig"], ["O=../out"], outside=True),
    "linux-clang": Build(
        "linux",
        ["sh", "-ec", TINY_64_BIT],
        ["CC=clang", "O=../out"],
        outside=True,
        links=["clang"],
    ),
}


class Told(NamedTuple):
    """What --stats has counted."""

    warm: int
    in_place: int
    shell: int


class Outcome(NamedTuple):
    name: str
    files: int
    different: List[str]
    told: Told


def run(command: Sequence[str], directory: Path, links: Path) -> str:
    done = subprocess.run(
        command,
        cwd=directory,
        env={**ENVIRONMENT, "PATH": f"{links}:{ENVIRONMENT['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=3000,
    )
    if done.returncode != 0:
        print(done.stdout)
        sys.exit(f"{' '.join(command)} failed with status {done.returncode}")
    return done.stdout


def products(tree: Path) -> Dict[str, str]:
    return {
        str(path.relative_to(tree)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(tree.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.name not in LOGS
    }


def obtain(source: str) -> Path:
    if source != "linux":
        return sources.obtain(source)
    if not LINUX.exists():
        print(f"skipped: {LINUX} is not there: apt-get install linux-source-6.12")
        sys.exit(sources.SKIP)
    return LINUX


def build(what: Build, tarball: Path, area: Path, ours: bool) -> Tuple[Dict[str, str], str]:
    """In the same place each time: paths get into debug information."""
    tree, out, links = area / what.source, area / "out", area / "links"
    if not tree.exists():
        sources.unpack(tarball, tree)
    made_in = out if what.outside else tree
    out.mkdir()
    links.mkdir()
    for name in what.links if ours else ():
        (links / name).symlink_to(Path(LAUNCHERD).with_name("launcher-run"))
    before = products(made_in)
    wrapper = [LAUNCHERD] if ours else []
    if what.configure:
        run([*wrapper, *what.configure], tree, links)
    if ours:
        wrapper += ["--stats"]
    output = run([*wrapper, "make", JOBS, *what.make], tree, links)
    made = {path: text for path, text in products(made_in).items() if before.get(path) != text}
    shutil.rmtree(out)
    shutil.rmtree(links)
    if not what.outside:
        shutil.rmtree(tree)
    return made, output


def compare(name: str) -> Outcome:
    what = BUILDS[name]
    tarball = obtain(what.source)
    with tempfile.TemporaryDirectory() as directory:
        area = Path(directory).resolve()
        plain, _ = build(what, tarball, area, ours=False)
        ours, output = build(what, tarball, area, ours=True)
    if not plain:
        sys.exit(f"{name}: nothing was made")
    print("\n".join(line for line in output.splitlines() if line.startswith("launcherd: ")))
    counts = re.search(r"lines: (\d+) warm, (\d+) in place, (\d+) by the shell", output)
    told = Told(*map(int, counts.groups())) if counts else Told(0, 0, 0)
    if told.warm + told.in_place + told.shell == 0:
        sys.exit(f"{name}: no line of it has come to launcherd")
    different = sorted(
        path for path in plain.keys() | ours.keys() if plain.get(path) != ours.get(path)
    )
    print(f"{name}: {len(plain)} files, {len(different)} differ", flush=True)
    for path in different:
        print(f"  {path}")
    return Outcome(name, len(plain), different, told)


def report(outcomes: List[Outcome]) -> str:
    bad = [outcome.name for outcome in outcomes if outcome.different]
    answer = f"No: {', '.join(bad)}." if bad else "Yes, all of it."
    lines = [
        "# Real builds under launcherd make",
        "",
        f"Question   {QUESTION}",
        f"Answer     {answer}",
        "",
        f"Machine    Linux {platform.release()}; {' '.join(platform.libc_ver())}; make {JOBS}",
        f"Build      commit {env.commit()}",
        "Method     sources of Debian 12; configured and built twice in the same place,",
        "           by make and by launcherd make; SHA-256 of every file that was made",
        "           or changed, logs of configure scripts apart",
        "",
        "    build          files  differ   lines: warm  in place  by the shell",
    ]
    for outcome in outcomes:
        lines.append(
            f"    {outcome.name:12} {outcome.files:7} {len(outcome.different):7} "
            f"{outcome.told.warm:13} {outcome.told.in_place:9} {outcome.told.shell:13}"
        )
    lines += [f"        {path}" for outcome in outcomes for path in outcome.different]
    return "\n".join([*lines, "", "Again      ./configure.py builds", ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", type=Path)
    parser.add_argument("names", nargs="*", choices=[*BUILDS, "all", []])
    args = parser.parse_args()
    names = args.names or ["lua", "zlib"]
    outcomes = [compare(name) for name in (BUILDS if "all" in names else names)]
    if args.report:
        args.report.write_text(report(outcomes))
    return 1 if any(outcome.different for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
