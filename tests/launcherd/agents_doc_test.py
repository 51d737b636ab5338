#!/usr/bin/env python3
"""Runs the examples of docs/agents.md: see doc_examples.py. "python" is a program
there, and the "text" after it its output.
"""

import subprocess
import sys
import unittest
from pathlib import Path

from doc_examples import Examples, section
from support import ENVIRONMENT, HANG, LAUNCHERD

PAGE = "agents.md"
PLAIN = {
    **ENVIRONMENT,
    "PATH": f"{Path(LAUNCHERD).parent}:{ENVIRONMENT['PATH']}",
    "LAUNCHER_ENGINE": "auto",
}


class Agents(Examples):
    def test_exec(self) -> None:
        blocks = section(PAGE, "launcherd exec")
        self.assertEqual({kind for kind, _ in blocks}, {"console"})
        self.assertGreaterEqual(len(blocks), 5)
        for _, block in blocks:
            with self.subTest(block.split("\n")[0]):
                self.run_console(block, PLAIN)

    def test_serve(self) -> None:
        blocks = section(PAGE, "launcherd serve")
        self.assertEqual([kind for kind, _ in blocks], ["python", "text"])
        (_, program), (_, expected) = blocks
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program],
            cwd=self.area,
            env=PLAIN,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=HANG,
        )
        self.assertEqual((done.stdout, done.stderr), (expected, ""))


if __name__ == "__main__":
    unittest.main()
