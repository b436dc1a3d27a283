"""The reference engine: producer, throttle and consumer as a simpy discrete-event model.

Ties are broken as everywhere in tpssim: end of the run, completion, release; then by call number. A
completion is seen before a release at the same instant. simpy's door, together with `hosted`. Every event
is scheduled at an absolute time, because `now + (t - now)` need not be `t`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import heappush
from typing import TYPE_CHECKING, Any

import numpy as np
import simpy

from tpssim import services
from tpssim.clock import late_wakeups, plan_wait
from tpssim.core import OK, REFUSED, UNFINISHED, Controller, Observation
from tpssim.pacing import next_due
from tpssim.scenarios import Async, Scenario, Step
from tpssim.traces import Trace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Priorities at equal times. simpy's own wake-ups are 0 and 1; the call number is added to these.
END, COMPLETION, RELEASE = 2 << 48, 3 << 48, 4 << 48


class World:
    """One run in progress: virtual time, the consumer with its noise, and the log."""

    def __init__(self, scenario: Scenario, seed: int, replication: int) -> None:
        self.scenario = scenario
        self.seed = seed
        self.replication = replication
        self.env = simpy.Environment()
        # A slot lies at least 1 / target after the one before; the printed throttles never go below 1/s.
        self.slots = math.ceil(max(scenario.target, 1.0) * scenario.duration) + 2
        self.service_times = self._times(scenario.service)
        self.swaps = [
            (d.start, d.end, d.factor, None)
            if isinstance(d, Step)
            else (d.start, d.end, 1.0, self._times(d.service))
            for d in scenario.disturbances
        ]
        self.late = self._late()
        self.spun = 0.0
        self.scheduled: list[float] = []
        self.released: list[float] = []
        self.completed: list[float] = []
        self.latency: list[float] = []
        self.rate: list[float] = []
        self.limit: list[float] = []
        self.in_flight: list[int] = []
        self.outcome: list[int] = []
        self.flying = 0

    def draws(self, stream: str, n: int) -> Any:
        return services.draws(stream, n, self.seed, self.replication)

    def _times(self, service: services.Service) -> list[float]:
        times: list[float] = service.times(self.draws(service.noise(), self.slots)).tolist()
        return times

    def _late(self) -> list[float]:
        timer = self.scenario.timer
        if timer.median == 0.0 and timer.spike == 0.0:
            return []
        # At most one sleep to a slot, but for waits begun anew when a completion changed the deadline.
        n = 2 * self.slots
        late: list[float] = late_wakeups(
            timer, self.draws("timer.normal", n), self.draws("timer.uniform", n)
        ).tolist()
        return late

    def service_time(self, k: int, t: float) -> float:
        """Service time of call k begun at t, s, under the disturbances in force."""
        time = self.service_times[k]
        factor = 1.0
        for start, end, multiple, times in self.swaps:
            if start <= t < end:
                if times is None:
                    factor *= multiple
                else:
                    time = times[k]
        return time * factor

    def at(self, time: float, priority: int, action: Callable[[Any], None]) -> simpy.Event:
        """Call `action` at an absolute time, in the order of priorities among equal times."""
        env = self.env
        event = simpy.Event(env)
        event._ok = True
        event._value = None
        event.callbacks.append(action)
        entry: Any = (time, priority, next(env._eid), event)
        heappush(env._queue, entry)
        return event

    def release(self, scheduled: float, rate: float, limit: float) -> int:
        """Log a release now; returns the call's number."""
        self.flying += 1
        self.scheduled.append(scheduled)
        self.released.append(self.env.now)
        self.completed.append(math.nan)
        self.latency.append(math.nan)
        self.rate.append(rate)
        self.limit.append(limit)
        self.in_flight.append(self.flying)
        self.outcome.append(UNFINISHED)
        return len(self.released) - 1

    def refuse(self, scheduled: float, rate: float, limit: float) -> None:
        """Log a slot whose call was refused locally."""
        self.release(scheduled, rate, limit)
        self.flying -= 1
        self.released[-1] = math.nan
        self.in_flight[-1] = self.flying
        self.outcome[-1] = REFUSED

    def begin(self, k: int, returned: Callable[[int], None], seen: Callable[[int], None] | None) -> None:
        """Begin call k now. `returned(k)` frees the producer's thread, `seen(k)` is the law's news."""
        now = self.env.now
        consumer = self.scenario.consumer
        if not isinstance(consumer, Async):
            done = now + self.service_time(k, now)

            def finish(_: Any) -> None:
                self._complete(k, done, done - now)
                if seen is not None:
                    seen(k)
                returned(k)

            self.at(done, COMPLETION + k, finish)
            return
        handed = now + consumer.handoff
        done = handed + self.service_time(k, handed)

        def hand_over(_: Any) -> None:
            if consumer.feedback == "handoff":
                # Nothing waits for the work itself, so its end is written down at once.
                self._complete(k, done, handed - now)
                if seen is not None:
                    seen(k)
            else:

                def finish(_: Any) -> None:
                    self._complete(k, done, done - now)
                    if seen is not None:
                        seen(k)

                self.at(done, COMPLETION + k, finish)
            returned(k)

        self.at(handed, COMPLETION + k, hand_over)

    def _complete(self, k: int, done: float, latency: float) -> None:
        self.flying -= 1
        self.latency[k] = latency
        if done < self.scenario.duration:
            self.completed[k] = done
            self.outcome[k] = OK

    def run(self) -> None:
        """Run to the end of the scenario: whatever lies at that instant or after it does not happen."""

        def stop(event: Any) -> None:
            raise simpy.core.StopSimulation(None)

        self.at(self.scenario.duration, END, stop)
        self.env.run()

    def trace(self, meta: Mapping[str, Any]) -> Trace:
        def column(values: Sequence[float]) -> Any:
            return np.array(values, dtype=np.float64)

        return Trace(
            column(self.scheduled),
            column(self.released),
            column(self.completed),
            column(self.latency),
            column(self.rate),
            column(self.limit),
            column(self.in_flight),
            np.array(self.outcome, dtype=np.int8),
            self.scenario,
            {**meta, "spun": self.spun},
        )


