"""What a control plane sees of calls: summed up over a period, and late."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from tpssim.core.types import record
from tpssim.core.validation import Range
from tpssim.core.window import SHORTEST_WINDOW


@record
class Feedback(NamedTuple):
    """Laws observe calls summed up over `period`, and `delay` later, as a central controller of
    many workers does.

    The periods of a producer begin with it. What ended or was refused in one becomes one
    observation: counts, the mean latency and lag, the most in flight; of a period without any there
    is none. With `period` 0 each call is an observation of its own. What a worker does by itself is
    not late: it counts its calls in flight, and waits when an answer says so. A law with a window
    of its own takes a summary as one latency.

    >>> Feedback(period=3.0, delay=1.5).delay
    1.5
    """

    period: Annotated[
        float,
        Range(SHORTEST_WINDOW, 1e6, "s", off=True),
        "how long calls are summed up; 0: each is observed alone",
    ] = 0.0
    delay: Annotated[
        float, Range(0.0, 1e6, "s"), "how long an observation takes to reach the law"
    ] = 0.0

    def conflict(self) -> str:
        if self.period == self.delay == 0.0:
            return "period=0 with delay=0 is no late feedback; allowed: one of them above 0"
        return ""


def period_end(feedback: Feedback, start: float, number: float) -> float:
    """When a period ends, counted from 0, of a producer that came at `start`, s."""
    return start + (number + 1.0) * feedback.period
