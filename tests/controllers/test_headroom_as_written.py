"""docs/headroom.md determines the law: what was written from its text alone decides the same."""

from __future__ import annotations

import math
import random
import warnings
from typing import Any

import pytest
from helpers import headroom_as_written

from tpssim import CONTROLLERS, SCENARIOS, Scenario, simulate
from tpssim.controllers._headroom_rate import paced, rate_of, unrefused
from tpssim.core.types import Observation
from tpssim.scenarios.load import with_arrivals

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


class Watched:
    """The law beside what was written from the text."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        law = CONTROLLERS["headroom"]
        self.init, self.update, self.admit = law.init, law.update, law.admit
        self.same, self.refused = list[bool](), 0
        patch.setattr(law, "init", lambda law, target: self.started(law, target))
        patch.setattr(law, "update", lambda law, state, obs: self.updated(law, state, obs))
        patch.setattr(law, "admit", lambda law, *given: self.admitted(law, *given))

    def started(self, law: Any, target: float) -> Any:
        self.written = headroom_as_written.init(target)
        return self.init(law, target)

    def updated(self, law: Any, state: Any, obs: Observation) -> Any:
        after = self.update(law, state, obs)
        written = headroom_as_written.update(self.written, obs)
        alike = math.isclose(written.rate, after.rate, rel_tol=1e-9)
        self.same.append(alike and written.limit == after.limit)
        return after

    def admitted(self, law: Any, state: Any, now: float, lag: float, in_flight: float) -> Any:
        after = self.admit(law, state, now, lag, in_flight)
        refuses = headroom_as_written.refuses(self.written, lag)
        self.same.append(refuses == (after.reject > 0.0))
        self.refused += refuses
        return after


def alike(scenario: Scenario | str, patch: pytest.MonkeyPatch) -> Watched:
    """A run in which both decide."""
    watched = Watched(patch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it runs in simpy
        simulate(scenario, "headroom", seed=11, engine="simpy")
    assert len(watched.same) > 600
    assert sum(watched.same) >= SAME * len(watched.same)
    return watched


@pytest.mark.parametrize("scenario", SCENARIOS_OF_TEXT)
def test_what_was_written_from_the_text_decides_the_same(
    scenario: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    alike(scenario, monkeypatch)


@pytest.mark.parametrize(("name", "rate"), [("blocking-steady", 120.0), ("overload", 500.0)])
def test_so_it_does_of_calls_that_come_by_themselves(
    name: str, rate: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert alike(rushes(name, rate), monkeypatch).refused > 100


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
