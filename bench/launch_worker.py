#!/usr/bin/env python3
"""Does for Python what launch_bench.cc does for C: see there.

usage: launch_worker.py RESIDENT_MIB DESCRIPTORS PROGRAM [ARG...]

Methods: subprocess, python (the launcher module; PYTHONPATH and LAUNCHER_LIBRARY
lead to it).
"""

import os
import resource
import struct
import subprocess
import sys
import time
from statistics import median
from typing import Any, List, Tuple


def usage(who: int) -> Tuple[float, float]:
    used = resource.getrusage(who)
    return (used.ru_utime + used.ru_stime) * 1e6, used.ru_minflt + used.ru_majflt


def warm_launches(name: str, module: Any) -> int:
    return module.statistics().warm_launches if name == "python" else 0


def answer(name: str, words: List[str], launches: int, microseconds: int, send: bool) -> str:
    if name == "subprocess":
        module: Any = subprocess
    else:
        import launcher

        module = launcher
    out, made, first = (pipe[1] if send else subprocess.DEVNULL), 0, []
    parent, child = usage(resource.RUSAGE_SELF), usage(resource.RUSAGE_CHILDREN)
    warm, begin = warm_launches(name, module), time.monotonic_ns()
    while made < launches and (made < 3 or time.monotonic_ns() - begin < microseconds * 1000):
        before = time.monotonic_ns()
        process = module.Popen(
            words, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL
        )
        if process.wait() != 0:
            sys.exit(f"launch_worker.py: {words[0]} failed")
        made += 1
        if send:
            seconds, nanoseconds = struct.unpack("<qq", os.read(pipe[0], 16))
            first.append((seconds * 10**9 + nanoseconds - before) / 1000)
    wall = (time.monotonic_ns() - begin) / 1000
    parent_after, child_after = usage(resource.RUSAGE_SELF), usage(resource.RUSAGE_CHILDREN)
    faults = parent_after[1] - parent[1] + child_after[1] - child[1]
    values = [wall, parent_after[0] - parent[0], child_after[0] - child[0], faults]
    values.append(warm_launches(name, module) - warm)
    cells = [f"{value / made:.4f}" for value in values]
    return " ".join([str(made), *cells, f"{median(first) if first else 0:.3f}"])


def main() -> None:
    ballast = bytearray(int(sys.argv[1]) << 20)
    for page in range(0, len(ballast), 4096):
        ballast[page] = 1
    while os.dup(0) < int(sys.argv[2]) - 1:
        pass
    for request in sys.stdin:
        name, launches, microseconds, send = request.split()
        print(
            answer(name, sys.argv[3:], int(launches), int(microseconds), send == "1"), flush=True
        )


pipe = os.pipe()

if __name__ == "__main__":
    main()
