"""Additive increase, multiplicative decrease, one cut for each congestion event."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from tpssim.controllers._target_changes import followed
from tpssim.core.types import Observation, described, record
from tpssim.core.validation import Range


@record
class AimdEpochState(NamedTuple):
    rate: float
    limit: float
    reject: float
    last: float  #: time of the last observation, s; nan before the first
    epoch: float  #: time of the last cut, s; -inf before the first
    wanted: float  #: the target last seen, 1/s


@described(
    """Add so much a second; cut by a ratio when a call was refused or slow, once for each event.

    A call is a *sign of congestion* if it was dropped, or `lag + latency > slow`. For each
    completion::

        congested, and scheduled at or after `epoch`:   rate <- dec_rate * rate, epoch <- now
        congested, scheduled before it:                 nothing: the same event
        else:                                           rate <- rate + inc_step * (now - last)
        rate <- max(min_rate, min(rate, target))

    `now - latency - lag` is when a call was scheduled, so what was under way or held up at the
    moment of a cut cannot cut again. Increase is per second, so it does not grow with the rate.

    Deviations: binary feedback is per call, and `slow` is ours, since a service need not refuse
    anything to be overloaded. A changed target is the rate at once if the rate held nothing back;
    else the rate stays.

    >>> law = AimdEpoch(dec_rate=0.5)
    >>> slow = Observation(1.0, 100.0, 2.0, 0.0)
    >>> state = law.update(law.init(100.0), slow)
    >>> state.rate, law.update(state, slow._replace(now=1.5)).rate  # released before the cut
    (50.0, 50.0)
    """,
    actuators=("rate",),
    signals="drops, lag + latency over a bound",
    origin="Chiu and Jain, with the congestion epoch of TCP (RFC 9438)",
    year=1989,
    needs_target=True,
)
@record
class AimdEpoch(NamedTuple):
    slow: Annotated[
        float,
        Range(0.0, 1e6, "s", False, search=(0.02, 2.0), log=True),
        "longest lag + latency of a call that is not a sign of congestion",
    ] = 0.25
    dec_rate: Annotated[
        float,
        Range(0.0, 1.0, "x", False, False, search=(0.4, 0.95)),
        "factor by which the rate is multiplied, once for each event of congestion",
    ] = 0.7
    inc_step: Annotated[
        float,
        Range(0.0, 1e6, "1/s per s", search=(0.5, 100.0), log=True),
        "what is added to the rate in a second without congestion",
    ] = 10.0
    min_rate: Annotated[
        float,
        Range(0.0, 1e6, "1/s", False, search=(0.1, 10.0), log=True),
        "least rate that is commanded",
    ] = 1.0

    def init(self, target: float) -> AimdEpochState:
        return AimdEpochState(target, math.inf, 0.0, math.nan, -math.inf, target)

    def update(self, state: AimdEpochState, obs: Observation) -> AimdEpochState:
        rate, epoch = followed(state.rate, state.wanted, obs.target), state.epoch
        if obs.count < 1.0:
            return AimdEpochState(
                rate,
                state.limit,
                state.reject,
                state.last,
                epoch,
                obs.target,
            )
        latency = 0.0 if math.isnan(obs.latency) else obs.latency
        if obs.drops > 0.0 or obs.lag + latency > self.slow:
            if obs.now - latency - obs.lag >= epoch:
                rate = rate * self.dec_rate
                epoch = obs.now
        elif not math.isnan(state.last):
            rate = rate + self.inc_step * (obs.now - state.last)
        rate = max(self.min_rate, min(rate, obs.target))
        return AimdEpochState(
            rate,
            state.limit,
            state.reject,
            obs.now,
            epoch,
            obs.target,
        )

    def why(self, before: AimdEpochState, obs: Observation, after: AimdEpochState) -> str:
        if after.epoch > before.epoch:
            cause = (
                "a call was dropped"
                if obs.drops > 0.0
                else f"a call took {obs.lag + obs.latency:.3g} s"
            )
            return f"{cause}: x{self.dec_rate:g}, an event begins"
        if after.rate > before.rate:
            return f"no congestion: +{self.inc_step:g} a second"
        return "held: at a bound, or the same event"
