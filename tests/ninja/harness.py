"""Runs one ninja in a scratch directory and records everything it leaves behind.

A `Scenario` says what to run, a `Run` is one run of it, an `Outcome` is what can be compared: exit status, output, logs, files,
processes left over. Nothing here knows which ninja it is running.
"""

import atexit
import ctypes
import dataclasses
import errno
import fcntl
import functools
import os
import pty
import re
import select
import shutil
import signal
import stat
import struct
import subprocess
import tempfile
import termios
import threading
import time
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

WALL_LIMIT = 60.0  # seconds for one run; a run that needs longer hangs
GRACE = 5.0  # seconds for killed jobs to disappear after ninja has ended
POLL = 0.002

PR_SET_CHILD_SUBREAPER = 36
SYS_CLONE3 = 435

NINJA = os.environ.get("NINJA", "")
NINJA_UPSTREAM = os.environ.get("NINJA_UPSTREAM", "")


class Hang(AssertionError):
    """A run, or an event inside it, did not come within the wall limit."""


@dataclasses.dataclass(frozen=True)
class Scenario:
    """One manifest and one way to run it.

    `fifos` are made before the run: a job tells the driver something with `echo x > NAME` and waits for it with `read x < NAME`.
    `feed` is text that stands in a FIFO from the start. After the first run, each shell script of `again` is run in the directory,
    followed by another ninja with the same arguments.
    """

    name: str
    manifest: str
    args: Sequence[str] = ()
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    fifos: Sequence[str] = ()
    feed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    start: str = ""  # shell script that starts ninja with `exec "$@"`; empty: started directly
    driver: Optional[Callable[["Run"], None]] = None
    again: Sequence[str] = ()
    terminal: bool = False  # ninja gets a pseudo terminal as its controlling terminal
    unordered: bool = False  # jobs run in parallel: edges may end in any order
    leaves: Sequence[str] = ()  # names of processes that outlive ninja, sorted
    normalise: Callable[[bytes], bytes] = lambda text: text
    differs: str = ""  # heading in DIFFERENCES.md; then `ours` says what our ninja does instead
    ours: Optional[Callable[["Outcome"], None]] = None


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What is compared. `todo` is what upstream's ninja would do next: it shows that times in the log mean the same."""

    status: List[int]
    stdout: bytes
    stderr: bytes
    log: List[str]
    deps: bytes
    todo: bytes
    files: Dict[str, str]
    fifos: Dict[str, bytes]
    left_over: Tuple[str, ...]


