#!/usr/bin/env python3
"""Real builds by make and by `launcherd make`, configured anew each time: the
same files must come of both, byte for byte.

usage: builds_test.py [NAME...]; without names: lua and zlib. There are redis
and sqlite, whose configure script is of autotools, too.

Environment: LAUNCHERD and LAUNCHER_SH, the binaries; DOWNLOADS, where sources
are kept.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Dict, List, NamedTuple

import sources

LAUNCHERD = os.environ["LAUNCHERD"]
JOBS = f"-j{len(os.sched_getaffinity(0))}"
# They say when, or by which process.
LOGS = ("config.log", "configure.log")


class Build(NamedTuple):
    configure: List[str]
    make: List[str]


BUILDS = {
    "lua": Build([], ["linux"]),
    "zlib": Build(["./configure"], []),
    "redis": Build([], ["MALLOC=libc"]),
    "sqlite": Build(["./configure"], ["sqlite3.c", "all"]),
}


def run(command: List[str], directory: Path) -> str:
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LC_ALL": "C",
        "HOME": "/nonexistent",
        "SOURCE_DATE_EPOCH": "1",
    }
    done = subprocess.run(
        command,
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=1500,
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


def build(name: str, tarball: Path, area: Path, ours: bool) -> Dict[str, str]:
    """In the same place each time: paths get into debug information."""
    what = BUILDS[name]
    tree = sources.unpack(tarball, area / name)
    before = products(tree)
    wrapper = [LAUNCHERD] if ours else []
    if what.configure:
        run(wrapper + what.configure, tree)
    if ours:
        wrapper = [LAUNCHERD, "--stats"]
    output = run([*wrapper, "make", JOBS, *what.make], tree)
    made = {path: text for path, text in products(tree).items() if before.get(path) != text}
    told = [line for line in output.splitlines() if line.startswith("launcherd: ")]
    print("\n".join(told))
    if ours and (not told or ": 0 warm, 0 in place" in told[0]):
        sys.exit(f"{name}: no line of it has come to launcherd")
    shutil.rmtree(tree)
    return made


def main() -> int:
    names = sys.argv[1:] or ["lua", "zlib"]
    if not set(names) <= set(BUILDS):
        print(__doc__)
        return 2
    bad = 0
    for name in names:
        tarball = sources.obtain(name)
        with tempfile.TemporaryDirectory() as directory:
            area = Path(directory).resolve()
            plain = build(name, tarball, area, ours=False)
            ours = build(name, tarball, area, ours=True)
        different = sorted(
            path for path in plain.keys() | ours.keys() if plain.get(path) != ours.get(path)
        )
        if not plain:
            sys.exit(f"{name}: nothing was made")
        print(f"{name}: {len(plain)} files, {len(different)} differ")
        for path in different:
            print(f"  {path}")
        bad += len(different)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
