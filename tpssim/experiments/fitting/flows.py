"""What recorded and simulated calls are compared by: latencies, errors, calls in flight."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tpssim.core.types import FAILED, OK, REFUSED, REJECTED, TIMED_OUT, record
from tpssim.experiments.fitting import windows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tpssim.scenarios.recordings.calls import Recording

    Array = NDArray[np.float64]

FEW = 50  #: calls that a quantile or a mean is of, at least
MANY = 100.0  #: answers of a point of the throughput over calls in flight, at least
MOST = 2000.0  #: calls in flight that are told apart
WINDOWS = 100_000  #: of a recording, at most
TIMES = 60  #: stretches of time in a picture, at most


@record
class Calls(NamedTuple):
    """Calls of a recording or of a run, in the order of their starts; times in s."""

    start: Array
    completion: Array
    outcome: NDArray[np.int8]

    def since(self, t: float) -> Calls:
        """Those that started then or later."""
        first = int(np.searchsorted(self.start, t))
        return Calls(self.start[first:], self.completion[first:], self.outcome[first:])


def calls_of(recording: Recording) -> Calls:
    """The calls that were sent."""
    sent = recording.outcome != REFUSED
    return Calls(recording.start[sent], recording.completion[sent], recording.outcome[sent])


def latencies(calls: Calls) -> Array:
    """The latencies of the calls that went well, s."""
    took: Array = (calls.completion - calls.start)[calls.outcome == OK]
    return took


def errors(calls: Calls) -> float:
    """The share of the calls that failed, timed out or were refused; of those of which nobody knows
    what came of them, as the recording ended before, none is counted.

    >>> from tpssim.core.types import UNFINISHED
    >>> nothing = np.zeros(3)
    >>> errors(Calls(nothing, nothing, np.array([OK, FAILED, UNFINISHED])))
    0.5
    """
    ended = calls.outcome[calls.outcome <= REJECTED]
    return float((ended >= FAILED).mean()) if len(ended) else 0.0


def crowd(calls: Calls) -> Array:
    """Calls in flight when each started, itself included; a refused one is in nobody's way."""
    return windows.in_flight(calls.start, calls.completion, calls.outcome != REJECTED)


def flow(calls: Calls, width: float, most: int) -> tuple[Array, Array, Array]:
    """Of the windows of `width` s with 1, 2, ... calls in flight on average, rounded: answers,
    calls in flight times s, and s.

    A window, because single answers come when the number of calls falls: of four calls that end
    within a moment the last would seem to be one of thousands a second.

    >>> calls = Calls(np.array([0.0, 1.0]), np.array([2.0, 2.5]), np.array([0, 0], np.int8))
    >>> [column.tolist() for column in flow(calls, 1.0, 2)]
    [[0.0, 0.0], [1.0, 2.0], [1.0, 1.0]]
    """
    there = (calls.outcome != REJECTED) & ~np.isnan(calls.completion)
    begun, ended = calls.start[there], calls.completion[there]
    if not len(begun):
        return np.zeros(most), np.zeros(most), np.zeros(most)
    times = np.concatenate([begun, ended])
    order = np.argsort(times, kind="stable")
    times = times[order]
    level = np.cumsum(np.repeat([1.0, -1.0], len(begun))[order])
    work = np.concatenate([[0.0], np.cumsum(level[:-1] * np.diff(times))])
    windows = max(1, math.ceil((times[-1] - times[0]) / width - 1e-9))
    edges = times[0] + width * np.arange(windows + 1)
    inside = np.diff(np.interp(edges, times, work))
    answers = np.histogram(ended[calls.outcome[there] != TIMED_OUT], edges)[0].astype(np.float64)
    place = np.minimum(np.rint(inside / width), most + 1).astype(np.intp)
    columns = (answers, inside, np.full(windows, width))

    def of_each(column: Array) -> Array:
        total = np.bincount(place, weights=column, minlength=most + 2)
        return total[1 : most + 1].astype(np.float64)

    count, load, time = map(of_each, columns)
    return count, load, time


def flows(seen: Calls, made: Sequence[Calls]) -> tuple[Array, Array, Array]:
    """Calls in flight, and the answers per second then, recorded and simulated.

    Each is of windows as long as a median latency. Those with numbers of calls in flight that
    are seldom are taken together with others, so that each point is of `MANY` recorded answers or
    more.
    """
    most = int(min(max(float(np.max(crowd(seen), initial=1.0)), 1.0), MOST))
    took = latencies(seen)
    span = float(seen.start[-1] - seen.start[0]) if len(seen.start) else 1.0
    width = max(float(np.median(took)) if len(took) else 0.0, span / WINDOWS, 1e-9)
    count, load, time = flow(seen, width, most)
    group = np.floor(np.concatenate([[0.0], np.cumsum(count)])[:-1] / MANY).astype(np.intp)
    group = np.unique(group, return_inverse=True)[1]
    last = group.max(initial=0)
    if last > 0 and count[group == last].sum() < MANY:
        group[group == last] = last - 1  # the most that there were are left by answers alone
    runs = [flow(one, width, most) for one in made]
    counts, times = (np.sum([run[i] for run in runs], axis=0) for i in (0, 2))

    def together(values: Array) -> Array:
        return np.bincount(group, weights=values).astype(np.float64)

    with np.errstate(divide="ignore", invalid="ignore"):
        middle = together(load) / together(time)
        recorded = together(count) / together(time)
        simulated = np.where(together(counts) > 0.0, together(counts) / together(times), math.nan)
    there = np.isfinite(middle)
    return middle[there], recorded[there], simulated[there]


def over_time(seen: Calls, made: Sequence[Calls], span: float) -> tuple[Array, ...]:
    """p50 and p99 of the latency by when calls started: recorded, then of all runs."""
    pieces = int(max(1.0, min(TIMES, len(seen.start) / (2.0 * FEW))))
    edges = np.linspace(0.0, max(span, 1e-9), pieces + 1)
    all_runs = Calls(*(np.concatenate(columns) for columns in zip(*made, strict=True)))
    found = [edges]
    for calls in (seen, all_runs):
        well = calls.outcome == OK
        took = (calls.completion - calls.start)[well]
        place = np.clip(np.searchsorted(edges, calls.start[well], "right") - 1, 0, pieces - 1)
        order = np.argsort(place, kind="stable")
        groups = np.split(took[order], np.searchsorted(place[order], np.arange(1, pieces)))
        found += [
            np.array([np.quantile(group, q) if len(group) else math.nan for group in groups])
            for q in (0.5, 0.99)
        ]
    return tuple(found)
