#!/usr/bin/env python3
"""launcherd exec: what it tells of a program, and that it ends as the program
does.
"""

import base64
import json
import os
import random
import re
import select
import signal
import subprocess
import unittest
from pathlib import Path
from typing import Any, Dict, List, Optional

from support import ENVIRONMENT, HANG, LAUNCHERD, PROBE, Test, state, until

MANUAL = Path(__file__).parents[2] / "launcherd" / "man" / "launcherd-exec.1"
# One launch: nothing is used often.
PLAIN = {**ENVIRONMENT, "LAUNCHER_ENGINE": "auto"}


# It and its child write their pids and wait for the end of the input.
HOLDS = [PROBE, "pid", "1", "fork", "pid", "1", "wait", "0", "end", "wait", "0"]

# Ends when its child runs, and tells its pid; the child waits for the end of the
# input.
LEAVES = [
    "sh",
    "-c",
    f"mkfifo f; exec 3<&0; (echo >f; exec {PROBE} wait 3) & read x <f; echo $!; rm f",
]


class ExecTest(Test):
    def exec(self, *words: str, **more: Any) -> "subprocess.CompletedProcess[str]":
        return self.launcherd("exec", *words, **{"environment": PLAIN, **more})

    def json(self, *words: str, **more: Any) -> Dict[str, Any]:
        done = self.exec("--json", *words, **more)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout.count("\n"), 1)
        return json.loads(done.stdout)

    def start(self, *words: str, **more: Any) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [LAUNCHERD, "exec", *words],
            cwd=self.area,
            env=more.pop("environment", PLAIN),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **more,
        )
        self.addCleanup(self.end, process)
        return process

    def line_of(self, process: "subprocess.Popen[str]") -> str:
        ready, _, _ = select.select([process.stdout], [], [], HANG)
        self.assertTrue(ready, "nothing came")
        return process.stdout.readline()

    @staticmethod
    def end(process: "subprocess.Popen[str]") -> None:
        if process.poll() is None:
            process.kill()
            process.wait(HANG)
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()


