#!/usr/bin/env python3
"""Shows each intended difference from upstream. Every heading below stands in ninja-patch/DIFFERENCES.md.

Environment: NINJA (ours), NINJA_UPSTREAM. LAUNCHER_ENGINE limits the run to one engine.
"""

import dataclasses
import os
import re
import signal
import time
import unittest
from pathlib import Path
from typing import Callable, Mapping, Optional

import harness
from harness import Outcome, Run, Scenario
from scenarios import SCENARIOS, edges, one, rule

DIFFERENCES = Path(__file__).resolve().parents[2] / "ninja-patch" / "DIFFERENCES.md"

CANNOT_START = "One job that cannot be started fails alone"
CLOSED_OUTPUT = "A job that closes its output does not hold up others"
LEFT_OVER = "Left-over process is named after 5 s"
SECOND_INTERRUPT = "A second interrupt kills"
ONE_STATUS = "An interrupt always ends with status 130"
LIBC_SIGNALS = "Signals 32 and 33 keep their default action"
FORCED_ENGINE = "The engine can be forced"
HEADINGS = (CANNOT_START, CLOSED_OUTPUT, LEFT_OVER, SECOND_INTERRUPT, ONE_STATUS, LIBC_SIGNALS, FORCED_ENGINE)

UNUSED_UID = 64321  # nobody else's processes count against its limit


