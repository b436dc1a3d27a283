"""Whatever reads the clock, or waits for it, in hosted code: virtual, or refused by name."""

from __future__ import annotations

import asyncio
import concurrent.futures
import ctypes
import functools
import multiprocessing
import os
import queue
import re
import sched
import selectors
import signal
import socket
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whenever
from helpers.hosted_clocks import (
    LONG,
    NEW_YEAR,
    OF_DAY,
    QUICK,
    Holder,
    inside,
)
from numpy import datetime64 as d64
from whenever import Instant

from tpssim import InputError, simulate

pytestmark = pytest.mark.usefixtures("searched_once")


async def loop_time() -> float:
    return asyncio.get_running_loop().time()


#: Seconds by every reading of a steady clock.
STEADY: dict[str, Callable[[], float]] = {
    "time.monotonic": time.monotonic,
    "time.monotonic_ns": lambda: time.monotonic_ns() / 1e9,
    "time.perf_counter": time.perf_counter,
    "time.perf_counter_ns": lambda: time.perf_counter_ns() / 1e9,
    "time.clock_gettime": lambda: time.clock_gettime(time.CLOCK_MONOTONIC),
    "time.clock_gettime_ns": lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME) / 1e9,
    "a static method": lambda: Holder.clock(),
    "the event loop": lambda: asyncio.run(loop_time()),
}


Readings = dict[str, float]


@pytest.fixture(scope="module")
def read() -> tuple[Readings, Readings]:
    """All readings at the start and 100 s later, in one run: hosting looks through all memory for
    clocks.
    """

    def now() -> Readings:
        return {
            f"{kind} {name}": ask() for kind, known in KINDS.items() for name, ask in known.items()
        }

    def before_and_after() -> tuple[Readings, Readings]:
        before = now()
        time.sleep(100.0)
        return before, now()

    found: tuple[Readings, Readings] = inside(before_and_after)
    return found


KINDS = {"of day": OF_DAY, "steady": STEADY}


@pytest.mark.parametrize("name", OF_DAY)
def test_every_reading_of_the_time_of_day_is_virtual(
    name: str, read: tuple[Readings, Readings]
) -> None:
    before, after = (found[f"of day {name}"] for found in read)
    start = NEW_YEAR.timestamp()
    assert (before, after) == pytest.approx((start, start + 100.0), rel=0.0, abs=1e-6)


@pytest.mark.parametrize("name", STEADY)
def test_every_reading_of_a_steady_clock_is_virtual(
    name: str, read: tuple[Readings, Readings]
) -> None:
    before, after = (found[f"steady {name}"] for found in read)
    assert (before, after) == pytest.approx((0.0, 100.0), rel=0.0, abs=1e-9)


def test_the_day_changes_at_virtual_midnight(monkeypatch: pytest.MonkeyPatch) -> None:
    days = LONG._replace(target=0.1, duration=172_900.0)
    seen: list[tuple[date, date, date]] = []

    def throttle(items: Iterable[Any], tps: float, total: int) -> Iterator[Any]:
        for _ in range(2):
            seen.append((date.today(), datetime.today().date(), Holder.day()))
            time.sleep(86_400.0)
        yield from items

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    try:
        simulate(days, throttle)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert seen == [(date(2026, 1, 1),) * 3, (date(2026, 1, 2),) * 3]


def by_call_at(seconds: float) -> None:
    async def nap() -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        loop.call_at(
            loop.time() + seconds / 2, lambda: loop.call_later(seconds / 2, done.set_result, None)
        )
        await done

    asyncio.run(nap())


async def outlasts(waiting: Any) -> None:
    with pytest.raises(TimeoutError):
        await waiting


async def for_ever() -> None:
    await asyncio.get_running_loop().create_future()


def by_timeout(seconds: float) -> None:
    async def nap() -> None:
        async with asyncio.timeout(seconds):
            await for_ever()

    asyncio.run(outlasts(nap()))


def by_timeout_at(seconds: float) -> None:
    async def nap() -> None:
        async with asyncio.timeout_at(asyncio.get_running_loop().time() + seconds):
            await for_ever()

    asyncio.run(outlasts(nap()))


def by_wait_for(seconds: float) -> None:
    async def nap() -> None:
        await asyncio.wait_for(for_ever(), seconds)

    asyncio.run(outlasts(nap()))


def by_wait(seconds: float) -> None:
    async def nap() -> None:
        _, late = await asyncio.wait([asyncio.ensure_future(for_ever())], timeout=seconds)
        assert late
        late.pop().cancel()

    asyncio.run(nap())


def by_scheduler(seconds: float) -> None:
    diary = sched.scheduler()
    diary.enter(seconds, 1, lambda: None)
    diary.run()


