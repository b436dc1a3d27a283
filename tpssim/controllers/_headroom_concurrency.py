"""The half of `headroom` for calls that overlap: how many may be in flight. Pure, and plain
arithmetic.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from tpssim.controllers._headroom_base import Base, Tuning, based, equivalent, is_queued
from tpssim.controllers._headroom_steps import (
    AT_FIRST,
    PROBE,
    Allowance,
    drained,
    kept,
    no_cut,
    one_fewer,
    opened_up,
    probe,
    restored,
    stepped,
    verdict,
    without_queue,
)
from tpssim.controllers._headroom_windows import (
    FEW,
    LONGER,
    LOST,
    SAMPLES,
    Spread,
    Tally,
    begun,
    counted,
    latency_at,
    measured,
    spread_after,
    spread_at_first,
)
from tpssim.core.types import Observation, ceiled, floored, record

FIRST_LASTS = 8.0  # x the latency that it shows: the first window
CROWD = 8.0  # calls in flight, which would queue while the first window goes on
PROMPT = 2.0  # x the latency without queue: a refusal that took no longer is for want of a place
REACHED = 0.75  # of the calls allowed: as many were in flight where the limit was used
MET = 0.98  # of the target: that is what is wanted
FADED = 0.98  # of the most in flight among which one was served, a window later


@record
class Refused(NamedTuple):
    """When calls were in flight that were refused in the end."""

    since: float  #: from then, s
    last: float  #: until the last answer, s
    taken: float  #: a call released before was among those of before a place was taken, s


@record
class Flight(NamedTuple):
    """What the law remembers of calls in flight."""

    tally: Tally
    spread: Spread
    base: Base
    allowance: Allowance
    unit: float  #: the first latency, s; nan before
    queued: float  #: 1 if the last window had a sure queue
    proven: float  #: most in flight lately among which one was served, and none refused
    refused: Refused


def opened(now: float) -> Flight:
    """Nothing known, and a window that begins."""
    allowance = Allowance(
        calls=AT_FIRST,
        open=1.0,
        before=no_cut(),
        drain=0.0,
        fresh=-math.inf,
        probing=0.0,
        probed=0.0,
        places=math.inf,
        top=0.0,
    )
    return Flight(
        tally=begun(now),
        spread=spread_at_first(),
        base=Base(
            level=math.nan, variance=0.0, number=1.0, held=0.0, least=math.nan, least_number=1.0
        ),
        allowance=allowance,
        unit=math.nan,
        queued=0.0,
        proven=0.0,
        refused=Refused(since=-math.inf, last=-math.inf, taken=-math.inf),
    )


def crowded(flight: Flight, obs: Observation) -> bool:
    """Whether the call was refused for want of a place: at once, among more than any lately served.

    >>> flight = opened(0.0)
    >>> flight = flight._replace(proven=20.0, unit=0.1, base=Base(0.0, 0.4, 4.0, 1.0, 0.0, 4.0))
    >>> refused = Observation(1.0, 100.0, 0.1, 0.0, errors=1.0, in_flight=22.0, drops=1.0)
    >>> crowded(flight, refused), crowded(flight, refused._replace(in_flight=20.0))
    (True, False)
    """
    allowance = flight.allowance
    if not is_prompt(flight, obs):
        return False
    full = obs.in_flight >= floored(allowance.calls)
    return (full and is_settled(flight, obs.now - obs.latency)) or obs.in_flight > ceiled(
        flight.proven
    )


def is_prompt(flight: Flight, obs: Observation) -> bool:
    """Whether the call was refused at once."""
    longest = PROMPT * latency_at(flight.unit, flight.base.level)
    return obs.drops > 0.0 and obs.latency <= longest


def is_settled(flight: Flight, released: float) -> bool:
    """Whether a call that was released then came after the last cut and the last place taken."""
    return flight.allowance.drain == 0.0 and released >= flight.refused.taken


def queued_out(flight: Flight, obs: Observation, tuning: Tuning) -> bool:
    """Whether the call timed out in a queue that the limit has let grow: the others queue as well,
    or the limit has just been cut.
    """
    tally, longest = flight.tally, PROMPT * latency_at(flight.unit, flight.base.level)
    if not (obs.drops > 0.0 and obs.drops >= obs.count and obs.latency > longest):
        return False
    if obs.now < tally.begun:
        return True
    if tally.number < FEW:
        return flight.queued > 0.0
    return is_queued(flight.base, measured(tally, flight.spread), tuning)


def tallied(flight: Flight, obs: Observation, timed: bool, crowd: bool) -> Flight:
    """The window with one more observation. `timed`: it has a latency; `crowd`: see `crowded`."""
    tally, allowance, unit, proven = flight.tally, flight.allowance, flight.unit, flight.proven
    refused = flight.refused if timed else among(flight.refused, obs)
    if allowance.drain > 0.0 and obs.peak <= allowance.drain:
        allowance = drained(allowance)
        tally = begun(obs.now + latency_at(unit, allowance.before.level))
    if timed:
        if not was_among(refused, obs):
            proven = max(proven, obs.in_flight)
        if math.isnan(unit) and obs.latency > 0.0:
            unit = obs.latency
    elif crowd and obs.in_flight <= allowance.calls + 1.0:
        allowance = one_fewer(allowance, obs)
        refused = Refused(since=refused.since, last=refused.last, taken=allowance.fresh)
    return Flight(
        tally=counted(tally, obs, unit, timed, math.isnan(flight.base.level)),
        spread=flight.spread,
        base=flight.base,
        allowance=allowance,
        unit=unit,
        queued=flight.queued,
        proven=proven,
        refused=refused,
    )


def among(old: Refused, obs: Observation) -> Refused:
    """The same after a call that was not served: if it was refused, it was in flight as well.

    >>> among(Refused(1.0, 2.0, 0.0), Observation(2.5, 100.0, 0.75, 0.0, errors=1.0, drops=1.0))
    Refused(since=1.0, last=2.5, taken=0.0)
    >>> among(Refused(1.0, 2.0, 0.0), Observation(2.5, 100.0, 0.25, 0.0, errors=1.0, drops=1.0))
    Refused(since=2.25, last=2.5, taken=0.0)
    """
    if not (obs.drops > 0.0 and obs.latency >= 0.0):
        return old
    released = obs.now - obs.latency
    since = min(old.since, released) if released <= old.last else released
    return Refused(since=since, last=obs.now, taken=old.taken)


def was_among(refused: Refused, obs: Observation) -> bool:
    """Whether refused calls were in flight when this one was released: then those that were is no
    number that the service takes.

    >>> served = Observation(2.5, 100.0, 1.0, 0.0)
    >>> was_among(Refused(1.0, 2.0, 0.0), served), was_among(Refused(1.5, 2.0, 0.0), served)
    (True, False)
    """
    return refused.since < obs.now - obs.latency <= refused.last


def is_over(flight: Flight, now: float, tuning: Tuning) -> bool:
    """Whether the window ends with the completion at `now`."""
    tally, allowance, base = flight.tally, flight.allowance, flight.base
    span = now - tally.begun
    if allowance.drain > 0.0 or not (span > 0.0 and tally.number >= FEW):
        return False
    if tally.lost >= LOST:
        return True
    if math.isnan(base.level):
        return tally.passed > SAMPLES or tally.peak > CROWD or lasted(tally, span, flight.unit)
    if not (tally.number >= SAMPLES and span >= latency_at(flight.unit, base.level)):
        return False
    found = measured(tally, flight.spread)
    cuts = allowance.open == 0.0 and tally.begun >= allowance.fresh
    if cuts and tally.number < LONGER and is_queued(base, found, tuning):
        return False
    return verdict(allowance, base, found) != 0.0


def lasted(tally: Tally, span: float, unit: float) -> bool:
    """Whether the first window was long beside its latencies: of calls that began together the
    short ones end first, so those of a window that is hardly longer are too short.

    >>> two = begun(0.0)._replace(number=2.0, logs=2.0 * math.log(3.0))  # 3 units each
    >>> lasted(two, 4.0, 0.2), lasted(two, 5.0, 0.2)  # 8 x 0.6 s = 4.8 s
    (False, True)
    """
    return span >= FIRST_LASTS * latency_at(unit, tally.logs / tally.number)


def closed(flight: Flight, now: float, target: float, full: bool, tuning: Tuning) -> Flight:
    """What follows from the window, and a new one. `full`: the limit was reached in it."""
    tally, old, base = flight.tally, flight.allowance, flight.base
    found = measured(tally, flight.spread)
    queued = 0.0
    if math.isnan(base.level):
        base = Base(
            level=found.level,
            variance=found.variance,
            number=equivalent(found),
            held=found.held,
            least=found.level,
            least_number=equivalent(found),
        )
        allowance = opened_up(old, found, now + latency_at(flight.unit, found.level))
    else:
        fresh = tally.begun >= old.fresh
        if found.lost < found.number and is_queued(base, found, tuning):
            queued = 1.0
        if verdict(old, base, found) < 0.0:
            base = without_queue(old.before, base, found)
            allowance = restored(old, now + latency_at(flight.unit, found.level))
        else:
            used = full and found.held >= REACHED * floored(old.calls)
            if fresh:
                base = based(base, found, used, tuning)
            if old.probing > 0.0:
                allowance = kept(old, tuning)
            elif fresh and used and old.open == 0.0 and old.probed >= tuning.probe_every:
                allowance = probe(old, found)
            else:
                # A window that is not fresh has too many short calls; if it shows a queue all the
                # same, there is one.
                acts = (fresh or old.open > 0.0) and (used or is_short(tally, now, target))
                settled = now + latency_at(flight.unit, found.level)
                allowance = stepped(old, found, base, fresh, acts, used, settled, tuning)
    return Flight(
        tally=begun(now),
        spread=spread_after(flight.spread, tally),
        base=base,
        allowance=allowance,
        unit=flight.unit,
        queued=queued,
        proven=FADED * flight.proven,
        refused=flight.refused,
    )


def is_short(tally: Tally, now: float, target: float) -> bool:
    """Whether less was done than is wanted, by more than a standard error.

    >>> is_short(begun(0.0)._replace(number=64.0), 1.0, 100.0)  # 64 a second, or 8 more
    True
    """
    done = (tally.number - tally.lost) / (now - tally.begun)
    return done * (1.0 + 1.0 / math.sqrt(tally.number)) < MET * target


def limit_of(allowance: Allowance, most: float) -> float:
    """The limit for the calls allowed.

    >>> allowance = opened(0.0).allowance._replace(calls=7.9)
    >>> limit_of(allowance, 1e4), limit_of(allowance._replace(probing=1.0), 1e4)
    (7.0, 5.0)
    """
    calls = allowance.calls * (PROBE if allowance.probing > 0.0 else 1.0)
    return max(1.0, min(floored(calls), floored(most)))
