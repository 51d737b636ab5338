#!/usr/bin/env python3
"""Installs a build and uses it as another project would.

Environment: BUILD_DIR, a finished build.
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Mapping, Optional

BUILD = os.environ.get("BUILD_DIR", "")

PROGRAM = r"""
#include <launcher/launcher.h>
#include <cstdio>

int main() {
  auto made = launcher::Launcher::Create({});
  const char* argv[] = {"/bin/echo", "launched"};
  launcher::Command command;
  command.argv = argv;
  if (!made.ok() || !made.value()->Spawn(command).ok())
    return 1;
  auto done = made.value()->Wait(std::chrono::seconds(60));
  if (!done.ok())
    return 1;
  std::fputs(done.value().output.c_str(), stdout);
  return done.value().code;
}
"""

PROJECT = """
cmake_minimum_required(VERSION 3.19)
project(user CXX)
find_package(launcher 0.1 REQUIRED)
foreach(kind static shared)
  add_executable(with_${kind} user.cc)
  target_link_libraries(with_${kind} launcher::${kind})
endforeach()
"""


def run(*command: object, env: Optional[Mapping[str, str]] = None) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        raise AssertionError(f"{command}: status {done.returncode}\n{done.stdout}")
    return done.stdout


class InstallTest(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.user = Path(scratch.name)
        self.prefix = self.user / "prefix"
        (self.user / "user.cc").write_text(PROGRAM)
        run("cmake", "--install", BUILD, "--prefix", self.prefix)

    def test_the_fork_is_installed_and_nothing_to_compare_it_with(self) -> None:
        programs = sorted(p.name for p in (self.prefix / "bin").iterdir())
        self.assertEqual(["launcher-run", "launcher-sh", "launcherd", "ninja"], programs)
        self.assertEqual("1.13.2\n", run(self.prefix / "bin" / "ninja", "--version"))

    def test_cmake_finds_both_libraries(self) -> None:
        (self.user / "CMakeLists.txt").write_text(PROJECT)
        made = self.user / "build"
        run("cmake", "-S", self.user, "-B", made, f"-DCMAKE_PREFIX_PATH={self.prefix}")
        run("cmake", "--build", made)
        for kind in ("static", "shared"):
            self.assertEqual("launched\n", run(made / f"with_{kind}"))

    def test_pkg_config_finds_the_shared_library(self) -> None:
        (description,) = self.prefix.rglob("launcher.pc")
        where = {"PKG_CONFIG_PATH": str(description.parent)}
        flags = run("pkg-config", "--cflags", "--libs", "launcher", env=where).split()
        program = self.user / "user"
        run("g++", "-std=c++20", self.user / "user.cc", "-o", program, *flags)
        library = {"LD_LIBRARY_PATH": str(description.parent.parent)}
        self.assertEqual("launched\n", run(program, env=library))

    def test_example_of_the_manual_page_in_c(self) -> None:
        (page,) = self.prefix.rglob("launcher.3")
        example = page.read_text().split(".EX\n")[1].split(".EE\n")[0]
        source = example.replace("\\e", "\\").replace("\\-", "-")
        (description,) = self.prefix.rglob("launcher.pc")
        where = {"PKG_CONFIG_PATH": str(description.parent)}
        flags = run("pkg-config", "--cflags", "--libs", "launcher", env=where).split()
        library = {"LD_LIBRARY_PATH": str(description.parent.parent)}
        strict = ["-std=c11", "-pedantic", "-Wall", "-Wextra", "-Werror"]
        for header in ("launcher/c.h", "launcher/launcher.h"):
            (self.user / "user.c").write_text(source.replace("launcher/c.h", header))
            program = self.user / "user"
            run("gcc", *strict, self.user / "user.c", "-o", program, *flags)
            self.assertEqual("launched\n", run(program, env=library))

    def test_functions_of_c_are_versioned(self) -> None:
        (library,) = self.prefix.rglob("liblauncher.so")
        symbols = run("nm", "-D", "--with-symbol-versions", "--defined-only", library).split()
        mapped = [name for name in symbols if name.startswith("launcher_")]
        header = (self.prefix / "include/launcher/c.h").read_text()
        declared = set(re.findall(r"\b(launcher_[a-z_]+)\(", header))
        versioned = {name.split("@@")[0] for name in mapped if name.endswith("@@LAUNCHER_1")}
        self.assertEqual(declared, versioned)

    def test_python_finds_the_library_beside_it(self) -> None:
        (package,) = self.prefix.rglob("launcherd/python")
        program = "import launcher; print(launcher.run(['echo', 'x'], stdout=-1).stdout)"
        where = {"PYTHONPATH": str(package), "LAUNCHER_LIBRARY": ""}
        self.assertEqual("b'x\\n'\n", run(sys.executable, "-c", program, env=where))


if __name__ == "__main__":
    if not Path(BUILD, "CMakeCache.txt").exists():
        raise SystemExit("the environment variable BUILD_DIR must name a finished build")
    unittest.main()
