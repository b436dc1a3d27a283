"""Calls that have waited for a worker do not all begin at once when the service is fast again."""

from __future__ import annotations

import asyncio
import itertools
import math
import threading
import time
from typing import Any

import pytest

from tpssim import Quota, Rejected, Stages, arun, run, throttle
from tpssim.core.clocks import VirtualClock
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


def test_begins_follow_a_profile_and_go_on_at_its_peak() -> None:
    """A ramp to 20 a second in 2 s: slot k at sqrt(k / 5); what waits longer than it, 20 a
    second."""
    begins = Begins(throttle((), Stages("2s:20")).flow)
    times = [begins.due(0.0) for _ in range(24)]
    ramp = [math.sqrt(k / 5.0) for k in range(21)]
    assert times == pytest.approx([*ramp, 2.05, 2.1, 2.15])


def test_begins_have_the_costs_and_the_quotas_of_the_run() -> None:
    begins = Begins(throttle((), 10.0).flow)
    assert [begins.due(0.0, cost) for cost in (3.0, 1.0, 0.5, 1.0)] == pytest.approx(
        [0.0, 0.3, 0.4, 0.45]
    )
    quota = Quota(2.0, 1.0, margin=0.0)
    begins = Begins(throttle((), math.inf, quotas=[quota]).flow)
    assert [begins.due(0.0) for _ in range(5)] == pytest.approx([0.0, 0.0, 1.0, 1.0, 2.0])


def test_nothing_begins_before_the_service_wants_to_see_anybody_again() -> None:
    clock = VirtualClock()
    paced = throttle(range(9), 10.0, clock=clock)
    begins = Begins(paced.flow)
    permits = [permit for _, permit in itertools.islice(paced.permits(), 3)]
    assert begins.due(0.2) == 0.2
    permits[0].refused(retry_after=5.0)
    assert [begins.due(0.2) for _ in range(3)] == pytest.approx([5.2, 5.2, 5.3])


@pytest.mark.parametrize("way", ["threads", "tasks"])
def test_who_waits_for_its_begin_when_an_answer_comes_waits_on(way: str) -> None:
    """Four workers are free at once; the calls that they take begin 0.1 s apart. The first answers
    in 0.05 s to come back in 0.6 s: the others do not begin before, and then 0.1 s apart again."""
    begun: list[float] = []
    together = threading.Barrier(4)

    def call(k: int) -> None:
        if k < 4:
            together.wait()
            time.sleep(0.5)
            return
        begun.append(time.perf_counter())
        if k == 4:
            time.sleep(0.05)
            raise Rejected("429", retry_after=0.6)

    async def acall(k: int) -> None:
        if k < 4:
            await asyncio.sleep(0.8 - 0.1 * k)
            return
        begun.append(time.perf_counter())
        if k == 4:
            await asyncio.sleep(0.05)
            raise Rejected("429", retry_after=0.6)

    if way == "threads":
        run(call, range(8), 10.0, workers=4, late="delay")
    else:
        asyncio.run(arun(acall, range(8), 10.0, max_in_flight=4, late="delay"))
    begun.sort()
    assert len(begun) == 4
    assert begun[1] >= begun[0] + 0.65
    assert begun[3] >= begun[1] + 0.1  # two gaps, of which a late wake-up may shorten one


@pytest.mark.parametrize("way", ["threads", "tasks"])
def test_a_stopped_run_does_not_wait_for_the_begin_of_a_call(way: str) -> None:
    """The first call is told to come back in half a minute while the second waits for its worker;
    the run is stopped after 0.3 s."""

    def started(handle: Any) -> None:
        threading.Timer(0.3, handle.stop).start()

    def call(k: str) -> None:
        time.sleep(0.1)
        raise Rejected("429", retry_after=30.0)

    async def acall(k: str) -> None:
        await asyncio.sleep(0.1)
        raise Rejected("429", retry_after=30.0)

    since = time.perf_counter()
    if way == "threads":
        done = run(call, "ab", 100.0, workers=1, started=started)
    else:
        done = asyncio.run(arun(acall, "ab", 100.0, max_in_flight=1, started=started))
    assert time.perf_counter() - since < 20.0
    assert done.pending == ["b"]


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
