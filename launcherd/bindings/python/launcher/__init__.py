"""Starts programs as subprocess does, from spawn templates.

    import launcher

    done = launcher.run(["git", "status", "--short"], cwd=repository,
                        capture_output=True, text=True, timeout=10)
    print(done.stdout, done.engine, done.user_time)

`run()`, `Popen`, `call()`, `check_call()`, `check_output()` and, for asyncio,
`create_subprocess_exec()` and `create_subprocess_shell()` take the arguments of
their namesakes in subprocess and asyncio, and raise the same exceptions. What
they do not know how to do faster they leave to subprocess. What differs is
listed in docs/python.md. Beyond subprocess there are `pipeline()`, `prepare()`
and `statistics()`.

Needs Linux, Python 3.9 and liblauncher.so.0: beside this package, where the
environment variable LAUNCHER_LIBRARY says, or where the system finds it.

SPDX-License-Identifier: Apache-2.0
"""

from subprocess import (
    DEVNULL,
    PIPE,
    STDOUT,
    CalledProcessError,
    SubprocessError,
    TimeoutExpired,
)

from ._asyncio import create_subprocess_exec, create_subprocess_shell
from ._library import Statistics
from ._popen import Popen
from ._run import (
    CompletedProcess,
    CompletedPipeline,
    Survivor,
    Timing,
    call,
    check_call,
    check_output,
    pipeline,
    prepare,
    run,
    statistics,
)

__all__ = [
    "CalledProcessError",
    "CompletedPipeline",
    "CompletedProcess",
    "DEVNULL",
    "PIPE",
    "Popen",
    "STDOUT",
    "Statistics",
    "SubprocessError",
    "Survivor",
    "TimeoutExpired",
    "Timing",
    "call",
    "check_call",
    "check_output",
    "create_subprocess_exec",
    "create_subprocess_shell",
    "pipeline",
    "prepare",
    "run",
    "statistics",
]
