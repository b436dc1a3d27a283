"""The target of one run over time: a profile, changes by hand, or the rate of recorded arrivals."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tpssim.core.arrivals import mean_rate, recent_rate
from tpssim.core.costs import cost_rate
from tpssim.core.profiles import Stages
from tpssim.core.schedule import next_due
from tpssim.core.slots import ROUNDING, due_on, first_wanted, piece_at, target_at


class TargetPath:
    """Break points of a target (see `slots`), and where the schedule stands among them.

    A number is one point. A change by hand is a jump at the moment it is made, to a number or to a
    profile that begins there.

    Targets are what calls may cost a second; a law counts calls, of which each counts as `unit`.

    >>> path = TargetPath(10.0, 0.0, 0.0).changed(1.0, Stages("2s:20"), 0.0)
    >>> path.times, path.targets, path.at(2.0)
    ([0.0, 1.0, 1.0, 3.0, 3.0], [10.0, 10.0, 0.0, 20.0, 0.0], 10.0)
    >>> tokens = TargetPath(5000.0, 0.0, 0.0, unit=500.0)
    >>> tokens.seen, tokens.rate(4.0), tokens.rate(10.0)
    (10.0, 2000.0, 5000.0)
    """

    __slots__ = (
        "arrivals",
        "asked",
        "owed",
        "owes",
        "piece",
        "seen",
        "targets",
        "times",
        "unit",
        "varies",
    )

    def __init__(
        self,
        target: float | Stages,
        start: float,
        origin: float,
        arrivals: Sequence[float] | None = None,
        unit: float = 1.0,
    ) -> None:
        self.unit = unit  #: what a call costs on average
        self.arrivals = arrivals  #: of the calls, if they are recorded
        if arrivals is not None:
            target = mean_rate(arrivals) * unit
        #: Whether it changes by itself: by a profile, or with the arrivals.
        self.varies = isinstance(target, Stages) or arrivals is not None
        if isinstance(target, Stages):
            self.times, self.targets = target.points(origin)
        else:
            self.times, self.targets = [start], [target]
        self.piece = piece_at(self.times, start, 0)  #: that holds the slot before
        self.owed = 0.0  #: by rounding, before the slot in progress: see `due_on`
        self.owes = 0.0  #: after it, if it is due as `due` said last
        first = target_at(self.times, self.targets, self.piece, start)
        if isinstance(target, Stages) and not first > 0.0:
            first = target.peak
        #: The target that the law saw last, calls per second: the first one, or where nothing is
        #: wanted yet the peak of the profile; of arrivals their mean rate.
        self.seen = first / unit
        self.asked = first  #: the same in cost per second

    @property
    def steady(self) -> bool:
        """Whether the target has been constant since the slot before, and stays so."""
        return self.piece == len(self.times) - 1

    def at(self, now: float) -> float:
        """The target at a time, 1/s."""
        if self.arrivals is not None:
            return recent_rate(self.arrivals, now) * self.unit
        return target_at(self.times, self.targets, piece_at(self.times, now, 0), now)

    def first(self, start: float) -> float:
        """When the first slot is due."""
        return first_wanted(self.times, self.targets, start)

    def rate(self, rate: float) -> float:
        """What the rate that a law commands comes to, cost per second: see `cost_rate`."""
        return cost_rate(rate, self.seen, self.asked, self.unit, self.varies)

    def due(self, previous: float, rate: float, gap: float) -> float:
        """When the slot after the one at `previous` is due."""
        rounding = ROUNDING if self.varies else 0.0
        due, self.owes = due_on(
            self.times,
            self.targets,
            self.piece,
            previous,
            self.rate(rate),
            gap,
            self.owed,
            rounding,
        )
        return due

    def came(self, slot: int) -> float:
        """When the recorded arrival of a slot came."""
        assert self.arrivals is not None
        return self.arrivals[slot]

    def arrival(self, slot: int, previous: float, rate: float, cost: float) -> float:
        """When the call of a slot is due: as it comes, or as the law's rate lets it; inf after the
        last.
        """
        assert self.arrivals is not None
        if slot >= len(self.arrivals) or not rate > 0.0:
            return math.inf
        came = self.arrivals[slot]
        allowed = self.rate(rate)
        if previous != previous or allowed == math.inf:
            return came
        return max(came, next_due(previous, allowed, math.inf, cost))

    def changed(self, now: float, target: float | Stages, previous: float) -> TargetPath:
        """The path with another target from `now` on; the slot before was due at `previous`."""
        last = piece_at(self.times, now, 0)
        after = TargetPath(target, now, now, unit=self.unit)
        times = [*self.times[: last + 1], now, *after.times]
        targets = [*self.targets[: last + 1], self.at(now), *after.targets]
        passed = piece_at(times, previous, 0)
        after.times, after.targets, after.piece = times[passed:], targets[passed:], 0
        return after
