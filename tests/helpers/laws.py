"""Laws for tests: actuators that stand still, and a law that writes down what it observes."""

from __future__ import annotations

import math
import threading
import time
from array import array
from collections.abc import Iterable
from typing import Any, NamedTuple

from tpssim.controllers import CONTROLLERS
from tpssim.core.types import Observation
from tpssim.core.window import Sensor
from tpssim.scenarios.scenario import Scenario
from tpssim.simulation import simpy_engine
from tpssim.simulation.trace import Trace

FIXED = CONTROLLERS["fixed"]()


class Actuators(NamedTuple):
    rate: float
    limit: float
    reject: float


class SetOnce(NamedTuple):
    """A law that sets the actuators once and for all."""

    rate: float = math.inf
    limit: float = math.inf
    reject: float = 0.0

    def init(self, target: float) -> Actuators:
        return Actuators(self.rate, self.limit, self.reject)

    def update(self, state: Actuators, obs: Observation) -> Actuators:
        return state


def run(scenario: Scenario, law: Any = FIXED, seed: int = 0, replication: int = 0) -> Trace:
    return simpy_engine.simulate(scenario, law, seed, replication, {})


def observations_of(
    scenario: Scenario, actuators: SetOnce | None = None, window: Sensor | None = None
) -> list[Observation]:
    """Every observation that a law with these actuators (and this window) gets in a run of the
    scenario.
    """
    seen: list[Observation] = []

    class Spy:
        def init(self, target: float) -> Actuators:
            return Actuators(*(actuators or SetOnce()))

        def update(self, state: Actuators, obs: Observation) -> Actuators:
            seen.append(obs)
            return state

    class Windowed(Spy):
        def sensor(self) -> Sensor:
            assert window is not None
            return window

    run(scenario, Spy() if window is None else Windowed())
    return seen


def memory_of(law: Any) -> tuple[Any, ...]:
    """The last argument of a law that has a memory."""
    return (array("d", [0.0]) * law.memory(),) if hasattr(law, "memory") else ()


def fed(law: Any, history: Iterable[Observation], target: float = 100.0) -> list[Any]:
    """The states of a law after each observation, the initial one first."""
    state, memory = law.init(target), memory_of(law)
    seen = [state]
    for obs in history:
        state = law.update(state, obs, *memory)
        seen.append(state)
    return seen


def numbers(state: tuple[Any, ...]) -> list[Any]:
    """Every number of a state, those of the records in it too."""
    return [
        number
        for value in state
        for number in (numbers(value) if isinstance(value, tuple) else [value])
    ]


def done(
    now: float, latency: float, in_flight: float = 1.0, dropped: bool = False, u: float = 0.5
) -> Observation:
    """The observation of one call that ended; a dropped one timed out or the service refused it."""
    drop = 1.0 if dropped else 0.0
    return Observation(now, 100.0, latency, 0.0, 1.0, drop, in_flight, drop, 0.0, in_flight, u)


def threads() -> set[threading.Thread]:
    """The threads that run now."""
    return set(threading.enumerate())


def left(before: set[threading.Thread]) -> set[threading.Thread]:
    """Threads that have come since and do not end; those that are just ending are waited for."""
    deadline = time.monotonic() + 5.0
    while (new := threads() - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    return new
