"""Factors, stalls and swaps by hand."""

from __future__ import annotations

import math

import pytest
from helpers.laws import run

from tpssim.scenarios.capacity import achievable, capacity, mean_over, phases
from tpssim.scenarios.disturbances import (
    Disturbance,
    Ramp,
    Sine,
    Spike,
    Stall,
    Step,
    Swap,
    factor_at,
    factor_row,
    finish,
    merged,
)
from tpssim.scenarios.plant import Async, Backend
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Constant


def times(*disturbances: Disturbance) -> list[float]:
    """How long calls take that are begun every quarter of a second at a service of 1/16 s."""
    scenario = Scenario("s", Constant(0.0625), 4.0, 2.5, Async(0.0, "completion"), disturbances)
    trace = run(scenario)
    return [float(t) for t in (trace.completed - trace.released)[:8]]


@pytest.mark.parametrize(
    ("disturbance", "factors"),
    [
        (Step(0.5, 1.0, 2.0), [1, 1, 2, 2, 1, 1, 1, 1]),
        (Ramp(0.5, 1.5, 3.0), [1, 1, 1, 1.5, 2, 2.5, 1, 1]),
        (
            Spike(0.5, 1.5, 3.0),
            [1, 1, 3, *(1 + 2 * math.exp(-5 * x) for x in (0.25, 0.5, 0.75)), 1, 1],
        ),
        (Sine(0.0, 1.0, 0.5, 1.0), [1, 1.5, 1, 0.5, 1, 1, 1, 1]),
        (Swap(0.5, 1.0, Constant(0.125)), [1, 1, 2, 2, 1, 1, 1, 1]),
    ],
)
def test_a_disturbance_multiplies_what_begins_while_it_lasts(
    disturbance: Disturbance, factors: list[float]
) -> None:
    assert times(disturbance) == pytest.approx([0.0625 * f for f in factors], rel=1e-12)


def test_factors_multiply_and_the_last_swap_wins() -> None:
    both = times(
        Step(0.0, 2.0, 2.0),
        Step(0.5, 1.0, 3.0),
        Swap(0.5, 2.0, Constant(0.125)),
        Swap(1, 2, Constant(0.25)),
    )
    assert both == pytest.approx([0.125, 0.125, 0.75, 0.75, 0.5, 0.5, 0.5, 0.5])
    assert factor_at([factor_row(Step(0.0, 1.0, 2.0)), factor_row(Step(0.5, 1.0, 3.0))], 0.5) == 6.0


def test_a_stall_stops_all_work_and_loses_none() -> None:
    # At 0.25 a call begins at once before the stall, at 0.5 and 0.75 in it.
    assert times(Stall(0.28125, 0.875))[:4] == [0.0625, 0.0625 + 0.59375, 0.4375, 0.1875]
    stalls = [Stall(1.0, 2.0), Stall(2.5, 3.0)]
    assert finish(stalls, 0.5, 0.25) == 0.75
    assert finish(stalls, 0.5, 1.5) == 3.5  # half a second before, half between, half after
    assert finish(stalls, 1.5, 0.5) == 2.5  # ends as the second begins
    assert finish(stalls, 1.5, 0.75) == 3.25


def test_overlapping_stalls_are_one() -> None:
    # Half a second of work before 1 s, the rest after 4 s.
    assert finish(merged([Stall(2.0, 4.0), Stall(1.0, 3.0)]), 0.5, 1.0) == 4.5
    assert merged([Stall(0.0, 5.0), Stall(1.0, 2.0), Stall(5.0, 6.0)]) == [Stall(0.0, 6.0)]
    both = run(
        Scenario("s", Constant(1.0), 2.0, 6.0, Async(0.0), (Stall(2.0, 4.0), Stall(1.0, 3.0)))
    )
    assert both.completed[1] == 4.5


def test_a_stall_is_a_phase_without_capacity() -> None:
    scenario = Scenario("s", Constant(0.01), 50.0, 10.0, Async(0.0), (Stall(2.0, 3.0),))._replace(
        backend=Backend(servers=1.0)
    )
    assert phases(scenario) == [(0.0, 2.0), (2.0, 3.0), (3.0, 10.0)]
    assert [capacity(scenario, t) for t in (1.0, 2.0, 3.0)] == [100.0, 0.0, 100.0]
    assert [achievable(scenario, t) for t in (1.0, 2.0, 3.0)] == [50.0, 0.0, 50.0]


def test_the_capacity_of_a_ramp_is_averaged() -> None:
    # Capacity 1 / (1 + t) over [0, 1]: mean ln 2.
    scenario = Scenario("s", Constant(1.0), 50.0, 1.0, disturbances=(Ramp(0.0, 1.0, 2.0),))
    assert mean_over(scenario, capacity, 0.0, 1.0) == pytest.approx(math.log(2.0), rel=1e-5)
