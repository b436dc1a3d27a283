"""The part of `headroom` for refusals and timeouts: the rate that they allow. Pure, and plain
arithmetic.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from tpssim.controllers._headroom_windows import latency_at, logarithm
from tpssim.core.types import Observation, record

ACCIDENTS = 1.5  # refused calls lately, more of which are no accident: two within 34 calls
FADES = 0.98  # share of them that a served call leaves
PAUSE = 2.0  # calls' time until the next trial, at least
WAIT = 0.15  # x the time for which it has refused: what comes on top of that
USUAL = 2.0  # x the time of a call, or between two: what passes until the next answer
ENOUGH = 12.0  # calls served from which the rate served can be computed
MOST = 64.0  # as many are always enough; else half of those of the time before
TWICE = 2.0  # x: two rates that are no further apart, of a service that refuses for long, are one
BRIEF = 0.25  # share of the time for which it refused, up to which that was brief
AGREE = 0.25  # share by which two rates may differ that are taken for the same
WAY = 0.5  # from the rate that was served to the one that was refused: there is the mark
KNOWN_WAY = 0.75  # the same once that rate is confirmed
CLOSE = 1.03  # x the rate that the service takes: the mark is no higher
ABOVE = 1.15  # the same where it refused briefly; and x a mark: above that it is no longer valid
FIRST = 64.0  # calls: the scale of the cubic at first
LONGER = 5.0  # x: by how much it grows when the mark is confirmed
SHORTER = 4.0  # x: by how much the scale shrinks where more is allowed than the mark
LAST = 2048.0  # calls: the most that it grows to
TRIPS = 16.0  # x the calls in flight: the scale at first, if that is more
QUICKER = 1.1  # ln of 3: x shorter latencies are those of another service than the mark's
LATELY = 1.0 / 32.0  # weight of a call in the mean of ln latency
MOST_QUICKER = 14.0  # ln of 1e6: the rate rises no more at once
LONGEST = 1e100  # s: no time counts for more
LEAST = 1e-9  # of the target: no rate is less


@record
class Cubic(NamedTuple):
    """The curve along which the allowed rate comes back, by the number of calls served."""

    mark: float  #: rate that the service takes, 1/s; inf before it first refused
    least: float  #: rate at which it begins, 1/s
    span: float  #: how many calls the mark is trusted for
    scale: float  #: of the curve, calls: the span, or less once more is allowed than the mark
    calls: float  #: served since it began


@record
class Served(NamedTuple):
    """What was done since the rate served was last computed."""

    calls: float  #: calls served
    time: float  #: the time that they took, s; pauses of the caller do not count
    down: float  #: of that, the time for which all was refused, s
    dry: float  #: of that, the time since the last call was served, s


@record
class Pace(NamedTuple):
    """What the law remembers of refusals."""

    allowed: float  #: rate that they allow, 1/s; inf before the first
    cubic: Cubic
    served: Served
    down: float  #: how long the service has refused, s; -1 while it does not
    turn: float  #: when it last began to refuse, or ceased to, s
    bad: float  #: calls refused lately
    mean: float  #: rate served when it was last computed, 1/s; 0 before
    of: float  #: from how many calls
    out: float  #: the time of that for which all was refused, s
    refused: float  #: 1 if the last observation was a refusal
    seen: float  #: time of the last observation, s; -1 before the first
    unit: float  #: latency of the first call that was served, s; nan before
    level: float  #: mean of ln(latency / unit) of calls that were served lately
    found: float  #: the same when the mark was found


def unrefused() -> Pace:
    """Nothing was refused yet."""
    return Pace(
        allowed=math.inf,
        cubic=Cubic(mark=math.inf, least=math.inf, span=FIRST, scale=FIRST, calls=0.0),
        served=nothing(),
        down=-1.0,
        turn=0.0,
        bad=0.0,
        mean=0.0,
        of=0.0,
        out=0.0,
        refused=0.0,
        seen=-1.0,
        unit=math.nan,
        level=0.0,
        found=math.nan,
    )


def nothing() -> Served:
    """Nothing was done yet."""
    return Served(calls=0.0, time=0.0, down=0.0, dry=0.0)


def paced(pace: Pace, obs: Observation, drops: float, rate: float, cut: float) -> Pace:
    """The state after one more observation, of which `drops` are refusals; `rate` was in force.

    >>> refused = Observation(1.0, 100.0, 0.01, 0.0, errors=1.0, drops=1.0)
    >>> pace = paced(unrefused(), refused, 1.0, 100.0, 0.93)
    >>> pace.down, paced(pace, refused, 1.0, 100.0, 0.93).down  # one is an accident, two are not
    (-1.0, 0.0)
    """
    latency = took(obs)
    good = max(0.0, obs.count - obs.errors)
    passed = max(0.0, obs.now - pace.seen) if pace.seen >= 0.0 else 0.0
    usual = USUAL * max(1.0 / rate, latency)
    down, turn, allowed = pace.down, pace.turn, pace.allowed
    if down < 0.0 and passed > usual:
        if pace.refused > 0.0 and obs.lag > usual:  # the answer said when to come back
            down, turn, allowed = 0.0, pace.seen, min(allowed, rate)
        else:  # a pause in which nothing was asked for says nothing of the service
            passed = usual
    fresh = obs.now - latency >= turn  # released since it began to refuse, or ceased to
    ends = down >= 0.0 and good > 0.0 and fresh
    if ends:
        # It refused until some time between the last trial and this one, or until an answer let it
        # be released.
        passed = 0.5 * (passed + max(0.0, min(passed, obs.lag)))
    served = Served(
        calls=pace.served.calls + good,
        time=min(pace.served.time + passed, LONGEST),
        down=min(pace.served.down + (passed if down >= 0.0 else 0.0), LONGEST),
        dry=0.0 if good > 0.0 else min(pace.served.dry + passed, LONGEST),
    )
    if ends:
        return served_again(pace, served, obs, cut, allowed)
    if down >= 0.0:
        return refusing(pace, served, obs.now, drops, down + passed, turn, allowed)
    bad = pace.bad * FADES ** min(good, 1e3) + (drops if fresh else 0.0)
    if drops > 0.0 and bad > ACCIDENTS:
        # Since the call was released at the latest, as far as no other was served meanwhile.
        out = served.down + min(served.dry, latency)
        served = Served(calls=served.calls, time=served.time, down=out, dry=served.dry)
        return refusing(pace, served, obs.now, drops, 0.0, obs.now, min(allowed, rate))
    return climbed(pace, served, obs, drops, bad, rate, cut)


def took(obs: Observation) -> float:
    """How long the call took, s; 0 if that is not known."""
    return 0.0 if math.isnan(obs.latency) else obs.latency


def usual_latency(unit: float, level: float, obs: Observation) -> float:
    """How long a call takes, s: this one may have waited for the end of an outage.

    >>> late = Observation(9.0, 100.0, 8.0, 0.0)
    >>> usual_latency(0.5, 0.0, late), usual_latency(math.nan, 0.0, late)
    (0.5, 8.0)
    """
    return took(obs) if math.isnan(unit) else latency_at(unit, level)


def refusing(
    pace: Pace, served: Served, now: float, drops: float, down: float, turn: float, allowed: float
) -> Pace:
    """The state while all is refused."""
    return Pace(
        allowed=allowed,
        cubic=pace.cubic,
        served=served,
        down=down,
        turn=turn,
        bad=0.0,
        mean=pace.mean,
        of=pace.of,
        out=pace.out,
        refused=1.0 if drops > 0.0 else 0.0,
        seen=now,
        unit=pace.unit,
        level=pace.level,
        found=pace.found,
    )


def climbed(
    pace: Pace, served: Served, obs: Observation, drops: float, bad: float, rate: float, cut: float
) -> Pace:
    """The state while calls are served: the allowed rate goes along the cubic."""
    good = max(0.0, obs.count - obs.errors)
    allowed, cubic = pace.allowed, pace.cubic
    unit, level = level_after(pace.unit, pace.level, obs)
    found = pace.found
    if cubic.mark < math.inf and level < found - QUICKER:
        # As much quicker as the service has become, and nothing confirms that yet.
        ratio = math.exp(min(found - level, MOST_QUICKER))
        allowed = ratio * allowed
        cubic = Cubic(mark=ratio * cubic.mark, least=allowed, span=FIRST, scale=FIRST, calls=0.0)
        served, found = nothing(), level
    if cubic.mark < math.inf and rate >= allowed:  # else more is allowed than is tried
        mark, least, scale = cubic.mark, cubic.least, cubic.scale
        calls = cubic.calls + good
        allowed = along(mark, least, cut, calls / scale)
        if allowed > ABOVE * mark:  # it takes more than was known: the curve begins again here
            mark, least, calls = allowed, allowed, 0.0
            served = nothing() if scale >= LAST else served  # what was known for so long is over
            latency = usual_latency(unit, level, obs)
            scale = min(scale, max(scale / SHORTER, first_span(allowed, latency)))
        cubic = Cubic(mark=mark, least=least, span=cubic.span, scale=scale, calls=calls)
    return Pace(
        allowed=allowed,
        cubic=cubic,
        served=served,
        down=-1.0,
        turn=pace.turn,
        bad=bad,
        mean=pace.mean,
        of=pace.of,
        out=pace.out,
        refused=1.0 if drops > 0.0 else 0.0,
        seen=obs.now,
        unit=unit,
        level=level,
        found=found,
    )


def level_after(unit: float, level: float, obs: Observation) -> tuple[float, float]:
    """(unit, level) after one more observation: the first latency, and the mean of ln(latency /
    unit); only what was served counts.

    >>> level_after(math.nan, 0.0, Observation(1.0, 100.0, 0.5, 0.0))
    (0.5, 0.0)
    >>> level_after(0.5, 0.0, Observation(1.0, 100.0, 0.5 * math.exp(3.2), 0.0))
    (0.5, 0.1)
    """
    if obs.drops > 0.0 or obs.errors >= obs.count or not obs.latency > 0.0:
        return unit, level
    if math.isnan(unit):
        return obs.latency, 0.0
    return unit, level + LATELY * (logarithm(obs.latency, unit) - level)


def served_again(pace: Pace, served: Served, obs: Observation, cut: float, allowed: float) -> Pace:
    """The state after the first call that was served again: a new cubic, from what was served."""
    mark, least, span, mean = pace.cubic.mark, pace.cubic.least, pace.cubic.span, pace.mean
    enough = served.calls >= max(ENOUGH, min(0.5 * pace.of, MOST))
    # A short part of a quota's window, between two answers that say when to come back, has another
    # rate than the whole of it.
    known = enough and served.time > BRIEF * pace.out
    if known:
        mean = min(served.calls / served.time, allowed)
        latency = usual_latency(pace.unit, pace.level, obs)
        mark, span = renewed(pace, served, latency, allowed)
        least = (1.0 - (1.0 - cut) * depth(first_span(mark, latency) / span)) * mark
    elif mark == math.inf:  # too few to tell a rate
        mark, least = allowed, 0.5 * allowed
    else:
        least = cut * least
    mark, least = max(mark, LEAST * obs.target), max(least, LEAST * obs.target)
    unit, level = level_after(pace.unit, pace.level, obs)
    return Pace(
        allowed=least,
        cubic=Cubic(mark=mark, least=least, span=span, scale=span, calls=0.0),
        served=nothing() if known or pace.cubic.mark == math.inf else served,
        down=-1.0,
        turn=obs.now,
        bad=0.0,
        mean=mean,
        of=served.calls if known else pace.of,
        out=served.down if known else pace.out,
        refused=0.0,
        seen=obs.now,
        unit=unit,
        level=level,
        found=math.nan if math.isnan(unit) else level,
    )


def renewed(pace: Pace, served: Served, latency: float, allowed: float) -> tuple[float, float]:
    """(mark, span) from what was served since the last ones; `allowed` was refused."""
    mean = min(served.calls / served.time, allowed)
    brief = served.down <= max(BRIEF * served.time, USUAL * latency)
    confirmed = alike(mean, pace.mean)
    takes = mean
    if not brief and pace.mean <= TWICE * mean and mean <= TWICE * pace.mean:
        # About the same as the last time: a quota. The refusals of trials only lower the mean.
        takes = max(mean, pace.mean)
    elif not brief:  # it may have been an outage: what was served before is tried again
        spent = served.time - served.down
        takes = min(served.calls / spent, allowed) if spent > 0.0 else allowed
    span = first_span(takes, latency) if brief or confirmed else FIRST
    if confirmed:
        longer = LONGER if allowed >= pace.cubic.mark else 1.0
        span = max(min(longer * pace.cubic.span, LAST), span)
    mark = takes + (KNOWN_WAY if brief and confirmed else WAY) * (allowed - takes)
    return min(mark, (ABOVE if brief else CLOSE) * takes), span


def alike(rate: float, other: float) -> bool:
    """Whether two rates are taken for the same.

    >>> alike(80.0, 100.0), alike(70.0, 100.0), alike(70.0, math.inf)
    (True, False, False)
    """
    return other < math.inf and abs(rate - other) <= AGREE * other


def first_span(rate: float, latency: float) -> float:
    """The scale of a cubic that nothing has confirmed yet, calls.

    >>> first_span(100.0, 0.01), first_span(100.0, 1.0)
    (64.0, 1600.0)
    """
    return max(FIRST, TRIPS * min(rate * latency, 1e15))


def rate_of(pace: Pace, obs: Observation) -> float:
    """The rate that refusals allow; while all is refused, one that waits a share of that time for a
    trial.

    >>> pace = unrefused()._replace(allowed=100.0, down=4.0)
    >>> served = Observation(1.0, 100.0, 0.01, 0.0)
    >>> round(1.0 / rate_of(pace, served), 3)  # two calls' time, and 0.15 x 4 s
    0.62
    """
    if pace.down >= 0.0:
        # A lag beyond the call's own time is that of an answer, which is over.
        lag = max(0.0, min(obs.lag, took(obs)))
        return 1.0 / (PAUSE / pace.allowed + WAIT * pace.down + lag)
    return pace.allowed


def depth(part: float) -> float:
    """How far below its mark a cubic begins, as a share of `1 - cut`: the longer the mark has been
    confirmed, the less. `part` is the scale that an unconfirmed one has, as a share of its own.

    >>> depth(1.0), depth(0.25), depth(16.0)
    (1.0, 0.5, 1.0)
    """
    return math.sqrt(min(1.0, part))


def along(mark: float, least: float, cut: float, x: float) -> float:
    """The cubic `mark (1 + (x - K)^3)`, `K = max(1 - cut, 1 - least / mark)^(1/3)`, below `mark`
    scaled so that it begins at `least`; without a part below the mark `K = 0`.

    >>> along(100.0, 87.5, 0.875, 0.0), along(100.0, 87.5, 0.875, 0.5)
    (87.5, 100.0)
    >>> along(100.0, 97.5, 0.875, 0.0), along(100.0, 97.5, 0.875, 1.5)
    (97.5, 200.0)
    >>> along(100.0, 100.0, 0.875, 0.0), along(100.0, 100.0, 0.875, 0.5)
    (100.0, 112.5)
    """
    below = max(0.0, 1.0 - least / mark)
    deep = max(below, 1.0 - cut) if below > 0.0 else 0.0
    begin: float = deep ** (1.0 / 3.0)
    way = min(x, 1e9) - begin
    cube = way * way * way
    return mark * (1.0 + (cube * below / deep if way < 0.0 else cube))
