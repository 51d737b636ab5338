#!/usr/bin/env python3
"""What do messages and lines from anybody do to launcherd? Runs the targets of
tests/fuzz by libFuzzer and writes a report.

usage: fuzz.py --build-dir DIR --report FILE [--minutes N] [--keep]

DIR has been configured with clang and LAUNCHER_LIBFUZZER. --keep: what has
reached something new is added to tests/fuzz/corpus, if it is short.
"""

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, NamedTuple

import env

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "tests" / "fuzz" / "corpus"
TARGETS = {
    "protocol": "messages of launcher-sh, to the server of `launcherd make`",
    "serve": "lines of a runtime, to `launcherd serve`",
}
LONGEST_KEPT = 300  # Bytes of an input.
MOST_KEPT = 40  # Inputs of one run.


class Outcome(NamedTuple):
    name: str
    status: int
    inputs: int
    edges: int
    corpus: int
    tail: List[str]


def start(name: str, build: Path, minutes: float, seed: int) -> "subprocess.Popen[str]":
    work = build / "corpus" / name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    command = [str(build / "bin" / f"{name}_fuzz"), f"-max_total_time={int(60 * minutes)}"]
    command += [f"-seed={seed}", "-timeout=30", "-print_final_stats=1"]
    command += [f"-artifact_prefix={build}/{name}-", str(work), str(CORPUS / name)]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=(build / f"{name}_fuzz.log").open("w"),
        text=True,
    )


def finish(name: str, build: Path, process: "subprocess.Popen[str]") -> Outcome:
    status = process.wait()
    log = (build / f"{name}_fuzz.log").read_text(errors="replace")
    states = re.findall(r"#(\d+)\s+\w+\s+cov: (\d+) ft: \d+ corp: (\d+)/", log)
    inputs, edges, corpus = map(int, states[-1]) if states else (0, 0, 0)
    found = re.search(r"stat::number_of_executed_units: (\d+)", log)
    tail = log.splitlines()[-30:] if status else []
    return Outcome(name, status, int(found.group(1)) if found else inputs, edges, corpus, tail)


def keep(name: str, build: Path) -> None:
    """Some of the fewest inputs that come to all the same places."""
    made = build / "corpus" / f"{name}.kept"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    command = [str(build / "bin" / f"{name}_fuzz"), "-set_cover_merge=1", "-use_counters=0"]
    command += [f"-max_len={LONGEST_KEPT}"]
    command += [str(made), str(CORPUS / name), str(build / "corpus" / name)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    known = {path.read_bytes() for path in (CORPUS / name).iterdir()}
    new = [path for path in made.iterdir() if path.read_bytes() not in known]
    for path in sorted(new, key=lambda path: path.stat().st_size)[:MOST_KEPT]:
        shutil.copyfile(path, CORPUS / name / path.name[:12])


def report(
    outcomes: List[Outcome], minutes: float, seed: int, load: float, commit: str
) -> str:
    bad = [outcome for outcome in outcomes if outcome.status]
    answer = "See below." if bad else "Nothing that can be seen: no crash, no hang, no leak."
    lines = [
        "# What anybody may send to launcherd",
        "",
        "Question   What do malformed messages and lines do?",
        f"Answer     {answer}",
        "",
        *env.header(load)[:-1],
        f"Build      {env.first_line('clang', '--version')}; commit {commit}",
        f"Method     libFuzzer with AddressSanitizer and UBSan, {minutes:g} minutes for each target,",
        f"           both at once, seed {seed}; from tests/fuzz/corpus on. Answers are checked,",
        "           connections and descriptors counted after each input",
        "",
        "    target         inputs    edges  corpus  result",
    ]
    for outcome in outcomes:
        result = "good" if outcome.status == 0 else f"FAILED, status {outcome.status}"
        lines.append(
            f"    {outcome.name:10} {outcome.inputs:10,} {outcome.edges:8,} {outcome.corpus:7,}  {result}"
        )
    lines += ["", *(f"    {name:10} {what}" for name, what in TARGETS.items())]
    for outcome in bad:
        lines += ["", *("    " + line for line in outcome.tail)]
    return "\n".join([*lines, "", f"Again      ./configure.py fuzz --minutes={minutes:g}", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build-dir", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--keep", action="store_true")
    args = parser.parse_args()
    build, load, commit = args.build_dir.resolve(), env.load(), env.commit()
    running: Dict[str, "subprocess.Popen[str]"] = {
        name: start(name, build, args.minutes, args.seed) for name in TARGETS
    }
    outcomes = [finish(name, build, process) for name, process in running.items()]
    text = report(outcomes, args.minutes, args.seed, load, commit)
    args.report.write_text(text)
    print(text)
    if any(outcome.status for outcome in outcomes):
        sys.exit("fuzz.py: error: a target has failed")
    if args.keep:
        for name in TARGETS:
            keep(name, build)


if __name__ == "__main__":
    main()
