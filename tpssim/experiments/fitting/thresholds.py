"""Where a count divides the calls that were refused from those that were not.

If a service refuses what exceeds an amount, every call that was refused counts more than the amount
and every other one no more. Clocks and networks blur that a little, so each side may hold some of
the other kind: the likelihood of a cut is that of two shares, one above it and one below.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tpssim.core.types import record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

WITHIN = 1.92  #: of the best log-likelihood: what is in a 95 % interval (half of chi-square's 3.84)
DIGITS = 15  #: of a number, at most, that is looked for in an interval


@record
class Cut(NamedTuple):
    """The best cut: a call is refused if it counts more than the amount.

    The amount is any number in `[low, high)`; as far as the recording tells, `[least, most)`.
    """

    low: float
    high: float
    least: float
    most: float
    gain: float  #: log-likelihood above that of one share for all calls
    above: int  #: calls that count more than the amount
    refused: int  #: how many of those were refused

    @property
    def precision(self) -> float:
        """The share of the calls above it that were refused."""
        return self.refused / self.above if self.above else 0.0


def likelihood(calls: Array, refused: Array) -> Array:
    """Log-likelihood of that many refused calls if each is with their mean share.

    >>> float(likelihood(np.array(2.0), np.array(1.0))) == 2.0 * math.log(0.5)
    True
    """
    share = refused / np.maximum(calls, 1.0)
    # Of what never happened nothing is added: 0 ln 0 is 0.
    happened = refused * np.log(np.where(refused > 0.0, share, 1.0))
    found: Array = happened + (calls - refused) * np.log(
        np.where(refused < calls, 1.0 - share, 1.0)
    )
    return found


def cut(counts: Array, refused: NDArray[np.bool_]) -> Cut:
    """The cut of the greatest likelihood among those above which a greater share was refused.

    >>> cut(np.array([1.0, 2.0, 3.0, 5.0]), np.array([False, False, False, True]))[:2]
    (3.0, 5.0)
    """
    levels, calls, turned = _tallied(counts, refused)
    total, lost = float(calls.sum()), float(turned.sum())
    if len(levels) < 2 or not 0.0 < lost < total:
        return Cut(math.nan, math.nan, math.nan, math.nan, 0.0, 0, 0)
    below, below_lost = np.cumsum(calls)[:-1], np.cumsum(turned)[:-1]
    above, above_lost = total - below, lost - below_lost
    whole = float(likelihood(np.array(total), np.array(lost)))
    gains = likelihood(below, below_lost) + likelihood(above, above_lost) - whole
    gains = np.where(above_lost * below > below_lost * above, gains, 0.0)
    best = int(np.argmax(gains))
    near = np.flatnonzero(gains < gains[best] - WITHIN)  # what does not belong to the interval
    left, right = near[near < best], near[near > best]
    first = int(left[-1]) + 1 if len(left) else 0
    last = int(right[0]) - 1 if len(right) else len(gains) - 1
    return Cut(
        low=float(levels[best]),
        high=float(levels[best + 1]),
        least=float(levels[first]),
        most=float(levels[last + 1]),
        gain=float(gains[best]),
        above=int(above[best]),
        refused=int(above_lost[best]),
    )


def _tallied(counts: Array, refused: NDArray[np.bool_]) -> tuple[Array, Array, Array]:
    """The counts that occur, and how many calls, and refused calls, have each."""
    if len(counts) and counts.max() < 4.0 * len(counts) and not (counts % 1.0).any():
        where = counts.astype(np.int64)
        levels = np.arange(float(where.max() + 1))
    else:
        levels, where = np.unique(counts, return_inverse=True)
    calls = np.bincount(where, minlength=len(levels)).astype(np.float64)
    turned = np.bincount(where[refused], minlength=len(levels)).astype(np.float64)
    there = calls > 0.0
    return levels[there], calls[there], turned[there]


def roundest(low: float, high: float) -> float:
    """The number of the fewest digits in [low, high), what a person would have chosen; of several
    the one nearest to the middle.

    >>> roundest(59.93, 60.07), roundest(199_870.0, 200_013.0), roundest(7.0, 8.0)
    (60.0, 200000.0, 7.0)
    >>> roundest(0.29, 0.31), roundest(2.0, 2.0)
    (0.3, 2.0)
    """
    if not 0.0 < low < high < math.inf:
        return low
    scale = math.floor(math.log10(high))
    for power in range(scale, scale - DIGITS, -1):
        unit = 10.0 ** abs(power)

        def number(count: int, unit: float = unit, power: int = power) -> float:
            return count * unit if power >= 0 else count / unit  # a tenth is no float, ten is one

        per_unit = 1.0 / unit if power >= 0 else unit
        first, last = math.ceil(low * per_unit), math.ceil(high * per_unit) - 1
        count = min(max(round((low + high) / 2.0 * per_unit), first), last)
        if count >= first and low <= number(count) < high:
            return number(count)
    return low
