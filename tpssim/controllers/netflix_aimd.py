"""Netflix's AIMD: one more call in flight for each success near the limit, a tenth fewer for each
drop.
"""

from __future__ import annotations

import math
from array import array
from typing import Annotated, NamedTuple

from tpssim.controllers._nanoseconds import nanoseconds
from tpssim.controllers._netflix_window import sampled, window_memory
from tpssim.core.types import Observation, described, floored, record
from tpssim.core.validation import Range


@record
class NetflixAimdState(NamedTuple):
    rate: float
    limit: float
    reject: float


@described(
    """Grow the limit by one for each success near it, cut it by a ratio for each drop or slow call.

    With `rtt` in whole ns, for each completion::

        dropped or rtt > timeout:   limit <- trunc(limit * ratio)
        2 in_flight >= limit:       limit <- limit + 1
        limit <- max(min_limit, min(limit, max_limit))

    It starts with `initial`. One more per completion, not per round trip; with the defaults it
    never goes below its start.

    With `window` above 0 it sees windows of calls, as behind the original's `WindowedLimit`:
    `window` long or more, 2 x the least round trip but at most `longest` (even if `window` is
    more), thrown away with fewer than `window_size` calls (so at a low rate it is frozen). `rtt` is
    then their mean, or their `percentile`, of the first `kept` (0: `window_size`) alone. A round
    trip below `shortest` is no sample.

    Deviations: the window is a parameter here, a decorator there. Failures that are no drops are no
    samples, as there.

    >>> from array import array
    >>> law = NetflixAimd(initial=30.0)
    >>> drop = Observation(1.0, 100.0, 0.01, 0.0, 1.0, 1.0, 30.0, 1.0)
    >>> law.update(law.init(100.0), drop, array("d", [0.0]) * law.memory()).limit
    27.0
    """,
    actuators=("limit",),
    signals="drops, latency over a timeout, calls in flight",
    origin="Netflix/concurrency-limits, `AIMDLimit` (Apache-2.0)",
    year=2018,
)
@record
class NetflixAimd(NamedTuple):
    initial: Annotated[
        float, Range(1.0, 1e5, "calls", search=(1.0, 100.0), log=True), "limit at the start"
    ] = 20.0
    min_limit: Annotated[float, Range(1.0, 1e5, "calls", search=(1.0, 50.0)), "least limit"] = 20.0
    max_limit: Annotated[
        float, Range(1.0, 1e5, "calls", search=(10.0, 1000.0), log=True), "largest limit"
    ] = 200.0
    ratio: Annotated[
        float,
        Range(0.5, 1.0, "x", True, False, search=(0.5, 0.99)),
        "factor by which the limit is multiplied for a drop or a slow call",
    ] = 0.9
    timeout: Annotated[
        float,
        Range(0.0, 1e6, "s", False, search=(0.01, 10.0), log=True),
        "longest round trip of a call that is not slow",
    ] = 5.0
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

    def init(self, target: float) -> NetflixAimdState:
        return NetflixAimdState(math.inf, self.initial, 0.0)

    def update(
        self, state: NetflixAimdState, obs: Observation, memory: array[float]
    ) -> NetflixAimdState:
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
        limit = state.limit
        if sample.dropped > 0.0 or sample.rtt > nanoseconds(self.timeout):
            limit = floored(limit * self.ratio)
        elif sample.in_flight * 2.0 >= limit:
            limit = limit + 1.0
        return NetflixAimdState(
            state.rate, max(self.min_limit, min(limit, self.max_limit)), state.reject
        )

    def why(self, before: NetflixAimdState, obs: Observation, after: NetflixAimdState) -> str:
        if after.limit < before.limit:
            return f"a call was dropped or took over {self.timeout:g} s: x{self.ratio:g}"
        if after.limit > before.limit:
            return f"{obs.in_flight:.0f} in flight, half of the limit or more: +1"
        return f"limit {after.limit:g}: bound, window going on, or fewer than half of it in flight"
