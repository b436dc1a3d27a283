"""Goodput, wasted work and the tail, worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers.traces import trace

from tpssim.core.profiles import Stages
from tpssim.core.types import FAILED
from tpssim.metrics.measure import measure, measure_phases
from tpssim.scenarios.disturbances import Step
from tpssim.scenarios.plant import Async, Backend
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Constant
from tpssim.simulation.trace import Trace

#: Calls of 20 ms, which must succeed within 0.2 s.
PLANT = Scenario("s", Constant(0.02), 4.0, 10.0, Async(0.0, "completion"))
EVEN = np.arange(40) / 4.0


def every_fourth_late(plant: Scenario = PLANT) -> Trace:
    """40 calls, of which ten take 0.25 s and the others 0.1 s."""
    return trace(plant, EVEN, EVEN + np.where(np.arange(40) % 4 == 3, 0.25, 0.1), 4.0)


def test_a_call_counts_if_it_succeeds_within_the_deadline() -> None:
    got = measure(every_fourth_late())
    # The last one would be done after the end, if the run did not wait for it here.
    assert (got["goodput"], got["wasted"]) == (3.0, 0.25)
    assert got["latency_p99"] == pytest.approx(0.25)


def test_the_deadline_is_the_scenario_s() -> None:
    assert measure(every_fourth_late(PLANT._replace(deadline=0.3)))["goodput"] == 4.0
    assert measure(every_fourth_late(PLANT._replace(deadline=0.05)))["goodput"] == 0.0
    # Ten times (20 ms + 10 ms of network), and ten times (20 ms + 5 ms of cost).
    far = PLANT._replace(network=Constant(0.01))
    dear = PLANT._replace(cost=Constant(1.0), backend=Backend(per_cost=0.005))
    assert measure(every_fourth_late(far))["goodput"] == 4.0
    assert measure(every_fourth_late(dear))["goodput"] == 4.0


def test_what_fails_is_wasted() -> None:
    run = every_fourth_late()
    run.outcome[:10] = FAILED  # eight that were in time, and two that were not
    got = measure(run)
    assert (got["goodput"], got["wasted"]) == (2.2, 18 / 40)
    assert got["latency_p99"] == pytest.approx(0.25)


def test_what_is_under_way_at_the_end_is_wasted_if_it_is_late() -> None:
    """Two are 0.25 s and 0.5 s old, and late; one of 0.1 s may still be in time."""
    sent = np.array([0.0, 9.5, 9.75, 9.9])
    got = measure(trace(PLANT, sent, [0.1, math.nan, math.nan, math.nan], 4.0))
    assert (got["goodput"], got["wasted"]) == (0.1, 2 / 3)


@pytest.mark.parametrize(("tps", "most"), [(10.0, 12), (4.0, 6), (100.0, 111)])
def test_releases_above_the_ceiling_do_not_count(tps: float, most: int) -> None:
    """At once: the wanted of a second and of 0.1 s (or one call), and the one that comes then."""
    at = np.full(200, 5.0)
    got = measure(trace(PLANT._replace(target=tps), at, at + 0.1, tps))
    assert got["goodput"] == most / 10.0
    assert got["wasted"] == 0.0


def test_a_second_later_as_many_count_again() -> None:
    at = np.repeat([5.0, 5.9999, 6.0], 20)
    got = measure(trace(PLANT, at, at + 0.1, 4.0))
    assert got["goodput"] == (6 + 6) / 10.0


def test_the_ceiling_follows_a_profile() -> None:
    """From 4 s on 20 a second are wanted, before that none: 20 by 5 s, and the one that comes
    then.
    """
    load = Stages("4s:0,0s:20,6s:20")
    at = np.full(100, 5.0)
    got = measure(trace(PLANT._replace(target=load), at, at + 0.1, 20.0))
    # Before 4 s nothing was wanted, so one call stands for the 0.1 s.
    assert got["goodput"] == (20 + 1 + 1) / 10.0


def test_the_cost_of_calls_is_what_counts() -> None:
    plant = PLANT._replace(target=40.0, cost=Constant(10.0))
    run = trace(plant, EVEN, EVEN + 0.1, 40.0)._replace(cost=np.full(40, 10.0))
    assert measure(run)["goodput"] == 40.0
    at = np.full(100, 5.0)
    burst = trace(plant, at, at + 0.1, 40.0)._replace(cost=np.full(100, 10.0))
    assert measure(burst)["goodput"] == 6 * 10.0 / 10.0  # 40 and one call of 10, and the next


def test_at_random_gaps_a_call_is_waited_for_from_its_slot_on() -> None:
    run = trace(PLANT._replace(poisson=1.0), EVEN + 0.15, EVEN + 0.25, 4.0, EVEN)
    got = measure(run)
    assert (got["goodput"], got["wasted"]) == (0.0, 1.0)
    assert got["latency_p99"] == pytest.approx(0.25)
    assert measure(run._replace(scenario=PLANT))["goodput"] == 4.0


def test_a_recorded_arrival_is_waited_for_from_when_it_comes() -> None:
    """The k-th slot is the k-th arrival, wherever the law's rate has put it."""
    plant = PLANT._replace(arrivals=tuple(EVEN.tolist()))
    late = np.where(np.arange(40) < 10, 0.15, 0.0)
    got = measure(trace(plant, EVEN + late, EVEN + late + 0.1, 4.0))
    assert (got["goodput"], got["wasted"]) == (3.0, 0.25)


def test_each_long_phase_has_its_own() -> None:
    plant = PLANT._replace(disturbances=(Step(5.0, 10.0, 2.0),))
    first, second = measure_phases(trace(plant, EVEN, EVEN + np.where(EVEN < 6.0, 0.0, 0.3), 4.0))
    assert (first.goodput, second.goodput) == (4.0, 4.0 / 5.0)
