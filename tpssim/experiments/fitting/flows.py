"""What recorded and simulated calls are compared by: response times, errors, calls in flight."""

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
    """The response times of the calls that went well, s."""
    took: Array = (calls.completion - calls.start)[calls.outcome == OK]
    return took


def errors(calls: Calls) -> float:
    """The share of the calls that failed, timed out or were refused."""
    wrong = (calls.outcome >= FAILED) & (calls.outcome <= REJECTED)
    return float(wrong.mean()) if len(wrong) else 0.0


def crowd(calls: Calls) -> Array:
    """Calls in flight when each started, itself included; a refused one is in nobody's way."""
    return windows.in_flight(calls.start, calls.completion, calls.outcome != REJECTED)


def flow(calls: Calls, most: int) -> tuple[Array, Array]:
    """Answers that came while 1, 2, ... calls were in flight, and for how many seconds they were.

    >>> calls = Calls(np.array([0.0, 1.0]), np.array([2.0, 2.5]), np.array([0, 0], np.int8))
    >>> [column.tolist() for column in flow(calls, 2)]
    [[1.0, 1.0], [1.5, 1.0]]
    """
    there = (calls.outcome != REJECTED) & ~np.isnan(calls.completion)
    begun, ended = calls.start[there], calls.completion[there]
    answered = calls.outcome[there] != TIMED_OUT
    times = np.concatenate([begun, ended])
    steps = np.repeat([1, -1], len(begun))
    answers = np.concatenate([np.zeros(len(begun)), answered])
    order = np.lexsort((steps, times))
    level = np.cumsum(steps[order])
    lasting = np.diff(times[order], append=times[order][-1:])
    time = np.bincount(np.clip(level, 0, most + 1), weights=lasting, minlength=most + 2)
    before = np.clip(level - steps[order], 0, most + 1)
    count = np.bincount(before, weights=answers[order], minlength=most + 2)
    inner = slice(1, most + 1)
    return count[inner].astype(np.float64), time[inner].astype(np.float64)


def flows(seen: Calls, made: Sequence[Calls]) -> tuple[Array, Array, Array]:
    """Calls in flight, and the answers per second then, recorded and simulated.

    Numbers of calls that were seldom in flight are taken together with others, so that each point
    is of `MANY` recorded answers or more.
    """
    most = int(min(max(float(np.max(crowd(seen), initial=1.0)), 1.0), MOST))
    count, time = flow(seen, most)
    group = np.floor(np.concatenate([[0.0], np.cumsum(count)])[:-1] / MANY).astype(np.intp)
    group = np.unique(group, return_inverse=True)[1]
    last = group.max(initial=0)
    if last > 0 and count[group == last].sum() < MANY:
        group[group == last] = last - 1  # the most that there were are left by answers alone
    runs = [flow(one, most) for one in made]
    counts, times = (np.sum([run[i] for run in runs], axis=0) for i in (0, 1))

    def together(values: Array) -> Array:
        return np.bincount(group, weights=values).astype(np.float64)

    with np.errstate(divide="ignore", invalid="ignore"):
        middle = together(time * np.arange(1.0, most + 1.0)) / together(time)
        recorded = together(count) / together(time)
        simulated = np.where(together(counts) > 0.0, together(counts) / together(times), math.nan)
    there = np.isfinite(middle)
    return middle[there], recorded[there], simulated[there]


def over_time(seen: Calls, made: Sequence[Calls], span: float) -> tuple[Array, ...]:
    """p50 and p99 of the response time by when calls started: recorded, then of all runs."""
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
