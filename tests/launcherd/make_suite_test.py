#!/usr/bin/env python3
"""GNU make's own test suite, with make and with `launcherd make`: each of its
tests must come out the same.

usage: make_suite_test.py [TEST...], such as features/parallelism

Each make that the suite starts is another launcherd, with LAUNCHER_ENGINE=warm, so
that a second use of a program is warm already.

Environment: LAUNCHERD, the binary; DOWNLOADS, where sources are kept.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Dict, List, Optional

import sources

LAUNCHERD = os.environ["LAUNCHERD"]
MAKE = "/usr/bin/make"
# What configure would have written: the suite needs it to know what make can do.
FLAGS = """\
%CONFIG_FLAGS = (AM_LDFLAGS => '', AR => 'ar', CC => 'gcc', CFLAGS => '-O',
  CPP => 'gcc -E', CPPFLAGS => '', GUILE_CFLAGS => '', GUILE_LIBS => '',
  LDFLAGS => '', LIBS => '', USE_SYSTEM_GLOB => 'no');
1;
"""
# The suite calls make by the path of this script, and expects it to name itself so.
SCRIPT = """\
#!/bin/bash
export LAUNCHER_ENGINE=warm
{}
"""
PLAIN = f'exec -a "$0" {MAKE} "$@"'
OURS = f"""exec {LAUNCHERD} -- /bin/bash -c 'exec -a "$0" {MAKE} "$@"' "$0" "$@\""""
# "features/archives ........ ok     (12 passed)", "FAILED (3/5 passed)", "N/A"
RESULT = re.compile(r"^(\w+/\S+) \.* *(.+?)\s*$", re.MULTILINE)


class Suite:
    """One run of it. All runs use the same paths, since some tests print them;
    so one follows the other."""

    def __init__(self, area: Path, tarball: Path, command: str, tests: List[str]) -> None:
        self.tests = sources.unpack(tarball, area / "make") / "tests"
        (self.tests / "config-flags.pm").write_text(FLAGS)
        script = area / "bin" / "make"
        script.parent.mkdir(exist_ok=True)
        script.write_text(SCRIPT.format(command))
        script.chmod(0o755)
        done = subprocess.run(
            ["perl", "run_make_tests.pl", "-make", str(script), *tests],
            cwd=self.tests,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "PWD": str(self.tests)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=1000,
        )
        self.output = done.stdout
        self.results: Dict[str, str] = dict(RESULT.findall(self.output))
        # Of each failed test of a file there is a diff with its number.
        self.diffs = {
            str(path.relative_to(self.tests)): path.read_text(errors="replace")
            for path in sorted(self.tests.rglob("work/**/*.diff*"))
        }
        (area / "make").rename(area / f"done-{len(list(area.iterdir()))}")

    def diff(self, name: str) -> Optional[str]:
        return self.diffs.get(name)


def main() -> int:
    tarball = sources.obtain("make-dfsg")
    version = subprocess.run([MAKE, "--version"], stdout=subprocess.PIPE, text=True).stdout
    if not version.startswith("GNU Make 4.3\n"):
        print(f"skipped: the suite is for make 4.3, this is {version.splitlines()[0]}")
        return sources.SKIP
    with tempfile.TemporaryDirectory() as directory:
        area = Path(directory).resolve()
        plain = Suite(area, tarball, PLAIN, sys.argv[1:])
        ours = Suite(area, tarball, OURS, sys.argv[1:])
    if not sys.argv[1:] and len(plain.results) < 100:
        print(plain.output)
        print(f"only {len(plain.results)} files of tests have run")
        return 1
    different = 0
    for name in sorted(plain.results.keys() | ours.results.keys()):
        pair = plain.results.get(name, "not run"), ours.results.get(name, "not run")
        if pair[0] != pair[1]:
            different += 1
            print(f"{name}: make: {pair[0]}; launcherd make: {pair[1]}")
    for name in sorted(plain.diffs.keys() ^ ours.diffs.keys()):
        different += 1
        where = "launcherd make" if name in ours.diffs else "make"
        print(f"{name}, with {where} only:\n{plain.diff(name) or ours.diff(name)}")
    good = sum(result.startswith("ok") for result in plain.results.values())
    print(f"{len(plain.results)} files of tests, {good} good with make; {different} differences")
    for name in sorted(name for name, text in plain.results.items() if "FAILED" in text):
        print(f"  {name} fails with make itself: {plain.results[name]}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
