"""Time in whole numbers, as originals count it that were written in other languages."""

from __future__ import annotations

from tpssim.core.types import floored


def nanoseconds(seconds: float) -> float:
    """A time in whole nanoseconds, as the originals count; a number of seconds that no clock shows
    is cut.

    >>> nanoseconds(0.010606)
    10606000.0
    """
    return floored(max(min(seconds, 9e9), -9e9) * 1e9 + 0.5)
