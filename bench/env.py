#!/usr/bin/env python3
"""Prints what a benchmark report must say about the machine and the build."""

import os
import platform
import resource
import subprocess
from pathlib import Path
from typing import List, Optional

ROOT = Path(__file__).resolve().parent.parent


def read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def field(text: str, name: str) -> str:
    for line in text.splitlines():
        if line.startswith(name):
            return line.split(":", 1)[1].strip()
    return "unknown"


def first_line(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    except OSError:
        return ""
    return done.stdout.splitlines()[0] if done.returncode == 0 and done.stdout else ""


def machine() -> str:
    memory = int(field(read("/proc/meminfo"), "MemTotal").split()[0]) / (1 << 20)
    return (
        f"{field(read('/proc/cpuinfo'), 'model name')}, "
        f"{cpus()} CPUs, {memory:.0f} GiB; "
        f"Linux {platform.release()}; {' '.join(platform.libc_ver())}"
    )


def mitigations() -> str:
    if "mitigations=off" in read("/proc/cmdline"):
        return "mitigations off"
    states = [
        read(str(path)) for path in Path("/sys/devices/system/cpu/vulnerabilities").glob("*")
    ]
    active = sum("Mitigation" in state for state in states)
    return f"{active} CPU mitigations on"


def transparent_huge_pages() -> str:
    setting = read("/sys/kernel/mm/transparent_hugepage/enabled")
    return setting.split("[")[1].split("]")[0] if "[" in setting else "unknown"


def shell() -> str:
    """Which shell upstream's ninja runs each command with."""
    return f"/bin/sh is {Path('/bin/sh').resolve().name}"


def cpus() -> int:
    return len(os.sched_getaffinity(0))


def children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def machine_cpu() -> float:
    """CPU seconds this machine was busy, or wanted to be (steal), since boot."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().split()[1:9]
    )
    ticks = user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK")


def load() -> float:
    return os.getloadavg()[0]


def commit() -> str:
    head = first_line("git", "rev-parse", "--short=12", "HEAD") or "none"
    # The reports of this very run do not count, nor what is written from them.
    changed = first_line(
        *("git", "status", "--porcelain", "--untracked-files=no"),
        *(".", ":!bench/results", ":!README.md"),
    )
    return head + (" with local changes" if changed else "")


def header(load_before: Optional[float] = None) -> List[str]:
    loads = f"load {load():.2f}"
    if load_before is not None:
        loads = f"load {load_before:.2f} before, {load():.2f} after"
    return [
        f"Machine    {machine()}",
        f"Settings   {mitigations()}; THP {transparent_huge_pages()}; {loads};",
        "           no CPU pinning",
        f"Build      {first_line('g++', '--version')}, Release; commit {commit()}",
    ]


if __name__ == "__main__":
    print("\n".join(header()))
