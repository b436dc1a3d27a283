"""The adaptive retry mode of the AWS SDK for Python: a CUBIC rate behind a token bucket."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from tpssim.core.types import Observation, described, floored, record
from tpssim.core.validation import Range

FAR = 1e15  # s; a time that no clock shows is cut, so that no power and no floor overflows


@record
class BotocoreCubicState(NamedTuple):
    rate: float
    limit: float
    reject: float
    enabled: float  #: 1 from the first throttled response on
    w_max: float  #: rate at which it was last throttled, 1/s
    k: float  #: time from there until the rate is back, s
    last_fail: float  #: when that was, s
    measured: float  #: own response rate, 1/s
    responses: float  #: since the last bucket of the clock
    last_bucket: float  #: its start, s
    fill: float  #: rate of the token bucket, 1/s


@described(
    """Multiply the rate by `beta` when throttled, then grow along a cubic around the rate that was
    too much.

    For each response, with `b = floor(2 now) / 2` (half seconds) and n responses since `last`::

        b > last:       measured <- smoothing * n / (b - last) + (1 - smoothing) * measured, n <- 0
        throttled:      w_max = measured            (once enabled: min(measured, fill))
                        K = (w_max (1 - beta) / scale)^(1/3), last_fail = now,
                        new = beta * w_max, enabled
        else:           new = scale (now - last_fail - K)^3 + w_max
        v = min(new, cap * measured)
        fill = max(v, min_rate);  rate = target until enabled, then min(fill, target)

    `cap` stops the rate from growing while it is not used. The half seconds are those of the law's
    time.

    Deviations: every drop (429, 503, a timeout) counts as throttled, for an observation does not
    tell them apart; calls are evenly paced at `fill`, where the original's bucket saves up to a
    second's tokens for a burst.

    >>> law = BotocoreCubic()  # throttled at 0.5 s: measured 0.8 / 0.5, times 0.7
    >>> state = law.update(law.init(100.0), Observation(0.5, 100.0, 0.01, 0.0, 1.0, 1.0, 1.0, 1.0))
    >>> round(state.fill, 12)
    1.12
    """,
    actuators=("rate",),
    signals="throttled or not, own response rate",
    origin="botocore, `retries/adaptive.py`, `throttling.py`, `bucket.py` (Apache-2.0)",
    year=2020,
)
@record
class BotocoreCubic(NamedTuple):
    scale: Annotated[
        float,
        Range(0.0, 1e3, "1/s^4", False, search=(0.04, 40.0), log=True),
        "coefficient of the cubic along which the rate grows after a throttled call",
    ] = 0.4
    beta: Annotated[
        float,
        Range(0.0, 1.0, "x", False, False, search=(0.3, 0.95)),
        "factor by which the rate is multiplied when a call is throttled",
    ] = 0.7
    smoothing: Annotated[
        float,
        Range(0.0, 1.0, "weight", False, search=(0.1, 1.0)),
        "weight of the newest half second in the measured rate",
    ] = 0.8
    cap: Annotated[
        float,
        Range(1.0, 1e3, "x measured", search=(1.1, 4.0)),
        "how many times the measured rate the rate may be",
    ] = 2.0
    min_rate: Annotated[
        float,
        Range(0.0, 1e6, "1/s", False, search=(0.1, 10.0), log=True),
        "least rate that is commanded",
    ] = 0.5

    def init(self, target: float) -> BotocoreCubicState:
        fill = max(1.0, self.min_rate)
        return BotocoreCubicState(
            rate=target,
            limit=math.inf,
            reject=0.0,
            enabled=0.0,
            w_max=0.0,
            k=0.0,
            last_fail=0.0,
            measured=0.0,
            responses=0.0,
            last_bucket=0.0,
            fill=fill,
        )

    def update(self, state: BotocoreCubicState, obs: Observation) -> BotocoreCubicState:
        enabled, w_max, k, last_fail = state.enabled, state.w_max, state.k, state.last_fail
        measured, responses, last_bucket, fill = (
            state.measured,
            state.responses,
            state.last_bucket,
            state.fill,
        )
        if obs.count >= 1.0:
            now = min(obs.now, FAR)
            bucket = floored(now * 2.0) / 2.0
            responses += obs.count
            if bucket > last_bucket:
                current = responses / (bucket - last_bucket)
                measured = current * self.smoothing + measured * (1.0 - self.smoothing)
                responses, last_bucket = 0.0, bucket
            if obs.drops > 0.0:
                w_max = measured if enabled == 0.0 else min(measured, fill)
                k = ((w_max * (1.0 - self.beta)) / self.scale) ** (1.0 / 3.0)
                last_fail, enabled = now, 1.0
                wanted = w_max * self.beta
            else:
                wanted = self.scale * (now - last_fail - k) ** 3.0 + w_max
            fill = max(min(wanted, self.cap * measured), self.min_rate)
        rate = obs.target if enabled == 0.0 else min(fill, max(obs.target, self.min_rate))
        return BotocoreCubicState(
            rate=rate,
            limit=state.limit,
            reject=state.reject,
            enabled=enabled,
            w_max=w_max,
            k=k,
            last_fail=last_fail,
            measured=measured,
            responses=responses,
            last_bucket=last_bucket,
            fill=fill,
        )

    def why(self, before: BotocoreCubicState, obs: Observation, after: BotocoreCubicState) -> str:
        if after.enabled == 0.0:
            return "never throttled yet"
        if after.last_fail != before.last_fail or before.enabled == 0.0:
            return f"throttled at {after.w_max:.4g}/s: x{self.beta:g}"
        if after.fill == self.cap * after.measured:
            return f"held at {self.cap:g} x the measured {after.measured:.4g}/s"
        since = obs.now - after.last_fail
        return (
            f"{since:.3g} s after a throttle at {after.w_max:.4g}/s, back there after"
            f" {after.k:.3g} s"
        )
