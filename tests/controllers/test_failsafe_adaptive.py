"""failsafe-go's adaptive limiter: vectors of the original's tests, each rule and trap by hand."""

from __future__ import annotations

import itertools
import math
import random
from array import array
from typing import Any

import pytest
from helpers.laws import done, fed, memory_of

from tpssim.controllers import _moving, _t_digest
from tpssim.controllers.failsafe_adaptive import Average, FailsafeAdaptive, factor
from tpssim.core.errors import InputError
from tpssim.core.types import Observation
from tpssim.core.validation import checked

#: The original's tests: windows of one sample.
LAW = FailsafeAdaptive(samples=1.0, longest=1.0)


def warmed(law: FailsafeAdaptive, *calls: tuple[float, float], gap: float = 2.0) -> list[Any]:
    """States after calls of (round trip, in flight), 2 s apart; the baseline knows ten windows of 1
    s.
    """
    known = Average(windows=10.0, value=1e9, total=1e10)
    state: Any = law.init(100.0)._replace(baseline=known)
    memory, seen = memory_of(law), []
    for k, (rtt, in_flight) in enumerate(calls, start=1):
        # Its own call is the only one under way when it ends: the semaphore is not full.
        obs = Observation(gap * k, 100.0, rtt, 0.0, 1.0, 0.0, in_flight, 0.0, 0.0, 1.0)
        state = law.update(state, obs, *memory)
        seen.append(state)
    return seen


def limits(states: list[Any]) -> list[float]:
    return [state.limit for state in states]


def test_defaults() -> None:
    law = FailsafeAdaptive()
    assert law.init(100.0).limit == 20.0
    assert (law.min_limit, law.max_limit, law.max_factor, law.factor_decay, law.stabilised) == (
        1.0,
        200.0,
        5.0,
        0.0,
        0.0,
    )
    assert (law.period, law.longest, law.samples, law.quantile) == (1.0, 30.0, 50.0, 0.9)
    assert (law.baseline_age, law.correlated) == (10.0, 50.0)


def test_round_trips_are_filtered_and_smoothed() -> None:
    states = warmed(LAW, *((rtt, 10.0) for rtt in (0.1, 0.3, 0.2, 0.2, 0.25)))
    assert states[-1].recent.value == 0.2e9  # (0.1 + 0.3 + 0.2 + 0.2 + the median 0.2) / 5
    median = array("d", [0.0] * 5)
    found = [
        _moving.median_of_five(median, 0, float(k), x)
        for k, x in enumerate((100, 300, 200, 200, 250))
    ]
    assert found == [100, 300, 200, 200, 200]


@pytest.mark.parametrize(
    ("calls", "found"),
    [
        ([(1.0, 5.0), (0.5, 5.0)], [21.0, 22.0]),  # queue 0, then below
        ([(2.0, 10.0), (2.0, 10.0)], [19.0, 18.0]),  # queue 20 x (1 - 1.1818 / 2) = 8.2
        (
            [(1.3, 10.0), (1.3, 10.0)],
            [20.0, 20.0],
        ),  # 20 x (1 - 1.0545 / 1.3) = 3.8: between 3 and 6
    ],
)
def test_vectors(calls: list[tuple[float, float]], found: list[float]) -> None:
    assert limits(warmed(LAW, *calls)) == found


def test_a_stabilisation_window() -> None:
    law = LAW._replace(max_factor=1.5)
    calls = [(1.0, 20.0), (1.0, 5.0)]
    assert limits(warmed(law, *calls)) == [21.0, 20.0]  # cap 7.5: gradually
    assert limits(warmed(law._replace(stabilised=300.0), *calls)) == [21.0, 22.0]  # cap 30
    expired = warmed(law._replace(stabilised=10.0), *calls, gap=12.0)
    assert limits(expired) == [21.0, 20.0]


@pytest.mark.parametrize(
    ("decay", "least", "m", "cap"),
    [
        (0.0, 1.2, 100.0, 500.0),
        (0.0, 1.2, 200.0, 1000.0),
        (1.0, 1.2, 10.0, 40.0),
        (1.0, 1.2, 100.0, 300.0),
        (1.0, 1.2, 200.0, 539.794),
        (1.0, 1.2, 1000.0, 2000.0),
        (2.0, 1.2, 10000.0, 12000.0),
        (2.0, 1.2, 0.0, 0.0),
    ],
)
def test_caps(decay: float, least: float, m: float, cap: float) -> None:
    assert m * factor(5.0, decay, least, m) == pytest.approx(cap, rel=1e-6)


