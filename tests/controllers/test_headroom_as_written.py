"""docs/headroom.md determines the law: what was written from its text alone decides the same."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from helpers import headroom_as_written
from helpers.laws import run

from tpssim import CONTROLLERS, SCENARIOS, Scenario
from tpssim.controllers._headroom_rate import paced, rate_of, unrefused
from tpssim.core.types import Observation
from tpssim.scenarios.load import with_arrivals
from tpssim.simulation.resolve import scenario_named

SAME = 0.99  #: share of the decisions
TARGET = 300.0
SCENARIOS_OF_TEXT = (
    "degrade-recover",
    "overload:duration=10",
    "refusing:duration=10",
    "knee:duration=10",
    "llm-quota:duration=120",
    "constant-timeouts",
    "baseline-drift:duration=30",
    "fast-errors",
)


def rushes(name: str, rate: float) -> Scenario:
    """Twenty seconds of calls that come by themselves, every other second three times as many."""
    draw, now, times = random.Random(5), 0.0, list[float]()
    while now < 20.0:
        times.append(now)
        now += draw.expovariate(rate * (1.5 if int(now) % 2 else 0.5))
    return with_arrivals(SCENARIOS[name], tuple(times))


class Both:
    """The law, and beside it what was written from the text."""

    only_arrivals = True

    def __init__(self) -> None:
        self.law, self.same, self.refused = CONTROLLERS["headroom"](), list[bool](), 0

    def init(self, target: float) -> Any:
        self.written = headroom_as_written.init(target)
        return self.law.init(target)

    def update(self, state: Any, obs: Observation) -> Any:
        after = self.law.update(state, obs)
        written = headroom_as_written.update(self.written, obs)
        alike = math.isclose(written.rate, after.rate, rel_tol=1e-9)
        self.same.append(alike and written.limit == after.limit)
        return after

    def admit(self, state: Any, now: float, lag: float, in_flight: float) -> Any:
        after = self.law.admit(state, now, lag, in_flight)
        refuses = headroom_as_written.refuses(self.written, lag)
        self.same.append(refuses == (after.reject > 0.0))
        self.refused += refuses
        return after


def both(scenario: Scenario) -> Both:
    """A run in which both decide."""
    law = Both()
    run(scenario, law, seed=11)
    assert len(law.same) > 600
    assert sum(law.same) >= SAME * len(law.same)
    return law


@pytest.mark.parametrize("scenario", SCENARIOS_OF_TEXT)
def test_what_was_written_from_the_text_decides_the_same(scenario: str) -> None:
    both(scenario_named(scenario))


@pytest.mark.parametrize(("name", "rate"), [("blocking-steady", 120.0), ("overload", 500.0)])
def test_so_it_does_of_calls_that_come_by_themselves(name: str, rate: float) -> None:
    assert both(rushes(name, rate)).refused > 100


@pytest.mark.parametrize("seed", range(8))
def test_its_rate_after_refusals_is_the_same(seed: int) -> None:
    """A service with a quota that changes, outages, answers that say when to come back, and a
    caller who pauses; one call after the other.
    """
    draw = random.Random(seed)
    pace, written = unrefused(), headroom_as_written.init(TARGET)
    now, rate, own, tokens, takes = 0.0, TARGET, TARGET, 20.0, draw.choice([0.001, 0.02, 0.2])
    quota, down_until, told = draw.uniform(20.0, 100.0), 0.0, draw.random() < 0.5
    dropped, turns = 0.0, 0
    for step in range(6000):
        wait, lag = 1.0 / rate, 0.0
        if draw.random() < 0.002:
            wait += draw.expovariate(0.2)  # a pause
        if draw.random() < 0.001:
            down_until = now + draw.expovariate(0.1)
        if step % 2000 == 1999:
            quota = draw.uniform(20.0, 100.0)
        if told and dropped:
            lag = draw.uniform(0.0, 0.5)
        now += wait + lag
        tokens = min(20.0, tokens + (wait + lag) * quota) - 1.0
        dropped = 1.0 if tokens < 0.0 or now < down_until else 0.0
        tokens = max(tokens, 0.0)
        latency = takes * draw.uniform(0.5, 1.5)
        obs = Observation(now, TARGET, latency, lag, 1.0, dropped, 1.0, dropped)
        before = pace.turn
        pace = paced(pace, obs, dropped, rate, headroom_as_written.CUT)
        rate = rate_of(pace, obs)
        own = headroom_as_written.refusals(written, obs, own, dropped)
        assert own == pytest.approx(rate, rel=1e-9)
        rate, own = (max(min(one, TARGET), 1e-9 * TARGET) for one in (rate, own))
        turns += pace.turn != before
    assert turns > 10