def by_scheduler_of_day(seconds: float) -> None:
    diary = sched.scheduler(time.time, time.sleep)
    diary.enterabs(time.time() + seconds, 1, lambda: None)
    diary.run()


def by_futures(seconds: float) -> None:
    ready = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(ready.wait)
        assert concurrent.futures.wait([future], timeout=seconds).not_done
        ready.set()


def by_result(seconds: float) -> None:
    with pytest.raises(TimeoutError):
        concurrent.futures.Future[None]().result(timeout=seconds)


def by_simple_queue(seconds: float) -> None:
    with pytest.raises(queue.Empty):
        queue.SimpleQueue[int]().get(timeout=seconds)


def by_full_queue(seconds: float) -> None:
    full = queue.Queue[int](1)
    full.put(1)
    with pytest.raises(queue.Full):
        full.put(2, timeout=seconds)


def by_barrier(seconds: float) -> None:
    with pytest.raises(threading.BrokenBarrierError):
        threading.Barrier(2).wait(seconds)


def by_event_of_before(seconds: float) -> None:
    assert not EVENT.wait(seconds)


def by_join(seconds: float) -> None:
    ready = threading.Event()
    thread = threading.Thread(target=ready.wait)
    thread.start()
    thread.join(seconds)
    assert thread.is_alive()
    ready.set()


EVENT = threading.Event()
WAITS: dict[str, Callable[[float], Any]] = {
    "call_at, call_later": by_call_at,
    "asyncio.timeout": by_timeout,
    "asyncio.timeout_at": by_timeout_at,
    "asyncio.wait_for": by_wait_for,
    "asyncio.wait": by_wait,
    "sched": by_scheduler,
    "sched by the time of day": by_scheduler_of_day,
    "concurrent.futures.wait": by_futures,
    "Future.result": by_result,
    "SimpleQueue.get": by_simple_queue,
    "Queue.put": by_full_queue,
    "Semaphore": lambda seconds: threading.Semaphore(0).acquire(timeout=seconds),
    "Barrier": by_barrier,
    "an event made before": by_event_of_before,
    "Thread.join": by_join,
}


@pytest.mark.parametrize("name", WAITS)
def test_every_timeout_ends_in_virtual_time(name: str) -> None:
    began, ended = inside(lambda: (time.monotonic(), WAITS[name](70.0), time.monotonic())[::2])
    assert ended - began == pytest.approx(70.0, abs=1e-4 if "day" in name else 1e-9)


WORD = "now"
ZONED = {"day": ("Today",)}
LIBC = ctypes.CDLL(None)


class Dated:
    def now(self) -> Any:
        return d64(WORD)


DATED = Dated()


def as_array() -> Any:
    return np.array([WORD], dtype="datetime64[s]")


def imported_within() -> Any:
    import numpy as numbers

    return numbers.datetime64("now")


def whenever_within() -> Any:
    import whenever as lib

    return lib.Instant.now()


