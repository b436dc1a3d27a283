"""ServiceTalk's gradient limiter: the ratio of a long latency average to the last latency, and cuts
for failures.
"""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from tpssim.controllers._nanoseconds import nanoseconds
from tpssim.core.types import Observation, ceiled, described, floored, record
from tpssim.core.validation import FLAG, Range

CALMED = 0.8999999761581421  # 0.9 in the original's single precision
SPARE = 2.0  # times the calls in flight below which a limit above the initial one does not rise
CALM_LONG, CALM_SHORT = 1.0, 0.5  # s; half-lives of the averages that calm another


@record
class Average(NamedTuple):
    """A moving average of latencies, and a quicker one that calms it."""

    value: float  #: ms; nan before the first
    calm: float  #: the quicker one, ms
    at: float  #: when the average took in a latency, ns
    calm_at: float  #: when the quicker one did, ns


@record
class ServicetalkGradientState(NamedTuple):
    rate: float
    limit: float
    reject: float
    exact: float  #: the limit before it is made whole
    flying: float  #: calls in flight
    changed: float  #: when the limit was computed last, ns
    long: Average
    short: Average


@described(
    """Multiply the limit by the ratio of a long latency average to the last latency, once in an
    interval, and cut it for each failure.

    For each success, with its latency in whole ms::

        long  <- average of half-life `long`;  short <- the latency (its average, half-life `short`)
        `interval` or more since the last time, and short > 0:
            gradient = min(max(long / short, min_gradient), max_gradient)
            nothing if gradient > 1, limit > initial, and 2 in_flight < limit
            nothing if gradient < 1 and in_flight <= occupancy limit
            limit <- gradient limit + (sqrt(gradient limit) if headroom and gradient >= 1)

    For each failure: `limit <- limit on_drop`, or `limit on_limit` if it was at `max_limit`. The
    limit stays from `min_limit` to `max_limit`, and a call may begin while fewer are in flight.

    While an average is more than twice as long as another of half-life 1 s (0.5 s for `short`), it
    is multiplied by 0.9 in place of taking in the latency. Since latencies are cut to whole ms,
    those of a call below 1 ms change nothing.

    These are the settings for latency. Those for throughput are `min_gradient` 0.9, `max_gradient`
    1.8, `on_drop` 0.95, `on_limit` 0.9, `short` 10, `occupancy` 0.9, `headroom` 1.

    Deviations: ratios are doubles (there floats); the averages begin with the first latency (there
    with its part since the start of the clock, which is as good as all of it); the limiters of
    one process share their averages there.

    >>> law = ServicetalkGradient()
    >>> state = law.update(law.init(100.0), Observation(0.5, 100.0, 0.05, 0.0))
    >>> state = law.update(state, Observation(1.0, 100.0, 0.1, 0.0))  # 50.03 / 100
    >>> round(state.exact, 2), state.limit
    (50.03, 51.0)
    >>> law.update(state, Observation(1.1, 100.0, 0.1, 0.0, 1.0, 1.0)).limit
    26.0
    """,
    actuators=("limit",),
    signals="latency against its average, failed calls",
    origin="apple/servicetalk, `GradientCapacityLimiter.java` (Apache-2.0)",
    year=2022,
)
@record
class ServicetalkGradient(NamedTuple):
    initial: Annotated[
        float,
        Range(1.0, 2147483647.0, "calls", search=(4.0, 200.0), log=True),
        "limit at the start",
    ] = 100.0
    min_limit: Annotated[float, Range(1.0, 1e5, "calls", search=(1.0, 40.0)), "least limit"] = 1.0
    max_limit: Annotated[
        float,
        Range(1.0, 2147483647.0, "calls", search=(100.0, 2147483647.0), log=True),
        "largest limit",
    ] = 2147483647.0
    interval: Annotated[
        float,
        Range(0.05, 1e6, "s", search=(0.05, 5.0), log=True),
        "least time between two changes by the gradient",
    ] = 1.0
    min_gradient: Annotated[float, Range(0.0, 1.0, "x", search=(0.1, 0.95)), "least gradient"] = 0.2
    max_gradient: Annotated[
        float, Range(1.0, 100.0, "x", False, search=(1.05, 2.0)), "largest gradient"
    ] = 1.2
    on_drop: Annotated[
        float,
        Range(0.0, 1.0, "x", False, False, search=(0.3, 0.98)),
        "factor by which a failure multiplies the limit",
    ] = 0.5
    on_limit: Annotated[
        float,
        Range(0.0, 1.0, "x", False, False, search=(0.1, 0.95)),
        "factor by which a failure multiplies a limit that is the largest",
    ] = 0.2
    long: Annotated[
        float,
        Range(1e-3, 1e6, "s", search=(10.0, 2000.0), log=True),
        "half-life of the long average",
    ] = 600.0
    short: Annotated[
        float,
        Range(0.0, 1e6, "s", search=(0.0, 30.0)),
        "half-life of the short average; 0: the last latency alone",
    ] = 0.0
    occupancy: Annotated[
        float,
        Range(0.0, 1.0, "share of the limit", search=(0.0, 1.0)),
        "share of the limit that must be in flight for the gradient to lower it",
    ] = 0.0
    headroom: Annotated[
        float,
        Range(0.0, 1.0, FLAG),
        "0: a limit rises by the gradient; 1: and by its square root besides",
    ] = 0.0

    def conflict(self) -> str:
        if not self.min_limit <= self.initial <= self.max_limit:
            return (
                f"initial={self.initial:g} is not between min_limit={self.min_limit:g} and"
                f" max_limit={self.max_limit:g}; allowed: min <= initial <= max"
            )
        return ""

    def init(self, target: float) -> ServicetalkGradientState:
        initial, new = floored(self.initial), Average(math.nan, math.nan, 0.0, 0.0)
        return ServicetalkGradientState(
            rate=math.inf,
            limit=initial,
            reject=0.0,
            exact=initial,
            flying=0.0,
            changed=0.0,
            long=new,
            short=new,
        )

    def admit(
        self, state: ServicetalkGradientState, now: float, lag: float, in_flight: float
    ) -> ServicetalkGradientState:
        return ServicetalkGradientState(
            rate=state.rate,
            limit=state.limit,
            reject=state.reject,
            exact=state.exact,
            flying=in_flight + 1.0,
            changed=state.changed,
            long=state.long,
            short=state.short,
        )

    def update(self, state: ServicetalkGradientState, obs: Observation) -> ServicetalkGradientState:
        if obs.count < 1.0:
            return state
        exact, changed, long, short = state.exact, state.changed, state.long, state.short
        flying = max(0.0, state.flying - obs.count)
        if obs.errors > 0.0:
            ratio = self.on_limit if exact >= floored(self.max_limit) else self.on_drop
            exact = max(floored(self.min_limit), exact * ratio)
        elif not math.isnan(obs.latency):
            now, ms = nanoseconds(obs.now), floored(nanoseconds(obs.latency) / 1e6)
            long = observed(long, now, ms, self.long, CALM_LONG)
            if self.short > 0.0:
                short = observed(short, now, ms, self.short, CALM_SHORT)
            last = short.value if self.short > 0.0 else ms
            if now - changed >= nanoseconds(self.interval) and last != 0.0:
                changed = now
                exact = moved(self, exact, flying, long.value / last)
        return ServicetalkGradientState(
            rate=state.rate,
            limit=ceiled(exact),
            reject=state.reject,
            exact=exact,
            flying=flying,
            changed=changed,
            long=long,
            short=short,
        )

    def why(
        self,
        before: ServicetalkGradientState,
        obs: Observation,
        after: ServicetalkGradientState,
    ) -> str:
        if after.exact == before.exact:
            return f"held at {after.limit:g}"
        if obs.errors > 0.0:
            return f"a call failed: limit {after.limit:g}"
        last = after.short.value if self.short > 0.0 else floored(nanoseconds(obs.latency) / 1e6)
        return f"long {after.long.value:.4g} ms, short {last:.4g} ms: limit {after.limit:g}"


