#!/usr/bin/env python3
"""Tests of the measuring programs: the manifest made from musl's makefile,
what is timed, and the statistics."""

import os
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "bench"))
import measure  # noqa: E402
import musl  # noqa: E402

PLAN = """\
mkdir -p obj/src
sed -f ./tools/mk.sed ./arch/a.h.in > obj/include/a.h
cp arch/s.h.in obj/include/s.h
sed -n -e s/__NR_/SYS_/p < arch/s.h.in >> obj/include/s.h
printf '#define VERSION "%s"\\n' "$(cd .; sh tools/version.sh)" > obj/v.h
cc -Os -c -o obj/src/a.o src/a.c
cc -c -o obj/src/b.o src/b.s
cp obj/src/a.o lib/crt1.o
rm -f lib/libc.a
ar rc lib/libc.a obj/src/a.o obj/src/b.o
ranlib lib/libc.a
"""


class Scratch(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.dir = Path(directory.name)


class MuslTest(Scratch):
    def manifest(self, plan: str) -> str:
        for name in ("tools/mk.sed", "arch/a.h.in", "arch/s.h.in", "src/a.c", "src/b.s"):
            (self.dir / name).parent.mkdir(exist_ok=True)
            (self.dir / name).write_text("")
        return musl.to_manifest(plan, self.dir)

    def test_one_edge_for_each_file(self) -> None:
        self.assertEqual(7, self.manifest(PLAN).count("\nbuild "))

    def test_compilations_wait_for_generated_headers(self) -> None:
        headers = "obj/include/a.h obj/include/s.h obj/v.h"
        self.assertIn(f"build obj/src/a.o: run src/a.c || {headers}\n", self.manifest(PLAN))

    def test_commands_are_kept_and_dollars_escaped(self) -> None:
        text = self.manifest(PLAN)
        self.assertIn("line = cc -Os -c -o obj/src/a.o src/a.c\n", text)
        self.assertIn('"$$(cd .; sh tools/version.sh)" > obj/v.h\n', text)

    def test_commands_for_one_file_are_joined(self) -> None:
        text = self.manifest(PLAN)
        self.assertIn("build lib/libc.a: run obj/src/a.o obj/src/b.o ||", text)
        self.assertIn(
            "line = rm -f lib/libc.a && ar rc lib/libc.a obj/src/a.o obj/src/b.o "
            "&& ranlib lib/libc.a\n",
            text,
        )

    def test_unknown_command_is_not_skipped(self) -> None:
        with self.assertRaisesRegex(ValueError, "frob x"):
            self.manifest("frob x\n")


class MeasureTest(Scratch):
    def run_script(self, script: str) -> measure.Sample:
        return measure.run(["sh", "-c", script], self.dir, self.dir / "log")

    def test_output_goes_to_the_log(self) -> None:
        self.run_script("echo out; echo err >&2")
        self.assertEqual("out\nerr", measure.last_lines(self.dir / "log"))

    def test_failure_carries_output_and_status(self) -> None:
        with self.assertRaisesRegex(measure.MeasureError, "reason\nstatus 3"):
            self.run_script("echo reason; exit 3")

    def test_cpu_of_orphans_counts(self) -> None:
        burn = "python3 -c 'import time\nwhile time.process_time() < 0.3: pass'"
        sample = self.run_script(f"({burn}) & exit 0")
        self.assertGreater(sample.cpu, 0.25)

    def test_process_left_behind_is_an_error(self) -> None:
        pid_file = self.dir / "pid"
        with self.assertRaisesRegex(measure.MeasureError, "left a process behind"):
            self.run_script(f"sleep 30 & echo $! > {pid_file}")
        pid = int(pid_file.read_text())
        os.kill(pid, 9)
        os.waitpid(pid, 0)

    def test_order_is_interleaved(self) -> None:
        order = []

        def one(which: str, number: int) -> measure.Sample:
            order.append(f"{which}{number}")
            return measure.Sample(1, 1, 0)

        measure.interleave(("a", "b"), 2, one)
        self.assertEqual(["a1", "b1", "b2", "a2"], order)

    def test_ratio_claims_nothing_when_the_interval_holds_one(self) -> None:
        noisy = measure.ratio([1.0, 1.0, 1.0, 1.0], [0.8, 1.3, 0.9, 1.2])
        self.assertEqual("no difference shown", noisy.verdict)
        clear = measure.ratio([1.0] * 5, [0.5, 0.5, 0.5, 0.5, 0.5])
        self.assertEqual("50% less", clear.verdict)


if __name__ == "__main__":
    unittest.main()