class Producer:
    """Releases calls as a law commands: the release rule, the three valves, one wait at a time."""

    def __init__(self, world: World, law: Controller[Any]) -> None:
        self.world = world
        self.law = law
        self.state = law.init(world.scenario.target)
        self.chance = world.draws("law.uniform", world.slots).tolist()
        self.refusal = world.draws("reject.uniform", world.slots).tolist()
        self.previous = math.nan  # due time of the last slot; nan before the first
        self.slot = 0
        self.seen = 0
        self.peak = 0
        self.sleeps = 0
        self.idle = True  # whether the producer's thread is free to wait and to release
        self.due = math.nan  # what is being waited for
        self.armed: simpy.Event | None = None
        self.spun = 0.0

    def arm(self) -> None:
        """Wait for the next slot, or leave the wait in progress alone if its deadline has not moved."""
        world, state = self.world, self.state
        if not self.idle:
            return
        if math.isnan(self.previous):
            due = 0.0
        else:
            due = next_due(self.previous, state.rate, world.scenario.target)
        if world.flying + 1 > state.limit:
            due = math.inf
        if self.armed is not None and due == self.due:
            return
        self.due = due
        self.armed = None
        if due == math.inf:
            return
        now = world.env.now
        timer = world.scenario.timer
        wait = plan_wait(timer, now, 0, due, world.scenario.spin_threshold, world.late, self.sleeps)
        self.sleeps = wait.sleeps
        self.spun = wait.spun
        self.armed = world.at(wait.base + wait.reads * timer.read_cost, RELEASE + self.slot, self.release)

    def release(self, event: simpy.Event) -> None:
        if event is not self.armed:
            return  # a wait that was given up for another deadline
        world, state = self.world, self.state
        self.armed = None
        self.previous = self.due
        world.spun += self.spun
        slot = self.slot
        self.slot += 1
        if state.reject > 0.0 and self.refusal[slot] < state.reject:
            world.refuse(self.due, state.rate, state.limit)
            self.observe(math.nan, world.env.now - self.due, 0.0, float(world.flying), 1.0)
            self.arm()
            return
        k = world.release(self.due, state.rate, state.limit)
        self.peak = max(self.peak, world.flying)
        self.idle = False
        world.begin(k, self.returned, self.completed)

    def returned(self, k: int) -> None:
        self.idle = True
        self.arm()

    def completed(self, k: int) -> None:
        world = self.world
        lag = world.released[k] - world.scheduled[k]
        self.observe(world.latency[k], lag, 1.0, float(world.in_flight[k]), 0.0)
        self.arm()

    def observe(self, latency: float, lag: float, count: float, in_flight: float, refusals: float) -> None:
        world = self.world
        u = self.chance[self.seen]
        self.seen += 1
        obs = Observation(
            world.env.now,
            world.scenario.target,
            latency,
            lag,
            count,
            0.0,
            in_flight,
            0.0,
            refusals,
            float(self.peak),
            u,
        )
        self.peak = world.flying
        self.state = self.law.update(self.state, obs)


def simulate(
    scenario: Scenario, law: Controller[Any], seed: int, replication: int, meta: Mapping[str, Any]
) -> Trace:
    """One run of a parameterised law in the simpy model."""
    world = World(scenario, seed, replication)
    Producer(world, law).arm()
    world.run()
    return world.trace(meta)
