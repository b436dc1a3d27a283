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
ENOUGH = 16.0  # calls served from which the rate served can be computed
FEW = 4.0  # as many served are enough if `ENOUGH` were made
AGREE = 0.25  # share by which what was served may differ from the mark that it confirms
ABOVE = 1.15  # x what was served: the mark is no higher
FIRST = 64.0  # calls: the scale of the cubic at first
LONGER = 4.0  # x: by how much it grows when the mark is confirmed
LAST = 1536.0  # calls: the most that it grows to
TRIPS = 16.0  # x the calls in flight: the scale at first, if that is more
LEAST = 1e-9  # of the target: no rate is less


@record
class Cubic(NamedTuple):
    """The curve along which the allowed rate comes back, by the number of calls served."""

    mark: float  #: rate that was served around the last refusals, 1/s; inf before the first
    least: float  #: rate at which it begins, 1/s
    span: float  #: its scale, calls


@record
class Served(NamedTuple):
    """What was asked for and done since the service last refused, or ceased to."""

    asked: float  #: calls that were served or refused
    calls: float  #: calls served
    time: float  #: the time that they took, s; pauses of the caller do not count


@record
class Pace(NamedTuple):
    """What the law remembers of refusals."""

    allowed: float  #: rate that they allow, 1/s; inf before the first
    cubic: Cubic
    served: Served
    down: float  #: how long the service has refused, s; -1 while it does not
    turn: float  #: when it last began to refuse, or ceased to, s
    bad: float  #: calls refused lately
    seen: float  #: time of the last observation, s; -1 before the first


def unrefused() -> Pace:
    """Nothing was refused yet."""
    return Pace(
        allowed=math.inf,
        cubic=Cubic(mark=math.inf, least=math.inf, span=FIRST),
        served=Served(asked=0.0, calls=0.0, time=0.0),
        down=-1.0,
        turn=0.0,
        bad=0.0,
        seen=-1.0,
    )


def paced(pace: Pace, obs: Observation, drops: float, rate: float, cut: float) -> Pace:
    """The state after one more observation, of which `drops` are refusals; `rate` was in force.

    >>> refused = Observation(1.0, 100.0, 0.01, 0.0, errors=1.0, drops=1.0)
    >>> pace = paced(unrefused(), refused, 1.0, 100.0, 0.93)
    >>> pace.down, paced(pace, refused, 1.0, 100.0, 0.93).down  # one is an accident, two are not
    (-1.0, 0.0)
    """
    latency = 0.0 if math.isnan(obs.latency) else obs.latency
    fresh = obs.now - latency >= pace.turn  # released since it began to refuse, or ceased to
    good = max(0.0, obs.count - obs.errors)
    passed = 0.0
    if pace.seen >= 0.0:  # a pause in which nothing was asked for says nothing of the service
        passed = max(0.0, min(obs.now - pace.seen, 2.0 * max(1.0 / rate, latency)))
    ends = pace.down >= 0.0 and good > 0.0 and fresh
    served = Served(
        asked=pace.served.asked + good + drops,
        calls=pace.served.calls + good,
        # It refused until some time between the last trial and the call that ends it.
        time=pace.served.time + (0.5 * passed if ends else passed),
    )
    if ends:
        return served_again(pace, served, obs, latency, cut)
    if pace.down >= 0.0:
        return Pace(
            allowed=pace.allowed,
            cubic=pace.cubic,
            served=served,
            down=pace.down + passed,
            turn=pace.turn,
            bad=pace.bad,
            seen=obs.now,
        )
    bad = pace.bad * FADES ** min(good, 1e3) + (drops if fresh else 0.0)
    if drops > 0.0 and bad > ACCIDENTS:
        return Pace(
            allowed=min(rate, pace.allowed),
            cubic=pace.cubic,
            served=served,
            down=0.0,
            turn=obs.now,
            bad=0.0,
            seen=obs.now,
        )
    return climbed(pace, served, obs.now, latency, bad)


def climbed(pace: Pace, served: Served, now: float, latency: float, bad: float) -> Pace:
    """The state while calls are served: the allowed rate goes along the cubic."""
    allowed, cubic = pace.allowed, pace.cubic
    if cubic.mark < math.inf:
        allowed = along(cubic.mark, cubic.least, served.calls / cubic.span)
        if cubic.span == LAST and allowed > ABOVE * cubic.mark:
            # More is allowed than was known: a search begins here.
            cubic = Cubic(mark=allowed, least=allowed, span=first_span(allowed, latency))
            served = Served(asked=0.0, calls=0.0, time=0.0)
    return Pace(
        allowed=allowed,
        cubic=cubic,
        served=served,
        down=pace.down,
        turn=pace.turn,
        bad=bad,
        seen=now,
    )


def served_again(pace: Pace, served: Served, obs: Observation, latency: float, cut: float) -> Pace:
    """The state after the first call that was served again: a new cubic, from what was served."""
    mark, least, span = pace.cubic.mark, pace.cubic.least, pace.cubic.span
    known = served.calls >= ENOUGH or (served.asked >= ENOUGH and served.calls >= FEW)
    if known:
        seen = min(served.calls / served.time, pace.allowed) if served.time > 0.0 else pace.allowed
        confirmed = abs(seen - mark) <= AGREE * mark if mark < math.inf else False
        span = min(LONGER * span, LAST) if confirmed else first_span(seen, latency)
        mark, least = min(0.5 * (seen + pace.allowed), ABOVE * seen), cut * seen
    elif mark == math.inf:  # too few to tell a rate
        mark, least = pace.allowed, 0.5 * pace.allowed
    if known or pace.cubic.mark == math.inf:
        served = Served(asked=0.0, calls=0.0, time=0.0)
    lowest = LEAST * obs.target
    cubic = Cubic(mark=max(mark, lowest), least=max(least, lowest), span=span)
    return Pace(
        allowed=cubic.least,
        cubic=cubic,
        served=served,
        down=-1.0,
        turn=obs.now,
        bad=pace.bad,
        seen=obs.now,
    )


def first_span(rate: float, latency: float) -> float:
    """The scale of a cubic that nothing has confirmed yet, calls.

    >>> first_span(100.0, 0.01), first_span(100.0, 1.0)
    (64.0, 1600.0)
    """
    return max(FIRST, TRIPS * min(rate * latency, 1e15))


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
