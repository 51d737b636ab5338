#!/usr/bin/env python3
"""Sets up and drives the build.

usage: ./configure.py [command] [options]

  (none)   install what is missing, obtain Ninja, build
  demo     build a real repository with upstream's ninja and with ours; compare
  test     build everything; all tests, again under the sanitizers; kernel-test
  soak     200,000 warm launches, and each program of tests/warm 100 times
  builds   real projects by make, with launcherd and without: the same files
  fuzz     half an hour (--minutes=N) of libFuzzer on what launcherd reads
  bench    measure, for an hour; writes reports to bench/results
  kernel-test   build Linux with the series in kernel/, test it and us in it
  kernel-shell  the same kernel, with a prompt
  clean    remove the build directory

  --ninja-source=PATH  use this Ninja source (tarball or directory)
  --build-dir=DIR      build in DIR                                [build]
  --rounds=N --only=NAME  demo, bench: so many; one report (launch, edges, ...)
  --quick --full       bench: minutes, reports in DIR/bench/results; hours
  --resume --busy      bench: after an interruption; on a machine with other work
  --debug-kernel       kernel-test with KASAN, lockdep, kmemleak, UBSAN
  --soak --each-patch --stock  kernel-test at length: kernel/README.md
"""

# What is built from which files stands in CMakeLists.txt only. Everything may
# be run again at any time: what has been done already is not done twice.

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence

ROOT = Path(__file__).resolve().parent
sys.dont_write_bytecode = True  # no traces of a run among the sources
sys.path.insert(0, str(ROOT / "ninja-patch"))
import fetch  # noqa: E402

KERNEL_TARGETS = ["launcher_tests", "launcherd", "ninja_patched"]
SANITIZERS = {"asan": "address,undefined", "tsan": "thread"}
# What a failed test prints: GoogleTest, a sanitizer, Python's unittest.
FAILURE = re.compile(
    r": Failure$|^WARNING: ThreadSanitizer|^==\d+==ERROR|: runtime error: |^(FAIL|ERROR): "
)
FAILURE_LINES, FAILURE_WIDTH = 12, 300


class Package(NamedTuple):
    name: str
    why: str
    commands: str  # those that need it; empty: all


PACKAGES = [
    Package("g++", "C++20 compiler", ""),
    Package("cmake", "build system", ""),
    Package("make", "runs what CMake generates", ""),
    Package("patch", "applies ninja-patch/patches", ""),
    Package("pkg-config", "finds the libraries", ""),
    Package("libre2-dev", "patterns of the template policy", ""),
    Package("libxxhash-dev", "hash of the template cache", ""),
    Package("libcli11-dev", "options of launcherd", ""),
    Package("nlohmann-json3-dev", "JSON of launcherd exec and serve", ""),
    Package("libelf-dev", "reads relocations; to build a kernel", ""),
    Package("ca-certificates", "to verify the servers sources come from", ""),
    Package("libpython3.11-testsuite", "CPython's tests of subprocess, for the module", "test"),
    Package("libgtest-dev", "GoogleTest, for Ninja's suite and ours", "test fuzz kernel"),
    Package("googletest", "its source, a CMake project to build", "test bench"),
    Package("busybox-static", "a shell to compare with; the guest's shell", "test kernel fuzz"),
    Package("dash", "a shell that tests start", "test kernel"),
    Package("golang-go", "makes programs that tests start", "test soak"),
    Package("musl-tools", "makes programs that tests start", "test soak"),
    Package("ripgrep", "a program that tests start", "test soak bench"),
    Package("bsdutils", "script(1), gives a test a terminal", "test"),
    Package("procps", "pgrep(1), for a test of many processes", "test"),
    Package("clang", "compiles the demo's repository", "demo bench builds fuzz"),
    Package("libclang-rt-dev", "libFuzzer, and sanitizers of clang", "fuzz"),
    Package("valgrind", "counts instructions", "bench"),
    Package("linux-source-6.12", "the kernel that kernel/patches is for", "kernel bench builds test"),
    Package("flex", "to build a kernel", "kernel bench builds test"),
    Package("bc", "to build a kernel", "kernel bench builds test"),
    Package("perl", "to build a kernel", "kernel bench builds test"),
    Package("rsync", "to install the kernel's headers", "kernel test"),
    Package("xz-utils", "unpacks the kernel", "kernel bench builds test"),
    Package("qemu-system-x86", "runs the guest", "kernel test"),
    Package("apparmor", "compiles a profile for the guest", "kernel test"),
    Package("e2fsprogs", "makes the guest's disk", "kernel test"),
    Package("gcc-aarch64-linux-gnu", "compiles the series for arm64", "each-patch"),
    Package("ninja-build", "Ninja as the distribution has it", "bench"),
    Package("ccache", "whole builds with what it knows", "bench"),
    Package("linux-perf", "counts system calls", "bench"),
    Package("nodejs", "one of the ways to start a program", "bench"),
    Package("unicode-data", "makes RE2's sources", "bench"),
    Package("tcl", "makes SQLite's sources", "bench builds"),
    Package("python3-matplotlib", "draws the page of the reports", "bench"),
    Package("meson", "a build tool to test with; manifests of the corpus", "test bench"),
    Package("generate-ninja", "gn, writes manifests of the corpus", "bench"),
    Package("bison", "a project of the corpus and a kernel want it", "bench kernel builds test"),
    Package("libexpat1-dev", "a project of the corpus looks for it", "bench"),
    Package("libffi-dev", "a project of the corpus looks for it", "bench"),
    Package("libgmock-dev", "a project of the corpus looks for it", "bench"),
    Package("libpcre2-dev", "a project of the corpus looks for it", "bench"),
    Package("zlib1g-dev", "a project of the corpus looks for it", "bench"),
]


