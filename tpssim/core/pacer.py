"""One law at work: the release rule, the three actuators, and what the law observes.

The one mutable object behind every driver: the simpy model under virtual time, the live throttle, a
replay. It never reads a clock and never waits: `now` comes in, a deadline goes out. Standard
library only.
"""

from __future__ import annotations

import math
from array import array
from typing import Any

from tpssim.core.schedule import BURST, Late, anchor, anchor_over, due_after, next_due, on_grid
from tpssim.core.timer_models import Draws
from tpssim.core.types import Controller, Observation
from tpssim.core.window import CAPACITY, collected, opened, sensor_of, summed_up, window_end

_new = tuple.__new__


class Pacer:
    """Commands releases as a law wants them, slot by slot.

    The driver waits until `due()` (and, if the law has a window, calls `look` at `look_at`), then
    calls `release`; after each completion it calls `settled`, and asks for `due()` again.

    A signal handler may raise in the middle of any of them (see `tpssim.live.waiters`), so each
    calls whom it has to before it changes anything of its own; of `settled` the driver puts
    `flying` back then.

    `chance` and `refusal` are uniform draws: for laws that probe (by observation), and for the
    rejections (by slot); `gaps` are exponential draws of mean 1 by slot, for a schedule that
    is not even.

    >>> from tpssim.controllers import CONTROLLERS
    >>> pacer = Pacer(CONTROLLERS["fixed"](), 10.0, 0.0, [0.5], [0.5])
    >>> pacer.due(), pacer.release(0.0), pacer.due()
    (0.0, True, 0.1)
    """

    def __init__(
        self,
        law: Controller[Any],
        target: float,
        start: float,
        chance: Draws,
        refusal: Draws,
        *,
        late: Late = BURST,
        gaps: Draws | None = None,
        grid: float = 0.0,
    ) -> None:
        memory = getattr(law, "memory", None)
        self.law = law
        self.target = target
        self.start = start
        self.late = late
        #: So far behind it makes up for everything, s: see `anchor`.
        self._slack = late.seconds if late.keep == math.inf and late.skip == 0.0 else -math.inf
        self.extra: tuple[Any, ...] = (array("d", [0.0]) * memory(),) if memory else ()
        self.admit = getattr(law, "admit", None)
        self.state = law.init(target)
        self.chance = chance
        self.refusal = refusal
        self.gaps = gaps
        self.grid = grid
        self.previous = math.nan  # due time of the last slot; nan before the first
        self.changes: list[tuple[float, float]] = []  # (until, wanted rate) since then
        self.deadline = math.nan  #: what `due` said last
        self.slot = 0
        self.seen = 0  # observations and windows so far
        self.flying = 0
        self.peak = 0
        self.limited_slot = -1  # the last one that the limit held back
        self.caught_up = self.re_anchored = self.skipped = self.limited = 0.0
        self.sensor = sensor_of(law)
        self.observation: Observation | None = None  #: the last one of the law
        self.window = opened(start)
        self.latencies = array("d", [0.0]) * CAPACITY if self.sensor else array("d")
        timed = self.sensor is not None and self.sensor.period > 0.0
        self.look_at = max(self._window_end(), start) if timed else math.inf

    def due(self) -> float:
        """When the next slot is due; inf while a rate of 0 or the limit holds it back."""
        state = self.state
        previous = self.previous
        if self.flying + 1 > state.limit:
            if self.limited_slot != self.slot:
                self.limited_slot = self.slot
                self.limited += 1.0
            self.deadline = math.inf
        elif self.gaps is None and previous != previous:
            self.deadline = self.start if min(state.rate, self.target) > 0.0 else math.inf
        else:
            if previous != previous:
                previous = self.start
            gap = 1.0 if self.gaps is None else self.gaps[self.slot]
            if self.changes:
                self.deadline = due_after(previous, state.rate, self.changes, self.target, gap)
            else:
                self.deadline = next_due(previous, state.rate, self.target, gap)
        return self.deadline

    def release(self, now: float) -> bool:
        """The slot of the last `due()` has come: True, or False if its call is refused locally.

        The driver notes what it needs of a refused slot and calls `refused`.
        """
        due = previous = self.deadline
        state, changes = self.state, self.changes
        if self.admit is not None:
            flying = float(self.flying)
            state = self.admit(state, now - self.start, now - due, flying, *self.extra)
        refused = state.reject > 0.0 and self.refusal[self.slot] < state.reject
        if changes:
            changes = [change for change in changes if change[0] > due]
        if now > due:
            previous = self._fall_behind(state.rate, due, now, changes)
            if changes:
                changes = [change for change in changes if change[0] > previous]
        self.state, self.changes, self.previous = state, changes, previous
        self.slot += 1
        if refused:
            return False
        self.flying += 1
        if self.flying > self.peak:
            self.peak = self.flying
        return True

    def _fall_behind(
        self, rate: float, due: float, now: float, changes: list[tuple[float, float]]
    ) -> float:
        """Where the schedule continues, as the late policy has it."""
        speed = min(rate, self.target)
        interval = 1.0 / speed if speed > 0.0 else math.inf
        caught_up = now - due >= interval > 0.0
        if due >= now - self._slack and interval > 0.0 and not changes:
            if caught_up:
                self.caught_up += 1.0
            return due  # the schedule stays where it is, as `anchor` would say
        if self.admit is not None and rate < self.target and due + interval >= now:
            if caught_up:
                self.caught_up += 1.0
            return due  # the law has just said when, as of `due`: nothing is behind
        if changes:
            previous, skipped = anchor_over(self.late, due, now, rate, changes, self.target)
        else:
            previous, skipped = anchor(self.late, due, now, interval, self.target)
        if self.late.skip > 0.0:
            self.slot += int(skipped)
        elif previous != due:
            self.re_anchored += 1.0
        self.skipped += skipped
        if caught_up:
            self.caught_up += 1.0
        return previous

    def refused(self, now: float) -> None:
        """The law observes a slot whose call was refused locally."""
        self._observe(now, math.nan, now - self.deadline, 0.0, 0.0, 0.0, float(self.flying), 1.0)

    def settled(
        self, now: float, latency: float, lag: float, errors: float, drops: float, in_flight: float
    ) -> None:
        """A call is over: the law observes it."""
        self.flying -= 1
        self._observe(now, latency, lag, 1.0, errors, drops, in_flight, 0.0)

    def forgotten(self) -> None:
        """A call is over of which nothing is known."""
        self.flying -= 1

    def retarget(self, now: float, target: float) -> None:
        """Another rate is wanted from now on: the law sees it at once, as an observation of no
        call.

        The slot in progress keeps the part of it that is over: see `due_after`.
        """
        if target != self.target:
            self.changes.append((now, self.target))
            self.target = target
        self._observe(now, math.nan, 0.0, 0.0, 0.0, 0.0, float(self.flying), 0.0)

    def _observe(
        self,
        now: float,
        latency: float,
        lag: float,
        count: float,
        errors: float,
        drops: float,
        in_flight: float,
        refusals: float,
    ) -> None:
        """An observation for the law, or for its window."""
        peak, u = float(self.peak), self.chance[self.seen]
        since = now - self.start
        # As Observation(...), which is every driver's most frequent call, at half the time.
        obs = _new(
            Observation,
            (since, self.target, latency, lag, count, errors, in_flight, drops, refusals, peak, u),
        )
        if self.sensor is None or count == 0.0:
            state = self.law.update(self.state, obs, *self.extra)
            self.state, self.observation = state, obs
            self.seen += 1
            self.peak = self.flying
            return
        window = collected(self.window, obs, self.latencies)
        self.window = window
        self.seen += 1
        self.peak = self.flying
        enough = self.window.calls >= self.sensor.least
        late = now >= self._window_end()
        if enough and late and (self.sensor.period == 0.0 or self.sensor.discard == 0.0):
            self._sum_up(now)

    def _window_end(self) -> float:
        """When the window ends, on the grid of event times."""
        assert self.sensor is not None
        return on_grid(window_end(self.sensor, self.window), self.grid)

    def look(self, now: float) -> bool:
        """Look at the window, at `look_at` or later; whether the law observed it."""
        assert self.sensor is not None
        observed = False
        if now < self._window_end():
            pass  # it began again, or waits for more round trips
        elif self.window.calls >= self.sensor.least:
            self._sum_up(now)
            observed = True
        elif self.sensor.discard > 0.0:
            self.window = opened(now)
        else:
            # It goes on until it has enough, and then ends with a completion; look again a period
            # later.
            self.look_at = now + self.sensor.period
            return False
        self.look_at = max(self._window_end(), now)
        return observed

    def _sum_up(self, now: float) -> None:
        assert self.sensor is not None
        u = self.chance[self.seen]
        since = now - self.start
        obs = summed_up(self.sensor, self.window, self.latencies, since, self.target, u)
        window = opened(now)
        state = self.law.update(self.state, obs, *self.extra)
        self.state, self.observation, self.window = state, obs, window
        self.seen += 1
