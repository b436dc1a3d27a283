"""The part of `headroom` for refusals and timeouts: the rate that they allow. Pure, and plain
arithmetic.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from tpssim.core.types import Observation, record

ACCIDENTS = 1.5  # refused calls lately, more of which are no accident: two within 34 calls
FADES = 0.98  # share of them that a served call leaves
PAUSE = 2.0  # calls' time until the next trial, at least
WAIT = 0.15  # x the time for which it has refused: what comes on top of that
ENOUGH, FEW = (
    16.0,
    4.0,
)  # calls that tell a rate: so many were served; or were made, and so few served
AGREE = 0.25  # share by which what was served may differ from the mark that it confirms
ABOVE = 1.15  # x what was served: the mark is no higher
FIRST, LONGER, LAST = (
    64.0,
    4.0,
    1536.0,
)  # calls, x, calls: the cubic's scale at first, when confirmed, at most
TRIPS = 16.0  # x the calls in flight: the scale at first, if that is more
LEAST = 1e-9  # of the wanted rate: no rate is less


@record
class Pace(NamedTuple):
    """What the law remembers of refusals; the fields of `HeadroomState` of the same names."""

    allowed: float
    mark: float
    least: float
    span: float
    asked: float
    served: float
    spent: float
    down: float
    turn: float
    bad: float
    heard: float


def unrefused() -> Pace:
    """Nothing was refused yet."""
    inf = math.inf
    return Pace(inf, inf, inf, FIRST, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, -1.0)


def paced(pace: Pace, obs: Observation, drops: float, rate: float, cut: float) -> Pace:
    """What is known with one more piece of news, of which `drops` are refusals; `rate` was in
    force.

    >>> refused = Observation(1.0, 100.0, 0.01, 0.0, errors=1.0, drops=1.0)
    >>> pace = paced(unrefused(), refused, 1.0, 100.0, 0.93)
    >>> pace.down, paced(pace, refused, 1.0, 100.0, 0.93).down  # one is an accident, two are not
    (-1.0, 0.0)
    """
    allowed, mark, least, span = pace.allowed, pace.mark, pace.least, pace.span
    down, turn, bad = pace.down, pace.turn, pace.bad
    latency = 0.0 if math.isnan(obs.latency) else obs.latency
    fresh = obs.now - latency >= turn  # released since it began to refuse, or ceased to
    good = max(0.0, obs.count - obs.errors)
    asked, served, spent = pace.asked + good + drops, pace.served + good, pace.spent
    passed = 0.0
    if pace.heard >= 0.0:  # a pause in which nothing was asked for says nothing of the service
        passed = max(0.0, min(obs.now - pace.heard, 2.0 * max(1.0 / rate, latency)))
    if down < 0.0:
        spent += passed
        bad = bad * FADES ** min(good, 1e3) + (drops if fresh else 0.0)
        if drops > 0.0 and bad > ACCIDENTS:
            down, turn, allowed, bad = 0.0, obs.now, min(rate, allowed), 0.0
        elif mark < math.inf:
            allowed = along(mark, least, served / span)
            if (
                span == LAST and allowed > ABOVE * mark
            ):  # more is allowed than it was: a search begins here
                mark, least = allowed, allowed
                span = max(FIRST, TRIPS * min(allowed * latency, 1e15))
                asked, served, spent = 0.0, 0.0, 0.0
    elif good > 0.0 and fresh:
        spent += 0.5 * passed  # it refused until some time between the last trial and this one
        if served >= ENOUGH or (asked >= ENOUGH and served >= FEW):
            seen = min(served / spent, allowed) if spent > 0.0 else allowed
            again = abs(seen - mark) <= AGREE * mark if mark < math.inf else False
            span = (
                min(LONGER * span, LAST) if again else max(FIRST, TRIPS * min(seen * latency, 1e15))
            )
            mark, least = min(0.5 * (seen + allowed), ABOVE * seen), cut * seen
            asked, served, spent = 0.0, 0.0, 0.0
        elif mark == math.inf:  # too few to tell a rate
            mark, least = allowed, 0.5 * allowed
            asked, served, spent = 0.0, 0.0, 0.0
        lowest = LEAST * obs.target
        mark, least = max(mark, lowest), max(least, lowest)
        allowed, down, turn = least, -1.0, obs.now
    else:
        spent += passed
        down += passed
    return Pace(allowed, mark, least, span, asked, served, spent, down, turn, bad, obs.now)


def rate_of(pace: Pace, lag: float) -> float:
    """The rate that refusals allow; while all is refused, one that waits a share of that time for a
    trial.

    >>> pace = unrefused()._replace(allowed=100.0, down=4.0)
    >>> round(1.0 / rate_of(pace, 0.0), 3)  # two calls' time, and 0.15 x 4 s
    0.62
    """
    if pace.down < 0.0:
        return pace.allowed
    return 1.0 / (PAUSE / pace.allowed + WAIT * pace.down + lag)


def along(mark: float, least: float, x: float) -> float:
    """The cubic `mark (1 + (x - K)^3)`, `K = (1 - least / mark)^(1/3)`: begins at `least`, flat at
    `mark`.

    >>> along(100.0, 87.5, 0.0), along(100.0, 87.5, 0.5), along(100.0, 87.5, 1.5)
    (87.5, 100.0, 200.0)
    """
    begin: float = max(0.0, 1.0 - least / mark) ** (1.0 / 3.0)
    way = min(x, 1e9) - begin
    return mark * (1.0 + way * way * way)
