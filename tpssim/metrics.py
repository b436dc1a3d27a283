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
from tpssim.phase_measures import Phase, by_limit, commanded, completions, count_in, measure_phases
from tpssim.plant import Async, Pool
from tpssim.scenario import achievable, capacity, mean_over, phases

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tpssim.scenario import Scenario
    from tpssim.traces import Trace

    Array = NDArray[np.float64]

RECOVERED = 0.95  # of the achievable
FAIR = 0.9  # Jain index


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
        "inf if it never is before the next edge; nan if the capacity never rises or a limit commands",
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
    "iae": Metric("calls", "integral of |achievable - throughput|, both in means of 1 s", _CONTROL),
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
        "timer's part of the lag; nan if a limit or a full queue held calls back",
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
    "errors": Metric(
        "share", "1 - calls completed / calls released (unfinished ones count)", "SRE book, ch. 4"
    ),
    "refused": Metric("calls", "slots whose call was refused locally", "SRE book, ch. 21"),
    "held": Metric("slots", "slots that the limit valve held back", _OURS),
    "caught_up": Metric("calls", "releases made an interval or more behind the schedule", "tokio: Burst"),
    "re_anchored": Metric("times", "how often the schedule was restarted or cut short", "tokio: Delay"),
    "dropped": Metric("slots", "slots that were missed and dropped", "tokio: Skip; k6: dropped iterations"),
    "fairness": Metric(
        "1",
        "Jain index (sum x)^2 / (n sum x^2) of the producers' throughput in the second half of the time "
        "after the last one came or left",
        "Jain, Chiu & Hawe 1984",
    ),
    "time_to_fairness": Metric(
        "s",
        "from then to the end of the last second with a Jain index below 0.9; inf if that is the last of all",
        _OURS,
    ),
}


def throughput_bins(trace: Trace, width: float) -> tuple[Array, Array]:
    """Mid-points of bins of the given width, s, and the calls completed in each / width, 1/s."""
    n = max(1, math.floor(trace.scenario.duration / width + 1e-9))
    edges = np.arange(n + 1) * width
    counts, _ = np.histogram(completions(trace), edges)
    middle = np.asarray(edges[:-1] + width / 2.0, dtype=np.float64)
    return middle, np.asarray(counts / width, dtype=np.float64)


def _lateness(trace: Trace) -> Array:
    """Lag of the releases for which the producer's thread was free when due, if that can be told."""
    consumer = trace.scenario.consumer
    if trace.meta["held"] > 0.0 or (isinstance(consumer, Pool) and consumer.queue < math.inf):
        return np.array([])
    parts = []
    for index in range(len(trace.scenario.producers)):
        mine = (trace.producer == index) & (trace.outcome != REFUSED)
        released, scheduled = trace.released[mine], trace.scheduled[mine]
        if isinstance(consumer, Async):
            busy = np.full(max(len(released) - 1, 0), consumer.handoff)
        else:
            busy = 0.0 * released[:-1] if isinstance(consumer, Pool) else trace.latency[mine][:-1]
        free = np.concatenate(([0.0], released[:-1] + busy))[: len(released)]
        parts.append((released - scheduled)[free <= scheduled])
    return np.concatenate(parts)


def _recovery(trace: Trace) -> float:
    scenario = trace.scenario
    longest = math.nan
    every = phases(scenario)
    for (_, edge), (_, following) in itertools.pairwise(every):
        best = achievable(scenario, edge)
        if best <= achievable(scenario, math.nextafter(edge, 0.0)) or by_limit(trace):
            continue
        times = trace.released[(trace.released >= edge) & (trace.released < following)]
        enough = times[trace.commanded(times) >= RECOVERED * best]
        took = float(enough[0]) - edge if len(enough) else math.inf
        longest = took if math.isnan(longest) else max(longest, took)
    return longest


def _achievable_in(scenario: Scenario, middle: Array, width: float) -> Array:
    """The mean of the achievable in each bin, 1/s."""
    found = np.zeros(len(middle))
    for start, end in phases(scenario):
        for i, t in enumerate(middle):
            a, b = max(start, t - width / 2.0), min(end, t + width / 2.0)
            if a < b:
                found[i] += mean_over(scenario, achievable, a, b, 20) * (b - a) / width
    return found


