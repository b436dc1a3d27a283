"""Retry-After: when a caller whose quota is used up comes back, by the service's own word."""

from __future__ import annotations

import numpy as np

from tpssim.core.schedule import DELAY
from tpssim.core.types import REJECTED
from tpssim.scenarios.service_quotas import ServiceQuota
from tpssim.scenarios.service_times import Constant
from tpssim.validation.known_answers.common import (
    FIXED,
    Case,
    Found,
    found_in_parts,
    open_queue,
    simulated,
)
from tpssim.validation.vector_cases import Statistic

#: Slots a second, calls that a window takes, its length and the time of an answer, s. Powers of 2,
#: so that no time is rounded; the answer comes between two slots.
RATE, AMOUNT, PER, ANSWER = 128.0, 32, 1.0, 2.5 / 128.0
WINDOWS = 300
EXACT = 1e-9  # s
JUDGED = ("calls", "away from the closed form", "rejected or not")  # of each kind of window


def releases(windows: int) -> tuple[list[float], list[bool]]:
    """When calls are released, and which of them are rejected.

    The first slot of a window is where it opens, for the pacer is closed until then. `AMOUNT` calls
    later it is used up. The next call is rejected and its answer, which says so, comes `ANSWER`
    later; what is released until then is rejected, too. A rolling window opens when its first call
    leaves it, so at the same moments.

    >>> times, rejected = releases(2)
    >>> len(times), sum(rejected), times[34], times[35], times[36] - times[35]
    (70, 6, 0.265625, 1.0, 0.0078125)
    """
    slots = range(AMOUNT + int(ANSWER * RATE) + 1)
    times = [k * PER + j / RATE for k in range(windows) for j in slots]
    return times, [j >= AMOUNT for j in slots] * windows


def _window(window: str, seed: int) -> tuple[list[Statistic], int]:
    quota = ServiceQuota(float(AMOUNT), PER, window=window, retry_after=1.0)
    plant = open_queue(Constant(ANSWER), RATE, 1, poisson=0.0, servers=np.inf, quotas=(quota,))
    (trace,) = simulated(plant._replace(duration=WINDOWS * PER, late=DELAY), FIXED, seed, 1)
    times, rejected = releases(WINDOWS)
    calls = len(trace.released)
    alike = calls == len(times)
    away = float(np.abs(trace.released - times).max()) if alike else np.inf
    wrong = float(((trace.outcome == REJECTED) != rejected).sum()) if alike else np.inf
    judged = ((float(calls), len(times), len(times)), (away, 0.0, EXACT), (wrong, 0.0, 0.0))
    return [
        Statistic(f"{what}, {window}", *numbers)
        for what, numbers in zip(JUDGED, judged, strict=True)
    ], calls


def _comeback(seed: int) -> Found:
    checks = [_window(window, seed) for window in ("fixed", "rolling")]
    parts = [part for found, _ in checks for part in found]
    return found_in_parts(parts, sum(calls for _, calls in checks))


CASES: dict[str, Case] = {
    "Retry-After": Case(
        "a closed window, and the first release after it: each time in closed form",
        _comeback,
    ),
}
