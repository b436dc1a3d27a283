"""failsafe-go's adaptive limiter: a Vegas-like queue estimate, with correlations that see joint drift."""

from __future__ import annotations

import math
from array import array
from typing import Annotated, NamedTuple

from tpssim.controllers.netflix_vegas import digits
from tpssim.core import Observation, Range
from tpssim.sensor import ranked

WARM_UP, SMOOTHED = 10.0, 5.0  # windows
MOST = 4096  # round trips of a window that are kept for the quantile
#: Places in the memory: the ring of the median filter, the rings of the correlation, the round trips.
MEDIAN, RINGS = 0, 5
LEAST_VARIATION = 0.01


class FailsafeAdaptiveState(NamedTuple):
    rate: float
    limit: float  #: trunc of the estimate
    reject: float
    estimate: float
    due: float  #: when the next update may be, s
    samples: float  #: in the window
    least: float  #: round trip of the window, s
    most: float  #: in flight when a call of the window was released
    windows: float  #: so far
    smoothed: float  #: recent round trip, s
    smoothed_total: float
    baseline: float  #: s
    baseline_total: float
    queue: float  #: estimated last, calls


class FailsafeAdaptive(NamedTuple):
    """Grow or shrink by `lg` as the estimated queue, and how throughput and latency go with the calls in
    flight, say.

    A window holds `samples` completions or more and lasts 2 x its predecessor's least round trip, in
    [`period`, `longest`] s. At its end, `lg(n)` = 1 below 100, 2 below 1000, ..., `m` = most in flight::

        recent   = average5(median5(quantile of the round trips)),  baseline = average(recent)
        queue    = ceil(limit (1 - baseline / recent));  tput = m / recent
        corr_t, cv_t  of tput against m;   corr_r  of recent against m          (last `correlated` windows)
        queue > 6 lg                                     limit - lg
        full and corr_t < 0                              limit - lg
        full and corr_t < 0.3 and corr_r > 0.5           limit - lg
        full and cv_t < 0.2 and corr_r > 0.5             limit - lg
        queue < 3 lg                                     limit + lg
        new limit > cap = m max_factor:                  limit - lg if it was above, else cap
        limit in [min_limit, max_limit]

    An average of age a is the plain mean of its first 10 values, then moves by 2 / (a + 1); the baseline's
    age is `baseline_age`. *Full*: as many in flight as the limit allows when the last call of the window was
    released. Correlations are 0 below 10 windows or when either varies by less than 1 %. It starts with
    `initial`.

    Valve: limit. Signal: latency quantile against a baseline, calls in flight, throughput.
    Origin: failsafe-go/failsafe-go, `adaptivelimiter/adaptivelimiter.go` (MIT). Deviations: the quantile is
    exact (of the first 4096 round trips of a window), there a t-digest's; *full* is judged by the call that
    ended last, not by the semaphore at that moment; no stabilisation window, no decay of the factor.

    >>> FailsafeAdaptive().init(100.0).limit
    20.0
    """

    initial: Annotated[float, Range(1.0, 1e5, "calls", search=(1.0, 100.0), log=True)] = 20.0
    min_limit: Annotated[float, Range(1.0, 1e5, "calls", search=(1.0, 50.0))] = 1.0
    max_limit: Annotated[float, Range(1.0, 1e5, "calls", search=(10.0, 1000.0), log=True)] = 200.0
    max_factor: Annotated[float, Range(1.0, 1000.0, "x in flight", search=(1.5, 10.0))] = 5.0
    period: Annotated[float, Range(0.0, 60.0, "s", search=(0.1, 5.0))] = 1.0
    longest: Annotated[float, Range(0.0, 600.0, "s", search=(1.0, 60.0))] = 30.0
    samples: Annotated[float, Range(1.0, 1e4, "samples", search=(5.0, 200.0))] = 50.0
    quantile: Annotated[float, Range(0.0, 1.0, "", False, search=(0.5, 0.99))] = 0.9
    baseline_age: Annotated[float, Range(1.0, 1e4, "windows", search=(5.0, 100.0))] = 10.0
    correlated: Annotated[float, Range(2.0, 1000.0, "windows", search=(10.0, 100.0))] = 50.0

    def conflict(self) -> str:
        if self.min_limit > self.max_limit:
            return (
                f"min_limit={self.min_limit:g} lies above max_limit={self.max_limit:g}; allowed: min <= max"
            )
        return ""

    def memory(self) -> int:
        return RINGS + 3 * int(self.correlated) + MOST

    def init(self, target: float) -> FailsafeAdaptiveState:
        initial = max(self.min_limit, min(self.initial, self.max_limit))
        limit = math.floor(initial) * 1.0
        return FailsafeAdaptiveState(
            math.inf, limit, 0.0, initial, 0.0, 0.0, math.inf, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        )

    def update(
        self, state: FailsafeAdaptiveState, obs: Observation, memory: array[float]
    ) -> FailsafeAdaptiveState:
        if obs.count < 1.0:
            return state
        samples, least, most = state.samples, state.least, state.most
        size = int(self.correlated)
        kept = RINGS + 3 * size
        if obs.errors == 0.0 and obs.latency > 0.0:
            if samples < MOST:
                memory[kept + int(samples)] = obs.latency
            samples += 1.0
            least, most = min(least, obs.latency), max(most, obs.in_flight)
        if not (obs.now > state.due and samples >= self.samples):
            return FailsafeAdaptiveState(
                state.rate,
                state.limit,
                state.reject,
                state.estimate,
                state.due,
                samples,
                least,
                most,
                state.windows,
                state.smoothed,
                state.smoothed_total,
                state.baseline,
                state.baseline_total,
                state.queue,
            )
        n = min(int(samples), MOST)
        found = ranked(memory[kept : kept + n], n, max(math.ceil(self.quantile * n) - 1, 0))
        windows = state.windows
        filtered = median_of_five(memory, windows, found)
        smoothed_total, smoothed = averaged(state.smoothed_total, state.smoothed, windows, SMOOTHED, filtered)
        baseline_total, baseline = averaged(
            state.baseline_total, state.baseline, windows, self.baseline_age, smoothed
        )
        windows += 1.0
        estimate = state.estimate
        queue = float(math.ceil(estimate * (1.0 - baseline / smoothed)))
        place = RINGS + int(windows - 1.0) % size
        memory[place] = most
        memory[place + size] = most / smoothed
        memory[place + 2 * size] = smoothed
        used = min(int(windows), size)
        throughput, variation = correlation(memory, RINGS, RINGS + size, used)
        latency, _ = correlation(memory, RINGS, RINGS + 2 * size, used)
        full = obs.in_flight >= state.limit
        lg = digits(math.floor(estimate))
        joint = throughput < 0.0 or ((throughput < 0.3 or variation < 0.2) and latency > 0.5)
        wanted = estimate
        if queue > 6.0 * lg or (full and joint):
            wanted = estimate - lg
        elif queue < 3.0 * lg:
            wanted = estimate + lg
        cap = most * self.max_factor
        if wanted > cap:
            wanted = estimate - lg if estimate > cap else cap
        estimate = max(self.min_limit, min(wanted, self.max_limit))
        due = obs.now + min(max(2.0 * least, self.period), self.longest)
        return FailsafeAdaptiveState(
            state.rate,
            float(math.floor(estimate)),
            state.reject,
            estimate,
            due,
            0.0,
            math.inf,
            0.0,
            windows,
            smoothed,
            smoothed_total,
            baseline,
            baseline_total,
            queue,
        )

    def why(self, before: FailsafeAdaptiveState, obs: Observation, after: FailsafeAdaptiveState) -> str:
        if after.windows == before.windows:
            return f"window of {after.samples:g} completions going on"
        times = f"recent {after.smoothed * 1e3:.3g} ms, baseline {after.baseline * 1e3:.3g} ms"
        return f"{times}, {after.queue:g} queued: limit {before.limit:g} -> {after.limit:g}"


