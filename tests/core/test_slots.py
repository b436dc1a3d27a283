"""Where the slots of a changing target lie, beside exact integrals worked independently."""

from __future__ import annotations

import math

import pytest
from helpers.exact_slots import exact, loads
from hypothesis import given, settings
from hypothesis import strategies as st

from tpssim.core.profiles import Stages
from tpssim.core.slots import (
    ROUNDING,
    between,
    due_on,
    first_wanted,
    one_back,
    piece_at,
)


def slots(load: Stages, n: int, rate: float = math.inf) -> list[float]:
    """The due times of the first n slots, one from the other."""
    times, targets = load.points()
    found = [first_wanted(times, targets, 0.0)]
    piece, owed = 0, 0.0
    while len(found) < n:
        piece = piece_at(times, found[-1], piece)
        due, owed = due_on(times, targets, piece, found[-1], rate, 1.0, owed, ROUNDING)
        found.append(due)
    return found


def test_a_ramp_from_nothing() -> None:
    # 0 -> 100 a second over 10 s: the integral is 5 t t.
    found = slots(Stages("10s:100"), 500)
    assert found == pytest.approx([math.sqrt(k / 5.0) for k in range(500)], rel=1e-14, abs=1e-14)
    assert slots(Stages("10s:100"), 501)[-1] == math.inf  # slot 500 would be at the end


def test_a_ramp_to_nothing() -> None:
    # 100 -> 0 over 10 s: 10 - sqrt(100 - k / 5).
    found = slots(Stages("10s:0", start=100.0), 501)
    assert found[:500] == pytest.approx([10.0 - math.sqrt(100.0 - k / 5.0) for k in range(500)])
    assert found[500] == math.inf


def test_a_jump_and_a_pause() -> None:
    # One a second until 2.5 s, nothing until 10 s, then 4 a second: half a slot is over at 2.5 s.
    load = Stages("2.5s:1,0s:0,7.5s:0,0s:4,1s:4", start=1.0)
    assert slots(load, 8) == [0.0, 1.0, 2.0, 10.125, 10.375, 10.625, 10.875, math.inf]


def test_a_slot_at_the_beginning_of_a_pause_is_there_and_not_after_it() -> None:
    # Ten of 0.1 s are 0.99...9 s in floats: slot 10 is where the target ends, not 5 s later.
    load = Stages("1s:10,0s:0,5s:0,0s:10,1s:10", start=10.0)
    assert slots(load, 22)[9:13] == pytest.approx([0.9, 1.0, 6.1, 6.2])
    assert slots(load, 21)[-1] == math.inf


def test_what_rounding_leaves_of_a_slot_does_not_wait_for_the_end_of_a_pause() -> None:
    # From 0.2 s on: (0.3 - 0.2) x 10 is 0.9999999999999998 slots.
    times, targets = Stages("300ms:10,0s:0,5s:0,0s:10,1s:10", start=10.0).points()
    due, owed = due_on(times, targets, 0, 0.2, math.inf, 1.0, 0.0, ROUNDING)
    assert (due, owed) == (0.3, 1.0 - (0.3 - 0.2) * 10.0)
    assert owed > 0.0


def test_the_first_slot_is_where_the_target_first_is_positive() -> None:
    assert slots(Stages("5s:0,10s:100"), 2) == pytest.approx([5.0, 5.0 + math.sqrt(0.2)])
    times, targets = Stages("1s:0,0s:5,1s:5,0s:0,1s:0").points()
    assert first_wanted(times, targets, 0.0) == 1.0
    assert first_wanted(times, targets, 1.5) == 1.5
    assert first_wanted(times, targets, 2.0) == math.inf
    assert first_wanted([0.0, 1.0, 1.0, 2.0], [5.0, 5.0, 0.0, 7.0], 1.0) == 1.0


def test_a_rate_cuts_a_ramp() -> None:
    # 0 -> 100 over 10 s, then 10 s at 100, and 50 a second at most: 125 slots by 5 s, then even.
    found = slots(Stages("10s:100,10s:100"), 875, 50.0)
    assert found[:126] == pytest.approx([math.sqrt(k / 5.0) for k in range(126)])
    assert found[126:] == pytest.approx([5.0 + (k - 125) / 50.0 for k in range(126, 875)])


