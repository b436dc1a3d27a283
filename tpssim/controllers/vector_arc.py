"""Vector's adaptive request concurrency: one more call while answers are no slower, a tenth fewer
when they are."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from tpssim.controllers._nanoseconds import nanoseconds
from tpssim.core.types import Observation, described, floored, record
from tpssim.core.validation import Range


@record
class VectorArcState(NamedTuple):
    rate: float
    limit: float
    reject: float
    mean: float  #: past round trip, s; nan before the first
    variance: float  #: of it, s^2
    ends: float  #: when this interval ends, ns
    current: float  #: mean round trip of this interval, s
    samples: float  #: of how many
    pressed: float  #: 1 if a call failed in this interval
    reached: float  #: 1 if the limit was reached in this interval


@described(
    """Compare the mean round trip of an interval with its moving average and deviation.

    At a release the limit is *reached* if as many calls are in flight as it allows. An interval
    lasts one past mean round trip and ends with the first completion after it; `c` is the mean
    round trip of its successes::

        limit < max_limit, reached, no failure, c <= mean:
            limit <- limit + 1
        else limit > 1, and a failure or c >= mean + deviations * sqrt(var):
            limit <- max(1, trunc(ratio * limit))
        d = c - mean;  mean <- mean + alpha d;  var <- (1 - alpha) (var + alpha d^2)

    The first round trip only sets the mean, and counts in the first interval again. It starts with
    `initial`.

    A call that failed is back pressure, as is in Vector's HTTP sinks what they try again: a 429, a
    5xx, a timeout, a connection that breaks. Round trips count in whole ns. Deviations: an
    observation does not tell a 4xx or a 501 from those, for which the original has no back
    pressure; the mean of the round trips is rounded to `resolution`, as in the original's tests
    only (0: as it comes out, as in production).

    >>> law = VectorArc()
    >>> state = law.admit(law.init(100.0), 0.0, 0.0, 0.0)  # the only permit is used
    >>> state = law.update(state, Observation(0.1, 100.0, 0.1, 0.0))
    >>> state = law.admit(state, 0.1, 0.0, 0.0)
    >>> law.update(state, Observation(0.2, 100.0, 0.1, 0.0)).limit
    2.0
    """,
    actuators=("limit",),
    signals="latency against its moving average, failed calls",
    origin="vectordotdev/vector, `sinks/util/adaptive_concurrency/controller.rs` (MPL-2.0)",
    year=2020,
)
@record
class VectorArc(NamedTuple):
    initial: Annotated[
        float, Range(1.0, 1e5, "calls", search=(1.0, 50.0), log=True), "limit at the start"
    ] = 1.0
    max_limit: Annotated[
        float, Range(1.0, 1e5, "calls", search=(10.0, 1000.0), log=True), "largest limit"
    ] = 200.0
    ratio: Annotated[
        float,
        Range(0.0, 1.0, "x", False, False, search=(0.5, 0.99)),
        "factor by which the limit is multiplied when it is cut",
    ] = 0.9
    alpha: Annotated[
        float,
        Range(0.0, 1.0, "weight", False, search=(0.05, 0.9)),
        "weight of an interval's mean round trip in the moving average",
    ] = 0.4
    deviations: Annotated[
        float,
        Range(0.0, 100.0, "deviations", search=(0.5, 5.0)),
        "how many deviations above the average a round trip must be to cut the limit",
    ] = 2.5
    resolution: Annotated[
        float,
        Range(0.0, 1.0, "s", search=(0.0, 1e-3)),
        "step to which mean round trips are rounded; 0: they are not",
    ] = 1e-6

    def conflict(self) -> str:
        if self.initial > self.max_limit:
            return (
                f"initial={self.initial:g} lies above max_limit={self.max_limit:g}; allowed:"
                " initial <= max"
            )
        return ""

    def init(self, target: float) -> VectorArcState:
        return VectorArcState(
            rate=math.inf,
            limit=floored(self.initial),
            reject=0.0,
            mean=math.nan,
            variance=0.0,
            ends=0.0,
            current=0.0,
            samples=0.0,
            pressed=0.0,
            reached=0.0,
        )

    def admit(
        self, state: VectorArcState, now: float, lag: float, in_flight: float
    ) -> VectorArcState:
        if in_flight + 1.0 < state.limit:
            return state
        return VectorArcState(
            rate=state.rate,
            limit=state.limit,
            reject=state.reject,
            mean=state.mean,
            variance=state.variance,
            ends=state.ends,
            current=state.current,
            samples=state.samples,
            pressed=state.pressed,
            reached=1.0,
        )

    def update(self, state: VectorArcState, obs: Observation) -> VectorArcState:
        if obs.count < 1.0:
            return state
        limit, mean, variance, ends = state.limit, state.mean, state.variance, state.ends
        running, samples, reached = state.current, state.samples, state.reached
        now = nanoseconds(obs.now)  # intervals end on whole ns, so that ties are exact
        pressed = 1.0 if obs.errors > 0.0 else state.pressed
        if obs.errors < obs.count and not math.isnan(obs.latency):
            samples += 1.0
            running += (in_seconds(nanoseconds(obs.latency)) - running) / samples
        current = math.nan
        if samples > 0.0:
            current = rounded(running, self.resolution) if self.resolution > 0.0 else running
        if math.isnan(mean):
            if samples > 0.0:
                mean, variance, ends = current, 0.0, now + in_nanoseconds(current)
        elif now >= ends:
            bound = mean + self.deviations * math.sqrt(variance)
            if (
                limit < floored(self.max_limit)
                and reached > 0.0
                and pressed == 0.0
                and current <= mean
            ):
                limit += 1.0
            elif limit > 1.0 and (pressed > 0.0 or current >= bound):
                limit = max(1.0, floored(limit * self.ratio))
            if samples > 0.0:
                change = current - mean
                step = self.alpha * change
                mean += step
                variance = (1.0 - self.alpha) * fused(change, step, variance)
            ends = now + in_nanoseconds(mean)
            running, samples, pressed, reached = 0.0, 0.0, 0.0, 0.0
        return VectorArcState(
            rate=state.rate,
            limit=limit,
            reject=state.reject,
            mean=mean,
            variance=variance,
            ends=ends,
            current=running,
            samples=samples,
            pressed=pressed,
            reached=reached,
        )

    def why(self, before: VectorArcState, obs: Observation, after: VectorArcState) -> str:
        if after.limit > before.limit:
            return (
                f"the limit was reached, round trips no longer than {before.mean * 1e3:.4g} ms: +1"
            )
        if after.limit < before.limit:
            bound = before.mean + self.deviations * math.sqrt(before.variance)
            failed = before.pressed > 0.0 or obs.errors > 0.0
            cause = "a call failed" if failed else f"round trips of {bound * 1e3:.4g} ms or more"
            return f"{cause}: x{self.ratio:g}"
        return (
            f"limit {after.limit:g}: interval going on, limit not reached, or round trips as usual"
        )


def rounded(seconds: float, resolution: float) -> float:
    """A time in whole steps of a resolution above 0.

    >>> rounded(0.1000004, 1e-6), rounded(0.3, 0.25)
    (0.1, 0.25)
    """
    if seconds > 1e9 * resolution:
        return seconds
    if resolution == 1e-6:
        return floored(seconds * 1e6 + 0.5) / 1e6  # the decimal that is meant, to the bit
    return floored(seconds / resolution + 0.5) * resolution


def in_seconds(ns: float) -> float:
    """Whole ns in s, the whole seconds and the rest apart, as the original's clock has it.

    >>> in_seconds(1_500_000_000.0), in_seconds(101_000_000.0)
    (1.5, 0.101)
    """
    whole = floored(ns / 1e9)
    return whole + (ns - whole * 1e9) / 1e9


def in_nanoseconds(seconds: float) -> float:
    """The nearest whole ns; of two as near, and only of the exact product, the even one.

    >>> in_nanoseconds(0.0015979025), in_nanoseconds(2.5)  # the first is stored just below its half
    (1597902.0, 2500000000.0)
    """
    product = seconds * 1e9
    whole = floored(product + 0.5)
    if product + 0.5 == whole and product < 1e15:
        rest = fused(seconds, 1e9, -product)
        if rest < 0.0 or (rest == 0.0 and whole % 2.0 == 1.0):
            whole -= 1.0
    return whole


def fused(a: float, b: float, c: float) -> float:
    """`a b + c`, rounded once, as the original's multiply-add; product and sum are kept with their
    errors.

    >>> 0.1 * 10.0 - 1.0, fused(0.1, 10.0, -1.0)
    (0.0, 5.551115123125783e-17)
    """
    product = a * b
    ah, bh = high(a), high(b)
    al, bl = a - ah, b - bh
    missed = ((ah * bh - product) + ah * bl + al * bh) + al * bl
    total = product + c
    other = total - product
    return total + (((product - (total - other)) + (c - other)) + missed)


def high(x: float) -> float:
    """The upper half of a number's digits.

    >>> high(1.0 + 2.0**-40)
    1.0
    """
    scaled = 134217729.0 * x  # 2^27 + 1
    return scaled - (scaled - x)
