"""Between the target, which counts what calls cost, and a law, which counts calls.

Where calls cost 1, cost and calls are one thing, and every function here gives the bits that it is
handed. Floats only: the same source runs compiled.
"""

from __future__ import annotations

import math

from tpssim.core.slots import open_rate

#: So many slots a mean of recent costs remembers, and so far off it may be before a law sees it.
MEMORY, BAND = 500.0, 0.05
#: Where the mean is less, calls cost nothing that could be paced, and are counted as 1.
LEAST = 1e-100


def unit_of(mean: float) -> float:
    """What a call counts as where calls cost so much on average: 1 if they cost nothing.

    >>> unit_of(400.0), unit_of(0.0)
    (400.0, 1.0)
    """
    return mean if mean > LEAST else 1.0


def recent_mean(mean: float, slot: int, cost: float) -> float:
    """The mean cost of the slots 0 to `slot`, the last of which has this cost; `mean` is the one
    before. From `MEMORY` slots on each new one counts for 1 / `MEMORY`, and old ones fade.

    >>> recent_mean(1.0, 0, 400.0), recent_mean(400.0, 1, 200.0), recent_mean(300.0, 9999, 800.0)
    (400.0, 300.0, 301.0)
    """
    return mean + (cost - mean) / min(slot + 1.0, MEMORY)


def recent_unit(unit: float, mean: float) -> float:
    """What a call counts as from now on: as before while the mean is within `BAND` of that.

    A law that sees a new target each time cannot tell that from a change of what is wanted.

    >>> recent_unit(400.0, 419.0), recent_unit(400.0, 421.0)
    (400.0, 421.0)
    """
    return unit_of(mean) if abs(mean - unit) > BAND * unit else unit


def cost_rate(rate: float, seen: float, target: float, unit: float, varies: bool) -> float:
    """The rate that a law commands, as cost per second.

    `rate` is of calls; `seen` is what the law saw last of a `target` in cost. A rate that equals it
    (but for rounding: see `open_rate`) commands that target, or follows it where it changes by
    itself (`varies`).

    >>> cost_rate(5.0, 10.0, 4000.0, 400.0, False), cost_rate(10.0, 10.0, 4000.0, 400.0, False)
    (2000.0, 4000.0)
    >>> cost_rate(10.0, 10.0, 4000.0, 400.0, True)
    inf
    """
    if varies:
        return open_rate(rate, seen) * unit
    if unit != 1.0 and open_rate(rate, seen) == math.inf > rate:
        return target
    return rate * unit
