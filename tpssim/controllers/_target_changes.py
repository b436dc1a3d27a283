"""What a law makes of a wanted rate that was changed."""

from __future__ import annotations


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
