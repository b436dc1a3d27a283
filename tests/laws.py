"""Laws for tests: valves that stand still, and a law that writes down what it is told."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from tpssim import model
from tpssim.controllers import CONTROLLERS
from tpssim.core import Observation
from tpssim.scenario import Scenario
from tpssim.sensor import Sensor
from tpssim.traces import Trace

FIXED = CONTROLLERS["fixed"]()


class Valves(NamedTuple):
    rate: float
    limit: float
    reject: float


class Valve(NamedTuple):
    """A law that sets the valves once and for all."""

    rate: float = math.inf
    limit: float = math.inf
    reject: float = 0.0

    def init(self, target: float) -> Valves:
        return Valves(self.rate, self.limit, self.reject)

    def update(self, state: Valves, obs: Observation) -> Valves:
        return state


def run(scenario: Scenario, law: Any = FIXED, seed: int = 0, replication: int = 0) -> Trace:
    return model.simulate(scenario, law, seed, replication, {})


def told(scenario: Scenario, valve: Valve | None = None, window: Sensor | None = None) -> list[Observation]:
    """Every observation that a law with these valves (and this window) gets in a run of the scenario."""
    seen: list[Observation] = []

    class Spy:
        def init(self, target: float) -> Valves:
            return Valves(*(valve or Valve()))

        def update(self, state: Valves, obs: Observation) -> Valves:
            seen.append(obs)
            return state

    class Windowed(Spy):
        def sensor(self) -> Sensor:
            assert window is not None
            return window

    run(scenario, Spy() if window is None else Windowed())
    return seen
