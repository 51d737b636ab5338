"""run() and what goes beyond subprocess: the library itself reads the output,
ends what takes too long, and tells how it went.

SPDX-License-Identifier: Apache-2.0
"""

import io
import os
import signal
import subprocess
import sys
from subprocess import DEVNULL, PIPE, STDOUT, CalledProcessError, TimeoutExpired
from subprocess import run as run_of_subprocess
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import _library
from ._library import Command, Statistics, exception_of, make_command, shared
from ._popen import Popen, with_filename

# Of subprocess.Popen(), what run() hands to the library.
_FAST = {
    "args",
    "stdin",
    "stdout",
    "stderr",
    "shell",
    "cwd",
    "env",
    "universal_newlines",
    "text",
    "encoding",
    "errors",
    "close_fds",
    "pass_fds",
    "restore_signals",
    "start_new_session",
    "process_group",
    "executable",
    "bufsize",
}


class Timing(NamedTuple):
    """Seconds of time.monotonic(); None: not reached, or not to be seen."""

    requested: Optional[float]
    started: Optional[float]
    first_output: Optional[float]
    exited: Optional[float]
    drained: Optional[float]


class Survivor(NamedTuple):
    """A process that a program has left in its process group."""

    pid: int
    name: str


class CompletedProcess(subprocess.CompletedProcess):
    """subprocess.CompletedProcess, and how it went.

    pid             what it was
    engine          "warm", "clone3", "kernel", "posix_spawn"; None: subprocess
    cause           "exited", "signaled" or "lost"
    stdout_total    bytes written; more than kept with output_cap
    stderr_total    the same of stderr, if it was captured by itself
    output_complete False: something else kept the output open, and it was
                    given up (drain)
    survivors       processes that it has left in its process group, as of when
                    it and its output had ended
    user_time, system_time, max_rss_kib
                    of the child and all that it has waited for
    timing          a Timing
    shell_reason    why a line needed a shell; "": it did not
    """

    pid: Optional[int] = None
    engine: Optional[str] = None
    cause: str = "exited"
    stdout_total: int = 0
    stderr_total: int = 0
    output_complete: bool = True
    survivors: Sequence[Survivor] = ()
    user_time: float = 0.0
    system_time: float = 0.0
    max_rss_kib: int = 0
    timing: Timing = Timing(None, None, None, None, None)
    shell_reason: str = ""

    @property
    def stdout_truncated(self) -> bool:
        return self.stdout_total > self._kept[0]

    @property
    def stderr_truncated(self) -> bool:
        return self.stderr_total > self._kept[1]

    _kept: Tuple[int, int] = (0, 0)


def run(
    *popenargs: Any,
    input: Any = None,
    capture_output: bool = False,
    timeout: Optional[float] = None,
    check: bool = False,
    output_cap: Optional[int] = None,
    drain: Optional[float] = None,
    survivors: str = "tell",
    **kwargs: Any,
) -> CompletedProcess:
    """subprocess.run(), with three arguments more.

    output_cap  bytes kept of each captured stream; the rest is read and counted
    drain       seconds that the output may stay silent after the program itself
                has ended, before it is given up; None: wait for its end
    survivors   processes that the program leaves in its group: "tell", "kill"
                (and tell) or "leave" (and do not look for them). With "kill"
                a timeout also kills what descends from the program in other
                groups and sessions

    The child leads a process group, which is killed as a whole when the timeout
    has passed or an exception (KeyboardInterrupt) ends the call; with
    process_group, start_new_session, or a terminal as its standard input it is
    in that group instead.
    """
    if capture_output:
        if kwargs.get("stdout") is not None or kwargs.get("stderr") is not None:
            raise ValueError("stdout and stderr arguments may not be used with capture_output.")
        kwargs["stdout"] = kwargs["stderr"] = PIPE
    if input is not None:
        if kwargs.get("stdin") is not None:
            raise ValueError("stdin and input arguments may not both be used.")
        kwargs["stdin"] = PIPE
    if len(popenargs) == 1:
        kwargs["args"] = popenargs[0]
    if len(popenargs) > 1 or not kwargs.keys() <= _FAST or not _plain(kwargs):
        if popenargs:
            kwargs.pop("args", None)
        if output_cap is not None or drain is not None or survivors == "kill":
            raise ValueError("output_cap, drain and survivors are not for what is left to subprocess")
        if input is not None:
            del kwargs["stdin"]
        return _left_to_subprocess(popenargs, kwargs, input, timeout, check)

    call_ = _Call(kwargs, input, timeout, output_cap, drain, survivors)
    done = call_.finish()
    if call_.timed_out:
        # As subprocess has it: bytes, and None for nothing.
        raise TimeoutExpired(
            call_.args, timeout or 0, call_.raw[0] or None, call_.raw[1] or None
        )
    if check and done.returncode:
        raise CalledProcessError(done.returncode, done.args, done.stdout, done.stderr)
    return done