def test_the_cap_in_the_law() -> None:
    assert limits(warmed(LAW, (1.0, 4.0))) == [20.0]  # wanted 21, cap 20: up to it
    assert limits(warmed(LAW, (1.0, 3.0))) == [19.0]  # cap 15, below the limit: one less
    # 5 x (5 - 1.398) = 18.01
    assert limits(warmed(LAW._replace(factor_decay=2.0), (1.0, 5.0))) == [19.0]
    # 22.5
    assert limits(warmed(LAW._replace(factor_decay=9.0, min_factor=4.5), (1.0, 5.0))) == [21.0]
    assert limits(warmed(LAW._replace(max_factor=4.1), (1.0, 5.0))) == [20.0]  # 20.5, trunc
    assert limits(warmed(LAW._replace(max_limit=20.0), (1.0, 10.0))) == [20.0]
    assert limits(warmed(LAW._replace(min_limit=20.0), (2.0, 10.0))) == [20.0]


@pytest.mark.parametrize(
    ("initial", "lg"), [(99.0, 1.0), (100.0, 2.0), (999.0, 2.0), (1000.0, 3.0)]
)
def test_steps_grow_with_the_limit(initial: float, lg: float) -> None:
    law = LAW._replace(initial=initial, max_limit=2000.0)
    assert limits(warmed(law, (1.0, 1000.0))) == [initial + lg]
    assert limits(warmed(law, (9.0, 1000.0))) == [initial - lg]


@pytest.mark.parametrize(
    ("age", "warm_up", "values", "average"),
    [
        (5.0, 3.0, [10.0, 20.0, 30.0], 20.0),
        (3.0, 2.0, [10.0, 20.0, 30.0, 40.0], 31.25),
        (5.0, 0.0, [100.0, 50.0], 38.888888888888886),
    ],
)
def test_moving_averages(age: float, warm_up: float, values: list[float], average: float) -> None:
    total, value = 0.0, 0.0
    for k, new in enumerate(values):
        total, value = _moving.averaged(total, value, float(k), age, new, warm_up)
    assert value == pytest.approx(average, rel=1e-15)


@pytest.mark.parametrize(
    ("values", "cv"),
    [([5.0, 10.0], 0.3333), ([10.0, 15.0, 20.0], 0.2722), ([10.0, 20.0, 30.0], 0.4082)],
)
def test_variation(values: list[float], cv: float) -> None:
    ring = array("d", [0.0]) * 10
    for value in (
        1e3,
        0.0,
        *values,
    ):  # a ring as long as the values: the first has left; a zero is not kept
        _moving.kept(ring, 0, 4, len(values), value)
    assert _moving.spread(ring, 0)[2] == pytest.approx(cv, abs=5e-5)
    assert math.isnan(_moving.spread(array("d", [1.0, 1.0, 5.0, 25.0]), 0)[2])


def related(xs: list[float], ys: list[float], size: int = 10) -> tuple[float, float]:
    memory = array("d", [0.0]) * (_moving.SUMS + 2 * size)
    found = (math.nan, math.nan)
    for x, y in zip(xs, ys, strict=True):
        found = _moving.related(memory, 0, size, x, y)
    return found


def test_correlation() -> None:
    rising = [float(k) for k in range(1, 11)]
    assert related(rising, [10.0 * x for x in rising])[0] == pytest.approx(1.0, rel=1e-12)
    assert related(rising, [200.0 - 10.0 * x for x in rising])[0] == pytest.approx(-1.0, rel=1e-12)
    assert related(rising[:9], rising[:9]) == (0.0, 0.0)  # warming up, the variation too
    flat = [100.0 + 0.1 * x for x in rising]
    assert related(rising, flat)[0] == 0.0  # less than 1 %
    assert related(rising, flat)[1] == pytest.approx(0.1 * math.sqrt(8.25) / 100.55, rel=1e-6)
    assert related(flat, rising)[0] == 0.0
    # Only the last ten count.
    assert related([7.0, 9.0, *rising], [900.0, 1.0, *rising])[0] == pytest.approx(1.0, rel=1e-9)
    # Population: x = 1..10, y = x^2: covariance 90.75, variances 8.25 and 1051.05.
    squares = related(rising, [x * x for x in rising])
    assert squares[0] == pytest.approx(90.75 / math.sqrt(8.25 * 1051.05), rel=1e-12)
    assert squares[1] == pytest.approx(math.sqrt(1051.05) / 38.5, rel=1e-12)


