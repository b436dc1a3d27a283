"""Additive increase, multiplicative decrease on the time between returns: throttle 4 of the
article.
"""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from tpssim.controllers._target_changes import followed, moved
from tpssim.core.types import Observation, described, record
from tpssim.core.validation import Range


@record
class AimdState(NamedTuple):
    rate: float
    limit: float
    reject: float
    last: float  #: time of the last return, s; nan before the first
    target: float  #: the target last seen, 1/s


@described(
    """Cut the rate when two returns lie too far apart, else add a step.

    With `measured = (now - last) / count` and `interval = 1 / rate`::

        measured > threshold * interval:  rate <- dec_rate * rate
        else:                             rate <- rate + inc_step
        rate <- max(min_rate, min(rate, target))

    The first return only sets `last`. Increase is per call, so its gain in 1/s per second grows
    with the rate; decrease is set off by a single sample. Under service noise the operating point
    is where the expected gain equals the expected loss, far below capacity, and the rate swings
    around it.

    Deviations: `obs.count` generalises the law to sensors that sum up several completions (one
    call: the printed law to the bit); a refusal (`obs.count` 0) changes nothing; below `min_rate`
    the driver still releases at the target (the printed code would go faster than asked); a changed
    target (the printed code knows none) is the rate at once if the rate held nothing back, and
    while it moves `interval` is 1 / its mean.

    >>> law = Aimd()
    >>> state = law.update(law.init(200.0), Observation(0.005, 200.0, 0.001, 0.0))
    >>> law.update(state, Observation(0.025, 200.0, 0.020, 0.0)).rate  # 20 ms where 5 ms were due
    140.0
    """,
    actuators=("rate",),
    signals="time between two returns",
    origin="throttle 4 of the article",
    year=2026,
    needs_target=True,
)
@record
class Aimd(NamedTuple):
    threshold: Annotated[
        float,
        Range(1.0, 100.0, "x interval", search=(1.05, 4.0)),
        "how many commanded intervals may lie between two returns before the rate is cut",
    ] = 1.5
    dec_rate: Annotated[
        float,
        Range(0.0, 1.0, "x", False, False, search=(0.3, 0.98)),
        "factor by which the rate is multiplied when it is cut",
    ] = 0.7
    inc_step: Annotated[
        float,
        Range(0.0, 1e6, "1/s per call", search=(0.01, 10.0), log=True),
        "what is added to the rate after each other call",
    ] = 1.0
    min_rate: Annotated[
        float,
        Range(0.0, 1e6, "1/s", False, search=(0.1, 10.0), log=True),
        "least rate that is commanded",
    ] = 1.0

    def init(self, target: float) -> AimdState:
        return AimdState(target, math.inf, 0.0, math.nan, target)

    def update(self, state: AimdState, obs: Observation) -> AimdState:
        rate = followed(state.rate, state.target, obs.target)
        if obs.count < 1.0:
            # An interval that spans a change of the rate says nothing of either.
            last = state.last if rate == state.rate else math.nan
            return AimdState(rate, state.limit, state.reject, last, obs.target)
        mean = moved(state.rate, rate)  # as the target did
        if not math.isnan(state.last) and not math.isnan(mean):
            interval = 1.0 / mean
            if (obs.now - state.last) / obs.count > interval * self.threshold:
                rate = rate * self.dec_rate
            else:
                rate = rate + self.inc_step
            rate = max(self.min_rate, min(rate, obs.target))
        return AimdState(rate, state.limit, state.reject, obs.now, obs.target)

    def why(self, before: AimdState, obs: Observation, after: AimdState) -> str:
        if after.rate < before.rate:
            return f"returned later than {self.threshold:g} intervals after the last"
        return "returned in time" if after.rate > before.rate else "held"
