#!/usr/bin/env python3
"""What users see of the commands that start without a shell. The headings below stand in ninja-patch/DIFFERENCES.md.

Environment: NINJA (ours), NINJA_UPSTREAM. LAUNCHER_ENGINE limits the run to one engine.
"""

import os
import re
import unittest
from typing import Mapping, Optional

import differences_test
import harness
from harness import Scenario
from scenarios import edges, one, rule

HEADINGS = ("Most jobs start without a shell", "Why a command takes the shell can be asked for", "Long command lines work")

ALWAYS = {"LAUNCHER_SHELL": "always"}


class ShellTest(unittest.TestCase):
    ours = differences_test.DifferencesTest.ours
    upstream = differences_test.DifferencesTest.upstream
    each_engine = differences_test.DifferencesTest.each_engine

    def setUp(self) -> None:
        if os.path.basename(os.path.realpath("/bin/sh")) not in ("dash", "bash", "busybox"):
            self.skipTest("plans are off: /bin/sh is none of dash, bash and busybox")

    def test_every_difference_is_documented(self) -> None:
        headings = re.findall(r"^#+ (.*?)\s*$", differences_test.DIFFERENCES.read_text(), flags=re.MULTILINE)
        self.assertEqual(sorted(set(HEADINGS) - set(headings)), [])

    # --- Most jobs start without a shell

    def parent_name(self, engine: str, env: Optional[Mapping[str, str]] = None) -> bytes:
        python = 'import os; print("child of", open(f"/proc/{os.getppid()}/comm").read(), end="")'
        outcome = self.ours(one("parent", f"python3 -c '{python}'"), engine, env)
        self.assertEqual(outcome.status, [0])
        found = re.search(rb"^child of (.*)$", outcome.stdout, flags=re.MULTILINE)
        assert found, outcome.stdout
        return found[1]

    def test_parent_is_ninja(self) -> None:
        self.each_engine(lambda engine: self.assertEqual(self.parent_name(engine), b"ninja"))

    def test_parent_is_the_shell_if_always(self) -> None:
        if os.path.basename(os.path.realpath("/bin/sh")) != "dash":
            self.skipTest("only dash stays")
        self.assertEqual(self.parent_name("", ALWAYS), b"sh")

    def test_setsid_goes_to_the_shell(self) -> None:
        outcome = self.ours(one("setsid", "setsid -w true"), env={}, engine="")
        self.assertEqual(outcome.status, [0])
        tool = self.ours(one("setsid_tool", "setsid -w true", args=["-t", "launch"]))
        self.assertRegex(tool.stdout, rb"100\.0 %  setsid, which asks")

    def test_preloaded_library_takes_the_shell(self) -> None:
        tool = self.ours(one("preload", "true", args=["-t", "launch"], env={"LD_PRELOAD": "libc.so.6"}))
        self.assertIn(b"LD_PRELOAD in the environment", tool.stdout)

    # --- Why a command takes the shell can be asked for

    MIXED = "a: touch a\nb: echo hello\nc: ls *\nd: ls * && true\ne: touch e && touch f"

    def test_launch_tool_counts(self) -> None:
        outcome = self.ours(edges("tool", self.MIXED, args=["-t", "launch"]))
        self.assertEqual(outcome.status, [0])
        self.assertEqual(outcome.stdout.decode().splitlines(), [
            "       2   40.0 %  glob '*'",
            "       2   40.0 %  without a shell",
            "       1   20.0 %  builtin 'echo'",
        ])
        self.assertEqual(set(outcome.files), {"build.ninja"})

    def test_launch_tool_lists_what_a_target_needs(self) -> None:
        manifest = rule("t", "touch $out") + rule("g", "ls *") + "build x: t\nbuild y: g x\nbuild z: t\n"
        outcome = self.ours(Scenario("tool_targets", manifest, args=["-t", "launch", "-v", "y"]))
        self.assertEqual(outcome.stdout.decode().splitlines()[:2], ["without a shell\tx", "glob '*'\ty"])
        self.assertNotIn(b"\tz", outcome.stdout)

    def test_launch_tool_names_an_unknown_target(self) -> None:
        outcome = self.ours(edges("tool_unknown", self.MIXED, args=["-t", "launch", "nothing"]))
        self.assertEqual(outcome.status, [1])
        self.assertIn(b"unknown target 'nothing'", outcome.stderr)

    def test_debug_launch_tells_the_reason(self) -> None:
        def check(engine: str) -> None:
            outcome = self.ours(edges("debug", self.MIXED + "\nf: nothing-there", args=["-d", "launch", "-k0", "-j1"]), engine)
            self.assertEqual(sorted(line for line in outcome.stderr.decode().splitlines()), [
                "ninja launch: shell, builtin 'echo': echo hello",
                "ninja launch: shell, cannot start 'nothing-there': lookup 'nothing-there': No such file or directory: nothing-there",
                "ninja launch: shell, glob '*': ls *",
                "ninja launch: shell, glob '*': ls * && true",
            ])
        self.each_engine(check)

    def test_unknown_shell_use_is_an_error(self) -> None:
        outcome = self.ours(one("unknown_use", "true"), env={"LAUNCHER_SHELL": "sometimes"})
        self.assertEqual(outcome.status, [1])
        self.assertIn(b"LAUNCHER_SHELL 'sometimes; use auto or always'", outcome.stderr)

    # --- Long command lines work

    def test_long_link_line_works(self) -> None:
        objects = " ".join(f"objects/of/some/length/{number:06}.o" for number in range(1 << 15))
        self.assertGreaterEqual(len(objects), (1 << 20) - 1)
        python = "import sys; open(sys.argv[1], \"w\").write(str(len(sys.argv)))"
        scenario = Scenario("long_link", rule("r", f": && python3 -c '{python}' $out {objects} && :") + "build app: r\n")
        self.assertIn(b"Argument list too long", self.upstream(scenario).stderr)

        def check(engine: str) -> None:
            outcome = self.ours(scenario, engine)
            self.assertEqual(outcome.status, [0], outcome.stdout[-200:])
            self.assertIn("app", outcome.files)
        self.each_engine(check)


if __name__ == "__main__":
    harness.require_binaries()
    unittest.main()
