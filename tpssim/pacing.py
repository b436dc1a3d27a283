"""When to release: arithmetic on deadlines. This room never reads a clock and never waits."""

from __future__ import annotations

import math


def next_due(previous: float, rate: float, target: float) -> float:
    """The release rule: `previous + 1 / min(rate, target)`, s; a closed rate valve is due at inf.

    >>> next_due(10.0, 50.0, 200.0)
    10.02
    """
    speed = min(rate, target)
    return previous + 1.0 / speed if speed > 0.0 else math.inf
