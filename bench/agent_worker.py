#!/usr/bin/env python3
"""Makes the calls of agent_tools.py, some at a time, and says how each went.

usage: agent_worker.py HOW IN_FLIGHT RESIDENT_MIB CALLS FIRST STEP

HOW is subprocess, posix_spawn, asyncio, launcher or launcher_asyncio (the Python
module; PYTHONPATH and LAUNCHER_LIBRARY lead to it). RESIDENT_MIB of memory are
touched before. CALLS is a JSON file, a list of argument lists; of these it makes
number FIRST and every STEP-th after it. Prints JSON: the seconds that each took
and a digest of what each gave.
"""

import asyncio
import hashlib
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

Outcome = Tuple[int, bytes]


def by_subprocess(words: List[str]) -> Outcome:
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return done.returncode, done.stdout


def by_posix_spawn(words: List[str]) -> Outcome:
    """The least that gives the same: no other descriptor is inheritable."""
    read, write = os.pipe()
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, write, 1),
        (os.POSIX_SPAWN_DUP2, write, 2),
    ]
    try:
        pid = os.posix_spawnp(words[0], words, os.environ, file_actions=actions)
    finally:
        os.close(write)
    parts = []
    while True:
        part = os.read(read, 65536)
        if not part:
            break
        parts.append(part)
    os.close(read)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), b"".join(parts)


def by_launcher(words: List[str]) -> Outcome:
    import launcher

    done = launcher.run(
        words, stdin=launcher.DEVNULL, stdout=launcher.PIPE, stderr=launcher.STDOUT
    )
    return done.returncode, done.stdout


async def by_asyncio(words: List[str], module: Any = asyncio) -> Outcome:
    process = await module.create_subprocess_exec(
        *words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, output


async def by_launcher_asyncio(words: List[str]) -> Outcome:
    import launcher

    return await by_asyncio(words, launcher)


IN_LOOP = {"asyncio": by_asyncio, "launcher_asyncio": by_launcher_asyncio}
IN_THREADS: Dict[str, Callable[[List[str]], Outcome]] = {
    "subprocess": by_subprocess,
    "posix_spawn": by_posix_spawn,
    "launcher": by_launcher,
}


def main(how: str, in_flight: str, resident: str, calls: str, first: str, step: str) -> None:
    mine = json.loads(Path(calls).read_text())[int(first) :: int(step)]
    seconds, digests = [0.0] * len(mine), [""] * len(mine)
    numbers = itertools.count()
    ballast = bytearray(int(resident) << 20)
    for page in range(0, len(ballast), 4096):
        ballast[page] = 1

    def note(number: int, began: float, status: int, output: bytes) -> None:
        seconds[number] = time.perf_counter() - began
        digests[number] = hashlib.sha256(b"%d " % status + output).hexdigest()

    def work() -> None:
        for number in iter(lambda: next(numbers), None):
            if number >= len(mine):
                return
            note(number, time.perf_counter(), *IN_THREADS[how](mine[number]))

    async def work_in_loop() -> None:
        for number in iter(lambda: next(numbers), None):
            if number >= len(mine):
                return
            note(number, time.perf_counter(), *await IN_LOOP[how](mine[number]))

    async def all_in_loop() -> None:
        await asyncio.gather(*(work_in_loop() for _ in range(int(in_flight))))

    if how in IN_LOOP:
        asyncio.run(all_in_loop())
    else:
        threads = [threading.Thread(target=work) for _ in range(int(in_flight))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    json.dump({"seconds": seconds, "digests": digests}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
