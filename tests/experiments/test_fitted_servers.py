"""How likely numbers of servers and delays are, by hand and in times that are drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tpssim.experiments.fitting import servers
from tpssim.experiments.fitting.densities import Density, sampled
from tpssim.experiments.fitting.implied import calls_of, implied
from tpssim.experiments.fitting.servers import (
    as_recorded,
    delays,
    dependence,
    likeliest,
    profile,
)


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
    assert as_recorded(wide, sample, 3.0) == 2.0
    assert as_recorded(wide, sample, -1e6) == certain
    same = Density("constant", None, certain, 1, certain - 2.0)
    assert as_recorded(same, sample, 40.0) == certain - 2.0


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
