"""Calls on this machine: a Python callable, a shell command."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable
from typing import Any

from tpssim.core.errors import InputError
from tpssim.core.loading import load
from tpssim.live.callees.requests import CallFailed


def python_callable(spec: str) -> tuple[Callable[[int], Any], bool]:
    """(callable, whether it is asynchronous) at `FILE.py:callable` or `package.module:callable`.

    It is called with the number of the call, or with nothing if it takes no argument. Raises
    `InputError`.
    """
    function = load("call", spec)
    asynchronous = inspect.iscoroutinefunction(function)
    try:
        inspect.signature(function).bind(0)
    except ValueError:
        return function, asynchronous  # a builtin that does not say
    except TypeError:
        try:
            inspect.signature(function).bind()
        except TypeError:
            raise InputError(
                f"call {spec!r} needs more than one argument; allowed: none, or one"
            ) from None
        bare: Callable[[], Any] = function
        return (lambda _: bare()), asynchronous
    return function, asynchronous


def command(text: str, timeout: float | None) -> Callable[[int], None]:
    """Run a shell command; an exit code other than 0 is a failure. Its output is discarded."""

    def call(_: int) -> None:
        with subprocess.Popen(text, shell=True, **_QUIET) as process:
            try:
                code = process.wait(timeout)
            except subprocess.TimeoutExpired:
                _kill(process.pid)
                raise TimeoutError(f"no end within {timeout:g} s") from None
            except BaseException:
                _kill(process.pid)
                raise
        _check_exit(code)

    return call


def async_command(text: str, timeout: float | None) -> Callable[[int], Awaitable[None]]:
    """As `command`, in an event loop."""

    async def call(_: int) -> None:
        process = await asyncio.create_subprocess_shell(text, **_QUIET)
        try:
            code = await asyncio.wait_for(process.wait(), timeout)
        except BaseException as error:
            _kill(process.pid)
            await process.wait()
            if isinstance(error, TimeoutError):
                raise TimeoutError(f"no end within {timeout:g} s") from None
            raise
        _check_exit(code)

    return call


#: A session of its own, so that Ctrl-C reaches only tpssim, and a command is killed with all its
#: children.
_QUIET: dict[str, Any] = {
    "stdin": subprocess.DEVNULL,
    "stdout": subprocess.DEVNULL,
    "stderr": subprocess.DEVNULL,
    "start_new_session": True,
}


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _check_exit(code: int) -> None:
    if code != 0:
        raise CallFailed(f"exit code {code}")
