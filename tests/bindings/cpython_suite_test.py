#!/usr/bin/env python3
"""Runs CPython's own tests of subprocess, and of subprocesses in asyncio,
against the Python module.

Environment: LAUNCHER_LIBRARY, PYTHONPATH (the module). Nothing of the tests is
copied: they are the running Python's, with the names that they use replaced.
Status 77 where this Python has been installed without them.
"""

import asyncio
import os
import sys
import unittest

try:
    from test import test_subprocess
    from test.test_asyncio import test_subprocess as test_asyncio
except ImportError as error:
    print(f"skipped: this Python has no tests: {error}")
    sys.exit(77)

import subprocess

import launcher

# Tests whose subject is not what a program sees of subprocess.
NOT_FOR_US = {
    "test__use_vfork": "of a call inside of CPython",
    "test_exception_errpipe_normal": "of a call inside of CPython",
    "test_exception_errpipe_bad_data": "of a call inside of CPython",
    "test_fork_exec": "of a call inside of CPython",
    "test_fork_exec_sorted_fd_sanity_check": "of a call inside of CPython",
    "test_preexec_errpipe_does_not_double_close_pipes": "of a call inside of CPython",
    "test_preexec_gc_module_failure": "of a call inside of CPython",
    "test_repr": "expects the class to be called Popen of subprocess",
    "test_no_leaking": "takes every descriptor there is, a minute's work",
    "test_exec_loop_deprecated": "of an argument that Python 3.10 has removed",
    "test_shell_loop_deprecated": "of an argument that Python 3.10 has removed",
    "test__all__": "of the module subprocess itself",
    "test_encoding_warning": "starts a Python that is not patched",
    "test_call_keyboardinterrupt_no_kill": "replaces subprocess.Popen by another",
    "test_run_keyboardinterrupt_no_kill": "replaces subprocess.Popen by another",
    "test_context_manager_keyboardinterrupt_no_kill": "replaces subprocess.Popen by another",
    "test_popen_error": "replaces subprocess.Popen by another",
    "test_popen_error_with_stdin_pipe": "replaces subprocess.Popen by another",
}


def suite(module: object, *names: str) -> unittest.TestSuite:
    tests = unittest.TestSuite()
    for name in names:
        case = getattr(module, name, None)
        if case is None:  # Of another version of Python.
            continue
        for test in unittest.defaultTestLoader.loadTestsFromTestCase(case):
            if test._testMethodName not in NOT_FOR_US:
                tests.addTest(test)
    return tests


def main() -> int:
    before = launcher.statistics()
    subprocess.Popen = launcher.Popen
    for name in ("run", "call", "check_call", "check_output"):
        setattr(subprocess, name, getattr(launcher, name))
    asyncio.create_subprocess_exec = launcher.create_subprocess_exec
    asyncio.create_subprocess_shell = launcher.create_subprocess_shell
    asyncio.subprocess.create_subprocess_exec = launcher.create_subprocess_exec
    asyncio.subprocess.create_subprocess_shell = launcher.create_subprocess_shell

    tests = unittest.TestSuite()
    tests.addTest(
        suite(
            test_subprocess,
            "ProcessTestCase",
            "RunFuncTestCase",
            "POSIXProcessTestCase",
            "MiscTests",
            "ProcessTestCaseNoPoll",
            "ContextManagerTests",
        )
    )
    tests.addTest(
        suite(
            test_asyncio,
            "SubprocessThreadedWatcherTests",
            "SubprocessPidfdWatcherTests",
        )
    )
    result = unittest.TextTestRunner(verbosity=int(os.environ.get("VERBOSE", "1"))).run(tests)
    after = launcher.statistics()
    started = after.launches - before.launches
    print(f"{started} programs by the library, {after.warm_launches} of them warm")
    if started < 100:
        print("that is too few: the tests have not used it")
        return 1
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
