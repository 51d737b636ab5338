#!/usr/bin/env python3
"""launcher-sh against /bin/sh: lines of every kind, by hand and at random, with
a server and without.
"""

import os
import random
import re
import socket
import subprocess
import threading
import unittest
from pathlib import Path
from typing import List, Tuple

from support import ENVIRONMENT, LAUNCHER_SH, PROBE, Test, warm_is_possible

REGRESSIONS = Path(__file__).parents[1] / "shell/regressions.txt"

LINES = [
    "",
    "   ",
    "true",
    "false",
    "exit 7",
    "$P argv a 'b c' \"d e\" f\\ g",
    f"{PROBE} argv a 'b c' \"d e\" f\\ g \\\n h",
    f"{PROBE} env",
    f"A=b {PROBE} env",
    f"{PROBE} fds",
    f"{PROBE} fds >out 2>&1 </dev/null",
    f"{PROBE} fds 2>err >>out",
    f"{PROBE} sig",
    f"cd sub && {PROBE} cwd env",
    f"cd sub && cd .. && true && {PROBE} cwd env",
    f"cd nowhere && {PROBE} cwd",
    f"{PROBE} cwd <nowhere",
    f"{PROBE} cwd >nowhere/out",
    f"{PROBE} exit 9",
    f"{PROBE} raise 9",
    f"{PROBE} raise 11 >out",
    f"true && {PROBE} raise 15",
    f"{PROBE} raise 2",
    f"{PROBE} raise 13",
    f"{PROBE} write 2 words raise 6 2>err",
    f"exec {PROBE} argv x",
    f"{PROBE} argv a && {PROBE} argv b",
    f"{PROBE} env cwd sig && cd sub && {PROBE} env cwd sig && cd .. && {PROBE} env cwd sig",
    f"A=b {PROBE} env >out && C=d {PROBE} env >>out 2>&1",
    f"cd sub && {PROBE} cwd && cd nowhere && {PROBE} cwd",
    f"cd sub && {PROBE} env && cd .. && nonexistent && {PROBE} env",
    f"{PROBE} argv a \\\n && \n {PROBE} argv b && \n\n nonexistent",
    f"{PROBE} argv a && cd sub \\\n && ./nonexistent && \n {PROBE} argv b",
    f"{PROBE} argv a && {PROBE} exit 3 && {PROBE} argv b",
    f"{PROBE} argv a && {PROBE} raise 9 && {PROBE} argv b",
    f"{PROBE} raise 15 2>err && {PROBE} argv b",
    f"{PROBE} argv a && {PROBE} raise 11",
    f"{PROBE} argv a && {PROBE} raise 2 && true",
    f"{PROBE} argv a && {PROBE} raise 13 >out && true",
    f"{PROBE} argv a && exit 5",
    f"{PROBE} argv a && true",
    f"{PROBE} argv a && false && {PROBE} argv b",
    f"{PROBE} argv a && cd sub && {PROBE} cwd <nowhere",
    f"{PROBE} argv a && cd sub",
    f"{PROBE} argv a && cd nowhere",
    f"{PROBE} argv a && exec {PROBE} argv b",
    f"{PROBE} argv a && {PROBE} argv $HOME",
    "mv sub sub2 && mv sub2 sub && ls sub",
    f"cd sub && mv ../sub ../sub2 && {PROBE} cwd env && mv ../sub2 ../sub && {PROBE} cwd env",
    f"cd sub && mv ../sub ../sub2 && cd . && {PROBE} cwd env",
    "cp script made && ./made a && rm made",
    "cd nowhere",
    "cd sub",
    "cd nowhere && true",
    f"{PROBE} argv a; exit 4",
    "nonexistent a b",
    "./script a",
    "./forbidden",
    "sub",
    "ls sub | cat",
    "echo 'a\\tb'",
    "-c",
    "if true; then echo yes; fi",
]


