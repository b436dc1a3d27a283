"""Recorded arrivals: when each call came, in order, and how many came lately."""

from __future__ import annotations

import math
from collections.abc import Iterable

from tpssim.core.errors import InputError
from tpssim.core.slots import Floats

#: Over how long a law sees their rate, s.
RECENT = 1.0


def checked_arrivals(arrivals: Iterable[float], owner: str) -> tuple[float, ...]:
    """The start times of calls, s from 0, in order; raises `InputError`.

    >>> checked_arrivals([0, 0.5, 0.5], "mine")
    (0.0, 0.5, 0.5)
    """
    allowed = "allowed: start times of calls, s from 0, in order"
    try:
        given = tuple(arrivals)
        if isinstance(arrivals, str | bytes) or any(
            isinstance(t, str | bytes | bool) for t in given
        ):
            raise TypeError
        times = tuple(float(time) for time in given)
    except (TypeError, ValueError):
        raise InputError(f"{owner}: arrivals={arrivals!r:.60}; {allowed}") from None
    if not times:
        raise InputError(f"{owner}: arrivals are empty; {allowed}")
    before = 0.0
    for number, time in enumerate(times):
        if not before <= time < math.inf:
            what = "before the one before it" if 0.0 <= time < before else "out of range"
            raise InputError(f"{owner}: arrival {number} at {time:g} s is {what}; {allowed}")
        before = time
    return times


def arrived(arrivals: Floats, now: float) -> int:
    """How many have come by now.

    >>> arrived([0.0, 0.5, 0.5, 2.0], 0.5)
    3
    """
    low, high = 0, len(arrivals)
    while low < high:
        middle = (low + high) // 2
        if arrivals[middle] <= now:
            low = middle + 1
        else:
            high = middle
    return low


def recent_rate(arrivals: Floats, now: float) -> float:
    """Their mean rate over the last second, (now - 1, now].

    >>> recent_rate([0.0, 0.5, 0.5, 2.0], 1.0)
    2.0
    """
    return (arrived(arrivals, now) - arrived(arrivals, now - RECENT)) / RECENT


def mean_rate(arrivals: Floats) -> float:
    """Their mean rate over the whole recording, of a second at least: what a law begins with.

    >>> mean_rate([0.0, 1.0, 3.0, 4.0]), mean_rate([0.2])
    (1.0, 1.0)
    """
    return len(arrivals) / max(arrivals[-1] - arrivals[0], RECENT)


def until(arrivals: Floats) -> float:
    """How long a run under recorded arrivals is: a second more, for the last calls to end.

    >>> until((0.0, 1.0, 3.5))
    4.5
    """
    return arrivals[-1] + 1.0
