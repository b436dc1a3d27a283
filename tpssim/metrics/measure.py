"""Measures of one run. Reads a trace; starts nothing.

What each is, in words from which it can be computed: `METRICS`, of `definitions`, and `TERMS`.
Times are in s, rates in 1/s, shares between 0 and 1. A measure that does not exist for a run is
nan.
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
from tpssim.metrics.definitions import ENDLESS, METRICS, Metric, definitions
from tpssim.metrics.layout import (
    GRID,
    SETTLING_GRID,
    Columns,
    Frame,
    Phase,
    Samples,
    one_of,
)
from tpssim.metrics.order_statistics import conclude
from tpssim.metrics.places import (
    FAIRNESS,
    TIME_TO_FAIRNESS,
)
from tpssim.metrics.single_pass import collect
from tpssim.metrics.terms import TERMS
from tpssim.scenarios.capacity import (
    achievable,
    asked,
    capacity,
    mean_over,
    mean_service,
    phases,
    varies,
)
from tpssim.scenarios.deadlines import deadline_of
from tpssim.scenarios.drawn import target_points
from tpssim.scenarios.load import arrives, mean_cost, present, profiles, spans, wanted
from tpssim.scenarios.over_time import achievable_at
from tpssim.scenarios.plant import Async, Pool, kind_of
from tpssim.scenarios.scenario import code
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
PARTS = 10_000  # whose mid-points are computed at a time
JUMP = 1e-9  # of the achievable: a ramp is no jump, however steep


def long_phases(scenario: Scenario) -> list[tuple[float, float]]:
    """The phases in which a law has time to settle."""
    every = phases(scenario)
    enough = min(LONG, max(end - start for start, end in every))
    return [(start, end) for start, end in every if end - start >= enough]


def _achievable_in(scenario: Scenario, bins: int, width: float) -> Array:
    """The mean of the achievable in each bin, 1/s."""
    found = np.zeros(bins)
    number = np.arange(bins)
    unit = mean_cost(scenario)
    for start, end in phases(scenario):
        a, b = np.maximum(start, number * width), np.minimum(end, (number + 1) * width)
        inside = np.flatnonzero(a < b)
        if varies(scenario, start, end):
            mean: Any = _means(scenario, a[inside], b[inside])
        else:
            mean = achievable(scenario, start)
        found[inside] += unit * mean * (b[inside] - a[inside]) / width
    return found


def _means(scenario: Scenario, starts: Array, ends: Array) -> Array:
    """The mean of the achievable in each part of a stretch, at 20 mid-points of it."""
    found = []
    for at in range(0, len(starts), PARTS):
        a, b = (edges[at : at + PARTS, np.newaxis] for edges in (starts, ends))
        points = a + (np.arange(20) + 0.5) * (b - a) / 20
        rows: Any = achievable_at(scenario, points.ravel()).reshape(points.shape)
        found += [math.fsum(row) / 20 for row in rows.tolist()]
    return np.array(found)


def frame_of(scenario: Scenario) -> Frame:
    """What a scenario comes to for the measures."""
    return _frame_of(scenario, code(scenario))


@functools.lru_cache(maxsize=256)
def _frame_of(scenario: Scenario, _: tuple[str, ...]) -> Frame:
    def table(rows: list[tuple[float, ...]], width: int) -> Array:
        return np.array(rows, dtype=np.float64).reshape(-1, width)

    # Rates are what the target is of: calls, or their cost.
    unit = mean_cost(scenario)

    def mean(what: Callable[..., float], a: float, b: float) -> float:
        return unit * mean_over(scenario, what, a, b)

    every, consumer = phases(scenario), scenario.consumer
    way = scenario.network.mean if scenario.network else 0.0
    calls = [
        (
            a,
            b,
            mean(achievable, a, b) * (b - a),
            mean_over(scenario, mean_service, a, b) + way,
        )
        for a, b in every
    ]
    long, settles = long_phases(scenario), profile_edges(scenario)
    rows = []
    for a, b in long:
        best, most = mean(achievable, a, b), mean(capacity, a, b)
        row, last = (a, b, best, most, best, most, 0.0), float(a in settles or (a, b) == long[-1])
        if moves(scenario, a, b):
            middle = (a + b) / 2.0
            at_last = mean(achievable, middle, b), mean(capacity, middle, b)
            row = (a, b, best, most, *at_last, 1.0)
        rows.append((*row, last))
    times, targets, producers = _wanted_over_time(scenario)
    width = min(1.0, scenario.duration)
    bins = max(1, math.floor(scenario.duration / width + 1e-9))
    return Frame(
        consumer=kind_of(consumer),
        handoff=consumer.handoff if isinstance(consumer, Async) else 0.0,
        bounded=isinstance(consumer, Pool) and consumer.queue < math.inf,
        duration=scenario.duration,
        width=width,
        capacity=math.fsum(mean(capacity, a, b) * (b - a) for a, b in every),
        achievable=math.fsum(best for _, _, best, _ in calls) / scenario.duration,
        producers=table([*producers], 4),
        times=times,
        targets=targets,
        phases=table([*calls], 4),
        long=table([*rows], 8),
        rises=table([*_rises(scenario)], 3),
        bins=_achievable_in(scenario, bins, width),
        curve=_curve(scenario, *long[-1]),
        deadline=deadline_of(scenario),
        poisson=scenario.poisson > 0.0,
        arrivals=np.array(scenario.arrivals or ()),
        arriving=next(
            (p for p, one in enumerate(scenario.producers) if arrives(scenario, one)), -1
        ),
        unit=unit,
    )


def profile_edges(scenario: Scenario) -> set[float]:
    """When a stage of any target begins or ends, s."""
    return {time for stages in profiles(scenario) for time in stages.points()[0]}


def moves(scenario: Scenario, start: float, end: float) -> bool:
    """Whether the wanted rate moves within a stretch without edges."""
    return wanted(scenario, start) != wanted(scenario, (start + end) / 2.0)


def _wanted_over_time(
    scenario: Scenario,
) -> tuple[Array, Array, list[tuple[float, float, float, float]]]:
    """The points of what each producer wants, and a row of each with its own: see `Frame`."""
    times: list[float] = []
    targets: list[float] = []
    rows = []
    for producer, points in zip(scenario.producers, target_points(scenario), strict=True):
        first = len(times)
        times += points[0]
        targets += points[1]
        rows.append((producer.start, producer.end, float(first), float(len(times))))
    return np.array(times), np.array(targets), rows


def _curve(scenario: Scenario, start: float, end: float) -> Array:
    """Achievable calls since the start of a phase, at even points of it; none if the wanted rate
    stands still.
    """
    if not moves(scenario, start, end):
        return np.empty(0)
    width = (end - start) / SETTLING_GRID
    middles = [start + (k + 0.5) * width for k in range(SETTLING_GRID)]
    calls = np.array([achievable(scenario, t) for t in middles]) * mean_cost(scenario) * width
    return np.concatenate([[0.0], np.cumsum(calls)])


def _rises(scenario: Scenario) -> list[tuple[float, float, float]]:
    """(edge, next edge, achievable behind it) where the achievable jumps up, or a profile ends an
    overload.
    """
    found, edges, too_much = [], profile_edges(scenario), False
    for (start, edge), (_, following) in itertools.pairwise(phases(scenario)):
        best, just_before = achievable(scenario, edge), math.nextafter(edge, 0.0)
        too_much = too_much or overloaded(scenario, (start + edge) / 2.0)  # in this stage
        rises = best * (1.0 - JUMP) > achievable(scenario, just_before)
        relief = edge in edges and too_much and best > 0.0 and not overloaded(scenario, edge)
        if rises or relief:
            if moves(scenario, edge, following):  # where it falls, less will do
                best = min(best, mean_over(scenario, achievable, edge, following))
            found.append((edge, following, best * mean_cost(scenario)))
        too_much = too_much and edge not in edges
    return found


def overloaded(scenario: Scenario, t: float) -> bool:
    """Whether more is wanted at t than the plant can take."""
    return asked(scenario, t) > capacity(scenario, t)


def room_for(runs: int, rows: int, frame: Frame) -> Samples:
    """Empty samples of that many runs of at most so many rows."""
    response, lag, lateness, took = np.empty((4, runs, rows))
    levels, waves = np.empty((2, runs, len(frame.long), GRID))
    times, values = np.empty((2, max(rows, SETTLING_GRID, len(frame.bins))))
    return Samples(
        response,
        lag,
        lateness,
        took,
        np.empty((runs, 5)),
        levels,
        waves,
        np.empty(waves.shape[:-1]),
        times,
        values,
    )


def settled(samples: Samples) -> Array:
    """Sort the samples in place; the autocorrelation of their waves."""
    for values in (samples.response, samples.lag, samples.lateness, samples.took, samples.levels):
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
    fast(collect, counted=False)(columns, n, counters, frame, one_of(samples, 0), rows[0], out[0])
    fast(conclude, counted=False)(samples, settled(samples), rows, out)
    out[0, [FAIRNESS, TIME_TO_FAIRNESS]] = fairness(
        trace.scenario, trace.outcome, trace.completed, trace.producer, trace.cost
    )
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


def fairness(
    scenario: Scenario, outcome: Any, completed: Array, producer: Any, cost: Array
) -> tuple[float, float]:
    """(Jain index, time to fairness) from the last time that a producer came or left."""
    if len(scenario.producers) < 2:
        return math.nan, math.nan
    edges = [edge for span in spans(scenario) for edge in span if edge < scenario.duration]
    start = max(edges)
    here = [i for i, known in enumerate(scenario.producers) if present(known, start)]
    if len(here) < 2:
        return math.nan, math.nan
    done = outcome == OK
    n = max(1, math.floor(scenario.duration - start))
    bins = start + np.arange(n + 1) * (scenario.duration - start) / n
    each = [done & (producer == i) for i in here]
    counts = np.array([np.histogram(completed[one], bins, weights=cost[one])[0] for one in each])
    counts = counts / np.array([[scenario.producers[i].weight] for i in here])
    index = timeseries.jain(counts)
    total = float(timeseries.jain(counts[:, n // 2 :].sum(axis=1, keepdims=True))[0])
    unfair = np.flatnonzero(index < FAIR)
    if not len(unfair):
        return total, 0.0
    last = int(unfair[-1]) + 1
    return total, float(bins[last] - start) if last < n else math.inf
