#!/usr/bin/env python3
"""The Python module: the same as subprocess where it has the same, and what it
has beyond that.

Environment: LAUNCHER_LIBRARY, PYTHONPATH (the module).
"""

import asyncio
import errno
import inspect
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import typing
import unittest
from typing import Any, Callable, Dict, List, Tuple

import launcher

SHOW = "import os, sys; print(sys.argv[1:], sorted(os.environ.items()), os.getcwd())"
# Everything of itself that a program may see of how it was started.
STATE = r"""
import os, signal
print(sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:-1])
print(os.getpgrp() == os.getpid(), os.getsid(0) == os.getpid())
status = open("/proc/self/status").read().splitlines()
print([line for line in status if line.startswith(("SigB", "SigI", "Umask", "Groups"))])
"""


def descriptors() -> List[str]:
    return sorted(os.listdir("/proc/self/fd"))


def wait_for_descriptors(expected: List[str]) -> bool:
    """What has been killed is reaped by a later call."""
    for _ in range(10_000):
        if descriptors() == expected:
            return True
        launcher.run(["true"])
    return False


def prepare(*programs: str) -> None:
    """Whatever they will keep open of the launcher is open from now on."""
    for program in programs:
        try:
            launcher.prepare([program])
            launcher.prepare([program, "argument"])
        except OSError:
            pass  # It starts cold.


class Case(unittest.TestCase):
    def setUp(self) -> None:
        # What the launcher itself keeps is there before the first count.
        launcher.run(["/bin/true"])
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)


def outcome(start: Callable[..., Any], *args: Any, **kwargs: Any) -> Tuple[Any, ...]:
    try:
        done = start(*args, **kwargs)
    except subprocess.TimeoutExpired as error:
        return ("timeout", error.cmd, error.output, error.stderr)
    except subprocess.CalledProcessError as error:
        return ("status", error.returncode, error.cmd, error.output, error.stderr)
    except OSError as error:
        # Python 3.13 names a path by its text, others by the object.
        return (type(error), error.errno, error.filename and os.fspath(error.filename))
    except (ValueError, TypeError, IndexError, AttributeError) as error:
        return (type(error),)
    return (done.args, done.returncode, done.stdout, done.stderr)


