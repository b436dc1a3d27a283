"""The latency without queue of `headroom` for calls that overlap, and how many calls queue beyond
it. Pure, and plain arithmetic.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from tpssim.controllers._headroom_windows import Measured
from tpssim.core.types import record

SURE = 1.0  # standard errors of what is sure
LOWER = 2.5  # standard errors: so much less is another latency, if few windows say the contrary
ALIKE = 2.0  # standard errors of it: so little more says more of it
MORE = 4.0  # x the calls in flight among which it was found, of which that can be said
EMPTY = 0.5  # of the wanted queue: so little queue says more of it, too


@record
class Base(NamedTuple):
    """The latency without queue."""

    level: float  #: ln(latency / unit); nan before the first window
    variance: float  #: of one ln latency without queue
    number: float  #: independent latencies that say as much
    held: float  #: calls in flight among which it was found
    least: float  #: the lowest level so far, or one known better that may be the same
    least_number: float  #: independent latencies that say as much of it


@record
class Tuning(NamedTuple):
    """The parameters of the law that matter here."""

    queue: float
    slack: float
    probe_every: float


def wanted_queue(found: Measured, tuning: Tuning) -> float:
    """How many calls are to queue."""
    return tuning.queue + tuning.slack * found.held


def queue_of(base: Base, found: Measured, errors: float) -> float:
    """How many of the calls held queue, if the latency is lower by so many standard errors.

    >>> found = Measured(32.0, 0.0, math.log(2.0), 0.0, 0.0, 0.0, 10.0, 10.0)
    >>> queue_of(Base(0.0, 0.0, 4.0, 1.0, 0.0, 4.0), found, 1.0)  # twice as long: half wait
    5.0
    """
    over = found.level - base.level - errors * math.sqrt(found.doubt + doubt_of(base, found))
    return found.held * (1.0 - math.exp(min(0.0, -over)))


def doubt_of(base: Base, found: Measured) -> float:
    """The variance of the level without queue: as it was known then or is now, the larger one."""
    return max(base.variance, found.variance) / base.number


def equivalent(found: Measured) -> float:
    """How many independent latencies would say as much as those of the window."""
    return found.variance / found.doubt if found.doubt > 0.0 else found.number


def is_queued(base: Base, found: Measured, tuning: Tuning) -> bool:
    """Whether more than wanted queue for sure."""
    return queue_of(base, found, SURE) > wanted_queue(found, tuning)


def based(old: Base, found: Measured, used: bool, tuning: Tuning) -> Base:
    """The latency without queue after one more window: another one if it was lower beyond doubt,
    else the mean of both, weighted by what is known of each, if there was next to no queue.

    >>> tuning = Tuning(queue=1.5, slack=0.03, probe_every=200.0)
    >>> alike = Measured(32.0, 0.0, 0.2, 0.01, variance=0.32, own=0.4, held=10.0, peak=10.0)
    >>> new = based(Base(0.0, 0.32, 16.0, 5.0, 0.0, 16.0), alike, True, tuning)
    >>> round(new.level, 3), new.number
    (0.133, 48.0)
    """
    number = equivalent(found)
    if used and is_lower(old, found, number):
        return least_kept(old, found.level, found.own, number, found.held, found)
    little = queue_of(old, found, 0.0) < EMPTY * wanted_queue(found, tuning)
    near = found.level < old.level + ALIKE * math.sqrt(doubt_of(old, found))
    alike = near and found.held <= MORE * old.held
    if not (little or alike):
        return old
    weight = number / (old.number + number)
    level = old.level + weight * (found.level - old.level)
    held = old.held + weight * (found.held - old.held)
    variance = old.variance + weight * (found.own - old.variance)
    return least_kept(old, level, variance, old.number + number, held, found)


def is_lower(old: Base, found: Measured, number: float) -> bool:
    """Whether the level is another one for sure. One window of many is low by chance: the more of
    them have said what it is, the lower it must be.

    >>> old = Base(0.0, 0.32, 32.0, 10.0, 0.0, 32.0)  # (2.5^2 + 2 ln 2) (0.01 + 0.01) = 0.39^2
    >>> low = Measured(32.0, 0.0, -0.4, 0.01, variance=0.32, own=0.3, held=10.0, peak=10.0)
    >>> is_lower(old, low, 32.0), is_lower(old, low._replace(level=-0.38), 32.0)
    (True, False)
    """
    squared = LOWER * LOWER + 2.0 * math.log(1.0 + old.number / max(1.0, number))
    return found.level < old.level - math.sqrt(squared * (found.doubt + doubt_of(old, found)))


def least_kept(
    old: Base, level: float, variance: float, number: float, held: float, found: Measured
) -> Base:
    """Another level without queue, and the least of all: few latencies that were short by chance
    are none, once more of them have come and may say the same.
    """
    lower = level + sure_error(number, found) < surely_least(old, found)
    apart = LOWER * math.sqrt(found.variance / number + found.variance / old.least_number)
    lower = lower or (number >= old.least_number and level < old.least + apart)
    return Base(
        level=level,
        variance=variance,
        number=number,
        held=held,
        least=level if lower else old.least,
        least_number=number if lower else old.least_number,
    )


def sure_error(number: float, found: Measured) -> float:
    """How much higher for sure the level of so many latencies may be."""
    return SURE * math.sqrt(found.variance / number)


def surely_least(base: Base, found: Measured) -> float:
    """What the least latency without queue is at most, for sure."""
    return base.least + sure_error(base.least_number, found)
