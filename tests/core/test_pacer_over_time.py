"""The pacer under a profile, with calls that cost, and answers that say when to come back."""

from __future__ import annotations

import math
import random
from typing import Any, NamedTuple

import pytest
from helpers.exact_slots import exact, loads
from hypothesis import given, settings
from hypothesis import strategies as st

from tpssim.controllers import CONTROLLERS
from tpssim.core.pacer import Pacer
from tpssim.core.profiles import Stages
from tpssim.core.schedule import AUTO, BURST, DELAY, SKIP, Late, capped
from tpssim.core.types import Observation

HALF = [0.5] * 100_000


class Rate(NamedTuple):
    """A law with one rate, which writes down what it sees."""

    rate: float
    seen: list[float]

    def init(self, target: float) -> Any:
        self.seen.append(target)
        return CONTROLLERS["fixed"]().init(self.rate)

    def update(self, state: Any, obs: Observation) -> Any:
        self.seen.append(obs.target)
        return state


def at(rate: float) -> Rate:
    return Rate(rate, [])


def paced(target: float | Stages, law: Any = None, late: Late = AUTO, **options: Any) -> Pacer:
    law = CONTROLLERS["fixed"]() if law is None else law
    return Pacer(law, target, options.pop("start", 0.0), HALF, HALF, late=late, **options)


def on_time(pacer: Pacer, n: int, cost: float = 1.0) -> list[float]:
    """The next n releases, or as many as there are, of somebody who is never late."""
    times: list[float] = []
    while len(times) < n and (due := pacer.due()) < math.inf:
        times.append(due)
        assert pacer.release(due, cost)
    return times


def test_a_ramp_by_a_law_that_follows_it() -> None:
    times = on_time(paced(Stages("10s:100,10s:100,10s:0")), 10_000)
    assert len(times) == 2000
    assert times[:500] == pytest.approx([math.sqrt(k / 5.0) for k in range(500)], abs=1e-12)
    assert times[500:1500] == pytest.approx([10.0 + k / 100.0 for k in range(1000)], abs=1e-9)
    assert times[1500:] == pytest.approx(
        [30.0 - math.sqrt((500.0 - k) / 5.0) for k in range(500)], abs=1e-9
    )


def test_it_follows_though_the_law_saw_the_target_long_ago() -> None:
    # Calls take 2 s: at 4 s the law last saw the target of 2 s.
    pacer = paced(Stages("10s:100"))
    ends: list[float] = []
    for k in range(500):
        due = pacer.due()
        while ends and ends[0] <= due:
            end = ends.pop(0)
            pacer.settled(end, 2.0, 0.0, 0.0, 0.0, 1.0)
            assert pacer.state.rate == pytest.approx(10.0 * end)
            assert pacer.due() == due
        assert due == pytest.approx(math.sqrt(k / 5.0), abs=1e-12)
        assert pacer.release(due)
        ends.append(due + 2.0)


def test_a_rate_of_the_law_s_own_caps_it() -> None:
    times = on_time(paced(Stages("10s:100,10s:100"), at(50.0)), 10_000)
    assert len(times) == 875
    assert times[:126] == pytest.approx([math.sqrt(k / 5.0) for k in range(126)])
    assert times[126:] == pytest.approx([5.0 + (k - 125) / 50.0 for k in range(126, 875)])


def test_a_law_that_held_back_stays_where_it_is_on_a_rising_ramp() -> None:
    pacer = paced(Stages("10s:100,10s:100", start=50.0), CONTROLLERS["aimd"]())
    on_time(pacer, 1)
    pacer.state = pacer.state._replace(rate=20.0)
    assert on_time(pacer, 3) == pytest.approx([0.05, 0.1, 0.15])


