"""Changes of a service over time, in times that are drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tpssim import Lognormal
from tpssim.experiments.fitting import changes
from tpssim.experiments.fitting.changes import (
    Course,
    arithmetic,
    best_cut,
    blockwise,
    change_points,
    course_of,
    exponential_cut,
    geometric,
    normal_scores,
    pareto_cut,
    refitted,
    shortest,
)
from tpssim.experiments.fitting.densities import Density
from tpssim.experiments.fitting.implied import Implied, calls_of, implied
from tpssim.experiments.fitting.intervals import spread_of

GRAIN = 1e-9


def stepped(seed: int, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """10,000 exponential times, ten a second, `factor` times as long from 300 to 600 s."""
    begin = np.arange(10_000) / 10.0
    times = np.random.default_rng(seed).exponential(1.0, 10_000)
    times[(begin >= 300.0) & (begin < 600.0)] *= factor
    return begin, times


@pytest.mark.parametrize("seed", range(5))
def test_a_step_and_its_end_are_found(seed: int) -> None:
    begin, times = stepped(seed, 3.0)
    course, _ = course_of(begin, times, GRAIN, arithmetic)
    assert course.times == pytest.approx((300.0, 600.0), abs=2.0)
    assert course.factors == pytest.approx((1.0, 3.0, 1.0), rel=0.08)
    assert (course.factors[0], course.factors[2]) == (1.0, 1.0)


def test_the_mean_is_as_sure_as_the_calls_that_no_change_touched() -> None:
    # Of 8,000 log-normal times of cv 0.5, whose logarithms spread by sqrt(ln 1.25), 400 were there
    # before a change: the mean is off by 0.472 / 20 of it, and not by 0.5 / sqrt(8,000) = 0.0056.
    service, plain = Lognormal(0.05, 0.5), np.arange(8000) < 400
    times = np.random.default_rng(3).lognormal(0.0, math.sqrt(math.log(1.25)), 8000)
    density = Density("lognormal", service, 0.0, 2, 0.0)
    drawn = [spread_of(times, density, GRAIN, 1, plain=one).mean for one in (plain, None)]
    off = [float(means.std() / means.mean()) for means in drawn]
    assert off == pytest.approx([math.sqrt(math.log(1.25)) / 20.0, 0.5 / math.sqrt(8000)], rel=0.3)


def test_steady_times_have_no_change() -> None:
    found = [course_of(*stepped(seed, 1.0), GRAIN, arithmetic)[0].times for seed in range(40)]
    assert found == [()] * 40


def test_a_constant_service_that_changes_has_its_very_factor() -> None:
    begin = np.arange(1000) / 10.0
    times = np.where(begin < 40.0, 0.5, 0.75)
    course, places = course_of(begin, times, 1e-6, arithmetic)
    assert places == [400]
    assert course.times == pytest.approx((39.95,))
    assert course.factors == pytest.approx((1.0, 1.5))


def test_the_order_is_that_of_the_begins() -> None:
    begin, times = stepped(1, 3.0)
    mixed = np.random.default_rng(0).permutation(len(begin))
    assert course_of(begin[mixed], times[mixed], GRAIN, arithmetic) == course_of(
        begin, times, GRAIN, arithmetic
    )


def test_scores_are_normal_and_equal_times_have_equal_ones() -> None:
    scores = normal_scores(np.array([5.0, 1.0, 1.0 + 1e-12, 9.0]), 1e-6)
    assert scores[1] == scores[2]
    assert (np.argsort(scores)[2:] == [0, 3]).all()
    many = normal_scores(np.random.default_rng(1).pareto(1.5, 5000), 1e-12)
    assert many.std() == pytest.approx(1.0, abs=0.01)
    assert many.mean() == pytest.approx(0.0, abs=1e-9)


def test_a_cut_is_where_the_squares_are_least() -> None:
    drawn = np.random.default_rng(7)
    values = np.concatenate((drawn.normal(0.0, 1.0, 30), drawn.normal(1.0, 1.0, 50)))
    squares = [values[:k].var() * k + values[k:].var() * (80 - k) for k in range(1, 80)]
    assert best_cut(values) == int(np.argmin(squares)) + 1
    times = np.exp(values)
    others = [
        sum(stats.expon(scale=part.mean()).logpdf(part).sum() for part in (times[:k], times[k:]))
        for k in range(1, 80)
    ]
    assert exponential_cut(times) == int(np.argmax(others)) + 1
    tails = [
        sum(
            stats.pareto(3.0, scale=part.min()).logpdf(part).sum()
            for part in (times[:k], times[k:])
        )
        for k in range(1, 80)
    ]
    assert pareto_cut(values) == int(np.argmax(tails)) + 1


def test_the_factors_follow_from_the_times_and_the_changes_stay() -> None:
    starts = np.arange(8.0)
    calls = calls_of(starts, starts + np.array([0.2, 0.4, 0.9, 0.6, 0.8, 0.2, 0.2, 0.2]))
    found, used = implied(calls, 8.0, 0.1), np.arange(8) != 2
    # From 1.5 to 4.5 s: 0.5 and 0.7 s, for the call of 0.8 s is not used; before and after 0.1 s.
    course = Course((1.5, 4.5), (1.0, 9.0, 1.0))
    factors = refitted(course, found, used, GRAIN, shortest).factors
    assert factors == pytest.approx((1.0, 5.0, 1.0))
    assert refitted(course, found, used, GRAIN, arithmetic).factors[1] == pytest.approx(
        0.6 / ((0.1 + 0.3 + 0.1 + 0.1 + 0.1) / 5.0)
    )


def test_a_stretch_keeps_as_many_calls_as_it_needs() -> None:
    begin, times = stepped(2, 3.0)
    times[3] = 1e6  # the best place to cut, of one call
    course, places = course_of(begin, times, GRAIN, geometric)
    assert all(place >= 30 for place in places)
    assert course.times[-2:] == pytest.approx((300.0, 600.0), abs=4.0)


def test_without_the_library_nothing_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    _, times = stepped(1, 3.0)
    scores = normal_scores(times, GRAIN)
    assert len(change_points(scores)) == 2
    monkeypatch.setattr(changes, "searches", False)
    assert change_points(scores) == []


def test_of_fewer_calls_than_stretches_each_is_one() -> None:
    """1, 2 and 4 s are 1/2, 1 and 2 of their geometric mean; the fourth call is not used."""
    no = np.zeros(4, bool)
    found = Implied(np.arange(4.0), np.array([1.0, 2.0, 4.0, 64.0]), no, ~no, 0.0)
    used = np.array([True, True, True, False])
    assert blockwise(found, used, GRAIN) == pytest.approx([0.5, 1.0, 2.0, 2.0])
    assert blockwise(found, no, GRAIN).tolist() == [1.0] * 4
