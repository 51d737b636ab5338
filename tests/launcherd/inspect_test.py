#!/usr/bin/env python3
"""`launcherd inspect`: what it says of programs that can be parked and of those
that cannot, and that it runs what it is told to, so often.

Environment: LAUNCHERD, the binary; CHILD_DIR, where the test programs are.
"""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import Dict, List

LAUNCHERD = os.environ["LAUNCHERD"]
CHILDREN = Path(os.environ["CHILD_DIR"])


def inspect(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [LAUNCHERD, "inspect", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def fields(text: str) -> Dict[str, List[str]]:
    """The lines under each title."""
    found: Dict[str, List[str]] = {}
    title = ""
    for line in text.splitlines():
        title = line[:13].strip() or title
        found.setdefault(title, []).append(line[13:])
    return found


class Inspect(unittest.TestCase):
    def told(self, *arguments: str) -> Dict[str, List[str]]:
        done = inspect(*arguments)
        self.assertEqual(done.stderr, "")
        self.assertEqual(done.returncode, 0)
        return fields(done.stdout)

    def test_a_program_that_can_be_parked(self) -> None:
        program = CHILDREN / "warm_nothing"
        told = self.told("--runs", "3", str(program))
        self.assertEqual(told["executable"], [str(program)])
        self.assertIn(f"inode {program.stat().st_ino},", told["identity"][0])
        self.assertRegex(told["interpreter"][0], r"/ld-")
        self.assertRegex("\n".join(told["objects"]), r"libwarm_library_nothing\.so: \d+ reloc")
        self.assertRegex(told["relocations"][0], r"^[1-9]\d*, of these [1-9]\d* by symbol$")
        self.assertRegex(told["loader"][0], r"^\d+ us of CPU time")
        self.assertRegex(told["parked"][0], r"^yes: [1-9]\d* KiB")
        for way in ("cold", "warm"):
            self.assertRegex(told[way][0], r"^wall [1-9]\d* us \(\d+ to \d+\)$")
            self.assertRegex(told[way][1], r"^CPU  \d+ us \(\d+ to \d+\)$")
            self.assertEqual(len(told[way]), 2, "a launch could not be warm")
        self.assertIn("saved", told)

    def test_why_a_program_cannot_be_parked(self) -> None:
        told = self.told("--runs", "1", str(CHILDREN / "warm_asks_for_time"))
        self.assertEqual(told["parked"], ["no: it asks for the time"])
        self.assertIn("cold", told)
        self.assertNotIn("warm", told)

    def test_a_static_program(self) -> None:
        told = self.told("--runs", "0", str(CHILDREN / "hold"))
        self.assertEqual(told["interpreter"], ["none: it is static"])
        self.assertRegex(told["parked"][0], "^no: it has no loader")

    def test_a_script(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            script = Path(directory) / "script"
            script.write_text("#!/bin/sh\nexit 3\n")
            script.chmod(0o755)
            told = self.told("--runs", "1", str(script))
        self.assertRegex(told["interpreter"][0], "^no ELF file")
        self.assertRegex(told["parked"][0], "^no: ")
        self.assertEqual(told["ended"], ["with status 3"])

    def test_it_is_run_as_given_so_often(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            log = Path(directory) / "log"
            line = f'echo "$0 $*" >>{log}'
            self.told("--runs", "2", "sh", "-c", line, "zero", "--runs", "-h", "--")
            runs = log.read_text().splitlines()
            # Twice each way, and once each way before.
            self.assertIn(len(runs), (3, 6))
            self.assertEqual(set(runs), {"zero --runs -h --"})
            log.unlink()
            self.told("--runs", "0", "--", "sh", "-c", line)
            self.assertFalse(log.exists())

    def test_errors(self) -> None:
        done = inspect("no-such-program")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, "^launcherd: error: lookup 'no-such-program': No such file")
        for arguments in ([], ["--runs", "x", "true"], ["--no-such", "true"]):
            done = inspect(*arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertTrue(done.stderr)

    def test_nothing_is_left(self) -> None:
        """Its parked processes are children of it; a pipe that they held would
        keep this from ending."""
        read, write = os.pipe()
        os.set_inheritable(write, True)
        process = subprocess.Popen(
            [LAUNCHERD, "inspect", "--runs", "2", str(CHILDREN / "warm_nothing")],
            stdout=subprocess.DEVNULL,
            pass_fds=[write],
        )
        os.close(write)
        self.assertEqual(process.wait(), 0)
        self.assertEqual(os.read(read, 1), b"")
        os.close(read)


if __name__ == "__main__":
    unittest.main()
