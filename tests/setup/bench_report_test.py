#!/usr/bin/env python3
"""Tests of what the measuring programs keep and say: resuming, marks, the
comparisons, the model, the order and the time of all."""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any, Dict, List
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "bench"))
import builds  # noqa: E402
import compare  # noqa: E402
import env  # noqa: E402
import launch_programs  # noqa: E402
import measure  # noqa: E402
import projects  # noqa: E402
import readme  # noqa: E402
import record  # noqa: E402
import repositories  # noqa: E402
import scale  # noqa: E402
import suite  # noqa: E402


class Scratch(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.dir = Path(directory.name)
        for name, value in (("groups", []), ("journal", record.Journal())):
            patch = mock.patch.object(record, name, value)
            patch.start()
            self.addCleanup(patch.stop)


class RecordTest(Scratch):
    def begin(self, resume: bool, options: str = "x.py --rounds 2") -> None:
        record.journal.__init__()  # type: ignore[misc]
        record.groups.clear()
        words = options.split() + (["--resume"] if resume else [])
        with mock.patch.object(sys, "argv", words):
            record.journal.open(self.dir / "journal", resume)

    def measure(self, what: str) -> int:
        """How many runs that took."""
        runs: List[str] = []

        def one(which: str, number: int) -> measure.Sample:
            runs.append(which)
            return measure.Sample(1.5, 2, 0)

        samples = measure.interleave(["a", "b"], 2, one, what)
        self.assertEqual(2 * [measure.Sample(1.5, 2, 0)], samples["b"])
        return len(runs)

    def test_resuming_does_not_measure_again(self) -> None:
        self.begin(resume=False)
        self.assertEqual(4, self.measure("first"))
        self.begin(resume=True)
        self.assertEqual([0, 4], [self.measure("first"), self.measure("second")])
        self.assertEqual(["first", "second"], [group["what"] for group in record.groups])

    def test_without_resume_all_is_measured(self) -> None:
        self.begin(resume=False)
        self.measure("first")
        self.begin(resume=False)
        self.assertEqual(4, self.measure("first"))

    def test_other_options_or_another_commit_start_anew(self) -> None:
        self.begin(resume=False)
        self.measure("first")
        self.begin(resume=True, options="x.py --rounds 3")
        self.assertEqual(4, self.measure("first"))
        with mock.patch.object(record.env, "commit", return_value="other"):
            self.begin(resume=True, options="x.py --rounds 3")
        self.assertEqual(4, self.measure("first"))

    def test_half_a_line_is_left_out(self) -> None:
        self.begin(resume=False)
        self.measure("first")
        with (self.dir / "journal").open("a") as file:
            file.write('{"what": "second", "samp')
        self.begin(resume=True)
        self.assertEqual([0, 4], [self.measure("first"), self.measure("second")])

    def test_busy_machine_is_told_below_the_title(self) -> None:
        text = "# T\n\nQuestion\n"
        with mock.patch.object(record.Watch, "share", return_value=0.01):
            self.assertEqual(text, record.marked(text))
        with mock.patch.object(record.Watch, "share", return_value=0.5):
            marked = record.marked(text)
        self.assertRegex(marked, r"^# T\n\nUNDER LOAD: other work took 50% .*\n\nQuestion\n$")

    def test_own_work_is_not_that_of_others(self) -> None:
        watch = record.Watch()
        busy = env.machine_cpu() + 1000
        with mock.patch.object(env, "machine_cpu", return_value=busy):
            self.assertGreater(watch.share(), record.BUSY)
            with mock.patch.object(record.Watch, "my_cpu", return_value=watch.mine + busy):
                self.assertEqual(0, watch.share())

    def test_samples_come_back_from_the_file(self) -> None:
        record.add("a: b", {"x, y": [{"wall": 0.1234567, "peak": 12}], "none": []})
        record.write("# Title\n", self.dir / "report.md")
        data = json.loads((self.dir / "report.json").read_text())
        self.assertEqual("Title", data["title"])
        self.assertEqual({"wall", "peak"}, set(data["metrics"]))
        self.assertEqual({"wall": 0.123457, "peak": 12}, data["groups"][0]["samples"]["x, y"][0])


class CompareTest(unittest.TestCase):
    def compare(self, **samples: List[Dict[str, float]]) -> List[compare.Comparison]:
        named = {name.replace("ninja_", "ninja-"): runs for name, runs in samples.items()}
        data: Dict[str, Any] = {"metrics": {}, "groups": [{"what": "w", "samples": named}]}
        return list(compare.comparisons("r", data))

    def test_gain_loss_and_neither(self) -> None:
        base = [{"wall": 1.0, "cpu": 1.0}] * 2
        for wall, verdict in ((0.5, compare.GAIN), (2.0, compare.LOSS), (1.0, compare.NONE)):
            (made,) = self.compare(ninja_upstream=base, ninja=[{"wall": wall, "cpu": 1.0}] * 2)
            self.assertEqual(verdict, made.verdict)

    def test_more_launches_in_a_second_are_a_gain(self) -> None:
        (made,) = self.compare(posix_spawn=[{"rate": 1.0}], warm=[{"rate": 2.0}])
        self.assertEqual([], self.compare(warm=[{"rate": 2.0}]))
        self.assertEqual((compare.GAIN, 0.5), (made.verdict, made.ratio.median))

    def test_every_build_of_a_repository_is_compared(self) -> None:
        run = {"wall": 1.0, "cpu": 1.0, "noop": 1.0, "noop_cpu": 0.0, "one": 1.0, "one_cpu": 1.0}
        made = self.compare(make=[run], **{"launcherd make": [run]})
        self.assertEqual(["w", "w, nothing to do", "w, one file changed"], [m.title for m in made])


class ModelTest(unittest.TestCase):
    def test_threads_beyond_the_cpus_do_not_help(self) -> None:
        model = scale.model([scale.Rate(1000, 100, 800)])
        self.assertEqual((100, 900), model)
        self.assertEqual([1000, 2000, 2000], [model.rate(threads, 2) for threads in (1, 2, 8)])
        self.assertEqual(10000, model.most())
        self.assertEqual(63 * 100 - 900, model.shortest_job(64))


class ProgramsTest(Scratch):
    def test_copy_sends_the_clock_and_ends(self) -> None:
        (made,) = launch_programs.make_programs(self.dir / "x", ["dynamic C"])
        done = subprocess.run(made.sender, stdout=subprocess.PIPE)
        self.assertEqual((0, 16), (done.returncode, len(done.stdout)))
        self.assertEqual(0, subprocess.run(made.words).returncode)


class RepositoryTest(Scratch):
    def test_file_that_changes_has_an_object(self) -> None:
        for name in ("a.c", "b.c", "sub/c.cc", "d.h"):
            (self.dir / name).parent.mkdir(exist_ok=True)
            (self.dir / name).write_text("")
        tree = projects.Tree(self.dir, self.dir)
        products = {"obj/b.o": "", "obj/c.cc.o": "", "lib.a": ""}
        self.assertEqual(self.dir / "sub/c.cc", repositories.changed_file(tree, products))
        self.assertIsNone(repositories.changed_file(tree, {"lib.a": ""}))

    def test_difference_fails_it(self) -> None:
        tree = self.dir / "tree"
        tree.mkdir()
        (self.dir / "logs").mkdir()
        made = {
            which: builds.Contestant(["sh", "-c", f"echo {which} > a.o"], {})
            for which in ("a", "b")
        }
        with self.assertRaisesRegex(measure.MeasureError, "with b differs"):
            builds.Builds("x", self.dir, tree, made).run(1)

    def test_ccache_is_found_by_path_alone(self) -> None:
        plain, cached = projects.variables(None), projects.variables(self.dir)
        self.assertNotIn("ccache", plain["PATH"])
        self.assertEqual(f"{projects.CCACHE}:{plain['PATH']}", cached["PATH"])

    def test_every_source_is_described(self) -> None:
        names = [project.name for project in projects.PROJECTS]
        self.assertEqual(len(names), len(set(names)))
        self.assertLessEqual(set(projects.QUICK), set(names))


class SuiteTest(Scratch):
    def test_quick_takes_less_than_eight_minutes_by_its_estimates(self) -> None:
        quick = suite.chosen("", suite.QUICK)
        self.assertLess(sum(bench.quick for bench in quick), 8)
        self.assertLess(sum(bench.normal for bench in suite.chosen("", suite.NORMAL)), 75)

    def test_one_can_be_chosen_whatever_the_mode(self) -> None:
        (corpus,) = suite.chosen("corpus", suite.QUICK)
        self.assertEqual("corpus.py", corpus.script)
        self.assertEqual([], suite.chosen("nonsense", suite.NORMAL))

    def test_finished_reports_are_not_made_again(self) -> None:
        path = self.dir / "done.json"
        suite.Done(path, suite.FULL, False).add("edges")
        self.assertEqual({"edges"}, suite.Done(path, suite.FULL, True).names)
        self.assertEqual(set(), suite.Done(path, suite.NORMAL, True).names)
        self.assertEqual(set(), suite.Done(path, suite.FULL, False).names)

    def test_every_program_is_there(self) -> None:
        for bench in suite.BENCHES:
            self.assertTrue((ROOT / "bench" / bench.script).is_file(), bench.script)


class ReadmeTest(unittest.TestCase):
    def test_only_the_table_is_written(self) -> None:
        text = "a\n<!-- written by bench/readme.py -->\nold\n<!-- end -->\nb\n"
        made = readme.updated(text)
        self.assertTrue(made.startswith("a\n<!--") and made.endswith("-->\nb\n"))
        self.assertNotIn("old", made)
        self.assertEqual(made, readme.updated(made))


if __name__ == "__main__":
    unittest.main()
