"""The likelihoods of service times beside those of SciPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tpssim import Constant, Exponential, Gamma, Lognormal, Pareto, TwoPhase
from tpssim.experiments.fitting.densities import MAKERS, best_densities, sampled

N = 20_000
#: A distribution, as SciPy draws it.
DRAWN = {
    "exponential": stats.expon(scale=0.02),
    "lognormal": stats.lognorm(s=0.7, scale=0.02),
    "gamma": stats.gamma(a=2.5, scale=0.01),
    "pareto": stats.pareto(b=3.0, scale=0.01),
}


@pytest.mark.parametrize("kind", DRAWN)
def test_the_likelihood_is_that_of_scipy_at_the_same_parameters(kind: str) -> None:
    times = DRAWN[kind].rvs(N, random_state=1)
    sample = sampled(times, 1e-9)
    assert sample is not None
    made = MAKERS[kind](sample)
    assert made is not None
    service = made.service
    same: Any
    if isinstance(service, Exponential):
        same = stats.expon(scale=service.mean)
    elif isinstance(service, Lognormal):
        sigma = math.sqrt(math.log(1.0 + service.cv**2))
        same = stats.lognorm(s=sigma, scale=service.mean * math.exp(-(sigma**2) / 2.0))
    elif isinstance(service, Gamma):
        same = stats.gamma(a=service.cv**-2, scale=service.mean * service.cv**2)
    else:
        assert isinstance(service, Pareto)
        least = service.mean * (service.shape - 1.0) / service.shape
        same = stats.pareto(b=service.shape, scale=least * (1.0 - 1e-12))
    assert made.likelihood == pytest.approx(float(same.logpdf(times).sum()), rel=1e-6)
    assert best_densities(sample)[0].kind == kind


def test_gamma_is_as_likely_as_the_one_that_scipy_finds() -> None:
    times = DRAWN["gamma"].rvs(N, random_state=2)
    sample = sampled(times, 1e-9)
    assert sample is not None
    made = MAKERS["gamma"](sample)
    assert made is not None
    shape, _, scale = stats.gamma.fit(times, floc=0.0)
    assert made.service.cv == pytest.approx(shape**-0.5, rel=1e-4)
    assert made.service.mean == pytest.approx(shape * scale, rel=1e-4)


def test_two_phases_are_found_again() -> None:
    drawn = np.random.default_rng(3)
    slow = drawn.random(N) < 0.2
    times = np.where(slow, drawn.exponential(0.2, N), drawn.exponential(0.01, N))
    sample = sampled(times, 1e-9)
    assert sample is not None
    best = best_densities(sample)[0]
    assert isinstance(best.service, TwoPhase)
    assert best.service.fast == pytest.approx(0.01, rel=0.04)
    assert best.service.slow == pytest.approx(0.2, rel=0.05)
    assert best.service.share == pytest.approx(0.2, rel=0.05)


def test_a_constant_service_is_one_value() -> None:
    drawn = np.random.default_rng(4)
    sample = sampled(0.02 + 1e-12 * drawn.random(1000), 1e-8)
    assert sample is not None
    best = best_densities(sample)[0]
    assert isinstance(best.service, Constant)
    assert best.service.mean == pytest.approx(0.02, rel=1e-9)
    # Each call is known to 1e-8 s, and no better.
    assert best.likelihood == pytest.approx(-1000.0 * math.log(1e-8))


def test_what_the_catalogue_does_not_have_is_recorded() -> None:
    drawn = np.random.default_rng(5)
    two_humps = np.where(drawn.random(N) < 0.5, drawn.normal(1.0, 0.05, N), drawn.normal(3, 0.1, N))
    sample = sampled(two_humps, 1e-6)
    assert sample is not None
    assert best_densities(sample)[0].kind == "recorded"


def test_times_below_0_are_paid_for() -> None:
    times = DRAWN["exponential"].rvs(1000, random_state=6)
    good, bad = sampled(times, 1e-9), sampled(np.append(times, np.full(10, -0.01)), 1e-9)
    assert good is not None
    assert bad is not None
    assert bad.below == 10
    lost = MAKERS["exponential"](good), MAKERS["exponential"](bad)
    assert lost[0] is not None
    assert lost[1] is not None
    # ln(1 / 100) - ln(mean) for each, ln(99 / 100) for each other one.
    price = 10 * (math.log(0.01) - math.log(good.mean)) + 1000 * math.log(0.99)
    assert lost[1].likelihood - lost[0].likelihood == pytest.approx(price)
    assert sampled(-times, 1e-9) is None
