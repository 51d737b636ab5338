#!/usr/bin/env python3
"""Builds a real CMake project, GoogleTest as the distribution ships it, with upstream's ninja and with ours: the same files, byte for byte.

Environment: NINJA (ours), NINJA_UPSTREAM.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import Dict

NINJA = os.environ.get("NINJA", "")
NINJA_UPSTREAM = os.environ.get("NINJA_UPSTREAM", "")
SOURCE = Path("/usr/src/googletest")


class CMakeProjectTest(unittest.TestCase):
    def build(self, ninja: str, where: Path) -> Dict[str, str]:
        """Always in the same place: its name may be in the objects."""
        shutil.rmtree(where, ignore_errors=True)
        for command in (
            ["cmake", "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}", "-DCMAKE_CXX_FLAGS=-O0", "-S", SOURCE, "-B", where],
            ["cmake", "--build", where],
        ):
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL)
            self.assertEqual(done.returncode, 0, done.stdout[-4000:])
        again = subprocess.run([ninja, "-C", where], stdout=subprocess.PIPE, text=True)
        self.assertIn("ninja: no work to do.", again.stdout)
        products = [path for path in sorted(where.rglob("*")) if path.suffix in (".o", ".a")]
        return {str(path.relative_to(where)): hashlib.sha256(path.read_bytes()).hexdigest() for path in products}

    def test_googletest(self) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            where = Path(scratch) / "build"
            upstream = self.build(NINJA_UPSTREAM, where)
            ours = self.build(NINJA, where)
        self.assertGreater(sum(name.endswith(".a") for name in upstream), 3)
        self.assertEqual(upstream, ours)


if __name__ == "__main__":
    for variable, ninja in {"NINJA": NINJA, "NINJA_UPSTREAM": NINJA_UPSTREAM}.items():
        if not os.path.exists(ninja):
            raise SystemExit(f"the environment variable {variable} must name a ninja to run")
    unittest.main()
