"""What a law makes of a wanted rate that was changed."""

from __future__ import annotations

import math

JUMP = 2.0  # x: a rate that has changed by more between two calls has not moved, but jumped


def followed(rate: float, seen: float, target: float) -> float:
    """The rate after the wanted one went from `seen` to `target`.

    A rate that held nothing back is the new wanted rate at once; one that held back stays, at most
    that.

    >>> followed(100.0, 100.0, 500.0), followed(40.0, 100.0, 500.0), followed(40.0, 100.0, 10.0)
    (500.0, 40.0, 10.0)
    >>> followed(1.0, 0.5, 0.5)  # nothing was changed
    1.0
    """
    if target == seen:
        return rate
    return target if rate >= seen else min(rate, target)


def moved(before: float, after: float) -> float:
    """The mean rate of the time in which it moved evenly from `before` to `after`, so the time from
    one release to the next is 1 of it; nan if it jumped.

    >>> moved(100.0, 100.0), moved(100.0, 102.0), moved(100.0, 14.0)
    (100.0, 101.0, nan)
    """
    if max(before, after) > JUMP * min(before, after):
        return math.nan
    return 0.5 * (before + after)
