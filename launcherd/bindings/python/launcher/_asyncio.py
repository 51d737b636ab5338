"""asyncio.create_subprocess_exec() over Popen of this package.

SPDX-License-Identifier: Apache-2.0
"""

import asyncio
import os
from asyncio import base_subprocess
from asyncio.subprocess import Process, SubprocessStreamProtocol
from typing import Any

from ._popen import Popen

_LIMIT = 2**16  # As asyncio.streams has it.


class _Transport(base_subprocess.BaseSubprocessTransport):
    """Sees the end of the process by its pidfd, whatever the loop and without a
    child watcher."""

    def _start(  # type: ignore[override]
        self, args: Any, shell: Any, stdin: Any, stdout: Any, stderr: Any, bufsize: int, **kwargs: Any
    ) -> None:
        self._proc = Popen(
            args, shell=shell, stdin=stdin, stdout=stdout, stderr=stderr, bufsize=bufsize, **kwargs
        )
        loop = self._loop  # type: ignore[attr-defined]
        try:
            pidfd = os.pidfd_open(self._proc.pid)
        except OSError:  # Linux before 5.3, or no descriptor left.
            ended = loop.run_in_executor(None, self._proc.wait)
            ended.add_done_callback(lambda _: self._tell())
            return
        loop.add_reader(pidfd, self._on_end, pidfd)

    def _on_end(self, pidfd: int) -> None:
        self._loop.remove_reader(pidfd)  # type: ignore[attr-defined]
        os.close(pidfd)
        self._tell()

    def _tell(self) -> None:
        self._process_exited(self._proc.wait())  # type: ignore[attr-defined]


async def _create(
    args: Any, shell: bool, stdin: Any, stdout: Any, stderr: Any, limit: int, kwargs: Any
) -> Process:
    for name in ("universal_newlines", "text", "encoding", "errors"):
        if kwargs.pop(name, None):
            raise ValueError(f"{name} is not for asyncio")
    if kwargs.pop("bufsize", 0):
        raise ValueError("bufsize must be 0")
    loop = asyncio.get_running_loop()
    protocol = SubprocessStreamProtocol(limit=limit, loop=loop)
    ready = loop.create_future()
    transport = _Transport(
        loop, protocol, args, shell, stdin, stdout, stderr, 0, waiter=ready, **kwargs
    )
    try:
        await ready
    except BaseException:
        transport.close()
        await transport._wait()  # type: ignore[attr-defined]
        raise
    return Process(transport, protocol, loop)


async def create_subprocess_exec(
    program: Any,
    *args: Any,
    stdin: Any = None,
    stdout: Any = None,
    stderr: Any = None,
    limit: int = _LIMIT,
    **kwargs: Any,
) -> Process:
    """asyncio.create_subprocess_exec()."""
    return await _create((program, *args), False, stdin, stdout, stderr, limit, kwargs)


async def create_subprocess_shell(
    cmd: Any,
    stdin: Any = None,
    stdout: Any = None,
    stderr: Any = None,
    limit: int = _LIMIT,
    **kwargs: Any,
) -> Process:
    """asyncio.create_subprocess_shell()."""
    if not isinstance(cmd, (bytes, str)):
        raise ValueError("cmd must be a string")
    return await _create(cmd, True, stdin, stdout, stderr, limit, kwargs)
