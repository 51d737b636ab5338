#!/usr/bin/env python3
"""Draws the samples of the reports into one page.

usage: index.py [--results DIR]

Reads DIR/*.json (see schema.json), writes DIR/index.html: one file, no network,
plots as SVG in the colours of the page. Needs matplotlib (python3-matplotlib).
"""

import argparse
import html
import io
import re
from pathlib import Path
from statistics import median
from typing import Any, Dict, List, Tuple

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

import compare  # noqa: E402
from compare import GAIN, LOSS, NONE, Comparison  # noqa: E402

RESULTS = Path(__file__).resolve().parent / "results"
INK, PAPER = "#000000", "#ffffff"  # What becomes the page's own colours.
COLOURS = {GAIN: "#2f9e5b", NONE: "#8a8a8a", LOSS: "#d1552f"}
WORDS = {GAIN: "faster", NONE: "no difference shown", LOSS: "slower"}
# Reports about launches, not about what is built of them.
SINGLE = ("launch", "launch-tax", "scale")
BASELINE, OURS = "#8a8a8a", "#2f6fd1"
# Parts of a job, from the decision to start it.
PARTS = {
    "shell": "#d1752f",
    "start and exec": "#b0902f",
    "loader": "#a04fc0",
    "clone of a template": "#2f6fd1",
    "program": "#2f9e5b",
    "end and reap": "#8a8a8a",
}

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>launcherd: measurements</title>
<style>
:root {{ color-scheme: light dark; --ink: #1b1b1b; --paper: #fcfcfa; --line: #ddd }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #e6e6e3; --paper: #17181a; --line: #3a3a3c }} }}
body {{ font: 1rem/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 56rem; margin: auto; padding: 1rem }}
svg {{ width: 100%; height: auto; color: var(--ink) }}
svg text {{ fill: currentColor }}
figure {{ margin: 1rem 0; overflow-x: auto }}
figure svg {{ min-width: 30rem }}
div.scroll {{ overflow-x: auto }}
table {{ border-collapse: collapse; width: 100%; font-size: .85rem }}
td, th {{ text-align: left; padding: .2rem .6rem .2rem 0; border-bottom: 1px solid var(--line) }}
h2 {{ margin-top: 2.5rem }}
a {{ color: inherit }}
.gain {{ color: #2f9e5b }} .loss {{ color: #d1552f }}
</style></head><body>
<h1>launcherd: measurements</h1>
<p>Ratios are wall time of ours by that of what it stands in for, round by round: the
median, with the lowest and highest, or with a 95 % interval from six rounds on. An
interval that holds 1 shows no difference. Machine and method stand in each report.</p>
{body}
</body></html>
"""


# --- SVG


def svg(figure: Any, name: str) -> str:
    """The figure as a part of the page: its colours, few digits, one line."""
    plt.rcParams["svg.hashsalt"] = name
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    plt.close(figure)
    drawn = out.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", drawn, flags=re.DOTALL)
    # The size is the page's; two plots on it must not share names.
    drawn = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", drawn, count=1)
    drawn = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", drawn, count=1)
    for identifier in set(re.findall(r'id="([a-zA-Z0-9_.]+)"', drawn)):
        if f"#{identifier}" not in drawn:
            drawn = drawn.replace(f' id="{identifier}"', "")
    drawn = re.sub(r"(\d+\.\d)\d+", r"\1", drawn)
    drawn = re.sub(r"\s*\n\s*", " ", drawn).replace("> <", "><")
    drawn = drawn.replace(INK, "currentColor").replace("fill: " + PAPER, "fill: none")
    return f"<figure>{drawn}</figure>"


def bare(axis: Any) -> None:
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def label(each: Comparison) -> str:
    more = f" [{each.ours}]" if each.report in ("launch", "agent-tools") else ""
    title = each.title.replace("parent small, 3 descriptors", "small parent")
    return f"{each.report}: {title}{more}"


def ratio_plot(all_of: List[Comparison], name: str) -> str:
    """One line for each comparison, the largest gain first."""
    ordered = sorted(all_of, key=lambda each: each.ratio.median)
    figure, axis = plt.subplots(figsize=(9, 0.7 + 0.21 * len(ordered)))
    for row, each in enumerate(ordered):
        colour = COLOURS[each.verdict]
        axis.plot([each.ratio.low, each.ratio.high], [row, row], color=colour, linewidth=2)
        axis.plot([each.ratio.median], [row], "o", color=colour, markersize=4)
    axis.axvline(1, color=INK, linewidth=0.8)
    axis.set_xscale("log")
    ticks = [tick for tick in (0.05, 0.1, 0.2, 0.5, 1, 2, 5) if in_range(tick, ordered)]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_xticks([], minor=True)
    axis.set_yticks(range(len(ordered)), [label(each) for each in ordered])
    axis.set_ylim(len(ordered) - 0.5, -0.5)
    bare(axis)
    figure.tight_layout()
    return svg(figure, name)


def in_range(tick: float, ordered: List[Comparison]) -> bool:
    low = min(each.ratio.low for each in ordered)
    high = max(each.ratio.high for each in ordered)
    return tick == 1 or low / 1.5 <= tick <= high * 1.5


def rounds_plot(all_of: List[Comparison], name: str) -> str:
    """Each round of both, by the median of the baseline."""
    figure, axis = plt.subplots(figsize=(9, 0.7 + 0.28 * len(all_of)))
    for row, each in enumerate(all_of):
        base = median(each.values[0])
        for values, colour, at in zip(each.values, (BASELINE, OURS), (-0.16, 0.16)):
            scaled = [value / base for value in values]
            axis.plot(scaled, [row + at] * len(scaled), "o", color=colour, markersize=3, alpha=0.7)
            axis.plot([median(scaled)], [row + at], "|", color=colour, markersize=8)
    axis.set_yticks(range(len(all_of)), [label(each) for each in all_of])
    axis.set_ylim(len(all_of) - 0.5, -0.5)
    axis.set_xlim(left=0)
    bare(axis)
    figure.tight_layout()
    return svg(figure, name)


# --- where the time of one job goes


def job_parts(data: Dict[str, Any]) -> List[Tuple[str, Dict[str, float]]]:
    """Microseconds by part, of each program as a shell starts it and as we do;
    from the medians of launch.json, the small parent's."""
    end = ", parent small, 3 descriptors"
    groups = {
        group["what"][: -len(end)]: group["samples"]
        for group in data["groups"]
        if group["what"].endswith(end)
    }

    def of(program: str, method: str, metric: str) -> float:
        return median(compare.column(groups[program][method], metric))

    if "no libc" not in groups:
        return []
    least = of("no libc", "posix_spawn", "first")
    reap = of("no libc", "posix_spawn", "launch") - least
    rows = []
    for program, samples in groups.items():
        if median(compare.column(samples["ours: warm"], "warm")) < 0.5:
            continue
        plain, shell = (of(program, method, "first") for method in ("posix_spawn", "sh -c"))
        warm = of(program, "ours: warm", "first")
        before = {
            "shell": shell - plain,
            "start and exec": least,
            "loader": plain - least,
            "program": of(program, "posix_spawn", "launch") - plain - reap,
            "end and reap": reap,
        }
        after = {
            "clone of a template": warm,
            "program": of(program, "ours: warm", "launch") - warm - reap,
            "end and reap": reap,
        }
        rows += [(f"{program}: sh -c", before), (f"{program}: ours", after)]
    return [(title, {k: max(0.0, v) for k, v in parts.items()}) for title, parts in rows]


def parts_plot(rows: List[Tuple[str, Dict[str, float]]]) -> str:
    """Shares of the time of the first of each two."""
    figure, axis = plt.subplots(figsize=(9, 1.1 + 0.3 * len(rows)))
    for row, (title, parts) in enumerate(rows):
        whole = sum(rows[row - row % 2][1].values())
        left = 0.0
        for part, value in parts.items():
            share = 100 * value / whole
            axis.barh(row, share, left=left, color=PARTS[part], height=0.7)
            left += share
        spent = sum(parts.values()) / 1000
        axis.text(left + 1, row, f"{spent:.2f} ms", va="center", fontsize=8)
    axis.set_yticks(range(len(rows)), [title for title, _ in rows])
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_xlabel("% of the time by sh -c")
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in PARTS.values()]
    axis.legend(handles, list(PARTS), ncol=6, fontsize=7, frameon=False,
                loc="lower center", bbox_to_anchor=(0.4, 1))  # fmt: skip
    bare(axis)
    figure.tight_layout()
    return svg(figure, "parts")


# --- the page


def table(all_of: List[Comparison]) -> str:
    rows = ["<tr><th>what</th><th>against</th><th>wall</th><th>CPU</th><th>report</th></tr>"]
    for each in sorted(all_of, key=lambda each: -each.ratio.median):
        link = f'<a href="{each.report}.md">{each.report}</a>'
        cells = [html.escape(each.title), html.escape(each.baseline)]
        cells += [f'<span class="{each.verdict}">{each.ratio}</span>', each.cpu, link]
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return f'<div class="scroll"><table>{"".join(rows)}</table></div>'


def counts(all_of: List[Comparison]) -> str:
    words = [
        f"{sum(each.verdict == verdict for each in all_of)} {word}"
        for verdict, word in WORDS.items()
    ]
    return f"<p>{len(all_of)} comparisons: {', '.join(words)}.</p>"


def page(results: Path) -> str:
    data = compare.reports(results)
    all_of = compare.all_comparisons(results)
    if not all_of:
        raise SystemExit(f"index.py: error: no samples in {results}")
    single = [each for each in all_of if each.report in SINGLE]
    whole = [each for each in all_of if each.report not in SINGLE]
    body = [counts(all_of)]
    parts_of_all = {"Whole builds, and calls of an agent": whole, "Single launches": single}
    for title, part in parts_of_all.items():
        if part:
            body += [f"<h2>{title}</h2>", ratio_plot(part, title)]
    parts = job_parts(data["launch"]) if "launch" in data else []
    if parts:
        body += [
            "<h2>Where the time of one job goes</h2>",
            "<p>From the call that starts a program until it is reaped, by a shell and by a"
            " clone of a warm template. start and exec: a program without libc, until its first"
            ' instruction. From <a href="launch.md">launch.md</a>, small parent.</p>',
            parts_plot(parts),
        ]
    body += [
        "<h2>When launcherd does not help</h2>",
        "<p>Every comparison in which ours is slower, or in which no difference is shown.</p>",
        table([each for each in all_of if each.verdict != GAIN]),
        "<h2>When it does</h2>",
        table([each for each in all_of if each.verdict == GAIN]),
        "<h2>Round by round</h2>",
        "<p>Each dot is a round, by the median of the baseline's: grey the baseline, blue ours."
        " For launches in a second more is better.</p>",
    ]
    for name, report in data.items():
        mine = [each for each in all_of if each.report == name]
        if mine:
            link = f'<a href="{name}.md">{html.escape(report["title"])}</a>'
            machine = html.escape(report.get("machine", ""))
            body += [f"<h3>{link}</h3>", f"<p><small>{machine}</small></p>"]
            body.append(rounds_plot(mine, name))
    return PAGE.format(body="\n".join(body))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    results = parser.parse_args().results
    plt.rcParams.update({"svg.fonttype": "none", "font.size": 8, "font.family": "sans-serif"})
    text = page(results)
    (results / "index.html").write_text(text)
    print(f"page: {results / 'index.html'}, {len(text) // 1024} KiB")


if __name__ == "__main__":
    main()
