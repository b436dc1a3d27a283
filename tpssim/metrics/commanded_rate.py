"""What a law commanded over time, and how long that took to come back and to settle."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tpssim.core.slots import piece_at, target_at
from tpssim.core.types import REFUSED
from tpssim.metrics import timeseries
from tpssim.metrics.layout import (
    BAND,
    BEHIND,
    BEST_BEHIND,
    EDGE,
    END,
    FIRST,
    GRID,
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
        points, behind_points = int(frame.producers[p, FIRST]), int(frame.producers[p, BEHIND])
        times: Any = frame.times[points:behind_points]
        targets: Any = frame.targets[points:behind_points]
        piece = 0
        last, ahead, behind, count = first, first, first, 0.0
        for k in range(size):
            now = t[k]
            while ahead < n and not columns.released[ahead] > now:
                if columns.outcome[ahead] != REFUSED and columns.producer[ahead] == p:
                    last = ahead
                    if hidden:
                        count += columns.cost[ahead]
                ahead += 1
            if hidden:
                while behind < ahead and not columns.released[behind] > now - 1.0:
                    if columns.outcome[behind] != REFUSED and columns.producer[behind] == p:
                        count -= columns.cost[behind]
                    behind += 1
            if start <= now < end:
                if by_limit:
                    out[k] += columns.limit[last]
                    continue
                piece = piece_at(times, now, piece)
                wanted = target_at(times, targets, piece, now)
                if not hidden:
                    out[k] += min(columns.rate[last], wanted)
                elif wanted > 1.0:
                    out[k] += count / min(max(now - start, 1.0 / wanted), 1.0)
                else:
                    out[k] += count


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


def wanted_at_first(times: Any, targets: Any, start: float) -> float:
    """What a law begins with: the wanted rate at the start, or the highest if that is 0."""
    wanted = target_at(times, targets, piece_at(times, start, 0), start)
    if wanted == 0.0:
        for k in range(len(targets)):
            wanted = max(wanted, targets[k])
    return wanted


def own_variation(columns: Columns, n: int, frame: Frame) -> float:
    """The same of the rate under profiles, less what it follows them: a move of the wanted rate
    takes as much off the next moves of the rate that way, when the law has seen it.
    """
    total = 0.0
    for p in range(len(frame.producers)):
        points, behind_points = int(frame.producers[p, FIRST]), int(frame.producers[p, BEHIND])
        times: Any = frame.times[points:behind_points]
        targets: Any = frame.targets[points:behind_points]
        wanted = wanted_at_first(times, targets, frame.producers[p, START])
        before, to_follow, piece = math.nan, 0.0, 0
        for i in range(n):
            now = columns.rate[i]
            if columns.producer[i] != p or columns.outcome[i] == REFUSED or not math.isfinite(now):
                continue
            piece = piece_at(times, columns.released[i], piece)
            wanted_now = target_at(times, targets, piece, columns.released[i])
            if not math.isnan(before) or now == wanted:  # what it began with, and has yet to leave
                to_follow += wanted_now - wanted
            wanted = wanted_now
            if not math.isnan(before):
                followed = min(max(now - before, min(to_follow, 0.0)), max(to_follow, 0.0))
                to_follow -= followed
                total += abs(now - before - followed)
            before = now
    return total


def total_variation(columns: Columns, n: int, frame: Frame) -> float:
    """How far the rate moves in a second beyond what the wanted rate moves, 1/s."""
    if hidden(columns, n):
        return math.nan
    if len(frame.times) == len(frame.producers):  # a point each: no profile
        return variation(columns, n, frame, columns.rate) / frame.duration
    return own_variation(columns, n, frame) / frame.duration


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


def slope_of(levels: Array) -> float:
    """The slope of the line of least squares through the levels of a steady window, a point."""
    middle, total = (GRID - 1) / 2.0, 0.0
    for k in range(GRID):
        total += (k - middle) * levels[k]
    return total / (GRID * (GRID * GRID - 1.0) / 12.0)


def settling(
    columns: Columns,
    n: int,
    frame: Frame,
    which: int,
    final: float,
    slope: float,
    times: Array,
    rates: Array,
) -> float:
    """When the command has come to its line of the steady window, from the start of a long phase
    on.

    `final` is the line's mean; `slope` how far it rises from one point of the window to the next.
    """
    start, end = frame.long[which, START], frame.long[which, END]
    step = (end - start) / SETTLING_GRID
    for k in range(SETTLING_GRID):
        times[k] = k * step + start
    command(columns, n, frame, times, SETTLING_GRID, rates)
    if slope != 0.0:
        window = (start + end) / 2.0
        point = (end - window) / GRID
        centre = window + point * (GRID - 1) / 2.0
        for k in range(SETTLING_GRID):
            rates[k] -= slope * ((times[k] - centre) / point)
    return timeseries.settling_time(times, rates, SETTLING_GRID, final, BAND * final)
