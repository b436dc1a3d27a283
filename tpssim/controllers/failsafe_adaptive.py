"""failsafe-go's adaptive limiter: a Vegas-like queue estimate, with correlations that see joint
drift.
"""

from __future__ import annotations

import math
from array import array
from typing import Annotated, NamedTuple

from tpssim.controllers._moving import SUMS, averaged, largest, median_of_five, related
from tpssim.controllers._nanoseconds import nanoseconds
from tpssim.controllers._t_digest import SIZE, digest_quantile, forgotten, noted
from tpssim.controllers.netflix_vegas import digits
from tpssim.core.types import Observation, ceiled, described, floored, record
from tpssim.core.validation import Range

SMOOTHED = 5.0  # windows
#: Places in the memory: the ring of the median filter, the largest of a time, the digest, two
#: correlations.
MEDIAN, PEAKS, PEAKS_KEPT = 0, 5, 1024
DIGEST = PEAKS + 2 + 2 * PEAKS_KEPT
CORRELATIONS = DIGEST + SIZE


@record
class Window(NamedTuple):
    """What a window has collected so far."""

    samples: float
    least: float  #: round trip, ns
    most: float  #: in flight when a call was released


@record
class Average(NamedTuple):
    """A moving average over windows."""

    windows: float  #: in it
    value: float  #: ns
    total: float


@record
class FailsafeAdaptiveState(NamedTuple):
    rate: float
    limit: float  #: trunc of the estimate
    reject: float
    estimate: float
    due: float  #: when the next update may be, ns
    queue: float  #: estimated last, calls
    window: Window
    recent: Average  #: of the round trips, over the last windows
    baseline: Average  #: of the recent ones


