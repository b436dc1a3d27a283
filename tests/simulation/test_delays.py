"""What each late policy makes of three lost seconds, by hand: the most in any second, and the slots
lost.

64 calls a second are wanted, at k / 64 s; none can be released after 1 s until T = 4 s and half an
interval. Between lie the slots of 1 + 1/64 s to 4 s, 192, and half a one to T.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from helpers.laws import FIXED, SetOnce, run

from tpssim.core.clocks import VirtualClock
from tpssim.core.schedule import late_policy
from tpssim.live.throttle import throttle
from tpssim.scenarios.disturbances import Stall
from tpssim.scenarios.plant import Async, Backend, Pool
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Constant

T = 4.0 + 1.0 / 128.0
#: By policy: the most in a second, that from T on, if calls take no time; and the slots that are
#: given up.
LOST = {
    "burst": (192 + 64, 0.0),  # all of them at T, and those of the next second, up to 5 s
    "delay": (1 + 63, 191.5),  # the one that is due, and on from T
    "skip": (1 + 64, 191.0),  # the one that is due, and on with the old ticks, from 4 + 1/64 s
    "capped(3)": (
        1 + 3 + 63,
        188.5,
    ),  # on from three intervals before T: three at once, and then from T
    "auto": (1 + 6 + 64, 185.1),  # on from 0.1 s before T, 6.4 intervals: 70 slots in 1.1 s
}
POLICIES = pytest.mark.parametrize("late", LOST)


def most(times: list[float]) -> int:
    """The most in any half-open second."""
    released = np.sort(times)
    return int((np.searchsorted(released, released + 1.0) - np.arange(len(released))).max())


def live(
    late: str, took: Callable[[float], float], items: Iterator[int], clock: VirtualClock
) -> None:
    """A loop whose call from `t` on takes `took(t)`, and what comes of it by the policy."""
    times, paced = [], throttle(items, 64.0, clock=clock, late=late)
    for _ in paced:
        times.append(clock.time())
        clock.set(times[-1] + took(times[-1]))
        if times[-1] > 6.0:
            break
    assert paced.flow.pacer is not None
    assert most(times) == LOST[late][0]
    assert paced.flow.pacer.skipped == pytest.approx(LOST[late][1])


@POLICIES
def test_a_process_that_was_stopped(late: str) -> None:
    live(late, lambda t: T - 1.0 if t == 1.0 else 0.0, iter(range(9999)), VirtualClock())


@POLICIES
def test_a_source_that_was_empty(late: str) -> None:
    clock = VirtualClock()

    def source() -> Iterator[int]:
        yield from range(65)
        clock.set(T)
        yield from range(9999)

    live(late, lambda t: 0.0, source(), clock)


@POLICIES
def test_a_service_that_recovers(late: str) -> None:
    # From 1 s on each call takes half a second; the sixth ends at T.
    def took(t: float) -> float:
        if not 1.0 <= t < 4.0:
            return 0.0
        return T - t if t == 3.5 else 0.5

    times, clock = [], VirtualClock()
    for _ in throttle(range(9999), 64.0, clock=clock, late=late):
        times.append(clock.time())
        clock.set(times[-1] + took(times[-1]))
        if times[-1] > 6.0:
            break
    assert times[64:70] == [1.0, 1.5, 2.0, 2.5, 3.0, 3.5]
    # Five of the slots that were missed have been released meanwhile; where all is kept, the others
    # come now.
    assert most(times) == (LOST[late][0] - 5 if late == "burst" else LOST[late][0])


def stalled(late: str) -> Scenario:
    """The call of 1 s ends at T; every other takes half an interval: 128 a second at most, one at a
    time.
    """
    scenario = Scenario("s", Constant(1.0 / 128.0), 64.0, 8.0, disturbances=(Stall(1.0, 4.0),))
    return scenario._replace(late=late_policy(late))


def at_most_128(late: str) -> int:
    return 128 if late == "burst" else LOST[late][0]


@POLICIES
def test_a_caller_that_was_blocked(late: str) -> None:
    trace = run(stalled(late), FIXED)
    assert most(trace.released.tolist()) == at_most_128(late)
    assert trace.meta["skipped"] == pytest.approx(LOST[late][1])


@POLICIES
def test_a_limit(late: str) -> None:
    trace = run(stalled(late)._replace(consumer=Async(0.0, "completion")), SetOnce(limit=1.0))
    assert most(trace.released.tolist()) == at_most_128(late)
    assert trace.meta["skipped"] == pytest.approx(LOST[late][1])


@POLICIES
def test_a_pool_that_was_full(late: str) -> None:
    # The call of 1 + 1/64 s is released in time, and holds the producer until the worker is free.
    trace = run(stalled(late)._replace(consumer=Pool(1.0, 0.0), backend=Backend(servers=1.0)))
    assert most(trace.released.tolist()) == at_most_128(late)
    lost = LOST[late][1]
    assert trace.meta["skipped"] == pytest.approx(lost - 1.0 if lost else 0.0)
