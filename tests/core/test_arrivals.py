"""Recorded arrivals in the pacer: never before they come, none skipped, delayed by a rate."""

from __future__ import annotations

import math
import random
from typing import Any, NamedTuple

import pytest
from helpers.laws import SetOnce
from hypothesis import given
from hypothesis import strategies as st

from tpssim import InputError, Quota
from tpssim.controllers import CONTROLLERS
from tpssim.core.arrivals import arrived, checked_arrivals, mean_rate, recent_rate
from tpssim.core.pacer import Pacer
from tpssim.core.schedule import AUTO, DELAY, SKIP, Late
from tpssim.core.types import Observation

HALF = [0.5] * 10_000


def paced(arrivals: list[float], law: Any = None, late: Late = AUTO, **options: Any) -> Pacer:
    law = CONTROLLERS["fixed"]() if law is None else law
    return Pacer(law, 1.0, 0.0, HALF, HALF, late=late, arrivals=arrivals, **options)


def test_each_call_is_due_when_it_comes() -> None:
    arrivals = [0.0, 0.25, 0.25, 0.75, 9.0]
    pacer = paced(arrivals)
    for arrival in arrivals:
        assert pacer.due() == arrival
        assert pacer.release(arrival)
    assert pacer.due() == math.inf


@pytest.mark.parametrize("late", [AUTO, DELAY, SKIP], ids=str)
def test_a_caller_who_is_busy_delays_and_skips_nothing(late: Late) -> None:
    # One server of 0.3 s, by Lindley: begun = max(arrival, end of the one before).
    rng = random.Random(2)
    arrivals = [0.0]
    for _ in range(500):
        arrivals.append(arrivals[-1] + rng.expovariate(3.0))
    pacer, now, end = paced(arrivals, late=late), 0.0, 0.0
    for arrival in arrivals:
        assert pacer.due() == arrival
        now = max(pacer.due(), now)
        assert now == max(arrival, end)
        assert pacer.release(now)
        end = now + 0.3
        now = end
        pacer.settled(now, 0.3, end - 0.3 - arrival, 0.0, 0.0, 1.0)
    assert (pacer.slot, pacer.skipped, pacer.caught_up, pacer.re_anchored) == (501, 0.0, 0.0, 0.0)


def test_a_rate_delays_calls_and_stores_nothing() -> None:
    # Two a second: three at once are spread out; after a pause none is released early.
    pacer = paced([0.0, 0.0, 0.0, 5.0, 5.0, 5.1], SetOnce(rate=2.0))
    times = []
    while (due := pacer.due()) < math.inf:
        times.append(due)
        assert pacer.release(due)
    assert times == [0.0, 0.5, 1.0, 5.0, 5.5, 6.0]


def test_a_rate_of_nothing_and_a_cost() -> None:
    pacer = paced([0.0, 0.0, 0.0], SetOnce(rate=2.0))
    pacer.release(pacer.due(), 3.0)
    assert pacer.due() == 1.5
    pacer.state = pacer.state._replace(rate=0.0)
    assert pacer.due() == math.inf


def test_quotas_and_answers_hold_arrivals_back() -> None:
    pacer = paced([0.0, 0.1, 0.2, 3.0], quotas=(Quota(2, 1.0, margin=0.0),))
    times = []
    for _ in range(3):
        times.append(pacer.due())
        pacer.release(times[-1])
    assert times == [0.0, 0.1, 1.0]
    assert pacer.deadline == 0.2
    pacer.close_until(4.0)
    assert pacer.due() == 4.0


class Seeing(NamedTuple):
    """A law that follows its target and writes it down."""

    seen: list[float]

    def init(self, target: float) -> Any:
        self.seen.append(target)
        return CONTROLLERS["fixed"]().init(target)

    def update(self, state: Any, obs: Observation) -> Any:
        self.seen.append(obs.target)
        return state._replace(rate=obs.target)


def test_a_law_sees_their_mean_rate_over_the_last_second() -> None:
    arrivals = [0.0, 0.5, 1.0, 1.25, 1.5, 8.0]
    law = Seeing([])
    pacer = paced(arrivals, law)
    for arrival in arrivals[:5]:
        assert pacer.due() == arrival
        pacer.release(arrival)
    for now in (0.5, 1.0, 1.5, 2.25, 4.0):
        pacer.settled(now, 0.01, 0.0, 0.0, 0.0, 1.0)
    # 6 in 8 s to begin with; in (t - 1, t]: 2 by 0.5 s, 2 by 1 s (that of 0 s has left), 3, then
    # those of 1.5 s; where none came, it is as it was.
    assert law.seen == [0.75, 2.0, 2.0, 3.0, 1.0, 1.0]
    assert pacer.due() == 8.0


@given(st.lists(st.floats(0.0, 10.0), min_size=1), st.floats(0.0, 12.0))
def test_counts_against_a_slow_count(times: list[float], now: float) -> None:
    arrivals = sorted(times)
    assert arrived(arrivals, now) == sum(t <= now for t in arrivals)
    assert recent_rate(arrivals, now) == sum(now - 1.0 < t <= now for t in arrivals)
    assert mean_rate(arrivals) == len(times) / max(arrivals[-1] - arrivals[0], 1.0)


@pytest.mark.parametrize(
    ("arrivals", "message"),
    [
        ([], "arrivals are empty"),
        ([1.0, 0.5], "arrival 1 at 0.5 s is before the one before it"),
        ([-1.0], "arrival 0 at -1 s is out of range"),
        ([0.0, math.nan], "arrival 1 at nan s is out of range"),
        ([math.inf], "arrival 0 at inf s is out of range"),
        (["soon"], r"arrivals=['soon']; allowed: start times"),
        (["0", "1"], r"arrivals=['0', '1']; allowed: start times"),
        ("01", r"arrivals='01'; allowed: start times"),
        ([True], r"arrivals=[True]; allowed: start times"),
        (5.0, "arrivals=5.0; allowed: start times"),
    ],
)
def test_impossible_arrivals_are_refused_in_one_line(arrivals: Any, message: str) -> None:
    with pytest.raises(InputError) as error:
        checked_arrivals(arrivals, "mine")
    assert str(error.value).startswith(f"mine: {message}")
    assert "\n" not in str(error.value)
