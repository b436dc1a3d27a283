"""One law at work: the release rule, the three actuators, and what the law observes.

The one mutable object behind every driver: the simpy model under virtual time, the live throttle, a
replay. It never reads a clock and never waits: `now` comes in, a deadline goes out. Standard
library only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tpssim.core.costs import recent_mean, recent_unit, unit_of
from tpssim.core.observing import Observing
from tpssim.core.profiles import Stages
from tpssim.core.quota_windows import on_grid_from
from tpssim.core.quotas import Quota, Quotas
from tpssim.core.schedule import BURST, Late, anchor, anchor_on, next_due
from tpssim.core.slots import piece_at
from tpssim.core.target_path import TargetPath
from tpssim.core.timer_models import Draws
from tpssim.core.types import Controller, admits, since_arrival


class Pacer(Observing):
    """Commands releases as a law wants them, slot by slot.

    The driver waits until `due()` (and, if the law has a window, calls `look` at `look_at`), then
    calls `release`; after each completion it calls `settled`, and asks for `due()` again.

    A signal handler may raise in the middle of any of them (see `tpssim.live.waiters`), so each
    calls whom it has to before it changes anything of its own; of `settled` the driver puts
    `flying` back then.

    The target is a number, or a profile that begins at `origin` (the start). Where a profile is in
    force, a rate equal to the target that the law saw last follows it; any other caps it.

    With `arrivals`, the times at which the calls come, in order, no call is released before it
    comes, and none is skipped; the target is then their mean rate over the last second, and the law
    begins with that of them all.

    The target counts what calls cost, the law calls: it sees the target over `mean_cost`, and
    commands as many times its rate. None: of the slots so far, see `tpssim.core.costs`; a law that
    has observed nothing by then begins with the first slot's.

    `quotas` are ceilings that no release breaks; fixed windows on the wall clock need its time less
    the pacer's, `wall`.

    `chance` and `refusal` are uniform draws: for laws that probe (by observation), and for the
    rejections (by slot); `gaps` are exponential draws of mean 1 by slot, for a schedule that
    is not even.

    >>> from tpssim.controllers import CONTROLLERS
    >>> pacer = Pacer(CONTROLLERS["fixed"](), 10.0, 0.0, [0.5], [0.5])
    >>> pacer.due(), pacer.release(0.0), pacer.due()
    (0.0, True, 0.1)
    """

    # Without slots CPython looks up each of more than 30 attributes in a dict.
    __slots__ = (
        "_plain",
        "_since_arrival",
        "_slack",
        "admit",
        "caught_up",
        "closed_until",
        "cost",
        "gaps",
        "late",
        "learns",
        "limited",
        "limited_slot",
        "mean_cost",
        "previous",
        "quotas",
        "re_anchored",
        "refusal",
        "skipped",
        "slot",
    )

    def __init__(
        self,
        law: Controller[Any],
        target: float | Stages,
        start: float,
        chance: Draws,
        refusal: Draws,
        *,
        late: Late = BURST,
        gaps: Draws | None = None,
        grid: float = 0.0,
        origin: float | None = None,
        quotas: Sequence[Quota] = (),
        wall: float = 0.0,
        arrivals: Sequence[float] | None = None,
        mean_cost: float | None = 1.0,
    ) -> None:
        unit = unit_of(1.0 if mean_cost is None else mean_cost)
        path = TargetPath(target, start, start if origin is None else origin, arrivals, unit)
        super().__init__(law, path, start, chance, grid)
        self.late = late
        #: So far behind it makes up for everything, s: see `anchor`.
        self._slack = late.seconds if late.keep == math.inf and late.skip == 0.0 else -math.inf
        arrives = path.arrivals is not None
        self.admit = getattr(law, "admit", None) if admits(law, arrives) else None
        self._since_arrival = arrives and since_arrival(law)
        self.refusal = refusal
        self.gaps = gaps
        self.previous = math.nan  # due time of the last slot; nan before the first
        self.cost = 1.0  # of the call of the last slot
        self.learns = mean_cost is None  #: whether the mean cost is that of the slots so far
        self.mean_cost = unit  #: of a call, as far as it is known
        #: Whether the next slot is one gap at a constant target after the last, and nothing else
        #: may hold it back but the limit: as it nearly always is.
        self._plain = False
        self.slot = 0
        self.limited_slot = -1  # the last one that the limit held back
        self.caught_up = self.re_anchored = self.skipped = self.limited = 0.0
        self.closed_until = -math.inf  #: an answer said so
        #: Known quotas, checked; None if there are none.
        self.quotas = Quotas(quotas, start, wall) if quotas else None

    def due(self, cost: float = 1.0) -> float:
        """When to release the next slot, for a call of that cost; inf while a rate of 0 or the
        limit holds it back.

        It is due at `deadline`, which is earlier if a quota or an answer holds it back. Raises
        `InputError` for a cost that a quota never lets through.
        """
        state = self.state
        if self.flying + 1 > state.limit:
            if self.limited_slot != self.slot:
                self.limited_slot = self.slot
                self.limited += 1.0
            self.deadline = math.inf
            return math.inf
        if self._plain:
            gap = self.cost if self.gaps is None else self.gaps[self.slot] * self.cost
            due = self.deadline = next_due(self.previous, state.rate, self.target, gap)
            return due
        due = self._scheduled(state.rate)
        opens = due if due == math.inf else self._opening(due, cost)
        self.deadline = due
        return opens

    def _opening(self, due: float, cost: float) -> float:
        """When quotas and answers let the slot through that is due then."""
        opens = due
        if self.closed_until > due:
            opens = on_grid_from(self.closed_until, self.grid)
        if self.quotas is not None:
            opens = max(opens, on_grid_from(self.quotas.opening(cost), self.grid))
        return opens

    def _scheduled(self, rate: float) -> float:
        """When the next slot is due, whatever holds it back."""
        previous, path = self.previous, self.path
        if path.arrivals is not None:
            return path.arrival(self.slot, previous, rate, self.cost)
        if previous != previous:
            if self.gaps is None:
                return path.first(self.start) if rate > 0.0 else math.inf
            previous = self.start
        gap = self.cost if self.gaps is None else self.gaps[self.slot] * self.cost
        if path.steady:
            return next_due(previous, path.rate(rate), self.target, gap)
        return path.due(previous, rate, gap)

    def release(self, now: float, cost: float = 1.0) -> bool:
        """The slot of the last `due()` has come: True, or False if its call is refused locally.

        The driver notes what it needs of a refused slot and calls `refused`. A call of cost c moves
        the next slot by c; a recorded arrival that is refused moves it by nothing.
        """
        due = previous = self.deadline
        state, learned = self.state, None
        if self.learns and (cost != 1.0 or self.mean_cost != 1.0):
            state, learned = self._learned(cost)
        if self.admit is not None:
            came = self.path.came(self.slot) if self._since_arrival else due
            flying = float(self.flying)
            state = self.admit(state, now - self.start, now - came, flying, *self.extra)
        refused = state.reject > 0.0 and self.refusal[self.slot] < state.reject
        if not self._plain:
            path = self.path
            rate = path.rate(state.rate)
            previous, piece, owed, target, plain = self._moved(rate, due, now)
            if refused and path.arrivals is not None:
                previous, cost = self.previous, self.cost
            if self.quotas is not None:
                rings = self.quotas.rings if refused else self.quotas.counted(now, cost)
                plain, self.quotas.rings = False, rings
            path.piece, path.owed, self.target = piece, owed, target
            self._plain = plain and path.unit == 1.0
        elif now > due:
            previous = self._fall_behind(state.rate, due, now, self.target, False)
        self.state, self.previous, self.cost = state, previous, cost
        self.slot += 1
        if learned is not None:
            path = self.path
            self.mean_cost, path.unit, path.seen = learned
            self._plain = False
        if refused:
            return False
        self.flying += 1
        if self.flying > self.peak:
            self.peak = self.flying
        return True

    def _learned(self, cost: float) -> tuple[Any, tuple[float, float, float]]:
        """(the state, (the mean cost, what a call counts as, the target that the law saw last))
        once a slot has this cost.
        """
        path = self.path
        mean = recent_mean(self.mean_cost, self.slot, cost)
        unit = recent_unit(path.unit, mean)
        if self.slot > 0 or self.seen > 0:
            return self.state, (mean, unit, path.seen)
        seen = path.seen / unit
        return self.law.init(seen), (mean, unit, seen)

    def _moved(self, rate: float, due: float, now: float) -> tuple[float, int, float, float, bool]:
        """(where the schedule continues, the piece of the target that holds it, what it owes there,
        the target now, whether the next slot is a plain one). The rate is of cost.
        """
        path, previous = self.path, due
        plain = not path.varies and now >= self.closed_until
        if path.steady and not path.varies:
            if now > due:
                previous = self._fall_behind(rate, due, now, self.target, False)
            return previous, path.piece, 0.0, self.target, plain
        target = path.at(now) if path.varies else self.target
        if now > due and path.arrivals is None:
            moving = piece_at(path.times, due, path.piece) < len(path.times) - 1
            previous = self._fall_behind(rate, due, now, target, moving)
        piece = piece_at(path.times, previous, path.piece)
        owed = path.owes if path.varies and previous == due else 0.0
        return previous, piece, owed, target, plain and piece == len(path.times) - 1

    def _fall_behind(
        self, rate: float, due: float, now: float, target: float, moving: bool
    ) -> float:
        """Where the schedule continues, as the late policy has it.

        `target` is the one at `now`, like the rate it is of cost; `moving`: it changes after `due`.
        """
        speed, unit = min(rate, target), self.path.unit
        interval = unit / speed if speed > 0.0 else math.inf
        caught_up = now - due >= interval > 0.0
        near = due >= now - self._slack and interval > 0.0
        if near and (not moving or self.path.varies):  # a profile has no rate without bound
            if caught_up:
                self.caught_up += 1.0
            return due  # the schedule stays where it is, as `anchor` would say
        if self.admit is not None and rate < target and due + interval >= now:
            if caught_up:
                self.caught_up += 1.0
            return due  # the law has just said when, as of `due`: nothing is behind
        if moving:
            path = self.path
            piece = piece_at(path.times, due, path.piece)
            previous, skipped = anchor_on(
                self.late, path.times, path.targets, piece, due, now, rate, target, unit
            )
        else:
            previous, skipped = anchor(self.late, due, now, interval, target, unit)
        if self.late.skip > 0.0:
            self.slot += int(skipped)
        elif previous != due:
            self.re_anchored += 1.0
        self.skipped += skipped
        if caught_up:
            self.caught_up += 1.0
        return previous

    def retarget(self, now: float, target: float | Stages) -> None:
        """Another target from now on, a number or a profile that begins now: the law sees it at
        once, as an observation of no call.

        The slot in progress keeps the part of it that is over: see `due_on`.
        """
        path = self.path
        if path.varies or target != self.target:
            previous = self.previous
            path = path.changed(now, target, self.start if previous != previous else previous)
            target = path.at(now)
            self.path, self.target, self._plain = path, target, False
        self._observe(now, math.nan, 0.0, 0.0, 0.0, 0.0, float(self.flying), 0.0)

    def close_until(self, time: float) -> None:
        """Nothing is released before then: an answer said when to come back."""
        self.closed_until, self._plain = max(self.closed_until, time), False
