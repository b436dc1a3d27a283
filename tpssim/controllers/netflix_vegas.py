"""Netflix's Vegas: keep a few calls queued, judged by the least round trip seen."""

from __future__ import annotations

import math
from array import array
from typing import Annotated, NamedTuple

from tpssim.controllers._nanoseconds import nanoseconds
from tpssim.controllers._netflix_window import sampled, window_memory
from tpssim.core.types import Observation, ceiled, described, floored, record
from tpssim.core.validation import FLAG, Range


@record
class NetflixVegasState(NamedTuple):
    rate: float
    limit: float
    reject: float
    estimate: float  #: the limit before truncation, calls
    noload: float  #: round trip without load, ns; 0 before the first
    probe_count: float  #: samples since the last probe
    jitter: float  #: of the next probe, in [0.5, 1); nan before the first sample


@described(
    """Keep the queue, `limit x (1 - noload / rtt)`, between a few and a few more calls.

    With the estimate `E` and `lg = max(1, trunc(log10(trunc E)))`, for each completion, `rtt` in
    whole ns::

        probe_count <- probe_count + 1
        jitter * probe_multiplier * E <= probe_count:  probe_count <- 0, noload <- rtt, a new jitter
        noload = 0 or rtt < noload:                    noload <- rtt
        else, with queue = ceil(E (1 - noload / rtt)):
            dropped:               N = E - lg                (with dec_rate > 0: N = dec_rate * E)
            2 in_flight < E:       nothing
            queue <= lg:           N = E + beta lg
            queue <  alpha lg:     N = E + lg
            queue >  beta lg:      N = E - lg                (the same)
            between:               nothing
            E <- (1 - smoothing) E + smoothing max(1, min(max_limit, N))
        limit = trunc E

    It starts with `initial`; `jitter` is uniform in [0.5, 1). A sample that is a new least changes
    no limit, even if it was dropped; one lucky least collapses the limit until the next probe.

    With `window` above 0 it sees windows of calls, as behind the original's `WindowedLimit`:
    `window` long or more, 2 x the least round trip but at most `longest` (even if `window` is
    more), thrown away with fewer than `window_size` calls (so at a low rate it is frozen). `rtt` is
    then their mean, or their `percentile`, of the first `kept` (0: `window_size`) alone. A round
    trip below `shortest` is no sample.

    Deviations: the window is a parameter here, a decorator there; the replaceable functions are
    `alpha`, `beta` (multiples of lg; calls with `fixed` 1) and `dec_rate`; a round trip of 0 ns is
    an error there, a new least here.

    >>> from array import array
    >>> law = NetflixVegas(initial=10.0)
    >>> memory = array("d", [0.0]) * law.memory()
    >>> state = law.update(law.init(100.0), Observation(0.01, 100.0, 0.01, 0.0), memory)
    >>> law.update(state, Observation(0.02, 100.0, 0.01, 0.0, 1.0, 0.0, 11.0), memory).limit
    16.0
    """,
    actuators=("limit",),
    signals="latency against the least, calls in flight, drops",
    origin="Netflix/concurrency-limits, `VegasLimit` (Apache-2.0)",
    year=2018,
)
@record
class NetflixVegas(NamedTuple):
    initial: Annotated[
        float, Range(1.0, 1e5, "calls", search=(1.0, 100.0), log=True), "limit at the start"
    ] = 20.0
    max_limit: Annotated[
        float, Range(1.0, 1e5, "calls", search=(10.0, 1000.0), log=True), "largest limit"
    ] = 1000.0
    alpha: Annotated[
        float,
        Range(0.0, 100.0, "x lg calls", search=(1.0, 6.0)),
        "queue below which the limit grows",
    ] = 3.0
    beta: Annotated[
        float,
        Range(0.0, 100.0, "x lg calls", search=(2.0, 12.0)),
        "queue above which the limit falls, and what it grows by while there is hardly a queue",
    ] = 6.0
    fixed: Annotated[
        float, Range(0.0, 1.0, FLAG), "0: `alpha` and `beta` count in lg calls; 1: in calls"
    ] = 0.0
    dec_rate: Annotated[
        float,
        Range(0.0, 1.0, "x; 0: by lg", True, False, search=(0.0, 0.99)),
        "factor by which the estimate is multiplied when it falls; 0: it falls by lg calls",
    ] = 0.0
    smoothing: Annotated[
        float,
        Range(0.0, 1.0, "weight", False, search=(0.05, 1.0)),
        "weight of a new estimate in the smoothed one",
    ] = 1.0
    probe_multiplier: Annotated[
        float,
        Range(0.0, 1e9, "samples/call", False, search=(5.0, 500.0), log=True),
        "most samples between two probes of the least latency, for each call of the limit",
    ] = 30.0
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
        if self.alpha > self.beta:
            return f"alpha={self.alpha:g} lies above beta={self.beta:g}; allowed: alpha <= beta"
        return ""

    def memory(self) -> int:
        return window_memory(self.window_size, self.kept)

    def init(self, target: float) -> NetflixVegasState:
        return NetflixVegasState(
            rate=math.inf,
            limit=self.initial,
            reject=0.0,
            estimate=self.initial,
            noload=0.0,
            probe_count=0.0,
            jitter=math.nan,
        )

    def update(
        self, state: NetflixVegasState, obs: Observation, memory: array[float]
    ) -> NetflixVegasState:
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
        estimate, noload = state.estimate, state.noload
        jitter = 0.5 + 0.5 * obs.u if math.isnan(state.jitter) else state.jitter
        probe_count = state.probe_count + 1.0
        if jitter * self.probe_multiplier * estimate <= probe_count:
            jitter = 0.5 + 0.5 * obs.u
            probe_count, noload = 0.0, rtt
        elif noload == 0.0 or rtt < noload:
            noload = rtt
        else:
            queue = ceiled(estimate * (1.0 - noload / rtt))
            lg = digits(floored(estimate))
            times = 1.0 if self.fixed == 1.0 else lg
            fewer = estimate * self.dec_rate if self.dec_rate > 0.0 else estimate - lg
            wanted = math.nan
            if sample.dropped > 0.0:
                wanted = fewer
            elif sample.in_flight * 2.0 < estimate:
                pass
            elif queue <= lg:
                wanted = estimate + self.beta * times
            elif queue < self.alpha * times:
                wanted = estimate + lg
            elif queue > self.beta * times:
                wanted = fewer
            if not math.isnan(wanted):
                bounded = max(1.0, min(self.max_limit, wanted))
                estimate = (1.0 - self.smoothing) * estimate + self.smoothing * bounded
        limit = floored(estimate)
        return NetflixVegasState(
            rate=state.rate,
            limit=limit,
            reject=state.reject,
            estimate=estimate,
            noload=noload,
            probe_count=probe_count,
            jitter=jitter,
        )

    def why(self, before: NetflixVegasState, obs: Observation, after: NetflixVegasState) -> str:
        if after.noload != before.noload:
            return f"round trip without load is now {after.noload / 1e6:.3g} ms"
        if after.estimate == before.estimate:
            return f"limit {after.limit:g} kept: few in flight, queue as wanted, or window going on"
        queue = (
            before.estimate * (1.0 - before.noload / nanoseconds(obs.latency))
            if obs.latency > 0.0
            else 0.0
        )
        return f"{queue:.3g} calls queued: limit {before.limit:g} -> {after.limit:g}"


def digits(n: float) -> float:
    """`max(1, trunc(log10 n))`, by comparisons: no logarithm that may round.

    >>> digits(0.0), digits(100.0), digits(10000.0)
    (1.0, 2.0, 4.0)
    """
    found, bound = 1.0, 100.0
    while n >= bound and found < 300.0:
        found += 1.0
        bound *= 10.0
    return found
