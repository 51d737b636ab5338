#!/usr/bin/env python3
"""launcher-run, and the examples of docs/make.md and docs/build-tools.md with the
tools that are here.

Environment: NINJA, NINJA_UPSTREAM: ours and the other one, if they are built.
"""

import os
import re
import shutil
import signal
import subprocess
import unittest
from pathlib import Path

from doc_examples import DOCS, Examples, section
from support import ENVIRONMENT, HANG, LAUNCHERD, PROBE, Test, Told, warm_is_possible

RUN = str(Path(LAUNCHERD).with_name("launcher-run"))
WARM = warm_is_possible()


class Run(Test):
    def expect_same(self, *words: str, prefix: str = "", **more) -> None:
        """By itself, and by a launcherd that has a warm template for the probe."""
        line = " ".join(words)
        plain = self.run_in_area(["bash", "-c", f"{prefix} exec {line}"], **more)
        for command in (
            ["bash", "-c", f"{prefix} exec {RUN} {line}"],
            [LAUNCHERD, "bash", "-c", f"{prefix} exec {RUN} {line}"],
        ):
            ours = self.run_in_area(command, **more)
            clean = re.compile(r"pipe:\[\d+\]|(?m:^(LAUNCHER_SERVER|MAKEFILES)=.*\n)")
            self.assertEqual(
                (plain.returncode, clean.sub("", plain.stdout), plain.stderr),
                (ours.returncode, clean.sub("", ours.stdout), ours.stderr),
                command,
            )

    def test_it_is_as_the_program_itself(self) -> None:
        for words in ("argv a 'b  c' ''", "env", "cwd", "sig", "limit", "exit 7", "fds"):
            self.expect_same(PROBE, words)
        for number in (2, 6, 9, 11, 13, 15):
            self.expect_same(PROBE, "raise", str(number))
        self.expect_same(PROBE, "fds sig cwd", prefix="exec 5>file; trap '' HUP; cd /;")
        self.expect_same("echo", "a", "-n")

    def test_it_is_warm(self) -> None:
        told = self.with_statistics(f"{RUN} {PROBE} argv a; {RUN} {PROBE} exit 3")
        self.assertEqual((told.status, told.stdout), (3, f"{PROBE}\na\n"))
        self.assertEqual(told.lines, 2, told.all)
        if WARM:
            self.assertEqual(told.warm, 2, told.all)

    def test_what_cannot_be_run(self) -> None:
        (self.area / "file").write_text("echo script $1\n")
        for word, status, reason in (
            ("nonexistent", 127, "No such file or directory"),
            ("./nonexistent", 127, "No such file or directory"),
            ("./file/x", 127, "No such file or directory"),
            ("./file", 126, "Permission denied"),
            ("/", 126, "Permission denied"),
            ("''", 127, "No such file or directory"),
        ):
            done = self.run_in_area(["sh", "-c", f"{RUN} {word} x"])
            self.assertEqual((done.returncode, done.stdout), (status, ""), word)
            self.assertIn(f"launcher-run: {word.strip(chr(39))}: {reason}", done.stderr)
        (self.area / "file").chmod(0o755)
        done = self.run_in_area([RUN, "./file", "x"])
        self.assertEqual((done.returncode, done.stdout), (0, "script x\n"))
        done = self.run_in_area([RUN])
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("usage: launcher-run PROGRAM", done.stderr)

    def test_links(self) -> None:
        for name in ("one", "two"):
            (self.area / name).mkdir()
            (self.area / name / "probe").symlink_to(RUN)
        path = f"{self.area}/one:{self.area}/two:{Path(PROBE).parent}:/bin"
        told = self.with_statistics("probe argv a", environment={**ENVIRONMENT, "PATH": path})
        self.assertEqual((told.status, told.stdout), (0, f"{PROBE}\na\n"), told.all)
        self.assertEqual(told.lines, 1)
        # By its path too, and nothing behind it.
        environment = {**ENVIRONMENT, "PATH": path}
        done = self.run_in_area([f"{self.area}/two/probe", "argv", "b"], environment)
        self.assertEqual(done.stdout, f"{PROBE}\nb\n")
        environment["PATH"] = f"{self.area}/one:{self.area}/two"
        done = self.run_in_area([f"{self.area}/two/probe"], environment)
        self.assertEqual(done.returncode, 127)
        self.assertIn("probe: No such file or directory", done.stderr)

    def test_signals(self) -> None:
        process = subprocess.Popen(
            [LAUNCHERD, RUN, PROBE, "pid", "1", "wait", "0"],
            env=ENVIRONMENT,
            cwd=self.area,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        with process:
            process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(HANG), -signal.SIGTERM)


