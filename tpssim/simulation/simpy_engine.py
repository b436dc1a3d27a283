"""The reference engine: producers with a control law each, in front of a consumer, as a simpy
model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tpssim.core.own_laws import watched
from tpssim.core.pacer import Pacer
from tpssim.core.timer_models import IDEAL, plan_ideal_wait, plan_wait
from tpssim.core.types import OK, Controller, drop_of, error_of
from tpssim.scenarios.capacity import check_calls
from tpssim.scenarios.load import mean_cost, target_of
from tpssim.scenarios.scenario import Scenario
from tpssim.simulation.call_lifecycle import Call, Serving
from tpssim.simulation.environment import (
    IN_FLIGHT,
    LATENCY,
    OUTCOME,
    RELEASE,
    RELEASED,
    SCHEDULED,
    World,
)
from tpssim.simulation.late_feedback import OWN, ControlPlane, window_priority
from tpssim.simulation.other_clients import begin_background
from tpssim.simulation.trace import Trace


class Driver:
    """Releases calls as a law commands (`Pacer`), one wait at a time, on the event list.

    `law` is the one that is run; a producer may have its own.
    """

    def __init__(self, world: World, serving: Serving, law: Controller[Any], index: int) -> None:
        scenario = world.scenario
        self.world = world
        self.serving = serving
        self.index = index
        producer = scenario.producers[index]
        self.end = producer.end
        self.pacer = Pacer(
            watched(law if producer.law is None else producer.law, scenario.name),
            target_of(scenario, producer),
            producer.start,
            world.noise("law.uniform", index),
            world.noise("reject.uniform", index),
            late=scenario.late,
            gaps=world.noise("gap.exponential", index) if scenario.poisson > 0.0 else None,
            grid=scenario.grid,
            origin=0.0,
            quotas=scenario.quotas,
            arrivals=scenario.arrivals if producer.target is None else None,
            mean_cost=mean_cost(scenario),
        )
        self.late = world.late(index)
        self.ideal = scenario.timer == IDEAL
        self.threshold = scenario.spin_threshold
        self.priority = RELEASE + (index << 40)
        self.sleeps = 0
        self.idle = True  # whether the producer's thread is free to wait and to release
        self.due = math.nan  # what is being waited for
        self.armed: Any = None
        # The rate when it was armed; nan if the deadline may move though the rate does not.
        self.waited_rate = math.nan
        self.moves = self.pacer.path.varies or self.pacer.quotas is not None
        self.spun = 0.0
        self.plane: ControlPlane | None = None
        if scenario.feedback is not None:
            self.plane = ControlPlane(world, scenario.feedback, self.pacer, index, self.arm)
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
        self.waited_rate = math.nan if self.moves else state.rate
        due = pacer.due(world.cost(self.index, pacer.slot))
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
        slot, due = pacer.slot, pacer.deadline
        cost = world.cost(self.index, slot)
        released = pacer.release(now, cost)
        state = pacer.state
        rate = state.rate * pacer.path.unit
        if not released:
            world.log_refusal(self.index, due, rate, state.limit, pacer.flying, cost)
            (self.plane or pacer).refused(now)
            self.arm()
            return
        row = world.log(self.index, due, rate, state.limit, pacer.flying, cost)
        self.idle = False
        self.serving.begin(Call(self.index, slot, row, self.freed, self.settled, self.closed))

    def closed(self, time: float) -> None:
        """An answer says not to come back before then."""
        self.pacer.close_until(time)
        self.waited_rate = math.nan
        self.arm()

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
        (self.plane or self.pacer).settled(
            self.world.env._now, row[LATENCY], lag, error, drop, float(row[IN_FLIGHT])
        )
        self.arm()

    def _watch(self) -> None:
        """Look at the law's window when it may end."""
        if self.pacer.look_at < math.inf:
            priority = window_priority(self.index, OWN)
            self.world.at(self.pacer.look_at, priority, self._look)

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
    begin_background(world, serving)
    drivers = [Driver(world, serving, law, index) for index in range(len(scenario.producers))]
    for driver in drivers:
        driver.arm()
    world.run()
    count_late(world, drivers)
    return world.trace(meta)


def count_late(world: World, drivers: Sequence[Driver]) -> None:
    """Count over all drivers what became of slots that came late."""
    for name in ("caught_up", "re_anchored", "skipped", "limited"):
        world.counters[name] += sum(getattr(driver.pacer, name) for driver in drivers)
