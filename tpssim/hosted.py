"""Code that waits by itself under virtual time, beside the model: the article's generators, and foreign code.

A throttle is called as the article's, `for item in throttle(items, tps, total): call(item)`, in a strand of
its own for each producer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from tpssim.article import PrintedThrottle
from tpssim.core import InputError
from tpssim.scenario import Scenario
from tpssim.serving import Call, Serving
from tpssim.strands import Strand, current
from tpssim.traces import Trace
from tpssim.world import World

#: What a producer's code does, given the producer: it calls `guest.call(slot)` for every release.
Body = Callable[["Guest"], None]


class Guest:
    """One producer whose code keeps its own schedule."""

    def __init__(self, world: World, serving: Serving, index: int, body: Body) -> None:
        self.world = world
        self.serving = serving
        self.index = index
        self.start, self.end = world.scenario.producers[index]
        self.rate = math.nan  # as far as the code makes it known
        self.flying = 0
        self.free = True  # whether the producer's thread is
        self.slot = 0
        self.left = False
        self.spun = 0.0  # up to the last release
        self.strand = Strand(world, index, lambda: body(self))
        self.strand.clock.set(self.start)

    def note(self, rate: float) -> None:
        """The code commands another rate."""
        self.rate = float(rate)

    def call(self) -> None:
        """The code released a call; returns when the producer's thread is free again."""
        world, clock = self.world, self.strand.clock
        self.strand.catch_up()
        if world.env.now >= self.end:
            self.left = True
            self.strand.pause()
        self.spun = clock.spun
        slot = self.slot
        self.slot += 1
        self.flying += 1
        self.free = False
        # A throttle that makes no deadline known is measured against the schedule it was asked for.
        scheduled = clock.deadline
        if not scheduled <= world.env.now:
            scheduled = min(self.start + slot / world.scenario.target, world.env.now)
        clock.deadline = math.nan
        speed = world.scenario.target if math.isnan(self.rate) else min(self.rate, world.scenario.target)
        if world.env.now > scheduled and world.env.now - scheduled >= 1.0 / speed:
            world.counters["caught_up"] += 1.0
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
        for _ in throttle(items, world.scenario.target, world.slots, clock=clock, on_rate=guest.note):
            guest.call()

    return body


def simulate(scenario: Scenario, body: Body, seed: int, replication: int, meta: Mapping[str, Any]) -> Trace:
    """One run in which every producer runs `body`."""
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
                    f"producer {guest.index} waits for ever since {guest.strand.clock.time():.6g} s: for a "
                    "lock, an event or a task that nobody will end; allowed: waits that end"
                )
    finally:
        for guest in guests:
            guest.strand.close()
    world.counters["spun"] = math.fsum(guest.spun for guest in guests)
    return world.trace(meta)


def refuse_unhosted(scenario: Scenario, name: str) -> None:
    """Raise `InputError` for what only a parameterised law can be asked to do."""
    asked = {f"late={scenario.late}": str(scenario.late) != "burst", "poisson=1": scenario.poisson > 0.0}
    for what, is_asked in asked.items():
        if is_asked:
            raise InputError(
                f"scenario {scenario.name}: {what}, but {name} keeps its own schedule; "
                "allowed: parameterised laws"
            )
