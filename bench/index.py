#!/usr/bin/env python3
"""Draws the samples of the reports into one page.

usage: index.py [--results DIR]

Reads DIR/*.json (see schema.json), writes DIR/index.html: one file, no network,
plots as SVG in the colours of the page. Needs matplotlib (python3-matplotlib).
"""

import argparse
import html
import io
import json
import re
from pathlib import Path
from typing import Any, Dict, List

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

import measure  # noqa: E402

RESULTS = Path(__file__).resolve().parent / "results"
INK, PAPER = "#000000", "#ffffff"  # What becomes the page's own colours.
COLOURS = ("#7f7f7f", "#d1752f", "#2f6fd1", "#2f9e5b", "#a04fc0", "#b0902f")

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>launcherd: measurements</title>
<style>
:root {{ color-scheme: light dark; --ink: #1b1b1b; --paper: #fcfcfa; --line: #ddd }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #e6e6e3; --paper: #17181a; --line: #3a3a3c }} }}
body {{ font: 1rem/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 60rem; margin: auto; padding: 1rem }}
svg {{ width: 100%; height: auto; color: var(--ink) }}
svg text {{ fill: currentColor }}
table {{ border-collapse: collapse; width: 100%; font-size: .9rem }}
td, th {{ text-align: left; padding: .2rem .6rem .2rem 0; border-bottom: 1px solid var(--line) }}
h2 {{ margin-top: 2.5rem }}
</style></head><body>
<h1>launcherd: measurements</h1>
<p>Each dot is one round of a contestant, each bar its median. Ratios are those of the
rounds against the baseline, median with the lowest and highest, or with a 95 % interval
from six rounds on. Machine and method stand in each report. Where a contestant is
slower than the baseline, it says so here as it does there.</p>
{body}
</body></html>
"""


def plot(group: Dict[str, Any]) -> str:
    """Seconds of each round, wall and CPU side by side."""
    samples = group["samples"]
    figure, axes = plt.subplots(1, 2, figsize=(9, 0.6 + 0.45 * len(samples)), sharey=True)
    for axis, of, title in zip(axes, ("wall", "cpu"), ("wall time, s", "CPU time, s")):
        for row, (name, runs) in enumerate(samples.items()):
            values = sorted(run[of] for run in runs)
            colour = COLOURS[row % len(COLOURS)]
            middle = values[len(values) // 2]
            axis.barh(row, middle, height=0.55, color=colour, alpha=0.35)
            axis.plot(values, [row] * len(values), "o", color=colour, markersize=4)
        axis.set_title(title, fontsize=10)
        axis.set_xlim(left=0)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    axes[0].set_yticks(range(len(samples)), list(samples))
    axes[0].invert_yaxis()
    figure.tight_layout()
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    plt.close(figure)
    drawn = out.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    # The size is the page's; two plots on it must not share names.
    drawn = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", drawn, 1)
    drawn = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", drawn, 1)
    return drawn.replace(INK, "currentColor").replace("fill: " + PAPER, "fill: none")


def table(group: Dict[str, Any]) -> str:
    baseline, *others = group["samples"]
    rows = [f"<tr><th>against {html.escape(baseline)}</th><th>wall</th><th>CPU</th></tr>"]
    for name in others:
        cells = ""
        for of in ("wall", "cpu"):
            pairs = [[run[of] for run in group["samples"][which]] for which in (baseline, name)]
            ratio = measure.ratio(*pairs)
            cells += f"<td>{ratio}<br>{ratio.verdict}</td>"
        rows.append(f"<tr><td>{html.escape(name)}</td>{cells}</tr>")
    return f"<table>{''.join(rows)}</table>"


def page(results: Path) -> str:
    body: List[str] = []
    for path in sorted(results.glob("*.json")):
        if path.name == "schema.json":
            continue
        data = json.loads(path.read_text())
        report = path.with_suffix(".md").name
        body.append(f"<h2>{html.escape(data['title'])}</h2>")
        body.append(f'<p>Report: <a href="{report}">{report}</a></p>')
        for group in data["groups"]:
            plt.rcParams["svg.hashsalt"] = path.name + group["what"]
            body += [f"<h3>{html.escape(group['what'])}</h3>", plot(group), table(group)]
    if not body:
        raise SystemExit(f"index.py: error: no samples in {results}")
    return PAGE.format(body="\n".join(body))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    results = parser.parse_args().results
    plt.rcParams.update({"svg.fonttype": "none", "font.size": 9, "font.family": "sans-serif"})
    (results / "index.html").write_text(page(results))
    print(f"page: {results / 'index.html'}")


if __name__ == "__main__":
    main()
