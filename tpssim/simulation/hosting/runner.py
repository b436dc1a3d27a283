"""Code that waits by itself under virtual time, beside the model: the article's generators, and
foreign code.

A throttle is called as the article's, `for item in throttle(items, tps, total): call(item)`, in a
strand of its own for each producer.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from tpssim.controllers.article import PrintedThrottle
from tpssim.core.clocks import VirtualClock
from tpssim.core.errors import InputError
from tpssim.core.schedule import AUTO, BURST
from tpssim.core.types import OK, UNFINISHED
from tpssim.scenarios.plant import Async, Backend, Blocking
from tpssim.scenarios.scenario import Producer, Scenario, check_calls
from tpssim.simulation.call_lifecycle import Call, Serving
from tpssim.simulation.environment import COMPLETED, LATENCY, OUTCOME, Row, World
from tpssim.simulation.hosting.threads import Strand, current
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
        self.rate = math.nan  # as far as the code makes it known
        self.flying = 0
        self.free = True  # whether the producer's thread is
        self.slot = 0
        self.left = False
        self.spun = 0.0  # up to the last release
        self.strand = Strand(world, index, lambda: body(self))
        self.strand.clock.set(self.producer.start)

    def note(self, rate: float) -> None:
        """The code commands another rate."""
        self.rate = float(rate)

    def call(self) -> None:
        """The code released a call; returns when the producer's thread is free again."""
        world, clock = self.world, self.strand.clock
        self.strand.catch_up()
        if world.env.now >= self.producer.end:
            self.left = True
            self.strand.pause()
        self.spun = clock.spun
        slot = self.slot
        self.slot += 1
        self.flying += 1
        self.free = False
        scheduled, caught_up = held_against(
            world.scenario, self.producer, clock, world.env.now, slot, self.rate
        )
        world.counters["caught_up"] += caught_up
        row = world.log(self.index, scheduled, self.rate, math.inf, self.flying)
        self.serving.begin(Call(self.index, slot, row, self._freed, self._settled))
        if not self.free:
            self.strand.away()
        clock.set(world.env.now)
        self.strand.looked_enough()

    def _freed(self, _: Call) -> None:
        self.free = True
        if current() is not self.strand:
            self.strand.switch()

    def _settled(self, _: Call) -> None:
        self.flying -= 1


def printed(throttle: PrintedThrottle) -> Body:
    """The body of a producer with one of the article's throttles, on the injected clock."""

    def body(guest: Guest) -> None:
        world = guest.world
        clock = guest.strand.clock
        items = range(world.slots)
        for _ in throttle(
            items, world.scenario.target, world.slots, clock=clock, on_rate=guest.note
        ):
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
    spun = 0.0
    stop = min(producer.end, scenario.duration)
    generator = throttle(
        range(world.slots), scenario.target, world.slots, clock=clock, on_rate=rates.append
    )
    handoff = scenario.consumer.handoff if isinstance(scenario.consumer, Async) else 0.0
    blocking = isinstance(scenario.consumer, Blocking)
    for slot, _ in enumerate(generator):
        now = clock.time()
        if now >= stop:
            break
        spun = clock.spun
        rate = float(rates[-1])
        scheduled, caught_up = held_against(scenario, producer, clock, now, slot, rate)
        world.counters["caught_up"] += caught_up
        row: Row = [scheduled, now, math.nan, math.nan, rate, math.inf, 1, UNFINISHED, 0]
        world.rows.append(row)
        begin = free = now + handoff
        if begin < scenario.duration:
            work = world.work(0, slot, 0, begin)
            done = world.finish(begin, work) if world.stalls else begin + work
            if blocking:
                free = done
            if free < scenario.duration:
                row[LATENCY] = free - now
            if done < scenario.duration:
                row[OUTCOME], row[COMPLETED] = OK, done
        clock.set(free)
    world.counters["spun"] = math.fsum([spun])
    return world.trace(meta)


def held_against(
    scenario: Scenario, producer: Producer, clock: VirtualClock, now: float, slot: int, rate: float
) -> tuple[float, float]:
    """(when a release at `now` was due, 1 if that is an interval or more ago), by the deadline it
    waited for.

    A throttle that makes no deadline known is measured against the schedule it was asked for.
    """
    scheduled = clock.deadline
    if not scheduled <= now:
        scheduled = min(producer.start + slot / scenario.target, now)
    clock.deadline = math.nan
    speed = scenario.target if math.isnan(rate) else min(rate, scenario.target)
    return scheduled, 1.0 if now > scheduled and now - scheduled >= 1.0 / speed else 0.0


def simulate(
    scenario: Scenario, body: Body, seed: int, replication: int, meta: Mapping[str, Any]
) -> Trace:
    """One run in which every producer runs `body`."""
    check_calls(scenario)
    world = World(scenario, seed, replication)
    serving = Serving(world)
    guests = [Guest(world, serving, index, body) for index in range(len(scenario.producers))]
    for guest in guests:
        guest.strand.start()
    try:
        world.run()
        for guest in guests:
            if guest.strand.stuck() and not guest.left:
                raise InputError(
                    f"producer {guest.index} waits for ever since {guest.strand.clock.time():.6g}"
                    " s: for a lock, an event or a task that nobody will end; allowed: waits"
                    " that end"
                )
    finally:
        for guest in guests:
            guest.strand.close()
    world.counters["spun"] = math.fsum(guest.spun for guest in guests)
    return world.trace(meta)


def refuse_unhosted(scenario: Scenario, name: str) -> None:
    """Raise `InputError` for what only a parameterised law can be asked to do; `auto` is asked of
    nobody.
    """
    kept = scenario.late in (AUTO, BURST)
    asked = {f"late={scenario.late}": not kept, "poisson=1": scenario.poisson > 0.0}
    for what, is_asked in asked.items():
        if is_asked:
            raise InputError(
                f"scenario {scenario.name}: {what}, but {name} keeps its own schedule; "
                "allowed: parameterised laws"
            )
