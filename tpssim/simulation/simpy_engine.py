"""The reference engine: producers with a control law each, in front of a consumer, as a simpy
model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tpssim.core.pacer import Pacer
from tpssim.core.timer_models import IDEAL, plan_ideal_wait, plan_wait
from tpssim.core.types import OK, Controller, drop_of, error_of
from tpssim.scenarios.scenario import Scenario, check_calls
from tpssim.simulation.call_lifecycle import Call, Serving
from tpssim.simulation.environment import (
    IN_FLIGHT,
    LATENCY,
    OUTCOME,
    RELEASE,
    RELEASED,
    SCHEDULED,
    WINDOW,
    World,
)
from tpssim.simulation.trace import Trace


class Driver:
    """Releases calls as a law commands (`Pacer`), one wait at a time, on the event list."""

    def __init__(self, world: World, serving: Serving, law: Controller[Any], index: int) -> None:
        scenario = world.scenario
        self.world = world
        self.serving = serving
        self.index = index
        start, self.end = scenario.producers[index]
        self.pacer = Pacer(
            law,
            scenario.target,
            start,
            world.noise("law.uniform", index),
            world.noise("reject.uniform", index),
            late=scenario.late,
            gaps=world.noise("gap.exponential", index) if scenario.poisson > 0.0 else None,
            grid=scenario.grid,
        )
        self.late = world.late(index)
        self.ideal = scenario.timer == IDEAL
        self.threshold = scenario.spin_threshold
        self.priority = RELEASE + (index << 40)
        self.sleeps = 0
        self.idle = True  # whether the producer's thread is free to wait and to release
        self.due = math.nan  # what is being waited for
        self.armed: Any = None
        self.waited_rate = math.nan  # the rate when it was armed
        self.spun = 0.0
        self._watch()

    def arm(self) -> None:
        """Wait for the next slot, or leave the wait in progress alone if its deadline has not
        moved.
        """
        if not self.idle:
            return
        world, pacer = self.world, self.pacer
        state = pacer.state
        if (
            self.armed is not None
            and state.rate == self.waited_rate
            and pacer.flying + 1 <= state.limit
        ):
            return
        self.waited_rate = state.rate
        due = pacer.due()
        if self.armed is not None and due == self.due:
            return
        self.due = due
        self.armed = None
        now = world.env._now
        if max(due, now) >= self.end:
            return
        if self.ideal:
            time, self.spun = plan_ideal_wait(now, due, self.threshold)
        else:
            timer = world.scenario.timer
            wait = plan_wait(timer, now, 0, due, self.threshold, self.late, self.sleeps)
            self.sleeps = wait.sleeps
            self.spun = wait.spun
            time = wait.base + wait.reads * timer.read_cost
        self.armed = world.at(time, self.priority + pacer.slot, self.release)

    def release(self, event: Any) -> None:
        """A slot's time has come, unless its wait was given up for another deadline."""
        world, pacer = self.world, self.pacer
        now = world.env._now
        if event is not self.armed or now >= self.end:
            return
        self.armed = None
        world.counters["spun"] += self.spun
        slot = pacer.slot
        released = pacer.release(now)
        state = pacer.state
        if not released:
            world.log_refusal(self.index, self.due, state.rate, state.limit, pacer.flying)
            pacer.refused(now)
            self.arm()
            return
        row = world.log(self.index, self.due, state.rate, state.limit, pacer.flying)
        self.idle = False
        self.serving.begin(Call(self.index, slot, row, self.freed, self.settled))

    def freed(self, call: Call) -> None:
        self.idle = True
        self.arm()

    def settled(self, call: Call) -> None:
        row = call.row
        outcome = row[OUTCOME]
        error = drop = 0.0
        if outcome != OK:
            error, drop = error_of(outcome), drop_of(outcome)
        lag = row[RELEASED] - row[SCHEDULED]
        self.pacer.settled(
            self.world.env._now, row[LATENCY], lag, error, drop, float(row[IN_FLIGHT])
        )
        self.arm()

    def _watch(self) -> None:
        """Look at the law's window when it may end."""
        if self.pacer.look_at < math.inf:
            self.world.at(self.pacer.look_at, WINDOW + self.index, self._look)

    def _look(self, _: Any) -> None:
        if self.pacer.look(self.world.env._now):
            self.arm()
        self._watch()


def simulate(
    scenario: Scenario, law: Controller[Any], seed: int, replication: int, meta: Mapping[str, Any]
) -> Trace:
    """One run of a parameterised law in the simpy model; every producer has its own."""
    check_calls(scenario)
    world = World(scenario, seed, replication)
    serving = Serving(world)
    drivers = [Driver(world, serving, law, index) for index in range(len(scenario.producers))]
    for driver in drivers:
        driver.arm()
    world.run()
    for name in ("caught_up", "re_anchored", "skipped", "limited"):
        world.counters[name] += sum(getattr(driver.pacer, name) for driver in drivers)
    return world.trace(meta)
