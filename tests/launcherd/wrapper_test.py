#!/usr/bin/env python3
"""launcherd COMMAND: ends as the command does, whatever happens to either; and
what its server gives a job is what the client would have given it.
"""

import ctypes
import os
import pty
import random
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import time
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
IS_ROOT = os.geteuid() == 0


def children(pid: int) -> List[int]:
    try:
        return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


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

    def test_the_build_goes_on_without_launcherd(self) -> None:
        """SIGKILL: a line on its way fails in so many words, the next ones run
        by themselves, and nothing is left."""
        if not WARM:
            self.skipTest("nothing can be parked here")
        (self.area / "Makefile").write_text(
            "all: ; -@$P pid 1 wait 0\n\t@$P argv next\n\t@echo end >done\n".replace("$P", PROBE)
        )
        before = set(Path("/tmp").glob("launcherd.*"))
        process = self.start("make")
        job = int(process.stdout.readline())
        self.assertIn(job, children(process.pid))
        process.kill()
        process.wait(HANG)
        # The job lives; it is told to end.
        process.stdin.close()
        rest = process.stdout.read()
        self.assertEqual(rest, f"{PROBE}\nnext\n".encode())
        errors = process.stderr.read().decode()
        self.assertIn("how '" + PROBE + "' has ended cannot be known; this line counts as failed", errors)
        self.assertIn("Error 125 (ignored)", errors)
        self.assertEqual((self.area / "done").read_text(), "end\n")
        self.assertEqual(set(Path("/tmp").glob("launcherd.*")) - before, set())
        until(lambda: state(job) in ("", "Z"))

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


