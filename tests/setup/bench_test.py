#!/usr/bin/env python3
"""Tests of the measuring programs: the manifest made from musl's makefile,
what is timed, what is compared, the statistics, and the reports."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import List, Optional
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "bench"))
import builds  # noqa: E402
import edges  # noqa: E402
import launch_tax  # noqa: E402
import measure  # noqa: E402
import musl  # noqa: E402
import ninjas  # noqa: E402
import plan  # noqa: E402

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

    def test_cleaning_leaves_what_was_configured(self) -> None:
        for name in ("src/a.c", "obj/src/a.o", "lib/libc.a", ".ninja_log", "build.ninja"):
            (self.dir / name).parent.mkdir(parents=True, exist_ok=True)
            (self.dir / name).write_text("")
        musl.clean(self.dir)
        left = sorted(str(p.relative_to(self.dir)) for p in self.dir.rglob("*") if p.is_file())
        self.assertEqual(["build.ninja", "src/a.c"], left)

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

    def test_shell_of_the_caller_does_not_reach_the_build(self) -> None:
        script = "echo ${LAUNCHER_SHELL-none} $HOME"
        with mock.patch.dict(os.environ, LAUNCHER_SHELL="always", HOME="/h"):
            self.run_script(script)
            self.assertEqual("none /h", measure.last_lines(self.dir / "log"))
            variables = measure.environment(LAUNCHER_SHELL="auto")
        measure.run(["sh", "-c", script], self.dir, self.dir / "log", variables=variables)
        self.assertEqual("auto /h", measure.last_lines(self.dir / "log"))

    def test_ratio_claims_nothing_when_the_interval_holds_one(self) -> None:
        noisy = measure.ratio([1.0] * 8, [0.8, 1.3, 0.9, 1.2, 0.9, 1.1, 1.2, 0.7])
        self.assertEqual("no difference shown", noisy.verdict)
        self.assertEqual("no difference shown in wall", noisy.factor("wall"))

    def test_ratio_of_many_rounds(self) -> None:
        less, more = measure.ratio([1.0] * 6, [0.5] * 6), measure.ratio([1.0] * 6, [1.25] * 6)
        self.assertEqual("50% less", less.verdict)
        self.assertEqual("2.00x less CPU", less.factor("CPU"))
        self.assertEqual("25% more", more.verdict)
        self.assertEqual("1.25x more CPU", more.factor("CPU"))

    def test_few_rounds_say_how_few_and_have_no_interval(self) -> None:
        few = measure.ratio([1.0] * 3, [0.5, 0.6, 0.7])
        self.assertEqual("40% less in 3 of 3 rounds", few.verdict)
        self.assertEqual("0.600 (0.500 to 0.700)", str(few))

    def test_every_variant_is_compared_with_the_first(self) -> None:
        samples = {
            name: [measure.Sample(wall, 2 * wall, 0)] * 6
            for name, wall in {"a": 2.0, "b": 1.0, "c": 4.0}.items()
        }
        text = "\n".join(measure.comparison(samples))
        self.assertIn("b / a, median of the rounds (95 % bootstrap interval)\n    wall 0.500", text)
        self.assertIn("c / a, median of the rounds (95 % bootstrap interval)\n    wall 2.000", text)


class Ninjas(Scratch):
    """Scripts in place of both ninjas."""

    def setUp(self) -> None:
        super().setUp()
        (self.dir / "bin").mkdir()
        self.tree = self.dir / "tree"
        (self.tree / "sub").mkdir(parents=True)
        (self.tree / "build.ninja").write_text("")
        self.ninja("ninja", "echo a > sub/a.o; mkdir new; echo b > new/b.o; echo 1 > .ninja_log")
        self.ninja("ninja-upstream", (self.dir / "bin/ninja").read_text())

    def ninja(self, name: str, build: str) -> None:
        path = self.dir / "bin" / name
        path.write_text(
            "#!/bin/sh -e\n"
            'if [ "$2 $3" = "-t launch" ]; then\n'
            "  echo '       3   75.0 %  without a shell'; echo '       1   25.0 %  pipe'\n"
            "  exit\n"
            "fi\n"
            'if [ "$2" = -d ]; then echo "launcher: engine clone3, 1 launches"; fi\n'
            f"{build}\n"
        )
        path.chmod(0o755)

    def files(self) -> List[str]:
        return sorted(str(p.relative_to(self.tree)) for p in self.tree.rglob("*"))


class BuildsTest(Ninjas):
    def test_each_build_starts_from_the_configured_tree(self) -> None:
        before = self.files()
        made = builds.NinjaBuilds("x", self.dir, self.tree)
        made.warm_up()
        samples = made.run(2)  # The script fails where new/ is left.
        self.assertEqual(before, self.files())
        self.assertEqual([2, 2], [len(each) for each in samples.values()])
        self.assertEqual({"sub/a.o", "new/b.o"}, set(made.expected or ()))
        self.assertEqual("clone3", made.engine)
        text = made.report("T", "Q?", "x", samples, 0.0)
        self.assertIn("3 of 4 commands without a shell", text)
        self.assertIn("2 products compared byte for byte", text)

    def test_another_content_is_an_error(self) -> None:
        self.ninja("ninja", "echo other > sub/a.o; mkdir new; echo b > new/b.o")
        with self.assertRaisesRegex(measure.MeasureError, "in 1 files:\n  sub/a.o"):
            builds.NinjaBuilds("x", self.dir, self.tree).run(1)

    def test_missing_product_is_an_error(self) -> None:
        self.ninja("ninja", "echo a > sub/a.o")
        with self.assertRaisesRegex(measure.MeasureError, "new/b.o"):
            builds.NinjaBuilds("x", self.dir, self.tree).run(1)

    def test_ninja_without_the_tool_is_an_error(self) -> None:
        (self.dir / "bin/ninja").write_text("#!/bin/sh\necho 'unknown tool'; exit 1\n")
        with self.assertRaisesRegex(measure.MeasureError, "unknown tool\nninja -t launch failed"):
            builds.NinjaBuilds("x", self.dir, self.tree)


class EdgesTest(Ninjas):
    def test_manifest_has_an_edge_for_each(self) -> None:
        edges.write_manifest(self.tree, 3)
        text = (self.tree / "build.ninja").read_text()
        self.assertEqual(3, text.count("\nbuild o"))
        self.assertIn("command = /bin/true $out\n", text)

    def test_longer_builds_get_fewer_rounds(self) -> None:
        quick, slow, long = (
            edges.Workload(1000, edges.TRUE, 2),
            edges.Workload(1000, edges.CMAKE, 2),
            edges.Workload(100000, edges.TRUE, 2),
        )
        for rounds, expected in ((1, [1, 1, 1]), (6, [6, 3, 2]), (24, [24, 6, 6])):
            self.assertEqual(expected, [w.rounds(rounds) for w in (quick, slow, long)])

    def test_contestants_differ_in_program_and_settings(self) -> None:
        self.ninja(
            "ninja",
            f"echo ours ${{LAUNCHER_ENGINE-auto}} ${{LAUNCHER_SHELL-auto}} >> {self.dir}/runs",
        )
        self.ninja("ninja-upstream", f"echo upstream >> {self.dir}/runs")
        made = ninjas.contestants(self.dir, others=False)
        (self.dir / "runs").write_text("")  # Their versions were asked for.
        edges.build(self.dir, edges.Workload(3, edges.TRUE, 1), 1, made)
        runs = (self.dir / "runs").read_text().splitlines()
        ours = ["auto auto", "clone3 auto", "posix_spawn auto", "clone3 always"]
        self.assertEqual(["upstream", *(f"ours {each}" for each in ours)], runs)

    def test_missing_output_is_an_error(self) -> None:
        self.ninja("ninja-upstream", "true")
        made = ninjas.contestants(self.dir, others=False)
        with self.assertRaisesRegex(measure.MeasureError, "made 0 of 3 files"):
            edges.build(self.dir, edges.Workload(3, edges.TOUCH, 1), 1, made)

    def test_report_answers_for_both_sizes(self) -> None:
        walls = {edges.UPSTREAM: 1.8, edges.OURS: 0.9, edges.COLD: 1.2, edges.ALWAYS: 1.8}
        samples = {name: [measure.Sample(w, w, 0)] * 6 for name, w in walls.items()}
        commands = measure.Commands(3, 3)
        made = ninjas.contestants(self.dir, others=False)
        results = [
            edges.Result(edges.Workload(size, edges.TRUE, 2), commands, samples)
            for size in (1000, 10000)
        ]
        text = edges.report(results, made, 0)
        for size in ("1,000", "10,000"):
            self.assertIn(f"{size} edges of /bin/true: 2.00x less wall, 2.00x less CPU\n", text)
            self.assertIn(f"{size} edges of /bin/true: no difference shown in wall, no difference", text)


class LaunchTaxTest(Scratch):
    def test_program_ends_before_it_does_anything(self) -> None:
        path = self.dir / "echo"
        path.write_bytes(launch_tax.end_at_entry(Path("/bin/echo").read_bytes()))
        path.chmod(0o755)
        done = subprocess.run([str(path), "text"], stdout=subprocess.PIPE)
        self.assertEqual((0, b""), (done.returncode, done.stdout))

    def test_script_has_no_entry_point(self) -> None:
        with self.assertRaises(measure.MeasureError):
            launch_tax.end_at_entry(b"#!/bin/sh\n" + 100 * b" ")

    def test_program_that_is_not_there_is_left_out(self) -> None:
        with mock.patch.object(launch_tax, "find", return_value=Path("/nonexistent")):
            self.assertFalse(launch_tax.make("clang", self.dir))


class PlanTest(unittest.TestCase):
    TIMES = (
        "cmake-compile\t600\t20\tread\t1000.0\t900.0\t1100.0\n"
        "cmake-compile\t600\t20\tplan\t4000.0\t3900.0\t4100.0\n"
        "cmake-compile\t600\t20\tprepare\t5000.0\t4900.0\t5100.0\n"
    )

    def instructions(self, second: float) -> plan.Instructions:
        return {("cmake-compile", step): (1000.0, second) for step in plan.STEPS}

    def report(self, counted: Optional[plan.Instructions]) -> str:
        return plan.report(plan.parse_times(self.TIMES), counted, 2, 0)

    def test_times(self) -> None:
        (line,) = plan.parse_times(self.TIMES)
        self.assertEqual((600, 20), (line.size, line.words))
        self.assertEqual(plan.Cost(4000, 3900, 4100), line.cost["plan"])
        self.assertRegex(self.report(None), r"1\.00 \(0\.90 to 1\.10\) +600 ")

    def test_profile(self) -> None:
        self.assertEqual(2956726, plan.parse_count("events: Ir\nsummary: 2956726\n"))
        with self.assertRaisesRegex(plan.PlanError, "counted nothing"):
            plan.parse_count("events: Ir\nsummary: 0\n")

    def test_two_counts_are_compared(self) -> None:
        self.assertIn(", equal within 1%", self.report(self.instructions(1009.0)))
        self.assertIn(", NOT equal within 1%", self.report(self.instructions(1011.0)))

    def test_missing_valgrind_is_said(self) -> None:
        with mock.patch.object(plan.shutil, "which", return_value=None):
            counted = plan.count_all(Path("plan_bench"), plan.parse_times(self.TIMES), Path("."))
        self.assertIsNone(counted)
        self.assertIn("NOT COUNTED: valgrind is not installed", self.report(counted))


if __name__ == "__main__":
    unittest.main()
