"""Netflix's first gradient: the least round trip over the present one, times the limit, plus a
queue.
"""

from __future__ import annotations

import math
from array import array
from typing import Annotated, NamedTuple

from tpssim.controllers._netflix_window import sampled, window_memory
from tpssim.core.types import Observation, described, floored, record
from tpssim.core.validation import FLAG, Range


@record
class NetflixGradientState(NamedTuple):
    rate: float
    limit: float
    reject: float
    estimate: float  #: the limit before truncation, calls
    noload: float  #: least round trip since the last probe, ns; 0 if there is none
    countdown: float  #: samples until the next probe; nan before the first


@described(
    """Multiply the limit by the gradient `tolerance x least round trip / round trip`, and add a
    queue.

    With the estimate `E` and `q = max(queue, trunc(sqrt(trunc E)))` (`fixed` 1: `q = queue`), for
    each completion, `rtt` in whole ns::

        countdown <= 0:  E <- max(min_limit, q), the least round trip is forgotten       (a probe)
        countdown <- countdown - 1  (after a probe: probe_interval + random below probe_interval)
        noload = min(noload, rtt);  g = max(0.5, min(1, tolerance * noload / rtt))
        dropped:             N = E * ratio
        in_flight < E / 2:   nothing
        else:                N = E * g + q
        N < E:               N <- max(min_limit, (1 - smoothing) E + smoothing N)
        E <- max(q, min(max_limit, N));  limit = trunc E

    It starts with `initial`. `probe_interval` 0 switches the probes off.

    With `window` above 0 it sees windows of calls, as behind the original's `WindowedLimit`:
    `window` long or more, 2 x the least round trip but at most `longest` (even if `window` is
    more), thrown away with fewer than `window_size` calls (so at a low rate it is frozen). `rtt` is
    then their mean, or their `percentile`, of the first `kept` (0: `window_size`) alone. A round
    trip below `shortest` is no sample.

    Deviations: the window is a parameter here, a decorator there; the queue is of these two kinds,
    any function there; a round trip of 0 ns has gradient 1, where the original's estimate is nan
    from then on.

    >>> from array import array
    >>> law = NetflixGradient()  # 50 x 1 + 7
    >>> memory = array("d", [0.0]) * law.memory()
    >>> seen = Observation(0.01, 100.0, 0.01, 0.0, 1.0, 0.0, 50.0)
    >>> law.update(law.init(100.0), seen, memory).limit
    57.0
    """,
    actuators=("limit",),
    signals="latency against the least, calls in flight, drops",
    origin="Netflix/concurrency-limits, `GradientLimit` (Apache-2.0)",
    year=2018,
)
@record
class NetflixGradient(NamedTuple):
    initial: Annotated[
        float, Range(1.0, 1e5, "calls", search=(1.0, 100.0), log=True), "limit at the start"
    ] = 50.0
    min_limit: Annotated[float, Range(1.0, 1e5, "calls", search=(1.0, 50.0)), "least limit"] = 1.0
    max_limit: Annotated[
        float, Range(1.0, 1e5, "calls", search=(10.0, 1000.0), log=True), "largest limit"
    ] = 1000.0
    smoothing: Annotated[
        float,
        Range(0.0, 1.0, "weight", False, search=(0.05, 1.0)),
        "weight of a lower estimate in the smoothed one",
    ] = 0.2
    queue: Annotated[
        float,
        Range(0.0, 1000.0, "calls", search=(1.0, 20.0)),
        "least queue that the limit allows for",
    ] = 4.0
    fixed: Annotated[
        float,
        Range(0.0, 1.0, FLAG),
        "0: the queue is the root of the estimate, where that is more; 1: it is `queue`",
    ] = 0.0
    tolerance: Annotated[
        float,
        Range(1.0, 100.0, "x least latency", search=(1.0, 4.0)),
        "how many times the least latency a round trip may take before the limit falls",
    ] = 2.0
    probe_interval: Annotated[
        float,
        Range(0.0, 1e9, "samples", search=(100.0, 5000.0), log=True),
        "fewest samples between two probes of the least latency, at most twice as many; 0: no"
        " probes",
    ] = 1000.0
    ratio: Annotated[
        float,
        Range(0.0, 1.0, "x", False, search=(0.5, 0.99)),
        "factor by which the estimate is multiplied for a drop",
    ] = 0.9
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

    def init(self, target: float) -> NetflixGradientState:
        return NetflixGradientState(
            math.inf,
            self.initial,
            0.0,
            self.initial,
            0.0,
            math.nan,
        )

    def update(
        self, state: NetflixGradientState, obs: Observation, memory: array[float]
    ) -> NetflixGradientState:
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
        estimate = state.estimate
        size = self.queue if self.fixed == 1.0 else root_queue(estimate, self.queue)
        fresh = self.probe_interval + floored(obs.u * self.probe_interval)
        countdown = fresh if math.isnan(state.countdown) else state.countdown
        if self.probe_interval > 0.0 and countdown <= 0.0:
            estimate = max(self.min_limit, size)
            limit = floored(estimate)
            return NetflixGradientState(
                state.rate,
                limit,
                state.reject,
                estimate,
                0.0,
                fresh,
            )
        countdown -= 1.0
        noload = rtt if state.noload == 0.0 else min(state.noload, rtt)
        if sample.dropped > 0.0 or not sample.in_flight < estimate / 2.0:
            gradient = max(0.5, min(1.0, self.tolerance * noload / rtt)) if rtt > 0.0 else 1.0
            wanted = estimate * self.ratio if sample.dropped > 0.0 else estimate * gradient + size
            if wanted < estimate:
                wanted = max(
                    self.min_limit, (1.0 - self.smoothing) * estimate + self.smoothing * wanted
                )
            estimate = max(size, min(self.max_limit, wanted))
        limit = floored(estimate)
        return NetflixGradientState(
            state.rate,
            limit,
            state.reject,
            estimate,
            noload,
            countdown,
        )

    def why(
        self, before: NetflixGradientState, obs: Observation, after: NetflixGradientState
    ) -> str:
        if after.noload == 0.0 and before.noload > 0.0:
            return f"probe for the least round trip: limit {before.limit:g} -> {after.limit:g}"
        if after.estimate == before.estimate:
            return f"limit {after.limit:g} kept: few in flight, or window going on"
        if obs.drops > 0.0:
            return f"a call was dropped: limit {before.limit:g} -> {after.limit:g}"
        times = f"round trip {obs.latency * 1e3:.3g} ms, least {after.noload / 1e6:.3g}"
        return f"{times}: limit {before.limit:g} -> {after.limit:g}"


def root_queue(estimate: float, least: float) -> float:
    """`max(least, trunc(sqrt(trunc estimate)))`.

    >>> root_queue(0.0, 4.0), root_queue(999.0, 4.0), root_queue(2500.0, 4.0)
    (4.0, 31.0, 50.0)
    """
    return max(least, floored(math.sqrt(floored(estimate))))
