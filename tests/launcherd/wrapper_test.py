#!/usr/bin/env python3
"""launcherd COMMAND: ends as the command does, whatever happens to either."""

import os
import pty
import re
import select
import signal
import subprocess
import unittest
from pathlib import Path
from typing import List, Tuple

from support import (
    ENVIRONMENT,
    HANG,
    LAUNCHER_SH,
    LAUNCHERD,
    PROBE,
    Test,
    Told,
    state,
    until,
    warm_is_possible,
)

WARM = warm_is_possible()


def orphans_are_reaped() -> bool:
    """Whether a process goes away that outlives its parent."""
    script = "sleep 1000 >/dev/null & echo $!"
    pid = int(subprocess.run(["sh", "-c", script], stdout=subprocess.PIPE).stdout)
    pidfd = os.pidfd_open(pid)
    try:
        os.kill(pid, signal.SIGKILL)
        poll = select.poll()
        poll.register(pidfd, 0)
        return bool(poll.poll(2000))  # POLLHUP: from Linux 6.9 on.
    finally:
        os.close(pidfd)


ORPHANS_ARE_REAPED = orphans_are_reaped()


def children(pid: int) -> List[int]:
    try:
        return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def descriptors(pid: int) -> List[str]:
    try:
        return [os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()]
    except FileNotFoundError:
        return []  # One of them was closed meanwhile.


class Ends(Test):
    def expect_same(self, *command: str) -> None:
        plain = self.run_in_area(list(command))
        ours = self.launcherd(*command)
        self.assertEqual(
            (plain.returncode, plain.stdout, plain.stderr),
            (ours.returncode, ours.stdout, ours.stderr),
            command,
        )

    def test_statuses(self) -> None:
        for status in (0, 1, 2, 126, 127, 128, 255):
            self.expect_same(PROBE, "exit", str(status))

    def test_deaths(self) -> None:
        for number in (1, 2, 3, 6, 9, 10, 11, 13, 15, 24, 34, 64):
            self.expect_same(PROBE, "raise", str(number))

    def test_what_it_inherits(self) -> None:
        for words in (("cwd",), ("fds",), ("limit",), ("sig",), ("argv", "--stats", "-x")):
            plain = self.run_in_area([PROBE, *words]).stdout
            ours = self.launcherd("--", PROBE, *words).stdout
            clean = re.compile(r"pipe:\[\d+\]|SigCgt:.*")
            self.assertEqual(clean.sub("", plain), clean.sub("", ours))
        reader, writer = os.pipe()
        try:
            done = self.launcherd(PROBE, "write", str(writer), "x", pass_fds=[writer])
            self.assertEqual((done.returncode, os.read(reader, 9)), (0, b"x"))
        finally:
            os.close(reader)
            os.close(writer)

    def test_one_variable_and_makes(self) -> None:
        plain = self.run_in_area([PROBE, "env"]).stdout.splitlines()
        ours = self.launcherd(PROBE, "env").stdout.splitlines()
        self.assertEqual(ours[: len(plain)], plain)
        names = [line.split("=")[0] for line in ours[len(plain) :]]
        self.assertEqual(names, ["LAUNCHER_SERVER", "MAKEFILES"])

    def test_makefiles_that_are_there_already(self) -> None:
        environment = {**ENVIRONMENT, "MAKEFILES": "a b"}
        script = f"env | grep ^MAKEFILES; {LAUNCHERD} env | grep ^MAKEFILES"
        done = self.launcherd("sh", "-c", script, environment=environment)
        first, second = done.stdout.splitlines()
        self.assertRegex(first, r"^MAKEFILES=/\S+/launcher\.mk a b$")
        self.assertEqual(first, second)

    def test_what_cannot_be_run(self) -> None:
        (self.area / "file").write_text("x")
        for command, status, reason in (
            ("nonexistent", 127, "No such file or directory"),
            ("./nonexistent", 127, "No such file or directory"),
            ("./file", 126, "Permission denied"),
            ("/", 126, "Permission denied"),
        ):
            done = self.launcherd(command)
            self.assertEqual(done.returncode, status, command)
            self.assertIn(command, done.stderr)
            self.assertIn(reason, done.stderr)
            self.assertIn("nothing has been run", done.stderr)

    def test_usage(self) -> None:
        for words in ([], ["--"], ["--nonsense"], ["--stats"], ["--stats", "--"]):
            done = self.launcherd(*words)
            self.assertEqual((done.returncode, done.stdout), (2, ""), words)
            self.assertNotEqual(done.stderr, "")
        done = self.launcherd("--help")
        self.assertEqual(done.returncode, 0)
        self.assertIn("launcherd [--stats] [--tools] [--] COMMAND", done.stdout)
        done = self.launcherd("make", "--version")
        self.assertIn("GNU Make", done.stdout)
        environment = {**ENVIRONMENT, "LAUNCHER_ENGINE": "steam"}
        done = self.launcherd("true", environment=environment)
        self.assertEqual(done.returncode, 2)
        self.assertIn("LAUNCHER_ENGINE", done.stderr)

    def test_a_command_with_the_name_of_a_subcommand(self) -> None:
        (self.area / "inspect").write_text("#!/bin/sh\necho mine $1\n")
        (self.area / "inspect").chmod(0o755)
        environment = {**ENVIRONMENT, "PATH": f"{self.area}:/usr/bin:/bin"}
        done = self.launcherd("--", "inspect", "x", environment=environment)
        self.assertEqual((done.returncode, done.stdout), (0, "mine x\n"))

    def test_no_file_is_left(self) -> None:
        (self.area / "run").mkdir()
        environment = {**ENVIRONMENT, "XDG_RUNTIME_DIR": str(self.area / "run")}
        done = self.launcherd("ls", str(self.area / "run"), environment=environment)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        environment["XDG_RUNTIME_DIR"] = "/nonexistent"
        script = 'a=${LAUNCHER_SERVER%%,*}; readlink "$a"'
        done = self.launcherd("sh", "-c", script, environment=environment)
        match = re.match(r"(/tmp/launcherd\.\w+)/s \(deleted\)$", done.stdout.strip())
        self.assertTrue(match, done.stdout)
        self.assertFalse(os.path.exists(match.group(1)))