class Tools(Test):
    NAMES = (
        "CMAKE_C_COMPILER_LAUNCHER",
        "CMAKE_CXX_COMPILER_LAUNCHER",
        "RUSTC_WRAPPER",
        "npm_config_script_shell",
    )

    def test_variables(self) -> None:
        plain = self.launcherd(PROBE, "env").stdout.splitlines()
        ours = self.launcherd("--tools", PROBE, "env").stdout.splitlines()
        names = [line.split("=")[0] for line in ours[len(plain) :]]
        self.assertEqual(names, list(self.NAMES))
        for line in ours[len(plain) :]:
            self.assertTrue(os.access(line.split("=", 1)[1], os.X_OK), line)

    def test_what_is_set_stays(self) -> None:
        environment = {**ENVIRONMENT, **{name: "x" for name in self.NAMES}}
        done = self.launcherd("--tools", "--stats", PROBE, "env", environment=environment)
        for name in self.NAMES:
            self.assertIn(f"{name}=x\n", done.stdout)
        self.assertNotIn("launcher-run", done.stdout)

    def test_objects_of_a_cmake_project(self) -> None:
        """By make, below launcherd and without: the same, and no shell."""
        write_project(self.area)
        found = []
        for words in ([], [LAUNCHERD, "--stats"]):
            done = self.run_in_area(["cmake", "-S", ".", "-B", "build", "-G", "Unix Makefiles"])
            self.assertEqual(done.returncode, 0, done.stderr)
            done = self.run_in_area([*words, "make", "-C", "build"])
            self.assertEqual(done.returncode, 0, done.stderr)
            found.append(
                {p.name: p.read_bytes() for p in (self.area / "build").rglob("*.o")}
            )
            shutil.rmtree(self.area / "build")
        told = Told(done)
        self.assertEqual(len(found[0]), 2)
        self.assertEqual(found[0], found[1])
        self.assertGreater(told.warm + told.in_place, 5, told.all)
        self.assertEqual(told.shell, 0, told.all)


def write_project(area: Path) -> None:
    """One project for all tools."""
    files = {
        "main.c": "int main(void) { return 0; }\n",
        "other.c": "int other(void) { return 1; }\n",
        "CMakeLists.txt": "cmake_minimum_required(VERSION 3.13)\nproject(p C)\n"
        "add_executable(p main.c other.c)\n",
        "meson.build": "project('p', 'c')\nexecutable('p', 'main.c', 'other.c')\n",
        "configure": "#!/bin/sh\nprintf '#include <stdio.h>\\n' >conftest.c\n"
        "cc -fsyntax-only conftest.c && echo 'checking for stdio.h... yes'\n",
        "Cargo.toml": '[package]\nname = "p"\nversion = "0.1.0"\nedition = "2021"\n',
        "src/main.rs": "fn main() {}\n",
        "a.c": "int a(void) { return 1; }\n",
        "b.c": "int b(void) { return 2; }\n",
        "Makefile": "all: a.o b.o ; ar rcs lib.a $^\n%.o: %.c ; cc -c -o $@ $<\n"
        "check: ; for i in *.o; do nm $$i; done\n",
        "shell.mk": "SH = /bin/sh\nSHELL = $(SH)\nall: ; @echo plain words\n",
        "package.json": '{"name": "p", "version": "1.0.0", "scripts": '
        '{"build": "echo built && cp package.json copy"}}\n',
    }
    for name, text in files.items():
        (area / name).parent.mkdir(exist_ok=True)
        (area / name).write_text(text)
        (area / name).chmod(0o755)


class Page(Examples):
    def run_section(self, name: str, *tools: str, page: str = "build-tools.md") -> None:
        """`name`: empty for what comes before the first heading; `tools`: what must
        be there for it."""
        places = [Path(LAUNCHERD).parent]
        for tool in tools:
            found = shutil.which(tool)
            if not found:
                self.skipTest(f"no {tool} here")
            places.append(Path(found).parent)
        write_project(self.area)
        environment = {
            "PATH": ":".join(map(str, places)) + ":/usr/bin:/bin",
            "HOME": str(self.area),
            "OUR_NINJA": os.environ.get("NINJA", ""),
            "PREFIX": str(Path(LAUNCHERD).parents[1]),
        }
        if other := os.environ.get("NINJA_UPSTREAM"):
            (self.area / "tools").mkdir()
            (self.area / "tools" / "ninja").symlink_to(other)
            environment["PATH"] = f"{self.area}/tools:{environment['PATH']}"
        rustup = Path.home() / ".rustup"
        if rustup.exists():
            environment["RUSTUP_HOME"] = str(rustup)
        blocks = section(page, name)
        self.assertEqual({kind for kind, _ in blocks}, {"console"})
        for _, block in blocks:
            self.run_console(block, environment)

    def test_make(self) -> None:
        self.run_section("", "make", "cc", page="make.md")

    def test_make_and_shells(self) -> None:
        self.run_section("What is caught", "make", page="make.md")

    def test_cmake(self) -> None:
        self.run_section("Makefiles of CMake", "cmake")

    @unittest.skipUnless(os.environ.get("NINJA_UPSTREAM"), "no Ninja is built")
    def test_ninja(self) -> None:
        self.run_section("Ninja", "cmake")

    @unittest.skipUnless(os.environ.get("NINJA"), "no Ninja is built")
    def test_meson(self) -> None:
        self.run_section("Meson", "meson")

    def test_configure(self) -> None:
        self.run_section("configure scripts", "cc")

    def test_cargo(self) -> None:
        self.run_section("cargo", "cargo", "cc")

    def test_npm(self) -> None:
        self.run_section("npm", "npm")

    def test_every_example_is_run(self) -> None:
        sections = re.findall(r"^## (.*)$", (DOCS / "build-tools.md").read_text(), re.M)
        with_examples = [name for name in sections if section("build-tools.md", name)]
        run = re.findall(r'run_section\("([^"]+)"', Path(__file__).read_text())
        self.assertEqual(with_examples, [name for name in run if name in sections])


if __name__ == "__main__":
    unittest.main()
