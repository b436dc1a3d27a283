"""The reference engine: producers with a control law each, in front of a consumer, as a simpy model."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from typing import Any

from tpssim.clock import IDEAL, plan_ideal_wait, plan_wait
from tpssim.core import FAILED, REJECTED, TIMED_OUT, Controller, Observation
from tpssim.pacing import anchor, next_due, on_grid
from tpssim.scenario import Scenario
from tpssim.sensor import CAPACITY, Sensor, collected, opened, summed_up, window_end
from tpssim.serving import Call, Serving
from tpssim.traces import Trace
from tpssim.world import (
    IN_FLIGHT,
    LATENCY,
    OUTCOME,
    RELEASE,
    RELEASED,
    SCHEDULED,
    WINDOW,
    World,
)

_new = tuple.__new__


class Driver:
    """Releases calls as a law commands: the release rule, the three valves, one wait at a time."""

    def __init__(self, world: World, serving: Serving, law: Controller[Any], index: int) -> None:
        scenario = world.scenario
        self.world = world
        self.serving = serving
        self.law = law
        self.index = index
        self.start, self.end = scenario.producers[index]
        memory = getattr(law, "memory", None)
        self.extra: tuple[Any, ...] = (array("d", [0.0]) * memory(),) if memory else ()
        self.admit = getattr(law, "admit", None)
        self.state = law.init(scenario.target)
        self.chance = world.noise("law.uniform", index)
        self.refusal = world.noise("reject.uniform", index)
        self.gaps = world.noise("gap.exponential", index) if scenario.poisson > 0.0 else None
        self.late = world.late(index)
        self.ideal = scenario.timer == IDEAL
        self.threshold = scenario.spin_threshold
        self.target = scenario.target
        self.priority = RELEASE + (index << 40)
        self.previous = math.nan  # due time of the last slot; nan before the first
        self.slot = 0
        self.seen = 0
        self.flying = 0
        self.peak = 0
        self.sleeps = 0
        self.idle = True  # whether the producer's thread is free to wait and to release
        self.due = math.nan  # what is being waited for
        self.armed: Any = None
        self.waited_rate = math.nan  # the rate valve when it was armed
        self.spun = 0.0
        self.held = -1  # the last slot that the limit valve held back
        sensor = getattr(law, "sensor", None)
        self.sensor: Sensor | None = sensor() if sensor else None
        self.window = opened(self.start)
        self.latencies = array("d", [0.0]) * CAPACITY
        if self.sensor is not None and self.sensor.period > 0.0:
            self._watch()

    def arm(self) -> None:
        """Wait for the next slot, or leave the wait in progress alone if its deadline has not moved."""
        if not self.idle:
            return
        world, state = self.world, self.state
        if self.armed is not None and state.rate == self.waited_rate and self.flying + 1 <= state.limit:
            return
        self.waited_rate = state.rate
        gap = 1.0 if self.gaps is None else self.gaps[self.slot]
        if not math.isnan(self.previous):
            due = next_due(self.previous, state.rate, self.target, gap)
        elif self.gaps is None:
            due = self.start if min(state.rate, self.target) > 0.0 else math.inf
        else:
            due = next_due(self.start, state.rate, self.target, gap)
        if self.flying + 1 > state.limit:
            if self.held != self.slot:
                self.held = self.slot
                world.counters["held"] += 1.0
            due = math.inf
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
        self.armed = world.at(time, self.priority + self.slot, self.release)

    def release(self, event: Any) -> None:
        """A slot's time has come, unless its wait was given up for another deadline."""
        world = self.world
        now = world.env._now
        if event is not self.armed or now >= self.end:
            return
        self.armed = None
        world.counters["spun"] += self.spun
        if self.admit is not None:
            lag = now - self.due
            self.state = self.admit(self.state, now - self.start, lag, float(self.flying), *self.extra)
        state = self.state
        slot, due = self.slot, self.due
        self._move_on(state.rate, now)
        if state.reject > 0.0 and self.refusal[slot] < state.reject:
            world.log_refusal(self.index, due, state.rate, state.limit, self.flying)
            self._update(math.nan, now - due, 0.0, 0.0, 0.0, float(self.flying), 1.0)
            self.arm()
            return
        self.flying += 1
        if self.flying > self.peak:
            self.peak = self.flying
        row = world.log(self.index, due, state.rate, state.limit, self.flying)
        self.idle = False
        self.serving.begin(Call(self.index, slot, row, self.freed, self.settled))

    def _move_on(self, rate: float, now: float) -> None:
        """The next slot, as the late policy has it."""
        world = self.world
        self.slot += 1
        self.previous = self.due
        if now > self.due:
            speed = min(rate, self.target)
            interval = 1.0 / speed if speed > 0.0 else math.inf
            counters = world.counters
            if now - self.due >= interval:
                counters["caught_up"] += 1.0
            self.previous, dropped = anchor(world.scenario.late, self.due, now, interval)
            if dropped > 0.0:
                counters["dropped"] += dropped
                self.slot += int(dropped)
            elif self.previous != self.due:
                counters["re_anchored"] += 1.0

    def freed(self, call: Call) -> None:
        self.idle = True
        self.arm()

    def settled(self, call: Call) -> None:
        row = call.row
        self.flying -= 1
        outcome = row[OUTCOME]
        error = 1.0 if outcome in (FAILED, TIMED_OUT, REJECTED) else 0.0
        drop = error if outcome != FAILED else 0.0
        lag = row[RELEASED] - row[SCHEDULED]
        self._update(row[LATENCY], lag, 1.0, error, drop, float(row[IN_FLIGHT]), 0.0)
        self.arm()

    def _update(
        self,
        latency: float,
        lag: float,
        count: float,
        errors: float,
        drops: float,
        in_flight: float,
        refusals: float,
    ) -> None:
        """News for the law, or for its window."""
        now = self.world.env._now - self.start
        peak, u = float(self.peak), self.chance[self.seen]
        # As Observation(...), which is the model's most frequent call, at half the time.
        obs = _new(
            Observation,
            (now, self.target, latency, lag, count, errors, in_flight, drops, refusals, peak, u),
        )
        self.seen += 1
        self.peak = self.flying
        if self.sensor is None or refusals > 0.0:
            self.state = self.law.update(self.state, obs, *self.extra)
            return
        self.window = collected(self.window, obs, self.latencies)
        enough = self.window.calls >= self.sensor.least
        late = self.world.env._now >= self._window_end()
        if enough and late and (self.sensor.period == 0.0 or self.sensor.discard == 0.0):
            self._sum_up()

    def _window_end(self) -> float:
        """When the window ends, on the grid of event times."""
        assert self.sensor is not None
        return on_grid(window_end(self.sensor, self.window), self.world.scenario.grid)

    def _watch(self) -> None:
        """Look at the window when it may end."""
        assert self.sensor is not None
        end = max(self._window_end(), self.world.env._now)
        self.world.at(end, WINDOW + self.index, self._look)

    def _look(self, _: Any) -> None:
        assert self.sensor is not None
        now = self.world.env._now
        if now < self._window_end():
            self._watch()  # it began anew, or waits for more round trips
        elif self.window.calls >= self.sensor.least:
            self._sum_up()
            self.arm()
            self._watch()
        elif self.sensor.discard > 0.0:
            self.window = opened(now)
            self._watch()
        else:
            # It goes on until it has enough, and then ends with a completion; look again a period later.
            self.world.at(now + self.sensor.period, WINDOW + self.index, self._look)

    def _sum_up(self) -> None:
        assert self.sensor is not None
        now = self.world.env._now
        target = self.target
        u = self.chance[self.seen]
        self.seen += 1
        obs = summed_up(self.sensor, self.window, self.latencies, now - self.start, target, u)
        self.window = opened(now)
        self.state = self.law.update(self.state, obs, *self.extra)


def simulate(
    scenario: Scenario, law: Controller[Any], seed: int, replication: int, meta: Mapping[str, Any]
) -> Trace:
    """One run of a parameterised law in the simpy model; every producer has its own."""
    world = World(scenario, seed, replication)
    serving = Serving(world)
    for index in range(len(scenario.producers)):
        Driver(world, serving, law, index).arm()
    world.run()
    return world.trace(meta)