def _plain(kwargs: Dict[str, Any]) -> bool:
    args, executable = kwargs.get("args"), kwargs.get("executable")
    return (
        args is not None
        and (executable is None or bool(os.path.dirname(executable)))
        and not (kwargs.get("start_new_session") and kwargs.get("process_group") is not None)
        and kwargs.get("bufsize") in (None, -1)
        and kwargs.get("stdout") is not STDOUT
        and not (kwargs.get("text") is not None and kwargs.get("universal_newlines") is not None)
    )


def _left_to_subprocess(
    popenargs: Tuple[Any, ...],
    kwargs: Dict[str, Any],
    input: Any,
    timeout: Optional[float],
    check: bool,
) -> CompletedProcess:
    done = run_of_subprocess(*popenargs, input=input, timeout=timeout, check=check, **kwargs)
    return CompletedProcess(done.args, done.returncode, done.stdout, done.stderr)


def _milliseconds(seconds: Optional[float]) -> int:
    """At least one: zero means none to the library."""
    return 0 if seconds is None else max(1, int(seconds * 1000 + 0.999))


class _Call:
    """One child that the library looks after, from its start to its end."""

    def __init__(
        self,
        kwargs: Dict[str, Any],
        input: Any,
        timeout: Optional[float],
        output_cap: Optional[int],
        drain: Optional[float],
        survivors: str,
    ) -> None:
        self.args = kwargs["args"]
        self.executable = kwargs.get("executable")
        self.cwd = kwargs.get("cwd")
        self.encoding, self.errors = kwargs.get("encoding"), kwargs.get("errors")
        self.text = bool(
            self.encoding
            or self.errors
            or kwargs.get("text")
            or kwargs.get("universal_newlines")
        )
        self.timed_out = False
        self.raw: Tuple[Optional[bytes], Optional[bytes]] = (None, None)
        command = self._command(kwargs)
        self._streams(command, kwargs, input)
        command.timeout_ms = _milliseconds(timeout)
        command.drain_ms = _milliseconds(drain)
        if command.group in (_library.GROUP_OWN, _library.GROUP_SESSION):
            command.survivors = _library.SURVIVORS[survivors]
        if output_cap is not None:
            command.output_cap = output_cap
            command.flags |= _library.NO_OUTPUT
        self._captures = (
            command.stdout.kind == _library.STDIO_CAPTURE,
            command.stderr.kind == _library.STDIO_CAPTURE,
        )
        try:
            self.number = shared().spawn(command)
        except OSError as error:
            raise with_filename(error, self.name, self.cwd) from None

    def _command(self, kwargs: Dict[str, Any]) -> Command:
        args, line = self.args, None
        if isinstance(args, (str, bytes)):
            if kwargs.get("shell") and self.executable is None:
                line = args
            args = [args]
        elif isinstance(args, os.PathLike):
            if kwargs.get("shell"):
                raise TypeError("path-like args is not allowed when shell is true")
            args = [args]
        else:
            args = list(args)
        if kwargs.get("shell"):
            args = [self.executable or "/bin/sh", "-c"] + args
        self.name = args[0] if self.executable is None else self.executable
        sys.audit("subprocess.Popen", self.name, args, self.cwd, kwargs.get("env"))
        close_fds = kwargs.get("close_fds", True)
        pass_fds = kwargs.get("pass_fds", ())
        group = kwargs.get("process_group")
        if group is None:
            # Another group than its own may not read from a terminal.
            terminal = kwargs.get("stdin") is None and os.isatty(0)
            group = -1 if terminal else 0
        return make_command(
            args,
            line=line,
            executable=self.executable,
            env=kwargs.get("env"),
            cwd=self.cwd,
            close_fds=close_fds or bool(pass_fds),
            pass_fds=pass_fds,
            restore_signals=kwargs.get("restore_signals", True),
            start_new_session=kwargs.get("start_new_session", False),
            process_group=group,
        )

    def _streams(self, command: Command, kwargs: Dict[str, Any], input: Any) -> None:
        stdin = kwargs.get("stdin")
        if stdin == PIPE:
            if self.text and input:
                input = input.encode(self._encoding(), self.errors or "strict")
            data = bytes(memoryview(input or b""))
            command.input, command.input_size = data, len(data)
            command.data = data  # Borrowed.
        else:
            _set(command.stdin, stdin)
        stdout, stderr = kwargs.get("stdout"), kwargs.get("stderr")
        _set(command.stdout, stdout)
        if stderr != STDOUT:
            _set(command.stderr, stderr)
        elif stdout == PIPE:
            command.stderr.kind = _library.STDIO_MERGE
        elif stdout is None:
            command.stderr.kind, command.stderr.fd = _library.STDIO_FD, 1
        else:
            _set(command.stderr, stdout)

    def _encoding(self) -> str:
        return self.encoding or _locale_encoding()

    def finish(self) -> CompletedProcess:
        try:
            pointer = shared().wait(self.number)
        except BaseException:
            # As subprocess.run() has it: nothing is left running.
            shared().kill(self.number, signal.SIGKILL)
            shared().forsake(self.number)
            raise
        try:
            return self._completed(pointer.contents)
        finally:
            shared().free(pointer)

    def _completed(self, result: Any) -> CompletedProcess:
        if result.cause == _library.NOT_STARTED:
            error = exception_of(result.error_code, result.error_step, result.error_object)
            raise with_filename(error, self.name, self.cwd)
        outputs = (result.out, result.err)
        self.timed_out = bool(result.flags & _library.TIMED_OUT)
        self.raw = tuple(  # type: ignore[assignment]
            output.bytes() if captured else None
            for output, captured in zip(outputs, self._captures)
        )
        stdout, stderr = (
            data if data is None or not self.text or self.timed_out else self._decode(data)
            for data in self.raw
        )
        code = -result.code if result.cause == _library.SIGNALED else result.code
        done = CompletedProcess(self.args, code, stdout, stderr)
        done.pid = result.pid
        done.engine = _library.ENGINES.get(result.engine)
        done.cause = {_library.SIGNALED: "signaled", _library.LOST: "lost"}.get(
            result.cause, "exited"
        )
        done.stdout_total, done.stderr_total = (output.total for output in outputs)
        done._kept = tuple(output.size for output in outputs)  # type: ignore[assignment]
        done.output_complete = not result.flags & _library.OUTPUT_INCOMPLETE
        done.user_time, done.system_time = result.user_us / 1e6, result.system_us / 1e6
        done.max_rss_kib = result.max_rss_kib
        done.timing = Timing(
            *(
                time / 1e9 if time else None
                for time in (
                    result.requested_ns,
                    result.exec_ns,
                    result.first_output_ns,
                    result.exited_ns,
                    result.drained_ns,
                )
            )
        )
        done.survivors = tuple(
            Survivor(one.pid, os.fsdecode(one.comm))
            for one in result.survivors[: result.survivor_count]
        )
        done.shell_reason = os.fsdecode(result.shell_reason)
        return done

    def _decode(self, data: bytes) -> str:
        text = data.decode(self._encoding(), self.errors or "strict")
        return text.replace("\r\n", "\n").replace("\r", "\n")


