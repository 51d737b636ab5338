"""launcher/c.h as ctypes sees it, and the launcher of this process.

SPDX-License-Identifier: Apache-2.0
"""

import ctypes
import errno
import os
import select
import signal
import threading
from ctypes import POINTER, byref, c_char, c_char_p, c_int, c_int32, c_int64, c_size_t
from ctypes import c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any, Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Sequence, Set

NAME = "liblauncher.so.0"
ABI_VERSION = 1

ENGINES = {1: "auto", 2: "clone3", 3: "kernel", 4: "posix_spawn", 5: "warm"}

STDIO_INHERIT, STDIO_NULL, STDIO_CAPTURE, STDIO_MERGE, STDIO_FD = range(1, 6)
ACTION_DUP2, ACTION_SIGNAL_MASK, ACTION_SIGNAL_DEFAULT = 2, 6, 7
GROUP_OWN, GROUP_INHERIT, GROUP_JOIN, GROUP_SESSION = range(4)
INHERIT_FDS, AWAIT_START, CWD_FD, NO_OUTPUT = 1, 2, 4, 8
SURVIVORS = {"leave": 0, "tell": 1, "kill": 2}
EXITED, SIGNALED, NOT_STARTED, LOST = range(1, 5)
CORE_DUMPED, TIMED_OUT, OUTPUT_INCOMPLETE = 1, 2, 4


class Error(ctypes.Structure):
    _fields_ = [("code", c_int32), ("step", c_char * 28), ("object", c_char * 1024)]


class Stdio(ctypes.Structure):
    _fields_ = [("kind", c_uint32), ("fd", c_int32)]


class Action(ctypes.Structure):
    _fields_ = [
        ("kind", c_uint32),
        ("fd", c_int32),
        ("newfd", c_int32),
        ("flags", c_int32),
        ("mode", c_uint32),
        ("reserved", c_uint32),
        ("path", c_char_p),
        ("signals", c_void_p),
    ]


class Command(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("argv", POINTER(c_char_p)),
        ("line", c_char_p),
        ("path", c_char_p),
        ("env", POINTER(c_char_p)),
        ("cwd", c_char_p),
        ("cwd_fd", c_int32),
        ("flags", c_uint32),
        ("stdin", Stdio),
        ("stdout", Stdio),
        ("stderr", Stdio),
        ("input", c_char_p),
        ("input_size", c_size_t),
        ("actions", POINTER(Action)),
        ("action_count", c_size_t),
        ("action_size", c_size_t),
        ("group", c_uint32),
        ("pgid", c_int32),
        ("survivors", c_uint32),
        ("reserved", c_uint32),
        ("output_cap", c_uint64),
        ("timeout_ms", c_int64),
        ("drain_ms", c_int64),
        ("tag", c_void_p),
    ]


class Output(ctypes.Structure):
    _fields_ = [("data", c_void_p), ("size", c_size_t), ("total", c_uint64)]

    def bytes(self) -> bytes:
        return ctypes.string_at(self.data, self.size) if self.size else b""


class Survivor(ctypes.Structure):
    _fields_ = [("pid", c_int32), ("reserved", c_uint32), ("comm", c_char_p)]


class Result(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("id", c_uint64),
        ("tag", c_void_p),
        ("pid", c_int32),
        ("cause", c_uint32),
        ("code", c_int32),
        ("flags", c_uint32),
        ("engine", c_uint32),
        ("error_code", c_int32),
        ("error_step", c_char_p),
        ("error_object", c_char_p),
        ("out", Output),
        ("err", Output),
        ("shell_reason", c_char_p),
        ("user_us", c_int64),
        ("system_us", c_int64),
        ("max_rss_kib", c_int64),
        ("requested_ns", c_int64),
        ("cloned_ns", c_int64),
        ("exec_ns", c_int64),
        ("first_output_ns", c_int64),
        ("exited_ns", c_int64),
        ("drained_ns", c_int64),
        ("reaped_ns", c_int64),
        ("survivors", POINTER(Survivor)),
        ("survivor_count", c_size_t),
    ]


_COUNTERS = (
    "launches failed deferred template_hits template_misses template_stale "
    "template_evictions lines shells warm_launches warm_parked warm_stale "
    "warm_evictions warm_deaths warm_processes warm_private_kib warm_saved_ns"
).split()


class _Counters(ctypes.Structure):
    _fields_ = [("size", c_size_t)] + [(name, c_uint64) for name in _COUNTERS]


Statistics = NamedTuple("Statistics", [(name, int) for name in _COUNTERS])
Statistics.__doc__ = "What the launcher of this process has done; see launcher/launcher.h."