class Signals(Test):
    def start(self, *words: str, **more) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [LAUNCHERD, *words],
            cwd=self.area,
            env=ENVIRONMENT,
            stdin=more.pop("stdin", subprocess.PIPE),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **more,
        )
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process: "subprocess.Popen[bytes]") -> None:
        if process.poll() is None:
            process.kill()
            process.wait(HANG)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()

    def test_sent_to_launcherd_alone(self) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1):
            process = self.start(PROBE, "pid", "1", "wait", "0")
            int(process.stdout.readline())
            process.send_signal(number)
            self.assertEqual(process.wait(HANG), -number)

    def test_caught_by_the_build(self) -> None:
        script = "trap 'echo caught; exit 5' TERM; echo ready; while :; do read x || :; done"
        process = self.start("sh", "-c", script)
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        process.stdin.write(b"\n")
        process.stdin.flush()
        self.assertEqual(process.stdout.readline(), b"caught\n")
        self.assertEqual(process.wait(HANG), 5)

    def test_ignored_stays_ignored(self) -> None:
        script = "trap '' HUP; exec " + LAUNCHERD + " " + PROBE + " raise 1 sig"
        done = self.run_in_area(["sh", "-c", script])
        self.assertEqual(done.returncode, 0)
        self.assertIn("SigIgn:\t0000000000000001", done.stdout)

    def test_the_job_gets_what_its_client_gets(self) -> None:
        if not WARM:
            self.skipTest("nothing can be parked here")
        script = f'exec "$S" -c "{PROBE} pid 1 wait 0"'
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
            process = self.start("sh", "-c", script)
            job = int(process.stdout.readline())
            client = children(process.pid)
            self.assertIn(job, client)  # Started by launcherd: warm.
            client = [c for c in client if c != job and b"\0-c\0" in Path(f"/proc/{c}/cmdline").read_bytes()]
            os.kill(client[0], number)
            # As dash has it: its own status says that the job was killed.
            self.assertEqual(process.wait(HANG), 128 + number)

    def test_a_signal_ends_the_line_behind_the_job(self) -> None:
        """As it ends a shell that has more to do, whatever the job does with it."""
        if not WARM:
            self.skipTest("nothing can be parked here")
        for trap, status, rest in (
            ("", -signal.SIGTERM, b""),
            ("trap '' TERM;", 0, f"{PROBE}\nend\n".encode()),
        ):
            line = f"{PROBE} ignore 15 pid 1 wait 0 && {PROBE} argv end"
            process = self.start("sh", "-c", f'{trap} exec "$S" -c "{line}"')
            job = int(process.stdout.readline())
            client = children(process.pid)
            self.assertIn(job, client)
            client = [c for c in client if c != job and b"\0-c\0" in Path(f"/proc/{c}/cmdline").read_bytes()]
            os.kill(client[0], signal.SIGTERM)
            process.stdin.close()
            self.assertEqual(process.stdout.read(), rest)
            self.assertEqual(process.wait(HANG), status)

    def test_the_job_dies_with_its_client(self) -> None:
        if not WARM:
            self.skipTest("nothing can be parked here")
        process = self.start("sh", "-c", f'exec "$S" -c "{PROBE} pid 1 wait 0"')
        job = int(process.stdout.readline())
        self.assertIn(job, children(process.pid))
        pidfd = os.pidfd_open(job)
        try:
            client = [c for c in children(process.pid) if c != job and b"\0-c\0" in Path(f"/proc/{c}/cmdline").read_bytes()]
            os.kill(client[0], signal.SIGKILL)
            self.assertEqual(process.wait(HANG), -signal.SIGKILL)
            self.assertTrue(select.select([pidfd], [], [], HANG)[0] or state(job) == "")
        finally:
            os.close(pidfd)

    def killed(self, rest: str) -> Tuple[bytes, str]:
        """What a build says whose launcherd is killed while its first line runs: to
        the end of its input, then `rest`."""
        (self.area / "Makefile").write_text(
            f"all: ; -@{PROBE} pid 1 wait 0 {rest}\n"
            f"\t@{PROBE} argv next\n\t@echo end >done\n"
        )
        (self.area / "done").unlink(missing_ok=True)
        process = self.start("make")
        job = int(process.stdout.readline())
        self.assertIn(job, children(process.pid))
        # Its client has been told of it.
        clients = [c for parent in children(process.pid) for c in children(parent)]
        until(lambda: any("pidfd" in link for client in clients for link in descriptors(client)))
        process.kill()
        process.wait(HANG)
        process.stdin.close()
        output, errors = process.stdout.read(), process.stderr.read().decode()
        self.assertEqual((self.area / "done").read_text(), "end\n")
        until(lambda: state(job) in ("", "Z"))
        return output, errors

    def test_the_build_goes_on_without_launcherd(self) -> None:
        """SIGKILL: where the kernel tells how the line on its way has ended, it is as
        if nothing had been; else it fails in so many words. The next ones run by
        themselves, and nothing is left."""
        if not WARM:
            self.skipTest("nothing can be parked here")
        before = set(Path("/tmp").glob("launcherd.*"))
        for rest, said in (("exit 0", ""), ("exit 3", "Error 3 (ignored)"), ("raise 9", "Killed")):
            output, errors = self.killed(rest)
            self.assertEqual(output, f"{PROBE}\nnext\n".encode())
            if "cannot be known" not in errors:
                self.assertIn(said, errors)
                self.assertEqual(errors == "", said == "", errors)
                continue
            self.assertIn("how '" + PROBE + "' has ended cannot be known; this line counts as failed", errors)
            self.assertIn("Error 125 (ignored)", errors)
            # By PIDFD_GET_INFO, if the first process reaps what it inherits.
            version = tuple(map(int, re.findall(r"\d+", os.uname().release)[:2]))
            self.assertFalse(version >= (6, 15) and ORPHANS_ARE_REAPED)
        self.assertEqual(set(Path("/tmp").glob("launcherd.*")) - before, set())

    def in_terminal(self, script: str) -> Tuple[int, int]:
        """A session of its own, with a terminal, in its foreground: pid and the
        other end."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.area)
            os.execve("/bin/sh", ["sh", "-c", script], ENVIRONMENT)
        return pid, terminal

    def read_until(self, terminal: int, text: bytes) -> bytes:
        found = b""
        while text not in found:
            ready, _, _ = select.select([terminal], [], [], HANG)
            self.assertTrue(ready, found)
            try:
                found += os.read(terminal, 4096)
            except OSError:
                break
        return found

    def interrupt(self, command: str) -> Tuple[int, bytes]:
        """What comes of Ctrl-C while a job of make runs."""
        while True:
            pid, terminal = self.in_terminal(f"{command}; echo status $?; exit 7")
            try:
                out = self.read_until(terminal, b"\n")
                os.write(terminal, b"\x03")
                out += self.read_until(terminal, b"to the end of file")
                _, status = os.waitpid(pid, 0)
            finally:
                os.close(terminal)
            # A race in make 4.3: the signal comes when it has just reaped the
            # job and has not noted it yet.
            if b"wait: No child processes" not in out:
                return status, re.sub(rb"\d{3,}", b"N", out)

    def test_interrupt_of_the_terminal(self) -> None:
        (self.area / "Makefile").write_text(f"all: ; @{PROBE} pid 1 wait 0\n")
        plain = self.interrupt("make")
        self.assertEqual(plain, self.interrupt(LAUNCHERD + " make"))
        self.assertIn(b"Interrupt", plain[1])

    def test_stop_and_go_on(self) -> None:
        script = f'set -m; {LAUNCHERD} sh -c \'"$S" -c "{PROBE} pid 1 wait 0 exit 6"\'; echo stopped $?; fg >/dev/null; echo status $?'
        pid, terminal = self.in_terminal(script)
        try:
            out = self.read_until(terminal, b"\n")
            job = int(out.split()[0])
            os.write(terminal, b"\x1a")
            # The shell says 128 + SIGTSTP, and goes on to fg.
            self.read_until(terminal, b"stopped 148")
            until(lambda: state(job) in "SR")
            os.write(terminal, b"\x04")  # End of file.
            self.assertIn(b"status 6", self.read_until(terminal, b"status 6"))
            _, status = os.waitpid(pid, 0)
            self.assertEqual(status, 0)
        finally:
            os.close(terminal)


if __name__ == "__main__":
    unittest.main()
