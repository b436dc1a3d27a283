"""Calls that have waited for a worker do not all begin at once when the service is fast again."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from tpssim import arun, run, throttle
from tpssim.live.pool_begins import Begins
from tpssim.live.throttle import Throttle


@pytest.mark.parametrize(
    ("late", "begun"),
    [
        # 10 a second; the workers are busy from 0 s to 5 s, and then free for all that waited.
        ("auto", [0.0, 5.0, 5.0, 5.1, 5.2]),  # 0.1 s of the schedule is kept: one call
        ("delay", [0.0, 5.0, 5.1, 5.2, 5.3]),
        ("capped(2)", [0.0, 5.0, 5.0, 5.0, 5.1]),
        ("skip", [0.0, 5.0, 5.1, 5.2, 5.3]),
        ("burst", [0.0, 5.0, 5.0, 5.0, 5.0]),
    ],
)
def test_begins_have_a_schedule_by_the_late_policy(late: str, begun: list[float]) -> None:
    begins = Begins(throttle((), 10.0, late=late).flow)
    assert [begins.due(now) for now in (0.0, 5.0, 5.0, 5.0, 5.0)] == pytest.approx(begun)


def test_who_is_in_time_does_not_wait() -> None:
    # Up to 0.09 s late now and then, 10 a second.
    begins = Begins(throttle((), 10.0).flow)
    times = [0.1 * k + (0.09 if k % 7 == 3 else 0.0) for k in range(100)]
    assert [begins.due(now) for now in times] == pytest.approx(times)


def test_a_changed_rate_is_a_changed_schedule() -> None:
    handle: Throttle[int] = throttle((), 10.0, late="delay")
    begins = Begins(handle.flow)
    assert begins.due(1.0) == 1.0
    handle.tps = 100.0
    assert begins.due(1.0) == pytest.approx(1.01)
    handle.tps = 4.0
    assert begins.due(1.01) == pytest.approx(1.26)


class Service:
    """Answers in 0.2 s at first, in 1 ms from `recover` on."""

    def __init__(self) -> None:
        self.seconds = 0.2
        self.begun: list[float] = []

    def recover(self) -> None:
        self.seconds = 0.001

    def started(self, _: Any) -> None:
        threading.Timer(1.0, self.recover).start()

    def call(self, _: int) -> None:
        self.begun.append(time.perf_counter())
        time.sleep(self.seconds)

    async def acall(self, _: int) -> None:
        self.begun.append(time.perf_counter())
        await asyncio.sleep(self.seconds)

    def most_in_a_second(self) -> int:
        times = sorted(self.begun)
        return max(sum(t <= other < t + 1.0 for other in times) for t in times)


@pytest.mark.parametrize("way", ["threads", "tasks"])
def test_what_waited_for_a_worker_begins_below_the_ceiling(way: str) -> None:
    # 100 a second of which 20 begin, for a second: 80 wait. Then all of them could begin within 0.1
    # s.
    service = Service()
    if way == "threads":
        done = run(service.call, range(300), 100.0, workers=4, started=service.started)
    else:
        limited = arun(service.acall, range(300), 100.0, max_in_flight=4, started=service.started)
        done = asyncio.run(limited)
    assert done.report.ok == 300
    # 1.1 x 100 + 1, and some whose thread was late to note its time
    assert service.most_in_a_second() <= 111 + 10