class Faithful(Test):
    """What the client has and launcherd has not: the program has it too."""

    LINES = [
        *(f"/bin/cat /proc/self/{name}" for name in ("status", "limits", "cgroup")),
        *(f"/bin/cat /proc/self/{name}" for name in ("personality", "oom_score_adj")),
        "/bin/ls -l /proc/self/ns",
        "/usr/bin/nice",
        "/usr/bin/ionice",
    ]

    def ask(self, change: str) -> Told:
        """What programs of launcher-sh see of themselves, and those of sh."""
        out = []
        for shell in ("/bin/sh", LAUNCHER_SH):
            script = "; ".join(f'{change} "{shell}" -c "{line}"' for line in self.LINES)
            told = self.with_statistics(script)
            own = (
                r"(?m)^(Pid|Tgid|PPid|Ngid|NStgid|NSpid|NSpgid|Vm.*|Rss.*|Hugetlb.*|SigQ|SigPnd|"
                r"x86.*|(non)?voluntary.*|FDSize|CoreDumping|Threads):.*\n|^total.*\n"
            )
            text = re.sub(r"\w{3} +\d+ \d\d:\d\d|/proc/\d+", "", told.stdout)
            out.append((told.status, re.sub(own, "", text), told.stderr))
        self.assertEqual(out[0], out[1])
        return told

    def expect_in_place(self, change: str, reason: str) -> None:
        with self.subTest(change):
            told = self.ask(change)
            self.assertEqual(told.warm, 0, told.all)
            if WARM:
                self.assertIn(f"other than launcherd: {reason}", told.reasons)

    def test_the_same(self) -> None:
        told = self.ask("")
        if WARM:
            self.assertEqual(told.warm, len(self.LINES), told.all)

    def test_limits(self) -> None:
        self.expect_in_place("ulimit -n 100;", "limits")
        self.expect_in_place("ulimit -c 0; ulimit -s 1000;", "limits")

    def test_what_sh_can_change(self) -> None:
        self.expect_in_place("umask 027;", "Umask")
        self.expect_in_place("nice -n 3", "scheduling")
        self.expect_in_place("ionice -c 3", "I/O priority")
        self.expect_in_place("chrt -b 0", "scheduling")
        self.expect_in_place("setarch -R", "personality")
        self.expect_in_place("choom -n 500 --", "oom_score_adj")
        self.expect_in_place("setpriv --no-new-privs", "NoNewPrivs")
        self.expect_in_place("setpriv --pdeathsig TERM", "parent death signal")
        if len(os.sched_getaffinity(0)) > 1:
            one = min(os.sched_getaffinity(0))
            self.expect_in_place(f"taskset -c {one}", "Cpus_allowed")

    def test_another_session_and_a_filter(self) -> None:
        filtered = (
            "import ctypes, os, sys; c = ctypes.CDLL(None); c.prctl(38, 1, 0, 0, 0); "
            "allow = (ctypes.c_uint64 * 1)(0x7fff000000000006); "
            "program = (ctypes.c_uint64 * 2)(1, ctypes.addressof(allow)); "
            "assert c.prctl(22, 2, ctypes.byref(program)) == 0; os.execvp(sys.argv[1], sys.argv[1:])"
        )
        for change, reason in (
            ("setsid -w", "NSsid"),
            (f"{sys.executable} -c '{filtered}'", "NoNewPrivs|Seccomp"),
        ):
            told = self.with_statistics(f'{change} "$S" -c "{PROBE} argv x"')
            self.assertEqual((told.status, told.stdout), (0, f"{PROBE}\nx\n"), told.all)
            self.assertEqual(told.warm, 0, change)
            self.assertRegex(told.all, f"other than launcherd: ({reason})")

    def test_ignored_and_blocked_signals_are_taken_over(self) -> None:
        told = self.ask("trap '' HUP USR1;")
        if WARM:
            self.assertEqual(told.warm, len(self.LINES), told.all)
        told = self.ask("env --block-signal=USR2")
        if WARM:
            self.assertEqual(told.warm, len(self.LINES), told.all)

    @unittest.skipUnless(IS_ROOT, "needs root")
    def test_what_root_can_change(self) -> None:
        for change, reason in (
            ("setpriv --bounding-set -net_raw", "Cap"),
            ("setpriv --clear-groups --groups 5", "Groups"),
            ("setpriv --rgid 5", "Gid"),
            ("unshare -u", "ns/uts"),
            ("unshare -n", "ns/net"),
            ("unshare -i", "ns/ipc"),
            ("unshare -m", "ns/mnt"),
        ):
            if self.run_in_area(["sh", "-c", change + " true"]).returncode == 0:
                # A namespace is another one each time.
                told = self.with_statistics(f'{change} "$S" -c "{PROBE} argv x"')
                self.assertEqual((told.status, told.stdout), (0, f"{PROBE}\nx\n"), change)
                self.assertEqual(told.warm, 0, change)
                self.assertIn(f"other than launcherd: {reason}", told.all)
        # Another user is no client at all.
        told = self.with_statistics(f'setpriv --reuid 12345 "$S" -c "/usr/bin/id -u"')
        if told.status == 0:
            self.assertEqual((told.stdout, told.lines), ("12345\n", 0))

    @unittest.skipUnless(IS_ROOT, "needs root")
    def test_another_cgroup(self) -> None:
        for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
            group = Path(root) / f"launcherd-test-{os.getpid()}"
            try:
                group.mkdir()
            except OSError:
                continue
            try:
                if not (group / "cgroup.procs").exists():
                    continue
                script = f'echo $$ >{group}/cgroup.procs && exec "$S" -c "/bin/cat /proc/self/cgroup"'
                told = self.with_statistics(f"sh -c '{script}'")
                if told.status == 0:
                    self.assertIn(group.name, told.stdout)
                    self.assertEqual(told.warm, 0)
                    return
            finally:
                until(lambda: not (group / "cgroup.procs").exists() or not (group / "cgroup.procs").read_text())
                group.rmdir()
        self.skipTest("no cgroup can be made")

    def test_a_directory_and_descriptors(self) -> None:
        (self.area / "a").mkdir()
        script = (
            "exec 5>out 7<>both 9</dev/null; cd a && mv ../a ../b && "
            f'"$S" -c "{PROBE} cwd fds write 5 five" >&7; cat ../both ../out'
        )
        plain = self.run_in_area(["sh", "-c", script.replace('"$S"', "/bin/sh")]).stdout
        (self.area / "b").rename(self.area / "a")
        for name in ("out", "both"):
            (self.area / name).unlink()
        told = self.with_statistics(script)
        clean = re.compile(r"pipe:\[\d+\]")
        self.assertEqual(clean.sub("", plain), clean.sub("", told.stdout))
        self.assertIn(str(self.area / "b"), told.stdout)

    def test_many_at_once(self) -> None:
        count = 150
        # The jobs wait for each other: all of them are there at the same time.
        os.mkfifo(self.area / "gate")
        script = (
            f"exec 3<>gate; for i in $(seq {count}); do "
            f'"$S" -c "{PROBE} wait 0 argv $i" <gate 3<&- & done; '
            f"until [ $(pgrep -xc probe) -ge {count} ]; do :; done; exec 3<&-; wait"
        )
        told = self.with_statistics(script)
        self.assertEqual(told.status, 0)
        numbers = sorted(int(n) for n in told.stdout.split() if n.isdigit())
        self.assertEqual(numbers, list(range(1, count + 1)))
        self.assertEqual(told.lines - told.shell, count, told.all)


