"""What a law commanded over time, and how long that took to come back and to settle."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from tpssim.core.types import REFUSED
from tpssim.metrics import timeseries
from tpssim.metrics.layout import (
    BAND,
    BEST_BEHIND,
    EDGE,
    END,
    NEXT_EDGE,
    RECOVERED,
    SETTLING_GRID,
    START,
    Columns,
    Frame,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def limit_commands(columns: Columns, n: int) -> bool:
    """Whether the law leaves the rate open and commands by its limit."""
    for i in range(n):
        if columns.rate[i] != math.inf or not columns.limit[i] < math.inf:
            return False
    return n > 0


def command(columns: Columns, n: int, frame: Frame, t: Array, size: int, out: Array) -> None:
    """What the law commands at sorted times t: of each producer the rate of its last release, in
    sum.

    A rate left open commands the target; one that is hidden (foreign code, nan) is replaced
    by the releases of the last second; a law that leaves it open and sets a limit commands that.
    """
    by_limit = limit_commands(columns, n)
    for k in range(size):
        out[k] = 0.0
    for p in range(len(frame.producers)):
        start, end = frame.producers[p, START], frame.producers[p, END]
        first = -1
        for i in range(n):
            if columns.outcome[i] != REFUSED and columns.producer[i] == p:
                first = i
                break
        if first < 0:
            continue
        hidden = math.isnan(columns.rate[first])
        last, ahead, behind, count = first, first, first, 0.0
        for k in range(size):
            now = t[k]
            while ahead < n and not columns.released[ahead] > now:
                if columns.outcome[ahead] != REFUSED and columns.producer[ahead] == p:
                    last = ahead
                    count += 1.0
                ahead += 1
            if hidden:
                while behind < ahead and not columns.released[behind] > now - 1.0:
                    if columns.outcome[behind] != REFUSED and columns.producer[behind] == p:
                        count -= 1.0
                    behind += 1
            if start <= now < end:
                if by_limit:
                    out[k] += columns.limit[last]
                elif hidden:
                    out[k] += count / min(max(now - start, 1.0 / frame.target), 1.0)
                else:
                    out[k] += min(columns.rate[last], frame.target)


def hidden(columns: Columns, n: int) -> bool:
    """Whether the throttle lets nobody see its rate."""
    calls = 0
    for i in range(n):
        if columns.outcome[i] != REFUSED:
            if not math.isnan(columns.rate[i]):
                return False
            calls += 1
    return calls > 0


def variation(columns: Columns, n: int, frame: Frame, actuator: Array) -> float:
    """The sum of the changes of an actuator from one call to the next, each producer's apart, while
    it is set.
    """
    total = 0.0
    for p in range(len(frame.producers)):
        before = math.nan
        for i in range(n):
            now = actuator[i]
            if columns.producer[i] == p and columns.outcome[i] != REFUSED and math.isfinite(now):
                if not math.isnan(before):
                    total += abs(now - before)
                before = now
    return total


def total_variation(columns: Columns, n: int, frame: Frame) -> float:
    """How far the rate moves in a second, 1/s."""
    return (
        math.nan
        if hidden(columns, n)
        else variation(columns, n, frame, columns.rate) / frame.duration
    )


def churn(
    columns: Columns, n: int, frame: Frame, rate_moves: float, slots: Array, refused: Array
) -> float:
    """How much of its own size moves in a second: of the rate, else of the limit, else of the
    refusals.
    """
    if math.isnan(rate_moves):
        return math.nan
    for i in range(n):
        if columns.outcome[i] != REFUSED and math.isfinite(columns.rate[i]):
            return rate_moves / frame.achievable if frame.achievable > 0.0 else math.nan
    level = 0.0
    for p in range(len(frame.producers)):
        limits, calls = 0.0, 0.0
        for i in range(n):
            if (
                columns.producer[i] == p
                and columns.outcome[i] != REFUSED
                and math.isfinite(columns.limit[i])
            ):
                limits += columns.limit[i]
                calls += 1.0
        level += limits / calls if calls > 0.0 else 0.0
    if level > 0.0:
        return variation(columns, n, frame, columns.limit) / frame.duration / level
    bins = len(frame.bins)
    for k in range(bins):
        slots[k], refused[k] = 0.0, 0.0
    for i in range(n):
        if 0.0 <= columns.scheduled[i] < bins * frame.width:
            k = bin_of(columns.scheduled[i], frame.width, bins)
            slots[k] += 1.0
            refused[k] += 1.0 if columns.outcome[i] == REFUSED else 0.0
    total, before = 0.0, math.nan
    for k in range(bins):
        if slots[k] > 0.0:
            now = refused[k] / slots[k]
            if not math.isnan(before):
                total += abs(now - before)
            before = now
    return total / frame.duration


def bin_of(t: float, width: float, bins: int) -> int:
    """The bin [k width, (k + 1) width) in which a time lies; the last one holds its end too."""
    k = min(int(t / width), bins - 1)
    while k > 0 and t < k * width:
        k -= 1
    while k < bins - 1 and t >= (k + 1) * width:
        k += 1
    return k


def recovery(columns: Columns, n: int, frame: Frame, times: Array, rates: Array) -> float:
    """The longest time from a rise of the achievable until the commanded rate is near it."""
    longest = math.nan
    if limit_commands(columns, n):
        return longest
    for k in range(len(frame.rises)):
        edge, following = frame.rises[k, EDGE], frame.rises[k, NEXT_EDGE]
        best = frame.rises[k, BEST_BEHIND]
        size = 0
        for i in range(n):
            if edge <= columns.released[i] < following:
                times[size] = columns.released[i]
                size += 1
        command(columns, n, frame, times, size, rates)
        took = math.inf
        for i in range(size):
            if rates[i] >= RECOVERED * best:
                took = times[i] - edge
                break
        longest = took if math.isnan(longest) else max(longest, took)
    return longest


def settling(
    columns: Columns, n: int, frame: Frame, final: float, times: Array, rates: Array
) -> float:
    last = len(frame.long) - 1
    start, end = frame.long[last, START], frame.long[last, END]
    step = (end - start) / SETTLING_GRID
    for k in range(SETTLING_GRID):
        times[k] = k * step + start
    command(columns, n, frame, times, SETTLING_GRID, rates)
    return timeseries.settling_time(times, rates, SETTLING_GRID, final, BAND * final)
