"""Service times against theory, and noise that depends on nothing but its key."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from tpssim.core.errors import InputError
from tpssim.core.validation import checked
from tpssim.scenarios.service_times import (
    STREAMS,
    Autocorrelated,
    Constant,
    Exponential,
    Gamma,
    Lognormal,
    Pareto,
    Recorded,
    TwoPhase,
    draws,
)

N = 100_000


def times(service: Any, n: int = N, replication: int = 0) -> Any:
    return service.times(draws(service.noise(), n, 7, replication))


@pytest.mark.parametrize(
    ("service", "mean", "cv"),
    [
        (Constant(0.02), 0.02, 0.0),
        (Exponential(0.02), 0.02, 1.0),
        (Lognormal(0.02, 0.5), 0.02, 0.5),
        (Lognormal(0.02, 0.0), 0.02, 0.0),
        # Pareto of index a: CV = 1 / sqrt(a (a - 2)) = 1 / sqrt(15) for a = 5.
        (Pareto(0.02, 5.0), 0.02, 1.0 / math.sqrt(15.0)),
        (Gamma(0.02, 0.5), 0.02, 0.5),
        (Gamma(0.02, 2.0), 0.02, 2.0),
        # Hyperexponential: E[S] = 0.9 x 0.01 + 0.1 x 0.1, E[S^2] = 2 (0.9 x 0.01^2 + 0.1 x 0.1^2).
        (TwoPhase(0.01, 0.1, 0.1), 0.019, math.sqrt(0.00218 - 0.019**2) / 0.019),
    ],
    ids=str,
)
def test_mean_and_variation_are_those_of_theory(service: Any, mean: float, cv: float) -> None:
    drawn = times(service)
    assert service.mean == pytest.approx(mean, rel=1e-15)
    assert drawn.mean() == pytest.approx(mean, abs=5.0 * cv * mean / math.sqrt(N) + 1e-12)
    assert drawn.std() / drawn.mean() == pytest.approx(cv, rel=0.05, abs=1e-12)


def test_a_pareto_has_its_least_value_and_its_tail() -> None:
    # Mean 3, index 1.5: least = 3 x 0.5 / 1.5 = 1; P(S > 4) = 4^-1.5 = 1/8.
    drawn = times(Pareto(3.0, 1.5))
    assert drawn.min() == pytest.approx(1.0, rel=1e-3)
    assert drawn.min() >= 1.0
    assert (drawn > 4.0).mean() == pytest.approx(0.125, abs=0.005)


def test_a_gamma_of_cv_1_is_exponential() -> None:
    # P(S > 2 E[S]) = exp(-2).
    assert (times(Gamma(1.0, 1.0)) > 2.0).mean() == pytest.approx(math.exp(-2.0), abs=0.005)


def test_the_slow_phase_has_its_share() -> None:
    # Nearly all calls above 100 fast means are slow ones: 0.25 x exp(-100 / 1000).
    drawn = times(TwoPhase(1.0, 1000.0, 0.25))
    assert (drawn > 100.0).mean() == pytest.approx(0.25 * math.exp(-0.1), abs=0.007)


def test_a_lognormal_has_its_median() -> None:
    # Median = mean / sqrt(1 + CV^2): for mean 2, CV sqrt(3) it is 1.
    assert np.median(times(Lognormal(2.0, math.sqrt(3.0)))) == pytest.approx(1.0, rel=0.02)


def test_autocorrelated_times_are_those_of_an_autoregression() -> None:
    # CV sqrt(e - 1): sigma = 1, so mean e^(1/2) makes the time exp(x). By hand, of correlation 0.6:
    # x = 1, then 0.6 x 1 + 0.8 x 0.5 = 1, then 0.6 x 1 + 0.8 x (-2) = -1.
    service = Autocorrelated(math.exp(0.5), math.sqrt(math.e - 1.0), 0.6)
    found = service.times(np.array([1.0, 0.5, -2.0]))
    assert np.log(found) == pytest.approx([1.0, 1.0, -1.0])


def test_autocorrelated_times_have_the_mean_the_variation_and_the_correlation() -> None:
    # The effective number of independent times is n (1 - r) / (1 + r), about, for the mean.
    drawn = times(Autocorrelated(0.02, 0.5, 0.9), 400_000)
    assert drawn.mean() == pytest.approx(0.02, rel=0.02)
    assert drawn.std() / drawn.mean() == pytest.approx(0.5, rel=0.05)
    path = np.log(drawn)
    assert np.corrcoef(path[:-1], path[1:])[0, 1] == pytest.approx(0.9, abs=0.01)
    assert (times(Autocorrelated(0.02, 0.5, 0.9), 10) == drawn[:10]).all()  # a longer one goes on


def test_a_recording_is_replayed_in_order_and_wraps() -> None:
    recorded = Recorded((1.0, 2.0, 4.0), "three")
    assert recorded.mean == 7.0 / 3.0
    drawn = times(recorded, 7).tolist()
    start = (1.0, 2.0, 4.0).index(drawn[0])
    assert drawn == [(1.0, 2.0, 4.0)[(start + k) % 3] for k in range(7)]


def test_replications_enter_a_recording_at_different_places() -> None:
    recorded = Recorded(tuple(float(k) for k in range(1000)), "counting")
    starts = {float(times(recorded, 1, replication)[0]) for replication in range(10)}
    assert len(starts) > 5


@pytest.mark.parametrize("stream", STREAMS)
def test_a_longer_request_continues_a_shorter_one(stream: str) -> None:
    assert np.array_equal(draws(stream, 10, 1, 2), draws(stream, 1000, 1, 2)[:10])


def test_every_key_has_its_own_numbers() -> None:
    keys = [(1, 0, 0, 0), (2, 0, 0, 0), (1, 1, 0, 0), (1, 0, 1, 0), (1, 0, 0, 1)]
    drawn = [draws(s, 5, *key) for key in keys for s in ("uniform", "timer.uniform", "law.uniform")]
    for a, b in itertools.combinations(drawn, 2):
        assert not np.array_equal(a, b)


@pytest.mark.parametrize(
    ("service", "field"),
    [
        (Constant(0.0), "mean"),
        (Lognormal(0.02, -0.1), "cv"),
        (Lognormal(math.nan, 0.1), "mean"),
        (Pareto(0.02, 1.0), "shape"),
        (Exponential(-1.0), "mean"),
        (Gamma(0.02, 0.0), "cv"),
        (TwoPhase(0.01, 0.1, 1.0), "share"),
    ],
)
def test_impossible_services_are_refused(service: Any, field: str) -> None:
    with pytest.raises(InputError, match=f"{field}=.*allowed"):
        checked(service, "service")