class Run:
    """One run of a scenario in one directory. Drivers use the methods up to `kill`."""

    def __init__(self, scenario: Scenario, ninja: str, engine: str = "", env: Optional[Mapping[str, str]] = None) -> None:
        self.scenario = scenario
        self.engine = engine
        self.extra_env = dict(env or {})
        self.scratch = scratch_base() / "run"
        self.scratch.mkdir()
        self.dir = self.scratch / "work"
        self.dir.mkdir()
        # Both ninjas run under one name and path, so that what they and their jobs print about it is the same.
        self.ninja = self.scratch / "bin" / "ninja"
        self.ninja.parent.mkdir()
        self.ninja.symlink_to(os.path.abspath(ninja))
        self.deadline = time.monotonic() + WALL_LIMIT
        self.stdout = b""
        self.stderr = b""
        self.status: List[int] = []
        self.left_over: Tuple[str, ...] = ()
        self._fifos: Dict[str, int] = {}
        self._unread: Dict[str, bytes] = {}

    def event(self, name: str) -> str:
        """Waits until a job writes a line to FIFO `name`; returns the line."""
        while b"\n" not in self._unread[name]:
            self._require(f"an event on {name}")
            if select.select([self._fifos[name]], [], [], 0.05)[0]:
                self._unread[name] += os.read(self._fifos[name], 4096)
            elif self.process.poll() is not None:
                raise AssertionError(f"ninja ended with {self.process.returncode} before the event on {name}; {self._printed()}")
        line, _, self._unread[name] = self._unread[name].partition(b"\n")
        return line.decode()

    def job_waits(self) -> None:
        """Waits for a job that did `echo PID > started` and until that process sleeps: a signal then finds it waiting.

        A signal with a trap that comes before the wait would be noticed only after it.
        """
        self.wait_state(int(self.event("started")), "S")

    def release(self, name: str, jobs: int = 1) -> None:
        """Lets `jobs` readers of FIFO `name` go on."""
        os.write(self._fifos[name], b"\n" * jobs)

    def wait_state(self, pid: int, states: str) -> None:
        """Waits until process `pid` is in one of `states` (as in /proc/PID/stat) or, with "-" among them, is gone."""
        while (state := process_state(pid)) not in states:
            self._require(f"process {pid} (state {state}) to be in state {states}")
            time.sleep(POLL)

    def wait_stderr(self, pattern: bytes) -> "re.Match[bytes]":
        """Waits until ninja has written what `pattern` matches to its standard error."""
        while not (found := re.search(pattern, (self.scratch / "stderr").read_bytes())):
            self._require(f"{pattern!r} on stderr")
            time.sleep(POLL)
        return found

    def settle(self) -> None:
        """Waits until ninja sleeps: it has then read all that its jobs have written.

        Upstream's status is 130 or death by the signal, as chance has it, when output and a signal arrive together.
        """
        self.wait_state(self.process.pid, "S-")

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def execute(self) -> "Run":
        """Runs the scenario to its end; no process of it is left afterwards."""
        become_subreaper()
        self._populate()
        try:
            for script in ("", *self.scenario.again):
                if script:
                    subprocess.run(["/bin/sh", "-ec", script], cwd=self.dir, check=True, stdin=subprocess.DEVNULL)
                self._run_once()
        finally:
            kill_children()
            # What a job left in a FIFO is part of the outcome: jobserver tokens must be given back.
            self.fifo_rest = {name: self._drain(name) for name in self._fifos}
            for fd in self._fifos.values():
                os.close(fd)
        return self

    def remove(self) -> None:
        shutil.rmtree(self.scratch)

    def outcome(self, reader: str) -> Outcome:
        """What the run left; `reader` is the ninja that reads the logs, the same for every run that is compared."""
        log, deps, todo = self._read_logs(reader)
        sort = sorted_edges if self.scenario.unordered else (lambda text: text)
        return Outcome(
            status=self.status,
            stdout=self.scenario.normalise(sort(self.stdout)),
            stderr=self.scenario.normalise(self.stderr),
            log=sorted(log) if self.scenario.unordered else log,
            deps=deps,
            todo=todo,
            files=dict(snapshot(self.dir)),
            fifos=self.fifo_rest,
            left_over=self.left_over,
        )

    # --- below: not for drivers

    def _populate(self) -> None:
        for path, text in {"build.ninja": self.scenario.manifest, **self.scenario.files}.items():
            file = self.dir / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.encode())
            os.utime(file, (1_500_000_000, 1_500_000_000))  # older than anything a build writes
        for name in self.scenario.fifos:
            os.mkfifo(self.dir / name)
            # Open for both ends: neither we nor a job ever wait in open().
            self._fifos[name] = os.open(self.dir / name, os.O_RDWR | os.O_CLOEXEC)
            self._unread[name] = b""
            os.write(self._fifos[name], self.scenario.feed.get(name, "").encode())

    def _environment(self) -> Dict[str, str]:
        env = {key: value for key, value in os.environ.items() if re.fullmatch("(A|L|T|UB)SAN_OPTIONS", key)}
        env.update(PATH="/usr/local/bin:/usr/bin:/bin", HOME="/", LC_ALL="C", TERM="xterm" if self.scenario.terminal else "dumb")
        if self.engine:
            env["LAUNCHER_ENGINE"] = self.engine
        env.update(self.extra_env)
        env.update(self.scenario.env)
        return env

    def _command(self) -> List[str]:
        command = [str(self.ninja), *self.scenario.args]
        return ["/bin/sh", "-c", self.scenario.start, "sh", *command] if self.scenario.start else command

    def _run_once(self) -> None:
        self.deadline = time.monotonic() + WALL_LIMIT
        runner = self._on_terminal if self.scenario.terminal else self._on_files
        runner()

    def _on_files(self) -> None:
        # Files, not pipes: a process that is left over cannot keep us waiting for the end of the output.
        with open(self.scratch / "stdout", "a+b") as out, open(self.scratch / "stderr", "a+b") as err:
            self.process = subprocess.Popen(self._command(), cwd=self.dir, env=self._environment(), start_new_session=True,
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=err)
            try:
                self._drive()
            finally:
                self.stdout, self.stderr = (self.scratch / "stdout").read_bytes(), (self.scratch / "stderr").read_bytes()

    def _on_terminal(self) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 200, 0, 0))
        self.process = subprocess.Popen(self._command(), cwd=self.dir, env=self._environment(), start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
                                        stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        reader = threading.Thread(target=self._read_terminal)
        reader.start()
        try:
            self._drive()
        finally:
            kill_children()
            reader.join()
            os.close(self.master)

    def _read_terminal(self) -> None:
        while True:
            try:
                data = os.read(self.master, 65536)
            except OSError:  # EIO: every process has closed the terminal
                return
            if not data:
                return
            self.stdout += data

    def _drive(self) -> None:
        try:
            if self.scenario.driver:
                self.scenario.driver(self)
            self.process.wait(timeout=max(0.0, self.deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise Hang(f"ninja did not end within {WALL_LIMIT:.0f} s; {self._printed()}") from None
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
        self.status.append(self.process.returncode)
        self.left_over = wait_for_children(tuple(self.scenario.leaves))

    def _require(self, what: str) -> None:
        if time.monotonic() > self.deadline:
            raise Hang(f"waited {WALL_LIMIT:.0f} s for {what}; {self._printed()}")

    def _printed(self) -> str:
        if not self.scenario.terminal:
            self.stdout, self.stderr = (self.scratch / "stdout").read_bytes(), (self.scratch / "stderr").read_bytes()
        return f"stdout {self.stdout[-1000:]!r}, stderr {self.stderr[-1000:]!r}, processes {describe_children(os.getpid())}"

    def _drain(self, name: str) -> bytes:
        data = self._unread[name]
        while select.select([self._fifos[name]], [], [], 0)[0]:
            data += os.read(self._fifos[name], 4096)
        return data

    def _read_logs(self, reader: str) -> Tuple[List[str], bytes, bytes]:
        log: List[str] = []
        deps = todo = b""
        for path in sorted(self.dir.rglob(".ninja_log")):
            header, *lines = path.read_text().splitlines()
            # start, end and mtime are left out; the output and the hash of its command stay
            log += [header] + ["\t".join(line.split("\t")[3:]) for line in lines]
            deps += self._ask(reader, path.parent, "-t", "deps")
            todo += self._ask(reader, path.parent, "-n")
        return log, re.sub(rb"deps mtime \d+", b"deps mtime N", deps), todo

    def _ask(self, reader: str, directory: Path, *args: str) -> bytes:
        env = {key: value for key, value in self._environment().items() if key not in ("MAKEFLAGS", "NINJA_STATUS")}
        return subprocess.run([reader, "-C", str(directory), *args], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=WALL_LIMIT).stdout


def execute(scenario: Scenario, ninja: str, reader: str, engine: str = "", env: Optional[Mapping[str, str]] = None) -> Outcome:
    """Runs `scenario` with `ninja` and cleans up."""
    run = Run(scenario, ninja, engine, env)
    try:
        return run.execute().outcome(reader)
    finally:
        run.remove()


@functools.lru_cache(maxsize=None)
def scratch_base() -> Path:
    """A directory of this process; every run uses the same path below it, so that commands and messages are the same."""
    base = tempfile.mkdtemp(prefix="launcher-ninja-test-")
    atexit.register(shutil.rmtree, base, ignore_errors=True)
    return Path(base)


def snapshot(root: Path) -> Iterator[Tuple[str, str]]:
    """Every file under `root` with type, mode and content. The logs are compared by meaning, elsewhere."""
    for path in sorted(root.rglob("*")):
        info = path.lstat()
        text = stat.filemode(info.st_mode)
        if path.name in (".ninja_log", ".ninja_deps"):
            text += " log"
        elif path.is_symlink():
            text += " -> " + os.readlink(path)
        elif path.is_file():
            text += " " + repr(path.read_bytes())
        yield str(path.relative_to(root)), text


def sorted_edges(text: bytes) -> bytes:
    """Puts the blocks of a parallel build, one for each edge, into a fixed order, without their running numbers."""
    text, end = re.fullmatch(rb"(.*?)((?:^ninja: build stopped: .*\n)?)", text, flags=re.DOTALL | re.MULTILINE).groups()
    head, *blocks = re.split(rb"^\[\d+/(?=\d+\] )", text, flags=re.MULTILINE)
    return head + b"".join(sorted(b"[#/" + block for block in blocks)) + end


# --- processes

def become_subreaper() -> None:
    """Makes this process the parent of everything a run leaves behind, so that nothing can hide from us."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def engines() -> Tuple[str, ...]:
    """The engines to test: all, or the one that LAUNCHER_ENGINE names."""
    only = os.environ.get("LAUNCHER_ENGINE", "auto")
    return ("clone3", "posix_spawn", "warm") if only == "auto" else (only,)


def clone3_refusal() -> str:
    """Why this kernel or container refuses clone3; empty when it does not."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(SYS_CLONE3, None, 0)  # a size of 0 is EINVAL for a kernel that has the call
    refusal = ctypes.get_errno()
    return "" if refusal == errno.EINVAL else f"clone3: {os.strerror(refusal)}"


def process_stat(pid: int) -> Optional[Tuple[str, str, int]]:
    """Name, state and parent of a process; None when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    name, _, rest = text.partition("(")[2].rpartition(")")
    state, parent = rest.split()[:2]
    return name, state, int(parent)


def process_state(pid: int) -> str:
    found = process_stat(pid)
    return found[1] if found else "-"


def children(parent: int) -> List[Tuple[int, str, str]]:
    """Pid, name and state of each child of a process."""
    found = []
    for entry in os.listdir("/proc"):
        status = process_stat(int(entry)) if entry.isdigit() else None
        if status and status[2] == parent:
            found.append((int(entry), status[0], status[1]))
    return sorted(found)


def describe_children(parent: int) -> str:
    """The tree of processes below `parent`, each as: pid, name, state, children."""
    return "(" + ", ".join(f"{pid} {name} {state} {describe_children(pid)}" for pid, name, state in children(parent)) + ")"


def reap() -> bool:
    """Reaps every ended child; false when there is none left at all."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def wait_for_children(expected: Tuple[str, ...]) -> Tuple[str, ...]:
    """Waits until only processes named `expected` are left; returns the names of those left, killed now."""
    deadline = time.monotonic() + GRACE
    names: Tuple[str, ...] = ()
    while reap():
        names = tuple(sorted(name for _, name, state in children(os.getpid()) if state != "Z"))
        if (names and names == expected) or time.monotonic() > deadline:
            kill_children()
            return names
        time.sleep(POLL)
    return ()


def kill_children() -> None:
    deadline = time.monotonic() + GRACE
    while reap():  # children of the killed become ours and are next
        for pid, _, _ in children(os.getpid()):
            os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise AssertionError(f"processes survive SIGKILL: {describe_children(os.getpid())}")
        time.sleep(POLL)


def require_binaries() -> None:
    """Ends the test program when it was not told what to test."""
    for name in ("NINJA", "NINJA_UPSTREAM"):
        if not os.access(os.environ.get(name, ""), os.X_OK):
            raise SystemExit(f"the environment variable {name} must name a ninja to run")
