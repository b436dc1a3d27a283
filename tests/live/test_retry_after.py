"""A service says when to come back: nobody gets a slot before, and the report says who waited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tpssim import Limiter, Rejected, arun, athrottle, run, throttle
from tpssim.core.clocks import VirtualClock
from tpssim.live.permits import Permit

ASKED = SimpleNamespace(status_code=429, headers={"Retry-After": "2"})
SILENT = SimpleNamespace(status_code=429, headers={"Server": "here"})


def raised(error: BaseException) -> Callable[[Permit], Any]:
    return lambda permit: permit.__exit__(type(error), error, None)


@pytest.mark.parametrize(
    ("end", "until"),
    [
        (lambda permit: permit.refused(retry_after=2.0), 2.0),
        (lambda permit: permit.refused(2.0), 2.0),
        (lambda permit: permit.refused(retry_after=0.05), 0.1),  # the slot of 0.1 s is later
        (lambda permit: permit.see(ASKED), 2.0),
        (lambda permit: permit.see(Rejected("429", retry_after=2.0)), 2.0),
        (lambda permit: permit.see({"ResponseMetadata": {
            "HTTPStatusCode": 503, "HTTPHeaders": {"retry-after": "3"}}}), 3.0),
        (raised(Rejected("429", retry_after=2.0)), 2.0),
        (raised(ExceptionGroup("", [Rejected(retry_after=2.0), Rejected(retry_after=4.0)])), 4.0),
        # nothing was said
        (lambda permit: permit.refused(), 0.1),
        (lambda permit: permit.see(SILENT), 0.1),
        (lambda permit: permit.drop(), 0.1),
        (lambda permit: permit.fail(), 0.1),
        (lambda permit: permit.done(), 0.1),
        (lambda permit: permit.forget(), 0.1),
        # the first outcome counts
        (lambda permit: (permit.done(), permit.refused(retry_after=2.0)), 0.1),
    ],
)  # fmt: skip
def test_the_next_slot_waits_until_then(end: Callable[[Permit], Any], until: float) -> None:
    limiter = Limiter(10.0, clock=VirtualClock())
    end(limiter.acquire())
    assert limiter.acquire().released == until
    report = limiter.report()
    held = until > 0.1
    assert (report.retry_after_held, report.quota_held, report.limited) == (held, 0, 0)
    assert report.retry_after_wait == pytest.approx(until - 0.1)


def test_it_counts_from_the_answer_on_and_no_later_answer_shortens_it() -> None:
    clock = VirtualClock()
    limiter = Limiter(1.0, clock=clock)
    one, two, three = limiter.acquire(), limiter.acquire(), limiter.acquire()
    clock.wait(2.5, 0.0)
    one.refused(retry_after=10.0)
    two.refused(retry_after=1.0)
    three.done()
    with pytest.raises(TimeoutError):
        limiter.acquire(timeout=4.0)
    four = limiter.acquire()
    # It was due at 3 s: its slot is an old one, for the schedule does not know of the wait.
    assert (four.scheduled, four.released) == (3.0, 12.5)


def test_what_it_cost_is_not_made_up_for() -> None:
    """At 10 a second, refused at 0 s for 5 s: slots follow from 4.9 s on."""
    clock = VirtualClock()
    handle = throttle(range(5), 10.0, clock=clock)
    times = []
    for k in handle:
        times.append(clock.time())
        if k == 0:
            handle.see(Rejected(retry_after=5.0))
    assert times == pytest.approx([0.0, 5.0, 5.0, 5.1, 5.2])
    # Due at 0.1, released at 5.0: 4.8 s of it are given up.
    report = handle.report()
    assert report.skipped == pytest.approx(48.0)
    assert report.lost == pytest.approx(4.8)
    assert report.verdict.endswith(
        "; 0.77 of 10 a second: Retry-After of the service held calls back once, for 4.9 s"
    )


def test_everybody_waits_threads_and_tasks_alike() -> None:
    clock = VirtualClock()

    async def tasks() -> list[float]:
        paced = athrottle(range(4), 100.0, clock=clock)
        times = []
        async for item, permit in paced.permits():
            times.append(clock.time())
            if item == 1:
                permit.refused(retry_after=1.0)
        return times

    assert asyncio.run(tasks()) == pytest.approx([0.0, 0.01, 1.01, 1.01])


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_retry_waits_as_long_and_so_do_all_others(asynchronous: bool) -> None:
    clock = VirtualClock()
    begun: list[tuple[int, float]] = []

    def call(k: int) -> None:
        begun.append((k, clock.time()))
        if k == 1 and len(begun) == 2:
            raise Rejected("429", retry_after=3.0)

    async def acall(k: int) -> None:
        call(k)

    if asynchronous:
        done = asyncio.run(arun(acall, range(4), 10.0, clock=clock, retries=1))
    else:
        done = run(call, range(4), 10.0, workers=0, clock=clock, retries=1)
    assert done.failed == []
    times = dict(begun[2:])
    assert sorted(times) == [1, 2, 3]
    assert min(times.values()) == pytest.approx(3.1)
