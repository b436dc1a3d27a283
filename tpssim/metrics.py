"""Measures of one run, each with its definition, unit and source. Reads a trace; starts nothing.

Times are in s, rates in 1/s, shares between 0 and 1. A measure that does not exist for a run is nan.
*Phase*: a stretch between two edges of the disturbances. *Long phase*: one of at least 5 s (or the longest).
*Steady window*: the second half of a long phase. *Achievable*: `min(target, capacity(t))`.
*Commanded rate*: the rate valve as logged at each release, held until the next one.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tpssim import signals
from tpssim.core import OK, REFUSED
from tpssim.scenarios import Async, achievable, capacity, phases

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tpssim.scenarios import Scenario
    from tpssim.traces import Trace

    Array = NDArray[np.float64]

LONG = 5.0  # s; a shorter phase is over before a law can settle
RECOVERED = 0.95  # of the achievable


class Metric(NamedTuple):
    unit: str
    definition: str
    source: str


_OURS = "tpssim"
_CONTROL = "Astrom & Hagglund, Advanced PID Control (2006), ch. 4"

METRICS = {
    "throughput": Metric("1/s", "calls completed / duration of the run", "queueing: X"),
    "achieved": Metric(
        "share",
        "sum over phases of min(calls completed, achievable calls) / sum of achievable calls; a storm that "
        "makes up for an earlier phase does not count",
        _OURS,
    ),
    "worst_phase": Metric("share", "least (calls completed / achievable calls) of any long phase", _OURS),
    "utilisation": Metric("share", "calls completed / integral of capacity; 0 if unlimited", "queueing: U"),
    "steady_error": Metric(
        "share",
        "1 - calls completed / achievable calls in the last steady window; negative while a backlog "
        "is worked off",
        _CONTROL,
    ),
    "overshoot": Metric(
        "share", "most releases in any 1 s of the last long phase / achievable - 1; 0 if below", _CONTROL
    ),
    "settling_time": Metric(
        "s",
        "from the start of the last long phase to the last exit of the commanded rate from +-10 % of its "
        "mean in the steady window; nan if it leaves the band for good",
        "MATLAB stepinfo, with a band of 10 %",
    ),
    "recovery_time": Metric(
        "s",
        "from each rise of the capacity until the commanded rate is at 95 % of the achievable, the longest; "
        "inf if it never is before the next edge; nan if the capacity never rises",
        _OURS,
    ),
    "swing": Metric(
        "share",
        "(95th - 5th percentile) / mean of the commanded rate over time, in the steady window where it is "
        "largest",
        "peak-to-peak amplitude of a limit cycle, robust to single samples",
    ),
    "regularity": Metric(
        "1", "R of the commanded rate in that window; above 0.5: oscillatory", "Miao & Seborg 1999"
    ),
    "period": Metric(
        "s",
        "period of the commanded rate in that window if it is regular (R > 0.5 and r > 1), else nan",
        "Thornhill, Huang & Zhang 2003",
    ),
    "total_variation": Metric(
        "1/s per s", "sum of |change of the commanded rate| / duration", "Skogestad 2003"
    ),
    "iae": Metric("calls", "integral of |achievable - throughput|, in bins of 1 s", _CONTROL),
    "itae": Metric(
        "calls s", "integral of t |achievable - throughput|, t since the start, in bins of 1 s", _CONTROL
    ),
    "response_p50": Metric("s", "median of completion - scheduled release", "Tene: coordinated omission"),
    "response_p99": Metric("s", "99th percentile of the same", "Tene: coordinated omission"),
    "response_p999": Metric("s", "99.9th percentile of the same", "Tene: coordinated omission"),
    "lag_p99": Metric("s", "99th percentile of release - scheduled release", "wrk2, Nighthawk"),
    "lag_max": Metric("s", "longest release - scheduled release", "wrk2, Nighthawk"),
    "lateness_p50": Metric(
        "s",
        "median of release - scheduled release over the calls for which the producer was free in time: the "
        "timer's part of the lag",
        "cyclictest",
    ),
    "lateness_p99": Metric("s", "99th percentile of the same", "cyclictest"),
    "drift": Metric(
        "ppm",
        "growth of the least lag from the first to the last quarter of the last steady window / the time "
        "between them: what is never made up",
        _OURS,
    ),
    "burst_10ms": Metric("calls", "most releases in any 10 ms", "MoonGen, vayu"),
    "burst_100ms": Metric("calls", "most releases in any 100 ms", "MoonGen, vayu"),
    "spin_cpu": Metric("share", "time spent reading the clock while waiting / duration", _OURS),
}


class Phase(NamedTuple):
    """What happened in one long phase."""

    start: float
    end: float
    achievable: float  #: 1/s
    capacity: float  #: 1/s
    throughput: float  #: 1/s
    share: float  #: calls completed / achievable calls
    steady_share: float  #: the same in its steady window
    steady_load: float  #: calls completed / capacity in its steady window; 0 if unlimited
    commanded: float  #: mean commanded rate in its steady window, 1/s
    swing: float
    regularity: float
    period: float
    drift: float


def commanded_rate(trace: Trace, t: Array) -> Array:
    """The commanded rate at times t: that of the last release at or before each."""
    sent = trace.outcome != REFUSED
    times, rates = trace.released[sent], trace.rate[sent]
    if not len(times):
        return np.full(len(t), np.nan)
    commanded: Array = rates[np.maximum(np.searchsorted(times, t, side="right") - 1, 0)]
    return commanded


def throughput_bins(trace: Trace, width: float) -> tuple[Array, Array]:
    """Mid-points of bins of the given width, s, and the calls completed in each / width, 1/s."""
    n = max(1, math.floor(trace.scenario.duration / width + 1e-9))
    edges = np.arange(n + 1) * width
    counts, _ = np.histogram(_completed(trace), edges)
    middle = np.asarray(edges[:-1] + width / 2.0, dtype=np.float64)
    return middle, np.asarray(counts / width, dtype=np.float64)


def _completed(trace: Trace) -> Array:
    return np.sort(trace.completed[trace.outcome == OK])


def _count(times: Array, start: float, end: float) -> float:
    first, last = np.searchsorted(times, (start, end), side="left")
    return float(last - first)


def long_phases(scenario: Scenario) -> list[tuple[float, float]]:
    """The phases in which a law has time to settle."""
    every = phases(scenario)
    enough = min(LONG, max(end - start for start, end in every))
    return [(start, end) for start, end in every if end - start >= enough]


def measure_phases(trace: Trace) -> list[Phase]:
    """One row for each long phase."""
    scenario = trace.scenario
    completed = _completed(trace)
    rows = []
    for start, end in long_phases(scenario):
        middle = (start + end) / 2.0
        best = achievable(scenario, start)
        count = _count(completed, start, end)
        steady = _count(completed, middle, end) / (end - middle)
        grid = np.linspace(middle, end, 1000, endpoint=False)
        rate = commanded_rate(trace, grid)
        mean = float(np.mean(rate))
        spread = float(np.subtract(*np.quantile(rate, (0.95, 0.05)))) / mean
        _, period = signals.regular_cycle(rate)
        rows.append(
            Phase(
                start,
                end,
                best,
                capacity(scenario, start),
                count / (end - start),
                count / (best * (end - start)),
                steady / best,
                steady / capacity(scenario, start),
                mean,
                spread,
                signals.miao_seborg(rate),
                period * (end - middle) / len(grid),
                _drift(trace, middle, end),
            )
        )
    return rows


def _drift(trace: Trace, start: float, end: float) -> float:
    quarter = (end - start) / 4.0
    lag = trace.released - trace.scheduled
    first = lag[(trace.released >= start) & (trace.released < start + quarter)]
    last = lag[(trace.released >= end - quarter) & (trace.released < end)]
    if not len(first) or not len(last):
        return math.nan
    return float(last.min() - first.min()) / (3.0 * quarter) * 1e6


def _lateness(trace: Trace) -> Array:
    """Lag of the releases for which the producer's thread was free when they were due."""
    sent = trace.outcome != REFUSED
    released, scheduled = trace.released[sent], trace.scheduled[sent]
    consumer = trace.scenario.consumer
    busy = consumer.handoff if isinstance(consumer, Async) else trace.latency[sent][:-1]
    free = np.concatenate(([0.0], released[:-1] + busy))
    late: Array = (released - scheduled)[free <= scheduled]
    return late