def averaged(total: float, value: float, count: float, age: float, new: float) -> tuple[float, float]:
    """(sum, average) with one more value: the plain mean of the first ten, then exponential of that age.

    >>> averaged(10.0, 5.0, 2.0, 5.0, 20.0), averaged(0.0, 30.0, 10.0, 5.0, 60.0)
    ((30.0, 10.0), (0.0, 40.0))
    """
    if count < WARM_UP:
        return total + new, (total + new) / (count + 1.0)
    factor = 2.0 / (age + 1.0)
    return total, value * (1.0 - factor) + new * factor


def median_of_five(memory: array[float], count: float, new: float) -> float:
    """The value itself for the first four, then the median of the last five, which a ring keeps."""
    memory[MEDIAN + int(count) % 5] = new
    if count < 4.0:
        return new
    found = new
    for i in range(5):
        below, equal = 0, 0
        for j in range(5):
            if memory[MEDIAN + j] < memory[MEDIAN + i]:
                below += 1
            elif memory[MEDIAN + j] == memory[MEDIAN + i]:
                equal += 1
        if below <= 2 < below + equal:
            found = memory[MEDIAN + i]
    return found


def correlation(memory: array[float], x: int, y: int, n: int) -> tuple[float, float]:
    """(Pearson's correlation of two rings, coefficient of variation of the second), population formulas.

    Both 0 with fewer than 10 values; the first is 0 if either varies by less than 1 %.
    """
    if n < WARM_UP:
        return 0.0, 0.0
    mean_x, mean_y = 0.0, 0.0
    for k in range(n):
        mean_x += memory[x + k] / n
        mean_y += memory[y + k] / n
    xx, yy, xy = 0.0, 0.0, 0.0
    for k in range(n):
        dx, dy = memory[x + k] - mean_x, memory[y + k] - mean_y
        xx += dx * dx
        yy += dy * dy
        xy += dx * dy
    if not (mean_x > 0.0 and mean_y > 0.0):
        return 0.0, 0.0
    variation_x, variation_y = math.sqrt(xx / n) / mean_x, math.sqrt(yy / n) / mean_y
    if variation_x < LEAST_VARIATION or variation_y < LEAST_VARIATION:
        return 0.0, variation_y
    return xy / math.sqrt(xx * yy), variation_y