class Failed(Exception):
    """A step failed; the text is all the user needs to see."""


# --- progress


class Steps:
    """Numbers what is done: [2/5] obtaining Ninja 1.13.2"""

    def __init__(self, total: int) -> None:
        self.total, self.now = total, 0

    def next(self, what: str) -> None:
        self.now += 1
        say(f"[{self.now}/{self.total}] {what}")


def say(text: str) -> None:
    print(text, flush=True)


class Ticker:
    """Shows the newest line of a child: in place on a terminal, otherwise
    one line every few seconds, so that a log stays short."""

    def __init__(self) -> None:
        self.in_place = sys.stdout.isatty()
        self.shown = time.monotonic()
        self.dirty = False

    def show(self, line: str, count: int) -> None:
        now = time.monotonic()
        if now - self.shown < (0.1 if self.in_place else 5):
            return
        self.shown = now
        text = f"      {count} lines: {line.strip()}"
        if self.in_place:
            width = shutil.get_terminal_size().columns - 1
            sys.stdout.write("\r" + text[:width].ljust(width))
            sys.stdout.flush()
            self.dirty = True
        else:
            say(text)

    def clear(self) -> None:
        if self.dirty:
            sys.stdout.write("\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r")


def run(command: Sequence[str], log: Path, visible: bool = False) -> None:
    """Runs a command with its output in `log` and its progress on screen.

    `visible` passes the output through as it is.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    ticker = Ticker()
    with log.open("w") as file, subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as child:
        for count, last in enumerate(child.stdout, 1):
            file.write(last)
            if visible:
                sys.stdout.write(last)
                sys.stdout.flush()
            else:
                ticker.show(last, count)
    status = child.returncode
    ticker.clear()
    if status != 0:
        tail = [] if visible else log.read_text(errors="replace").splitlines()[-40:]
        raise Failed(
            "\n".join(tail + [f"failed with status {status}: {' '.join(command)}"])
            + f"\nfull output: {log}"
        )


# --- packages


def missing_packages(command: str) -> List[Package]:
    needed = [p for p in PACKAGES if not p.commands or command in p.commands.split()]
    if not shutil.which("dpkg-query"):
        say("note: no dpkg here; these are needed: " + ", ".join(p.name for p in needed))
        return []
    shown = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n"]
        + [p.name for p in needed],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ).stdout
    installed = {line.split()[0] for line in shown.splitlines() if line.endswith(" installed")}
    return [p for p in needed if p.name not in installed]


def privilege() -> Optional[List[str]]:
    """The command prefix that may install packages; None: there is none."""
    if os.geteuid() == 0:
        return []
    return ["sudo"] if shutil.which("sudo") else None


def install(packages: List[Package], log_dir: Path) -> None:
    if not packages:
        say("      all packages are there")
        return
    for package in packages:
        say(f"      missing: {package.name:16} {package.why}")
    apt = ["apt-get", "install", "-y", "--no-install-recommends"]
    apt += [package.name for package in packages]
    by_hand = "to install them, run as root:\n  apt-get update && " + " ".join(apt)
    prefix = privilege()
    if prefix is None:
        raise Failed("not root, and there is no sudo; " + by_hand)
    quiet = prefix + ["env", "DEBIAN_FRONTEND=noninteractive"]
    # Another apt may be at work, as on a machine that has just been started.
    patient = apt + ["-o", "DPkg::Lock::Timeout=300"]
    try:
        try:
            run(quiet + patient, log_dir / "install.log")
        except Failed:
            # Package lists that are absent or old: worth one update, but
            # not worth the time when they are fine.
            say("      updating the package lists")
            run(quiet + ["apt-get", "update"], log_dir / "update.log")
            run(quiet + patient, log_dir / "install.log")
    except Failed as failure:
        raise Failed(f"{failure}\n{by_hand}") from None
    say("      installed")


# --- sources and build


def obtain(description: Path, name: str, build: Path, given: Optional[Path] = None) -> Path:
    source = fetch.read_source(description, name)
    try:
        if given:
            return fetch.use_given(given.resolve(), source, indented)
        return fetch.fetch(source, build / "downloads", indented, Path("/etc/apt"))
    except fetch.SourceError as error:
        raise Failed(str(error)) from None


def indented(text: str) -> None:
    say("      " + text)


def cmake(build: Path, log_dir: Path, settings: Dict[str, str]) -> None:
    command = ["cmake", "-S", str(ROOT), "-B", str(build), "-DCMAKE_BUILD_TYPE=Release"]
    if not (build / "CMakeCache.txt").exists():
        command += ["-G", "Unix Makefiles"]
    command += [f"-D{key}={value}" for key, value in settings.items()]
    run(command, log_dir / f"{build.name}-cmake.log")


def compile_targets(build: Path, log_dir: Path, target: str = "all") -> None:
    jobs = str(len(os.sched_getaffinity(0)))
    run(
        ["cmake", "--build", str(build), "--target", target, "-j", jobs],
        log_dir / f"{build.name}-build.log",
    )


def set_up(
    command: str,
    build: Path,
    given: Optional[Path],
    steps: Steps,
    targets: Sequence[str] = ("all",),
) -> None:
    """Packages, upstream source, build: what every command but clean needs."""
    log_dir = build / "logs"
    steps.next("packages")
    install(missing_packages(command), log_dir)
    steps.next("Ninja's source")
    tarball = obtain(ROOT / "ninja-patch" / "UPSTREAM", "ninja", build, given)
    settings = {"NINJA_TARBALL": str(tarball)}
    # The tests take longer to compile than the product. Once wanted in a
    # build directory they stay, or each change of command would reconfigure.
    if command in ("test", "kernel"):
        settings["BUILD_TESTING"] = "ON"
    elif not (build / "CMakeCache.txt").exists():
        settings["BUILD_TESTING"] = "OFF"
    steps.next(f"configuring {build}")
    cmake(build, log_dir, settings)
    steps.next("building")
    for target in targets:
        compile_targets(build, log_dir, target)


# --- commands


def command_build(args: argparse.Namespace) -> None:
    set_up("build", args.build_dir, args.ninja_source, Steps(4))
    say(f"done: {args.build_dir}/bin/ninja")


def measure(script: str, build: Path, tarball: Optional[Path], rounds: int, *more: str) -> None:
    """Runs a program of bench/ on the two builds of Ninja; rounds 0: it has none."""
    command = [sys.executable, str(ROOT / "bench" / script), "--build-dir", str(build), *more]
    if rounds:
        command += ["--rounds", str(rounds)]
    if tarball:
        command += ["--source", str(tarball)]
    status = subprocess.run(command).returncode
    if status != 0:
        raise Failed(f"bench/{script} failed with status {status}")


def command_demo(args: argparse.Namespace) -> None:
    steps = Steps(6)
    set_up("demo", args.build_dir, args.ninja_source, steps)
    steps.next("musl's source")
    tarball = obtain(ROOT / "bench" / "REPOSITORIES", "musl", args.build_dir)
    steps.next("building musl with upstream's ninja and with ours")
    measure("demo.py", args.build_dir, tarball, args.rounds or 2)


def command_bench(args: argparse.Namespace) -> None:
    build = args.build_dir
    steps = Steps(6)
    set_up("bench", build, args.ninja_source, steps)
    steps.next("musl's source")
    tarball = obtain(ROOT / "bench" / "REPOSITORIES", "musl", build)
    for program in ("start_bench", "plan_bench", "launch_bench", "scale_bench"):
        compile_targets(build, build / "logs", program)
    steps.next("measuring")
    command = [sys.executable, str(ROOT / "bench" / "suite.py")]
    command += ["--build-dir", str(build), "--musl", str(tarball)]
    command += ["--only", args.only] if args.only else []
    command += ["--rounds", str(args.rounds)] if args.rounds else []
    for option in ("quick", "full", "resume", "busy"):
        command += [f"--{option}"] if getattr(args, option) else []
    if subprocess.run(command).returncode != 0:
        raise Failed("bench/suite.py failed")


def failures_in(log: str) -> List[str]:
    """Of a log of ctest: what a failed check or a sanitizer says, not the
    thousands of lines around it."""
    lines, wanted = [], 0
    for line in log.splitlines():
        if FAILURE.search(line):
            wanted = FAILURE_LINES
        if wanted:
            lines.append(line[:FAILURE_WIDTH])
            wanted -= 1
    return lines


def command_test(args: argparse.Namespace) -> None:
    build, log_dir = args.build_dir, args.build_dir / "logs"
    steps = Steps(6 + len(SANITIZERS))
    set_up("test", build, args.ninja_source, steps)
    results: Dict[str, str] = {}
    failures: List[str] = []

    def attempt(name: str, *actions) -> None:
        try:
            for action in actions:
                action()
            results[name] = "passed"
        except Failed as failure:
            say(str(failure))
            results[name] = "FAILED"

    def ctest(where: Path, visible: bool, *more: str) -> None:
        command = ["ctest", "--test-dir", str(where), "--output-on-failure"]
        command += ["--no-tests=error", *more]
        log = log_dir / f"{where.name}-ctest.log"
        try:
            run(command, log, visible)
        except Failed:
            failures.extend(failures_in(log.read_text(errors="replace")))
            raise

    # Sanitizers first and quiet: the summary of the whole suite comes last.
    for name, sanitizer in SANITIZERS.items():
        steps.next(f"library tests with -fsanitize={sanitizer}")
        where = build / name
        settings = {"LAUNCHER_SANITIZE": sanitizer, "BUILD_TESTING": "ON"}
        attempt(
            f"-fsanitize={sanitizer}",
            lambda: cmake(where, log_dir, settings),
            lambda: compile_targets(where, log_dir, "launcher_tests"),
            lambda: compile_targets(where, log_dir, "shell_fuzz"),
            lambda: compile_targets(where, log_dir, "protocol_fuzz"),
            lambda: compile_targets(where, log_dir, "serve_fuzz"),
            lambda: ctest(where, False, "-L", "^launcher$"),
        )
    steps.next("all tests")
    attempt("all tests", lambda: ctest(build, True))
    steps.next("Linux with the series of kernel/")
    attempt("kernel", lambda: kernel_lab(build, *kernel_project(build)))

    for line in failures:
        say(line)
    for name, result in results.items():
        say(f"{result:7} {name}")
    if "FAILED" in results.values():
        raise Failed("some tests failed")


def command_soak(args: argparse.Namespace) -> None:
    steps = Steps(5)
    set_up("test", args.build_dir, args.ninja_source, steps)
    steps.next("200,000 warm launches; programs cold and warm, 100 times each")
    measure("soak.py", args.build_dir, None, 0)


def command_builds(args: argparse.Namespace) -> None:
    build = args.build_dir
    steps = Steps(5)
    set_up("builds", build, args.ninja_source, steps)
    steps.next("real builds by make, with launcherd and without")
    environment = dict(os.environ)
    environment["LAUNCHERD"] = str(build / "bin" / "launcherd")
    environment["DOWNLOADS"] = str(build / "downloads")
    command = [sys.executable, str(ROOT / "tests" / "launcherd" / "builds_test.py"), "all"]
    command += ["--report", str(ROOT / "bench" / "results" / "builds.md")]
    if subprocess.run(command, env=environment).returncode != 0:
        raise Failed("the builds differ, or one has failed")


def command_fuzz(args: argparse.Namespace) -> None:
    build, log_dir = args.build_dir / "fuzz", args.build_dir / "logs"
    steps = Steps(3)
    steps.next("packages")
    install(missing_packages("fuzz"), log_dir)
    steps.next("building with clang")
    settings = {"CMAKE_C_COMPILER": "clang", "CMAKE_CXX_COMPILER": "clang++"}
    settings |= {"LAUNCHER_LIBFUZZER": "ON", "LAUNCHER_SANITIZE": SANITIZERS["asan"]}
    cmake(build, log_dir, {**settings, "BUILD_TESTING": "ON"})
    for target in ("protocol_fuzz", "serve_fuzz"):
        compile_targets(build, log_dir, target)
    steps.next(f"{args.minutes:g} minutes of libFuzzer")
    more = ["--minutes", str(args.minutes), "--keep"]
    more += ["--report", str(ROOT / "bench" / "results" / "protocol-fuzz.md")]
    measure("fuzz.py", build, None, 0, *more)


def kernel_lab(build: Path, *options: str, script: str = "lab.py") -> None:
    command = [sys.executable, str(ROOT / "kernel" / script), *options]
    command += ["--build-dir", str(build / "kernel")]
    status = subprocess.run(command).returncode
    if status != 0:
        raise Failed(f"kernel/{script} failed with status {status}")


def kernel_project(build: Path) -> List[str]:
    """The options for what is to run in the guest of this project."""
    musl = obtain(ROOT / "bench" / "REPOSITORIES", "musl", build)
    return ["--project", str(build), "--musl", str(musl)]


def command_kernel_test(args: argparse.Namespace) -> None:
    if args.soak:
        steps = Steps(2)
        steps.next("packages")
        install(missing_packages("kernel"), args.build_dir / "logs")
        steps.next("1,000,000 fuzzed calls, 100,000 spawns")
        report = ROOT / "bench" / "results" / "kernel-soak.md"
        kernel_lab(args.build_dir, "--report", str(report), script="soak.py")
        return
    if args.stock:
        steps = Steps(5)
        set_up("test", args.build_dir, args.ninja_source, steps)
        steps.next("this project's tests on the distribution's kernel")
        report = ROOT / "bench" / "results" / "stock-kernel.md"
        options = ["--project", str(args.build_dir), "--report", str(report)]
        kernel_lab(args.build_dir, *options, script="stock.py")
        return
    steps = Steps(6 if args.each_patch else 5)
    set_up("kernel", args.build_dir, args.ninja_source, steps, KERNEL_TARGETS)
    if args.each_patch:
        steps.next("a compiler for arm64")
        install(missing_packages("each-patch"), args.build_dir / "logs")
    steps.next("Linux with the series of kernel/")
    wanted = {"--debug-kernel": args.debug_kernel, "--each-patch": args.each_patch}
    options = [option for option, given in wanted.items() if given]
    kernel_lab(args.build_dir, *options, *kernel_project(args.build_dir))
    say("passed")


def command_kernel_shell(args: argparse.Namespace) -> None:
    steps = Steps(2)
    steps.next("packages")
    install(missing_packages("kernel"), args.build_dir / "logs")
    steps.next("the kernel")
    kernel_lab(args.build_dir, "--shell")


def command_clean(args: argparse.Namespace) -> None:
    build = args.build_dir
    if not build.exists():
        return
    if not any((build / made).exists() for made in ("CMakeCache.txt", "logs", "downloads")):
        raise Failed(f"{build} does not look like a build directory; left alone")
    shutil.rmtree(build)
    say(f"removed {build}")


COMMANDS = {
    "build": command_build,
    "demo": command_demo,
    "test": command_test,
    "soak": command_soak,
    "builds": command_builds,
    "fuzz": command_fuzz,
    "bench": command_bench,
    "kernel-test": command_kernel_test,
    "kernel-shell": command_kernel_shell,
    "clean": command_clean,
}


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(usage=argparse.SUPPRESS)
    parser.format_help = lambda: __doc__ or ""  # type: ignore[method-assign]
    parser.add_argument("command", nargs="?", default="build", choices=COMMANDS)
    parser.add_argument("--ninja-source", type=Path)
    parser.add_argument("--build-dir", type=Path, default=ROOT / "build")
    parser.add_argument("--rounds", type=int)
    for option in ("--debug-kernel", "--soak", "--each-patch", "--stock"):
        parser.add_argument(option, action="store_true")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--only")
    for option in ("--quick", "--full", "--resume", "--busy"):
        parser.add_argument(option, action="store_true")
    args = parser.parse_args(arguments)
    args.build_dir = args.build_dir.resolve()
    return args


def main() -> int:
    if sys.version_info < (3, 9):
        print("configure.py needs Python 3.9 or later", file=sys.stderr)
        return 1
    args = parse_arguments(sys.argv[1:])
    try:
        COMMANDS[args.command](args)
    except Failed as failure:
        sys.stdout.flush()
        print(f"configure.py: error: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("configure.py: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
