"""Calls that were given up: when, and what the service takes that nobody waited for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

import tpssim
from tpssim import Async, Backend, Constant, Scenario, Stages
from tpssim.core.types import FAILED, OK, TIMED_OUT
from tpssim.experiments.fitting.densities import MAKERS, sampled
from tpssim.experiments.fitting.fit_result import FitResult
from tpssim.experiments.fitting.implied import calls_of
from tpssim.experiments.fitting.servers import Profile
from tpssim.experiments.fitting.survival import CENSORED, censored, completed_times, survival
from tpssim.experiments.fitting.timeouts import timeout_of
from tpssim.scenarios.recordings.calls import Recording

SERVICES: dict[str, Any] = {
    "exponential": tpssim.Exponential(0.02),
    "lognormal": tpssim.Lognormal(0.02, 0.6),
    "gamma": tpssim.Gamma(0.02, 0.5),
    "pareto": tpssim.Pareto(0.02, 3.0),
    "two-phase": tpssim.TwoPhase(0.01, 0.11, 0.1),
}
TRUE: dict[str, Any] = {
    "exponential": stats.expon(scale=0.02),
    "lognormal": stats.lognorm(
        math.sqrt(math.log(1.36)), scale=0.02 / math.sqrt(1.36)
    ),  # 1 + cv^2 = 1.36
    "gamma": stats.gamma(4.0, scale=0.005),
    "pareto": stats.pareto(3.0, scale=0.04 / 3.0),
}


def cut(kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Times that are known, and ages of those that were given up, each at a time of its own."""
    drawn = np.random.default_rng(seed)
    times = TRUE[kind].rvs(size=4000, random_state=drawn)
    patience = drawn.uniform(0.01, 0.06, 4000)
    return times[times <= patience], patience[times > patience]


@pytest.mark.parametrize("kind", TRUE)
def test_survival_is_that_of_scipy(kind: str) -> None:
    at = np.array([0.0, 0.005, 0.015, 0.04, 0.3])
    assert survival(SERVICES[kind], at) == pytest.approx(TRUE[kind].sf(at), abs=1e-12)


@pytest.mark.parametrize("kind", ["lognormal", "gamma"])
def test_parameters_are_those_that_scipy_finds_in_censored_data(kind: str) -> None:
    times, ages = cut(kind, 1)
    sample = sampled(times, 1e-9)
    assert sample is not None
    found = censored(kind, sample, ages)
    assert found is not None
    law = {"lognormal": stats.lognorm, "gamma": stats.gamma}[kind]
    data = stats.CensoredData(uncensored=times, right=ages)
    other = law(*law.fit(data, floc=0.0))
    assert found.service.mean == pytest.approx(other.mean(), rel=2e-3)
    assert found.service.cv == pytest.approx(other.std() / other.mean(), rel=2e-3)
    value = other.logpdf(times).sum() + other.logsf(ages).sum()
    assert found.likelihood == pytest.approx(value, abs=0.5)  # ages are counted into bins


@pytest.mark.parametrize("kind", ["exponential", "pareto"])
def test_parameters_in_closed_form(kind: str) -> None:
    times, ages = cut(kind, 2)
    sample = sampled(times, 1e-9)
    assert sample is not None
    found = censored(kind, sample, ages)
    assert found is not None
    if kind == "exponential":  # all time at risk over the number of ends
        assert found.service.mean == pytest.approx((times.sum() + ages.sum()) / len(times))
    else:
        least = times.min()
        risk = np.log(times / least).sum() + np.log(ages[ages > least] / least).sum()
        assert found.service.shape == pytest.approx(len(times) / risk)
    assert found.service.mean == pytest.approx(0.02, rel=0.05)


def test_without_ages_a_density_is_as_ever() -> None:
    sample = sampled(np.random.default_rng(1).gamma(4.0, 0.005, 500), 1e-9)
    assert sample is not None
    none = np.zeros(0)
    plain = [MAKERS[kind](sample) for kind in CENSORED]
    assert [censored(kind, sample, none) for kind in CENSORED] == plain


@pytest.mark.parametrize("kind", ["constant", "exponential", "lognormal", "gamma"])
def test_who_gives_up_at_once_says_nothing(kind: str) -> None:
    """Nor does it change what times below 0 cost, which no service can have."""
    draw = np.random.default_rng(1)
    good = np.full(200, 0.02) if kind == "constant" else draw.gamma(1.0, 0.02, 200) + 0.001
    sample = sampled(np.concatenate((good, np.full(5, -0.001))), 1e-6, None)
    assert sample is not None
    assert sample.below == 5
    plain, lost = MAKERS[kind](sample), censored(kind, sample, np.array([1e-6]))
    assert plain is not None
    assert lost is not None
    assert lost.likelihood == pytest.approx(plain.likelihood, abs=0.1)


