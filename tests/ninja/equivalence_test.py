#!/usr/bin/env python3
"""Runs every scenario of scenarios.py with upstream's ninja and with ours; any difference in what can be observed is a failure.

Environment: NINJA (ours), NINJA_UPSTREAM. LAUNCHER_ENGINE limits the run to one engine; without it every engine is run, and the first
one also with the shell for every command.
"""

import dataclasses
import difflib
import unittest
from typing import Callable, List

import harness
import scenarios


class EquivalenceTest(unittest.TestCase):
    def check(self, scenario: harness.Scenario, engine: str, shell: str) -> None:
        refusal = harness.clone3_refusal() if engine == "clone3" else ""
        if refusal:
            self.skipTest(refusal)
        env = {"LAUNCHER_SHELL": shell} if shell != "auto" else {}
        upstream = harness.execute(scenario, harness.NINJA_UPSTREAM, harness.NINJA_UPSTREAM, engine, env)
        self.assertEqual(upstream.left_over, tuple(scenario.leaves), "the scenario does not tell what upstream leaves behind")
        ours = harness.execute(scenario, harness.NINJA, harness.NINJA_UPSTREAM, engine, env)
        differences = describe_differences(upstream, ours)
        if not scenario.differs:
            self.assertFalse(differences, "\nours differs from upstream (-):\n" + "\n".join(differences))
        else:
            self.assertTrue(differences, f"no longer differs as told under '{scenario.differs}' in DIFFERENCES.md")
            assert scenario.ours, "a scenario that differs says what ours does"
            scenario.ours(ours)


def describe_differences(upstream: harness.Outcome, ours: harness.Outcome) -> List[str]:
    found = []
    for field in dataclasses.fields(harness.Outcome):
        expected, actual = lines_of(getattr(upstream, field.name)), lines_of(getattr(ours, field.name))
        if expected != actual:
            diff = difflib.unified_diff(expected, actual, "upstream", "ours", lineterm="", n=1) if len(expected) < 2000 else ["(long)"]
            found += [f"* {field.name}", *list(diff)[2:60]]
    return found


def lines_of(value: object) -> List[str]:
    """`value` as lines for a diff, none of them so long that a failure cannot be read."""
    if isinstance(value, bytes):
        pieces: List[object] = list(value.splitlines(keepends=True))
    elif isinstance(value, dict):
        pieces = [f"{key}: {item}" for key, item in sorted(value.items())]
    else:
        pieces = list(value)  # type: ignore[call-overload]
    return [text if len(text) < 500 else f"{text[:400]}... {len(text)} characters, hash {hash(text)}" for text in map(repr, pieces)]


def add_tests() -> None:
    """One test method for each scenario and engine, named after both."""
    names = [scenario.name for scenario in scenarios.SCENARIOS]
    assert len(set(names)) == len(names), "two scenarios have one name"

    def method(scenario: harness.Scenario, engine: str, shell: str) -> Callable[[EquivalenceTest], None]:
        return lambda self: self.check(scenario, engine, shell)

    ways = [(engine, "auto") for engine in harness.engines()] + [(harness.engines()[0], "always")]
    for scenario in scenarios.SCENARIOS:
        for engine, shell in ways:
            setattr(EquivalenceTest, f"test_{scenario.name}__{engine}_{shell}", method(scenario, engine, shell))


add_tests()

if __name__ == "__main__":
    harness.require_binaries()
    unittest.main()
