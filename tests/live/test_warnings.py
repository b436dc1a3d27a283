"""What the live throttle says of its own generator, on the wall clock, and what it leaves as it
found it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.laws import SetOnce

from tpssim import Aborted, ThrottleWarning, arun, athrottle, run, throttle
from tpssim.core.clocks import VirtualClock

LINUX = sys.platform == "linux"


def test_a_thread_that_computes_is_named_as_the_cause() -> None:
    over = threading.Event()

    def compute() -> None:
        while not over.is_set():
            sum(range(2000))

    def warning_and_verdict() -> tuple[str, str]:
        live = throttle(range(600), 400.0)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in live:
                pass
        return (
            " ".join(str(w.message) for w in caught if w.category is ThrottleWarning),
            live.report().verdict,
        )

    busy = threading.Thread(target=compute)
    busy.start()
    try:
        # On a busy machine the system itself may be what is late, and is named then.
        for _ in range(5):
            warning, verdict = warning_and_verdict()
            if "hold the interpreter lock" in warning and "for other threads" in verdict:
                break
    finally:
        over.set()
        busy.join()
    assert "hold the interpreter lock" in warning
    assert "for other threads of this process compute" in verdict


def test_a_task_that_blocks_the_event_loop_is_named_as_the_cause() -> None:
    async def main() -> str:
        async def rude() -> None:
            while True:
                time.sleep(0.02)  # without await: nothing else runs meanwhile
                await asyncio.sleep(0)

        task = asyncio.create_task(rude())
        live = athrottle(range(10_000), 400.0)
        async for _ in live:
            if live.report().seconds > 1.5:
                break
        task.cancel()
        return live.report().verdict

    with pytest.warns(
        ThrottleWarning, match="for a task computes or blocks the event loop too long"
    ):
        verdict = asyncio.run(main())
    assert "limited by the generator: " in verdict


def spin(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def slow(items: int, seconds: float) -> Iterator[int]:
    for k in range(items):
        spin(seconds)
        yield k


def test_a_slow_iterable_is_named_and_not_the_caller() -> None:
    clock = VirtualClock()

    def items() -> Iterator[int]:
        for k in range(100):
            clock.set(clock.time() + 0.005)
            yield k

    live = throttle(items(), 500.0, clock=clock)
    for _ in live:
        clock.set(clock.time() + 0.001)
    report = live.report()
    # 1 ms and 5 ms a call; the first item came before the run began: 99 times 5 ms for 100 calls.
    said = (
        "limited by the iterable: 1 ms of code a call and 4.95 ms for its item, so at most 168 a"
        " second"
    )
    assert report.verdict == said
    assert report.fetching == pytest.approx(5 / 6, rel=0.02)
    assert report.blocked == pytest.approx(1 / 6, rel=0.02)
    assert "17 % of the time in the caller, 83 % in the iterable" in str(report)


def test_a_slow_asynchronous_iterable_is_named_too() -> None:
    async def main() -> str:
        live = athrottle(slow(40, 0.005), 2000.0)
        async for _ in live:
            pass
        return live.report().verdict

    assert asyncio.run(main()).startswith("limited by the iterable: ")


def test_our_own_work_is_not_the_callers() -> None:
    """A body of nothing, far faster than anybody can: also as another thread sees it."""
    live = throttle(range(20_000), 1e8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in live:
            pass
    found: list[str] = []
    other = threading.Thread(target=lambda: found.append(live.report().verdict))
    other.start()
    other.join()
    busy = "for the pacing thread is busy all the time: the rate is too high for one thread"
    assert live.report().verdict.startswith("limited by the generator: ")
    assert found[0].endswith(busy)
    assert live.report().verdict == found[0]


def closed(**options: Any) -> dict[str, Any]:
    """Options with which a run warns at once of a closed actuator, and is aborted then."""
    return {"controller": SetOnce(rate=0.0), "clock": VirtualClock(), **options}


async def call(_: int) -> None: ...


async def in_a_loop() -> None:
    async for _ in athrottle(range(9), 100.0, **closed()):  # here
        pass


async def with_permits() -> None:
    async for _ in athrottle(range(9), 100.0, **closed()).permits():  # here
        pass


async def in_tasks() -> None:
    await arun(call, range(9), 100.0, **closed())  # here


def from_the_top() -> None:
    asyncio.run(arun(call, range(9), 100.0, **closed()))  # here


def plainly() -> None:
    for _ in throttle(range(9), 100.0, **closed()):  # here
        pass


def by_permit() -> None:
    for _ in throttle(range(9), 100.0, **closed()).permits():  # here
        pass


def in_a_pool() -> None:
    run(abs, range(9), 100.0, **closed(workers=2))  # here


def one_at_a_time() -> None:
    run(abs, range(9), 100.0, **closed(workers=0))  # here


@pytest.mark.parametrize(
    "way",
    [
        plainly,
        by_permit,
        in_a_pool,
        one_at_a_time,
        from_the_top,
        lambda: asyncio.run(in_a_loop()),
        lambda: asyncio.run(with_permits()),
        lambda: asyncio.run(in_tasks()),
    ],
)
def test_a_warning_points_at_the_line_of_the_caller(way: Callable[[], None]) -> None:
    with (
        pytest.warns(ThrottleWarning, match="SetOnce releases nothing") as caught,
        pytest.raises(Aborted),
    ):
        way()
    (warning,) = caught
    assert warning.filename == __file__
    line = Path(__file__).read_text(encoding="utf-8").splitlines()[warning.lineno - 1]
    assert line.endswith("# here")


def test_who_shows_a_warning_may_ask_for_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    live = throttle(range(9), 100.0, **closed())
    shown: list[float] = []
    monkeypatch.setattr(
        warnings, "showwarning", lambda *_, **__: shown.append(live.report().released)
    )

    def go() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            with contextlib.suppress(Aborted):
                list(live)

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    thread.join(10.0)
    assert shown == [0]


@pytest.mark.skipif(not LINUX, reason="timer slack is a property of threads on Linux")
def test_timer_slack_is_low_while_waiting_and_as_before_in_the_body(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prctl = ctypes.CDLL(None).prctl
    get, put = 30, 29

    def slack() -> int:
        return int(prctl(get, 0, 0, 0, 0))

    while_waiting = []

    class Bell:
        """A lock that is never free: how the pacing thread sleeps."""

        def acquire(self, timeout: float) -> bool:
            while_waiting.append(slack())
            time.sleep(timeout)
            return False

        def release(self) -> None: ...

    live = throttle(range(5), 100.0)
    monkeypatch.setattr(live.flow.timing, "_bell", Bell())
    before = slack()
    prctl(put, 70_000, 0, 0, 0)
    try:
        in_the_body = [slack() for _ in live]
    finally:
        prctl(put, before, 0, 0, 0)
    assert in_the_body == [70_000] * 5
    assert set(while_waiting) == {1}
