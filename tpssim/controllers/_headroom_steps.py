"""The steps of `headroom` for calls that overlap: what follows from a window for the calls allowed.
Pure, and plain arithmetic.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from tpssim.controllers._headroom_base import (
    SURE,
    Base,
    Tuning,
    least_kept,
    queue_of,
    surely_least,
    wanted_queue,
)
from tpssim.controllers._headroom_windows import LOST, Measured
from tpssim.core.types import Observation, floored, record

LATEST = 128.0  # latencies after which a cut is judged in any case
AT_FIRST = 64.0  # calls allowed before the first window has ended
LEAST_OPEN, OPEN = 8.0, 2.0  # calls, x the most in flight: allowed after it
DOUBLE = 2.0  # x the calls allowed, a window later, while the limit is open
SURE_OPEN = 2.0  # standard errors of what is sure while the limit is open
GROWTH = 0.15  # of the calls allowed, in one step up at most
HALF = 0.5  # of the way to where a queue was sure: so far goes a step up
FORGOTTEN = 0.9  # of where a queue was sure before: it is not lower after one cut more
CREEP = 0.2  # calls, in one step up beyond what was refused for want of a place
DOWN, MOST_DOWN = 0.7, 0.5  # of the sure queue beyond the wanted one; of the calls allowed
ONCE = 1.5  # x the calls held: no more are in use
PROBE = 0.7  # of the calls allowed, while it is probed
SHOWS = 0.75  # of the calls allowed before: a cut to that shows in latencies, if it cut a queue
APART = 0.2  # of ln calls held: windows that differ by less say nothing of a cut
ELASTIC = 0.35  # d ln throughput / d ln calls above which fewer calls mean less work done
STIFF = 0.8  # the same for latencies beyond `FAR`, which may be the queue of others
FAR = 0.7  # ln of 2: x the least latency without queue
CONSTANT = 1e-6  # variance of ln latency: less says nothing
SCATTERED = 0.5  # of the variance without queue: so much at least is that of a slower service
AGAIN = 10.0  # windows from a probe that has shown a queue to the next


@record
class Before(NamedTuple):
    """What was before calls were cut, until the cut has been judged."""

    calls: float  #: that were allowed; 0: there is no cut to judge
    held: float  #: that were in flight
    level: float  #: mean of ln(latency / unit)
    doubt: float  #: its variance


@record
class Allowance(NamedTuple):
    """How many calls may be in flight, and what is being done to find out."""

    calls: float
    open: float  #: 1 until the first sure queue: the limit is not meant to hold anything back
    before: Before
    drain: float  #: calls in flight must first fall to this; 0: they have
    fresh: float  #: a window that begins earlier has calls of before the last step up, s
    probing: float  #: 1 while fewer are allowed, to see whether they are served sooner
    probed: float  #: windows since the last probe
    places: float  #: calls above which one was last refused for want of a place; inf before
    top: float  #: calls among which there was lately a sure queue, less the longer ago; 0: none


def no_cut() -> Before:
    """Nothing to judge."""
    return Before(calls=0.0, held=0.0, level=0.0, doubt=0.0)


def is_judged(allowance: Allowance) -> bool:
    """Whether there is a cut that shows."""
    before = allowance.before.calls
    cut = before > 0.0 and floored(allowance.calls) <= SHOWS * floored(before)
    return cut or allowance.probing > 0.0


def verdict(allowance: Allowance, base: Base, found: Measured) -> float:
    """What was cut: 1 a queue, or nothing that shows; -1 no queue, for latencies did not fall; 0
    in doubt, for a window that is not at its longest.
    """
    before = allowance.before
    way = math.log(before.held / found.held) if before.held > 0.0 else 0.0
    if not is_judged(allowance) or found.lost >= LOST or way < APART:
        return 1.0
    fell = before.level - found.level
    error = SURE * math.sqrt(before.doubt + found.doubt)
    if before.level > surely_least(base, found) + FAR and not is_slower(base, found):
        return -1.0 if abs(fell) < (1.0 - STIFF) * way else 1.0
    over = fell - (1.0 - ELASTIC) * way
    if abs(over) < error and found.number < LATEST:
        return 0.0
    return 1.0 if over > 0.0 else -1.0


def is_slower(base: Base, found: Measured) -> bool:
    """Whether latencies are longer as those of a slower service are, and not by a wait: that would
    be the same for all, and they would scatter less.
    """
    over = found.level - base.level
    as_before = max(SCATTERED, math.exp(-over)) * max(base.variance, CONSTANT)
    return over > 0.5 * FAR and found.own > as_before


def drained(old: Allowance) -> Allowance:
    """Calls in flight have fallen to the limit."""
    return Allowance(
        calls=old.calls,
        open=old.open,
        before=old.before,
        drain=0.0,
        fresh=old.fresh,
        probing=old.probing,
        probed=old.probed,
        places=old.places,
        top=old.top,
    )


def one_fewer(old: Allowance, obs: Observation) -> Allowance:
    """One call fewer than were in flight when one was refused for want of a place."""
    calls = max(1.0, min(old.calls, obs.in_flight - 1.0))
    return Allowance(
        calls=calls,
        open=0.0,
        before=no_cut(),
        drain=0.0,
        fresh=obs.now + obs.latency,
        probing=0.0,
        probed=old.probed,
        places=calls,
        top=0.0,
    )


def opened_up(old: Allowance, found: Measured, settled: float) -> Allowance:
    """After the first window: open, that is more than are needed, as far as is known; but no more
    than at first, for among so many nothing was seen to end yet.
    """
    return Allowance(
        calls=max(LEAST_OPEN, min(AT_FIRST, OPEN * found.peak)),
        open=old.open,
        before=old.before,
        drain=0.0,
        fresh=settled,
        probing=0.0,
        probed=old.probed + 1.0,
        places=old.places,
        top=old.top,
    )


def without_queue(before: Before, old: Base, found: Measured) -> Base:
    """The latency without queue, if a cut has cut none: the mean of before and after."""
    both = before.doubt + found.doubt
    weight = before.doubt / both if both > 0.0 else 0.5
    level = min(before.level, before.level + weight * (found.level - before.level))
    doubt = weight * found.doubt
    number = found.variance / doubt if doubt > 0.0 else 2.0 * found.number
    return least_kept(old, level, found.own, number, found.held, found)


def restored(old: Allowance, settled: float) -> Allowance:
    """A cut that cut no queue is taken back."""
    return Allowance(
        calls=old.before.calls,
        open=0.0,
        before=no_cut(),
        drain=0.0,
        fresh=settled,
        probing=0.0,
        probed=0.0,
        places=old.places,
        top=old.top,
    )


def probe(old: Allowance, found: Measured) -> Allowance:
    """Fewer are allowed for a window."""
    return Allowance(
        calls=old.calls,
        open=0.0,
        before=Before(calls=old.calls, held=found.held, level=found.level, doubt=found.doubt),
        drain=max(1.0, floored(PROBE * old.calls)),
        fresh=old.fresh,
        probing=1.0,
        probed=old.probed + 1.0,
        places=old.places,
        top=old.top,
    )


def kept(old: Allowance, tuning: Tuning) -> Allowance:
    """A probe has shown a queue: the fewer calls are kept, and soon probed again."""
    return Allowance(
        calls=max(1.0, PROBE * old.calls),
        open=0.0,
        before=no_cut(),
        drain=0.0,
        fresh=old.fresh,
        probing=0.0,
        probed=tuning.probe_every - AGAIN,
        places=old.places,
        top=old.top,
    )


def stepped(
    old: Allowance,
    found: Measured,
    base: Base,
    fresh: bool,
    acts: bool,
    used: bool,
    settled: float,
    tuning: Tuning,
) -> Allowance:
    """A step towards the wanted queue. `fresh`: calls of before the last step are over; `acts`: and
    a cut would make a difference; `used`: the limit was; `settled`: when those of now will be over.
    """
    wanted = wanted_queue(found, tuning)
    excess = queue_of(base, found, SURE_OPEN if old.open > 0.0 else SURE) - wanted
    before = no_cut() if is_judged(old) else old.before
    if acts and excess > 0.0:
        return cut(old, before, found, excess)
    calls, stale = old.calls, old.fresh
    if used and old.open > 0.0:
        if excess <= 0.0:
            calls, before, stale = DOUBLE * calls, no_cut(), settled
    elif used:
        queued = queue_of(base, found, 0.0)
        if queued < wanted:
            way = GROWTH * calls
            if fresh:
                way = max(way, min(calls, HALF * (old.top - calls)))
            more = calls + way * (1.0 - queued / wanted)
            calls, stale = min(more, max(old.places, calls + CREEP)), settled
            before = before if calls < before.calls else no_cut()
    return Allowance(
        calls=calls,
        open=old.open,
        before=before,
        drain=0.0,
        fresh=stale,
        probing=0.0,
        probed=old.probed + 1.0,
        places=old.places,
        top=old.top,
    )


def cut(old: Allowance, before: Before, found: Measured, excess: float) -> Allowance:
    """Fewer calls, for a queue that is too long for sure; what was before is remembered."""
    calls = max(1.0, min(old.calls, min(found.peak, ONCE * found.held)))
    top = max(calls, FORGOTTEN * old.top)
    if before.calls == 0.0 or found.held >= before.held:
        most = max(calls, min(old.calls, found.held))
        before = Before(calls=most, held=found.held, level=found.level, doubt=found.doubt)
    less = MOST_DOWN * calls
    if found.lost < LOST:
        less = min(DOWN * excess, less)
    calls = max(1.0, calls - less)
    return Allowance(
        calls=calls,
        open=0.0,
        before=before,
        drain=max(1.0, floored(calls)),
        fresh=old.fresh,
        probing=0.0,
        probed=old.probed + 1.0,
        places=old.places,
        top=top,
    )
