"""Measures of what was done against what could be done, over time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from tpssim.core.types import OK
from tpssim.metrics import timeseries
from tpssim.metrics.commanded_rate import bin_of
from tpssim.metrics.layout import (
    BEST_BEHIND,
    BEST_IN_PHASE,
    CALLS,
    EDGE,
    END,
    END_OF_PHASE,
    MOVES,
    NEXT_EDGE,
    RECOVERED,
    SHARE_IN_PHASE,
    START,
    START_OF_PHASE,
    Columns,
    Frame,
)
from tpssim.metrics.places import ACHIEVED, IAE, ITAE, THROUGHPUT, UTILISATION, WORST_PHASE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def served(columns: Columns, n: int) -> tuple[int, float, bool]:
    """How many calls succeeded, what these cost, and whether every call costs 1."""
    count, total, others = 0, 0.0, 0
    for i in range(n):
        cost = columns.cost[i]
        others += 1 if cost != 1.0 else 0
        if columns.outcome[i] == OK:
            count += 1
            total += cost
    return count, total, others == 0


def done_in(
    columns: Columns, n: int, start: float, middle: float, end: float
) -> tuple[float, float]:
    """What the calls cost that succeeded in a stretch, and those of them from its middle on."""
    count, later = 0.0, 0.0
    for i in range(n):
        if columns.outcome[i] == OK and start <= columns.completed[i] < end:
            count += columns.cost[i]
            if columns.completed[i] >= middle:
                later += columns.cost[i]
    return count, later


def fill_achieved(
    columns: Columns, n: int, frame: Frame, done: float, phases: Array, out: Array
) -> None:
    """What was done of what could be done; `done`: in the whole run."""
    got, wanted = 0.0, 0.0
    for k in range(len(frame.phases)):
        start, end, best = frame.phases[k, START], frame.phases[k, END], frame.phases[k, CALLS]
        count, _ = done_in(columns, n, start, start, end)
        got += min(count, best)
        wanted += best
    worst = math.inf
    for which in range(len(frame.long)):
        worst = min(worst, phases[which, SHARE_IN_PHASE])
    out[THROUGHPUT] = done / frame.duration
    out[ACHIEVED] = got / wanted if wanted > 0.0 else math.nan
    out[WORST_PHASE] = worst
    out[UTILISATION] = done / frame.capacity if frame.capacity > 0.0 else math.nan


def reached(curve: Array, start: float, end: float, t: float) -> float:
    """A curve through even points of a stretch at a time in it, linear between them."""
    at = (t - start) / (end - start) * (len(curve) - 1)
    k = min(int(at), len(curve) - 2)
    return float(curve[k] + (curve[k + 1] - curve[k]) * (at - k))


def overshoot(
    columns: Columns, n: int, frame: Frame, last: Array, times: Array, sent: int, alike: bool
) -> float:
    """By how much more was released than was achievable in any second of the last phase; `times`:
    of the calls sent, of which those before it are pushed out; `alike`: every call costs 1.
    """
    start, end, best = last[START_OF_PHASE], last[END_OF_PHASE], last[BEST_IN_PHASE]
    if not best > 0.0:
        return math.nan
    second = min(1.0, end - start)
    moves = frame.long[len(frame.long) - 1, MOVES] > 0.0
    if not moves and alike:
        final = 0
        for i in range(sent):
            if start <= times[i] < end:
                times[final] = times[i]
                final += 1
        most_calls = timeseries.most_in_window(times, final, second)
        return float(max(0.0, most_calls / second / best - 1.0))
    most, excess, inside, ahead = 0.0, 0.0, 0.0, 0
    for i in range(n):
        at = columns.released[i]
        if not start <= at < end:  # nan, if it was refused
            continue
        ahead = max(ahead, i)
        while ahead < n and not columns.released[ahead] >= min(at + second, end):
            if columns.released[ahead] >= at:
                inside += columns.cost[ahead]
            ahead += 1
        most = max(most, inside)
        if moves:
            wanted = reached(frame.curve, start, end, min(at + second, end))
            wanted -= reached(frame.curve, start, end, at)
            excess = max(excess, inside - wanted)
        inside -= columns.cost[i]
    return float(excess / second / best if moves else max(0.0, most / second / best - 1.0))


def put_in_order(times: Array, costs: Array, size: int) -> None:
    """Sort times, and their costs with them (Shell's sort, which is quick where little is out of
    order).

    >>> times, costs = np.array([2.0, 3.0, 1.0]), np.array([20.0, 30.0, 10.0])
    >>> put_in_order(times, costs, 3)
    >>> times.tolist(), costs.tolist()
    ([1.0, 2.0, 3.0], [10.0, 20.0, 30.0])
    """
    gap = size
    while gap > 1:
        gap = max(1, gap * 4 // 9)
        for i in range(gap, size):
            time, cost, k = times[i], costs[i], i
            while k >= gap and times[k - gap] > time:
                times[k], costs[k] = times[k - gap], costs[k - gap]
                k -= gap
            times[k], costs[k] = time, cost


def completions(columns: Columns, n: int, start: float, times: Array, costs: Array) -> int:
    """The times of the successes from `start` on, in order, and what they cost; how many."""
    size, ordered = 0, True
    for i in range(n):
        if columns.outcome[i] == OK and columns.completed[i] >= start:
            times[size], costs[size] = columns.completed[i], columns.cost[i]
            ordered = ordered and (size == 0 or times[size] >= times[size - 1])
            size += 1
    if not ordered:
        put_in_order(times, costs, size)
    return size


def regain(columns: Columns, n: int, frame: Frame, times: Array, costs: Array) -> float:
    """The longest time from a rise of the achievable until as good as that completes in a
    second.
    """
    longest = math.nan
    if len(frame.rises) == 0:
        return longest
    size = completions(columns, n, frame.rises[0, EDGE], times, costs)
    for k in range(len(frame.rises)):
        edge, following = frame.rises[k, EDGE], frame.rises[k, NEXT_EDGE]
        width = min(1.0, following - edge)
        enough = RECOVERED * frame.rises[k, BEST_BEHIND] * width
        took, done, behind = math.inf, 0.0, 0
        for i in range(size):
            now = times[i]
            if now < edge:
                behind = i + 1
                continue
            if now >= following:
                break
            done += costs[i]
            while now - times[behind] > width:
                done -= costs[behind]
                behind += 1
            if done >= enough:
                took = now - edge
                break
        longest = took if math.isnan(longest) else max(longest, took)
    return longest


def fill_tracking(columns: Columns, n: int, frame: Frame, rates: Array, out: Array) -> None:
    """How far throughput is from the achievable, summed over time."""
    bins, width = len(frame.bins), frame.width
    for k in range(bins):
        rates[k] = 0.0
    for i in range(n):
        if columns.outcome[i] == OK and columns.completed[i] <= bins * width:
            rates[bin_of(columns.completed[i], width, bins)] += columns.cost[i]
    iae, itae = 0.0, 0.0
    for k in range(bins):
        error = abs(frame.bins[k] - rates[k] / width) * width
        iae += error
        itae += (k * width + width / 2.0) * error
    out[IAE], out[ITAE] = iae, itae
