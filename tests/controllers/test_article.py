"""The five printed throttles, by hand: when each item is released for a given consumer."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from tpssim.controllers.article import PRINTED, PrintedThrottle
from tpssim.core.clocks import VirtualClock, WallClock
from tpssim.core.errors import InputError

EVERY = pytest.mark.parametrize("throttle", PRINTED.values(), ids=PRINTED)


def releases(
    throttle: PrintedThrottle, tps: float, total: int, service: Callable[[int], float]
) -> tuple[list[float], list[float]]:
    """Release times and commanded rates; the consumer takes `service(k)` seconds for call k."""
    clock = VirtualClock()
    times: list[float] = []
    rates: list[float] = []
    for k in throttle(range(total), tps, total, clock=clock, on_rate=rates.append):
        times.append(clock.time())
        clock.set(clock.time() + service(k))
    return times, rates


def test_sleeping_adds_the_callers_time_to_every_period() -> None:
    # 1/4 s of sleep and 1/8 s of call: one release every 0.375 s instead of every 0.25 s.
    times, rates = releases(PRINTED["printed-sleep"], 4.0, 4, lambda k: 0.125)
    assert times == [0.0, 0.375, 0.75, 1.125]
    assert rates == [4.0]


@pytest.mark.parametrize("name", ["printed-schedule", "printed-spin"])
def test_a_schedule_absorbs_the_callers_time(name: str) -> None:
    assert releases(PRINTED[name], 4.0, 4, lambda k: 0.125)[0] == [0.0, 0.25, 0.5, 0.75]


@pytest.mark.parametrize("name", ["printed-schedule", "printed-spin"])
def test_a_schedule_catches_up_without_bound(name: str) -> None:
    # The first call takes 2 s: the seven ticks missed go out at once, then the schedule is kept
    # again.
    times, _ = releases(PRINTED[name], 4.0, 11, lambda k: 2.0 if k == 0 else 0.0)
    assert times == [0.0] + [2.0] * 8 + [2.25, 2.5]


def test_aimd_by_hand() -> None:
    # Target 4: interval 0.25 s, threshold 0.375 s. Call 1 takes 1 s. Return 0 at 0, return 1 at
    # 1.25: 1.25 > 0.375: 4 x 0.7 = 2.8. Tick 2 is at 0.25 + 1 / 2.8 = 0.607, so call 2 goes out at
    # 1.25 and returns at once: 0 <= 1.5 / 2.8: 3.8. Tick 3 at 0.607 + 1 / 3.8 = 0.870, at once:
    # 4.8, held at 4. Tick 4 at 1.120, at once: 4. Tick 5 at 1.370: 0.120 late is no breach: 4.
    times, rates = releases(PRINTED["printed-aimd"], 4.0, 6, lambda k: 1.0 if k == 1 else 0.0)
    assert times == pytest.approx([0.0, 0.25, 1.25, 1.25, 1.25, 0.25 + 1 / 2.8 + 1 / 3.8 + 0.5])
    assert rates == pytest.approx([4.0, 2.8, 3.8, 4.0, 4.0, 4.0])


def test_ewma_by_hand() -> None:
    # Target 10: interval 0.1 s. Returns at 0 and, call 1 taking 0.1 s, at 0.2: ewma 0.2 (first),
    # ratio 2: 9. Tick 2 at 0.1 + 1/9 = 0.2111: ewma = 0.2 x 0.0111 + 0.8 x 0.2 = 0.16222; x 9 =
    # 1.46: 8.1. Tick 3 at 0.2111 + 1/8.1 = 0.33457: ewma = 0.2 x 0.123457 + 0.8 x 0.16222 =
    # 0.154469; x 8.1: 7.29.
    times, rates = releases(PRINTED["printed-ewma"], 10.0, 4, lambda k: 0.1 if k == 1 else 0.0)
    assert times == pytest.approx([0.0, 0.1, 0.1 + 1 / 9, 0.1 + 1 / 9 + 1 / 8.1])
    assert rates == pytest.approx([10.0, 9.0, 8.1, 7.29])


def test_ewma_never_recovers() -> None:
    # 200/s wanted, 20 ms a call for 400 calls, then 0.5 ms for thousands: once on time, it holds
    # for ever.
    _, rates = releases(PRINTED["printed-ewma"], 200.0, 5000, lambda k: 0.02 if k < 400 else 0.0005)
    assert rates[-1] < 100.0
    assert rates[-1] == rates[1000]


def test_aimd_recovers() -> None:
    _, rates = releases(PRINTED["printed-aimd"], 200.0, 5000, lambda k: 0.02 if k < 400 else 0.0005)
    assert rates[400] <= 76.0  # above 1.5 / 0.02 s = 75 every return is late; one step may pass it
    assert rates[-1] == 200.0


@EVERY
def test_exactly_total_items_of_the_cycled_iterable(throttle: PrintedThrottle) -> None:
    assert list(throttle("abc", 1000.0, 7, clock=VirtualClock())) == list("abcabca")
    assert list(throttle(iter("ab"), 1000.0, 5, clock=VirtualClock())) == list("ababa")
    assert list(throttle("abc", 1000.0, 0, clock=VirtualClock())) == []


@EVERY
def test_an_empty_iterable_ends_the_loop(throttle: PrintedThrottle) -> None:
    assert list(throttle([], 10.0, 5, clock=VirtualClock())) == []


@EVERY
@pytest.mark.parametrize("tps", [0.0, -1.0, math.nan, math.inf])
def test_a_rate_that_is_none_is_refused(throttle: PrintedThrottle, tps: float) -> None:
    with pytest.raises(InputError, match="tps="):
        list(throttle("abc", tps, 5, clock=VirtualClock()))


@EVERY
def test_stopping_early_is_clean(throttle: PrintedThrottle) -> None:
    items = throttle("abc", 10.0, 5, clock=VirtualClock())
    assert next(items) == "a"
    items.close()  # type: ignore[attr-defined]
    assert list(items) == []


@EVERY
def test_the_same_function_runs_on_the_wall_clock(throttle: PrintedThrottle) -> None:
    clock = WallClock()
    before = clock.now()
    times = [clock.now() for _ in throttle("ab", 2000.0, 6)]
    assert len(times) == 6
    assert times == sorted(times)
    assert times[0] >= before