@pytest.mark.parametrize(
    ("load", "sees"),
    [
        # First the peak, as nothing is wanted at the start; then the target of each moment; in a
        # pause, and after the end, what it saw last.
        (Stages("10s:100"), [100.0, 25.0, 50.0, 99.0, 99.0]),
        (Stages("10s:100", start=40.0), [40.0, 55.0, 70.0, 99.4, 99.4]),
        (Stages("4s:8,0s:0,1s:0,0s:6,5s:6"), [8.0, 5.0, 6.0, 6.0, 6.0]),
        (Stages("2s:0,0s:9,1s:9,0s:0,8s:0"), [9.0, 9.0, 9.0, 9.0, 9.0]),
    ],
    ids=str,
)
def test_what_the_law_sees(load: Stages, sees: list[float]) -> None:
    law = at(1.0)
    pacer = paced(load, law)
    pacer.release(pacer.due())
    pacer.flying += 3
    for now in (2.5, 5.0, 9.9, 12.0):
        pacer.settled(now, 0.1, 0.0, 0.0, 0.0, 1.0)
    assert law.seen == pytest.approx(sees)
    assert pacer.target == load.at(12.0) == 0.0


def test_a_producer_that_joins_a_profile() -> None:
    pacer = paced(Stages("10s:100"), start=5.0, origin=0.0)
    assert pacer.path.seen == 50.0
    # 125 slots were before.
    assert on_time(pacer, 1000) == pytest.approx(
        [math.sqrt((125 + k) / 5.0) for k in range(375)], abs=1e-12
    )


def test_random_gaps_under_a_profile() -> None:
    rng = random.Random(4)
    gaps = [rng.expovariate(1.0) for _ in range(1000)]
    times = on_time(paced(Stages("10s:100"), gaps=gaps), 1000)
    total = 0.0
    for gap, time in zip(gaps, times, strict=False):
        total += gap
        assert time == pytest.approx(math.sqrt(total / 5.0), abs=1e-12)
    assert total < 500.0 <= total + gaps[len(times)]


def test_from_a_profile_to_a_number_and_back() -> None:
    law = at(math.inf)
    pacer = paced(Stages("10s:100"), law)
    assert len(on_time(pacer, 5)) == 5  # the last at 0.894 s; at 1 s four and a half are over
    pacer.retarget(1.0, 2.0)
    assert on_time(pacer, 2) == [1.0, 1.5]  # slot 5 is due at 1 s sharp
    pacer.retarget(1.75, Stages("1s:4"))  # half of slot 7 is over; 2 t t slots from then on
    assert on_time(pacer, 9) == pytest.approx([2.25, 1.75 + math.sqrt(0.75)], abs=1e-12)
    assert pacer.due() == math.inf
    pacer.retarget(5.0, 10.0)  # half a slot of the profile is over
    assert on_time(pacer, 2) == pytest.approx([5.05, 5.15])
    # It begins at 0, so the law sees its peak.
    assert law.seen == pytest.approx([100.0, 2.0, 4.0, 10.0])


def test_a_profile_before_the_first_slot() -> None:
    pacer = paced(2.0)
    pacer.retarget(3.0, Stages("1s:8"))
    assert pacer.due() == 0.0
    assert pacer.release(3.0)
    # `auto`: one slot of the two a second is kept, which is due at once.
    assert pacer.due() == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("late", "then"),
    [
        # 5 t t slots by t. Slot 20 is due at 2 s and released at 3 s: 25 slots later.
        (BURST, (2.0, 0.0)),
        (DELAY, (3.0, 25.0)),
        (SKIP, (3.0, 25.0)),
        (capped(5), (math.sqrt(8.0), 20.0)),
        (AUTO, (2.9, 5.0 * 2.9 * 2.9 - 20.0)),
    ],
    ids=str,
)
def test_where_the_schedule_continues_on_a_ramp(late: Late, then: tuple[float, float]) -> None:
    pacer = paced(Stages("10s:100"), late=late)
    on_time(pacer, 20)
    assert pacer.due() == pytest.approx(2.0)
    assert pacer.release(3.0)
    assert (pacer.previous, pacer.skipped) == pytest.approx(then)
    assert pacer.caught_up == 1.0


def test_jitter_costs_no_call_of_a_profile() -> None:
    # Late by up to 90 ms each time: all of the 600 are made, and none twice.
    pacer, rng, times = paced(Stages("2s:200,1s:200,2s:0")), random.Random(1), []
    now = 0.0
    while (due := pacer.due()) < math.inf:
        now = max(now, due + rng.choice([0.0, 0.0, 1e-4, 0.05]))
        assert pacer.release(now)
        times.append(due)
    assert len(times) == 600
    assert pacer.skipped == 0.0
    assert times == pytest.approx(on_time(paced(Stages("2s:200,1s:200,2s:0")), 999), abs=1e-9)


