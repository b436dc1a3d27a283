"""What `tpssim live` drives: a callable, a shell command, a URL. The only door to the HTTP clients.

urllib3 makes blocking calls and aiohttp asynchronous ones: each the mainstay of its kind, both with releases
all year round, and several times cheaper a call than the clients that do both. `TimeoutError` and `Rejected`
mean what they mean in a permit's body.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any, NamedTuple

from tpssim.core import InputError
from tpssim.live.permits import Rejected
from tpssim.loading import load

#: HTTP answers that say "too much": the service turned the call away.
REFUSALS = (429, 503)
MISSING = "needs {}, which is not installed; allowed: pip install 'tpssim[live]'"


class CallFailed(Exception):
    """A call that went wrong; the message says how."""


class Request(NamedTuple):
    """One HTTP call."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = {}
    data: str | None = None


def python_callable(spec: str) -> tuple[Callable[[int], Any], bool]:
    """(callable, whether it is asynchronous) at `FILE.py:callable` or `package.module:callable`.

    It is called with the number of the call, or with nothing if it takes no argument. Raises `InputError`.
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
            raise InputError(f"call {spec!r} needs more than one argument; allowed: none, or one") from None
        bare: Callable[[], Any] = function
        return (lambda _: bare()), asynchronous
    return function, asynchronous


def command(text: str, timeout: float | None) -> Callable[[int], None]:
    """Run a shell command; an exit code that is not 0 is a failure. Its output is thrown away."""

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


#: A session of its own: Ctrl-C is ours, and a command is killed with all that it started.
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


def check_request(request: Request) -> Request:
    """The request, if it can be sent; raises `InputError`."""
    if not request.url.startswith(("http://", "https://")) or request.url.rstrip("/").endswith(":"):
        raise InputError(f"url {request.url!r}; allowed: http://... or https://...")
    return request


@contextlib.contextmanager
def url(request: Request, timeout: float | None, connections: int) -> Iterator[Callable[[int], None]]:
    """Calls over kept connections, with urllib3; no redirects, no retries."""
    try:
        import urllib3
    except ModuleNotFoundError as error:
        raise InputError(f"--url {MISSING.format('urllib3')}") from error
    pool = urllib3.PoolManager(maxsize=connections, block=False, retries=False, timeout=timeout)
    method, where, headers, data = request.method, request.url, dict(request.headers), request.data

    def call(_: int) -> None:
        try:
            answer = pool.request(method, where, headers=headers, body=data, redirect=False)
        except urllib3.exceptions.NewConnectionError as error:
            raise CallFailed(str(error)) from error
        except urllib3.exceptions.TimeoutError as error:
            raise TimeoutError(f"no answer within {timeout:g} s") from error
        except urllib3.exceptions.HTTPError as error:
            raise CallFailed(str(error)) from error
        _check_status(answer.status)

    try:
        yield call
    finally:
        pool.clear()


@contextlib.asynccontextmanager
async def async_url(
    request: Request, timeout: float | None
) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Calls over kept connections, with aiohttp; no redirects, no retries, as many at once as are made."""
    try:
        import aiohttp
    except ModuleNotFoundError as error:
        raise InputError(f"--url with --async {MISSING.format('aiohttp')}") from error
    method, where, headers, data = request.method, request.url, dict(request.headers), request.data
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=timeout)
    ) as session:

        async def call(_: int) -> None:
            try:
                async with session.request(
                    method, where, headers=headers, data=data, allow_redirects=False
                ) as answer:
                    await answer.read()
                    status = answer.status
            except TimeoutError:
                raise TimeoutError(f"no answer within {timeout:g} s") from None
            except aiohttp.ClientError as error:
                raise CallFailed(str(error) or type(error).__name__) from error
            _check_status(status)

        yield call


def _check_status(status: int) -> None:
    if status in REFUSALS:
        raise Rejected(f"HTTP {status}")
    if status >= 400:
        raise CallFailed(f"HTTP {status}")
