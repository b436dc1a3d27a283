"""Measures of one run. Reads a trace; starts nothing.

What each is, in words from which it can be computed: `METRICS` and `TERMS`, of `definitions`. Times
are in s, rates in 1/s, shares between 0 and 1. A measure that does not exist for a run is nan.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tpssim.core.types import OK
from tpssim.metrics import timeseries
from tpssim.metrics.definitions import ENDLESS, METRICS, TERMS, Metric, definitions
from tpssim.metrics.layout import (
    FAIRNESS,
    GRID,
    TIME_TO_FAIRNESS,
    Columns,
    Frame,
    Phase,
    Samples,
    one_of,
)
from tpssim.metrics.order_statistics import conclude
from tpssim.metrics.single_pass import collect
from tpssim.scenarios.plant import Async, Pool, kind_of
from tpssim.scenarios.scenario import (
    achievable,
    capacity,
    code,
    mean_over,
    mean_service,
    phases,
    varies,
)
from tpssim.simulation.compiled.compiling import fast
from tpssim.simulation.trace import COUNTERS, checked_trace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tpssim.scenarios.scenario import Scenario
    from tpssim.simulation.trace import Trace

    Array = NDArray[np.float64]

__all__ = ["ENDLESS", "METRICS", "TERMS", "Metric", "definitions", "measure", "measure_phases"]

FAIR = 0.9  # Jain index
LONG = 5.0  # s; a shorter phase is over before a law can settle


def long_phases(scenario: Scenario) -> list[tuple[float, float]]:
    """The phases in which a law has time to settle."""
    every = phases(scenario)
    enough = min(LONG, max(end - start for start, end in every))
    return [(start, end) for start, end in every if end - start >= enough]


def _achievable_in(scenario: Scenario, bins: int, width: float) -> Array:
    """The mean of the achievable in each bin, 1/s."""
    found = np.zeros(bins)
    number = np.arange(bins)
    for start, end in phases(scenario):
        a, b = np.maximum(start, number * width), np.minimum(end, (number + 1) * width)
        inside = np.flatnonzero(a < b)
        if varies(scenario, start, end):
            mean: Any = [mean_over(scenario, achievable, a[i], b[i], 20) for i in inside]
        else:
            mean = achievable(scenario, start)
        found[inside] += mean * (b[inside] - a[inside]) / width
    return found


def frame_of(scenario: Scenario) -> Frame:
    """What a scenario comes to for the measures."""
    return _frame_of(scenario, code(scenario))


@functools.lru_cache(maxsize=256)
def _frame_of(scenario: Scenario, _: tuple[str, ...]) -> Frame:
    def table(rows: list[tuple[float, ...]], width: int) -> Array:
        return np.array(rows, dtype=np.float64).reshape(-1, width)

    def mean(what: Callable[..., float], a: float, b: float) -> float:
        return mean_over(scenario, what, a, b)

    every, consumer = phases(scenario), scenario.consumer
    way = scenario.network.mean if scenario.network else 0.0
    calls = [
        (a, b, mean(achievable, a, b) * (b - a), mean(mean_service, a, b) + way) for a, b in every
    ]
    long = [(a, b, mean(achievable, a, b), mean(capacity, a, b)) for a, b in long_phases(scenario)]
    width = min(1.0, scenario.duration)
    bins = max(1, math.floor(scenario.duration / width + 1e-9))
    return Frame(
        consumer=kind_of(consumer),
        handoff=consumer.handoff if isinstance(consumer, Async) else 0.0,
        bounded=isinstance(consumer, Pool) and consumer.queue < math.inf,
        target=scenario.target,
        duration=scenario.duration,
        width=width,
        capacity=math.fsum(mean(capacity, a, b) * (b - a) for a, b in every),
        achievable=math.fsum(best for _, _, best, _ in calls) / scenario.duration,
        producers=table([tuple(producer) for producer in scenario.producers], 2),
        phases=table([*calls], 4),
        long=table([*long], 4),
        rises=table([*_rises(scenario)], 3),
        bins=_achievable_in(scenario, bins, width),
    )


def _rises(scenario: Scenario) -> list[tuple[float, float, float]]:
    """(edge, next edge, achievable behind it) where the achievable rises."""
    return [
        (edge, following, best)
        for (_, edge), (_, following) in itertools.pairwise(phases(scenario))
        if (best := achievable(scenario, edge)) > achievable(scenario, math.nextafter(edge, 0.0))
    ]


def room_for(runs: int, rows: int, frame: Frame) -> Samples:
    """Empty samples of that many runs of at most so many rows."""
    response, lag, lateness = np.empty((3, runs, rows))
    levels, waves = np.empty((2, runs, len(frame.long), GRID))
    return Samples(
        response, lag, lateness, np.empty((runs, 4)), levels, waves, np.empty(waves.shape[:-1])
    )


def settled(samples: Samples) -> Array:
    """Sort the samples in place; the autocorrelation of their waves."""
    for values in (samples.response, samples.lag, samples.lateness, samples.levels):
        values.sort(axis=-1)
    acfs = np.full((*samples.powers.shape, GRID // 2), math.nan)
    moves = np.isfinite(samples.powers)
    if moves.any():
        acfs[moves] = timeseries.correlations(samples.waves[moves], samples.powers[moves])
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
    out[0, [FAIRNESS, TIME_TO_FAIRNESS]] = _fairness(trace)
    return dict(zip(METRICS, out[0].tolist(), strict=True)), [
        Phase(*row) for row in rows[0].tolist()
    ]


def measure(trace: Trace) -> dict[str, float]:
    """Every measure of `METRICS` for one run, in that order; raises `InputError` for anything else.

    >>> from tpssim import simulate
    >>> measure(simulate("fast-async:duration=5", "fixed"))["drift"]
    0.0
    """
    return measured(trace)[0]


def measure_phases(trace: Trace) -> list[Phase]:
    """One row for each long phase."""
    return measured(trace)[1]


def _fairness(trace: Trace) -> tuple[float, float]:
    """(Jain index, time to fairness) from the last time that a producer came or left."""
    scenario = trace.scenario
    if len(scenario.producers) < 2:
        return math.nan, math.nan
    edges = [
        edge for producer in scenario.producers for edge in producer if edge < scenario.duration
    ]
    start = max(edges)
    here = [
        i for i, producer in enumerate(scenario.producers) if producer.start <= start < producer.end
    ]
    if len(here) < 2:
        return math.nan, math.nan
    done = trace.outcome == OK
    n = max(1, math.floor(scenario.duration - start))
    bins = start + np.arange(n + 1) * (scenario.duration - start) / n
    counts = np.array(
        [np.histogram(trace.completed[done & (trace.producer == i)], bins)[0] for i in here]
    )
    index = timeseries.jain(counts)
    total = float(timeseries.jain(counts[:, n // 2 :].sum(axis=1, keepdims=True))[0])
    unfair = np.flatnonzero(index < FAIR)
    if not len(unfair):
        return total, 0.0
    last = int(unfair[-1]) + 1
    return total, float(bins[last] - start) if last < n else math.inf
