"""The rate that was asked for, whatever happens: throttles 2 and 3 of the article."""

from __future__ import annotations

import math
from typing import NamedTuple

from tpssim.core.types import Observation, described, record


@record
class FixedState(NamedTuple):
    rate: float
    limit: float
    reject: float


@described(
    """Hold the wanted rate: `rate = target`.

    No parameters. The baseline that every adaptive law has to beat, and the law of the article's
    drift-free schedule (throttles 2 and 3, which differ in how they wait, not in when they are
    due).

    >>> Fixed().init(200.0).rate
    200.0
    """,
    actuators=("rate",),
    signals="none",
    origin="throttles 2 and 3 of the article",
    year=2026,
)
@record
class Fixed(NamedTuple):
    def init(self, target: float) -> FixedState:
        return FixedState(target, math.inf, 0.0)

    def update(self, state: FixedState, obs: Observation) -> FixedState:
        return FixedState(obs.target, state.limit, state.reject)

    def why(self, before: FixedState, obs: Observation, after: FixedState) -> str:
        return "fixed" if before.rate == after.rate else "the target was changed"