@pytest.mark.parametrize(
    ("window", "steps"),
    [
        (
            300.0,
            [
                (0, 1030, 1030),
                (30, 691, 1030),
                (60, 849, 1030),
                (90, 836, 1030),
                (120, 1028, 1030),
                (150, 700, 1030),
                (301, 650, 1028),
                (421, 400, 700),
                (601, 300, 400),
                (721, 100, 300),
            ],
        ),
        (
            300.0,
            [(0, 700, 700), (60, 1000, 1000), (120, 600, 1000), (180, 500, 1000), (420, 800, 800)],
        ),
        (60.0, [(0, 1000, 1000), (60, 50, 50)]),
    ],
)
def test_the_largest_of_a_time(window: float, steps: list[tuple[float, float, float]]) -> None:
    memory = array("d", [0.0]) * 34
    for now, value, found in steps:
        assert _moving.largest(memory, 0, 16, value, now, window) == found


def test_more_than_are_kept_lose_the_last_but_one() -> None:
    memory = array("d", [0.0]) * 8
    falling = [9.0, 8.0, 7.0, 6.0, 5.0]
    found = [_moving.largest(memory, 0, 3, x, float(k), 3.5) for k, x in enumerate(falling)]
    assert found == [9.0, 9.0, 9.0, 9.0, 8.0]


def test_windows_accumulate_until_they_are_long_enough_and_have_enough() -> None:
    law = FailsafeAdaptive(samples=3.0)
    # The first may end at any time after 0, with its third sample; then 2 x 0.8 s must pass, more
    # than 1 s.
    ends = [0.0, 0.1, 0.2, 0.3, 0.4, 1.8, 1.801, 9.0]
    states = fed(law, [done(end, 0.8, 10.0) for end in ends])[1:]
    assert [state.recent.windows for state in states] == [0, 0, 1, 1, 1, 1, 2, 2]
    assert states[2].due == 1.8e9
    short = fed(law, [done(end, 0.1, 10.0) for end in ends])[1:]
    assert short[2].due == 1.2e9
    long = fed(law, [done(end, 20.0, 10.0) for end in ends])[1:]
    assert long[2].due == 30.2e9


def test_calls_of_no_time_are_samples() -> None:
    """Run with failsafe-go/failsafe-go 5759a5e: two samples a window, one call in the semaphore."""
    law = FailsafeAdaptive(samples=2.0)
    history = [(0.5, 0.0), (1.1, 0.0), (2.2, 0.01), (3.3, 0.0)]
    states = fed(
        law, [Observation(t, 100.0, rtt, 0.0, 1.0, 0.0, 10.0, 0.0, 0.0, 1.0) for t, rtt in history]
    )
    assert [
        (state.limit, state.recent.value, state.baseline.value, state.window.samples)
        for state in states[1:]
    ] == [
        (20.0, 0.0, 0.0, 1.0),
        (21.0, 0.0, 0.0, 0.0),
        (21.0, 0.0, 0.0, 1.0),
        (20.0, 5e6, 2.5e6, 0.0),
    ]


def test_a_dropped_call_is_no_sample_but_may_end_a_window() -> None:
    law = FailsafeAdaptive(samples=2.0)
    states = fed(
        law, [done(0.0, 0.1, 10.0), done(0.0, 0.1, 10.0), done(0.5, 9.0, 50.0, dropped=True)]
    )
    assert [state.recent.windows for state in states] == [0.0, 0.0, 0.0, 1.0]
    assert states[-1].recent.value == 1e8
    # A failure that is no drop is recorded as any answer.
    failed = Observation(0.5, 100.0, 0.3, 0.0, 1.0, 1.0, 50.0, 0.0)
    assert fed(law, [failed])[-1].window.samples == 1.0


def tenth_window(peak: float, growth: float) -> float:
    """What the tenth window does to the limit: each has 2 more in flight and takes `growth` of 10 s
    longer.

    `peak` are in flight at its end. Until then the limit rises to 29.
    """
    law = LAW._replace(max_factor=1000.0)
    state: Any = law.init(100.0)
    memory, found = memory_of(law), [20.0]
    for k in range(10):
        rtt, m = 10.0 * (1.0 + growth * k), 200.0 + 2.0 * k
        obs = Observation(2.0 * (k + 1), 100.0, rtt, 0.0, 1.0, 0.0, m, 0.0, 0.0, peak)
        state = law.update(state, obs, *memory)
        found.append(state.limit)
    assert found[:-1] == [20.0 + k for k in range(10)]
    return found[-1] - found[-2]


