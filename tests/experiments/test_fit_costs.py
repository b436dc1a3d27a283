"""Services whose calls take longer the more they cost, recorded in the model and learned."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tpssim
from tpssim import Async, Backend, Constant, Exponential, Lognormal, Scenario, Stages
from tpssim.core.types import OK, TIMED_OUT
from tpssim.experiments.fitting.changes import FLAT
from tpssim.experiments.fitting.costs import around, per_cost_of
from tpssim.experiments.fitting.densities import NOTHING
from tpssim.experiments.fitting.estimates import Estimate
from tpssim.experiments.fitting.fit_result import FitResult
from tpssim.experiments.fitting.implied import calls_of
from tpssim.experiments.fitting.servers import Setting
from tpssim.scenarios.recordings.calls import Recording

COST = 400.0  # tokens of a call, on the average


def fitted(service: Any, per_cost: float, seed: int) -> FitResult:
    """Fit three servers behind a delay, under a ramp up to 1.1 times the capacity and down."""
    top = 1.1 * 3.0 / (service.mean + per_cost * COST) * COST
    scenario = Scenario(
        "priced",
        service,
        Stages([(10.0, top), (10.0, 0.0)]),
        20.0,
        Async(feedback="completion"),
        backend=Backend(servers=3.0, per_cost=per_cost),
        network=Constant(0.01),
        cost=Lognormal(COST, 0.8),
        poisson=1.0,
    )
    trace = tpssim.simulate(scenario, "fixed", seed=seed)
    seen = Recording.of(trace.released, trace.completed, trace.outcome, cost=trace.cost)
    return tpssim.fit(seen, holdout=0.0)


@pytest.mark.parametrize("service", [Constant(0.01), Exponential(0.01), Lognormal(0.01, 0.6)])
def test_what_a_unit_of_cost_adds(service: Any) -> None:
    result = fitted(service, 25e-6, 7)
    found = result.estimates["backend.per_cost"]
    assert found.value == pytest.approx(25e-6, rel=0.02)
    assert tuple(result.estimates["backend.servers"]) == (3.0, 3.0, 3.0)
    assert result.estimates["service.mean"].value == pytest.approx(0.01, rel=0.05)
    assert result.scenario.backend.per_cost == found.value
    # Of calls of the mean cost: 3 / (10 ms + 400 x 25 us).
    assert result.plateau.value == pytest.approx(150.0, rel=0.03)
    assert result.scenario.cost is not None
    assert result.scenario.cost.mean == pytest.approx(COST, rel=0.05)


def test_costs_that_make_no_difference_have_a_bound() -> None:
    found = fitted(Exponential(0.02), 0.0, 8).estimates["backend.per_cost"]
    assert found.value == found.low == 0.0
    assert 0.0 < found.high * COST < 0.001  # a twentieth of the service time


def test_costs_that_are_all_equal_say_nothing() -> None:
    times = np.random.default_rng(1).gamma(4.0, 0.005, 500)
    ends = np.cumsum(times + 0.001)
    result = tpssim.fit(Recording.of(ends - times, ends, cost=np.full(500, 7.0)), holdout=0.0)
    assert "backend.per_cost" not in result.estimates
    (said,) = (one for one in result.unidentified if one.name == "backend.per_cost")
    assert said.because == "each call costs 7"
    assert result.scenario.backend.per_cost == 0.0


def test_one_call_at_a_time_tells_its_cost_too() -> None:
    drawn = np.random.default_rng(3)
    cost = drawn.uniform(1.0, 9.0, 2000)
    times = drawn.exponential(0.01, 2000) + 0.002 * cost
    ends = np.cumsum(times + 0.001)
    result = tpssim.fit(Recording.of(ends - times, ends, cost=cost), holdout=0.0)
    assert result.structure == "one at a time"
    assert result.estimates["backend.per_cost"].value == pytest.approx(0.002, rel=0.02)
    assert result.estimates["service.mean"].value == pytest.approx(0.01, rel=0.05)


def test_costs_that_only_calls_given_up_have_say_nothing() -> None:
    """One call at a time, every fourth given up after 50 ms: those cost 5, all others 1."""
    late = np.arange(120) % 4 == 3
    times = np.where(late, 0.05, np.random.default_rng(4).uniform(0.01, 0.04, 120))
    ends = np.cumsum(times + 0.001)
    outcome = np.where(late, TIMED_OUT, OK)
    seen = Recording.of(ends - times, ends, outcome, cost=np.where(late, 5.0, 1.0))
    result = tpssim.fit(seen, holdout=0.0)
    assert "backend.per_cost" not in result.estimates
    (said,) = (one for one in result.unidentified if one.name == "backend.per_cost")
    assert said.because == "each answered call costs 1"


def test_slopes_are_sampled_from_the_answered_calls() -> None:
    """Of 6,000 calls each twentieth is answered: 300, few enough to take all. Every twentieth of
    these costs 1, so that a sample of each twentieth would show no slope.
    """
    answered = np.arange(6000) % 20 == 0
    cost = np.repeat(np.tile(np.arange(1.0, 21.0), 15), 20)
    start = np.arange(6000.0)
    calls = calls_of(start, start + 0.02 + 0.001 * cost, answered, cost=cost)
    found = per_cost_of(calls, Setting(math.inf, 0.0, NOTHING, 0.0), FLAT)
    assert found.value == pytest.approx(0.001, rel=1e-9)


def test_a_value_outside_an_interval_makes_it_wider_to_both_sides() -> None:
    assert tuple(around(2.0, Estimate(4.0, 3.0, 5.0))) == (2.0, 1.0, 6.0)
    assert tuple(around(8.0, Estimate(4.0, 3.0, 5.0))) == (8.0, 0.0, 11.0)
    assert tuple(around(4.5, Estimate(4.0, 3.0, 5.0))) == (4.5, 3.0, 5.0)
