"""subprocess.Popen with another way to start the child.

Only the start is replaced: pipes, waiting, signals and errors are the code of
subprocess itself, since the process is its own to reap.

SPDX-License-Identifier: Apache-2.0
"""

import inspect
import os
import subprocess
import sys
from typing import Any, Dict

from ._library import STDIO_FD, make_command, shared

# What subprocess.Popen._execute_child() is called with, which is not documented:
# with anything else the start is left to it.
_PARAMETERS = tuple(inspect.signature(subprocess.Popen._execute_child).parameters)[1:]
_KNOWN = set(
    "args executable preexec_fn close_fds pass_fds cwd env startupinfo creationflags shell "
    "p2cread p2cwrite c2pread c2pwrite errread errwrite restore_signals gid gids uid umask "
    "start_new_session process_group".split()
)
_AS_EXPECTED = _KNOWN - {"process_group"} <= set(_PARAMETERS) <= _KNOWN and hasattr(
    subprocess.Popen, "_close_pipe_fds"
)


def _is_ours(given: Dict[str, Any]) -> bool:
    executable = given["executable"]
    return (
        given["preexec_fn"] is None
        and given["gid"] is None
        and given["gids"] is None
        and given["uid"] is None
        and given["umask"] < 0
        # A group for the leader of a session is an error, which subprocess tells.
        and not (given["start_new_session"] and given.get("process_group", -1) >= 0)
        and (executable is None or bool(os.path.dirname(executable)))
    )


class Popen(subprocess.Popen):
    """subprocess.Popen, started from a template.

    preexec_fn, user, group, extra_groups, umask, and an executable without a
    slash, are left to subprocess.
    """

    def _execute_child(self, *values: Any) -> None:
        given = dict(zip(_PARAMETERS, values))
        if not _AS_EXPECTED or len(values) != len(_PARAMETERS) or not _is_ours(given):
            super()._execute_child(*values)  # type: ignore[misc]
            return

        args, executable = given["args"], given["executable"]
        if isinstance(args, (str, bytes)):
            args = [args]
        elif isinstance(args, os.PathLike):
            if given["shell"]:
                raise TypeError("path-like args is not allowed when shell is true")
            args = [args]
        else:
            args = list(args)
        if given["shell"]:
            args = ["/bin/sh", "-c"] + args
            if executable:
                args[0] = executable
        name = args[0] if executable is None else executable
        sys.audit("subprocess.Popen", name, args, given["cwd"], given["env"])

        command = make_command(
            args,
            executable=executable,
            env=given["env"],
            cwd=given["cwd"],
            close_fds=given["close_fds"],
            pass_fds=given["pass_fds"],
            restore_signals=given["restore_signals"],
            start_new_session=given["start_new_session"],
            process_group=given.get("process_group", -1),
        )
        for stream, fd in (
            (command.stdin, given["p2cread"]),
            (command.stdout, given["c2pwrite"]),
            (command.stderr, given["errwrite"]),
        ):
            if fd != -1:
                stream.kind, stream.fd = STDIO_FD, fd
        try:
            self.pid = shared().start_process(command)
        except OSError as error:
            raise with_filename(error, name, given["cwd"]) from None
        self._child_created = True
        self._close_pipe_fds(  # type: ignore[attr-defined]
            *(given[end] for end in "p2cread p2cwrite c2pread c2pwrite errread errwrite".split())
        )


def with_filename(error: OSError, executable: Any, cwd: Any) -> OSError:
    """The same error as subprocess names it: by what the caller has called it."""
    step, code, named = getattr(error, "step", ""), error.errno, executable
    if step in ("chdir", "fchdir"):
        named = cwd
    elif cwd is not None and step in ("lookup", "posix_spawn"):
        # The directory comes first, but the library looks for the program
        # before it makes a process, and posix_spawn(3) does not say which.
        try:
            os.close(os.open(cwd, os.O_PATH | os.O_DIRECTORY))
        except OSError as other:
            step, code, named = "chdir", other.errno, cwd
    made = OSError(code, os.strerror(code or 0), named)
    made.step, made.object = step, getattr(error, "object", "")  # type: ignore[attr-defined]
    return made
