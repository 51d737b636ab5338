#!/usr/bin/env python3
"""Writes the table of figures in README.md from the samples of the reports.

usage: readme.py [--check]

--check: writes nothing; status 1 if the table is not what the reports say.
tests/setup/readme_test.py looks at all the other figures of the README.
"""

import re
import sys
from pathlib import Path
from typing import Any, Dict, List, NamedTuple

import compare
import env
import measure

README = env.ROOT / "README.md"
RESULTS = env.ROOT / "bench" / "results"
BLOCK = re.compile(r"(<!-- written by bench/readme.py -->\n).*?(<!-- end -->\n)", re.DOTALL)
BASELINE, OURS, COLD = "ninja-upstream", "ninja", "ninja (clone3)"


class Row(NamedTuple):
    title: str
    report: str
    what: str  # of the group


ROWS = [
    Row("1,000 edges of `/bin/true $out`", "edges", "1,000 edges of /bin/true"),
    Row("10,000 of them", "edges", "10,000 edges of /bin/true"),
    Row("1,000 edges of a dynamic no-op", "edges", "1,000 edges of noop"),
    Row("1,000 edges of `cmake -E true`", "edges", "1,000 edges of cmake -E true"),
    Row("musl 1.2.3 with clang, 1,365 edges", "musl", "musl 1.2.3"),
]


def ratio(samples: Dict[str, List[Dict[str, float]]], which: str, metric: str) -> measure.Ratio:
    return measure.ratio(*(compare.column(samples[name], metric) for name in (BASELINE, which)))


def cells(row: Row, data: Dict[str, Any]) -> List[str]:
    found = [group["samples"] for group in data["groups"] if group["what"] == row.what]
    if not found:
        sys.exit(f"readme.py: error: {row.report}.json has no '{row.what}'")
    (samples,) = found
    made = [row.title]
    made += [str(ratio(samples, OURS, metric)) for metric in ("wall", "cpu")]
    made += [f"{ratio(samples, COLD, metric).median:.3f}" for metric in ("wall", "cpu")]
    return [*made, f"[{row.report}](bench/results/{row.report}.md)"]


def table() -> str:
    reports = compare.reports(RESULTS)
    lines = [
        "| build, `-j2` | wall time | CPU time | without warm templates: wall | CPU | report |",
        "|---|---|---|---|---|---|",
    ]
    lines += ["| " + " | ".join(cells(row, reports[row.report])) + " |" for row in ROWS]
    return "\n".join(lines) + "\n"


def updated(text: str) -> str:
    return BLOCK.sub(lambda found: found.group(1) + table() + found.group(2), text)


def main() -> None:
    text = README.read_text()
    if not BLOCK.search(text):
        sys.exit("readme.py: error: README.md has no place for the table")
    made = updated(text)
    if "--check" in sys.argv:
        sys.exit(0 if made == text else "readme.py: the table in README.md is an old one")
    README.write_text(made)


if __name__ == "__main__":
    main()