def test_times_that_nobody_waited_for_are_those_of_kaplan_and_meier() -> None:
    # 1, 2+, 3, 4+: S is 3/4 from 1, 3/8 from 3 on, and what is left is no shorter than 4.
    found = completed_times(np.array([1.0, 3.0]), np.array([2.0, 4.0]), 8)
    assert found.tolist() == [1.0, 1.0, 3.0, 3.0, 3.0, 4.0, 4.0, 4.0]


def test_failures_of_one_latency_are_a_timeout() -> None:
    drawn = np.random.default_rng(1)
    took = drawn.exponential(0.1, 2000)
    late = took > 0.25
    outcome = np.where(late, FAILED, OK)
    took = np.where(late, 0.25 + drawn.exponential(1e-4, 2000), took)  # a clock looked at late
    starts = np.arange(2000.0)
    found, marked = timeout_of(Recording.of(starts, starts + took, outcome))
    assert found is not None
    assert found.value == 0.25
    assert int((marked.outcome == TIMED_OUT).sum()) == int(late.sum())


def test_failures_that_take_any_time_are_none() -> None:
    drawn = np.random.default_rng(1)
    took = drawn.exponential(0.1, 2000)
    outcome = np.where(drawn.random(2000) < 0.1, FAILED, OK)
    starts = np.arange(2000.0)
    found, marked = timeout_of(Recording.of(starts, starts + took, outcome))
    assert found is not None
    assert found.value == found.high == math.inf
    assert found.low == pytest.approx(took.max())  # no shorter
    assert not (marked.outcome == TIMED_OUT).any()


def test_several_timeouts_are_not_one() -> None:
    starts = np.arange(300.0)
    lost = starts % 3 == 0
    took = np.where(lost, np.where(starts % 2 == 0, 0.5, 0.9), 0.02 + 1e-4 * (starts % 7))
    seen = Recording.of(starts, starts + took, np.where(lost, TIMED_OUT, OK))
    result = tpssim.fit(seen, holdout=0.0)
    (said,) = (one for one in result.unidentified if one.name == "timeout")
    assert "after 0.5 to 0.9 s" in said.because


def test_a_flood_in_which_nearly_all_is_given_up_is_no_service_and_says_so() -> None:
    """82 of 700 calls are answered: a hundred are needed where calls were given up."""
    flooded = Scenario(
        "flooded", tpssim.Lognormal(0.1, 0.5), Stages("10s:50,10s:10,5s:10", start=20.0), 25.0,
        Async(feedback="completion"), (tpssim.Step(0.0, 4.0, 5.0),),
        backend=Backend(servers=4.0), timeout=1.0,
    )  # fmt: skip
    trace = tpssim.simulate(flooded, "fixed", seed=1)
    seen = Recording.of(trace.released, trace.completed, trace.outcome)
    answered = int((seen.outcome == OK).sum())
    assert answered < 100
    with pytest.raises(tpssim.InputError, match=f"fit: {answered}, beside .* at least 100"):
        tpssim.fit(seen, holdout=0.0)


def test_servers_with_which_no_call_is_known_are_left_out() -> None:
    """Twenty answers beside calls that were given up are too few for any delay."""
    starts = np.arange(60.0)
    calls = calls_of(starts, starts + 0.5, starts < 20.0)._replace(patience=0.5)
    found = Profile(calls)
    found.refine(2.0)
    assert found.tried[2.0] == {}
    assert not found.best


def overloaded(service: Any, servers: float, seed: int, patience: float, **more: Any) -> FitResult:
    """Fit a ramp up to 1.1 times the capacity and down again, whose caller gives up."""
    top = 1.1 * servers / service.mean
    scenario = Scenario(
        "impatient",
        service,
        Stages([(15.0, top), (15.0, 0.0)]),
        30.0,
        Async(feedback="completion"),
        backend=Backend(servers=servers),
        timeout=patience,
        poisson=1.0,
        **more,
    )
    trace = tpssim.simulate(scenario, "fixed", seed=seed)
    assert (trace.outcome == TIMED_OUT).mean() > 0.1
    seen = Recording.of(trace.released, trace.completed, trace.outcome)
    return tpssim.fit(seen, holdout=0.0)


@pytest.mark.parametrize("kind", SERVICES)
def test_servers_and_mean_where_a_tenth_is_given_up(kind: str) -> None:
    service = SERVICES[kind]
    result = overloaded(service, 3.0, 5, 0.12, network=Constant(0.01))
    assert tuple(result.estimates["backend.servers"]) == (3.0, 3.0, 3.0)
    mean = result.estimates["service.mean"]
    assert mean.value == pytest.approx(service.mean, rel=0.1)
    assert mean.low <= service.mean <= mean.high
    assert result.kind == kind
    # The hand-over of 20 us is the caller's, too.
    assert result.scenario.timeout == pytest.approx(0.12, abs=3e-5)
    assert not result.changes
