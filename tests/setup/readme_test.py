#!/usr/bin/env python3
"""Figures of the README are those of the reports that it names beside them."""

import re
import subprocess
import sys
import unittest
from pathlib import Path
from typing import Iterator, List, Tuple

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
RATIO = re.compile(r"\d\.\d{3}(?: \(\d\.\d{3} to \d\.\d{3}\))?")
NUMBER = r"\d[\d,]*(?:\.\d+)?"
# A figure has a unit; of some only the last one has: "4 to 11 us".
UNIT = r"(%|x|ns|us|ms|s|KiB|MiB|GiB)(?![\w-])"
FIGURE = re.compile(rf"({NUMBER})(?:(?: to | and | or )({NUMBER}))? ?{UNIT}")


def paragraphs() -> Iterator[str]:
    text = re.sub(r"<!-- written by.*?<!-- end -->", "", README, flags=re.DOTALL)
    for part in text.split("\n\n"):
        if part.startswith(("    ", "|")):
            continue
        for item in re.split(r"\n(?=- )", part):
            yield item.replace("\n", " ")


def reports_of(part: str) -> List[str]:
    return re.findall(r"\]\((bench/results/[a-z_-]+\.md)\)", part)


def rows() -> Iterator[Tuple[str, List[str], str]]:
    """(line, its ratios, the text of its report) of each row of a table with a
    report, and of each paragraph that names one."""
    parts = [line for line in README.splitlines() if line.startswith("| ")]
    for part in [*parts, *paragraphs()]:
        reports = reports_of(part)
        ratios = RATIO.findall(part)
        if ratios and len(set(reports)) == 1:
            yield part, ratios, (ROOT / reports[0]).read_text()


def stands_in(figure: str, unit: str, report: str) -> bool:
    """A number of the report, rounded as the figure is; also one of us where the
    figure is in ms, and a ratio where it is a change in percent."""
    digits = len(figure.partition(".")[2])
    wanted = float(figure.replace(",", ""))
    for text in re.findall(NUMBER, report):
        value = float(text.replace(",", ""))
        candidates = [value, value / 1000] if unit == "ms" else [value]
        if unit == "%":
            candidates.append(abs(1 - value) * 100)
        if any(round(candidate, digits) == wanted for candidate in candidates):
            return True
    return False


class Readme(unittest.TestCase):
    def test_table_is_written_from_the_reports(self) -> None:
        command = [sys.executable, str(ROOT / "bench" / "readme.py"), "--check"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(0, done.returncode, done.stdout)

    def test_ratios_stand_in_the_reports(self) -> None:
        checked = 0
        for part, ratios, report in rows():
            for ratio in ratios:
                self.assertIn(ratio, report, part)
                checked += 1
        self.assertGreater(checked, 15)

    def test_no_ratio_is_without_a_report(self) -> None:
        for part in paragraphs():
            if RATIO.search(part):
                self.assertEqual(1, len(set(reports_of(part))), part)

    def test_every_other_figure_stands_in_a_report(self) -> None:
        checked = 0
        for part in paragraphs():
            for first, second, unit in FIGURE.findall(RATIO.sub("", part)):
                reports = [(ROOT / path).read_text() for path in reports_of(part)]
                self.assertTrue(reports, f"{first} {unit} without a report: {part}")
                for figure in filter(None, (first, second)):
                    self.assertTrue(
                        any(stands_in(figure, unit, report) for report in reports),
                        f"{figure} {unit} stands in none of the reports: {part}",
                    )
                    checked += 1
        self.assertGreater(checked, 10)

    def test_every_report_exists(self) -> None:
        named = re.findall(r"\]\(([a-zA-Z/_.-]+)\)", README)
        self.assertGreater(len(named), 10)
        for path in named:
            self.assertTrue((ROOT / path).exists(), path)


if __name__ == "__main__":
    unittest.main()
