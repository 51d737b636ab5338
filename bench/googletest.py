#!/usr/bin/env python3
"""Builds GoogleTest and its tests, a CMake project, with upstream's ninja and
with ours, interleaved, and compares time and results.

usage: googletest.py --build-dir DIR [--source DIR] [--rounds N] [--report FILE]
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import env
import measure
import record
from builds import UPSTREAM, NinjaBuilds

# Where the distribution's package puts it.
SOURCE = Path("/usr/src/googletest")


def configure(source: Path, build: Path, ninja: Path, log: Path) -> None:
    if not (source / "CMakeLists.txt").is_file():
        raise measure.MeasureError(
            f"GoogleTest's source is not in {source}; as root: apt-get install googletest"
        )
    shutil.rmtree(build, ignore_errors=True)
    build.parent.mkdir(parents=True, exist_ok=True)
    command = ["cmake", "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"]
    command += ["-Dgtest_build_tests=ON", "-DBUILD_GMOCK=OFF", "-S", str(source), "-B", str(build)]
    with log.open("wb") as file:
        status = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
        ).returncode
    if status != 0:
        raise measure.MeasureError(
            f"{measure.last_lines(log)}\nstatus {status}: {' '.join(command)}"
        )


def found(pattern: str, path: Path) -> str:
    match = re.search(pattern, path.read_text(errors="replace"), re.MULTILINE)
    return match.group(1) if match else "?"


def main() -> None:
    parser = measure.arguments(__doc__, 2)
    parser.add_argument("--source", type=Path, default=SOURCE)
    args = measure.begin(parser)

    load = env.load()
    build_dir, source = args.build_dir, args.source.resolve()
    tree = build_dir / "bench" / "googletest"
    log = build_dir / "logs" / "googletest-cmake.log"
    log.parent.mkdir(exist_ok=True)
    try:
        configure(source, tree, build_dir / "bin" / UPSTREAM, log)
        version = found(r"GOOGLETEST_VERSION ([\d.]+)", source / "CMakeLists.txt")
        compiler = found(r"^CMAKE_CXX_COMPILER:\w+=(.*)$", tree / "CMakeCache.txt")
        builds = NinjaBuilds(f"GoogleTest {version}", build_dir, tree, ["all"])
        builds.warm_up("gtest_main")
        samples = builds.run(args.rounds)
    except (measure.MeasureError, OSError) as error:
        sys.exit(f"googletest.py: error: {error}")
    print(builds.summary(samples))
    if args.report:
        text = builds.report(
            "A CMake project: GoogleTest and its tests",
            "Is a build of large C++ files, archives and links faster with our ninja?",
            f"GoogleTest {version} with {env.first_line(compiler, '--version')}, no build type",
            samples,
            load,
        )
        record.write(text, args.report)


if __name__ == "__main__":
    main()
