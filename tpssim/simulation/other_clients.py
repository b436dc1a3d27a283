"""The background load of a run: calls of other clients, which are not in the trace."""

from __future__ import annotations

import math
from typing import Any

from tpssim.core.schedule import next_due
from tpssim.scenarios.disturbances import Background
from tpssim.simulation.call_lifecycle import Call, Serving
from tpssim.simulation.environment import ARRIVAL, COST, World


class OtherClients:
    """The calls of a background load, one after the other; its number follows the producers'."""

    def __init__(self, world: World, serving: Serving, number: int, load: Background) -> None:
        self.world = world
        self.serving = serving
        self.number = number
        self.load = load
        self.gaps = world.noise("gap.exponential", number)
        self.calls = 0
        self.time = load.start
        self._wait()

    def _wait(self) -> None:
        """Wait for the next call."""
        self.time = next_due(self.time, math.inf, self.load.rate, self.gaps[self.calls])
        if self.time < self.load.end:
            self.world.at(self.time, ARRIVAL + (self.number << 40) + self.calls, self._arrive)

    def _arrive(self, _: Any) -> None:
        world = self.world
        row = [math.nan] * COST + [world.cost(self.number, self.calls)]
        self.serving.visit(Call(self.number, self.calls, row, lambda _: None, lambda _: None))
        self.calls += 1
        self._wait()


def begin_background(world: World, serving: Serving) -> None:
    """Let the other clients of the scenario come."""
    loads = [d for d in world.scenario.disturbances if isinstance(d, Background)]
    for index, load in enumerate(loads):
        OtherClients(world, serving, world.producers + index, load)