@pytest.mark.parametrize(
    ("growth", "queue_says"),
    [
        # Smoothed from 10 to 11.98 s, from 20 calls/s to 18.2: throughput falls. The queue, of
        # 29 x (1 - 11.036 / 11.98) = 2.3, holds.
        (0.06, 0.0),
        # Throughput varies by less than 1 %: correlation 0, latency's is 1. Queues of 2 and 1 in
        # these.
        (0.03, 1.0),
        # Throughput rises with them, by a few per cent only, and so does latency.
        (0.015, 1.0),
    ],
)
def test_latency_that_goes_with_the_calls_in_flight_lowers_a_full_limit(
    growth: float, queue_says: float
) -> None:
    assert tenth_window(1000.0, growth) == -1.0
    assert tenth_window(29.0, growth) == -1.0  # full is 29 of 29
    # not full, though more were when the call was released
    assert tenth_window(28.0, growth) == queue_says


def test_throughput_that_goes_with_the_calls_in_flight_does_not() -> None:
    assert tenth_window(1000.0, 0.0) == 1.0


def test_quantiles_of_few_values_are_interpolated_between_their_middles() -> None:
    def digest(values: list[float]) -> array[float]:
        memory = array("d", [0.0]) * _t_digest.SIZE
        _t_digest.forgotten(memory, 0)
        for value in values:
            _t_digest.noted(memory, 0, value)
        return memory

    five = digest([3.0, 1.0, 5.0, 2.0, 4.0])
    assert [_t_digest.digest_quantile(five, 0, q) for q in (0.05, 0.25, 0.5, 0.75, 0.95)] == [
        1.0,
        1.75,
        3.0,
        4.25,
        5.0,
    ]
    fifty = digest([float(k) for k in range(50)])
    assert _t_digest.digest_quantile(fifty, 0, 0.9) == 44.5
    assert _t_digest.digest_quantile(digest([7.0]), 0, 0.9) == 7.0
    assert math.isnan(_t_digest.digest_quantile(digest([]), 0, 0.9))


@pytest.mark.parametrize("n", [100, 801, 5000, 50000])
def test_quantiles_of_many_values_are_near_the_exact_ones(n: int) -> None:
    values = [float(k) for k in range(n)]
    random.Random(n).shuffle(values)
    memory = array("d", [0.0]) * _t_digest.SIZE
    _t_digest.forgotten(memory, 0)
    for value in values:
        _t_digest.noted(memory, 0, value)
    for q in (0.01, 0.5, 0.9, 0.99):
        # A centroid spans at most one unit of the scale: pi / 100 x sqrt(q (1 - q)) of the weight.
        allowed = n * math.pi / _t_digest.COMPRESSION * math.sqrt(q * (1.0 - q)) + 1.0
        assert _t_digest.digest_quantile(memory, 0, q) == pytest.approx(q * n, abs=allowed)
    kept = int(memory[_t_digest.KEPT])
    assert 50 <= kept <= 2 * _t_digest.COMPRESSION + 1
    means = _t_digest.VALUES + 2 * _t_digest.ROOM
    weights = memory[means + _t_digest.MERGED :][:kept]
    assert sum(weights) == n
    centres = memory[means:][:kept]
    assert all(b > a for a, b in itertools.pairwise(centres))
    total = math.fsum(c * w for c, w in zip(centres, weights, strict=True))
    assert total == pytest.approx(n * (n - 1) / 2, rel=1e-9)


def test_values_are_sorted_with_their_weights() -> None:
    dice = random.Random(1)
    for n in (0, 1, 2, 3, 10, 500):
        memory = array("d", [0.0]) * (2 * _t_digest.ROOM)
        for k in range(n):
            memory[k] = dice.random()
            memory[k + _t_digest.ROOM] = -memory[k]
        before = sorted(memory[:n])
        _t_digest.in_order(memory, 0, n)
        assert list(memory[:n]) == before
        assert list(memory[_t_digest.ROOM :][:n]) == [-x for x in before]


def test_bounds_in_the_wrong_order() -> None:
    with pytest.raises(
        InputError, match="min_limit=30 lies above max_limit=25; allowed: min <= max"
    ):
        checked(FailsafeAdaptive(min_limit=30.0, max_limit=25.0), "failsafe-adaptive")
