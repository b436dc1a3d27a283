"""What a law observes of a run, and what it answers: the first half of the pacer."""

from __future__ import annotations

import math
from array import array
from typing import Any

from tpssim.core.schedule import on_grid
from tpssim.core.target_path import TargetPath
from tpssim.core.timer_models import Draws
from tpssim.core.types import Controller, Observation
from tpssim.core.window import CAPACITY, collected, opened, sensor_of, summed_up, window_end

_new = tuple.__new__


class Observing:
    """A law, its state, its window, and the calls in flight that it observes.

    `Pacer` adds the releases.
    """

    __slots__ = (
        "chance",
        "deadline",
        "extra",
        "flying",
        "grid",
        "latencies",
        "law",
        "look_at",
        "observation",
        "path",
        "peak",
        "seen",
        "sensor",
        "start",
        "state",
        "target",
        "window",
    )

    def __init__(
        self, law: Controller[Any], path: TargetPath, start: float, chance: Draws, grid: float
    ) -> None:
        memory = getattr(law, "memory", None)
        self.law = law
        self.path = path
        self.target = path.at(start)  #: of now, as far as is known what time it is
        self.start = start
        self.extra: tuple[Any, ...] = (array("d", [0.0]) * memory(),) if memory else ()
        self.state = law.init(path.seen)
        self.chance = chance
        self.grid = grid
        self.deadline = math.nan  #: when the slot in progress is due
        self.seen = 0  # observations and windows so far
        self.flying = 0
        self.peak = 0
        self.sensor = sensor_of(law)
        self.observation: Observation | None = None  #: the last one of the law
        self.window = opened(start)
        self.latencies = array("d", [0.0]) * CAPACITY if self.sensor else array("d")
        timed = self.sensor is not None and self.sensor.period > 0.0
        self.look_at = max(self._window_end(), start) if timed else math.inf

    def refused(self, now: float) -> None:
        """The law observes a slot whose call was refused locally."""
        self._observe(now, math.nan, now - self.deadline, 0.0, 0.0, 0.0, float(self.flying), 1.0)

    def settled(
        self, now: float, latency: float, lag: float, errors: float, drops: float, in_flight: float
    ) -> None:
        """A call is over: the law observes it."""
        self.flying -= 1
        self._observe(now, latency, lag, 1.0, errors, drops, in_flight, 0.0)

    def reported(self, now: float, summary: Observation) -> None:
        """The law observes late what was summed up elsewhere; its time and target are of now, its
        peak is as it was then.
        """
        peak = self.peak
        self.peak = int(summary.peak)
        self._observe(
            now,
            summary.latency,
            summary.lag,
            summary.count,
            summary.errors,
            summary.drops,
            summary.in_flight,
            summary.refusals,
        )
        self.peak = peak

    def forgotten(self) -> None:
        """A call is over of which nothing is known."""
        self.flying -= 1

    def _wanted(self, now: float) -> float:
        """The target that the law is to see, calls per second: of now, or where nothing is wanted,
        as it saw it last.
        """
        path = self.path
        if path.varies:
            self.target = path.at(now)
        return self.target / path.unit if self.target > 0.0 else path.seen

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
        path = self.path
        target = self._wanted(now) if path.varies else self.target / path.unit
        # As Observation(...), which is every driver's most frequent call, at half the time.
        obs = _new(
            Observation,
            (since, target, latency, lag, count, errors, in_flight, drops, refusals, peak, u),
        )
        if self.sensor is None or count == 0.0:
            state = self.law.update(self.state, obs, *self.extra)
            self.state, self.observation = state, obs
            path.seen, path.asked = target, self.target
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
        target = self._wanted(now)
        obs = summed_up(self.sensor, self.window, self.latencies, since, target, u)
        window = opened(now)
        state = self.law.update(self.state, obs, *self.extra)
        path = self.path
        self.state, self.observation, self.window = state, obs, window
        path.seen, path.asked = target, self.target
        self.seen += 1
