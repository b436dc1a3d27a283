"""Windows of completions, and what `headroom` knows of them, for tests worked by hand."""

from __future__ import annotations

import math
from typing import Any

from helpers.laws import done
from tpssim.controllers._headroom_base import Base, Tuning
from tpssim.controllers._headroom_concurrency import opened
from tpssim.controllers._headroom_steps import Allowance, stepped
from tpssim.controllers._headroom_windows import Measured
from tpssim.controllers.headroom import Headroom

LAW = Headroom()
TUNING = Tuning(queue=1.5, slack=0.03, probe_every=200.0)
#: Times in 1/64 s, which are floats without rounding.
TICK = 1.0 / 64.0
TWICE = math.log(2.0)


def flight(start: float, latency: float, n: int, among: float, step: float = TICK) -> list[Any]:
    """n completions, one every `step` seconds after `start`, of calls of that latency."""
    return [done(start + step * (k + 1), latency, among) for k in range(n)]


def found(level: float, held: float, doubt: float = 0.0, **known: float) -> Measured:
    """A window of 32 latencies with no more in flight than were held."""
    window = Measured(
        number=32.0,
        lost=0.0,
        level=level,
        doubt=doubt,
        variance=32.0 * doubt,
        own=0.0,
        held=held,
        peak=math.ceil(held),
    )
    return window._replace(**known)


def base_of(level: float, doubt: float, held: float, least: float) -> Base:
    """Of 32 latencies of that doubt."""
    return Base(level, 32.0 * doubt, 32.0, held, least, math.inf)


def allowed(calls: float, **known: Any) -> Allowance:
    """So many calls, with the limit no longer open and nothing going on."""
    return opened(0.0).allowance._replace(**{"calls": calls, "open": 0.0, **known})


def step(calls: float, window: Measured, base: Base, **known: Any) -> Allowance:
    """The step after a window in which the limit was used."""
    return stepped(allowed(calls, **known), window, base, True, True, True, 9.0, TUNING)


BASE = base_of(0.0, 0.01, 5.0, 0.0)