def _locale_encoding() -> str:
    """As open() has it."""
    return io.TextIOWrapper(io.BytesIO()).encoding


def _set(stream: Any, given: Any) -> None:
    if given is None:
        stream.kind = _library.STDIO_INHERIT
    elif given == PIPE:
        stream.kind = _library.STDIO_CAPTURE
    elif given == DEVNULL:
        stream.kind = _library.STDIO_NULL
    else:
        stream.kind = _library.STDIO_FD
        stream.fd = given if isinstance(given, int) else given.fileno()


def call(*popenargs: Any, timeout: Optional[float] = None, **kwargs: Any) -> int:
    """subprocess.call()."""
    with Popen(*popenargs, **kwargs) as process:
        try:
            return process.wait(timeout=timeout)
        except BaseException:
            process.kill()
            raise


def check_call(*popenargs: Any, **kwargs: Any) -> int:
    """subprocess.check_call()."""
    status = call(*popenargs, **kwargs)
    if status:
        raise CalledProcessError(status, kwargs.get("args", popenargs[0] if popenargs else None))
    return 0


def check_output(*popenargs: Any, timeout: Optional[float] = None, **kwargs: Any) -> Any:
    """subprocess.check_output()."""
    for name in ("stdout", "check"):
        if name in kwargs:
            raise ValueError(f"{name} argument not allowed, it will be overridden.")
    if "input" in kwargs and kwargs["input"] is None:
        text = any(kwargs.get(key) for key in ("text", "universal_newlines", "encoding", "errors"))
        kwargs["input"] = "" if text else b""
    return run(*popenargs, stdout=PIPE, timeout=timeout, check=True, **kwargs).stdout


