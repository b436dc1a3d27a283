"""Vector's adaptive concurrency: vectors of the original, each rule by hand. Scenarios:
test_vector_cases.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
from helpers.laws import done

from tpssim.controllers.vector_arc import VectorArc, VectorArcState, rounded
from tpssim.core.errors import InputError
from tpssim.core.types import Observation
from tpssim.core.validation import checked


def start(law: VectorArc, rtt: float = 1.0) -> VectorArcState:
    """After a first round trip, and one more in the interval that it began, at which nothing is
    done yet.
    """
    return law.update(law.init(100.0), done(rtt, rtt))


def reach(law: VectorArc, state: VectorArcState) -> VectorArcState:
    return law.admit(state, 0.0, 0.0, state.limit - 1.0)


def test_moving_average_and_variance() -> None:
    # The intervals' means are 2, 2, 1, 2 with alpha 0.5; the first round trip counts in two of
    # them.
    law = VectorArc(alpha=0.5)
    state, found = law.init(100.0), []
    for now, rtt in ((2.0, 2.0), (4.0, 2.0), (6.0, 1.0), (7.5, 2.0)):
        state = law.update(state, done(now, rtt))
        found.append((state.mean, state.variance))
    assert found == [(2.0, 0.0), (2.0, 0.0), (1.5, 0.25), (1.75, 0.1875)]


def test_it_starts_with_one_call_and_two_hundred_are_the_most() -> None:
    law = VectorArc()
    assert law.init(100.0).limit == 1.0
    assert (law.max_limit, law.ratio, law.alpha, law.deviations) == (200.0, 0.9, 0.4, 2.5)
    full = law._replace(initial=200.0)
    state = full.update(reach(full, start(full)), done(2.0, 0.5))
    assert state.limit == 200.0


def test_one_more_if_the_limit_was_reached_and_answers_are_no_slower() -> None:
    law = VectorArc(initial=10.0)
    first = start(law)
    assert law.update(reach(law, first), done(2.0, 1.0)).limit == 11.0  # c = mean is no slower
    assert law.update(reach(law, first), done(1.999, 1.0)).limit == 10.0  # the interval goes on
    below = law.admit(first, 0.0, 0.0, 8.0)  # nine of ten in flight
    assert law.update(below, done(2.0, 0.5)).limit == 10.0  # c = 0.75 < mean, not reached


def test_without_variance_an_equal_round_trip_below_the_limit_lowers_it() -> None:
    # c >= mean + 2.5 x 0 holds, and the first rule does not.
    law = VectorArc(initial=10.0)
    assert law.update(start(law), done(2.0, 1.0)).limit == 9.0


def test_slower_than_the_deviation_allows() -> None:
    # Means 1, then c = (1 + 1.5) / 2 = 1.25: mean 1.1, var 0.6 x 0.4 x 0.0625 = 0.015.
    law = VectorArc(initial=20.0)
    state = law.update(start(law), done(2.0, 1.5))
    assert state.limit == 18.0
    assert state.mean == pytest.approx(1.1, rel=1e-15)
    assert state.variance == pytest.approx(0.015, rel=1e-14)
    bound = 1.1 + 2.5 * math.sqrt(0.015)
    reached = reach(law, state)
    for c, limit in ((bound - 1e-5, 18.0), (bound + 1e-5, 16.0), (1.1, 19.0)):
        assert law.update(reached, done(4.0, c)).limit == limit  # 0.9 x 18 = 16.2


@pytest.mark.parametrize(("limit", "after"), [(1.0, 1.0), (2.0, 1.0), (10.0, 9.0), (19.0, 17.0)])
def test_a_drop_lowers_the_limit_whatever_the_round_trips(limit: float, after: float) -> None:
    law = VectorArc(initial=limit)
    state = reach(law, law.update(start(law), done(1.5, 9.0, dropped=True)))
    assert state.pressed == 1.0
    lowered = law.update(state, done(2.0, 0.5))
    assert lowered.limit == after
    # A drop is no round trip: c = (1 + 0.5) / 2, mean 1 - 0.4 x 0.25.
    assert lowered.mean == pytest.approx(0.9, rel=1e-15)
    assert (lowered.pressed, lowered.reached, lowered.samples) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("drops", [0.0, 1.0])
def test_an_interval_without_success_lowers_the_limit_and_leaves_the_average_alone(
    drops: float,
) -> None:
    # The sinks' retry logic tries a 500 again as it does a 429, and what is tried again is back
    # pressure.
    law = VectorArc(initial=10.0)
    state = law.update(reach(law, start(law)), done(2.0, 1.0))
    assert state.limit == 11.0
    failed = Observation(3.0, 100.0, 5.0, 0.0, 1.0, 1.0, 1.0, drops)
    pressed = law.update(reach(law, state), failed)
    assert pressed.limit == 9.0  # 0.9 x 11
    assert (pressed.mean, pressed.variance) == (state.mean, state.variance)
    assert pressed.ends == 4e9
    assert law.why(state, failed, pressed) == "a call failed: x0.9"


def test_a_failure_among_successes_lowers_the_limit() -> None:
    # The interval from 2 s on: a 500 at 2.5 s, then the end with a success no slower than before.
    law = VectorArc(initial=10.0)
    state = law.update(reach(law, start(law)), done(2.0, 1.0))
    state = law.update(reach(law, state), Observation(2.5, 100.0, 0.1, 0.0, 1.0, 1.0, 1.0, 0.0))
    assert state.limit == 11.0
    assert law.update(reach(law, state), done(3.0, 1.0)).limit == 9.0


def test_drops_before_the_first_round_trip_count_in_the_interval_after_it() -> None:
    law = VectorArc(initial=10.0)
    state = law.update(law.init(100.0), done(0.5, 0.5, dropped=True))
    assert math.isnan(state.mean)
    state = law.update(state, done(1.0, 1.0))
    assert (state.mean, state.ends, state.samples, state.pressed) == (1.0, 2e9, 1.0, 1.0)
    assert law.update(state, done(2.0, 1.0)).limit == 9.0


def test_intervals_end_on_whole_nanoseconds() -> None:
    # 0.202 + 0.101 is 0.30300000000000005 as a float: the completion at 0.303 would come too early
    # for it.
    assert 0.202 + 0.101 > 0.303
    law: Any = VectorArc()
    state = law.update(law.init(100.0), done(0.101, 0.101))
    limits = []
    for k in (2, 3, 4, 5):
        state = law.update(
            law.admit(state, 0.0, 0.0, state.limit - 1.0), done(k * 101 / 1000, 0.101)
        )
        limits.append(state.limit)
    assert limits == [2.0, 3.0, 4.0, 5.0]


def test_round_trips_and_their_mean_are_rounded() -> None:
    assert rounded(0.1000006, 1e-6) == 0.100001
    assert rounded(0.26, 0.25) == 0.25
    assert rounded(1e300, 1e-6) == 1e300
    # Three round trips of 1, 1 and 1.000001 s: 1.00000033 is 1 in whole us, and more in whole ns.
    for resolution, limit in ((1e-6, 2.0), (0.0, 1.0)):
        law: Any = VectorArc(resolution=resolution)
        state = reach(law, law.update(start(law), done(1.5, 1.0)))
        assert law.update(state, done(2.0, 1.000001)).limit == limit


@pytest.mark.parametrize(
    ("resolution", "found"),
    [
        (
            0.0,
            [
                (10.0, 0.010123457, 0.0, 110123458.0),
                (10.0, 0.010123457, 0.0, 110123458.0),
                (9.0, 0.2753909462, 0.10555026123970816, 405390946.0),
                (9.0, 0.16918518492, 0.08024965233742141, 2369185185.0),
                (9.0, 0.16918518492, 0.08024965233742141, 2369185185.0),
                (8.0, 0.105560360152, 0.054221968892590906, 4105560360.0),
                (8.0, 0.0673806604912, 0.03471971553483788, 4667380660.0),
            ],
        ),
        (
            1e-6,
            [
                (10.0, 0.010123, 0.0, 110123001.0),
                (10.0, 0.010123, 0.0, 110123001.0),
                (9.0, 0.2753906, 0.10555034941464, 405390600.0),
                (9.0, 0.16918516, 0.08024960287717439, 2369185160.0),
                (9.0, 0.16918516, 0.08024960287717439, 2369185160.0),
                (8.0, 0.105560296, 0.05422194670483238, 4105560296.0),
                (8.0, 0.06738057759999999, 0.03471970436855437, 4667380578.0),
            ],
        ),
    ],
)
def test_odd_nanoseconds_to_the_bit(resolution: float, found: list[tuple[float, ...]]) -> None:
    """Run with the statistics and the controller of vectordotdev/vector c3445d4, as built and as
    tested.

    Round trips are no whole us: only their mean is rounded, and the variance's product is not."""
    law: Any = VectorArc(initial=10.0, resolution=resolution)
    state = reach(law, law.init(100.0))
    calls = [
        (100000001, 10123457),
        (110000000, 10987651),
        (130000000, 1998765432),
        (2200000000, 9876543),
    ]
    calls += [(2300000000, 0), (4000000000, 10123123), (4600000000, 10111111)]
    for (now, rtt), expected in zip(calls, found, strict=True):
        state = law.update(state, done(now / 1e9, rtt / 1e9, dropped=rtt == 0))
        assert (state.limit, state.mean, state.variance, state.ends) == expected


