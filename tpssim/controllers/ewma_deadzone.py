"""Smoothed interval with a dead zone: throttle 5 of the article, meant to converge."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from tpssim.controllers._target_changes import followed, moved
from tpssim.core.types import Observation, described, record
from tpssim.core.validation import Range


@record
class EwmaDeadzoneState(NamedTuple):
    rate: float
    limit: float
    reject: float
    last: float  #: time of the last return, s; nan before the first
    ewma: float  #: smoothed time between returns, s; nan before the second return
    target: float  #: the target last seen, 1/s


@described(
    """Compare the smoothed time between returns with the commanded interval; act outside a dead
    zone.

    With `measured = (now - last) / count` and `interval = 1 / rate`::

        ewma  <- alpha * measured + (1 - alpha) * ewma        (the first time: measured)
        ratio  = ewma / interval
        ratio > deadzone:  rate <- dec_rate * rate
        ratio < low:       rate <- rate + inc_step
        between:           hold
        rate <- max(min_rate, min(rate, target))

    **It does not recover.** Released on time, two returns lie one commanded interval apart whatever
    the service could do, so `ratio` is 1 by construction and the dead zone holds the rate for ever.
    Spare capacity shows only while a backlog is worked off. `BusyTime` mends this.

    Deviations: as in `Aimd` (`obs.count`, refusals, targets below `min_rate`); with one call an
    observation it is the printed law to the bit.

    >>> law = EwmaDeadzone()
    >>> state = law.init(100.0)
    >>> for now in (0.01, 0.03):  # 20 ms between two returns where 10 ms were commanded
    ...     state = law.update(state, Observation(now, 100.0, 0.02, 0.0))
    >>> state.rate
    90.0
    """,
    actuators=("rate",),
    signals="smoothed time between two returns",
    origin="throttle 5 of the article",
    year=2026,
    needs_target=True,
)
@record
class EwmaDeadzone(NamedTuple):
    alpha: Annotated[
        float,
        Range(0.0, 1.0, "weight", False, search=(0.02, 0.6), log=True),
        "weight of a new time between returns in the smoothed one",
    ] = 0.2
    deadzone: Annotated[
        float,
        Range(0.0, 100.0, "x interval", False, search=(1.0, 2.0)),
        "upper edge of the dead zone, above which the rate is cut",
    ] = 1.1
    low: Annotated[
        float,
        Range(0.0, 100.0, "x interval", search=(0.5, 1.0)),
        "lower edge of the dead zone, below which the rate grows",
    ] = 0.95
    dec_rate: Annotated[
        float,
        Range(0.0, 1.0, "x", False, False, search=(0.5, 0.99)),
        "factor by which the rate is multiplied when it is cut",
    ] = 0.9
    inc_step: Annotated[
        float,
        Range(0.0, 1e6, "1/s per call", search=(0.01, 10.0), log=True),
        "what is added to the rate after a call that finds it below the dead zone",
    ] = 1.0
    min_rate: Annotated[
        float,
        Range(0.0, 1e6, "1/s", False, search=(0.1, 10.0), log=True),
        "least rate that is commanded",
    ] = 1.0

    def conflict(self) -> str:
        if self.low > self.deadzone:
            return (
                f"low={self.low:g} lies above deadzone={self.deadzone:g}; allowed: low <= deadzone"
            )
        return ""

    def init(self, target: float) -> EwmaDeadzoneState:
        return EwmaDeadzoneState(target, math.inf, 0.0, math.nan, math.nan, target)

    def update(self, state: EwmaDeadzoneState, obs: Observation) -> EwmaDeadzoneState:
        rate = followed(state.rate, state.target, obs.target)
        # Where the target moves, each interval keeps its ratio to the one commanded then.
        ewma = state.ewma if rate == state.rate else state.ewma * (state.rate / rate)
        if obs.count < 1.0:
            # An interval that spans a change of the rate says nothing of either.
            return EwmaDeadzoneState(
                rate,
                state.limit,
                state.reject,
                state.last if rate == state.rate else math.nan,
                ewma,
                obs.target,
            )
        mean = moved(state.rate, rate)
        if not math.isnan(state.last) and not math.isnan(mean):
            measured = (obs.now - state.last) / obs.count * (mean / rate)
            ewma = (
                measured if math.isnan(ewma) else self.alpha * measured + (1.0 - self.alpha) * ewma
            )
            interval = 1.0 / rate
            ratio = ewma / interval
            if ratio > self.deadzone:
                rate = rate * self.dec_rate
            elif ratio < self.low:
                rate = rate + self.inc_step
            rate = max(self.min_rate, min(rate, obs.target))
        return EwmaDeadzoneState(
            rate,
            state.limit,
            state.reject,
            obs.now,
            ewma,
            obs.target,
        )

    def why(self, before: EwmaDeadzoneState, obs: Observation, after: EwmaDeadzoneState) -> str:
        if math.isnan(after.ewma):
            return "no interval yet"
        ratio = after.ewma * before.rate
        if ratio > self.deadzone:
            return f"smoothed interval {ratio:.2f} of the commanded one, above the dead zone"
        if ratio < self.low:
            return f"smoothed interval {ratio:.2f} of the commanded one, below the dead zone"
        return f"smoothed interval {ratio:.2f} of the commanded one, inside the dead zone"
