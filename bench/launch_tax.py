#!/usr/bin/env python3
"""Measures what it takes to bring a program to its entry point.

usage: launch_tax.py --build-dir DIR [--rounds N] [--report FILE]

Each program is a copy of a real one that ends at its entry point: two
instructions there are replaced by exit_group(0). Kernel, loader and libraries
have all to do what they do for the real one; the program itself does nothing.
A build of many such edges, with upstream's ninja (`sh -c`) and with ours.
"""

import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Dict, List, NamedTuple

import edges
import env
import measure
import ninjas
import record
from ninjas import COLD, OURS, UPSTREAM

EDGES = 1000
PROGRAMS = ("noop", "git", "cmake", "python3", "cc1plus", "clang")
CONTESTANTS = (UPSTREAM, COLD, OURS)
# mov $231, %eax (exit_group); xor %edi, %edi; syscall
END = b"\xb8\xe7\x00\x00\x00\x31\xff\x0f\x05"
PT_LOAD = 1
PYTHON = "/usr/bin/python3"


class Tax(NamedTuple):
    program: str
    parked: str  # what `launcherd inspect` says
    samples: edges.Samples

    def microseconds(self, which: str, of: str) -> float:
        return median(getattr(s, of) for s in self.samples[which]) / EDGES * 1e6


def end_at_entry(image: bytes) -> bytes:
    """An ELF executable for x86-64 that does nothing once it is loaded."""
    return with_code_at_entry(image, END)


def with_code_at_entry(image: bytes, code: bytes) -> bytes:
    """The same executable, with other instructions at its entry point."""
    if image[:6] != b"\x7fELF\x02\x01":
        raise measure.MeasureError("not a 64-bit ELF executable")
    entry, headers = struct.unpack_from("<QQ", image, 24)
    size, count = struct.unpack_from("<HH", image, 54)
    for number in range(count):
        header = struct.unpack_from("<IIQQQQ", image, headers + number * size)
        kind, _, offset, address, _, length = header
        if kind == PT_LOAD and address <= entry < address + length:
            at = offset + entry - address
            return image[:at] + code + image[at + len(code) :]
    raise measure.MeasureError("its entry point is in no segment")


def find(program: str) -> Path:
    """The executable, or one that is not there."""
    if program == "cc1plus":
        asked = subprocess.run(
            ["g++", "-print-prog-name=cc1plus"], stdout=subprocess.PIPE, text=True
        )
        return Path(asked.stdout.strip())
    if program in ("python3", Path(PYTHON).resolve().name):
        return Path(PYTHON).resolve()
    return Path(shutil.which(program) or "/nonexistent").resolve()


def make(program: str, directory: Path) -> bool:
    target = directory / program
    if program == edges.NOOP:
        edges.compile_noop(target)
        source = target
    else:
        source = find(program)
    if not source.is_file():
        return False
    image = end_at_entry(source.read_bytes())
    target.unlink(missing_ok=True)
    target.write_bytes(image)
    target.chmod(0o755)
    # It may look for its libraries beside itself.
    return subprocess.run([str(target)], stderr=subprocess.DEVNULL).returncode == 0


def parked(build_dir: Path, program: Path) -> str:
    done = subprocess.run(
        [str(build_dir / "bin" / "launcherd"), "inspect", "--runs", "0", str(program)],
        stdout=subprocess.PIPE,
        text=True,
    )
    objects = re.search(r"^objects +(\d+)", done.stdout, re.MULTILINE)
    count = re.search(r"^relocations +(\d+)", done.stdout, re.MULTILINE)
    memory = re.search(r"^parked +yes: (\d+) KiB", done.stdout, re.MULTILINE)
    cells = [found.group(1) if found else "-" for found in (objects, count, memory)]
    return "{:>8}{:>13}{:>10}".format(*cells)


def measure_program(build_dir: Path, program: str, rounds: int) -> Tax:
    directory = build_dir / "bench" / "launch_tax"
    path = directory / program
    contestants = ninjas.contestants(build_dir, others=False)
    lines = ["rule t", f"  command = {path} $out"]
    lines += [f"build o{number}: t" for number in range(EDGES)]
    (directory / "build.ninja").write_text("\n".join(lines) + "\n")

    def one(which: str, number: int) -> measure.Sample:
        (directory / ".ninja_log").unlink(missing_ok=True)
        ninja, settings, _ = contestants[which]
        return measure.run(
            [str(ninja), "-j1"],
            directory,
            directory / "output",
            variables=measure.environment(**settings),
        )

    if program not in record.journal.done:
        measure.interleave(CONTESTANTS, 1, one)
    samples = measure.interleave(CONTESTANTS, rounds, one, program)
    return Tax(program, parked(build_dir, path), samples)


def report(taxes: List[Tax], skipped: List[str], load: float) -> str:
    samples: Dict[str, List[measure.Sample]] = {
        which: [sample for tax in taxes for sample in tax.samples[which]] for which in CONTESTANTS
    }
    lines = [
        "# Launch tax: from the decision to start a program to its entry point",
        "",
        "Question   What is spent on a job before the first instruction of its program?",
        "Answer     Warm templates against upstream's `sh -c`",
    ]
    for tax in taxes:
        wall, cpu = measure.ratios(tax.samples, OURS)
        lines.append(f"           {tax.program:8} {wall.factor('wall')}, {cpu.factor('CPU')}")
    lines += [
        "",
        *env.header(load),
        "Method     copies of the programs that end at their entry point: exit_group(0) is",
        f"           the first thing there; builds of {EDGES} such edges at -j1, so that wall time",
        "           is that of one after the other, ninja's own work and the end of the",
        f"           process with it; {env.shell()};",
        f"           {len(taxes[0].samples[OURS])} rounds after one that is not counted, interleaved;",
        "           objects, relocations and memory of its own: launcherd inspect;",
        f"           {measure.noise(samples)}",
    ]
    if skipped:
        lines.append(f"           not here, or its copy does not start: {', '.join(skipped)}")
    for of, title in (("wall", "wall time"), ("cpu", "CPU time, whole process tree")):
        lines += ["", f"{title}, us an edge (median of the rounds)", ""]
        head = "".join(f"{which:>16}" for which in CONTESTANTS)
        lines.append(f"  {'':10}{head}   objects  relocations  own KiB")
        for tax in taxes:
            cells = "".join(f"{tax.microseconds(which, of):16.0f}" for which in CONTESTANTS)
            lines.append(f"  {tax.program:10}{cells}  {tax.parked}")
    for tax in taxes:
        lines += ["", tax.program, "", *measure.comparison(tax.samples)]
    lines += [
        "",
        "Reading    the parkings are in it: each build starts without templates, and its first",
        "           edges are cold",
        "Not shown  the page faults that a clone has later, when its program writes to memory",
        "           that it shares: musl.md has whole builds",
        "Again      ./configure.py bench --only launch-tax",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    args = measure.begin(measure.arguments(__doc__, 6))

    load = env.load()
    build_dir = args.build_dir
    directory = build_dir / "bench" / "launch_tax"
    directory.mkdir(parents=True, exist_ok=True)
    try:
        wanted = PROGRAMS[:2] if args.quick else PROGRAMS
        here = [program for program in wanted if make(program, directory)]
        taxes = [measure_program(build_dir, program, args.rounds) for program in here]
    except (measure.MeasureError, OSError) as error:
        sys.exit(f"launch_tax.py: error: {error}")
    text = report(taxes, [p for p in wanted if p not in here], load)
    print(text)
    record.write(text, args.report)


if __name__ == "__main__":
    main()