class Protocol(Test):
    MAGIC, VERSION = 0x684C7253, 1
    # So that those which are well-formed are launched: prctl(PR_GET_TIMERSLACK).
    SLACK = ctypes.CDLL(None).prctl(30)

    def hello(self, cookie: bytes, **change) -> bytes:
        fields = {"magic": self.MAGIC, "version": self.VERSION, "descriptors": 3, "steps": 0, "arguments": 1, "environment": 0}
        fields.update(change)
        return (
            struct.pack("<II", fields["magic"], fields["version"])
            + cookie
            + struct.pack("<8Q", self.SLACK, 0, 2, 0, 0, 0, 0, 0)
            + struct.pack("<QIIII", 0, fields["descriptors"], fields["steps"], fields["arguments"], fields["environment"])
            + struct.pack("<iii", 0, 1, 2) + PROBE.encode() + b"\0probe\0"
        )

    def test_malformed_messages(self) -> None:
        """Every one is answered or hung up on, and the server lives."""
        dice = random.Random(6)
        reader, writer = os.pipe()
        directory = os.open(self.area, os.O_PATH)
        process = subprocess.Popen(
            [LAUNCHERD, "--stats", "sh", "-c", 'echo "$LAUNCHER_SERVER"; read x; "$S" -c "$P argv end"; "$S" -c "' + PROBE + ' argv end"'],
            env=ENVIRONMENT, cwd=self.area, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            name, cookie = process.stdout.readline().decode().split(":")[:2]
            path = name.split(",")[0]
            for number in range(1500):
                message = bytearray(self.hello(cookie.encode()))
                how = number % 6
                if how == 0:
                    message = bytearray(dice.randbytes(dice.randrange(1, 400)))
                elif how == 1:
                    message = message[: dice.randrange(1, len(message))]
                elif how == 2:
                    for _ in range(dice.randrange(1, 4)):
                        message[dice.randrange(len(message))] = dice.randrange(256)
                elif how == 3:
                    message = bytearray(self.hello(cookie.encode(), **{
                        dice.choice(["descriptors", "steps", "arguments", "environment", "version", "magic"]):
                        dice.choice([0, 1, 2, 4, 60, 61, 64, 65, 2**31, 2**32 - 1])}))
                elif how == 4:
                    message += dice.randbytes(dice.choice([1, 12, 1000, 150_000]))
                else:
                    message = bytearray(self.hello(b"0" * 32))
                fds = [dice.choice([0, reader, writer]) for _ in range(dice.choice([0, 1, 3, 4, 4, 4, 5, 61, 100]))]
                if fds and dice.randrange(4):
                    fds[0] = directory
                with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
                    client.connect(path)
                    try:
                        socket.send_fds(client, [bytes(message)], fds)
                    except OSError:
                        continue  # Too long for the socket.
                    if dice.randrange(8) == 0:
                        continue
                    client.settimeout(HANG)
                    while True:
                        answer = client.recv(100)
                        if not answer:
                            break
                        self.assertEqual(len(answer), 12)
                        kind = struct.unpack("<I", answer[:4])[0]
                        self.assertIn(kind, range(5))
            # Parked processes have some too; a leak would be a thousand.
            until(lambda: len(os.listdir(f"/proc/{process.pid}/fd")) < 150)
            out, err = process.communicate(b"\n", timeout=HANG)
            self.assertEqual((process.returncode, out), (0, f"{PROBE}\nend\n".encode() * 2))
            told = Told(subprocess.CompletedProcess([], 0, "", err.decode(errors="replace")))
            self.assertGreater(told.reasons["a malformed message"], 100)
            self.assertGreater(told.reasons["a message of a stranger"], 100)
            self.assertGreater(told.reasons["another version of launcher-sh"], 5)
            if WARM:
                self.assertGreater(told.warm, 2, told.all)
        finally:
            os.close(reader)
            os.close(directory)
            os.close(writer)
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                stream.close()


if __name__ == "__main__":
    unittest.main()