def _load() -> ctypes.CDLL:
    chosen = os.environ.get("LAUNCHER_LIBRARY")
    beside = Path(__file__).resolve().parents[3] / NAME
    path = chosen or (str(beside) if beside.exists() else NAME)
    try:
        library = ctypes.CDLL(path)
        version = library.launcher_abi_version()
    except (OSError, AttributeError) as error:
        raise ImportError(
            f"launcher: cannot load {path}: {error}; set LAUNCHER_LIBRARY to the path of {NAME}"
        ) from error
    if version < ABI_VERSION:
        raise ImportError(f"launcher: {path} has ABI version {version}, {ABI_VERSION} is needed")
    handle, error, command = c_void_p, POINTER(Error), POINTER(Command)
    for name, *arguments in (
        ("create", c_void_p, POINTER(handle), error),
        ("spawn", handle, command, POINTER(c_uint64), error),
        ("start_process", handle, command, error),
        ("prepare", handle, command, error),
        ("wait", handle, c_int64, POINTER(POINTER(Result)), error),
        ("poll_fd", handle, error),
        ("kill", handle, c_uint64, c_int, error),
        ("get_statistics", handle, POINTER(_Counters)),
    ):
        function = getattr(library, "launcher_" + name)
        function.argtypes, function.restype = arguments, c_int
    library.launcher_result_free.argtypes = [POINTER(Result)]
    library.launcher_result_free.restype = None
    return library


_library = _load()
_libc = ctypes.CDLL(None)


def exception_of(
    code: int, step: bytes, thing: bytes, filename: Optional[object] = None
) -> OSError:
    """The OSError of an error of the library; it knows `step` and `object`."""
    name = os.fsdecode(thing)
    exception = OSError(code, os.strerror(code), name if filename is None else filename)
    exception.step = step.decode()  # type: ignore[attr-defined]
    exception.object = name  # type: ignore[attr-defined]
    return exception


# --- commands


def _text(value: object) -> bytes:
    encoded = os.fsencode(value)  # type: ignore[arg-type]
    if b"\0" in encoded:
        raise ValueError("embedded null byte")
    return encoded


def text_array(values: Sequence[object]) -> "ctypes.Array[c_char_p]":
    return (c_char_p * (len(values) + 1))(*[_text(value) for value in values], None)


def environment(env: Mapping[Any, Any]) -> "ctypes.Array[c_char_p]":
    entries: List[bytes] = []
    for key, value in env.items():
        name = os.fsencode(key)
        if b"=" in name:
            raise ValueError("illegal environment variable name")
        entries.append(name + b"=" + os.fsencode(value))
    return text_array(entries)


def signal_set(signals: "Set[signal.Signals] | FrozenSet[signal.Signals]") -> ctypes.Array:
    made = ctypes.create_string_buffer(128)  # sigset_t
    _libc.sigemptyset(made)
    for number in signals:
        _libc.sigaddset(made, c_int(number))
    return made


_RESTORED = signal_set({signal.SIGPIPE, signal.SIGXFSZ})


def make_command(
    argv: Sequence[object] = (),
    *,
    line: Optional[object] = None,
    executable: Optional[object] = None,
    env: Optional[Mapping[Any, Any]] = None,
    cwd: Optional[object] = None,
    close_fds: bool = True,
    pass_fds: Sequence[int] = (),
    restore_signals: bool = True,
    start_new_session: bool = False,
    process_group: int = -1,
) -> Command:
    """What subprocess.Popen() calls these. Streams are set by the caller, who
    keeps the result, to which all is tied that it borrows."""
    command = Command(size=ctypes.sizeof(Command))
    if line is not None:
        command.line = _text(line)
    else:
        command.argv = text_array(argv)
    if executable is not None:
        command.path = _text(executable)
    if env is not None:
        command.env = environment(env)
    if cwd is not None:
        command.cwd = _text(cwd)
    if not close_fds:
        command.flags |= INHERIT_FDS
    actions = [Action(kind=ACTION_DUP2, fd=fd, newfd=fd) for fd in sorted(map(int, pass_fds))]
    if restore_signals:
        signals = ctypes.addressof(_RESTORED)
        actions.append(Action(kind=ACTION_SIGNAL_DEFAULT, signals=signals))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    if mask != shared().mask:
        command.mask = signal_set(mask)
        signals = ctypes.addressof(command.mask)
        actions.append(Action(kind=ACTION_SIGNAL_MASK, signals=signals))
    if actions:
        command.actions = (Action * len(actions))(*actions)
        command.action_count, command.action_size = len(actions), ctypes.sizeof(Action)
    if start_new_session:
        command.group = GROUP_SESSION
    elif process_group == 0:
        command.group = GROUP_OWN
    else:
        # Its own group by number: only this can be done by a clone.
        command.pgid = process_group if process_group > 0 else os.getpgrp()
        command.group = GROUP_JOIN if command.pgid > 0 else GROUP_INHERIT
    return command


