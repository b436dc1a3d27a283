"""Blocking code under virtual time, beside the model: the article's generators run here as they are.

A blocking generator cannot be a simpy process, so it runs in a greenlet. When it waits, or while its call
is being served, control goes back to simpy, which switches to it again when virtual time has come.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import greenlet

from tpssim.article import PrintedThrottle
from tpssim.clock import VirtualClock
from tpssim.core import InputError
from tpssim.scenarios import Scenario
from tpssim.serving import Call, Serving
from tpssim.traces import Trace
from tpssim.world import RELEASE, World


def simulate(
    scenario: Scenario, throttle: PrintedThrottle, seed: int, replication: int, meta: Mapping[str, Any]
) -> Trace:
    """One run of a printed throttle: `for item in throttle(items, tps, total): call(item)`.

    A throttle keeps its own schedule, so a late policy, random gaps or several producers are refused.
    """
    world = World(scenario, seed, replication)
    serving = Serving(world)
    env = world.env
    hub = greenlet.getcurrent()
    rate = math.nan
    flying = 0

    def advance(time: float) -> None:
        if time > env.now:
            world.at(time, RELEASE + len(world.released), resume)
            hub.switch()

    clock = VirtualClock(scenario.timer, world.late(), advance)

    def note(commanded: float) -> None:
        nonlocal rate
        rate = float(commanded)

    def settled(_: Call) -> None:
        nonlocal flying
        flying -= 1

    free = True  # whether the producer's thread is

    def freed(_: Call) -> None:
        nonlocal free
        free = True
        if greenlet.getcurrent() is not guest:
            guest.switch()

    def call(slot: int) -> None:
        nonlocal flying, free
        flying += 1
        free = False
        # A throttle that keeps no schedule is measured against the one it was asked for.
        scheduled = slot / scenario.target if math.isnan(clock.deadline) else clock.deadline
        world.counters["spun"] = clock.spun
        serving.begin(Call(0, slot, world.log(0, scheduled, rate, math.inf, flying), freed, settled))
        if not free:
            hub.switch()
        clock.set(env.now)

    def loop() -> None:
        items = itertools.count()
        for item in throttle(items, scenario.target, world.slots, clock=clock, on_rate=note):
            call(item)

    guest = greenlet.greenlet(loop)

    def resume(_: Any) -> None:
        guest.switch()

    world.at(0.0, RELEASE, resume)
    world.run()
    if not guest.dead:
        guest.throw()  # the run is over: the generator is closed where it stands
    return world.trace(meta)


def refuse_unhosted(scenario: Scenario, name: str) -> None:
    """Raise `InputError` for what only a parameterised law can be asked to do."""
    asked = {
        f"late={scenario.late}": str(scenario.late) != "burst",
        "poisson=1": scenario.poisson > 0.0,
        f"{len(scenario.producers)} producers": len(scenario.producers) > 1,
    }
    for what, is_asked in asked.items():
        if is_asked:
            raise InputError(
                f"scenario {scenario.name}: {what}, but {name} keeps its own schedule; "
                "allowed: parameterised laws"
            )