@described(
    """Grow or shrink by the estimated queue, and by how throughput and latency go with the calls in
    flight.

    A window holds `samples` completions or more and lasts 2 x its predecessor's least round trip,
    in [`period`, `longest`] s. At its end, `lg(n)` = 1 below 100, 2 below 1000, ..., `m` = most in
    flight::

        recent   = average5(median5(quantile of the round trips)),  baseline = average(recent)
        queue    = ceil(limit (1 - baseline / recent));  tput = m / recent
        corr_t, cv_t  of tput against m;   corr_r  of recent against m   (last `correlated` windows)
        queue > 6 lg                                     limit - lg
        full and corr_t < 0                              limit - lg
        full and corr_t < 0.3 and corr_r > 0.5           limit - lg
        full and cv_t < 0.2 and corr_r > 0.5             limit - lg
        queue < 3 lg                                     limit + lg
        cap      = m' max(min_factor, max_factor - factor_decay log10 m')
        new limit > cap                            limit - lg if the old one was above, else cap
        limit in [min_limit, max_limit]

    `m'` is the largest m of the last `stabilised` seconds, m itself if that is 0; without
    `factor_decay` the factor is `max_factor`. An average of age a is the plain mean of its first 10
    values, then moves by 2 / (a + 1); the baseline's age is `baseline_age`. *Full*: as many in
    flight as the limit allows when the last call of the window ended, itself included. Correlations
    and cv are 0 below 10 windows, correlations also when either varies by less than 1 %. It starts
    with `initial`.

    The quantile is a t-digest's, as in the original. A call that timed out or was refused by the
    service is dropped: no sample, but it may end a window. Deviations: no queue in front of the
    limiter; an `initial` out of bounds is moved to the nearer one, there it is an error.

    >>> FailsafeAdaptive().init(100.0).limit
    20.0
    """,
    actuators=("limit",),
    signals="latency quantile against a baseline, calls in flight, throughput",
    origin="failsafe-go/failsafe-go, `adaptivelimiter/adaptivelimiter.go` (MIT)",
    year=2025,
)
@record
class FailsafeAdaptive(NamedTuple):
    initial: Annotated[
        float, Range(1.0, 1e5, "calls", search=(1.0, 100.0), log=True), "limit at the start"
    ] = 20.0
    min_limit: Annotated[float, Range(1.0, 1e5, "calls", search=(1.0, 50.0)), "least limit"] = 1.0
    max_limit: Annotated[
        float, Range(1.0, 1e5, "calls", search=(10.0, 1000.0), log=True), "largest limit"
    ] = 200.0
    max_factor: Annotated[
        float,
        Range(1.0, 1000.0, "x in flight", search=(1.5, 10.0)),
        "how many times the most calls in flight the limit may be",
    ] = 5.0
    factor_decay: Annotated[
        float,
        Range(0.0, 1000.0, "a decade", search=(0.0, 2.0)),
        "by how much that factor falls for ten times as many calls in flight",
    ] = 0.0
    min_factor: Annotated[
        float,
        Range(1.0, 1000.0, "x in flight", search=(1.0, 3.0)),
        "what that factor falls to at the least",
    ] = 1.0
    stabilised: Annotated[
        float,
        Range(0.0, 1e6, "s", search=(0.0, 600.0)),
        "time over which the most calls in flight is taken; 0: that of the window",
    ] = 0.0
    period: Annotated[
        float, Range(0.0, 60.0, "s", search=(0.1, 5.0)), "least duration of a window"
    ] = 1.0
    longest: Annotated[
        float,
        Range(0.0, 600.0, "s", search=(1.0, 60.0)),
        "longest duration that a slow service gives a window",
    ] = 30.0
    samples: Annotated[
        float, Range(1.0, 1e4, "samples", search=(5.0, 200.0)), "fewest completions of a window"
    ] = 50.0
    quantile: Annotated[
        float,
        Range(0.0, 1.0, "share of calls", False, False, search=(0.5, 0.99)),
        "quantile of a window's round trips that stands for it",
    ] = 0.9
    baseline_age: Annotated[
        float,
        Range(1.0, 1e4, "windows", search=(5.0, 100.0)),
        "age of the moving average of windows that is the baseline",
    ] = 10.0
    correlated: Annotated[
        float,
        Range(2.0, 1000.0, "windows", search=(10.0, 100.0)),
        "number of windows over which correlations are taken",
    ] = 50.0

    def conflict(self) -> str:
        if self.min_limit > self.max_limit:
            return (
                f"min_limit={self.min_limit:g} lies above max_limit={self.max_limit:g}; allowed:"
                " min <= max"
            )
        return ""

    def memory(self) -> int:
        return CORRELATIONS + 2 * (SUMS + 2 * int(self.correlated))

    def init(self, target: float) -> FailsafeAdaptiveState:
        initial = floored(max(self.min_limit, min(self.initial, self.max_limit)))
        nothing = Average(windows=0.0, value=0.0, total=0.0)
        return FailsafeAdaptiveState(
            rate=math.inf,
            limit=initial,
            reject=0.0,
            estimate=initial,
            due=0.0,
            queue=0.0,
            window=empty(),
            recent=nothing,
            baseline=nothing,
        )

    def update(
        self, state: FailsafeAdaptiveState, obs: Observation, memory: array[float]
    ) -> FailsafeAdaptiveState:
        if obs.count < 1.0:
            return state
        window, now = state.window, nanoseconds(obs.now)
        if obs.drops == 0.0 and not math.isnan(obs.latency):
            window = collected(window, obs, memory)
        if not (now > state.due and window.samples >= self.samples):
            return FailsafeAdaptiveState(
                rate=state.rate,
                limit=state.limit,
                reject=state.reject,
                estimate=state.estimate,
                due=state.due,
                queue=state.queue,
                window=window,
                recent=state.recent,
                baseline=state.baseline,
            )
        found = digest_quantile(memory, DIGEST, self.quantile)
        filtered = median_of_five(memory, MEDIAN, state.recent.windows, found)
        recent = moved(state.recent, SMOOTHED, filtered)
        baseline = moved(state.baseline, self.baseline_age, recent.value)
        queue = 0.0
        if recent.value > 0.0:  # calls of no time at all have no queue
            queue = ceiled(state.estimate * (1.0 - baseline.value / recent.value))
        # Before this completion the number in flight has only grown since the one before: its peak
        # is now.
        full = obs.peak >= state.limit
        overload = overloaded(memory, int(self.correlated), window.most, recent.value)
        wanted = stepped(state.estimate, queue, full and overload)
        peak = window.most
        if self.stabilised > 0.0:
            peak = largest(memory, PEAKS, PEAKS_KEPT, peak, now, nanoseconds(self.stabilised))
        cap = peak * factor(self.max_factor, self.factor_decay, self.min_factor, peak)
        wanted = capped(wanted, state.estimate, cap)
        estimate = max(self.min_limit, min(wanted, self.max_limit))
        lasts = max(2.0 * window.least, nanoseconds(self.period))
        return FailsafeAdaptiveState(
            rate=state.rate,
            limit=floored(estimate),
            reject=state.reject,
            estimate=estimate,
            due=now + min(lasts, nanoseconds(self.longest)),
            queue=queue,
            window=empty(),
            recent=recent,
            baseline=baseline,
        )

    def why(
        self, before: FailsafeAdaptiveState, obs: Observation, after: FailsafeAdaptiveState
    ) -> str:
        if after.recent.windows == before.recent.windows:
            return f"window of {after.window.samples:g} completions going on"
        recent, baseline = after.recent.value / 1e6, after.baseline.value / 1e6
        times = f"recent {recent:.3g} ms, baseline {baseline:.3g} ms"
        return f"{times}, {after.queue:g} queued: limit {before.limit:g} -> {after.limit:g}"


