"""Counts in bounded memory: quantiles, the most events in any stretch of time, a trend."""

from __future__ import annotations

import bisect
import itertools
import math
from array import array
from collections import deque
from math import frexp

_PER_OCTAVE = 32
_FLOOR = -40  # exponent of the lowest bin: 2**-41 s
BINS = 60 * _PER_OCTAVE
_OFFSET = -(_FLOOR + 1) * _PER_OCTAVE

# Less a nanosecond, so that rounding puts no call into the second before its own.
IN_10MS, IN_1S = 0.01 - 1e-9, 1.0 - 1e-9


class Histogram:
    """Counts in bins of 1/32 octave from picoseconds to hours: quantiles to within 1.6 %.

    >>> histogram = Histogram()
    >>> for ms in range(1, 101):
    ...     histogram.add(ms / 1000)
    >>> round(histogram.quantile(0.5), 3), histogram.most
    (0.05, 0.1)
    """

    def __init__(self) -> None:
        self.n = 0
        self.most = 0.0
        self.bins = array("I", bytes(4 * BINS))

    def add(self, value: float) -> None:
        """Count a value; one that is not above zero counts in the lowest bin."""
        self.n += 1
        if value > self.most:
            self.most = value
        if value > 0.0:
            mantissa, exponent = frexp(value)
            place = exponent * _PER_OCTAVE + int(mantissa * 64.0) + _OFFSET
            self.bins[place if 0 <= place < BINS else 0 if place < 0 else BINS - 1] += 1
        else:
            self.bins[0] += 1

    def quantile(self, q: float) -> float:
        """The value of rank ceil(q n), as the middle of its bin; nan without values."""
        return self.quantiles(q)[0]

    def quantiles(self, *qs: float) -> list[float]:
        """Several quantiles, at the cost of one."""
        if not self.n:
            return [math.nan] * len(qs)
        below = list(itertools.accumulate(self.bins))
        return [self._middle(bisect.bisect_left(below, max(math.ceil(q * self.n), 1))) for q in qs]

    def _middle(self, place: int) -> float:
        if place == 0:
            return 0.0
        octave, step = divmod(place, _PER_OCTAVE)
        middle = math.ldexp(0.5 + (step + 0.5) / (2 * _PER_OCTAVE), octave + _FLOOR)
        return min(middle, self.most)


class Most:
    """The most events in any half-open stretch of `seconds`, exactly.

    It keeps as many times as the fullest stretch had events. An event makes a fuller stretch only
    if the oldest of these is within the stretch that it ends. It counts up to a million.

    >>> most = Most(1.0)
    >>> for now in (0.0, 0.5, 1.0, 1.25, 4.0):
    ...     most.add(now)
    >>> most.count
    3
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.recent: deque[float] = deque(maxlen=2**20)

    @property
    def count(self) -> int:
        return len(self.recent)

    def add(self, now: float) -> None:
        """An event; times never go back."""
        recent = self.recent
        recent.append(now)
        if recent[0] <= now - self._seconds:
            recent.popleft()


class Trend:
    """How much a value rises a second: its regression on time, and whether noise alone could
    explain it.
    """

    def __init__(self) -> None:
        self._n = self._t = self._v = self._tt = self._tv = self._vv = 0.0

    def add(self, t: float, value: float) -> None:
        self._n += 1.0
        self._t += t
        self._v += value
        self._tt += t * t
        self._tv += t * value
        self._vv += value * value

    def slope(self) -> float:
        """1/s; 0 if time explains less than half of the variance, or if there are fewer than ten
        values.
        """
        n = self._n
        if n < 10.0:
            return 0.0
        tt, tv = self._tt - self._t * self._t / n, self._tv - self._t * self._v / n
        vv = self._vv - self._v * self._v / n
        return tv / tt if tt > 0.0 and vv > 0.0 and tv * tv > 0.5 * tt * vv else 0.0
