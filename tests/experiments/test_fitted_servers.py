"""How likely numbers of servers and delays are, by hand and in times that are drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tpssim
from tpssim.core.types import OK, TIMED_OUT
from tpssim.experiments.fitting import servers
from tpssim.experiments.fitting.densities import NOTHING, Density, sampled
from tpssim.experiments.fitting.implied import calls_of, implied
from tpssim.experiments.fitting.servers import (
    Profile,
    Setting,
    as_recorded,
    delays,
    dependence,
    likeliest,
    profile,
)
from tpssim.scenarios.service_times import Constant


def price(times: np.ndarray) -> float:
    sample = sampled(times, 1e-9)
    assert sample is not None
    return dependence(times, np.ones(len(times)), sample)


def test_times_that_share_a_part_have_a_price_and_two_odd_ones_have_none() -> None:
    drawn = np.random.default_rng(5).lognormal(0.0, 0.3, 4001)
    assert price(drawn) < 1.0
    # r = 1/2 of neighbours: 2000 ln(4/3), less what chance does
    shared = np.exp((np.log(drawn[1:]) + np.log(drawn[:-1])) / 2.0)
    assert price(shared) == pytest.approx(2000.0 * math.log(4.0 / 3.0), rel=0.1)
    odd = drawn.copy()
    odd[100:102] = 1e9
    assert price(odd) < 1.0


def test_times_that_are_stretched_are_no_more_certain_than_their_stamps() -> None:
    sample = sampled(np.full(100, 2.0), 0.5)
    assert sample is not None
    certain = 100.0 * math.log(2.0)  # 1 / 0.5 for each
    wide = Density("gamma", None, 10.0, 2, 5.0)
    longer = np.full(100, math.exp(0.03))  # 3 nats in all
    assert as_recorded(wide, sample, sample.times, longer) == pytest.approx(2.0)
    assert as_recorded(wide, sample, sample.times, np.full(100, 1e-6)) == certain
    same = Density("constant", Constant(2.0), certain, 1, certain - 2.0)
    assert as_recorded(same, sample, sample.times, 10.0 * longer) == certain - 2.0


def test_what_is_equal_only_once_it_is_divided_is_no_constant() -> None:
    # Times of 200 s, more or less 20 s: a hundredth of them is 2 s to within less than the grain.
    times = 2.0 + np.linspace(-0.2, 0.2, 100)
    sample = sampled(times, 0.5)
    assert sample is not None
    score = 100.0 * math.log(2.0)
    divided = Density("constant", Constant(2.0), score, 1, score)
    found = as_recorded(divided, sample, times, np.full(100, 100.0))
    assert found == pytest.approx(score - 100.0 * math.log(100.0))


def test_a_delay_follows_from_any_longer_one() -> None:
    # One server of 1 s behind 0.5 s, two calls at a time: the second waits for the first.
    starts = np.repeat(10.0 * np.arange(20), 2)
    calls = calls_of(starts, starts + np.tile([1.5, 2.5], 20))
    for delay in (0.5, 0.9, 1.4):
        assert delays(calls, implied(calls, 1.0, delay), 1.5, None)[0] == pytest.approx(0.5)


def test_what_one_part_of_the_recording_decides_alone_is_not_sure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = np.random.default_rng(3)
    starts = np.cumsum(drawn.exponential(0.6, 2000))
    free, ends = [0.0, 0.0], []
    for start, time in zip(starts, drawn.gamma(4.0, 0.25, 2000), strict=True):
        free.sort()
        free[0] = max(start, free[0]) + time
        ends.append(free[0])
    found = profile(calls_of(starts, np.array(ends)))
    assert likeliest(found)[1:] == (2.0, 2.0)
    gains = servers._gains(found, found.best[2.0], found.best[3.0])
    assert (gains > 5.0).all()
    monkeypatch.setattr(servers, "_gains", lambda *_: np.array([99.0, 1.0, -1.0, 2.0]))
    assert likeliest(found)[1:] == (1.0, max(s for s in found.ranked()[:6] if math.isfinite(s)))


def test_times_below_0_by_the_stamps_alone_are_as_far_from_0() -> None:
    times = np.array([-3.0, -0.5, 0.001, *range(1, 20)], dtype=float)
    found = sampled(times, 2.0, 0.1)
    assert found is not None
    assert (found.below, found.mean_below) == (1, 3.0)
    assert found.times[:3].tolist() == [0.1, 0.5, 1.0]
    # all of the same size as the grain, where the stamps are finer than anything
    exact = sampled(times, 2.0)
    assert exact is not None
    assert exact.times[:4].tolist() == [2.0, 2.0, 2.0, 2.0]


@pytest.mark.parametrize("patience", [math.inf, 5.0])
def test_answers_that_a_stall_held_back_do_not_hide_the_servers(patience: float) -> None:
    """Four servers of 100 ms under 52 calls a second. For 0.35 s no answer gets through: those that
    were due come together, so with four servers a few times are far too long and some fourteen
    almost 0, and all others 100 ms.
    """
    draw = np.random.default_rng(11)
    start = np.arange(940) / 52.0
    done = np.empty(len(start))
    for i, at in enumerate(start):
        free = np.sort(done[:i])[-4] if i >= 4 else 0.0
        done[i] = max(at, free) + 0.1
    seen = done + 0.001 + draw.exponential(2e-4, len(start))
    held = (seen > 14.0) & (seen < 14.35)
    seen[held] = 14.35 + 1e-4 * np.arange(held.sum())
    given_up = seen - start > patience
    found = tpssim.fit(
        tpssim.Recording.of(
            start.tolist(),
            np.where(given_up, start + patience, seen).tolist(),
            outcome=np.where(given_up, TIMED_OUT, OK).tolist(),
        ),
        holdout=0.0,
    )
    assert found.estimates["backend.servers"].value == 4.0
    assert found.scenario.service.mean == pytest.approx(0.1, rel=0.01)


def test_where_no_number_of_servers_can_be_there_are_as_many_as_were_tried_at_least() -> None:
    starts = np.arange(20.0)
    found = Profile(calls_of(starts, starts + 2.5))
    unlimited = Setting(math.inf, 0.0, NOTHING, 0.0)
    found.best[math.inf] = unlimited
    assert likeliest(found) == (unlimited, 1.0, math.inf)
    found.best[7.0] = Setting(7.0, 0.0, NOTHING, -1e6)
    assert likeliest(found) == (unlimited, 7.0, math.inf)
