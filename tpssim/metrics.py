"""Measures of one run, each with its definition, unit and source. Reads a trace; starts nothing.

Times are in s, rates in 1/s, shares between 0 and 1. A measure that does not exist for a run is nan.
*Phase*: a stretch between two edges of the disturbances. *Long phase*: one of at least 5 s (or the longest).
*Steady window*: the second half of a long phase. *Achievable*: `min(target, capacity(t))`.
*Commanded rate*: the rate valve as logged at each release, held until the next one.
How they are reckoned stands in `reduction`.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tpssim import signals
from tpssim.compiled.compiling import fast
from tpssim.core import OK
from tpssim.plant import Async, Blocking, Pool
from tpssim.reduction.collecting import collect
from tpssim.reduction.concluding import conclude
from tpssim.reduction.records import (
    ASYNC,
    BLOCKING,
    COUNTERS,
    FAIRNESS,
    GRID,
    POOL,
    Columns,
    Frame,
    Phase,
    Samples,
    one_of,
)
from tpssim.scenario import achievable, capacity, mean_over, mean_service, phases
from tpssim.traces import checked_trace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tpssim.scenario import Scenario
    from tpssim.traces import Trace

    Array = NDArray[np.float64]

FAIR = 0.9  # Jain index
LONG = 5.0  # s; a shorter phase is over before a law can settle


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
        "inf if it never is before the next edge; nan if the capacity never rises or a limit held calls back",
        _OURS,
    ),
    "swing": Metric(
        "share",
        "(95th - 5th percentile) / mean of the commanded rate over time, in the steady window where it is "
        "largest; 0 while nothing is achievable",
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
    "response_p99": Metric(
        "s", "99th percentile of completion - scheduled release", "Tene: coordinated omission"
    ),
    "response_p999": Metric(
        "s", "99.9th percentile of completion - scheduled release", "Tene: coordinated omission"
    ),
    "lag_p99": Metric("s", "99th percentile of release - scheduled release", "wrk2, Nighthawk"),
    "lag_max": Metric("s", "longest release - scheduled release", "wrk2, Nighthawk"),
    "lateness_p50": Metric(
        "s",
        "median of release - scheduled release over the calls for which the producer was free in time: the "
        "timer's part of the lag; nan if a limit or a full queue held calls back",
        "cyclictest",
    ),
    "lateness_p99": Metric("s", "99th percentile of what lateness_p50 is the median of", "cyclictest"),
    "drift": Metric(
        "ppm",
        "growth of the least lag from the first to the last quarter of the last steady window / the time "
        "between them: what is never made up; nan if a limit held calls back",
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
    "stretch": Metric(
        "1",
        "sum of completion - release (of a blocking consumer: - scheduled release) over the sum of the mean "
        "service times without load at the calls' releases; 1: nothing waits",
        "slowdown: Harchol-Balter, Performance Modeling, ch. 7",
    ),
    "regain_time": Metric(
        "s",
        "from each rise of the achievable until 95 % of it have completed within a second, that second "
        "included (0.95 s at an even pace, less in a storm), the longest; inf if they never have before the "
        "next edge; nan if it never rises",
        _OURS,
    ),
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


def long_phases(scenario: Scenario) -> list[tuple[float, float]]:
    """The phases in which a law has time to settle."""
    every = phases(scenario)
    enough = min(LONG, max(end - start for start, end in every))
    return [(start, end) for start, end in every if end - start >= enough]


def _achievable_in(scenario: Scenario, bins: int, width: float) -> Array:
    """The mean of the achievable in each bin, 1/s."""
    found = np.zeros(bins)
    for start, end in phases(scenario):
        for i in range(bins):
            a, b = max(start, i * width), min(end, (i + 1) * width)
            if a < b:
                found[i] += mean_over(scenario, achievable, a, b, 20) * (b - a) / width
    return found


@functools.lru_cache(maxsize=256)
def frame_of(scenario: Scenario) -> Frame:
    """What a scenario comes to for the measures."""

    def table(rows: list[tuple[float, ...]], width: int) -> Array:
        return np.array(rows, dtype=np.float64).reshape(-1, width)

    every = phases(scenario)
    way = scenario.network.mean if scenario.network else 0.0
    calls = [
        (a, b, mean_over(scenario, achievable, a, b) * (b - a), mean_over(scenario, mean_service, a, b) + way)
        for a, b in every
    ]
    rises = [
        (edge, following, best)
        for (_, edge), (_, following) in itertools.pairwise(every)
        if (best := achievable(scenario, edge)) > achievable(scenario, math.nextafter(edge, 0.0))
    ]
    consumer = scenario.consumer
    width = min(1.0, scenario.duration)
    bins = max(1, math.floor(scenario.duration / width + 1e-9))
    return Frame(
        BLOCKING if isinstance(consumer, Blocking) else ASYNC if isinstance(consumer, Async) else POOL,
        consumer.handoff if isinstance(consumer, Async) else 0.0,
        isinstance(consumer, Pool) and consumer.queue < math.inf,
        scenario.target,
        scenario.duration,
        width,
        math.fsum(mean_over(scenario, capacity, a, b) * (b - a) for a, b in every),
        table([tuple(producer) for producer in scenario.producers], 2),
        table([*calls], 4),
        table(
            [
                (a, b, mean_over(scenario, achievable, a, b), mean_over(scenario, capacity, a, b))
                for a, b in long_phases(scenario)
            ],
            4,
        ),
        table([*rises], 3),
        _achievable_in(scenario, bins, width),
    )


def room_for(runs: int, rows: int, frame: Frame) -> Samples:
    """Empty samples of that many runs of at most so many rows."""
    response, lag, lateness = np.empty((3, runs, rows))
    levels, waves = np.empty((2, runs, len(frame.long), GRID))
    return Samples(response, lag, lateness, np.empty((runs, 4)), levels, waves, np.empty(waves.shape[:-1]))


def settled(samples: Samples) -> Array:
    """Sort the samples in place; the autocorrelation of their waves."""
    for values in (samples.response, samples.lag, samples.lateness, samples.levels):
        values.sort(axis=-1)
    acfs = np.full((*samples.powers.shape, GRID // 2), math.nan)
    moves = np.isfinite(samples.powers)
    if moves.any():
        acfs[moves] = signals.correlations(samples.waves[moves], samples.powers[moves])
    return acfs


def measured(trace: Trace) -> tuple[dict[str, float], list[Phase]]:
    """Every measure of `METRICS` for one run, in that order, and a row for each long phase."""
    frame = frame_of(checked_trace(trace).scenario)
    n = len(trace.released)
    columns = Columns(*(np.ascontiguousarray(getattr(trace, name)) for name in Columns._fields))
    counters = np.array([float(trace.meta[name]) for name in COUNTERS])
    samples, out = room_for(1, n, frame), np.empty((1, len(METRICS)))
    rows = np.empty((1, len(frame.long), len(Phase._fields)))
    fast(collect)(columns, n, counters, frame, one_of(samples, 0), rows[0], out[0])
    fast(conclude)(samples, settled(samples), rows, out)
    out[0, FAIRNESS:] = _fairness(trace)
    return dict(zip(METRICS, out[0].tolist(), strict=True)), [Phase(*row) for row in rows[0].tolist()]


def measure(trace: Trace) -> dict[str, float]:
    """Every measure of `METRICS` for one run, in that order; raises `InputError` for anything else."""
    return measured(trace)[0]


def measure_phases(trace: Trace) -> list[Phase]:
    """One row for each long phase."""
    return measured(trace)[1]


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
