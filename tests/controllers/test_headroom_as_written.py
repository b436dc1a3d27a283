"""docs/headroom.md determines the law: what was written from its text alone decides the same."""

from __future__ import annotations

import math
import warnings

import pytest
from helpers import headroom_as_written

from tpssim import CONTROLLERS, simulate
from tpssim.core.types import Observation

SAME = 0.99  #: share of the decisions


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