class CompletedPipeline(NamedTuple):
    """The stages of a pipeline() in their order. The output is the last one's."""

    stages: List[CompletedProcess]

    @property
    def stdout(self) -> Any:
        return self.stages[-1].stdout

    @property
    def returncode(self) -> int:
        """0, or that of the last stage that has failed, as pipefail in bash."""
        return next((s.returncode for s in reversed(self.stages) if s.returncode), 0)


def pipeline(
    stages: Sequence[Sequence[Any]],
    *,
    input: Any = None,
    stdin: Any = None,
    timeout: Optional[float] = None,
    check: bool = False,
    output_cap: Optional[int] = None,
    drain: Optional[float] = None,
    survivors: str = "tell",
    **kwargs: Any,
) -> CompletedPipeline:
    """Programs joined by pipes, without a shell: a status, and the standard
    error, of each stage. `kwargs` (cwd, env, text, ...) are as for run() and the
    same for all. When the timeout has passed all stages are killed:
    TimeoutExpired. A stage that cannot be started ends the others: OSError.
    """
    if not stages:
        raise ValueError("a pipeline without stages")
    if not kwargs.keys() <= _FAST - {"args", "stdout", "stderr", "shell", "executable"}:
        raise TypeError("an argument that pipeline() does not know")
    calls: List[_Call] = []
    source: Optional[int] = None
    try:
        for index, stage in enumerate(stages):
            given = dict(kwargs, args=stage, stdin=stdin, stdout=PIPE, stderr=PIPE)
            if index == 0 and input is not None:
                given["stdin"] = PIPE
            if source is not None:
                given["stdin"] = source
            following: Optional[int] = None
            if index + 1 < len(stages):
                following, given["stdout"] = os.pipe()
            try:
                first = input if index == 0 else None
                calls.append(_Call(given, first, timeout, output_cap, drain, survivors))
            except BaseException:
                if following is not None:
                    os.close(following)
                raise
            finally:
                if source is not None:
                    os.close(source)
                source = None
                if following is not None:
                    os.close(given["stdout"])
            source = following
    except BaseException:
        for one in calls:
            shared().kill(one.number, signal.SIGKILL)
            shared().forsake(one.number)
        raise

    done: List[CompletedProcess] = []
    for index, one in enumerate(calls):
        try:
            done.append(one.finish())
        except BaseException:
            for other in calls[index + 1 :]:
                shared().kill(other.number, signal.SIGKILL)
                shared().forsake(other.number)
            raise
    if any(one.timed_out for one in calls):
        raise TimeoutExpired(list(stages), timeout or 0, calls[-1].raw[0] or None)
    completed = CompletedPipeline(done)
    if check and completed.returncode:
        raise CalledProcessError(completed.returncode, list(stages), completed.stdout)
    return completed


def prepare(args: Sequence[Any], *, env: Optional[Mapping[Any, Any]] = None) -> None:
    """Makes the template of a program ahead of its first use, as it would be
    started with these arguments (how many there are, and argv[0], count) and
    this environment. Takes some milliseconds.

    Raises FileNotFoundError and the like; PermissionError with `object` saying
    why, if the program will always be started cold; OSError with ENOTSUP if
    templates are off. run() and Popen work in spite of the last two.
    """
    shared().prepare(make_command(list(args), env=env, process_group=0))


def statistics() -> Statistics:
    """What has been launched how so far, by this process."""
    return shared().statistics()
