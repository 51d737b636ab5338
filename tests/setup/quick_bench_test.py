#!/usr/bin/env python3
"""The benchmarks run to their end, with little work, and write what they say
they do. Nothing is asserted about time.

Environment: BUILD_DIR, a finished build.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BUILD = os.environ.get("BUILD_DIR", "")
TYPES = {"object": dict, "array": list, "string": str, "number": (int, float)}


def check(data: Any, schema: Any, where: str) -> None:
    """As much of JSON Schema as schema.json uses."""
    if not isinstance(data, TYPES[schema["type"]]):
        raise AssertionError(f"{where} is not of type {schema['type']}")
    if isinstance(data, list):
        for number, item in enumerate(data):
            check(item, schema["items"], f"{where}[{number}]")
    if isinstance(data, dict):
        missing = set(schema.get("required", ())) - data.keys()
        if missing:
            raise AssertionError(f"{where} lacks {missing}")
        for key, value in data.items():
            more = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
            if not more:
                raise AssertionError(f"{where} has {key}")
            check(value, more, f"{where}.{key}")


class QuickBench(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        # They are no part of a build, and must not be forgotten by a change.
        targets = ["start_bench", "plan_bench", "launch_bench", "scale_bench"]
        command = ["cmake", "--build", BUILD, "-j2", "--target", *targets]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise AssertionError(done.stdout)

    schema = json.loads((ROOT / "bench" / "results" / "schema.json").read_text())

    def run_bench(self, script: str, *more: str) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            report = Path(scratch) / "report.md"
            command = [sys.executable, str(ROOT / "bench" / script), "--build-dir", BUILD]
            done = subprocess.run(
                [*command, "--quick", "--rounds", "1", "--report", str(report), *more],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            self.assertEqual(0, done.returncode, done.stdout)
            text = report.read_text()
            for part in ("^# ", "^Question ", "^Answer ", "^Machine ", "^Method ", "^Again "):
                self.assertRegex(text, re.compile(part, re.MULTILINE))
            samples = json.loads(report.with_suffix(".json").read_text())
        check(samples, self.schema, "data")
        self.assertTrue(samples["groups"])

    def test_edges(self) -> None:
        self.run_bench("edges.py")

    def test_launch_tax(self) -> None:
        self.run_bench("launch_tax.py")

    def test_launch(self) -> None:
        self.run_bench("launch.py")

    def test_scale(self) -> None:
        self.run_bench("scale.py")

    def test_start(self) -> None:
        self.run_bench("start.py")

    def test_repositories(self) -> None:
        self.run_bench("repositories.py", "lua")

    def test_agent_tools(self) -> None:
        self.run_bench("agent_tools.py")

    def test_committed_samples(self) -> None:
        for path in (ROOT / "bench" / "results").glob("*.json"):
            if path.name != "schema.json":
                check(json.loads(path.read_text()), self.schema, path.name)


if __name__ == "__main__":
    if not Path(BUILD, "CMakeCache.txt").exists():
        raise SystemExit("the environment variable BUILD_DIR must name a finished build")
    unittest.main()
