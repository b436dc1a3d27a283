"""Services that slow down with the calls in flight, recorded in the model and learned."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tpssim
from tpssim import Async, Backend, Exponential, Lognormal, Scenario, Stages
from tpssim.experiments.fitting.crowding import Crowding, Levels, fitted
from tpssim.experiments.fitting.fit_result import FitResult
from tpssim.scenarios.plant import slowdown
from tpssim.scenarios.recordings.calls import Recording


def test_the_factor_is_that_of_the_plant() -> None:
    made = Crowding(slope=0.07, knee=5.0, exponent=1.3)
    backend = Backend(slope=0.07, knee=5.0, exponent=1.3)
    crowd = [1.0, 4.0, 5.0, 6.0, 20.0]
    true = [slowdown(backend, n) for n in crowd]
    assert made.at(np.array(crowd)).tolist() == pytest.approx(true, rel=1e-12)


def test_slope_and_knee_of_times_without_noise() -> None:
    crowd = np.repeat(np.arange(1.0, 21.0), 60)
    true = Crowding(slope=0.05, knee=8.0, exponent=1.2)
    jitter = np.tile([-0.01, 0.01], len(crowd) // 2)  # of mean 0 at each number of calls
    found = fitted(Levels.of(0.02 * true.at(crowd) * np.exp(jitter), crowd, 1e-9), (True, True))
    assert found is not None
    assert found.knee == 8.0
    assert found.slope == pytest.approx(0.05, rel=1e-4)
    assert found.exponent == pytest.approx(1.2, rel=1e-4)


def test_calls_are_taken_together_only_where_many_are_in_flight() -> None:
    crowd = np.repeat(np.array([5.0, 200.0, 300.0, 301.0, 400.0]), 2)
    found = Levels.of(0.02 * crowd, crowd, 1e-9)
    assert found.crowd.tolist() == [5.0, 200.0, 300.5, 400.0]
    assert found.weight.tolist() == [2.0, 2.0, 4.0, 2.0]
    assert found.mean[2] == pytest.approx(math.log(0.02) + 0.5 * math.log(300.0 * 301.0))


def recorded(
    backend: Backend, peak: float, seed: int, cost: Any = None, service: Any = None
) -> FitResult:
    """Fit a ramp up to `peak` a second and down again: of calls, or of their costs. A call takes 20
    ms on the average, half of them by its cost if it has one of mean 2 and backend 5 ms for each.
    """
    scenario = Scenario(
        "crowded",
        service or Lognormal(0.02 if cost is None else 0.01, 0.5),
        Stages([(9.0, peak), (9.0, 0.0)]),
        18.0,
        Async(feedback="completion"),
        backend=backend,
        cost=cost,
        poisson=1.0,
    )
    trace = tpssim.simulate(scenario, "fixed", seed=seed)
    prices = None if cost is None else trace.cost
    seen = Recording.of(trace.released, trace.completed, trace.outcome, cost=prices)
    return tpssim.fit(seen, holdout=0.0)


def test_a_slope_without_any_queue() -> None:
    result = recorded(Backend(slope=0.1), 350.0, 5)
    slope = result.estimates["backend.slope"]
    assert slope.low < slope.value < slope.high
    assert slope.value == pytest.approx(0.1, rel=0.15)
    assert result.estimates["service.mean"].value == pytest.approx(0.02, rel=0.05)
    assert result.scenario.backend.slope == slope.value


def test_a_slope_with_servers() -> None:
    result = recorded(Backend(servers=6.0, slope=0.05), 210.0, 6)
    assert tuple(result.estimates["backend.servers"]) == (6.0, 6.0, 6.0)
    slope = result.estimates["backend.slope"]
    assert slope.value == pytest.approx(0.05, rel=0.15)
    assert slope.low < slope.value < slope.high


def test_a_knee() -> None:
    result = recorded(Backend(knee=6.0, exponent=1.15), 390.0, 7)
    knee, exponent = result.estimates["backend.knee"], result.estimates["backend.exponent"]
    assert knee.low <= 6.0 <= knee.high
    assert exponent.value == pytest.approx(1.15, rel=0.03)
    assert "backend.slope" not in result.estimates


@pytest.mark.parametrize(("servers", "slope", "peak"), [(math.inf, 0.1, 500.0), (6.0, 0.05, 420.0)])
def test_a_slope_where_calls_have_costs(servers: float, slope: float, peak: float) -> None:
    backend = Backend(servers=servers, slope=slope, per_cost=0.005)
    result = recorded(backend, peak, 21, Lognormal(2.0, 0.5))
    assert result.estimates["backend.slope"].value == pytest.approx(slope, rel=0.15)
    assert result.estimates["backend.per_cost"].value == pytest.approx(0.005, rel=0.05)
    assert result.estimates["service.mean"].value == pytest.approx(0.01, rel=0.05)
    assert result.changes == ()


def test_a_slope_leaves_open_what_a_cost_adds() -> None:
    # At one slope the shortest exponential times tell it to a thousandth; the slope itself is known
    # to a tenth, and what costs add no better than that says.
    backend, cost = Backend(slope=0.1, per_cost=0.005), Lognormal(2.0, 0.5)
    result = recorded(backend, 500.0, 42, cost, Exponential(0.01))
    found = result.estimates["backend.per_cost"]
    assert found.low <= 0.005 <= found.high


def test_a_knee_where_calls_have_costs() -> None:
    backend = Backend(knee=6.0, exponent=1.15, per_cost=0.005)
    result = recorded(backend, 780.0, 22, Lognormal(2.0, 0.5))
    knee, exponent = result.estimates["backend.knee"], result.estimates["backend.exponent"]
    assert knee.low <= 6.0 <= knee.high
    assert exponent.value == pytest.approx(1.15, rel=0.03)
    assert result.estimates["backend.per_cost"].value == pytest.approx(0.005, rel=0.05)


def test_servers_alone_are_no_slowdown() -> None:
    result = recorded(Backend(servers=4.0), 220.0, 8)
    assert result.estimates["backend.servers"].value == 4.0
    assert "backend.slope" not in result.estimates
    assert result.scenario.backend.knee == math.inf
    (said,) = (one for one in result.unidentified if one.name == "backend.knee")
    assert said.because.startswith("there were never more than ")
