"""Code that waits by itself under virtual time, beside the model: the article's generators, and
foreign code.

A throttle is called as the article's, `for item in throttle(items, tps, total): call(item)`, in a
virtual thread of its own for each producer.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from tpssim.controllers.article import PrintedThrottle
from tpssim.core.clocks import VirtualClock
from tpssim.core.errors import InputError
from tpssim.core.schedule import AUTO, BURST
from tpssim.core.types import OK, UNFINISHED
from tpssim.scenarios.capacity import check_calls
from tpssim.scenarios.load import peak_of, profiles, target_of
from tpssim.scenarios.plant import Async, Backend, Blocking
from tpssim.scenarios.scenario import Scenario
from tpssim.simulation.call_lifecycle import Call, Serving
from tpssim.simulation.environment import World
from tpssim.simulation.hosting.threads import VirtualThread, current
from tpssim.simulation.other_clients import begin_background
from tpssim.simulation.simpy_engine import Driver, count_late
from tpssim.simulation.trace import Trace

#: What a producer's code does, given the producer: it calls `guest.call(slot)` for every release.
Body = Callable[["Guest"], None]


class Guest:
    """One producer whose code keeps its own schedule."""

    def __init__(self, world: World, serving: Serving, index: int, body: Body) -> None:
        self.world = world
        self.serving = serving
        self.index = index
        self.producer = world.scenario.producers[index]
        self.target = peak_of(target_of(world.scenario, self.producer))
        self.rate = math.nan  # as far as the code makes it known
        self.flying = 0
        self.free = True  # whether the producer's thread is
        self.slot = 0
        self.left = False
        self.spun = 0.0  # up to the last release
        self.vthread = VirtualThread(world, index, lambda: body(self))
        self.vthread.clock.set(self.producer.start)

    def note(self, rate: float) -> None:
        """The code commands another rate."""
        self.rate = float(rate)

    def call(self) -> None:
        """The code released a call; returns when the producer's thread is free again."""
        world, clock = self.world, self.vthread.clock
        self.vthread.catch_up()
        if world.env.now >= self.producer.end:
            self.left = True
            self.vthread.pause()
        self.spun = clock.spun
        slot = self.slot
        self.slot += 1
        self.flying += 1
        self.free = False
        scheduled, caught_up = held_against(
            self.target, self.producer.start, clock.deadline, world.env.now, slot, self.rate
        )
        clock.deadline = math.nan
        world.counters["caught_up"] += caught_up
        cost = world.cost(self.index, slot)
        row = world.log(self.index, scheduled, self.rate, math.inf, self.flying, cost)
        self.serving.begin(Call(self.index, slot, row, self._freed, self._settled))
        if not self.free:
            self.vthread.away()
        clock.set(world.env.now)
        self.vthread.looked_enough()

    def _freed(self, _: Call) -> None:
        self.free = True
        if current() is not self.vthread:
            self.vthread.switch()

    def _settled(self, _: Call) -> None:
        self.flying -= 1


def printed(throttle: PrintedThrottle) -> Body:
    """The body of a producer with one of the article's throttles, on the injected clock."""

    def body(guest: Guest) -> None:
        world = guest.world
        clock = guest.vthread.clock
        items = range(world.slots)
        for _ in throttle(items, guest.target, world.slots, clock=clock, on_rate=guest.note):
            guest.call()

    return body


def stands_alone(scenario: Scenario) -> bool:
    """Whether one producer sees nothing of the plant but when its thread is free, known at the
    release.
    """
    by_handoff = isinstance(scenario.consumer, Async) and scenario.consumer.feedback == "handoff"
    return (
        (by_handoff or isinstance(scenario.consumer, Blocking))
        and len(scenario.producers) == 1
        and scenario.backend == Backend()
        and scenario.network is None
        and scenario.timeout == math.inf
        and scenario.tick == scenario.grid == 0.0
    )


