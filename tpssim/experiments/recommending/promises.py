"""What is promised of one more run: what the runs of the model hold, and how far that is off."""

from __future__ import annotations

import math

from tpssim.experiments.fitting.held_out import Check

#: The number of the check that says how far the model is off in a measure.
SEEN_IN = {"goodput": "throughput", "latency_p99": "p99"}


def off(check: Check | None, measure: str) -> float:
    """What the recorded number is of that of the model; 1 where it is one that the model may have
    had, where nothing was recorded, and of a measure of which the check says nothing.
    """
    for row in () if check is None else check.rows:
        if row.name == SEEN_IN.get(measure) and row.simulated > 0.0:
            inside = row.low <= row.recorded <= row.high
            return 1.0 if inside else row.recorded / row.simulated
    return 1.0


def widened(
    measure: str, low: float, high: float, check: Check | None, duration: float
) -> tuple[float, float]:
    """An interval of runs of the model as one of a run of the service: the model may be off as it
    was when it was recorded, or not at all; and a run begins and ends in the middle of a call.

    >>> widened("goodput", 99.0, 101.0, None, 50.0)
    (98.98, 101.02)
    """
    factor = off(check, measure)
    low, high = min(low, factor * low), max(high, factor * high)
    call = 1.0 / duration if measure == "goodput" and math.isfinite(high) else 0.0
    return max(low - call, 0.0), high + call
