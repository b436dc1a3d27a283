"""What a live run was like, counted as it goes, in bounded memory."""

from __future__ import annotations

import bisect
import itertools
import math
from array import array
from collections import deque

_PER_OCTAVE = 32
_FLOOR = -40  # exponent of the lowest bin: 2**-41 s
BINS = 60 * _PER_OCTAVE


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
        """Count a value; what is not above zero counts as the least."""
        self.n += 1
        if value > self.most:
            self.most = value
        if value > 0.0:
            mantissa, exponent = math.frexp(value)
            place = (exponent - _FLOOR) * _PER_OCTAVE + int(mantissa * 2 * _PER_OCTAVE) - _PER_OCTAVE
            self.bins[min(max(place, 0), BINS - 1)] += 1
        else:
            self.bins[0] += 1

    def quantile(self, q: float) -> float:
        """The value of rank ceil(q n), as the middle of its bin; nan without values."""
        if not self.n:
            return math.nan
        rank = max(math.ceil(q * self.n), 1)
        place = bisect.bisect_left(list(itertools.accumulate(self.bins)), rank)
        if place == 0:
            return 0.0
        octave, step = divmod(place, _PER_OCTAVE)
        middle = math.ldexp(0.5 + (step + 0.5) / (2 * _PER_OCTAVE), octave + _FLOOR)
        return min(middle, self.most)


class Tally:
    """Counts of one run. Not thread-safe: its owner holds a lock."""

    def __init__(self) -> None:
        self.lateness = Histogram()
        self.latency = Histogram()
        self.refused = self.ok = self.errors = self.drops = 0
        self.early = self.within_10 = self.within_25 = self.doubles = 0
        self.first = self.last = math.nan
        self.planned = self.wanted = 0.0  # integrals of the commanded and of the wanted rate
        self._mean_t = self._mean_late = self._tt = self._t_late = 0.0
        self._gaps = self._squares = 0.0
        self._recent: deque[float] = deque()
        self.most_in_10ms = 0
        self.blocked = self.fetching = 0.0  # s in the caller's code, and in the iterable
        self.behind = self.overtaken = 0  # releases late by our own doing, and by the caller's
        self._ours = 0.0  # s of the present lag that are our own doing

    @property
    def released(self) -> int:
        return self.lateness.n

    def release(self, due: float, now: float, speed: float, target: float, begun: float, held: bool) -> None:
        """A release at `now` that was due at `due`, at a commanded rate.

        `begun` is when the pacing thread would have been free to wait for it, did we take no time ourselves;
        `held`: the limit valve had it wait longer.
        """
        late = now - due
        self.lateness.add(late)
        n = self.lateness.n
        if late < 0.0:
            self.early += 1
        # A lag is ours if we woke up too late, and until it is made up for; the rest of it is the caller's.
        lost = 0.0 if held else now - max(begun, due)
        self._ours = max(0.0, min(late, self._ours + lost)) if begun > due else lost
        if self._ours > max(0.25 / speed, 1e-4) and self._ours > 0.5 * late:
            self.behind += 1
        elif begun > due and not held and self._ours <= 0.5 * late:
            self.overtaken += 1
        step = now - self._mean_t
        self._mean_t += step / n
        self._mean_late += (late - self._mean_late) / n
        self._tt += step * (now - self._mean_t)
        self._t_late += step * (late - self._mean_late)
        if n == 1:
            self.first = now
        else:
            gap = now - self.last
            self._gaps += gap
            self._squares += gap * gap
            planned = gap * speed
            self.planned += planned
            self.wanted += gap * target
            off = abs(planned - 1.0)
            if off <= 0.1:
                self.within_10 += 1
            if off <= 0.25:
                self.within_25 += 1
            elif planned < 0.1:
                self.doubles += 1
        self.last = now
        recent = self._recent
        recent.append(now)
        while recent[0] <= now - 0.01:
            recent.popleft()
        if len(recent) > self.most_in_10ms:
            self.most_in_10ms = len(recent)

    @property
    def drift_ppm(self) -> float:
        """Slope of the regression of lateness on time, 1e-6."""
        return 1e6 * self._t_late / self._tt if self._tt > 0.0 else math.nan

    def rates(self) -> tuple[float, float, float]:
        """(achieved, commanded, wanted) mean rates, 1/s; nan before the second release."""
        seconds = self.last - self.first
        if not seconds > 0.0:
            return math.nan, math.nan, math.nan
        return (self.released - 1) / seconds, self.planned / seconds, self.wanted / seconds

    def gap_cv(self) -> float:
        """Coefficient of variation of the gaps."""
        n = self.released - 1
        if n < 1 or self._gaps <= 0.0:
            return math.nan
        mean = self._gaps / n
        return math.sqrt(max(self._squares / n - mean * mean, 0.0)) / mean

    def settle(self, latency: float, error: float, drop: float) -> None:
        """A call is over."""
        if error > 0.0:
            self.errors += 1
            self.drops += int(drop)
        else:
            self.ok += 1
            self.latency.add(latency)

    def numbers(self) -> dict[str, float]:
        """What a report says of the calls, by its names."""
        rate, commanded, wanted = self.rates()
        gaps = max(self.released - 1, 1)
        late, latency = self.lateness, self.latency
        return {
            "released": self.released,
            "refused": self.refused,
            "ok": self.ok,
            "errors": self.errors,
            "drops": self.drops,
            "seconds": self.last - self.first if self.released else 0.0,
            "commanded": commanded,
            "rate": rate,
            "rate_error": abs(rate / commanded - 1.0) if commanded > 0.0 else math.nan,
            "target_error": abs(rate / wanted - 1.0) if wanted > 0.0 else math.nan,
            "drift_ppm": self.drift_ppm,
            "late_p50": late.quantile(0.5),
            "late_p90": late.quantile(0.9),
            "late_p99": late.quantile(0.99),
            "late_p999": late.quantile(0.999),
            "late_max": late.most if late.n else math.nan,
            "early": self.early,
            "gap_cv": self.gap_cv(),
            "gaps_within_10": self.within_10 / gaps,
            "gaps_within_25": self.within_25 / gaps,
            "doubles": self.doubles / gaps,
            "most_in_10ms": self.most_in_10ms,
            "latency_p50": latency.quantile(0.5),
            "latency_p90": latency.quantile(0.9),
            "latency_p99": latency.quantile(0.99),
            "latency_max": latency.most if latency.n else math.nan,
        }