class PassesThrough(ExecTest):
    def test_ends_as_the_program(self) -> None:
        for words in [["exit", str(n)] for n in (0, 1, 2, 77, 124, 127, 255)] + [
            ["raise", str(n)] for n in (1, 2, 3, 6, 9, 11, 13, 15, 34, 64)
        ]:
            plain = self.run_in_area([PROBE, *words])
            ours = self.exec("--", PROBE, *words)
            self.assertEqual(
                (plain.returncode, plain.stdout, plain.stderr),
                (ours.returncode, ours.stdout, ours.stderr),
                words,
            )

    def test_streams(self) -> None:
        done = self.exec(PROBE, "write", "1", "out", "write", "2", "err", "echo", "0")
        self.assertEqual((done.stdout, done.stderr), ("out", "err"))
        done = self.exec("--merge", PROBE, "write", "1", "a", "write", "2", "b", "write", "1", "c")
        self.assertEqual((done.stdout, done.stderr), ("abc", ""))

    def test_input(self) -> None:
        (self.area / "file").write_text("of a file")
        (self.area / "null").write_text("called null")
        for chosen, text in (
            ([], ""),
            (["--stdin", "null"], ""),
            (["--stdin", "inherit"], "inherited"),
            (["--stdin", "file"], "of a file"),
            (["--stdin=./null"], "called null"),
        ):
            with (self.area / "given").open("w+") as given:
                given.write("inherited")
                given.seek(0)
                done = self.exec(*chosen, PROBE, "echo", "0", stdin=given)
            self.assertEqual((done.returncode, done.stdout), (0, text), chosen)

    def test_arguments_are_the_program_s_own(self) -> None:
        for words in (["--json", "-x", "--", "--cwd", "/"], ["--", "--"], [""], ["a b", "'"]):
            for dashes in ([], ["--"]):
                done = self.exec(*dashes, PROBE, "argv", *words)
                self.assertEqual(done.stdout.split("\n")[1:-1], words)

    def test_what_it_gets(self) -> None:
        reader, writer = os.pipe()
        try:
            done = self.exec(PROBE, "fds", pass_fds=[reader, writer])
        finally:
            os.close(reader)
            os.close(writer)
        self.assertEqual([line.split()[0] for line in done.stdout.splitlines()], ["0", "1", "2"])
        done = self.exec(PROBE, "sig")
        self.assertRegex(done.stdout, r"SigBlk:\s0{16}\nSigIgn:\s0{16}\nSigCgt:\s0{16}\n")
        pid, parent, group, session = self.exec(PROBE, "ids").stdout.split()
        self.assertEqual(pid, group)
        self.assertEqual(int(session), os.getsid(0))
        self.assertEqual(self.exec("--cwd", "/usr", PROBE, "cwd").stdout, "/usr\n")

    def test_environment(self) -> None:
        ours = self.exec("--env", "A=1", "--env=HOME=", "--env", "B=x=y", PROBE, "env")
        expected = {**PLAIN, "A": "1", "HOME": "", "B": "x=y"}
        self.assertEqual(dict(l.split("=", 1) for l in ours.stdout.splitlines()), expected)
        ours = self.exec("--clear-env", "--env", "A=1", PROBE, "env")
        self.assertEqual(ours.stdout, "A=1\n")
        (self.area / "tool").symlink_to(PROBE)
        ours = self.exec("--env", f"PATH={self.area}", "tool", "argv")
        self.assertEqual((ours.returncode, ours.stdout), (0, "tool\n"))

    def test_what_cannot_be_run(self) -> None:
        (self.area / "file").write_text("x")
        for words, status, reasons in (
            (["nonexistent"], 127, ["lookup", "nonexistent", "No such file"]),
            (["./file"], 126, ["./file", "Permission denied"]),
            (["--cwd", "gone", PROBE], 127, ["chdir", "gone", "No such file"]),
            (["--stdin", "gone", PROBE], 127, ["open", "gone", "No such file"]),
        ):
            done = self.exec(*words)
            self.assertEqual((done.returncode, done.stdout), (status, ""), words)
            for reason in [*reasons, "nothing has been run"]:
                self.assertIn(reason, done.stderr)

    def test_usage(self) -> None:
        for words in (
            [],
            ["--"],
            ["--nonsense", PROBE],
            ["--cap", "1", PROBE],
            ["--json", "--cap", "-1", PROBE],
            ["--timeout", "0", PROBE],
            ["--timeout", "soon", PROBE],
            ["--env", "A", PROBE],
            ["--env", "=A", PROBE],
        ):
            done = self.exec(*words)
            self.assertEqual((done.returncode, done.stdout), (2, ""), words)
            self.assertNotEqual(done.stderr, "", words)
        done = self.exec(PROBE, environment={**PLAIN, "LAUNCHER_ENGINE": "steam"})
        self.assertEqual(done.returncode, 2)

    def test_time_is_up(self) -> None:
        done = self.exec("--timeout", "50", "--stdin", "inherit", PROBE, "wait", "0", stdin=self.open_pipe())
        self.assertEqual(done.returncode, 124)
        self.assertIn("has run out of time", done.stderr)

    def open_pipe(self) -> int:
        """To read from; nothing ever comes."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        return reader

    def test_signals_are_passed_on(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            process = self.start("--stdin", "inherit", PROBE, "pid", "1", "wait", "0")
            self.line_of(process)
            process.send_signal(number)
            self.assertEqual(process.wait(HANG), -number)

    def test_ignored_stays_ignored(self) -> None:
        script = f"trap '' HUP; exec {LAUNCHERD} exec {PROBE} raise 1 sig"
        done = self.run_in_area(["sh", "-c", script])
        self.assertEqual(done.returncode, 0)
        self.assertIn("SigIgn:\t0000000000000001", done.stdout)

    def test_what_is_left_behind_is_killed_and_told(self) -> None:
        process = self.start("--stdin", "inherit", "--", *LEAVES)
        left = int(self.line_of(process))
        self.assertEqual(process.wait(HANG), 0)
        until(lambda: state(left) in ("", "Z"))
        self.assertIn(f"killed process {left} (", process.stderr.read())

    def test_what_is_left_behind_can_be_kept(self) -> None:
        process = self.start("--keep", "--stdin", "inherit", *LEAVES)
        left = int(self.line_of(process))
        self.assertEqual(process.wait(HANG), 0)
        self.assertNotIn(state(left), ("", "Z"))
        process.stdin.close()
        self.assertEqual(process.stderr.read(), "")
        until(lambda: state(left) in ("", "Z"))


class Json(ExecTest):
    def test_exited(self) -> None:
        result = self.json(PROBE, "write", "1", "out", "write", "2", "error", "exit", "3")
        usage, timing = result.pop("usage"), result.pop("timing_us")
        stream = {"encoding": "utf-8", "truncated": False}
        self.assertEqual(
            result,
            {
                "cause": "exited",
                "code": 3,
                "signal": None,
                "core_dumped": False,
                "error": None,
                "stdout": {"data": "out", "bytes": 3, **stream},
                "stderr": {"data": "error", "bytes": 5, **stream},
                "output_complete": True,
                "survivors": [],
                "shell": None,
                "engine": result["engine"],
            },
        )
        self.assertIn(result["engine"], ("clone3", "kernel", "posix_spawn"))
        self.assertGreater(usage["max_rss_kib"], 0)
        order = ["first_output", "exited", "ended"]
        self.assertEqual(sorted(order, key=lambda name: timing[name]), order)

    def test_every_member_is_in_the_manual(self) -> None:
        manual = MANUAL.read_text().replace("\\-", "-")
        bold = set()
        for line in re.findall(r"^\.BR? (.*)", manual, re.M):
            bold.update(word.strip(' ,:"') for word in line.split())
        result = self.json("nonexistent")
        names = set(result)
        for member in result.values():
            names.update(member if isinstance(member, dict) else ())
        self.assertEqual(names - bold, set())

    def test_signaled(self) -> None:
        for number, name in ((15, "SIGTERM"), (9, "SIGKILL"), (34, "SIGRTMIN+0"), (11, "SIGSEGV")):
            result = self.json(PROBE, "raise", str(number))
            found = result["cause"], result["code"], result["signal"], result["error"]
            self.assertEqual(found, ("signaled", None, name, None))

    def test_not_started(self) -> None:
        (self.area / "file").write_text("x")
        (self.area / "text").write_text("x")
        (self.area / "text").chmod(0o755)
        for words, step, name, thing in (
            (["nonexistent"], "lookup", "ENOENT", "nonexistent"),
            (["--cwd", "gone", PROBE], "chdir", "ENOENT", "gone"),
            (["--stdin", "gone", PROBE], "open", "ENOENT", "gone"),
            (["./text"], "execve", "ENOEXEC", "./text"),
            (["./file"], "execve", "EACCES", "./file"),
        ):
            environment = {**PLAIN, "LAUNCHER_ENGINE": "clone3"}
            result = self.json(*words, environment=environment)
            self.assertEqual((result["cause"], result["code"]), ("not_started", None))
            error = result["error"]
            self.assertEqual((error["name"], error["object"]), (name, thing), words)
            self.assertEqual(error["step"], step)
            self.assertIn(os.strerror(error["errno"]), error["message"])

    def test_cap(self) -> None:
        result = self.json("--cap", "10", PROBE, "fill", "1", "100000", "fill", "2", "10")
        out, err = result["stdout"], result["stderr"]
        self.assertEqual((out["data"], out["bytes"], out["truncated"]), ("x" * 10, 100000, True))
        self.assertEqual((err["data"], err["bytes"], err["truncated"]), ("x" * 10, 10, False))
        self.assertTrue(result["output_complete"])
        result = self.json("--cap=0", PROBE, "fill", "1", "7")
        out = result["stdout"]
        self.assertEqual((out["data"], out["bytes"], out["truncated"]), ("", 7, True))
        out = self.json(PROBE, "fill", "1", str(3 << 20))["stdout"]
        self.assertEqual((len(out["data"]), out["bytes"]), (1 << 20, 3 << 20))

    def test_a_character_that_the_cap_cuts(self) -> None:
        for text in ("a\u00e4", "\u20ac", "ab\U0001f600"):
            data = text.encode()
            for cap in range(len(data) + 1):
                out = self.json("--cap", str(cap), PROBE, "write", "1", text)["stdout"]
                self.assertEqual(out["encoding"], "utf-8")
                self.assertEqual(out["data"], data[:cap].decode(errors="ignore"))
                self.assertEqual(out["truncated"], cap < len(data))

    def test_bytes_come_back_as_they_were(self) -> None:
        rng = random.Random(7)
        # Where UTF-8 begins and ends.
        edges = bytes.fromhex("000a227f8090a0bfc0c1c2dfe0e1eceded9fa0eff0f1f3f4f58ff7feff")
        cases = [bytes(range(256)), b"", "h\u00e4\u20ac\U0010ffff\0\"\\".encode(), b"\xed\xa0\x80"]
        cases += [bytes(rng.choices(edges, k=rng.randint(1, 5))) for _ in range(150)]
        for code in (0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF):
            cases.append(chr(code).encode())
        for case in cases:
            (self.area / "bytes").write_bytes(case)
            out = self.json("--stdin", "bytes", PROBE, "echo", "0")["stdout"]
            try:
                case.decode()
                self.assertEqual((out["encoding"], out["data"].encode()), ("utf-8", case))
            except UnicodeDecodeError:
                self.assertEqual(out["encoding"], "base64", case)
                self.assertEqual(base64.b64decode(out["data"], validate=True), case)
            self.assertEqual((out["bytes"], out["truncated"]), (len(case), False))

    def test_names_that_are_no_text(self) -> None:
        done = subprocess.run(
            [LAUNCHERD, "exec", "--json", b"/\xff"], stdout=subprocess.PIPE, env=PLAIN, timeout=HANG
        )
        result = json.loads(done.stdout.decode())
        self.assertEqual(result["error"]["object"], "/\ufffd")

    def test_merged(self) -> None:
        result = self.json("--merge", PROBE, "write", "2", "a", "write", "1", "b")
        self.assertEqual((result["stdout"]["data"], result["stderr"]["bytes"]), ("ab", 0))

    def test_time_is_up_for_all_of_the_group(self) -> None:
        process = self.start("--json", "--timeout", "1000", "--stdin", "inherit", *HOLDS)
        result = json.loads(self.line_of(process))
        self.assertEqual(process.wait(HANG), 0)
        found = result["cause"], result["code"], result["signal"], result["survivors"]
        self.assertEqual(found, ("timed_out", None, "SIGKILL", []))
        self.assertEqual(len(result["stdout"]["data"].split()), 2)
        for pid in result["stdout"]["data"].split():
            until(lambda: state(int(pid)) in ("", "Z"))

    def test_time_is_up_for_other_groups_too(self) -> None:
        holds = ["fork", "setpgid", "pid", "1", "wait", "0", "end", "wait", "0"]
        for keep in ([], ["--keep"]):
            process = self.start(
                "--json", *keep, "--timeout", "1000", "--stdin", "inherit", PROBE, *holds
            )
            result = json.loads(self.line_of(process))
            self.assertEqual(process.wait(HANG), 0)
            self.assertEqual(result["cause"], "timed_out")
            pid = int(result["stdout"]["data"])
            if keep:
                self.assertNotIn(state(pid), ("", "Z"))
                process.stdin.close()
            until(lambda: state(pid) in ("", "Z"))

    def test_survivors(self) -> None:
        environment = {**PLAIN, "LAUNCHER_DRAIN_MS": "20"}
        for keep in ([], ["--keep"]):
            process = self.start(
                "--json", *keep, "--stdin", "inherit", *LEAVES, environment=environment
            )
            result = json.loads(self.line_of(process))
            self.assertEqual(process.wait(HANG), 0)
            (left,) = result["survivors"]
            self.assertIn(left["name"], ("sh", "probe"))
            self.assertEqual((result["cause"], result["code"]), ("exited", 0))
            self.assertFalse(result["output_complete"])
            self.assertEqual(str(left["pid"]), result["stdout"]["data"].strip())
            if keep:
                self.assertNotIn(state(left["pid"]), ("", "Z"))
                process.stdin.close()
            until(lambda: state(left["pid"]) in ("", "Z"))

    def test_signals_are_passed_on(self) -> None:
        process = self.start("--json", "--stdin", "inherit", PROBE, "ignore", "2", "wait", "0")
        until(lambda: b"\0ignore\0" in self.command_of_child(process.pid))
        process.send_signal(signal.SIGTERM)
        result = json.loads(self.line_of(process))
        self.assertEqual((result["cause"], result["signal"]), ("signaled", "SIGTERM"))
        self.assertEqual(process.wait(HANG), 0)

    @staticmethod
    def command_of_child(pid: int) -> bytes:
        try:
            child = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            return Path(f"/proc/{child[0]}/cmdline").read_bytes() if child else b""
        except (FileNotFoundError, ProcessLookupError):
            return b""

    def test_each_engine(self) -> None:
        for engine in ("clone3", "posix_spawn", "warm"):
            environment = {**PLAIN, "LAUNCHER_ENGINE": engine}
            result = self.json(PROBE, "exit", "4", environment=environment)
            self.assertEqual((result["cause"], result["code"]), ("exited", 4))
            if engine != "warm":
                self.assertEqual(result["engine"], engine)

    def test_the_result_cannot_be_written(self) -> None:
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [LAUNCHERD, "exec", "--json", PROBE],
                env=PLAIN,
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                timeout=HANG,
            )
        self.assertEqual(done.returncode, 1)
        self.assertIn("the result is lost", done.stderr)


if __name__ == "__main__":
    unittest.main()
