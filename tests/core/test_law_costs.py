"""Calls that cost: a law counts calls, the target cost, and the pacer stands between them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from helpers.laws import SetOnce
from hypothesis import given
from hypothesis import strategies as st

from tpssim.controllers import CONTROLLERS
from tpssim.core.pacer import Pacer
from tpssim.core.profiles import Stages
from tpssim.core.schedule import AUTO, BURST, DELAY, SKIP, Late, anchor, anchor_on, capped

HALF = [0.5] * 9999


class Seen:
    """A law that holds one rate and keeps every target that it sees."""

    def __init__(self, rate: float) -> None:
        self.rate, self.targets = rate, list[float]()

    def init(self, target: float) -> Any:
        self.targets.append(target)
        return CONTROLLERS["fixed"]().init(self.rate)

    def update(self, state: Any, obs: Any) -> Any:
        self.targets.append(obs.target)
        return state


def paced(law: Any, target: Any, late: Late = BURST, **options: Any) -> Pacer:
    return Pacer(law, target, 0.0, HALF, HALF, late=late, **options)


def released(pacer: Pacer, costs: list[float]) -> list[float]:
    """Releases on time of calls with these costs; each is over at once."""
    times = []
    for cost in costs:
        due = pacer.due(cost)
        pacer.release(due, cost)
        pacer.settled(due, 0.0, 0.0, 0.0, 0.0, 1.0)
        times.append(due)
    return times


def test_a_law_commands_calls_and_sees_the_target_in_calls() -> None:
    """4 calls a second of 500 each are 2000 of the 5000 that are wanted; 10 calls a second are
    all of it, and so is anything above."""
    law = Seen(4.0)
    assert released(paced(law, 5000.0, mean_cost=500.0), [500.0] * 5) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert set(law.targets) == {10.0}
    for rate in (10.0, 12.0, math.inf):
        pacer = paced(Seen(rate), 5000.0, mean_cost=500.0)
        assert released(pacer, [500.0] * 3) == [0.0, 500.0 / 5000.0, 0.1 + 500.0 / 5000.0]
    # Calls that cost more, or less, than the mean move the next slot by what they cost.
    pacer = paced(Seen(4.0), 5000.0, mean_cost=500.0)
    assert released(pacer, [1000.0, 250.0, 0.0, 500.0]) == [0.0, 0.5, 0.625, 0.625]


def test_a_rate_that_is_the_target_commands_it_whatever_the_mean_rounds_to() -> None:
    assert 1.0 / 49.0 * 49.0 < 1.0
    pacer = paced(CONTROLLERS["fixed"](), 1.0, mean_cost=49.0)
    assert released(pacer, [49.0] * 4) == [0.0, 49.0, 98.0, 147.0]


def test_under_a_profile_a_law_sees_it_in_calls_and_caps_it_by_its_rate() -> None:
    """From 0 to 400 of cost in 4 s: calls of 50 on average are wanted at 2 t a second, and at most
    3 are commanded, 150 of cost, which the ramp reaches after 1.5 s."""
    law = Seen(3.0)
    pacer = paced(law, Stages("4s:400", start=0.0), mean_cost=50.0)
    # The integral is 50 t^2 up to 1.5 s, then 112.5 + 150 (t - 1.5).
    times = released(pacer, [50.0] * 4)
    assert times == pytest.approx([0.0, 1.0, math.sqrt(2.0), 1.75])
    # Nothing is wanted yet: the peak, 400 / 50.
    assert law.targets == pytest.approx([8.0, 8.0, 2.0, math.sqrt(8.0), 3.5])


def test_a_changed_target_is_seen_in_calls() -> None:
    law = Seen(math.inf)
    pacer = paced(law, 100.0, mean_cost=25.0)
    pacer.retarget(1.0, 50.0)
    pacer.retarget(2.0, Stages("2s:200", start=100.0))
    assert law.targets == [4.0, 2.0, 4.0]


def test_recorded_arrivals_are_calls_whatever_they_cost() -> None:
    """Four calls come in the first second; the law lets two calls of 10 a second through."""
    law = Seen(2.0)
    pacer = paced(law, 1.0, arrivals=[0.0, 0.25, 0.5, 0.75], mean_cost=10.0)
    assert released(pacer, [10.0, 20.0, 5.0, 10.0]) == [0.0, 0.5, 1.5, 1.75]
    assert law.targets == pytest.approx([4.0, 1.0, 3.0, 1.0, 1.0])  # of the last second


class TestMeanOfRecentCosts:
    def test_the_law_begins_with_the_first_cost(self) -> None:
        law = Seen(math.inf)
        pacer = paced(law, 5000.0, mean_cost=None)
        released(pacer, [500.0, 500.0])
        assert law.targets == [5000.0, 10.0, 10.0, 10.0]
        assert pacer.state.rate == math.inf

    def test_a_law_that_has_seen_something_goes_on(self) -> None:
        law = Seen(math.inf)
        pacer = paced(law, 5000.0, mean_cost=None)
        pacer.retarget(0.0, 4000.0)
        released(pacer, [500.0])
        assert law.targets == [5000.0, 4000.0, 8.0]

    def test_it_is_the_mean_until_five_hundred_and_then_the_old_fade(self) -> None:
        pacer = paced(Seen(math.inf), 5000.0, mean_cost=None)
        released(pacer, [100.0, 300.0, 200.0] * 100)
        assert pacer.mean_cost == pytest.approx(200.0)
        released(pacer, [200.0] * 300)
        assert pacer.mean_cost == pytest.approx(200.0)
        released(pacer, [700.0])  # the 601st counts for a 500th: (700 - 200) / 500
        assert pacer.mean_cost == pytest.approx(201.0)

    def test_a_law_sees_no_change_within_a_twentieth(self) -> None:
        law = Seen(math.inf)
        pacer = paced(law, 5000.0, mean_cost=None)
        # Means: 100, 102.5 (within 5), 106.7 (not).
        released(pacer, [100.0, 105.0, 115.0])
        assert law.targets[1:] == pytest.approx([50.0, 50.0, 50.0, 5000.0 / (320.0 / 3.0)])

    def test_calls_that_cost_nothing_count_as_one(self) -> None:
        law = Seen(math.inf)
        released(paced(law, 5000.0, mean_cost=None), [0.0, 0.0])
        assert law.targets == [5000.0] * 4
        assert paced(law, 5.0, mean_cost=0.0).path.unit == 1.0

    @given(st.lists(st.sampled_from([0.5, 1.0, 2.0, 7.0]), min_size=1, max_size=40))
    def test_calls_of_cost_one_before_them_count(self, costs: list[float]) -> None:
        pacer = paced(Seen(3.0), 5.0, mean_cost=None)
        released(pacer, [1.0, 1.0, *costs])
        assert pacer.mean_cost == pytest.approx((2.0 + sum(costs)) / (2 + len(costs)))


class TestLate:
    """Where calls cost 10 on average and 100 a second are wanted, a slot is 0.1 s."""

    def test_auto_keeps_a_tenth_of_a_second_or_one_call(self) -> None:
        # 20 a second: a call of 10 is 0.5 s, and 2 s late 1.5 s are given up: 3 calls.
        assert anchor(AUTO, 1.0, 3.0, 0.5, 20.0, 10.0) == (2.5, 3.0)
        assert anchor(AUTO, 1.0, 3.0, 0.01, 1000.0, 10.0) == pytest.approx((2.9, 190.0))
        moved = anchor_on(AUTO, [0.0], [20.0], 0, 1.0, 3.0, math.inf, 20.0, 10.0)
        assert moved == (2.5, 3.0)

    def test_capped_and_skip_count_calls(self) -> None:
        assert anchor(capped(2), 1.0, 3.0, 0.5, 20.0, 10.0) == (2.0, 2.0)
        assert anchor(SKIP, 1.0, 2.75, 0.5, 20.0, 10.0) == (2.5, 3.0)
        times, targets = [0.0, 2.0, 2.0], [20.0, 20.0, 40.0]
        # 20 of cost until 2 s, then 40 a second: 1.75 s late are 20 + 30, five calls.
        assert anchor_on(SKIP, times, targets, 0, 1.0, 2.75, math.inf, 40.0, 10.0) == (2.75, 5.0)
        assert anchor_on(DELAY, times, targets, 0, 1.0, 2.75, math.inf, 40.0, 10.0) == (2.75, 5.0)
        kept = anchor_on(capped(2), times, targets, 0, 1.0, 2.75, math.inf, 40.0, 10.0)
        assert kept == (2.25, 3.0)

    @pytest.mark.parametrize("target", [100.0, Stages("9s:100,1s:0", start=100.0)])
    def test_a_pacer_skips_so_many_calls(self, target: Any) -> None:
        """100 of cost a second, calls of 10: released 0.45 s late, four calls are skipped."""
        pacer = paced(SetOnce(), target, SKIP, mean_cost=10.0)
        assert pacer.due(10.0) == 0.0
        pacer.release(0.45, 10.0)
        assert (pacer.slot, pacer.skipped) == (5, 4.0)
        assert pacer.due(10.0) == pytest.approx(0.5)

    def test_under_auto_the_target_stays_a_ceiling(self) -> None:
        """20 a second, calls of 10: 1 s late, one call (0.5 s) is made up for and one is lost."""
        pacer = paced(SetOnce(), 20.0, AUTO, mean_cost=10.0)
        pacer.due(10.0)
        pacer.release(1.0, 10.0)
        assert (pacer.due(10.0), pacer.skipped) == (1.0, 1.0)
