"""Throttles that are not ours, unmodified, under virtual time: `FILE.py:callable`, `package.module:callable`.

They are called as the article's, `(items, tps, total)`, and must give an iterable or an async iterable; each
item that comes out is a call. While one runs, real time, locks and threads are replaced for it (`rebinding`).
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from time import monotonic as real_time
from types import FrameType
from typing import Any, NamedTuple

from tpssim import hosted
from tpssim.core import InputError
from tpssim.hosted import Guest
from tpssim.rebinding import rebound
from tpssim.scenario import Scenario
from tpssim.strands import current
from tpssim.traces import Trace
from tpssim.virtual_loop import VirtualLoop

ThrottleFunction = Callable[..., Any]

#: Real time that a run may take: so many seconds, and so many more for each second of virtual time.
PATIENCE, PACE = 20.0, 4.0


class Foreign(NamedTuple):
    """A throttle by where it stands, so that other processes can load it too."""

    spec: str

    @property
    def label(self) -> str:
        place, _, name = self.spec.rpartition(":")
        return f"{Path(place).name}:{name}" if place.endswith(".py") else self.spec

    def load(self) -> ThrottleFunction:
        """The function; raises `InputError`."""
        return _loaded(self.spec)


@functools.lru_cache(maxsize=64)
def _loaded(spec: str) -> ThrottleFunction:
    place, colon, name = spec.rpartition(":")
    if not colon or not place or not name:
        raise InputError(f"throttle {spec!r}: allowed: FILE.py:callable or package.module:callable")
    try:
        module = (
            _from_file(Path(place).resolve()) if place.endswith(".py") else importlib.import_module(place)
        )
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"throttle {spec!r} cannot be loaded: {type(error).__name__}: {error}; allowed: code that imports"
        ) from error
    function: Any = module
    for part in name.split("."):
        function = getattr(function, part, None)
    if not callable(function):
        known = sorted(n for n, v in vars(module).items() if callable(v) and not n.startswith("_"))
        raise InputError(f"throttle {spec!r}: {place} has no callable {name!r}; allowed: {', '.join(known)}")
    found: ThrottleFunction = function
    return found


@functools.lru_cache(maxsize=64)
def _from_file(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"throttle file {str(path)!r} is not there; allowed: a Python file")
    spec = importlib.util.spec_from_file_location(f"throttle_file_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # What stands beside it can be imported, as if it were run.
    sys.path.insert(0, str(path.parent))
    try:
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


def _body(function: ThrottleFunction) -> hosted.Body:
    def body(guest: Guest) -> None:
        total = guest.world.slots
        flow = function(range(total), guest.world.scenario.target, total)
        if hasattr(flow, "__aiter__"):
            _run_async(guest, flow)
        elif hasattr(flow, "__iter__"):
            for _ in flow:
                guest.call()
        else:
            raise TypeError(f"it gave {type(flow).__name__}, not an iterable or an async iterable")

    return body


def _run_async(guest: Guest, flow: Any) -> None:
    import asyncio

    async def consume() -> None:
        async for _ in flow:
            guest.call()

    loop = VirtualLoop(guest.strand)
    asyncio._set_running_loop(None)
    try:
        loop.run_until_complete(consume())
    finally:
        # As `asyncio.run` ends: tasks are cancelled and may clean up.
        asyncio._set_running_loop(None)
        guest.strand.closing = True
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def simulate(
    scenario: Scenario, function: ThrottleFunction, seed: int, replication: int, meta: Mapping[str, Any]
) -> Trace:
    """One run with a foreign throttle; an error in it becomes an `InputError` that says when and where."""
    with rebound(), _watched():
        try:
            return hosted.simulate(scenario, _body(function), seed, replication, meta)
        except (InputError, KeyboardInterrupt):
            raise
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            raise InputError(
                f"the throttle {meta.get('controller', function)} failed: {type(error).__name__}: {error} "
                f"({Path(last.filename).name}:{last.lineno}); allowed: code that runs"
            ) from error


@contextlib.contextmanager
def _watched() -> Iterator[None]:
    """Name the code that waits in real time after all: by a means that is not replaced, such as a C library.

    Signals need the main thread; in another one nothing is watched.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    began = real_time()

    def look(_: int, frame: FrameType | None) -> None:
        strand = current()
        if strand is None or frame is None:
            return
        took = real_time() - began
        if took > PATIENCE + PACE * strand.clock.time():
            where = f"{frame.f_code.co_name}, {frame.f_code.co_filename}:{frame.f_lineno}"
            strand.fail(
                f"the hosted code took {took:.0f} s for {strand.clock.time():.3g} virtual seconds: it waits "
                f"in real time, by a means that has no virtual twin ({where}); "
                "allowed: time, threading, queue and asyncio timers"
            )

    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, 1.0, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