def _variation(trace: Trace) -> float:
    total = 0.0
    for index in range(len(trace.scenario.producers)):
        rates = trace.rate[(trace.producer == index) & (trace.outcome != REFUSED)]
        total += signals.total_variation(rates[np.isfinite(rates)])
    return total


def _fairness(trace: Trace) -> tuple[float, float]:
    """(Jain index, time to fairness) from the last time that a producer came or left."""
    scenario = trace.scenario
    if len(scenario.producers) < 2:
        return math.nan, math.nan
    edges = [edge for producer in scenario.producers for edge in producer if edge < scenario.duration]
    start = max(edges)
    here = [i for i, producer in enumerate(scenario.producers) if producer.start <= start < producer.end]
    if len(here) < 2:
        return math.nan, math.nan
    done = trace.outcome == OK
    n = max(1, math.floor(scenario.duration - start))
    bins = start + np.arange(n + 1) * (scenario.duration - start) / n
    counts = np.array([np.histogram(trace.completed[done & (trace.producer == i)], bins)[0] for i in here])
    index = signals.jain(counts)
    total = float(signals.jain(counts[:, n // 2 :].sum(axis=1, keepdims=True))[0])
    unfair = np.flatnonzero(index < FAIR)
    if not len(unfair):
        return total, 0.0
    last = int(unfair[-1]) + 1
    return total, float(bins[last] - start) if last < n else math.inf


def _settling(trace: Trace, phase: Phase) -> float:
    t = np.linspace(phase.start, phase.end, 2000, endpoint=False)
    band = 0.1 * phase.commanded
    return signals.settling_time(t, commanded(trace, t), phase.commanded, band)


def _quantile(values: Array, q: float) -> float:
    return float(np.quantile(values, q)) if len(values) else math.nan


def measure(trace: Trace, rows: list[Phase] | None = None) -> dict[str, float]:
    """Every measure of `METRICS` for one run, in that order; `rows` are its phases if they are known."""
    scenario = trace.scenario
    duration = scenario.duration
    sent = trace.outcome != REFUSED
    released = trace.released[sent]
    ok = trace.outcome == OK
    completed = completions(trace)
    rows = measure_phases(trace) if rows is None else rows
    last = rows[-1]
    widest = max(rows, key=lambda row: row.swing)

    every = [
        (start, end, mean_over(scenario, achievable, start, end) * (end - start))
        for start, end in phases(scenario)
    ]
    got = math.fsum(min(count_in(completed, start, end), best) for start, end, best in every)
    wanted = math.fsum(best for _, _, best in every)
    bears = math.fsum(mean_over(scenario, capacity, a, b) * (b - a) for a, b in phases(scenario))
    width = min(1.0, duration)
    middle, rate = throughput_bins(trace, width)
    error = np.abs(_achievable_in(scenario, middle, width) - rate) * width
    final = released[(released >= last.start) & (released < last.end)]
    second = min(1.0, last.end - last.start)
    peak = signals.most_in_window(final, second) / second
    response = trace.completed[ok] - trace.scheduled[ok]
    lag = released - trace.scheduled[sent]
    lateness = _lateness(trace)
    values = (
        len(completed) / duration,
        got / wanted if wanted > 0.0 else math.nan,
        min(row.share for row in rows),
        len(completed) / bears if bears > 0.0 else math.nan,
        1.0 - last.steady_share,
        max(0.0, peak / last.achievable - 1.0) if last.achievable > 0.0 else math.nan,
        _settling(trace, last),
        _recovery(trace),
        widest.swing,
        widest.regularity,
        widest.period,
        _variation(trace) / duration,
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
        1.0 - float(ok.sum()) / len(released) if len(released) else math.nan,
        float(len(trace.outcome) - sent.sum()),
        *(float(trace.meta[name]) for name in ("held", "caught_up", "re_anchored", "dropped")),
        *_fairness(trace),
    )
    return dict(zip(METRICS, values, strict=True))
