"""When the caller gives up, and what its patience hides of the service.

A timeout is a latency that many calls without success have in common, and that no answer exceeds.
A call that was given up may occupy its server for longer than anybody saw, so who comes after it
begins nobody knows when, until even the longest of such calls must be over.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np

from tpssim.core.types import FAILED, OK, TIMED_OUT
from tpssim.experiments.fitting.estimates import Estimate, Unidentified
from tpssim.experiments.fitting.implied import Calls, implied
from tpssim.experiments.fitting.servers import Profile, candidates, least_servers
from tpssim.experiments.fitting.survival import given_up, longest_of
from tpssim.experiments.fitting.thresholds import roundest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tpssim.scenarios.recordings.calls import Recording

    Array = NDArray[np.float64]

MASS = 5  # failed calls of one latency that make a timeout
WIDE = 0.02  # share of a timeout within which its calls are given up
LATE = 1e-3  # share of a timeout by which the number that was meant may be less
ROUNDS = 3  # from the longest service to the service and back
FIRST = 4.0  # timeouts that a service lasts at most, where nothing is known yet
SETTLED = 1.1  # times by which the longest service moves at last


def timeout_of(recording: Recording) -> tuple[Estimate | None, Recording]:
    """How long the caller waits, s, and the recording with all calls that it gave up marked so.

    Where none was, the timeout is no shorter than the longest answer took.

    >>> from tpssim.scenarios.recordings.calls import Recording
    >>> ends = [k + (2.0 if k % 4 == 0 else 0.1) for k in range(40)]
    >>> seen = Recording.of(range(40), ends, [FAILED if k % 4 == 0 else OK for k in range(40)])
    >>> found, marked = timeout_of(seen)
    >>> found.value, int((marked.outcome == TIMED_OUT).sum())
    (2.0, 10)
    """
    outcome, took = recording.outcome, recording.latency
    lost = took[(outcome == TIMED_OUT) & np.isfinite(took)]
    if len(lost) == 0:
        level = _mass(took[outcome == FAILED], took[outcome == OK])
        if level == 0.0:
            answered = took[(outcome == OK) | (outcome == FAILED)]
            longest = float(answered.max(initial=0.0))
            return (Estimate(math.inf, longest, math.inf) if longest else None), recording
        marked = (outcome == FAILED) & (took > (1.0 - WIDE) * level)
        lost = took[marked]
        outcome = np.where(marked, TIMED_OUT, outcome).astype(np.int8)
        recording = dataclasses.replace(recording, outcome=outcome)
    low, middle, high = (float(x) for x in np.quantile(lost, [0.025, 0.5, 0.975]))
    value = middle
    if high <= (1.0 + WIDE) * low:  # who looks at the clock sees it or a little more, never less
        value = roundest(low * (1.0 - LATE), middle * (1.0 + 1e-9))
    return Estimate(value, min(low, value), high), recording


def _mass(failed: Array, well: Array) -> float:
    """The latency that failed calls have in common, longer than which nothing takes; 0 for none.

    >>> _mass(np.array([2.0, 2.0, 2.001, 2.001, 2.002, 0.3]), np.array([0.2, 1.9]))
    2.001
    """
    failed = failed[np.isfinite(failed)]
    if len(failed) < MASS:
        return 0.0
    top = float(np.sort(failed)[-MASS])
    inside = failed[np.abs(failed / top - 1.0) <= WIDE] if top > 0.0 else failed[:0]
    level = float(np.median(inside)) if len(inside) else 0.0
    if len(inside) < MASS or not float(well.max(initial=0.0)) <= level:
        return 0.0
    # Of failures that take any time as many would lie in each stretch as wide just below.
    below = failed[(failed < (1.0 - WIDE) * level) & (failed >= (1.0 - 11.0 * WIDE) * level)]
    expected = len(below) / 5.0 + 0.5
    return level if len(inside) > expected + 5.0 * math.sqrt(expected) else 0.0


def bounded(calls: Calls) -> Calls:
    """The calls with what no service time exceeds, which only the service itself tells."""
    longest = FIRST * calls.patience
    for _ in range(ROUNDS):
        calls = calls._replace(longest=longest)
        found = Profile(calls)
        for servers in candidates(min(least_servers(calls), found.most), found.most):
            found.begin(servers)
        if not found.best:
            break
        best = found.best[found.ranked()[0]]
        seen = implied(calls, best.servers, best.delay)
        times = seen.time[seen.sure & calls.answered]
        ages = given_up(calls, seen, np.ones(len(seen.sure)))
        before = longest
        longest = longest_of(best.density, times, ages, len(calls.start) - len(times))
        if before / SETTLED < longest < before * SETTLED:
            break
    return calls._replace(longest=longest)


def unsaid_of_timeouts(timeout: Estimate | None, left: float, command: str) -> list[Unidentified]:
    """What a caller's patience hides; `left` is the share of services longer than it ever waited
    for.
    """
    said = []
    if timeout is not None and math.isfinite(timeout.value):
        if timeout.high > (1.0 + WIDE) * timeout.low:
            because = (
                f"calls were given up after {timeout.low:.4g} to {timeout.high:.4g} s:"
                " there is no one timeout, and the twin has the middle one"
            )
            said.append(Unidentified("timeout", because, command))
        if left > 0.0:
            because = (
                f"{left:.2%} of the calls take longer than anybody waited for, and nothing of the"
                " catalogue says how long"
            )
            said.append(Unidentified("service times", because, command))
    return said
