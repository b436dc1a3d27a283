"""Smoothed busy time with a dead zone: throttle 5 with a sensor that can see spare capacity."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from tpssim.controllers._target_changes import followed
from tpssim.core.types import Observation, described, record
from tpssim.core.validation import Range
from tpssim.output import format


@record
class BusyTimeState(NamedTuple):
    rate: float
    limit: float
    reject: float
    busy: float  #: smoothed busy time of the consumer per call, s; nan before the first
    wanted: float  #: the target last seen, 1/s


@described(
    """Hold the share of time that the consumer is busy inside a dead zone below 1.

    The law of `EwmaDeadzone` with one change, the sensor: the time a call keeps the consumer busy
    (`latency`) in place of the time between returns. With `interval = 1 / rate`::

        busy <- alpha * latency + (1 - alpha) * busy          (the first time: latency)
        load  = busy / interval
        load > high:  rate <- dec_rate * rate
        load < low:   rate <- rate + inc_step * target
        between:      hold
        rate <- max(min_share * target, min(rate, target))

    `load` is the commanded utilisation: 1 means that calls at this rate fill the consumer's time
    exactly. It falls the moment the service is fast again, whether or not a backlog exists, so the
    rate comes back.

    Where it holds: a blocking consumer, or a hand-off. With many calls in flight `latency` is no
    longer the consumer's time per call, and the law is too careful by a factor of the calls in
    flight. Refused calls, and failed ones that are no drops, carry no busy time and are ignored. A
    changed target is the rate at once if the rate held nothing back; one that held back stays.
    Throttle 5's step and floor, in calls a second, are shares of the target here, so the law is the
    same at every scale of time.

    >>> law = BusyTime()
    >>> state = law.update(law.init(100.0), Observation(0.02, 100.0, 0.02, 0.0))
    >>> state.rate < 100.0  # 20 ms busy where 10 ms are available
    True
    """,
    actuators=("rate",),
    signals="smoothed latency against the commanded interval",
    origin="ours, the smallest mend of throttle 5; `Headroom` grew from it",
    year=2026,
    needs_target=True,
)
@record
class BusyTime(NamedTuple):
    alpha: Annotated[
        float,
        Range(0.0, 1.0, "weight", False, search=(0.01, 0.6), log=True),
        "weight of a new latency in the smoothed one",
    ] = 0.05
    high: Annotated[
        float,
        Range(0.0, 1.0, "busy share", False, search=(0.8, 1.0)),
        "upper edge of the dead zone, above which the rate is cut",
    ] = 1.0
    low: Annotated[
        float,
        Range(0.0, 1.0, "busy share", search=(0.5, 0.99)),
        "lower edge of the dead zone, below which the rate grows",
    ] = 0.95
    dec_rate: Annotated[
        float,
        Range(0.0, 1.0, "x", False, False, search=(0.5, 0.995)),
        "factor by which the rate is multiplied when it is cut",
    ] = 0.95
    inc_step: Annotated[
        float,
        Range(0.0, 1.0, "x target per call", search=(1e-4, 0.1), log=True),
        "what is added to the rate after a call that finds it below the dead zone",
    ] = 0.01
    min_share: Annotated[
        float,
        Range(0.0, 1.0, "x target", False, search=(1e-6, 0.1), log=True),
        "least share of the target that is commanded",
    ] = 1e-3

    def conflict(self) -> str:
        if self.low > self.high:
            return f"low={self.low:g} lies above high={self.high:g}; allowed: low <= high"
        return ""

    def init(self, target: float) -> BusyTimeState:
        return BusyTimeState(target, math.inf, 0.0, math.nan, target)

    def update(self, state: BusyTimeState, obs: Observation) -> BusyTimeState:
        rate = followed(state.rate, state.wanted, obs.target)
        if obs.count < 1.0 or obs.errors - obs.drops >= obs.count or math.isnan(obs.latency):
            return BusyTimeState(
                rate,
                state.limit,
                state.reject,
                state.busy,
                obs.target,
            )
        busy = state.busy
        busy = (
            obs.latency
            if math.isnan(busy)
            else self.alpha * obs.latency + (1.0 - self.alpha) * busy
        )
        load = busy * rate
        if load > self.high:
            rate = rate * self.dec_rate
        elif load < self.low:
            rate = rate + self.inc_step * obs.target
        rate = max(self.min_share * obs.target, min(rate, obs.target))
        return BusyTimeState(rate, state.limit, state.reject, busy, obs.target)

    def why(self, before: BusyTimeState, obs: Observation, after: BusyTimeState) -> str:
        if math.isnan(after.busy):
            return "no busy time yet"
        load = after.busy * before.rate
        if load > self.high:
            return f"consumer busy {format.share(load)} of the commanded interval, too much"
        if load < self.low:
            return f"consumer busy {format.share(load)} of the commanded interval, room to spare"
        return f"consumer busy {format.share(load)} of the commanded interval, inside the dead zone"