def _recovery(trace: Trace) -> float:
    scenario = trace.scenario
    longest = math.nan
    every = phases(scenario)
    for (before, edge), (_, following) in itertools.pairwise(every):
        best = achievable(scenario, edge)
        if best <= achievable(scenario, before):
            continue
        within = (trace.released >= edge) & (trace.released < following) & (trace.rate >= RECOVERED * best)
        took = float(trace.released[within][0]) - edge if within.any() else math.inf
        longest = took if math.isnan(longest) else max(longest, took)
    return longest


def _settling(trace: Trace, phase: Phase) -> float:
    t = np.linspace(phase.start, phase.end, 2000, endpoint=False)
    band = 0.1 * phase.commanded
    return signals.settling_time(t, commanded_rate(trace, t), phase.commanded, band)


def _quantile(values: Array, q: float) -> float:
    return float(np.quantile(values, q)) if len(values) else math.nan


def measure(trace: Trace) -> dict[str, float]:
    """Every measure of `METRICS` for one run, in that order."""
    scenario = trace.scenario
    duration = scenario.duration
    sent = trace.outcome != REFUSED
    released = trace.released[sent]
    ok = trace.outcome == OK
    completed = _completed(trace)
    rows = measure_phases(trace)
    last = rows[-1]
    widest = max(rows, key=lambda row: row.swing)

    every = [(start, end, achievable(scenario, start) * (end - start)) for start, end in phases(scenario)]
    got = math.fsum(min(_count(completed, start, end), best) for start, end, best in every)
    bears = math.fsum(capacity(scenario, start) * (end - start) for start, end in phases(scenario))
    middle, rate = throughput_bins(trace, min(1.0, duration))
    error = np.abs(np.array([achievable(scenario, t) for t in middle]) - rate) * min(1.0, duration)
    final = released[(released >= last.start) & (released < last.end)]
    second = min(1.0, last.end - last.start)
    peak = signals.most_in_window(final, second) / second
    response = trace.completed[ok] - trace.scheduled[ok]
    lag = released - trace.scheduled[sent]
    lateness = _lateness(trace)
    values = (
        len(completed) / duration,
        got / math.fsum(best for _, _, best in every),
        min(row.share for row in rows),
        len(completed) / bears,
        1.0 - last.steady_share,
        max(0.0, peak / last.achievable - 1.0),
        _settling(trace, last),
        _recovery(trace),
        widest.swing,
        widest.regularity,
        widest.period,
        signals.total_variation(trace.rate[sent]) / duration,
        float(error.sum()),
        float((middle * error).sum()),
        *(_quantile(response, q) for q in (0.5, 0.99, 0.999)),
        _quantile(lag, 0.99),
        float(lag.max()) if len(lag) else math.nan,
        _quantile(lateness, 0.5),
        _quantile(lateness, 0.99),
        last.drift,
        float(signals.most_in_window(released, 0.01)),
        float(signals.most_in_window(released, 0.1)),
        trace.meta["spun"] / duration,
    )
    return dict(zip(METRICS, values, strict=True))
