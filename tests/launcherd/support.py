"""What the tests of launcherd and launcher-sh share.

Environment: LAUNCHERD and LAUNCHER_SH, the binaries; CHILD_DIR, where the test
programs are.
"""

import os
import re
import select
import subprocess
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

LAUNCHERD = os.environ["LAUNCHERD"]
LAUNCHER_SH = os.environ["LAUNCHER_SH"]
CHILDREN = Path(os.environ["CHILD_DIR"])
PROBE = str(CHILDREN / "probe")
HANG = 60  # Seconds: far beyond what anything here takes.

# What the tests are started with is not to matter.
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/nonexistent",
    "LAUNCHER_ENGINE": "warm",
    "S": LAUNCHER_SH,
    "P": PROBE,
}


def state(pid: int) -> str:
    """R, S, T, Z, ...; empty if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def until(what: Callable[[], bool]) -> None:
    """For what gives no event: states in proc(5)."""
    limit = time.monotonic() + HANG
    while not what():
        if time.monotonic() > limit:
            raise AssertionError("never came")
        select.select([], [], [], 0.002)


class Test(unittest.TestCase):
    """In a directory of its own."""

    def setUp(self) -> None:
        area = tempfile.TemporaryDirectory()
        self.addCleanup(area.cleanup)
        self.area = Path(area.name).resolve()

    def run_in_area(
        self, words: List[str], environment: Optional[Dict[str, str]] = None, **more: Any
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            words,
            cwd=self.area,
            env=ENVIRONMENT if environment is None else environment,
            stdin=more.pop("stdin", subprocess.DEVNULL),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=HANG,
            **more,
        )

    def launcherd(self, *words: str, **more: Any) -> "subprocess.CompletedProcess[str]":
        return self.run_in_area([LAUNCHERD, *words], **more)

    def with_statistics(self, script: str, **more: Any) -> "Told":
        """Runs a script of /bin/sh below launcherd."""
        return Told(self.launcherd("--stats", "sh", "-c", script, **more))


class Told:
    """What launcherd --stats has said, apart from what the command has."""

    def __init__(self, done: "subprocess.CompletedProcess[str]") -> None:
        self.status = done.returncode
        self.stdout = done.stdout
        lines = done.stderr.splitlines(keepends=True)
        self.stderr = "".join(line for line in lines if not line.startswith("launcherd: "))
        self.all = done.stderr
        counts = re.search(r"(\d+) lines: (\d+) warm, (\d+) in place, (\d+) by", done.stderr)
        self.lines, self.warm, self.in_place, self.shell = (
            map(int, counts.groups()) if counts else (0, 0, 0, 0)
        )
        self.reasons, self.shell_reasons = (
            {
                reason: int(count)
                for count, reason in re.findall(rf"launcherd: {how} (\d+): (.*)", done.stderr)
            }
            for how in ("in place", "by the shell")
        )


def warm_is_possible() -> bool:
    """Where nothing may be traced, nothing is parked."""
    done = subprocess.run(
        [LAUNCHERD, "--stats", "sh", "-c", f"{LAUNCHER_SH} -c '{PROBE} ids'"],
        env=ENVIRONMENT,
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=HANG,
    )
    told = Told(done)
    if told.warm == 1:
        return True
    if "ptrace" in told.all:
        return False
    raise AssertionError(told.all)
