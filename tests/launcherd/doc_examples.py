"""Examples of the pages in docs, to be run and compared with what they print.

"console" has commands after "$ " and what comes of each; "..." stands for
anything in a line, or alone in a line for any lines.
"""

import re
from pathlib import Path
from typing import Dict, List, Tuple

from support import Test

DOCS = Path(__file__).parents[2] / "docs"


def section(page: str, name: str) -> List[Tuple[str, str]]:
    """The fenced blocks below a heading, or without a name those before the first:
    their kinds and texts."""
    text = (DOCS / page).read_text()
    heading = rf"^## {re.escape(name)}$" if name else r"\A"
    match = re.search(rf"{heading}(.*?)(?=^## |\Z)", text, re.M | re.S)
    if not match:
        raise AssertionError(f"no section {name}")
    return re.findall(r"^```(\w+)\n(.*?)^```$", match.group(1), re.M | re.S)


class Examples(Test):
    def run_console(self, block: str, environment: Dict[str, str]) -> None:
        for example in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, expected = example.split("\n", 1)
            done = self.run_in_area(
                ["bash", "-c", f"exec 2>&1; {command}"], environment=environment
            )
            lines = [
                "(.*\n)*" if line == "...\n" else ".*".join(map(re.escape, line.split("...")))
                for line in expected.splitlines(keepends=True)
            ]
            self.assertRegex(done.stdout, rf"\A{''.join(lines)}\Z", command)