def simulate_alone(
    scenario: Scenario,
    throttle: PrintedThrottle,
    seed: int,
    replication: int,
    meta: Mapping[str, Any],
) -> Trace:
    """The run of `simulate(scenario, printed(throttle), ...)` to the bit, if the scenario
    `stands_alone`.

    Nothing happens between two looks of the producer that it could see, so no event list is needed,
    and the generator is simply iterated: three times as fast.
    """
    world = World(scenario, seed, replication)
    clock = VirtualClock(scenario.timer, world.late())
    (producer,) = scenario.producers
    clock.set(producer.start)
    rates = deque([math.nan], maxlen=1)  # as far as the code makes it known
    spun, caught_up = 0.0, 0.0
    duration = scenario.duration
    stop = min(producer.end, duration)
    target = peak_of(target_of(scenario, producer))
    generator = throttle(range(world.slots), target, world.slots, clock=clock, on_rate=rates.append)
    handoff = scenario.consumer.handoff if isinstance(scenario.consumer, Async) else 0.0
    blocking = isinstance(scenario.consumer, Blocking)
    rows = array("d")  # not a list a call, each of which the garbage collector would look through
    for slot, _ in enumerate(generator):
        now = clock.time()
        if now >= stop:
            break
        spun = clock.spun
        rate = float(rates[-1])
        scheduled, late = held_against(target, producer.start, clock.deadline, now, slot, rate)
        clock.deadline = math.nan
        caught_up += late
        cost = world.cost(0, slot)
        completed, latency, outcome = math.nan, math.nan, UNFINISHED
        begin = free = now + handoff
        if begin < duration:
            work = world.work(0, slot, 0, begin, cost)
            done = world.finish(begin, work) if world.stalls else begin + work
            if blocking:
                free = done
            if free < duration:
                latency = free - now
            if done < duration:
                outcome, completed = OK, done
        row = (scheduled, now, completed, latency, rate, math.inf, 1.0, outcome, 0.0, cost)
        rows.extend(row)
        clock.set(free)
    world.counters["caught_up"] = caught_up
    world.counters["spun"] = math.fsum([spun])
    return world.trace(meta, rows)


def held_against(
    target: float, start: float, deadline: float, now: float, slot: float, rate: float
) -> tuple[float, float]:
    """(when a release at `now` was due, 1 if that is an interval or more ago), by the deadline it
    waited for.

    A throttle that makes no deadline known (nan) is measured against the schedule it was asked for.
    """
    scheduled = deadline
    if not scheduled <= now:
        scheduled = min(start + slot / target, now)
    speed = target if math.isnan(rate) else min(rate, target)
    return scheduled, 1.0 if now > scheduled and now - scheduled >= 1.0 / speed else 0.0


def simulate(
    scenario: Scenario, body: Body, seed: int, replication: int, meta: Mapping[str, Any]
) -> Trace:
    """One run in which every producer runs `body` that has no law of its own."""
    check_calls(scenario)
    world = World(scenario, seed, replication)
    serving = Serving(world)
    begin_background(world, serving)
    own = [(index, producer.law) for index, producer in enumerate(scenario.producers)]
    guests = [Guest(world, serving, index, body) for index, law in own if law is None]
    drivers = [Driver(world, serving, law, index) for index, law in own if law is not None]
    for guest in guests:
        guest.vthread.start()
    for driver in drivers:
        driver.arm()
    try:
        world.run()
        for guest in guests:
            if guest.vthread.stuck() and not guest.left:
                raise InputError(
                    f"producer {guest.index} waits for ever since {guest.vthread.clock.time():.6g}"
                    " s: for a lock, an event or a task that nobody will end; allowed: waits"
                    " that end"
                )
    finally:
        for guest in guests:
            guest.vthread.close()
    world.counters["spun"] += math.fsum(guest.spun for guest in guests)
    count_late(world, drivers)
    return world.trace(meta)


def unhosted(scenario: Scenario) -> list[str]:
    """What of a scenario only a parameterised law can be asked to do; `auto` is asked of nobody."""
    kept = scenario.late in (AUTO, BURST)
    asked = {
        f"late={scenario.late}": not kept,
        "poisson=1": scenario.poisson > 0.0,
        "a target of stages": bool(profiles(scenario)),
        "a cost of calls": scenario.cost is not None,
        "recorded arrivals": scenario.arrivals is not None,
        "known quotas": bool(scenario.quotas),
        "late feedback": scenario.feedback is not None,
    }
    return [what for what, is_asked in asked.items() if is_asked]


def refuse_unhosted(scenario: Scenario, name: str) -> None:
    """Raise `InputError` for a scenario that asks what code with a schedule of its own cannot
    do.
    """
    for what in unhosted(scenario):
        raise InputError(
            f"scenario {scenario.name}: {what}, but {name} keeps its own schedule; "
            "allowed: parameterised laws"
        )
