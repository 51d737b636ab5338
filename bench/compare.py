"""What the samples of the reports say of ours against what it stands in for."""

import json
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

import measure

# In the samples: ours, what it is compared with.
PAIRS = (
    ("ninja", "ninja-upstream"),
    ("launcherd make", "make"),
    ("launcher", "subprocess"),
    ("launcher asyncio", "asyncio"),
    ("ours: warm", "posix_spawn"),
    ("ours: Python", "Python subprocess"),
    ("warm", "posix_spawn"),
)
# Of a sample: metric, its CPU time, what is added to the title.
MEASURES = (
    ("wall", "cpu", ""),
    ("launch", "", ""),
    ("rate", "", ""),
    ("noop", "noop_cpu", ", nothing to do"),
    ("one", "one_cpu", ", one file changed"),
)
MORE_IS_BETTER = ("rate",)
GAIN, NONE, LOSS = "gain", "none", "loss"


class Comparison(NamedTuple):
    report: str  # without .md
    title: str  # what was measured
    ours: str
    baseline: str
    unit: str
    values: Tuple[List[float], List[float]]  # of the baseline, of ours
    ratio: measure.Ratio  # of time: less than 1 is a gain
    cpu: str  # the ratio of CPU time, where it was measured

    @property
    def verdict(self) -> str:
        if self.ratio.low <= 1 <= self.ratio.high:
            return NONE
        return GAIN if self.ratio.median < 1 else LOSS


def read(path: Path) -> Dict[str, Any]:
    return json.loads(path.read_text())


def reports(results: Path) -> Dict[str, Dict[str, Any]]:
    paths = sorted(path for path in results.glob("*.json") if path.name != "schema.json")
    return {path.stem: read(path) for path in paths}


def column(runs: List[Dict[str, float]], metric: str) -> List[float]:
    return [run[metric] for run in runs]


def comparisons(name: str, data: Dict[str, Any]) -> Iterator[Comparison]:
    for group in data["groups"]:
        samples = group["samples"]
        for ours, baseline in PAIRS:
            if ours not in samples or baseline not in samples:
                continue
            for metric, cpu, more in MEASURES:
                if metric not in samples[ours][0]:
                    continue
                pair = (column(samples[baseline], metric), column(samples[ours], metric))
                turned = tuple(reversed(pair)) if metric in MORE_IS_BETTER else pair
                with_cpu = ""
                if cpu:
                    both = [column(samples[which], cpu) for which in (baseline, ours)]
                    # A build of nothing may take less than can be seen.
                    with_cpu = str(measure.ratio(*both)) if min(both[0]) > 0 else "-"
                yield Comparison(
                    name,
                    group["what"] + more,
                    ours,
                    baseline,
                    data["metrics"].get(metric, {"unit": ""})["unit"],
                    pair,
                    measure.ratio(*turned),
                    with_cpu,
                )


def all_comparisons(results: Path) -> List[Comparison]:
    return [
        each for name, data in reports(results).items() for each in comparisons(name, data)
    ]