def observed(average: Average, now: float, ms: float, half_life: float, calm: float) -> Average:
    """The average with one more latency, of whole ms, at a time in ns.

    >>> observed(Average(10.0, 10.0, 0.0, 0.0), 1e9, 20.0, 1.0, 1.0).value
    15.0
    >>> round(observed(Average(100.0, 50.0, 0.0, 0.0), 1e9, 20.0, 600.0, 1.0).value, 3)
    90.0
    """
    quick = faded(average.calm, now - average.calm_at, ms, calm)
    if average.value > 0.0 and quick < average.value / 2.0:
        return Average(average.value * CALMED, quick, now, now)
    return Average(faded(average.value, now - average.at, ms, half_life), quick, now, now)


def faded(value: float, time: float, ms: float, half_life: float) -> float:
    """An average of that half-life, s, after so many ns and with one more latency."""
    if math.isnan(value):
        return ms
    weight = math.exp(-(time * (1.0 / (max(1.0, nanoseconds(half_life)) / math.log(2.0)))))
    return value * weight + ms * (1.0 - weight)


def moved(law: ServicetalkGradient, limit: float, flying: float, ratio: float) -> float:
    """The limit after an interval with that ratio of latencies.

    >>> law = ServicetalkGradient()
    >>> moved(law, 100.0, 80.0, 0.5), moved(law, 100.0, 0.0, 5.0)
    (50.0, 120.0)
    >>> moved(law, 101.0, 50.0, 5.0)  # above the initial one, half of it unused
    101.0
    """
    gradient = max(law.min_gradient, min(law.max_gradient, ratio))
    if gradient > 1.0 and limit > floored(law.initial) and flying * SPARE < limit:
        return limit
    if gradient < 1.0 and law.occupancy > 0.0 and flying <= limit * law.occupancy:
        return limit
    more = math.sqrt(gradient * limit) if law.headroom > 0.0 and gradient >= 1.0 else 0.0
    return min(floored(law.max_limit), max(floored(law.min_limit), gradient * limit + more))