def by_popen(*args: Any, input: Any = None, **kwargs: Any) -> subprocess.CompletedProcess:
    """launcher.Popen in place of run()."""
    if kwargs.pop("capture_output", False):
        kwargs.update(stdout=launcher.PIPE, stderr=launcher.PIPE)
    if input is not None:
        kwargs["stdin"] = launcher.PIPE
    check, timeout = kwargs.pop("check", False), kwargs.pop("timeout", None)
    with launcher.Popen(*args, **kwargs) as process:
        try:
            stdout, stderr = process.communicate(input, timeout=timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
    if check:
        done.check_returncode()
    return done


class SameAsSubprocess(Case):
    def same(self, *args: Any, **kwargs: Any) -> None:
        with self.subTest(args=args, kwargs=kwargs):
            wanted = outcome(subprocess.run, *args, **kwargs)
            for _ in range(2):
                self.assertEqual(wanted, outcome(launcher.run, *args, **kwargs))
                self.assertEqual(wanted, outcome(by_popen, *args, **kwargs))

    def test_output_and_status(self) -> None:
        self.same(["/bin/echo", "a", "", "*", "$HOME"], capture_output=True)
        self.same(["echo", b"\xff", pathlib.Path("/x")], stdout=subprocess.PIPE)
        self.same("ls", capture_output=True, cwd=self.scratch)
        self.same(pathlib.Path("/bin/true"), capture_output=True)
        self.same(["sh", "-c", "echo out; echo err >&2; exit 3"], capture_output=True)
        self.same(["sh", "-c", "kill -TERM $$"], capture_output=True)
        self.same(["sh", "-c", "exit 3"], check=True, capture_output=True)
        self.same(
            ["sh", "-c", "echo a; echo b >&2"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.same(["sh", "-c", "echo gone >&2"], stderr=subprocess.DEVNULL)

    def test_text(self) -> None:
        self.same(["printf", "a\\r\\nb\\rc\\n"], capture_output=True, text=True)
        self.same(["printf", "\\344"], capture_output=True, encoding="latin-1")
        self.same(["printf", "\\344"], capture_output=True, errors="replace")
        self.same(["cat"], input="a\nü\n", capture_output=True, text=True)
        self.same(["cat"], input=b"a\x00\xff" * 100_000, capture_output=True)
        self.same(["cat"], input=b"", capture_output=True)
        self.same(["cat"], input=b"bytes", capture_output=True, text=True)
        self.same(["cat"], input="text", capture_output=True)
        with self.assertRaises(UnicodeDecodeError):
            launcher.run(["printf", "\\344"], capture_output=True, encoding="utf-8")

    def test_surroundings(self) -> None:
        show = [sys.executable, "-S", "-c", SHOW, "word"]
        self.same(show, capture_output=True)
        self.same(show, capture_output=True, env={"A": "b", "LANG": "C"})
        self.same(show, capture_output=True, cwd="/", env={})
        self.same(["true"], env={"A=B": "c"})
        self.same(["true"], env={"A": "b\0c"})
        self.same(["true\0"])
        self.same([])
        state = [sys.executable, "-S", "-c", STATE]
        # run() puts its child in a group of its own, Popen does not.
        for given in (
            {"process_group": 0} if sys.version_info >= (3, 11) else {},
            {"start_new_session": True},
        ):
            if given:
                self.same(state, capture_output=True, stdin=subprocess.DEVNULL, **given)
                self.same(
                    state,
                    capture_output=True,
                    stdin=subprocess.DEVNULL,
                    restore_signals=False,
                    **given,
                )

    def test_descriptors(self) -> None:
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        self.addCleanup(os.close, write)
        os.set_inheritable(read, True)
        session: Dict[str, Any] = {"start_new_session": True, "stdin": subprocess.DEVNULL}
        state = [sys.executable, "-S", "-c", STATE]
        for given in ({}, {"pass_fds": [write]}, {"close_fds": False}):
            self.same(state, capture_output=True, **session, **given)

    def test_mask_of_the_calling_thread(self) -> None:
        state = [sys.executable, "-S", "-c", STATE]
        old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        try:
            self.same(state, capture_output=True, start_new_session=True)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, old)

    def test_shell(self) -> None:
        self.same("echo $((6 * 7)); exit 4", shell=True, capture_output=True)
        self.same("cat /dev/null && true", shell=True, capture_output=True)
        self.same("nonexistent-program", shell=True, capture_output=True)
        self.same(["echo $0 $1", "a", "b"], shell=True, capture_output=True)
        self.same("echo $BASH", shell=True, executable="/bin/bash", capture_output=True)

    def test_errors(self) -> None:
        text = self.scratch / "text"
        text.write_text("no program\n")
        text.chmod(0o755)
        script = self.scratch / "script"
        script.write_text("#!/nonexistent/interpreter\n")
        script.chmod(0o755)
        for words in (["nonexistent-program"], ["/etc/passwd"], ["/"], [text], [script]):
            self.same(words)
            self.same(words, cwd="/nonexistent")
            self.same(words, cwd=text)
        self.same(["true"], cwd="/nonexistent")
        self.same(["true"], executable="/nonexistent")
        self.same(["name", "-c", "echo $0"], executable="/bin/sh", capture_output=True)
        for given in ({"stdout": -1, "capture_output": True}, {"stdin": -1, "input": b""}):
            with self.assertRaises(ValueError):
                launcher.run(["true"], **given)

    def test_timeout(self) -> None:
        words = ["sh", "-c", "echo first; exec sleep 1000"]
        self.same(words, capture_output=True, timeout=0.3)
        self.same(["sleep", "1000"], timeout=0.01)
        self.same(["true"], timeout=1000)

    def test_left_to_subprocess(self) -> None:
        self.same(["sh", "-c", "umask"], capture_output=True, umask=0o27)
        self.same(["true"], preexec_fn=lambda: os._exit(5))
        done = launcher.run(["sh", "-c", "umask"], umask=0o27, stdout=launcher.PIPE)
        self.assertIsNone(done.engine)

    def test_call_and_its_kin(self) -> None:
        for name in ("call", "check_call", "check_output"):
            for words in (["true"], ["sh", "-c", "echo out; exit 2"]):
                results = []
                for module in (subprocess, launcher):
                    options = {} if name == "check_output" else {"stdout": subprocess.DEVNULL}
                    try:
                        results.append(getattr(module, name)(words, **options))
                    except subprocess.CalledProcessError as error:
                        results.append((error.returncode, error.cmd, error.output))
                self.assertEqual(*results)

    def test_nothing_is_leaked(self) -> None:
        prepare("true")
        before = descriptors()
        for _ in range(20):
            for program in ("true", "nonexistent-program"):
                for start in (launcher.run, by_popen):
                    outcome(start, [program], capture_output=True)
            outcome(launcher.run, ["true"], cwd="/nonexistent", input=b"x")
        self.assertEqual(before, descriptors())


class Beyond(Case):
    def test_how_it_went(self) -> None:
        done = launcher.run(["sh", "-c", "echo 0123456789; exit 1"], capture_output=True)
        self.assertEqual("exited", done.cause)
        self.assertIn(done.engine, ("clone3", "kernel", "posix_spawn", "warm"))
        assert done.pid is not None
        self.assertGreater(done.pid, 0)
        self.assertGreaterEqual(done.user_time + done.system_time, 0)
        self.assertGreater(done.max_rss_kib, 0)
        self.assertTrue(done.output_complete)
        timing = done.timing
        self.assertLessEqual(timing.requested, timing.exited)
        self.assertLessEqual(timing.requested, timing.first_output)
        self.assertEqual("signaled", launcher.run(["sh", "-c", "kill -9 $$"]).cause)

    def test_programs_become_warm(self) -> None:
        if os.environ.get("LAUNCHER_ENGINE", "auto") != "auto":
            self.skipTest("an engine has been asked for")
        try:
            launcher.prepare(["git", "--version"])
        except OSError as error:
            self.assertIn(error.errno, (errno.EPERM, errno.ENOTSUP, errno.ENOENT))
            self.skipTest(f"{error.filename}: {error}")
        cold = subprocess.run(["git", "--version"], capture_output=True)
        done = launcher.run(["git", "--version"], capture_output=True)
        self.assertEqual("warm", done.engine)
        self.assertEqual(cold.stdout, done.stdout)
        before = launcher.statistics().warm_launches
        with launcher.Popen(["git", "--version"], stdout=launcher.PIPE) as process:
            self.assertEqual(cold.stdout, process.communicate()[0])
        self.assertEqual(before + 1, launcher.statistics().warm_launches)

    def test_prepare_says_why_not(self) -> None:
        with self.assertRaises(FileNotFoundError):
            launcher.prepare(["nonexistent-program"])
        script = self.scratch / "script"
        script.write_text("#!/bin/sh\n")
        script.chmod(0o755)
        with self.assertRaises(OSError) as raised:
            launcher.prepare([str(script)])
        self.assertIn(raised.exception.errno, (errno.EPERM, errno.ENOTSUP))

    def test_output_cap(self) -> None:
        done = launcher.run(["seq", "100000"], capture_output=True, output_cap=10)
        self.assertEqual(b"1\n2\n3\n4\n5\n", done.stdout)
        self.assertEqual(588895, done.stdout_total)
        self.assertTrue(done.stdout_truncated)
        self.assertFalse(done.stderr_truncated)
        done = launcher.run(["echo", "x"], capture_output=True, output_cap=0)
        self.assertEqual((b"", 2), (done.stdout, done.stdout_total))

    def test_drain(self) -> None:
        # It leaves its output to a process that lives as long as its input.
        read, write = os.pipe()
        try:
            done = launcher.run(
                ["bash", "-c", f"cat <&{read} & echo started"],
                pass_fds=[read],
                capture_output=True,
                drain=0.01,
            )
        finally:
            os.close(read)
            os.close(write)
        self.assertEqual(b"started\n", done.stdout)
        self.assertFalse(done.output_complete)

    def test_survivors(self) -> None:
        read, write = os.pipe()
        line = f"cat <&{read} >/dev/null & exit 3"
        done = launcher.run(["bash", "-c", line], pass_fds=[read], survivors="kill")
        self.assertEqual(3, done.returncode)
        (left,) = done.survivors
        self.assertIn(left.name, ("cat", "bash"))
        os.close(read)
        with self.assertRaises(BrokenPipeError):  # As soon as it is gone.
            while True:
                os.write(write, b"x")
        os.close(write)
        self.assertEqual((), launcher.run(["true"]).survivors)

    def test_timeout_kills_the_tree(self) -> None:
        read, write = os.pipe()
        with self.assertRaises(launcher.TimeoutExpired):
            launcher.run(
                ["sh", "-c", "sleep 1000 & wait"], pass_fds=[write], timeout=0.1
            )
        os.close(write)
        self.assertEqual(b"", os.read(read, 1))  # Nobody has it open any more.
        os.close(read)

    def test_interrupt_kills_the_tree(self) -> None:
        read, write = os.pipe()
        program = (
            "import launcher, sys\n"
            f"launcher.run(['bash', '-c', 'echo up >&{write}; sleep 1000 & wait'],"
            f" pass_fds=[{write}])\n"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program],
            pass_fds=[write],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as process:
            os.close(write)
            self.assertEqual(b"up\n", os.read(read, 3))
            process.send_signal(signal.SIGINT)
            self.assertIn(b"KeyboardInterrupt", process.communicate()[1])
        self.assertEqual(b"", os.read(read, 1))
        os.close(read)

    def test_errors_name_their_step(self) -> None:
        for start in (launcher.run, launcher.Popen):
            with self.assertRaises(FileNotFoundError) as raised:
                start(["true"], cwd="/nonexistent")
            self.assertEqual("chdir", raised.exception.step)
            self.assertEqual("/nonexistent", raised.exception.object)

    def test_line_without_shell(self) -> None:
        done = launcher.run("cat /dev/null", shell=True, capture_output=True)
        self.assertEqual("", done.shell_reason)
        done = launcher.run("cat /dev/nul*", shell=True, capture_output=True)
        self.assertIn("glob", done.shell_reason)


class Pipelines(Case):
    def test_stages(self) -> None:
        done = launcher.pipeline(
            [["cat"], ["sort"], ["head", "-n", "1"]], input="b\na\n", text=True
        )
        self.assertEqual("a\n", done.stdout)
        self.assertEqual([0, 0, 0], [stage.returncode for stage in done.stages])
        self.assertEqual(0, done.returncode)

    def test_status_and_errors_of_each(self) -> None:
        done = launcher.pipeline(
            [["sh", "-c", "echo one >&2; exit 3"], ["sh", "-c", "cat; echo two >&2; exit 0"]]
        )
        self.assertEqual([3, 0], [stage.returncode for stage in done.stages])
        self.assertEqual([b"one\n", b"two\n"], [stage.stderr for stage in done.stages])
        self.assertEqual(3, done.returncode)
        with self.assertRaises(launcher.CalledProcessError):
            launcher.pipeline([["false"], ["cat"]], check=True)

    def test_reader_that_ends_early(self) -> None:
        done = launcher.pipeline([["yes"], ["head", "-n", "2"]])
        self.assertEqual(b"y\ny\n", done.stdout)
        self.assertEqual([-signal.SIGPIPE, 0], [stage.returncode for stage in done.stages])

    def test_timeout_and_missing_program_end_all(self) -> None:
        prepare("sleep", "cat", "true")
        before = descriptors()
        with self.assertRaises(launcher.TimeoutExpired):
            launcher.pipeline([["sleep", "1000"], ["cat"]], timeout=0.1)
        with self.assertRaises(FileNotFoundError):
            launcher.pipeline([["sleep", "1000"], ["nonexistent-program"], ["cat"]])
        self.assertTrue(wait_for_descriptors(before))
        with self.assertRaises(ValueError):
            launcher.pipeline([])


class Threads(Case):
    def test_many_at_once(self) -> None:
        failures: List[object] = []

        def work(number: int) -> None:
            for turn in range(25):
                text = f"{number} {turn}\n"
                done = launcher.run(["cat"], input=text, capture_output=True, text=True)
                process = launcher.Popen(["echo", text], stdout=launcher.PIPE)
                if done.stdout != text or process.communicate()[0].decode() != text + "\n":
                    failures.append(text)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([], failures)

    def test_short_ones_beside_a_long_one(self) -> None:
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        long = threading.Thread(target=launcher.run, args=(["cat"],), kwargs={"stdin": read})
        long.start()
        for _ in range(20):
            self.assertEqual(0, launcher.run(["true"]).returncode)
        self.assertTrue(long.is_alive())
        os.close(write)
        long.join()

    def test_after_fork(self) -> None:
        with launcher.Popen(["cat"], stdin=launcher.PIPE) as process:
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    assert process.stdin is not None
                    process.stdin.close()
                    status = launcher.run(["sh", "-c", "exit 7"]).returncode
                finally:
                    os._exit(status)
            self.assertEqual(7, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            self.assertIsNone(process.poll())
            self.assertEqual(0, launcher.run(["true"]).returncode)

    def test_end_of_the_interpreter_kills_nothing(self) -> None:
        program = (
            "import launcher\n"
            "launcher.run(['true'])\n"
            "launcher.Popen(['sh', '-c', 'read line; echo $line'])\n"
        )
        with subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            # Its output stays open for the process that it has left.
            self.assertEqual(0, process.wait())
            self.assertEqual(b"still here\n", process.communicate(b"still here\n")[0])


class Asyncio(Case):
    def test_streams_and_status(self) -> None:
        async def main() -> None:
            process = await launcher.create_subprocess_exec(
                "sh", "-c", "cat; echo err >&2; exit 5", stdin=-1, stdout=-1, stderr=-1
            )
            self.assertEqual((b"in", b"err\n"), await process.communicate(b"in"))
            self.assertEqual(5, process.returncode)
            process = await launcher.create_subprocess_shell("echo $((1 + 1))", stdout=-1)
            assert process.stdout is not None
            self.assertEqual(b"2\n", await process.stdout.readline())
            self.assertEqual(0, await process.wait())

        asyncio.run(main())

    def test_many_kills_and_errors(self) -> None:
        async def one(number: int) -> bytes:
            process = await launcher.create_subprocess_exec("echo", str(number), stdout=-1)
            return (await process.communicate())[0]

        async def main() -> None:
            made = await asyncio.gather(*(one(number) for number in range(50)))
            self.assertEqual([b"%d\n" % number for number in range(50)], made)
            process = await launcher.create_subprocess_exec("sleep", "1000")
            process.terminate()
            self.assertEqual(-signal.SIGTERM, await process.wait())
            with self.assertRaises(FileNotFoundError):
                await launcher.create_subprocess_exec("nonexistent-program")
            with self.assertRaises(ValueError):
                await launcher.create_subprocess_exec("true", text=True)

        prepare("echo", "sleep")
        before = descriptors()
        asyncio.run(main())
        self.assertEqual(before, descriptors())

    def test_run_in_threads(self) -> None:
        async def main() -> None:
            loop = asyncio.get_running_loop()
            done = await asyncio.gather(
                *(
                    loop.run_in_executor(
                        None, lambda n=n: launcher.run(["echo", str(n)], capture_output=True)
                    )
                    for n in range(20)
                )
            )
            self.assertEqual([b"%d\n" % n for n in range(20)], [one.stdout for one in done])

        asyncio.run(main())


class Documentation(Case):
    def test_everything_has_hints_and_is_described(self) -> None:
        for name in launcher.__all__:
            public = getattr(launcher, name)
            if not callable(public) or public.__module__.split(".")[0] != "launcher":
                continue  # A constant, or subprocess's own.
            with self.subTest(name):
                self.assertTrue(public.__doc__)
                functions = [public]
                if inspect.isclass(public):
                    functions = [
                        member
                        for key, member in vars(public).items()
                        if inspect.isfunction(member) and not key.startswith("_")
                    ]
                for function in functions:
                    self.assertTrue(function.__doc__, function)
                    hints = typing.get_type_hints(function)
                    named = [n for n in inspect.signature(function).parameters if n != "self"]
                    self.assertLessEqual({*named, "return"}, set(hints), function)

    def test_examples(self) -> None:
        page = pathlib.Path(__file__).parents[2] / "docs" / "python.md"
        examples = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
        self.assertGreater(len(examples), 4)
        program = "\n".join(examples)
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, cwd=self.scratch
        )
        self.assertEqual((0, b""), (done.returncode, done.stderr))


if __name__ == "__main__":
    unittest.main()
