"""The 500/50/5 rule: begin at 500 a second, half as much again every five minutes."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from tpssim.controllers._nanoseconds import nanoseconds
from tpssim.core.types import Observation, described, floored, record
from tpssim.core.validation import Range


@record
class FirestoreRampState(NamedTuple):
    rate: float
    limit: float
    reject: float
    target: float  #: the target last seen, 1/s


@described(
    """Raise the rate by a factor at fixed times, whatever the service answers.

    ::

        rate = min(target, max_rate, floor(initial * growth^floor(now / step)))

    Deviations: calls are evenly paced, where the original hands out batches with a delay;
    BulkWriter also keeps at most 500 writes under way, here any number may be.

    >>> law = FirestoreRamp()
    >>> law.update(law.init(1e6), Observation(300.0, 1e6, 0.01, 0.0)).rate
    750.0
    """,
    actuators=("rate",),
    signals="none but the time",
    origin="googleapis/nodejs-firestore, `rate-limiter.ts` and BulkWriter's constants (Apache-2.0)",
    year=2020,
)
@record
class FirestoreRamp(NamedTuple):
    initial: Annotated[
        float, Range(1.0, 1e6, "1/s", search=(1.0, 1000.0), log=True), "rate at the start"
    ] = 500.0
    growth: Annotated[
        float,
        Range(1.0, 10.0, "x", search=(1.0, 3.0)),
        "factor by which the rate is multiplied at each step",
    ] = 1.5
    step: Annotated[
        float, Range(0.0, 1e6, "s", False, search=(1.0, 600.0), log=True), "time between two steps"
    ] = 300.0
    max_rate: Annotated[
        float,
        Range(1.0, 1e9, "1/s", search=(1000.0, 1e5), log=True),
        "largest rate that is commanded",
    ] = 10000.0

    def init(self, target: float) -> FirestoreRampState:
        rate = min(target, self.max_rate, floored(self.initial))
        return FirestoreRampState(rate, math.inf, 0.0, target)

    def update(self, state: FirestoreRampState, obs: Observation) -> FirestoreRampState:
        if obs.count < 1.0 and obs.target == state.target:
            return state
        # In whole nanoseconds: 1.9 / 0.1 is less than 19.
        steps = nanoseconds(obs.now) / max(1.0, nanoseconds(self.step))
        rate = min(obs.target, self.max_rate, ramp(self.initial, self.growth, steps))
        return FirestoreRampState(rate, state.limit, state.reject, obs.target)

    def why(self, before: FirestoreRampState, obs: Observation, after: FirestoreRampState) -> str:
        return f"{obs.now:.4g} s after the start"


def ramp(initial: float, growth: float, steps: float) -> float:
    """`floor(initial * growth^floor(steps))`, at most 1e15.

    >>> [ramp(500.0, 1.5, minutes / 5.0) for minutes in (0.0, 5.0, 10.0, 15.0, 90.0)]
    [500.0, 750.0, 1125.0, 1687.0, 738945.0]
    """
    whole = floored(min(steps, 1e6))
    if growth > 1.0 and math.log(initial) + whole * math.log(growth) > 34.0:
        return 1e15
    return floored(initial * growth**whole)