@settings(deadline=None, max_examples=300)
@given(
    load=loads(),
    delays=st.lists(
        st.one_of(st.just(0.0), st.floats(0.0, 0.2), st.floats(0.0, 20.0)), max_size=60
    ),
    rate=st.sampled_from([None, math.inf, 20.0, 1.0]),
)
def test_no_second_holds_more_than_is_wanted_in_it_and_the_stretch_before(
    load: Stages, delays: list[float], rate: float | None
) -> None:
    pacer = paced(load, None if rate is None else at(rate))
    now, times = 0.0, []
    for delay in delays:
        if (due := pacer.due()) == math.inf:
            break
        now = max(now, due)
        assert pacer.release(now)
        target = load.at(now)
        times.append((now, max(0.1, 1.0 / target if target > 0.0 else math.inf)))
        now += delay
    for k, (begin, before) in enumerate(times):
        inside = sum(t < begin + 1.0 for t, _ in times[k:])
        # At most a slot, or what 0.1 s hold, of the stretch before.
        tenth = float(exact(load, begin, begin=max(0.0, begin - 0.1)))
        stretch = min(float(exact(load, begin, begin=max(0.0, begin - before))), max(1.0, tenth))
        assert inside <= stretch + float(exact(load, begin + 1.0, begin=begin)) + 1.0 + 1e-6


def test_a_call_of_cost_c_moves_the_next_slot_by_c() -> None:
    pacer = paced(100.0)
    times = []
    for cost in (1.0, 50.0, 0.5, 0.0, 3.0, 1.0):
        times.append(pacer.due())
        pacer.release(times[-1], cost)
    assert times == pytest.approx([0.0, 0.01, 0.51, 0.515, 0.515, 0.545])
    # On a ramp: the integral reaches the cost.
    times = on_time(paced(Stages("10s:100")), 25, cost=20.0)
    assert times == pytest.approx([math.sqrt(20.0 * k / 5.0) for k in range(25)])


def test_a_random_gap_times_the_cost_of_the_call_before() -> None:
    pacer = paced(10.0, gaps=[2.0, 3.0, 0.5])
    times = []
    for cost in (4.0, 2.0, 1.0):
        times.append(pacer.due())
        pacer.release(times[-1], cost)
    assert times == pytest.approx([0.2, 0.2 + 1.2, 1.4 + 0.1])


def test_a_refused_slot_takes_its_cost_too() -> None:
    pacer = Pacer(CONTROLLERS["fixed"](), 10.0, 0.0, HALF, [0.5] * 9)
    pacer.due()
    pacer.state = pacer.state._replace(reject=0.6)
    assert not pacer.release(0.0, 5.0)
    assert pacer.due() == 0.5


def test_an_answer_closes_the_release_until_it_says() -> None:
    pacer = paced(10.0)
    assert on_time(pacer, 3) == pytest.approx([0.0, 0.1, 0.2])
    pacer.close_until(2.0)
    pacer.close_until(1.0)  # the latest counts
    assert pacer.due() == pacer.due() == 2.0
    assert pacer.deadline == pytest.approx(0.3)  # when the slot was due
    assert pacer.release(2.0)
    # What the wait cost is not made up for: 0.1 s of it are.
    assert on_time(pacer, 3) == pytest.approx([2.0, 2.1, 2.2])
    assert pacer.skipped == pytest.approx(16.0)


def test_a_time_that_is_past_closes_nothing() -> None:
    pacer = paced(10.0)
    on_time(pacer, 3)
    pacer.close_until(0.25)
    assert on_time(pacer, 1) == pytest.approx([0.3])


def test_a_limit_and_a_closed_release() -> None:
    pacer = paced(10.0)
    pacer.release(pacer.due())
    pacer.state = pacer.state._replace(limit=1.0)
    pacer.close_until(5.0)
    assert pacer.due() == math.inf
    pacer.settled(1.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    pacer.state = pacer.state._replace(limit=1.0)
    assert pacer.due() == 5.0


def test_an_answer_that_comes_while_a_release_is_under_way() -> None:
    pacer = paced(10.0)
    on_time(pacer, 3)
    due = pacer.due()
    pacer.close_until(5.0)
    assert pacer.release(due)
    assert pacer.due() == 5.0