ANSWERED: queue.SimpleQueue[int] = queue.SimpleQueue()
REFUSED: dict[str, Callable[[], Any]] = {
    "time.clock_settime": lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()),
    "time.clock_gettime(2)": lambda: time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID),
    "time.clock_gettime(3)": lambda: time.clock_gettime_ns(time.CLOCK_THREAD_CPUTIME_ID),
    "time.clock_gettime(11)": lambda: time.clock_gettime(time.CLOCK_TAI),
    "os.times": os.times,
    "resource.getrusage": lambda: __import__("resource").getrusage(0),
    "uuid.uuid1": uuid.uuid1,
    "signal.setitimer": lambda: signal.setitimer(signal.ITIMER_REAL, 1.0),
    "signal.alarm": lambda: signal.alarm(1),
    "signal.sigwaitinfo": lambda: signal.sigwaitinfo([signal.SIGUSR1]),
    "os.waitid": lambda: os.waitid(os.P_ALL, 0, os.WEXITED),
    "socket.getaddrinfo": lambda: socket.getaddrinfo("localhost", 80),
    "select.epoll": selectors.DefaultSelector,
    "a lock of multiprocessing": lambda: multiprocessing.Event().wait(0.01),
    "queue.SimpleQueue.get, of a queue made before,": lambda: ANSWERED.get(timeout=1.0),
    "numpy.datetime64('now')": lambda: np.datetime64("now"),
    "whenever": lambda: whenever.Instant.now(),
}
#: The same by other names, and what code of another language is called by.
DISGUISED: dict[str, tuple[str, Callable[[], Any]]] = {
    "another name": ("numpy.datetime64('now')", lambda: d64("now")),
    "a word of the module": ("numpy.datetime64('now')", lambda: np.datetime64(WORD)),
    "a word in a dict": ("numpy.datetime64('Today')", lambda: np.datetime64(ZONED["day"][0])),
    "an instance": ("numpy.datetime64('now')", DATED.now),
    "an instance of the module": ("numpy.datetime64('now')", lambda: DATED.now()),
    "a partial": ("numpy.datetime64('now')", functools.partial(np.datetime64, "now")),
    "an array": ("numpy.datetime64('now')", as_array),
    "an array that changes its type": (
        "numpy.datetime64('now')",
        lambda: np.array(["now"]).astype("M8[s]"),
    ),
    "imported within": ("numpy.datetime64('now')", imported_within),
    "from whenever import Instant": ("whenever", lambda: Instant.now()),
    "whenever, imported within": ("whenever", whenever_within),
    "a bound method of whenever": ("whenever", Instant.now),
    "SQLite": (
        "sqlite3",
        lambda: sqlite3.connect(":memory:").execute("SELECT julianday('now')").fetchone(),
    ),
    "a C library": ("ctypes", lambda: LIBC.usleep(1000)),
    "a C library, from its name on": ("ctypes", lambda: ctypes.CDLL(None).time(None)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_clock_without_a_virtual_twin_is_refused_by_name(name: str) -> None:
    with pytest.raises(InputError) as error:
        inside(REFUSED[name])
    message = str(error.value)
    assert f" by {name} (" in message
    assert message.endswith(
        "has no virtual twin; allowed: time, datetime, threading, queue and asyncio timers"
    )
    assert "\n" not in message


@pytest.mark.parametrize("name", DISGUISED)
def test_a_clock_without_a_virtual_twin_is_refused_by_whatever_name_it_is_called(name: str) -> None:
    clock, ask = DISGUISED[name]
    with pytest.raises(
        InputError, match=rf" by {re.escape(clock)} \(.*:\d+\), which has no virtual twin"
    ):
        inside(ask)


HELPER = """
import numpy as np

WORD = "now"

def stamp():
    return np.datetime64(WORD)

def nothing():
    return 0
"""


@pytest.mark.parametrize(
    "how", ["a function of it", "an attribute", "imported within", "all of it"]
)
def test_helpers_in_other_modules_of_the_user_are_looked_into(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"stamping_{how.replace(' ', '_')}"
    (tmp_path / f"{name}.py").write_text(HELPER, encoding="utf-8")
    (tmp_path / "throttle.py").write_text(
        {
            "a function of it": f"from {name} import stamp as f\ndef at():\n    return f()\n",
            "an attribute": f"import {name} as m\ndef at():\n    return m.stamp()\n",
            "imported within": f"def at():\n    from {name} import stamp\n    return stamp()\n",
            "all of it": f"def at():\n    import {name} as m\n    return m.stamp()\n",
        }[how]
        + "def throttle(items, tps, total):\n    for item in items:\n        at()\n        yield"
        " item\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match=rf"by numpy\.datetime64\('now'\) \(.*{name}\.py:6\)"):
        simulate(QUICK, f"{tmp_path / 'throttle.py'}:throttle")


OWN = """
import time
import numpy as np

def whenever(step):
    return time.monotonic() + step

def ctypes():
    return np.datetime64("2026-01-01")

def throttle(items, tps, total):
    ctypes()
    due = whenever(0.0)
    for item in items:
        time.sleep(max(0.0, due - time.monotonic()))
        due = whenever(1.0 / tps)
        yield item
"""


def test_a_function_of_the_users_may_have_any_name_and_a_date_may_be_given(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    assert len(simulate(QUICK, f"{tmp_path / 'own.py'}:throttle").released) > 150


def test_the_processor_is_needed_for_looking_at_the_clock_alone() -> None:
    def spin() -> tuple[float, ...]:
        time.sleep(1.0)
        before = time.process_time(), time.thread_time_ns() / 1e9
        until = time.monotonic() + 0.25
        while time.monotonic() < until:
            pass
        thread = threading.Thread(target=time.sleep, args=(1.0,))
        thread.start()
        thread.join()
        after = time.process_time_ns() / 1e9, time.thread_time()
        return tuple(b - a for a, b in zip(before, after, strict=True))

    assert inside(spin) == pytest.approx((0.25, 0.25), abs=1e-6)


def test_a_spin_on_processor_time_ends() -> None:
    def spin() -> float:
        while time.process_time() < 0.001:
            pass
        return time.monotonic()

    # 100 looks that cost nothing, then a microsecond each.
    assert inside(spin) == pytest.approx(0.001, abs=2e-6)
