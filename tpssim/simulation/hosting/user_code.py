"""Throttles that are not ours, unmodified, under virtual time: `FILE.py:callable`,
`package.module:callable`.

They are called as the article's, `(items, tps, total)`, and must give an iterable or an async
iterable; each item that comes out is a call. While one runs, real time, locks and threads are
replaced for it (`patching`).
"""

from __future__ import annotations

import contextlib
import inspect
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from time import monotonic as real_time
from types import FrameType
from typing import Any, NamedTuple

from tpssim.core.errors import InputError
from tpssim.core.loading import load
from tpssim.core.provenance import root
from tpssim.core.types import record
from tpssim.scenarios.scenario import Scenario
from tpssim.simulation.hosting import runner
from tpssim.simulation.hosting.compiled_clocks import refuse_unseen
from tpssim.simulation.hosting.patching import rebound
from tpssim.simulation.hosting.runner import Guest
from tpssim.simulation.hosting.threads import current
from tpssim.simulation.hosting.virtual_loop import VirtualLoop
from tpssim.simulation.trace import Trace

ThrottleFunction = Callable[..., Any]

#: Real time that a run may take: so many seconds, and so many more for each second of virtual time.
PATIENCE, PACE = 20.0, 4.0


@record
class Foreign(NamedTuple):
    """A throttle by where it stands, so that other processes can load it too."""

    spec: str

    @property
    def label(self) -> str:
        place, _, name = self.spec.rpartition(":")
        return f"{Path(place).name}:{name}" if place.endswith(".py") else self.spec

    def load(self) -> ThrottleFunction:
        """The function, from a module executed afresh; raises `InputError`.

        Afresh, because virtual time begins again with each run, and a module's variables
        would not.
        """
        return load("throttle", self.spec)


def _body(code: Foreign | ThrottleFunction) -> runner.Body:
    def body(guest: Guest) -> None:
        # A file is executed here, in virtual time: so are its locks and its first looks at the
        # clock.
        function = code.load() if isinstance(code, Foreign) else code
        refuse_unseen(function)
        total = guest.world.slots
        flow = function(range(total), guest.target, total)
        if hasattr(flow, "__aiter__"):
            _run_async(guest, flow)
        elif hasattr(flow, "__iter__"):
            for _ in flow:
                guest.call()
        else:
            raise InputError(
                f"it gave {type(flow).__name__}; allowed: a generator or an async generator"
            )
        if guest.slot < total:
            raise InputError(
                f"it ended after {guest.slot:,} of {total:,} items, at"
                f" {guest.vthread.clock.time():.4g} s; allowed: as many items as are asked for, the"
                " given ones repeated if need be"
            )

    return body


def check_signature(function: ThrottleFunction, shown: str) -> None:
    """Whether it can be called as a throttle; raises `InputError`."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # not every callable tells
    try:
        signature.bind([], 1.0, 1)
    except TypeError:
        raise InputError(
            f"{shown} takes {signature}; allowed: called as (items, tps, total)"
        ) from None


def _run_async(guest: Guest, flow: Any) -> None:
    import asyncio

    async def consume() -> None:
        async for _ in flow:
            guest.call()

    loop = VirtualLoop(guest.vthread)
    try:
        loop.run_until_complete(consume())
    finally:
        # As `asyncio.run` ends: tasks are cancelled and may clean up.
        asyncio._set_running_loop(None)
        guest.vthread.closing = True
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def simulate(
    scenario: Scenario,
    code: Foreign | ThrottleFunction,
    seed: int,
    replication: int,
    meta: Mapping[str, Any],
) -> Trace:
    """One run with a foreign throttle; an error in it becomes an `InputError` that says when and
    where.
    """
    name = meta.get("controller", getattr(code, "__name__", code))
    # What it prints is not the bench's answer.
    with rebound(), contextlib.redirect_stdout(sys.stderr):
        try:
            with _watched():
                return runner.simulate(scenario, _body(code), seed, replication, meta)
        except InputError as error:
            raise InputError(f"throttle {name}: {error}") from error.__cause__
        except KeyboardInterrupt:
            raise
        except (Exception, SystemExit) as error:
            raise InputError(
                f"throttle {name} failed: {type(error).__name__}: {error} ({_place(error)}); "
                "allowed: code that runs to its end"
            ) from error


def _place(error: BaseException) -> str:
    """Where an error arose: the last line that is not the bench's."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = str(root())
    last = next((f for f in reversed(frames) if not f.filename.startswith(ours)), frames[-1])
    return f"{Path(last.filename).name}:{last.lineno}"


@contextlib.contextmanager
def _watched() -> Iterator[None]:
    """Name the code that waits in real time after all: by a means that is not replaced, such as a C
    library.

    Signals need the main thread; in another one nothing is watched.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(
        signal, "setitimer"
    ):
        yield
        return
    began = real_time()

    def look(_: int, frame: FrameType | None) -> None:
        vthread = current()
        if vthread is None or frame is None:
            return
        took = real_time() - began
        if took > PATIENCE + PACE * vthread.world.env.now:
            where = f"{frame.f_code.co_name}, {frame.f_code.co_filename}:{frame.f_lineno}"
            vthread.fail(
                f"the hosted code took {took:.0f} s for {vthread.world.env.now:.3g} virtual"
                " seconds: it waits in real time, by a means that has no virtual twin"
                f" ({where}); allowed: time, datetime, threading, queue and asyncio timers"
            )

    before = signal.signal(signal.SIGALRM, look)
    timer = signal.setitimer(signal.ITIMER_REAL, 1.0, 1.0)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *timer)