# --- the launcher of this process


class _Waiter:
    """Of one child, from its spawn() to its wait()."""

    __slots__ = ("result", "waiting", "wake")

    def __init__(self) -> None:
        self.result: Any = None
        self.waiting = False  # For `wake`, in wait().
        self.wake = threading.Lock()
        self.wake.acquire()


class Shared:
    """One launcher for all threads. It is used under `lock`; of the threads
    that wait for their children one, the leader, polls for all of them, and
    hands that over to another when its own child has ended."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self._waiters: Dict[int, _Waiter] = {}
        self._leader: Optional[_Waiter] = None
        self._handle = c_void_p()
        self._check(_library.launcher_create, None, byref(self._handle))
        self._poll = select.poll()
        self._poll.register(self._check(_library.launcher_poll_fd, self._handle), select.POLLIN)

    @staticmethod
    def _check(function: Any, *arguments: object) -> int:
        error = Error()
        done = function(*arguments, byref(error))
        if done < 0:
            raise exception_of(error.code, error.step, error.object)
        return done

    def start_process(self, command: Command) -> int:
        with self.lock:
            return self._check(_library.launcher_start_process, self._handle, byref(command))

    def prepare(self, command: Command) -> None:
        with self.lock:
            self._check(_library.launcher_prepare, self._handle, byref(command))

    def spawn(self, command: Command) -> int:
        number = c_uint64()
        try:
            with self.lock:
                self._check(_library.launcher_spawn, self._handle, byref(command), byref(number))
                self._waiters[number.value] = _Waiter()
            return number.value
        except BaseException:
            # An interrupt comes when the call is back: the child is there already.
            if number.value:
                self.kill(number.value, signal.SIGKILL)
                self._waiters.pop(number.value, None)
            raise

    def kill(self, number: int, signal_number: int) -> None:
        """One that has ended meanwhile is no error."""
        with self.lock:
            _library.launcher_kill(self._handle, number, signal_number, None)

    def forsake(self, number: int) -> None:
        """Nobody will wait() for it."""
        with self.lock:
            waiter = self._waiters.pop(number)
            if waiter.result:
                _library.launcher_result_free(waiter.result)

    def wait(self, number: int) -> Any:
        """The pointer to its Result, for free()."""
        with self.lock:
            waiter = self._waiters[number]
            if self._leader is None and not waiter.result:
                self._leader = waiter
        try:
            while not waiter.result:
                if self._leader is waiter:
                    self._poll.poll()
                    with self.lock:
                        self._collect()
                    continue
                with self.lock:
                    waiter.waiting = not waiter.result and self._leader is not waiter
                if waiter.waiting:
                    waiter.wake.acquire()
        finally:
            with self.lock:
                waiter.waiting = False
                if self._leader is waiter:
                    self._hand_over()
        with self.lock:
            del self._waiters[number]
        return waiter.result

    def _hand_over(self) -> None:
        self._leader = next((one for one in self._waiters.values() if one.waiting), None)
        if self._leader:
            self._wake(self._leader)

    @staticmethod
    def _wake(waiter: _Waiter) -> None:
        if waiter.waiting:
            waiter.waiting = False
            waiter.wake.release()

    def _collect(self) -> None:
        while True:
            result = POINTER(Result)()
            done = _library.launcher_wait(self._handle, 0, byref(result), None)
            if done == -errno.EINTR:
                continue
            if done < 0:
                return
            waiter = self._waiters.get(result.contents.id)
            if waiter is None:  # Forsaken.
                _library.launcher_result_free(result)
                continue
            waiter.result = result
            self._wake(waiter)

    @staticmethod
    def free(result: Any) -> None:
        _library.launcher_result_free(result)

    def statistics(self) -> Statistics:
        counters = _Counters(size=ctypes.sizeof(_Counters))
        with self.lock:
            _library.launcher_get_statistics(self._handle, byref(counters))
        return Statistics(*(getattr(counters, name) for name in _COUNTERS))


_making = threading.Lock()
_shared: Optional[Shared] = None


def shared() -> Shared:
    global _shared
    if _shared is None:
        with _making:
            if _shared is None:
                _shared = Shared()
    return _shared


def _after_fork() -> None:
    # The children are the parent's: its launcher is left alone.
    global _making, _shared
    _making = threading.Lock()
    _shared = None


os.register_at_fork(after_in_child=_after_fork)
