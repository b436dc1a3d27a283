"""What a caller can know of a service's load, in the place of the processor's: how much of the time
of its calls they wait.

In a queue with one server and random arrivals and services (M/M/1) a call spends the share of its
time waiting that the server is busy. So the share of waiting stands for the usage of a processor,
and thresholds of that keep their numbers: a usage of 80 % is a latency of five times the least one.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from tpssim.controllers._nanoseconds import nanoseconds
from tpssim.core.types import Observation, floored, record

BUSY = 1000.0  # usage of a processor that never rests
KEPT = 0.95  # weight of the past in the moving average


@record
class Load(NamedTuple):
    """The usage, and what has been seen of the tick in progress."""

    usage: float  #: moving average, thousandths
    tick: float  #: number of the tick, counted from time 0
    waiting: float  #: sum over its calls of the share of their time that they waited
    calls: float  #: that ended in it
    least: float  #: least latency of a call without an error, s; inf before the first


def unloaded() -> Load:
    """The load before the first call."""
    return Load(0.0, 0.0, 0.0, 0.0, math.inf)


def ticked(load: Load, now: float, every: float) -> Load:
    """The load once time has come to `now`: at the end of each tick of `every` seconds the average
    takes in its usage, 0 if no call ended in it, in whole thousandths.

    >>> ticked(Load(800.0, 3.0, 4.5, 5.0, 0.1), 2.0, 0.5)  # 0.95 x 800 + 0.05 x 900
    Load(usage=805.0, tick=4.0, waiting=0.0, calls=0.0, least=0.1)
    """
    at = floored(nanoseconds(now) / max(1.0, nanoseconds(every)))
    if not at > load.tick:
        return load
    seen = floored(BUSY * load.waiting / load.calls) if load.calls > 0.0 else 0.0
    usage = floored(load.usage * KEPT + seen * (1.0 - KEPT))
    idle = at - load.tick - 1.0
    while idle > 0.0 and usage > 0.0:
        usage = floored(usage * KEPT)
        idle -= 1.0
    return Load(usage, at, 0.0, 0.0, load.least)


def ended(load: Load, obs: Observation) -> Load:
    """The load with one more completion. A call that was dropped waited in vain all of its time; of
    one that failed otherwise nothing is known.

    >>> ended(Load(0.0, 0.0, 0.0, 0.0, 0.02), Observation(1.0, 100.0, 0.08, 0.0)).waiting
    0.75
    """
    if obs.count < 1.0 or math.isnan(obs.latency) or obs.errors > obs.drops:
        return load
    if obs.drops > 0.0:
        return Load(
            load.usage, load.tick, load.waiting + obs.count, load.calls + obs.count, load.least
        )
    least = min(load.least, obs.latency)
    share = 1.0 - least / obs.latency if obs.latency > 0.0 else 0.0
    waiting = load.waiting + share * obs.count
    return Load(load.usage, load.tick, waiting, load.calls + obs.count, least)
