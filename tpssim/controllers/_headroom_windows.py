"""The windows of `headroom` for calls that overlap: what a window of completions says. Pure, and
plain arithmetic.

It is the logarithms of latencies that are averaged. A few long calls hardly move their mean, and a
queue moves it at once, because all calls wait in it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from tpssim.core.types import Observation, record

SAMPLES = 32.0  # latencies of a window, at least
LONGER = 64.0  # of one that shows a queue: some of 32 are long by chance
FEW = 4.0  # latencies of the first window, at least; of calls among which no more were in flight
LOST = 8.0  # calls that timed out in a queue end a window
USUAL, PRIOR = 0.4, 8.0  # variance of ln latency at first, and the latencies that it counts for
LONGEST = 1e100  # s: no latency counts as longer
NEW = 0.1  # weight of a window in the variance between windows
KEPT = 0.9  # of what is known of that variance, a window later
FURTHEST = 1e12  # x the first latency: no latency counts as more, and none as less than 1 of that


@record
class Tally(NamedTuple):
    """What completed in a window so far."""

    begun: float  #: s; inf: not before calls in flight have fallen to a new limit
    number: float  #: latencies
    logs: float  #: their sum, as ln(latency / unit)
    squares: float  #: the sum of squares of that
    among: float  #: the sum of calls in flight at their releases
    lost: float  #: of the latencies, those of calls that timed out in a queue
    passed: float  #: calls that completed, whether they were counted or not
    peak: float  #: most in flight


@record
class Spread(NamedTuple):
    """How much latencies vary within a window, over the last windows."""

    squares: float  #: sum of squared deviations of ln latency
    weight: float  #: of so many
    last: float  #: the level of the last window; nan before
    held: float  #: calls in flight in it
    between: float  #: variance between windows that calls in flight do not explain
    windows: float  #: from so many


@record
class Measured(NamedTuple):
    """What a window says."""

    number: float  #: latencies
    lost: float  #: of them, those of calls that timed out in a queue
    level: float  #: mean of ln(latency / unit)
    doubt: float  #: its variance
    variance: float  #: of one ln latency, as far as is known now
    own: float  #: the same of the window alone
    held: float  #: mean of the calls in flight at release
    peak: float  #: most in flight


def begun(now: float) -> Tally:
    """A window that begins."""
    return Tally(
        begun=now, number=0.0, logs=0.0, squares=0.0, among=0.0, lost=0.0, passed=0.0, peak=0.0
    )


def logarithm(latency: float, unit: float) -> float:
    """ln(latency / unit), within bounds.

    >>> logarithm(0.2, 0.2), round(logarithm(0.0, 0.2), 1)
    (0.0, -27.6)
    """
    return math.log(max(1.0 / FURTHEST, min(latency / unit, FURTHEST)))


def latency_at(unit: float, level: float) -> float:
    """The latency of a level, s.

    >>> latency_at(0.2, 0.0)
    0.2
    """
    return min(unit * math.exp(level), LONGEST)


def counted(tally: Tally, obs: Observation, unit: float, timed: bool, first: bool) -> Tally:
    """The tally with one more observation; in the `first` window only calls among few count, as
    the first ones are, unless many have passed and these are still to end.
    """
    passed = tally.passed + (obs.count if timed else 0.0)
    number, x = 0.0, 0.0
    early = not first or obs.in_flight <= FEW or (passed > SAMPLES and tally.number < FEW)
    if timed and early and obs.now >= tally.begun and not math.isnan(unit):
        number, x = obs.count, logarithm(obs.latency, unit)
    return Tally(
        begun=tally.begun,
        number=tally.number + number,
        logs=tally.logs + number * x,
        squares=tally.squares + number * x * x,
        among=tally.among + number * obs.in_flight,
        lost=tally.lost + (min(obs.drops, number)),
        passed=passed,
        peak=max(tally.peak, obs.peak),
    )


def deviations(tally: Tally) -> float:
    """The sum of squared deviations of ln latency from their mean."""
    return max(0.0, tally.squares - tally.logs * tally.logs / tally.number)


def spread_at_first() -> Spread:
    """What is taken for usual before anything was seen."""
    return Spread(
        squares=PRIOR * USUAL, weight=PRIOR, last=math.nan, held=1.0, between=0.0, windows=0.0
    )


def spread_after(spread: Spread, tally: Tally) -> Spread:
    """The spread with one window more. Of a change between windows that part is left out which
    another number of calls in flight may explain, as a queue.
    """
    level, held = tally.logs / tally.number, max(1.0, tally.among / tally.number)
    between, windows = spread.between, spread.windows
    if not math.isnan(spread.last):
        way = math.log(held / spread.held)
        change = level - spread.last
        rest = change - max(min(0.0, way), min(change, max(0.0, way)))
        windows += 1.0
        between += max(NEW, 1.0 / (windows + 1.0)) * (0.5 * rest * rest - between)
    return Spread(
        squares=KEPT * (spread.squares + deviations(tally)),
        weight=KEPT * (spread.weight + tally.number - 1.0),
        last=level,
        held=held,
        between=between,
        windows=windows,
    )


def measured(tally: Tally, spread: Spread) -> Measured:
    """What a window with a latency or more says.

    >>> two = Tally(0.0, 2.0, 2.0, 4.0, 6.0, 0.0, 2.0, 4.0)  # ln 0 and ln 2, among 3 each
    >>> found = measured(two, spread_at_first())
    >>> found.level, found.held, round(found.doubt, 4)  # (8 x 0.4 + 2) / (8 + 1), of two
    (1.0, 3.0, 0.2889)
    """
    variance = (spread.squares + deviations(tally)) / (spread.weight + tally.number - 1.0)
    return Measured(
        number=tally.number,
        lost=tally.lost,
        level=tally.logs / tally.number,
        doubt=max(variance / tally.number, spread.between),
        variance=variance,
        own=deviations(tally) / max(1.0, tally.number - 1.0),
        held=max(1.0, tally.among / tally.number),
        peak=tally.peak,
    )
