"""The steps of `headroom` for calls that overlap: what follows from a window for the calls allowed.
Pure, and plain arithmetic.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from tpssim.controllers._headroom_windows import LOST, Measured
from tpssim.core.types import Observation, floored, record

LATEST = 128.0  # latencies after which a cut is judged in any case
AT_FIRST = 64.0  # calls allowed before the first window has ended
LEAST_OPEN, OPEN = 8.0, 2.0  # calls, x the most in flight: allowed after it
DOUBLE = 2.0  # x the calls allowed, a window later, while the limit is open
SURE, SURE_OPEN = 1.0, 2.0  # standard errors of what is sure, and while the limit is open
GROWTH = 0.15  # of the calls allowed, in one step up at most
CREEP = 0.2  # calls, in one step up beyond what was refused for want of a place
DOWN, MOST_DOWN = 0.7, 0.5  # of the sure queue beyond the wanted one; of the calls allowed
ONCE = 1.5  # x the calls held: no more are in use
PROBE = 0.7  # of the calls allowed, while it is probed
SHOWS = 0.75  # of the calls allowed before: a cut to that shows in latencies, if it cut a queue
APART = 0.2  # of ln calls held: windows that differ by less say nothing of a cut
ELASTIC = 0.35  # d ln throughput / d ln calls above which fewer calls mean less work done
STIFF = 0.8  # the same for latencies beyond `FAR`, which may be the queue of others
FAR = 0.7  # ln of 2: x the least latency without queue
AGAIN = 10.0  # windows from a probe that has shown a queue to the next
LOWER = 2.5  # standard errors: so much less is another latency without queue
ALIKE = 2.0  # standard errors of it: so little more says more of it
MORE = 4.0  # x the calls in flight among which it was found, of which that can be said
EMPTY = 0.5  # of the wanted queue: so little queue says more of it, too


@record
class Base(NamedTuple):
    """The latency without queue."""

    level: float  #: ln(latency / unit); nan before the first window
    doubt: float  #: its variance
    held: float  #: calls in flight among which it was found
    least: float  #: the lowest level so far


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


@record
class Tuning(NamedTuple):
    """The parameters of the law that matter here."""

    queue: float
    slack: float
    probe_every: float


def no_cut() -> Before:
    """Nothing to judge."""
    return Before(calls=0.0, held=0.0, level=0.0, doubt=0.0)


def wanted_queue(found: Measured, tuning: Tuning) -> float:
    """How many calls are to queue."""
    return tuning.queue + tuning.slack * found.held


def queue_of(base: Base, found: Measured, errors: float) -> float:
    """How many of the calls held queue, if the latency is lower by so many standard errors.

    >>> found = Measured(32.0, 0.0, math.log(2.0), 0.0, 10.0, 10.0)
    >>> queue_of(Base(0.0, 0.0, 1.0, 0.0), found, 1.0)  # latencies doubled: half of the calls wait
    5.0
    """
    over = found.level - base.level - errors * math.sqrt(found.doubt + base.doubt)
    return found.held * (1.0 - math.exp(min(0.0, -over)))


def is_queued(base: Base, found: Measured, tuning: Tuning) -> bool:
    """Whether more than wanted queue for sure."""
    return queue_of(base, found, SURE) > wanted_queue(found, tuning)


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
    if before.level > base.least + FAR:
        return -1.0 if abs(fell) < (1.0 - STIFF) * way else 1.0
    over = fell - (1.0 - ELASTIC) * way
    if abs(over) < error and found.number < LATEST:
        return 0.0
    return 1.0 if over > 0.0 else -1.0


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
    )


def opened_up(old: Allowance, found: Measured, settled: float) -> Allowance:
    """After the first window: open, that is more than are needed, as far as is known."""
    return Allowance(
        calls=max(LEAST_OPEN, OPEN * found.peak),
        open=old.open,
        before=old.before,
        drain=0.0,
        fresh=settled,
        probing=0.0,
        probed=old.probed + 1.0,
        places=old.places,
    )


def based(old: Base, found: Measured, used: bool, tuning: Tuning) -> Base:
    """The latency without queue after one more window: another one if it was lower beyond doubt,
    else the mean of both, weighted by what is known of each, if there was next to no queue.

    >>> tuning = Tuning(queue=1.5, slack=0.03, probe_every=200.0)
    >>> alike = Measured(32.0, 0.0, level=0.2, doubt=0.01, held=10.0, peak=10.0)
    >>> new = based(Base(0.0, 0.03, 5.0, 0.0), alike, True, tuning)
    >>> round(new.level, 3), round(new.doubt, 4)
    (0.15, 0.0075)
    """
    both = found.doubt + old.doubt
    if used and found.level < old.level - LOWER * math.sqrt(both):
        least = min(surely_at_most(found.level, found.doubt), old.least)
        return Base(level=found.level, doubt=found.doubt, held=found.held, least=least)
    little = queue_of(old, found, 0.0) < EMPTY * wanted_queue(found, tuning)
    near = found.level < old.level + ALIKE * math.sqrt(old.doubt)
    alike = near and found.held <= MORE * old.held
    if not (both > 0.0 and (little or alike)):
        return old
    weight = old.doubt / both
    level = old.level + weight * (found.level - old.level)
    return Base(
        level=level,
        doubt=weight * found.doubt,
        held=old.held + weight * (found.held - old.held),
        least=min(surely_at_most(level, weight * found.doubt), old.least),
    )


def surely_at_most(level: float, doubt: float) -> float:
    """What a level is at most, for sure."""
    return level + SURE * math.sqrt(doubt)


def without_queue(before: Before, old: Base, found: Measured) -> Base:
    """The latency without queue, if a cut has cut none: the mean of before and after."""
    both = before.doubt + found.doubt
    weight = before.doubt / both if both > 0.0 else 0.5
    level = min(before.level, before.level + weight * (found.level - before.level))
    return Base(
        level=level,
        doubt=weight * found.doubt,
        held=found.held,
        least=min(surely_at_most(level, weight * found.doubt), old.least),
    )


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
    )


def stepped(
    old: Allowance,
    found: Measured,
    base: Base,
    acts: bool,
    used: bool,
    settled: float,
    tuning: Tuning,
) -> Allowance:
    """A step towards the wanted queue. `acts`: a cut would make a difference, and calls of before
    the last step are over; `used`: the limit was; `settled`: when those of now will be over.
    """
    wanted = wanted_queue(found, tuning)
    excess = queue_of(base, found, SURE_OPEN if old.open > 0.0 else SURE) - wanted
    before = no_cut() if is_judged(old) else old.before
    if acts and excess > 0.0:
        return cut(old, before, found, excess)
    calls, fresh = old.calls, old.fresh
    if used and old.open > 0.0:
        if excess <= 0.0:
            calls, before, fresh = DOUBLE * calls, no_cut(), settled
    elif used:
        queued = queue_of(base, found, 0.0)
        if queued < wanted:
            more = calls + GROWTH * calls * (1.0 - queued / wanted)
            calls, fresh = min(more, max(old.places, calls + CREEP)), settled
            before = before if calls < before.calls else no_cut()
    return Allowance(
        calls=calls,
        open=old.open,
        before=before,
        drain=0.0,
        fresh=fresh,
        probing=0.0,
        probed=old.probed + 1.0,
        places=old.places,
    )


def cut(old: Allowance, before: Before, found: Measured, excess: float) -> Allowance:
    """Fewer calls, for a queue that is too long for sure; what was before is remembered."""
    calls = max(1.0, min(old.calls, min(found.peak, ONCE * found.held)))
    if before.calls == 0.0:
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
    )