class DifferencesTest(unittest.TestCase):
    def ours(self, scenario: Scenario, engine: str = "", env: Optional[Mapping[str, str]] = None) -> Outcome:
        outcome = harness.execute(scenario, harness.NINJA, harness.NINJA_UPSTREAM, engine, env)
        self.assertEqual(outcome.left_over, tuple(scenario.leaves))
        return outcome

    def upstream(self, scenario: Scenario) -> Outcome:
        return harness.execute(scenario, harness.NINJA_UPSTREAM, harness.NINJA_UPSTREAM)

    def each_engine(self, check: Callable[[str], None]) -> None:
        for engine in harness.engines():
            with self.subTest(engine=engine):
                refusal = harness.clone3_refusal() if engine == "clone3" else ""
                if refusal:
                    self.skipTest(refusal)
                check(engine)

    def test_every_difference_is_documented(self) -> None:
        headings = re.findall(r"^#+ (.*?)\s*$", DIFFERENCES.read_text(), flags=re.MULTILINE)
        told = set(HEADINGS) | {scenario.differs for scenario in SCENARIOS if scenario.differs}
        self.assertEqual(sorted(told - set(headings)), [])

    # --- CANNOT_START; what ours does with a long command is in scenarios.py

    def test_upstream_ends_when_a_command_is_too_long(self) -> None:
        scenario = next(scenario for scenario in SCENARIOS if scenario.name == "command_too_long")
        outcome = self.upstream(scenario)
        self.assertEqual(outcome.status, [1])
        self.assertIn(b"ninja: fatal: posix_spawn: Argument list too long", outcome.stderr)
        self.assertNotIn("other", outcome.files)

    def test_long_command_of_a_console_job_fails_alone(self) -> None:
        scenario = Scenario("long_console", rule("r", f": {'x' * (129 * 1024)}", "pool = console") + rule("o", "touch other") +
                            "build big: r\nbuild other: o\n", args=["-j1", "-k0"])

        def check(engine: str) -> None:
            outcome = self.ours(scenario, engine)
            self.assertEqual(outcome.status, [1])
            self.assertRegex(outcome.stdout, rb"ninja: cannot start .*: .*Argument list too long")
            self.assertIn("other", outcome.files)
        self.each_engine(check)

    def test_few_descriptors_are_enough(self) -> None:
        scenario = held_jobs("few_descriptors", 100, 'ulimit -n 30; exec "$@"', "-j64")
        self.assertIn(b"Too many open files", self.upstream(dataclasses.replace(scenario, driver=None)).stderr)

        def check(engine: str) -> None:
            outcome = self.ours(scenario, engine)
            self.assertEqual(outcome.status, [0], outcome.stdout[-1000:])
            self.assertEqual(sum(name.startswith("o") for name in outcome.files), 100)
        self.each_engine(check)

    def test_few_processes_are_enough_or_fail_single_jobs(self) -> None:
        if os.getuid() != 0:
            self.skipTest("RLIMIT_NPROC counts all processes of the user: root is needed to become a user without any")
        for limit in (12, 4):
            start = (f"chmod 755 .. ../..; chmod 777 . $(ls); "
                     f"exec setpriv --reuid={UNUSED_UID} --regid={UNUSED_UID} --clear-groups prlimit --nproc={limit} \"$@\"")
            scenario = held_jobs(f"few_processes_{limit}", 40, start, "-j30", "-k0")

            def check(engine: str) -> None:
                outcome = self.ours(scenario, engine)
                failed = re.findall(rb"^FAILED: .*\n.*\n(.*)", outcome.stdout, flags=re.MULTILINE)
                made = sum(name.startswith("o") for name in outcome.files)
                self.assertEqual(made + len(failed), 40, outcome)
                self.assertEqual(outcome.status, [1 if failed else 0])
                for line in failed:
                    self.assertRegex(line, rb"ninja: cannot start .*: .*Resource temporarily unavailable")
            self.each_engine(check)

    # --- CLOSED_OUTPUT

    def test_job_that_closes_its_output_does_not_hold_up_others(self) -> None:
        # `last` can start only when ninja has seen the end of `first`, and `closer` ends only when `last` has run.
        closer = rule("closer", "exec >&- 2>&-; echo > closed; read x < gate; touch closer")
        scenario = Scenario("closed_output", closer + rule("first", "read x < closed; touch first") + rule("last", "echo > gate; touch last") +
                            "build closer: closer\nbuild first: first\nbuild last: last first\n", args=["-j2"], fifos=["closed", "gate"])

        def check(engine: str) -> None:
            outcome = self.ours(scenario, engine)
            self.assertEqual(outcome.status, [0])
            self.assertTrue({"closer", "first", "last"} <= set(outcome.files))
        self.each_engine(check)

    # --- LEFT_OVER

    def test_left_over_process_is_named(self) -> None:
        waited = []

        def drive(run: Run) -> None:
            begin = time.monotonic()
            pid = run.event("started")
            found = run.wait_stderr(rb"(?m)^ninja: warning: .*held.* by pid (\d+) \((.*)\)$")
            waited.append(time.monotonic() - begin)
            self.assertEqual(found.groups(), (pid.encode(), b"head"))
            run.release("gate")

        outcome = self.ours(one("left_over", "head -n 1 gate & echo $! > started; echo hi; touch out", fifos=["started", "gate"], driver=drive))
        self.assertEqual(outcome.status, [0])
        self.assertRegex(outcome.stdout, rb"\nhi\n")
        self.assertEqual(len(outcome.stderr.splitlines()), 1, outcome.stderr)
        self.assertGreater(waited[0], 4.5)
        self.assertLess(waited[0], 20)

    def test_drain_time_ends_the_job(self) -> None:
        def check(engine: str) -> None:
            outcome = self.ours(one("drained", "head -n 1 gate & echo hi; touch out", fifos=["gate"], leaves=["head"]), engine,
                                {"LAUNCHER_DRAIN_MS": "100"})
            self.assertEqual(outcome.status, [0])
            self.assertRegex(outcome.stdout, rb"\nhi\n")
            self.assertEqual(outcome.todo.splitlines()[-1], b"ninja: no work to do.")
        self.each_engine(check)

    def test_failure_is_kept_when_the_drain_time_ends_the_job(self) -> None:
        outcome = self.ours(one("drained", "head -n 1 gate & echo hi; exit 3", fifos=["gate"], leaves=["head"]), "",
                            {"LAUNCHER_DRAIN_MS": "100"})
        self.assertEqual(outcome.status, [3])
        self.assertIn(b"FAILED: [code=3] out \n", outcome.stdout)

    def test_nonsense_as_drain_time_is_an_error(self) -> None:
        outcome = self.ours(one("drain_nonsense", "touch out"), "", {"LAUNCHER_DRAIN_MS": "soon"})
        self.assertNotEqual(outcome.status, [0])
        self.assertRegex(outcome.stderr, rb"LAUNCHER_DRAIN_MS")
        self.assertIn(b"soon", outcome.stderr)
        self.assertNotIn("out", outcome.files)

    # --- SECOND_INTERRUPT, ONE_STATUS

    def test_second_interrupt_kills(self) -> None:
        def drive(first: int, second: int) -> Callable[[Run], None]:
            def both(run: Run) -> None:
                run.job_waits()
                run.settle()
                run.signal(first)
                run.event("signalled")
                time.sleep(0.2)  # within 100 ms the two would be one interrupt
                run.signal(second)
            return both

        def check(engine: str) -> None:
            for first, second in ((signal.SIGINT, signal.SIGINT), (signal.SIGINT, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT)):
                outcome = self.ours(one("second_interrupt", "trap 'echo > signalled' INT TERM; echo new > out; echo $$ > started; "
                                        "while :; do read x < gate; done", fifos=["started", "signalled", "gate"],
                                        driver=drive(first, second)), engine)
                self.assertEqual(outcome.status, [130])
                self.assertEqual(outcome.stdout, b"ninja: build stopped: interrupted by user.\n")
                self.assertNotIn("out", outcome.files)
        self.each_engine(check)

    def test_two_signals_at_once_are_one_interrupt(self) -> None:
        def drive(run: Run) -> None:
            run.job_waits()
            run.settle()
            # Stopped meanwhile: it must not end between two of them.
            for signum in (signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCONT):
                run.signal(signum)

        # The job may take its time after the first: it is not killed.
        job = "trap 'touch cleaned; exit 1' INT TERM HUP; echo new > out; echo $$ > started; while :; do read x < gate; done"

        def check(engine: str) -> None:
            for _ in range(5):
                outcome = self.ours(one("two_signals", job, fifos=["started", "gate"], driver=drive), engine)
                self.assertEqual(outcome.status, [130])
                self.assertIn("cleaned", outcome.files)
                self.assertNotIn("out", outcome.files)
        self.each_engine(check)

    def test_interrupt_in_a_flood_of_output(self) -> None:
        def drive(run: Run) -> None:
            run.event("started")
            run.signal(signal.SIGINT)

        def check(engine: str) -> None:
            for _ in range(5):
                outcome = self.ours(one("flood", "echo new > out; echo > started; exec yes", fifos=["started"], driver=drive), engine)
                self.assertEqual(outcome.status, [130])
                self.assertEqual(outcome.stdout, b"ninja: build stopped: interrupted by user.\n")
                self.assertNotIn("out", outcome.files)
        self.each_engine(check)

    # --- LIBC_SIGNALS

    @unittest.skipIf(harness.clone3_refusal(), harness.clone3_refusal())
    def test_signals_of_the_libc_are_not_ignored(self) -> None:
        # glibc's posix_spawn, and so upstream, makes its children ignore the two signals that glibc uses itself.
        scenario = one("libc_signals", "grep SigIgn /proc/self/status")
        ignored = int(re.findall(rb"SigIgn:\t(\w+)", self.ours(scenario, "clone3").stdout)[0], 16)
        self.assertEqual(ignored, 0)

    # --- FORCED_ENGINE

    def test_forced_engine_builds(self) -> None:
        scenario = edges("forced", "a: touch a; echo said\nb: touch b", args=["-j1"])

        def check(engine: str) -> None:
            outcome = self.ours(scenario, engine)
            self.assertEqual((outcome.status, outcome.stderr), ([0], b""))
            self.assertTrue({"a", "b"} <= set(outcome.files))
        self.each_engine(check)

    def test_unknown_engine_is_an_error(self) -> None:
        outcome = self.ours(one("unknown_engine", "touch out"), "nonsense")
        self.assertNotIn(outcome.status, ([0], [-signal.SIGABRT]))
        for word in (b"LAUNCHER_ENGINE", b"nonsense", b"auto", b"clone3", b"posix_spawn"):
            self.assertIn(word, outcome.stderr)
        self.assertNotIn("out", outcome.files)


def held_jobs(name: str, count: int, start: str, *args: str) -> Scenario:
    """`count` jobs that wait until ninja has started all that it can."""
    def drive(run: Run) -> None:
        run.event("started")
        run.settle()
        run.release("gate", count)

    return Scenario(name, rule("r", "echo > started; read x < gate; echo > $out") + "".join(f"build o{n}: r\n" for n in range(count)),
                    args=args, start=start, fifos=["started", "gate"], driver=drive, unordered=True)


if __name__ == "__main__":
    harness.require_binaries()
    unittest.main()
