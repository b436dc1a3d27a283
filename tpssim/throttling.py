"""One law at work: the release rule, the three valves, and what the law is told.

The one mutable object behind every driver: the simpy model under virtual time, the live throttle, a replay.
It never reads a clock and never waits: `now` comes in, a deadline goes out. Standard library only.
"""

from __future__ import annotations

import math
from array import array
from typing import Any

from tpssim.clock import Draws
from tpssim.core import Controller, Observation
from tpssim.pacing import BURST, Late, anchor, next_due, on_grid
from tpssim.sensor import CAPACITY, Sensor, collected, opened, summed_up, window_end

_new = tuple.__new__


class Pacer:
    """Commands releases as a law wants them, slot by slot.

    The driver waits until `due()` (and, if the law has a window, calls `look` at `look_at`), then calls
    `release`; after each completion it calls `settled`, and asks for `due()` again.

    `chance` and `refusal` are uniform draws: for laws that probe (by observation), and for the admission
    valve (by slot); `gaps` are exponential draws of mean 1 by slot, for a schedule that is not even.

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
        sensor = getattr(law, "sensor", None)
        self.law = law
        self.target = target
        self.start = start
        self.late = late
        self.extra: tuple[Any, ...] = (array("d", [0.0]) * memory(),) if memory else ()
        self.admit = getattr(law, "admit", None)
        self.state = law.init(target)
        self.chance = chance
        self.refusal = refusal
        self.gaps = gaps
        self.grid = grid
        self.previous = math.nan  # due time of the last slot; nan before the first
        self.deadline = math.nan  #: what `due` said last
        self.slot = 0
        self.seen = 0  # observations and windows so far
        self.flying = 0
        self.peak = 0
        self.held_slot = -1  # the last one that the limit valve held back
        self.caught_up = self.re_anchored = self.dropped = self.held = 0.0
        self.sensor: Sensor | None = sensor() if sensor else None
        self.observation: Observation | None = None  #: what the law was told last
        self.window = opened(start)
        self.latencies = array("d", [0.0]) * CAPACITY if sensor else array("d")
        timed = self.sensor is not None and self.sensor.period > 0.0
        self.look_at = max(self._window_end(), start) if timed else math.inf

    def due(self) -> float:
        """When the next slot is due; inf while a valve is closed."""
        state = self.state
        if self.flying + 1 > state.limit:
            if self.held_slot != self.slot:
                self.held_slot = self.slot
                self.held += 1.0
            self.deadline = math.inf
        elif self.gaps is not None:
            previous = self.start if math.isnan(self.previous) else self.previous
            self.deadline = next_due(previous, state.rate, self.target, self.gaps[self.slot])
        elif math.isnan(self.previous):
            self.deadline = self.start if min(state.rate, self.target) > 0.0 else math.inf
        else:
            self.deadline = next_due(self.previous, state.rate, self.target)
        return self.deadline

    def release(self, now: float) -> bool:
        """The slot of the last `due()` has come: True, or False if its call is refused locally.

        The driver notes what it needs of a refused slot and calls `refused`.
        """
        due = self.deadline
        if self.admit is not None:
            flying = float(self.flying)
            self.state = self.admit(self.state, now - self.start, now - due, flying, *self.extra)
        state = self.state
        slot = self.slot
        self.slot += 1
        self.previous = due
        if now > due:
            self._fall_behind(min(state.rate, self.target), due, now)
        if state.reject > 0.0 and self.refusal[slot] < state.reject:
            return False
        self.flying += 1
        if self.flying > self.peak:
            self.peak = self.flying
        return True

    def _fall_behind(self, speed: float, due: float, now: float) -> None:
        """Where the schedule continues, as the late policy has it."""
        interval = 1.0 / speed if speed > 0.0 else math.inf
        if now - due >= interval:
            self.caught_up += 1.0
        self.previous, dropped = anchor(self.late, due, now, interval)
        if dropped > 0.0:
            self.dropped += dropped
            self.slot += int(dropped)
        elif self.previous != due:
            self.re_anchored += 1.0

    def refused(self, now: float) -> None:
        """The law is told of a slot whose call was refused locally."""
        self._tell(now, math.nan, now - self.deadline, 0.0, 0.0, 0.0, float(self.flying), 1.0)

    def settled(
        self, now: float, latency: float, lag: float, errors: float, drops: float, in_flight: float
    ) -> None:
        """A call is over: the law is told."""
        self.flying -= 1
        self._tell(now, latency, lag, 1.0, errors, drops, in_flight, 0.0)

    def forgotten(self) -> None:
        """A call is over of which nothing is known."""
        self.flying -= 1

    def retarget(self, now: float, target: float) -> None:
        """Another rate is wanted from now on: the law is told at once, by news of no call."""
        self.target = target
        self._tell(now, math.nan, 0.0, 0.0, 0.0, 0.0, float(self.flying), 0.0)

    def _tell(
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
        """News for the law, or for its window."""
        peak, u = float(self.peak), self.chance[self.seen]
        since = now - self.start
        # As Observation(...), which is every driver's most frequent call, at half the time.
        obs = _new(
            Observation,
            (since, self.target, latency, lag, count, errors, in_flight, drops, refusals, peak, u),
        )
        self.seen += 1
        self.peak = self.flying
        if self.sensor is None or count == 0.0:
            self.observation = obs
            self.state = self.law.update(self.state, obs, *self.extra)
            return
        self.window = collected(self.window, obs, self.latencies)
        enough = self.window.calls >= self.sensor.least
        late = now >= self._window_end()
        if enough and late and (self.sensor.period == 0.0 or self.sensor.discard == 0.0):
            self._sum_up(now)

    def _window_end(self) -> float:
        """When the window ends, on the grid of event times."""
        assert self.sensor is not None
        return on_grid(window_end(self.sensor, self.window), self.grid)

    def look(self, now: float) -> bool:
        """Look at the window, at `look_at` or later; whether the law was told of it."""
        assert self.sensor is not None
        told = False
        if now < self._window_end():
            pass  # it began anew, or waits for more round trips
        elif self.window.calls >= self.sensor.least:
            self._sum_up(now)
            told = True
        elif self.sensor.discard > 0.0:
            self.window = opened(now)
        else:
            # It goes on until it has enough, and then ends with a completion; look again a period later.
            self.look_at = now + self.sensor.period
            return False
        self.look_at = max(self._window_end(), now)
        return told

    def _sum_up(self, now: float) -> None:
        assert self.sensor is not None
        u = self.chance[self.seen]
        self.seen += 1
        since = now - self.start
        obs = summed_up(self.sensor, self.window, self.latencies, since, self.target, u)
        self.window = opened(now)
        self.observation = obs
        self.state = self.law.update(self.state, obs, *self.extra)