class Shell(Test):
    def setUp(self) -> None:
        super().setUp()
        (self.area / "sub").mkdir()
        (self.area / "script").write_text("echo in a script $1\n")
        (self.area / "script").chmod(0o755)
        (self.area / "forbidden").write_text("echo never\n")

    def result(self, shell: str, arguments: List[str], environment: dict) -> Tuple:
        for name in ("out", "err"):
            (self.area / name).unlink(missing_ok=True)
        if (self.area / "sub2").exists():
            (self.area / "sub2").rename(self.area / "sub")
        done = subprocess.run(
            ["/bin/sh", *arguments],  # As it names itself in messages.
            executable=shell,
            cwd=self.area,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=120,
        )
        files = [
            path.read_bytes() if path.exists() else None
            for path in (self.area / "out", self.area / "err")
        ]
        output = re.sub(rb"pipe:\[\d+\]", b"a pipe", done.stdout)
        return done.returncode, output, done.stderr, files

    def expect_same(self, arguments: List[str], environment: dict = ENVIRONMENT) -> None:
        plain = self.result("/bin/sh", arguments, environment)
        ours = self.result(LAUNCHER_SH, arguments, environment)
        self.assertEqual(plain, ours, arguments)

    def test_lines(self) -> None:
        for line in LINES:
            self.expect_same(["-c", line])
            self.expect_same(["-ec", line])
            self.expect_same(["-e", "-c", line])

    def test_lines_that_once_went_wrong_elsewhere(self) -> None:
        for line in REGRESSIONS.read_text().splitlines():
            text = line.split("\t")[-1]
            if text and not line.startswith("#"):
                self.expect_same(["-c", text.replace("p0", PROBE)])

    def test_other_uses_of_a_shell(self) -> None:
        (self.area / "file").write_text("echo $0 $1; exit 3\n")
        for arguments in (
            ["file", "x"],
            ["-x", "file", "x"],
            ["-c"],
            ["-xc", "echo a"],
            ["-c", "echo $0 $1", "name", "x"],
            ["-c", f"{PROBE} argv $0", "name"],
            ["-s"],
            ["--nonsense"],
            ["-e"],
        ):
            self.expect_same(arguments)

    def test_at_random(self) -> None:
        dice = random.Random(20240917)
        words = ["a", "'b c'", '"d"', "e\\ f", "''", "g=h", "~x", "1", "--", "$S", "x*", "#k"]
        tails = [">out", "2>err", ">>out", "</dev/null", "2>&1", ">&2", "1>out 2>&1", "<sub"]
        starts = ["", "", "", "cd sub && ", "true && ", "A=1 ", "B= ", " \\\n", "cd . &&"]
        ends = ["", "", "", " && true", " ;", " ", " &&" + PROBE + " cwd", " && cd ..", " && exit 4"]
        programs = [PROBE, PROBE, PROBE, "/bin/echo", "printf", "nonexistent", "exit 3 raise 9"]
        for _ in range(500):
            commands = []
            for _ in range(dice.choice([1, 1, 2, 3])):
                command = dice.choice(starts) + dice.choice(programs)
                command = command.replace("exit", PROBE + " " + dice.choice(["exit", ""]))
                command += dice.choice([" argv", " env argv", " cwd argv", " sig argv"])
                for _ in range(dice.randrange(4)):
                    command += dice.choice([" ", "  ", "\t"]) + dice.choice(words)
                for _ in range(dice.randrange(3)):
                    command += dice.choice([" ", ""]) + dice.choice(tails)
                commands.append(command)
            line = dice.choice([" && ", "&&", " &&\n", " \\\n &&"]).join(commands)
            self.expect_same(["-c", line + dice.choice(ends)])

    def test_why_the_shell(self) -> None:
        for line, reason in (
            ("ls *", "glob '*'"),
            ("ls; ls", "operator ';'"),
            ("echo $HOME", "expansion '$'"),
            (f"exec {PROBE}", "exec"),
            (f"{PROBE} && cd / && {PROBE}", "cd after a program"),
            (f"{PROBE} argv a && nonexistent", "a program that is not found"),
            ("cd /nonexistent && ls", "a directory that cannot be entered"),
        ):
            (self.area / "line").write_text(line)
            told = self.with_statistics('"$S" -c "$(cat line)"')
            self.assertEqual(told.shell_reasons, {reason: 1}, line)
        for script, reason in (
            ('umask 0777; "$S" -c "ls >out"', "redirection under this umask"),
            ('"$S" line', "other arguments than -c and a line"),
            ('LAUNCHER_SHELL=always "$S" -c ls', "LAUNCHER_SHELL=always"),
            ('IFS=x; export IFS; "$S" -c "ls x"', "IFS"),
        ):
            told = self.with_statistics(script)
            self.assertEqual(told.shell, 1, told.all)
            self.assertRegex("".join(told.shell_reasons), reason)

    def test_environments(self) -> None:
        for change in (
            {"PATH": ""},
            {"PATH": "relative:/usr/bin:/bin"},
            {"PATH": "/usr/bin/:/bin"},
            {"IFS": "x"},
            {"PWD": "/"},
            {"not-a-name": "x"},
            {"LAUNCHER_SHELL": "always"},
            {"LD_PRELOAD": ""},
            {"OLDPWD": "/usr"},
        ):
            for line in (f"{PROBE} env", "ls sub", "printenv"):
                self.expect_same(["-c", line], {**ENVIRONMENT, **change})
        self.expect_same(["-c", f"{PROBE} env"], {})

    def test_a_server_that_is_not_there_or_is_none_of_ours(self) -> None:
        for name in (
            "",
            ":",
            "/proc/1/fd/3",
            f"/proc/{os.getpid()}/fd/99:" + "0" * 32,
            f"/proc/{os.getpid()}/fd/99,98:" + "0" * 32,
            f"/proc/{os.getpid()}/fd/0,0:" + "0" * 32,
            f"/proc/{os.getpid()}/fd/0:" + "0" * 32,
            "/proc/self/fd/0:" + "0" * 31,
            "/proc/99999999999999999999/fd/0:" + "0" * 32,
            "x" * 4000 + ":" + "0" * 32,
        ):
            self.expect_same(["-c", f"{PROBE} argv x"], {**ENVIRONMENT, "LAUNCHER_SERVER": name})

    def test_answers_that_make_no_sense(self) -> None:
        """A server that says something else, or nothing and hangs up."""
        kind = socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC
        answers = [b"", b"x", bytes(12), b"\x07" + bytes(11), bytes(200)]
        with socket.socket(socket.AF_UNIX, kind) as server:
            path = str(self.area / "socket")
            server.bind(path)
            server.listen()
            server.settimeout(60)
            file = os.open(path, os.O_PATH | os.O_CLOEXEC)
            self.addCleanup(os.close, file)

            def serve() -> None:
                for answer in answers:
                    client, _ = server.accept()
                    with client:
                        client.recv(200_000)
                        client.send(answer)

            thread = threading.Thread(target=serve)
            thread.start()
            name = f"/proc/{os.getpid()}/fd/{file},{file}:" + "0" * 32
            for answer in answers:
                environment = {**ENVIRONMENT, "LAUNCHER_SERVER": name}
                done = self.result(LAUNCHER_SH, ["-c", f"{PROBE} argv x"], environment)
                self.assertEqual(done[:3], (0, f"{PROBE}\nx\n".encode(), b""), answer)
            thread.join()

    def test_a_server_that_goes_away_in_the_middle_is_no_success(self) -> None:
        kind = socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC
        with socket.socket(socket.AF_UNIX, kind) as server:
            path = str(self.area / "socket")
            server.bind(path)
            server.listen()
            server.settimeout(60)
            file = os.open(path, os.O_PATH | os.O_CLOEXEC)
            self.addCleanup(os.close, file)

            def serve() -> None:
                client, _ = server.accept()
                with client:
                    client.recv(200_000)
                    client.send(b"\x01" + bytes(11))  # kLaunching

            thread = threading.Thread(target=serve)
            thread.start()
            name = f"/proc/{os.getpid()}/fd/{file},{file}:" + "0" * 32
            environment = {**ENVIRONMENT, "LAUNCHER_SERVER": name}
            done = self.result(LAUNCHER_SH, ["-c", f"{PROBE} argv x"], environment)
            thread.join()
            self.assertEqual(done[0], 125)
            self.assertEqual(done[1], b"")
            self.assertIn(b"cannot be known; this line counts as failed", done[2])

    @unittest.skipUnless(warm_is_possible(), "nothing can be parked here")
    def test_lines_by_the_server(self) -> None:
        """All at once below one launcherd, then line by line by the shell."""
        (self.area / "lines").mkdir()
        script = ""
        for number, line in enumerate(LINES):
            (self.area / "lines" / str(number)).write_text(line)
            script += (
                f'rm -f out err; ! test -d sub2 || mv sub2 sub; "$SH" -c "$(cat lines/{number})" >o.{number} 2>e.{number}; '
                f"echo $? >s.{number}; cat out err >f.{number} 2>/dev/null\n"
            )

        def results() -> List[Tuple[str, ...]]:
            return [
                tuple((self.area / f"{kind}.{number}").read_text() for kind in "osef")
                for number in range(len(LINES))
            ]

        # The same variables, or the places of others would differ.
        environment = {**ENVIRONMENT, "LAUNCHER_SERVER": "x", "MAKEFILES": "x"}
        self.run_in_area(["sh", "-c", script], {**environment, "SH": "/bin/sh"})
        plain = results()
        told = self.with_statistics(script, environment={**environment, "SH": LAUNCHER_SH})
        drop = ("LAUNCHER_SERVER=", "MAKEFILES=", "SH=")
        for number, (expected, got) in enumerate(zip(plain, results())):
            cut = [
                tuple(
                    "".join(
                        line for line in text.splitlines(keepends=True) if not line.startswith(drop)
                    )
                    for text in result
                )
                for result in (expected, got)
            ]
            self.assertEqual(cut[0], cut[1], LINES[number])
        self.assertGreater(told.warm, 12, told.all)


if __name__ == "__main__":
    unittest.main()
