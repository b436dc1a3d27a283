"""docs/headroom.md determines the law: what was written from its text alone decides the same."""

from __future__ import annotations

import math
import random
import warnings

import pytest
from helpers import headroom_as_written

from tpssim import CONTROLLERS, simulate
from tpssim.controllers._headroom_rate import paced, rate_of, unrefused
from tpssim.core.types import Observation

SAME = 0.99  #: share of the decisions
TARGET = 300.0


@pytest.mark.parametrize(
    "scenario",
    [
        "degrade-recover",
        "overload:duration=10",
        "refusing:duration=10",
        "knee:duration=10",
        "llm-quota:duration=120",
        "constant-timeouts",
        "baseline-drift:duration=30",
        "fast-errors",
    ],
)
def test_what_was_written_from_the_text_decides_the_same(
    scenario: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    law = CONTROLLERS["headroom"]
    update, seen = law.update, list[tuple[Observation, float, float]]()

    def watched(self: object, state: object, obs: Observation) -> object:
        after = update(self, state, obs)
        seen.append((obs, after.rate, after.limit))
        return after

    monkeypatch.setattr(law, "update", watched)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it runs in simpy
        simulate(scenario, "headroom", seed=11, engine="simpy")
    state = headroom_as_written.init(seen[0][0].target)
    same = 0
    for obs, rate, limit in seen:
        state = headroom_as_written.update(state, obs)
        same += state.limit == limit and math.isclose(state.rate, rate, rel_tol=1e-9)
    assert len(seen) > 300
    assert same >= SAME * len(seen)


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
