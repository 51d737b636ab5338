#!/usr/bin/env python3
"""Runs the examples of docs/agents.md and compares what they print.

"console" has commands after "$ " and what comes of each; "..." stands for
anything in a line. "python" is a program, and the "text" after it its output.
"""

import re
import subprocess
import sys
import unittest
from pathlib import Path
from typing import List, Tuple

from support import ENVIRONMENT, HANG, LAUNCHERD, Test

PAGE = Path(__file__).parents[2] / "docs" / "agents.md"
PLAIN = {
    **ENVIRONMENT,
    "PATH": f"{Path(LAUNCHERD).parent}:{ENVIRONMENT['PATH']}",
    "LAUNCHER_ENGINE": "auto",
}


def section(name: str) -> List[Tuple[str, str]]:
    """The fenced blocks below a heading: their kinds and texts."""
    text = PAGE.read_text()
    match = re.search(rf"^## {re.escape(name)}$(.*?)(?=^## |\Z)", text, re.M | re.S)
    if not match:
        raise AssertionError(f"no section {name}")
    return re.findall(r"^```(\w+)\n(.*?)^```$", match.group(1), re.M | re.S)


class Examples(Test):
    def run_console(self, block: str) -> None:
        for example in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, expected = example.split("\n", 1)
            done = self.run_in_area(["bash", "-c", f"exec 2>&1; {command}"], environment=PLAIN)
            pattern = ".*".join(map(re.escape, expected.split("...")))
            self.assertRegex(done.stdout, rf"\A{pattern}\Z")

    def test_exec(self) -> None:
        blocks = section("launcherd exec")
        self.assertEqual({kind for kind, _ in blocks}, {"console"})
        self.assertGreaterEqual(len(blocks), 5)
        for _, block in blocks:
            with self.subTest(block.split("\n")[0]):
                self.run_console(block)

    def test_serve(self) -> None:
        blocks = section("launcherd serve")
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