def test_a_rate_cuts_a_falling_ramp() -> None:
    # 100 -> 0 over 10 s under 50: 250 slots by 5 s; after that 5 (10 - t)^2 of 375 are left.
    found = slots(Stages("10s:0", start=100.0), 375, 50.0)
    assert found[:251] == pytest.approx([k / 50.0 for k in range(251)])
    assert found[251:] == pytest.approx(
        [10.0 - math.sqrt((375.0 - k) / 5.0) for k in range(251, 375)]
    )


def test_a_flat_profile_has_the_bits_of_a_number() -> None:
    found = slots(Stages("100s:30", start=30.0), 3000)
    at, even = 0.0, []
    for _ in range(3000):
        even.append(at)
        at = at + 1.0 / 30.0
    assert found == even
    assert slots(Stages("100s:30", start=30.0), 3001)[-1] == math.inf


@pytest.mark.parametrize(
    "load",
    [
        Stages("1000s:1000,500s:1000,1s:0"),
        Stages("500s:1000,1000s:1000,500s:0"),
        Stages("333.3s:333,0s:2000,250s:2000,777s:10,1000s:900"),
    ],
    ids=str,
)
def test_a_million_slots_do_not_drift(load: Stages) -> None:
    n = math.ceil(load.total)
    found = slots(load, n + 1)
    assert n >= 900_000
    assert found[-2] < load.duration
    assert found[-1] == math.inf
    bit = load.peak * math.ulp(load.duration)  # of a time, in slots
    for k in [*range(0, n, n // 97), n - 1]:
        # On a plateau the operations of a constant target round as they always did.
        assert abs(exact(load, found[k]) - k) <= bit + k * bit / 2.0
    # On the ramp after it nothing of that is left.
    assert abs(exact(load, found[n - 1]) - (n - 1)) <= 2.0 * bit


RATES = st.one_of(st.just(math.inf), st.sampled_from([1.0, 10.0, 100.0]), st.floats(0.01, 300.0))


@settings(deadline=None, max_examples=300)
@given(load=loads(), rate=RATES)
def test_slot_k_is_where_the_exact_integral_reaches_k(load: Stages, rate: float) -> None:
    n = 60
    found = slots(load, n, rate)
    whole = exact(load, load.duration, rate)
    for k, due in enumerate(found):
        if due == math.inf:
            assert whole <= k + 1e-8
            break
        assert 0.0 <= due < load.duration
        assert abs(exact(load, due, rate) - k) <= 1e-8
        # The first moment that does.
        assert exact(load, due - 1e-3, rate) < k or due < 1e-3 or (k == 0 and load.at(due) >= 0.0)


@settings(deadline=None, max_examples=200)
@given(load=loads(), ends=st.tuples(st.floats(0.0, 200.0), st.floats(0.0, 200.0)), rate=RATES)
def test_the_integral_between_two_times(
    load: Stages, ends: tuple[float, float], rate: float
) -> None:
    begin, end = sorted(ends)
    times, targets = load.points()
    found = between(times, targets, piece_at(times, begin, 0), begin, end, rate)
    assert found == pytest.approx(float(exact(load, end, rate, begin)), rel=1e-12, abs=1e-12)


@settings(deadline=None, max_examples=200)
@given(load=loads(), now=st.floats(0.0, 200.0))
def test_one_slot_back(load: Stages, now: float) -> None:
    times, targets = load.points()
    back = one_back(times, targets, now)
    before = exact(load, now)
    if back >= 0.0:
        assert back <= now
        assert float(exact(load, now, begin=back)) == pytest.approx(1.0, abs=1e-9)
    elif load.start > 0.0:  # held before the beginning
        assert float(before) - back * load.start == pytest.approx(1.0, abs=1e-9)
    else:
        assert back == -math.inf
        assert before <= 1.0 + 1e-9
