"""The words of a verdict, in order, and which of two settings is the better one by them."""

from __future__ import annotations

import math

#: The words, worst first.
WORDS = ("inert", "exceeds", "stuck", "oscillates", "saturated", "drifts", "converges")

#: More is asked for than is taken: the longer the run, the more is late or lost, however much is
#: achieved meanwhile.
GROWING = ("saturated", "drifts")


def merit(
    word: str, share: float, achieved: float | None, response_p99: float | None
) -> tuple[float, float, float]:
    """Sorts settings, the best first: by verdict, then its share and what is achieved.

    Where a backlog grows what is achieved says nothing: there the shortest response at p99 comes
    first. A word that is no verdict comes last.

    >>> stuck = [("saturated", 1.0, 0.99, 9.8), ("saturated", 0.6, 0.97, 0.6)]
    >>> sorted([*stuck, ("converges", 0.6, 0.9, 0.1)], key=lambda setting: merit(*setting))[0]
    ('converges', 0.6, 0.9, 0.1)
    """
    if word not in WORDS:
        return 1.0, 0.0, 0.0
    rank = -float(WORDS.index(word))
    if word in GROWING:
        return rank, math.inf if response_p99 is None else response_p99, 0.0
    return rank, -share, math.inf if achieved is None else -achieved
