"""Netflix's second gradient: the long-term round trip over the present one, times the limit, plus a
queue.
"""

from __future__ import annotations

import math
from array import array
from typing import Annotated, NamedTuple

from tpssim.controllers._netflix_window import sampled, window_memory
from tpssim.core.types import Observation, described, floored, record
from tpssim.core.validation import Range

WARM_UP = 10.0  # samples of which the long-term round trip is the plain mean


@record
class NetflixGradient2State(NamedTuple):
    rate: float
    limit: float
    reject: float
    estimate: float  #: the limit before truncation, calls
    long: float  #: long-term round trip, ns
    total: float  #: sum of the first round trips, ns
    samples: float  #: how many of them


@described(
    """Multiply the limit by the gradient `tolerance x long-term / present round trip`, and add a
    queue.

    With the estimate `E`, for each completion, `rtt` in whole ns::

        long <- mean of the first 10; then long * (1 - f) + rtt * f,  f = 2 / (long_window + 1)
        long / rtt > 2:      the stored long shrinks by 5 %; the one used below does not
        in_flight < E / 2:   nothing
        g = max(0.5, min(1, tolerance * long / rtt))
        E <- max(min_limit, min(max_limit, E (1 - smoothing) + (E g + queue) smoothing))
        limit = trunc E

    It starts with `initial`. Drops are ignored. A constant latency, be it a timeout, has gradient 1
    and lets it climb to `max_limit`; at a lasting gradient g it creeps to `queue / (1 - g)`.

    With `window` above 0 it sees windows of calls, as behind the original's `WindowedLimit`:
    `window` long or more, 2 x the least round trip but at most `longest` (even if `window` is
    more), thrown away with fewer than `window_size` calls (so at a low rate it is frozen). `rtt` is
    then their mean, or their `percentile`, of the first `kept` (0: `window_size`) alone. A round
    trip below `shortest` is no sample.

    Deviations: the window is a parameter here, a decorator there; a round trip of 0 ns has gradient
    1.

    >>> from array import array
    >>> law = NetflixGradient2()  # 0.8 x 20 + 0.2 x (20 + 4)
    >>> memory = array("d", [0.0]) * law.memory()
    >>> obs = Observation(0.01, 100.0, 0.01, 0.0, 1.0, 0.0, 10.0)
    >>> round(law.update(law.init(100.0), obs, memory).estimate, 6)
    20.8
    """,
    actuators=("limit",),
    signals="latency against its long-term mean, calls in flight",
    origin="Netflix/concurrency-limits, `Gradient2Limit` (Apache-2.0)",
    year=2018,
)
@record
class NetflixGradient2(NamedTuple):
    initial: Annotated[
        float, Range(1.0, 1e5, "calls", search=(1.0, 100.0), log=True), "limit at the start"
    ] = 20.0
    min_limit: Annotated[float, Range(1.0, 1e5, "calls", search=(1.0, 50.0)), "least limit"] = 20.0
    max_limit: Annotated[
        float, Range(1.0, 1e5, "calls", search=(10.0, 1000.0), log=True), "largest limit"
    ] = 200.0
    smoothing: Annotated[
        float,
        Range(0.0, 1.0, "weight", False, search=(0.05, 1.0)),
        "weight of a new estimate in the smoothed one",
    ] = 0.2
    queue: Annotated[
        float, Range(0.0, 1000.0, "calls", search=(1.0, 20.0)), "queue that the limit allows for"
    ] = 4.0
    long_window: Annotated[
        float,
        Range(1.0, 1e6, "samples", search=(50.0, 5000.0), log=True),
        "number of samples of which the long-term mean is made",
    ] = 600.0
    tolerance: Annotated[
        float,
        Range(1.0, 100.0, "x long latency", search=(1.0, 4.0)),
        "how many times the long-term mean a round trip may take before the limit falls",
    ] = 1.5
    window: Annotated[
        float,
        Range(0.0, 60.0, "s", search=(0.0, 2.0)),
        "least duration of a window of calls; 0: every call is a sample of its own",
    ] = 0.0
    longest: Annotated[
        float,
        Range(0.0, 60.0, "s", search=(0.5, 5.0)),
        "longest duration of a window, even where `window` is more",
    ] = 1.0
    window_size: Annotated[
        float,
        Range(1.0, 1000.0, "samples", search=(5.0, 50.0)),
        "fewest calls of a window; one with fewer is thrown away",
    ] = 10.0
    percentile: Annotated[
        float,
        Range(0.0, 1.0, "share of calls", True, False, search=(0.0, 0.99)),
        "percentile of a window's round trips that stands for it; 0: their mean stands for it",
    ] = 0.0
    shortest: Annotated[float, Range(0.0, 60.0, "s"), "shortest round trip that is a sample"] = 1e-4
    kept: Annotated[
        float,
        Range(0.0, 1e5, "samples; 0: window_size"),
        "how many round trips of a window, the first ones, its percentile is taken of",
    ] = 0.0

    def conflict(self) -> str:
        if self.min_limit > self.max_limit:
            return (
                f"min_limit={self.min_limit:g} lies above max_limit={self.max_limit:g}; allowed:"
                " min <= max"
            )
        return ""

    def memory(self) -> int:
        return window_memory(self.window_size, self.kept)

    def init(self, target: float) -> NetflixGradient2State:
        return NetflixGradient2State(
            rate=math.inf,
            limit=self.initial,
            reject=0.0,
            estimate=self.initial,
            long=0.0,
            total=0.0,
            samples=0.0,
        )

    def update(
        self, state: NetflixGradient2State, obs: Observation, memory: array[float]
    ) -> NetflixGradient2State:
        sample = sampled(
            memory,
            obs,
            self.window,
            self.longest,
            self.window_size,
            self.percentile,
            self.shortest,
            self.kept,
        )
        if sample.given == 0.0:
            return state
        rtt = sample.rtt
        estimate, total, samples = state.estimate, state.total, state.samples
        if samples < WARM_UP:
            samples += 1.0
            total += rtt
            long = total / samples
        else:
            factor = 2.0 / (self.long_window + 1.0)
            long = state.long * (1.0 - factor) + rtt * factor
        kept = long * 0.95 if long > 0.0 and (rtt == 0.0 or long / rtt > 2.0) else long
        if not sample.in_flight < estimate / 2.0:
            gradient = max(0.5, min(1.0, self.tolerance * long / rtt)) if rtt > 0.0 else 1.0
            wanted = estimate * gradient + self.queue
            wanted = estimate * (1.0 - self.smoothing) + wanted * self.smoothing
            estimate = max(self.min_limit, min(self.max_limit, wanted))
        limit = floored(estimate)
        return NetflixGradient2State(
            rate=state.rate,
            limit=limit,
            reject=state.reject,
            estimate=estimate,
            long=kept,
            total=total,
            samples=samples,
        )

    def why(
        self, before: NetflixGradient2State, obs: Observation, after: NetflixGradient2State
    ) -> str:
        if after.estimate == before.estimate:
            return f"limit {after.limit:g} kept: few in flight, bound, or window going on"
        times = f"round trip {obs.latency * 1e3:.3g} ms, long-term {after.long / 1e6:.3g}"
        return f"{times}: limit {before.limit:g} -> {after.limit:g}"
