#!/usr/bin/env python3
"""Figures of the README are those of the reports that it names beside them."""

import re
import unittest
from pathlib import Path
from typing import Iterator, List, Tuple

ROOT = Path(__file__).resolve().parents[2]
RATIO = re.compile(r"\d\.\d{3}(?: \(\d\.\d{3} to \d\.\d{3}\))?")


def rows() -> Iterator[Tuple[str, List[str], str]]:
    """(line, its ratios, the text of its report) of each row of a table with a
    report, and of each paragraph that names one."""
    text = (ROOT / "README.md").read_text()
    parts = [line for line in text.splitlines() if line.startswith("| ")]
    parts += [part.replace("\n", " ") for part in text.split("\n\n") if not part.startswith("|")]
    for part in parts:
        reports = re.findall(r"\]\((bench/results/[a-z-]+\.md)\)", part)
        ratios = RATIO.findall(part)
        if ratios and len(set(reports)) == 1:
            yield part, ratios, (ROOT / reports[0]).read_text()


class Readme(unittest.TestCase):
    def test_ratios_stand_in_the_reports(self) -> None:
        checked = 0
        for part, ratios, report in rows():
            for ratio in ratios:
                self.assertIn(ratio, report, part)
                checked += 1
        self.assertGreater(checked, 15)

    def test_every_report_exists(self) -> None:
        named = re.findall(r"\]\(([a-zA-Z/_.-]+)\)", (ROOT / "README.md").read_text())
        self.assertGreater(len(named), 10)
        for path in named:
            self.assertTrue((ROOT / path).exists(), path)


if __name__ == "__main__":
    unittest.main()