def empty() -> Window:
    """A window that begins."""
    return Window(samples=0.0, least=math.inf, most=0.0)


def collected(window: Window, obs: Observation, memory: array[float]) -> Window:
    """The window with one more completion; its round trip is put in the digest."""
    latency = nanoseconds(obs.latency)
    if window.samples == 0.0:
        forgotten(memory, DIGEST)
    noted(memory, DIGEST, latency)
    return Window(
        samples=window.samples + 1.0,
        least=min(window.least, latency),
        most=max(window.most, obs.in_flight),
    )


def moved(average: Average, age: float, value: float) -> Average:
    """The moving average with one more window."""
    total, found = averaged(average.total, average.value, average.windows, age, value)
    return Average(windows=average.windows + 1.0, value=found, total=total)


def overloaded(memory: array[float], size: int, most: float, recent: float) -> bool:
    """Whether throughput no longer goes with the calls in flight, and latency does, with the window
    of this `recent` time and this `most` in flight.
    """
    corr_t, cv_t = 0.0, 0.0
    if recent > 0.0:  # calls of no time at all have a throughput without bound
        corr_t, cv_t = related(memory, CORRELATIONS, size, most, most / (recent / 1e9))
    corr_r, _ = related(memory, CORRELATIONS + SUMS + 2 * size, size, most, recent)
    return says_overload(corr_t, cv_t, corr_r)


def says_overload(corr_t: float, cv_t: float, corr_r: float) -> bool:
    """Whether correlations and variation of throughput and recent time say so.

    >>> says_overload(-0.1, 0.5, 0.0), says_overload(0.2, 0.5, 0.6), says_overload(0.9, 0.1, 0.6)
    (True, True, True)
    >>> says_overload(0.2, 0.1, 0.5)
    False
    """
    return corr_t < 0.0 or ((corr_t < 0.3 or cv_t < 0.2) and corr_r > 0.5)


def stepped(old: float, queue: float, overload: bool) -> float:
    """The estimate one step down, up, or as it was.

    >>> stepped(20.0, 7.0, False), stepped(20.0, 4.0, False), stepped(20.0, 0.0, False)
    (19.0, 20.0, 21.0)
    """
    lg = digits(floored(old))
    if queue > 6.0 * lg or overload:
        return old - lg
    return old + lg if queue < 3.0 * lg else old


def capped(wanted: float, old: float, cap: float) -> float:
    """An estimate above the cap: a step down if the old one was above it too, else the cap."""
    if wanted > cap:
        return old - digits(floored(old)) if old > cap else cap
    return wanted


def factor(most: float, decay: float, least: float, m: float) -> float:
    """How many times the calls in flight the limit may be.

    >>> [m * factor(5.0, 1.0, 1.2, m) for m in (10.0, 100.0, 1000.0)]
    [40.0, 300.0, 2000.0]
    >>> factor(5.0, 2.0, 1.2, 10000.0)
    1.2
    """
    if decay > 0.0 and m > 0.0:
        return max(most - decay * math.log10(m), least)
    return most
