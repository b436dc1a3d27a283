"""Scenarios and laws for tests, drawn or written, and whether two traces are equal."""

from __future__ import annotations

import math
from array import array
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import strategies as st

from helpers.laws import Actuators, SetOnce
from tpssim import InputError
from tpssim.controllers import CONTROLLERS
from tpssim.core.schedule import AUTO, BURST, DELAY, SKIP, capped
from tpssim.core.timer_models import IDEAL, TIMERS, TimerModel
from tpssim.core.types import Observation
from tpssim.core.window import Sensor
from tpssim.scenarios.disturbances import Ramp, Sine, Spike, Stall, Step, Swap
from tpssim.scenarios.plant import Async, Backend, Blocking, Pool
from tpssim.scenarios.scenario import Scenario, checked_scenario
from tpssim.scenarios.service_times import (
    Autocorrelated,
    Constant,
    Exponential,
    Lognormal,
    Pareto,
)
from tpssim.simulation.compiled import compiling, engine, kernel
from tpssim.simulation.trace import COLUMNS, COUNTERS, Trace

needs_numba = pytest.mark.skipif(not compiling.compiles, reason="numba is not installed")


class Windowed(NamedTuple):
    """Follows the 90th percentile of a window; sets all three actuators."""

    period: float = 0.2
    least: float = 2.0
    discard: float = 0.0

    def sensor(self) -> Sensor:
        return Sensor(self.period, 1.0, 3.0, self.least, self.discard, 0.9)

    def init(self, target: float) -> Actuators:
        return Actuators(target, 4.0, 0.0)

    def update(self, state: Actuators, obs: Observation) -> Actuators:
        if obs.count < 1.0:
            return Actuators(state.rate, state.limit, state.reject * 0.5)
        slow = obs.latency > 0.03
        rate = state.rate * 0.9 if slow else min(state.rate + 3.0, obs.target)
        limit = max(state.limit - 1.0, 1.0) if slow else min(state.limit + 1.0, 20.0)
        return Actuators(rate, limit, 0.2 if obs.peak > 6.0 else 0.0)


class Remembering(NamedTuple):
    """Averages the last latencies in its memory; refuses and dithers at random."""

    size: float = 5.0

    def memory(self) -> int:
        return int(self.size) + 1

    def init(self, target: float) -> Actuators:
        return Actuators(target, math.inf, 0.0)

    def update(self, state: Actuators, obs: Observation, memory: array[float]) -> Actuators:
        if obs.count < 1.0 or math.isnan(obs.latency):
            return Actuators(state.rate, state.limit, 0.0)
        at = int(memory[int(self.size)])
        memory[at] = obs.latency
        memory[int(self.size)] = (at + 1) % int(self.size)
        mean = 0.0
        for i in range(int(self.size)):
            mean += memory[i] / self.size
        rate = max(1.0, min(obs.target, 0.8 / max(mean, 1e-3) + obs.u))
        return Actuators(rate, state.limit, 0.3 * obs.errors / obs.count)


class Admitting(NamedTuple):
    """Refuses what is late, at the moment of release."""

    most: float = 0.05

    def init(self, target: float) -> Actuators:
        return Actuators(math.inf, 10.0, 0.0)

    def update(self, state: Actuators, obs: Observation) -> Actuators:
        return state

    def admit(self, state: Actuators, now: float, lag: float, in_flight: float) -> Actuators:
        return Actuators(state.rate, state.limit, 0.8 if lag > self.most else 0.0)


def same(one: Trace, other: Trace) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True) for name in COLUMNS
    ) and all(one.meta[name] == other.meta[name] for name in COUNTERS)


def interpreted(scenario: Scenario, law: Any, seed: int = 0) -> Trace:
    """A run of the lean loop, or of the general one where that asks for it, as plain Python."""
    if engine.is_lean(scenario):
        return engine._simulate(kernel.run, scenario, law, seed, 0, {})
    return engine.generally(scenario, law, [], seed, 0, {}).trace({})


def interpret(patch: pytest.MonkeyPatch) -> None:
    """Laws run as they are from now on, as without numba."""
    patch.setattr(compiling, "_enabled", lambda: False)


SERVICES = st.sampled_from(
    [
        Constant(0.0625),
        Constant(0.01),
        Exponential(0.02),
        Lognormal(0.02, 1.0),
        Pareto(0.01, 1.5),
        Autocorrelated(0.02, 1.0, 0.9),
    ]
)


DISTURBANCES = st.lists(
    st.sampled_from(
        [
            Step(0.5, 1.0, 8.0),
            Ramp(0.25, 1.5, 4.0),
            Spike(1.0, 1.5, 20.0),
            Sine(0.0, 2.0, 0.5, 0.7),
            Stall(0.75, 1.25),
            Stall(1.0, 1.5),
            Swap(0.5, 1.5, Exponential(0.05)),
            Swap(1.0, 2.0, Constant(0.03125)),
        ]
    ),
    max_size=3,
    unique=True,
).map(tuple)


BACKENDS = st.builds(
    lambda servers, places, slope, knee, failure, limit: Backend(
        servers, places, slope, knee, 1.5, failure, limit
    ),
    st.sampled_from([math.inf, 1.0, 3.0, 20.0]),
    st.sampled_from([math.inf, 0.0, 2.0]),
    st.sampled_from([0.0, 0.1]),
    st.sampled_from([math.inf, 3.0]),
    st.sampled_from([0.0, 0.2]),
    st.sampled_from([math.inf, 4.0]),
)


TIMER_MODELS = st.sampled_from(
    [
        IDEAL,
        TIMERS["linux"],
        TIMERS["asyncio-epoll"],
        TIMERS["windows-tick"],
        TimerModel(proportional=0.1, most=1e-3),
    ]
)


PLANTS = st.builds(
    lambda service, target, consumer, disturbances, timer, backend, late, poisson, tick, grid, to: (
        Scenario("drawn", service, target, 2.5, consumer, disturbances, timer)._replace(
            backend=backend, late=late, poisson=poisson, tick=tick, grid=grid, network=to
        )
    ),
    SERVICES,
    st.sampled_from([4.0, 16.0, 50.0, 123.456, 400.0]),
    st.sampled_from(
        [
            Blocking(),
            Async(),
            Async(0.0),
            Async(0.0, "completion"),
            Async(0.0625, "completion"),
            Pool(2.0),
            Pool(3.0, 0.0),
            Pool(2.0, 4.0),
        ]
    ),
    DISTURBANCES,
    TIMER_MODELS,
    BACKENDS,
    st.sampled_from([AUTO, BURST, DELAY, SKIP, capped(3)]),
    st.sampled_from([0.0, 1.0]),
    st.sampled_from([0.0, 1e-3]),
    st.sampled_from([0.0, 1e-4]),
    st.sampled_from([None, Constant(0.0123), Exponential(0.01)]),
)


LAWS = st.sampled_from(
    [
        *(law() for law in CONTROLLERS.values()),
        Windowed(),
        Windowed(0.0, 4.0),
        Windowed(0.1, 3.0, 1.0),
        Remembering(),
        Admitting(),
        SetOnce(limit=2.0, reject=0.1),
        SetOnce(limit=2.5),
        SetOnce(rate=7.0),
        SetOnce(rate=0.0),
    ]
)


def accepted(scenario: Scenario) -> bool:
    try:
        checked_scenario(scenario)
    except InputError:
        return False
    return True
