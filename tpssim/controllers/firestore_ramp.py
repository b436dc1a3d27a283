"""The 500/50/5 rule: begin at 500 a second, half as much again every five minutes."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from tpssim.controllers.integer_time import nanoseconds
from tpssim.core import Observation, Range


class FirestoreRampState(NamedTuple):
    rate: float
    limit: float
    reject: float


class FirestoreRamp(NamedTuple):
    """Raise the rate by a factor at fixed times, whatever the service answers.

    ::

        rate = min(target, floor(initial * growth^floor(now / step)))

    Valve: rate. Signal: none but the time.
    Origin: Firestore's client library for Node.js, `rate-limiter.ts` with the constants of BulkWriter
    (Apache-2.0). Deviations: calls are evenly paced, where the original hands out batches with a delay.

    >>> law = FirestoreRamp()
    >>> law.update(law.init(1e6), Observation(300.0, 1e6, 0.01, 0.0)).rate
    750.0
    """

    initial: Annotated[float, Range(1.0, 1e6, "1/s", search=(1.0, 1000.0), log=True)] = 500.0
    growth: Annotated[float, Range(1.0, 10.0, "x", search=(1.0, 3.0))] = 1.5
    step: Annotated[float, Range(0.0, 1e6, "s", False, search=(1.0, 600.0), log=True)] = 300.0

    def init(self, target: float) -> FirestoreRampState:
        return FirestoreRampState(min(target, math.floor(self.initial) * 1.0), math.inf, 0.0)

    def update(self, state: FirestoreRampState, obs: Observation) -> FirestoreRampState:
        if obs.count < 1.0:
            return FirestoreRampState(min(state.rate, obs.target), state.limit, state.reject)
        # In whole nanoseconds: 1.9 / 0.1 is less than 19.
        steps = nanoseconds(obs.now) / max(1.0, nanoseconds(self.step))
        rate = min(obs.target, ramp(self.initial, self.growth, steps))
        return FirestoreRampState(rate, state.limit, state.reject)

    def why(self, before: FirestoreRampState, obs: Observation, after: FirestoreRampState) -> str:
        return f"{obs.now:.4g} s after the start"


def ramp(initial: float, growth: float, steps: float) -> float:
    """`floor(initial * growth^floor(steps))`, at most 1e15.

    >>> [ramp(500.0, 1.5, minutes / 5.0) for minutes in (0.0, 5.0, 10.0, 15.0, 90.0)]
    [500.0, 750.0, 1125.0, 1687.0, 738945.0]
    """
    whole = float(math.floor(min(steps, 1e6)))
    if growth > 1.0 and math.log(initial) + whole * math.log(growth) > 34.0:
        return 1e15
    return float(math.floor(initial * growth**whole))