def test_failures_after_round_trips_of_no_time() -> None:
    """Run with vectordotdev/vector c3445d4: the mean of no success counts as 0, which is as long as
    ever.
    """
    law: Any = VectorArc(initial=10.0)
    state = law.update(law.init(100.0), done(1e-6, 0.0))
    failed = Observation(2e-6, 100.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0)
    limits = [state.limit]
    for _ in range(2):
        state = law.update(state, failed)
        limits.append(state.limit)
    assert limits == [10.0, 9.0, 8.0]


def test_an_initial_limit_above_the_most() -> None:
    with pytest.raises(
        InputError, match="initial=300 lies above max_limit=200; allowed: initial <= max"
    ):
        checked(VectorArc(initial=300.0), "vector-arc")


def test_the_reason() -> None:
    law = VectorArc(initial=10.0)
    first = start(law)
    cases = [
        (reach(law, first), done(2.0, 1.0), "no longer than 1000 ms: +1"),
        (first, done(2.0, 2.0), "round trips of 1000 ms or more: x0.9"),
        (first, done(2.0, 1.0, dropped=True), "a call failed: x0.9"),
        (first, done(1.5, 1.0), "limit 10: interval going on"),
    ]
    for state, obs, text in cases:
        assert text in law.why(state, obs, law.update(state, obs))
