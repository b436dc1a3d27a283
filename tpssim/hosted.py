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
from tpssim.model import RELEASE, World
from tpssim.scenarios import Scenario
from tpssim.traces import Trace


def simulate(
    scenario: Scenario, throttle: PrintedThrottle, seed: int, replication: int, meta: Mapping[str, Any]
) -> Trace:
    """One run of a printed throttle: `for item in throttle(items, tps, total): call(item)`."""
    world = World(scenario, seed, replication)
    env = world.env
    hub = greenlet.getcurrent()
    rate = math.nan

    def advance(time: float) -> None:
        if time > env.now:
            world.at(time, RELEASE + len(world.released), resume)
            hub.switch()

    clock = VirtualClock(scenario.timer, world.late, advance)

    def note(commanded: float) -> None:
        nonlocal rate
        rate = float(commanded)

    def call(index: int) -> None:
        # A throttle that keeps no schedule is measured against the one it was asked for.
        scheduled = index / scenario.target if math.isnan(clock.deadline) else clock.deadline
        world.spun = clock.spun
        world.begin(world.release(scheduled, rate, math.inf), resume, None)
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
