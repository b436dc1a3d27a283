"""Waiting in virtual time: the solved spin against the loop it stands for, timer models by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tpssim.core.clocks import VirtualClock, WallClock
from tpssim.core.timer_models import (
    IDEAL,
    TIMERS,
    TimerModel,
    Wait,
    late_wakeups,
    plan_wait,
    reads_until,
    sleep_end,
)


class LoopClock:
    """The same clock, spinning for real: every read is made."""

    def __init__(self, timer: TimerModel, base: float, late: list[float]) -> None:
        self.timer, self.base, self.late = timer, base, late
        self.reads = self.sleeps = 0

    def now(self) -> float:
        self.reads += 1
        return self.base + self.reads * self.timer.read_cost

    def sleep(self, seconds: float) -> None:
        start = self.base + self.reads * self.timer.read_cost
        self.base = sleep_end(self.timer, start, seconds, self.late[self.sleeps])
        self.sleeps += 1
        self.reads = 0

    def wait(self, deadline: float, spin: float) -> float:
        while True:
            now = self.now()
            remaining = deadline - now
            if remaining <= 0.0:
                return now
            if remaining > spin:
                self.sleep(remaining - spin)


@given(
    base=st.floats(0.0, 1e5),
    wait=st.floats(-1e-3, 5e-3),
    cost=st.floats(2e-7, 1e-4),
    spin=st.floats(0.0, 1e-3),
    late=st.floats(0.0, 2e-3),
    granularity=st.sampled_from([0.0, 1e-3]),
)
@settings(max_examples=300, deadline=None)
def test_a_solved_wait_equals_the_loop_to_the_bit(
    base: float, wait: float, cost: float, spin: float, late: float, granularity: float
) -> None:
    timer = TimerModel(read_cost=cost, granularity=granularity)
    assume(base + cost > base)
    lates = [late] * 100
    loop = LoopClock(timer, base, lates)
    clock = VirtualClock(timer, lates)
    clock.set(base)
    assert clock.wait(base + wait, spin) == loop.wait(base + wait, spin)
    assert (clock.base, clock.reads, clock.sleeps) == (loop.base, loop.reads, loop.sleeps)


@given(st.floats(0.0, 1e6), st.integers(0, 50), st.floats(1e-8, 1e-3), st.floats(0.0, 0.01))
@settings(max_examples=300, deadline=None)
def test_the_number_of_reads_is_the_first_that_sees_the_deadline(
    base: float, reads: int, cost: float, ahead: float
) -> None:
    deadline = base + ahead
    n = reads_until(base, reads, cost, deadline)
    assert n > reads
    assert deadline - (base + n * cost) <= 0.0
    assert n == reads + 1 or deadline - (base + (n - 1) * cost) > 0.0


@given(st.floats(0.0, 1e6), st.floats(0.0, 1.0), st.floats(0.0, 0.01))
@settings(deadline=None)
def test_under_the_ideal_timer_a_wait_ends_on_the_deadline(
    base: float, ahead: float, spin: float
) -> None:
    clock = VirtualClock()
    clock.set(base)
    assert clock.wait(base + ahead, spin) == base + ahead
    assert clock.wait(base, spin) == base + ahead  # a deadline that is past costs nothing


def test_spinning_is_counted_by_hand() -> None:
    # 1/1024 s a read; deadline 1 s, spin 1/8 s, the sleep ends 1/16 s late: at 0.9375 s. One read
    # shows 961/1024 and starts the spin, which ends with read 64 on the deadline: 63/1024 s.
    timer = TimerModel(read_cost=2.0**-10)
    late = 2.0**-4
    plan = plan_wait(timer, 0.0, 0, 1.0, 0.125, [late], 0)
    # The first read takes 1/1024 s, but the sleep is computed from it: it ends at 0.875 + late all
    # the same.
    assert (plan.base, plan.reads, plan.sleeps) == (0.9375, 64, 1)
    assert plan.spun == 63.0 / 1024.0


def test_a_late_sleep_leaves_nothing_to_spin() -> None:
    clock = VirtualClock(TimerModel(read_cost=2.0**-10), [0.5])
    assert clock.wait(1.0, 0.125) == 0.875 + 0.5 + 2.0**-10
    assert clock.spun == 0.0


@pytest.mark.parametrize(
    ("timer", "start", "seconds", "late", "end"),
    [
        (IDEAL, 1.0, 0.25, 0.0, 1.25),
        (TimerModel(), 1.0, 0.25, 0.5, 1.75),  # late is added
        (TimerModel(granularity=0.25), 1.0, 0.3, 0.0, 1.5),  # 0.3 is rounded up to 0.5
        (TimerModel(tick=0.5), 1.2, 0.1, 0.0, 1.5),  # 1.3 is rounded up to a multiple of the tick
        (TimerModel(proportional=0.5, most=0.125), 0.0, 0.125, 0.0, 0.1875),  # + 50 %
        (
            TimerModel(proportional=0.5, most=0.125),
            0.0,
            1.0,
            0.0,
            1.125,
        ),  # + 50 %, but 0.125 at most
    ],
)
def test_the_end_of_a_sleep_by_hand(
    timer: TimerModel, start: float, seconds: float, late: float, end: float
) -> None:
    assert sleep_end(timer, start, seconds, late) == pytest.approx(end, rel=1e-15)


@pytest.mark.parametrize("name", TIMERS)
def test_no_sleep_ends_early(name: str) -> None:
    for seconds in (1e-4, 1e-3, 2.5e-3, 0.1):
        assert sleep_end(TIMERS[name], 0.3, seconds, 0.0) >= 0.3 + seconds * (1.0 - 1e-12)


def test_late_wakeups_have_the_documented_distribution() -> None:
    # Linux: median 125 us, p99 = 125 us exp(0.23 x 2.326) = 213 us, one in a thousand in 0.5..4.3
    # ms.
    rng = np.random.default_rng(0)
    n = 200_000
    late = late_wakeups(TIMERS["linux"], rng.standard_normal(n), rng.random(n))
    assert np.median(late) == pytest.approx(125e-6, rel=0.01)
    body = late[late < 0.5e-3]
    assert np.quantile(body, 0.99) == pytest.approx(213e-6, rel=0.02)
    spikes = late[late >= 0.5e-3]
    assert len(spikes) == pytest.approx(200, abs=50)
    assert spikes.max() <= 4.3e-3


def test_the_clock_gives_time_away_when_it_waits() -> None:
    given_away: list[float] = []
    clock = VirtualClock(advance=given_away.append)
    clock.sleep(0.5)
    clock.wait(2.0, 0.1)
    clock.wait(1.0, 0.1)
    assert given_away == [0.5, 2.0, 2.0]


def test_looking_at_the_clock_takes_its_time() -> None:
    clock = VirtualClock(TimerModel(read_cost=0.25))
    assert [clock.now(), clock.now()] == [0.25, 0.5]
    assert clock.time() == 0.5
    clock.set(3.0)
    assert clock.now() == 3.25


def test_the_wall_clock_never_returns_before_the_deadline() -> None:
    clock = WallClock()
    for spin in (0.0, 0.0005, 1.0):
        deadline = clock.now() + 0.002
        assert clock.wait(deadline, spin) >= deadline
    before = clock.now()
    clock.sleep(0.001)
    assert clock.now() > before
    assert clock.wait(-math.inf, 0.0) >= before


def test_a_sleep_too_short_to_move_the_clock_ends_the_wait() -> None:
    # 0.5 ms before the deadline but for a rounding: the sleep of 3e-17 s ends when it began.
    timer = TimerModel(proportional=0.1, most=0.001)
    now, deadline, spin = 0.23590000000000003, 0.23640000000000003, 0.0005
    assert deadline - now > spin
    assert now + (deadline - now - spin) == now
    assert plan_wait(timer, now, 0, deadline, spin, [0.0] * 3, 0) == Wait(
        deadline, 0, 1, deadline - now
    )
