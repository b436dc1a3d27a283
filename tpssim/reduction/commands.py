"""What a law commanded over time, and how long that took to come back and to settle."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from tpssim import signals
from tpssim.core import REFUSED
from tpssim.reduction.records import BAND, RECOVERED, SETTLING_GRID, Columns, Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def limit_commands(columns: Columns, n: int) -> bool:
    """Whether the law leaves the rate valve open and commands by its limit."""
    for i in range(n):
        if columns.rate[i] != math.inf or not columns.limit[i] < math.inf:
            return False
    return n > 0


def command(columns: Columns, n: int, frame: Frame, t: Array, size: int, out: Array) -> None:
    """What the law commands at sorted times t: of each producer the rate of its last release, in sum.

    A rate valve left open commands the target; one that is hidden (foreign code, nan) is replaced by the
    releases of the last second; a law that leaves it open and sets a limit commands that.
    """
    by_limit = limit_commands(columns, n)
    for k in range(size):
        out[k] = 0.0
    for p in range(1 if by_limit else len(frame.producers)):
        start, end = frame.producers[p, 0], frame.producers[p, 1]
        first = -1
        for i in range(n):
            if columns.outcome[i] != REFUSED and (by_limit or columns.producer[i] == p):
                first = i
                break
        if first < 0:
            continue
        hidden = math.isnan(columns.rate[first])
        last, ahead, behind, count = first, first, first, 0.0
        for k in range(size):
            now = t[k]
            while ahead < n and not columns.released[ahead] > now:
                if columns.outcome[ahead] != REFUSED and (by_limit or columns.producer[ahead] == p):
                    last = ahead
                    count += 1.0
                ahead += 1
            if by_limit:
                out[k] = columns.limit[last]
                continue
            if hidden:
                while behind < ahead and not columns.released[behind] > now - 1.0:
                    if columns.outcome[behind] != REFUSED and columns.producer[behind] == p:
                        count -= 1.0
                    behind += 1
            if start <= now < end:
                if hidden:
                    out[k] += count / min(max(now - start, 1.0 / frame.target), 1.0)
                else:
                    out[k] += min(columns.rate[last], frame.target)


def recovery(columns: Columns, n: int, frame: Frame, times: Array, rates: Array) -> float:
    """The longest time from a rise of the achievable until the commanded rate is near it."""
    longest = math.nan
    if limit_commands(columns, n):
        return longest
    for k in range(len(frame.rises)):
        edge, following, best = frame.rises[k, 0], frame.rises[k, 1], frame.rises[k, 2]
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


def settling(columns: Columns, n: int, frame: Frame, final: float, times: Array, rates: Array) -> float:
    last = len(frame.long) - 1
    start, end = frame.long[last, 0], frame.long[last, 1]
    step = (end - start) / SETTLING_GRID
    for k in range(SETTLING_GRID):
        times[k] = k * step + start
    command(columns, n, frame, times, SETTLING_GRID, rates)
    return signals.settling_time(times, rates, SETTLING_GRID, final, BAND * final)
