#!/usr/bin/env python3
"""What launcherd's server gives a job is what the client would have given it; and
if it could not, the client runs the program itself.
"""

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import unittest
from pathlib import Path

from support import ENVIRONMENT, HANG, LAUNCHER_SH, LAUNCHERD, PROBE, Test, Told, until, warm_is_possible

WARM = warm_is_possible()
IS_ROOT = os.geteuid() == 0


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

    # Of each limit a value that no system has by itself.
    LIMITS = {
        "as": 2**40 + 4096,
        "core": 12345,
        "cpu": 123456,
        "data": 2**40 + 4096,
        "fsize": 2**40 + 1,
        "locks": 12345,
        "memlock": 123456,
        "msgqueue": 123456,
        "nice": 7,
        "nofile": 321,
        "nproc": 12345,
        "rss": 2**40 + 1,
        "rtprio": 7,
        "rttime": 123456789,
        "sigpending": 1234,
        "stack": 7654321,
    }

    def test_limits(self) -> None:
        changed = 0
        for name, value in self.LIMITS.items():
            for change in (f"prlimit --{name}={value}:", f"prlimit --{name}={value}"):
                if self.run_in_area([*change.split(), "true"]).returncode != 0:
                    continue  # Only root may raise it.
                changed += 1
                self.refuses(change, "/bin/cat /proc/self/limits", "limits")
        self.assertGreater(changed, 15)

    def refuses(self, change: str, line: str, reason: str, served: bool = True) -> None:
        """The line sees the same, and the server has no part in it; or, not
        `served`, has not been asked."""
        with self.subTest(change):
            plain = self.with_statistics(f'{change} /bin/sh -c "{line}"')
            ours = self.with_statistics(f'{change} "$S" -c "{line}"')
            self.assertEqual((plain.status, plain.stderr), (ours.status, ours.stderr))
            own = re.compile(r"(?m)^(Pid|Max processes).*\n")
            self.assertEqual(own.sub("", plain.stdout), own.sub("", ours.stdout))
            self.assertEqual(ours.status, 0, ours.all)
            self.assertEqual(ours.warm, 0, ours.all)
            if served:
                self.assertEqual(ours.reasons, {f"other than launcherd: {reason}": 1})
            else:
                self.assertEqual(ours.lines, 0, ours.all)

    def after(self, calls: str) -> str:
        """A command that makes system calls, and becomes what follows it."""
        script = (
            "import ctypes, os, sys; c = ctypes.CDLL(None, use_errno=True); "
            f"ok = {calls}; os.execvp(sys.argv[1], sys.argv[1:]) if ok else sys.exit(99)"
        )
        return f"{sys.executable} -S -c '{script}'"

    def test_what_system_calls_can_change(self) -> None:
        show = f"{PROBE} argv x"
        for calls, line, reason in (
            # prctl(2): timer slack, subreaper, memory errors, huge pages.
            ("c.prctl(29, 54321) == 0", "/bin/cat /proc/self/timerslack_ns", "timer slack"),
            ("c.prctl(36, 1) == 0", show, "parent death signal or subreaper"),
            ("c.prctl(33, 1, 1, 0, 0) == 0", show, "memory error policy"),
            ("c.prctl(41, 1, 0, 0, 0) == 0", "/bin/grep THP_enabled /proc/self/status", "THP_enabled"),
            # set_mempolicy(2): interleaved.
            ("c.syscall(238, 3, ctypes.byref(ctypes.c_ulong(1)), 64) == 0", show, "memory policy"),
            # keyctl(2): another session keyring.
            ("c.syscall(250, 1, None) > 0", show, "session keyring"),
            # sched_setattr(2), sched_getattr(2): a slice of 5 ms; none before 6.12.
            (
                "(lambda a: c.syscall(314, 0, a, 0) == 0 and c.syscall(315, 0, a, 48, 0) == 0 "
                "and a[3])((ctypes.c_uint64 * 6)(48, 0, 0, 5000000))",
                f"{PROBE} slice",
                "scheduling",
            ),
            # umask(2)
            ("c.umask(0o17) >= 0", "/bin/grep Umask /proc/self/status", "Umask"),
        ):
            change = self.after(calls)
            if self.run_in_area(["sh", "-c", f"{change} true"]).returncode == 99:
                continue  # Not on this kernel, or not by this user.
            self.refuses(change, line, reason)
        core = "echo 0x7f >/proc/self/coredump_filter; exec"
        self.refuses(f"sh -c '{core} \"$@\"' sh", "/bin/cat /proc/self/coredump_filter", "coredump_filter")

    @unittest.skipUnless(IS_ROOT, "needs root")
    def test_capabilities(self) -> None:
        for change, reason in (
            ("setpriv --bounding-set -net_raw", "Cap(Inh|Prm|Eff|Bnd)"),
            ("setpriv --inh-caps +net_raw", "CapInh"),
            ("setpriv --inh-caps +net_raw --ambient-caps +net_raw", "Cap(Inh|Amb)"),
            ("setpriv --securebits +noroot", "Cap.*|securebits"),
        ):
            with self.subTest(change):
                line = "/bin/grep -e Cap -e Groups /proc/self/status"
                plain = self.with_statistics(f'{change} /bin/sh -c "{line}"')
                ours = self.with_statistics(f'{change} "$S" -c "{line}"')
                if plain.status != 0:
                    continue
                self.assertEqual((plain.status, plain.stdout), (ours.status, ours.stdout))
                self.assertEqual(ours.warm, 0, ours.all)
                if ours.lines > 0:  # Without capabilities it cannot even ask.
                    self.assertRegex("".join(ours.reasons), f"^other than launcherd: ({reason})$")

    @unittest.skipUnless(IS_ROOT, "needs root")
    def test_who_cannot_even_ask(self) -> None:
        """Another user, or whoever does not see launcherd."""
        for change in (
            "setpriv --reuid 12345 --clear-groups",
            "setpriv --ruid 12345 --euid 12345",
            "unshare -U",
            "unshare -Ur",
            "unshare -fp --mount-proc",
            "unshare -fp",
        ):
            if self.run_in_area(["sh", "-c", f"{change} true"]).returncode == 0:
                self.refuses(change, "/usr/bin/id -u", "", served=False)

    def test_the_terminal(self) -> None:
        """Its name, and that the job is in the foreground of it: the same."""
        script = (
            '{launcherd} sh -c \'"{shell}" -c "/bin/cat /proc/self/stat"; '
            '"{shell}" -c "/usr/bin/tty"; "{shell}" -c "/bin/stty size"\''
        )
        found = []
        for shell in ("/bin/sh", LAUNCHER_SH):
            pid, terminal = pty.fork()
            if pid == 0:
                os.chdir(self.area)
                command = script.format(launcherd=LAUNCHERD, shell=shell)
                os.execve("/bin/sh", ["sh", "-c", f"read x; {command}; echo end"], ENVIRONMENT)
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 17, 71, 0, 0))
            os.write(terminal, b"\n")
            out = b""
            while b"end\r\n" not in out:
                ready, _, _ = select.select([terminal], [], [], HANG)
                self.assertTrue(ready, out)
                out += os.read(terminal, 4096)
            os.waitpid(pid, 0)
            os.close(terminal)
            lines = out.decode().split("\r\n")
            stat = next(line for line in lines if ") R " in line).rsplit(") ", 1)[1].split()
            # The process group, session and foreground group against each other.
            group, session, _, foreground = stat[2:6]
            self.assertEqual((session, foreground), (str(pid), str(pid)))
            found.append((group == foreground, [line for line in lines if re.match("/dev/pts|17 71", line)]))
        self.assertEqual(found[0], found[1])
        self.assertEqual(found[0][0], True)
        self.assertEqual(len(found[0][1]), 2)

    def test_descriptors_of_a_jobserver(self) -> None:
        """By number, with their offsets and flags, and not those of the server."""
        script = (
            "exec 3<>fifo 4>file 9<>fifo; echo word >&4; "
            'MAKEFLAGS=" -j --jobserver-auth=3,9" "{shell}" -c '
            f'"{PROBE} fds env write 4 more write 9 token"; echo >&9; read token <&3; echo $token; cat file'
        )
        os.mkfifo(self.area / "fifo")
        plain = self.with_statistics(script.format(shell="/bin/sh"))
        ours = self.with_statistics(script.format(shell=LAUNCHER_SH))
        clean = re.compile(r"pipe:\[\d+\]|(?m:^LAUNCHER_SERVER=.*\n)")
        self.assertEqual(clean.sub("", plain.stdout), clean.sub("", ours.stdout))
        self.assertIn("\nword\nmore", ours.stdout)
        if WARM:
            self.assertEqual(ours.warm, 1, ours.all)

    def test_what_sh_can_change(self) -> None:
        self.expect_in_place("umask 027;", "Umask")
        self.expect_in_place("nice -n 3", "scheduling")
        self.expect_in_place("ionice -c 3", "I/O priority")
        self.expect_in_place("chrt -b 0", "scheduling")
        self.expect_in_place("setarch -R", "personality")
        self.expect_in_place("choom -n 500 --", "oom_score_adj")
        self.expect_in_place("setpriv --no-new-privs", "NoNewPrivs")
        self.expect_in_place("setpriv --pdeathsig TERM", "parent death signal or subreaper")
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
            ("setpriv --clear-groups --groups 5", "Groups"),
            ("setpriv --rgid 5", "Gid"),
            ("unshare -u", "ns/uts"),
            ("unshare -n", "ns/net"),
            ("unshare -i", "ns/ipc"),
            ("unshare -m", "ns/mnt"),
            ("unshare -C", "cgroup|ns/cgroup"),
            ("unshare -T", "ns/time"),
        ):
            # Linux 6.1 starts nothing by vfork(2) after unshare -T, nor does its sh.
            if self.run_in_area(["sh", "-c", change + " sh -c 'env; true'"]).returncode == 0:
                # A namespace is another one each time.
                told = self.with_statistics(f'{change} "$S" -c "{PROBE} argv x"')
                self.assertEqual((told.status, told.stdout), (0, f"{PROBE}\nx\n"), change)
                self.assertEqual(told.warm, 0, change)
                self.assertRegex(told.all, f"other than launcherd: ({reason})")

    @unittest.skipUnless(IS_ROOT, "needs root")
    def test_another_root(self) -> None:
        # The same directory, mounted once more, in a mount namespace that both
        # are in and that ends with them.
        root = self.area / "root"
        root.mkdir()
        script = (
            f"mount --rbind / {root} && exec {LAUNCHERD} --stats "
            f"/usr/sbin/chroot {root} {LAUNCHER_SH} -c '/bin/echo x'"
        )
        if self.run_in_area(["unshare", "-m", "true"]).returncode != 0:
            self.skipTest("no mount namespace")
        told = Told(self.run_in_area(["unshare", "-m", "sh", "-c", script]))
        self.assertEqual((told.status, told.stdout, told.warm), (0, "x\n", 0), told.all)
        self.assertIn("other than launcherd: root", told.reasons, told.all)

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


if __name__ == "__main__":
    unittest.main()
