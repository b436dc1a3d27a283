"""The five throttles of the article as printed: generators that wrap an iterable, on an injected
clock.

Kept warts and all, since they are what the bench is to show: the first drifts, the others catch up
without bound after a stall, the fifth cannot see spare capacity. Mended, because it cannot run at
all: an empty iterable ends the generator instead of surfacing as a `RuntimeError`, and `tps <= 0`
(or no number) is refused instead of dividing by zero. As printed, an exception in the caller's loop
is never seen here.

`clock` is the only way to the time, so the same function runs live (`WallClock`, the default) and
in virtual time. `on_rate(rate)` is called with the commanded TPS at the start and after each
decision; the printed code keeps it to itself. This module knows nothing of services or scenarios.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from tpssim.core.clocks import Clock, WallClock
from tpssim.core.errors import InputError
from tpssim.core.types import described

ALPHA = 0.2
DEADZONE = 1.1
LOW = 0.95
DEC_RATE = 0.9
INC_STEP = 1.0
SPIN_THRESHOLD = 0.0005  # s

ORIGIN = "the article, as printed"

T = TypeVar("T")
OnRate = Callable[[float], None]


class PrintedThrottle(Protocol):
    """What the five have in common."""

    def __call__(
        self,
        items: Iterable[T],
        tps: float,
        total: int,
        *,
        clock: Clock | None = None,
        on_rate: OnRate | None = None,
    ) -> Iterator[T]: ...


def _cycled(items: Iterable[T], tps: float, total: int) -> Iterator[T]:
    """Exactly `total` items, the iterable repeated endlessly; nothing at all if it is empty."""
    if not (math.isfinite(tps) and tps > 0.0):
        raise InputError(f"tps={tps!r} is out of range; allowed: (0, inf)")
    return itertools.islice(itertools.cycle(items), total)


@described(
    "Throttle 1: call, then `sleep(1 / tps)`. Every call's own time and every late wake-up add up.",
    actuators=("rate",),
    signals="none",
    origin=ORIGIN,
    year=2026,
)
def sleep_throttle(
    items: Iterable[T],
    tps: float,
    total: int,
    *,
    clock: Clock | None = None,
    on_rate: OnRate | None = None,
) -> Iterator[T]:
    clock = clock or WallClock()
    cycled = _cycled(items, tps, total)
    interval = 1 / tps
    if on_rate is not None:
        on_rate(tps)
    for item in cycled:
        yield item
        clock.sleep(interval)


@described(
    "Throttle 2: an absolute schedule, `next_tick += 1 / tps`. Late ticks are made up without"
    " bound.",
    actuators=("rate",),
    signals="none",
    origin=ORIGIN,
    year=2026,
)
def schedule_throttle(
    items: Iterable[T],
    tps: float,
    total: int,
    *,
    clock: Clock | None = None,
    on_rate: OnRate | None = None,
) -> Iterator[T]:
    return _scheduled(items, tps, total, clock, on_rate, spin=0.0)


@described(
    "Throttle 3: as 2, but sleep until `SPIN_THRESHOLD` before the tick, then read the clock.",
    actuators=("rate",),
    signals="none",
    origin=ORIGIN,
    year=2026,
)
def spin_throttle(
    items: Iterable[T],
    tps: float,
    total: int,
    *,
    clock: Clock | None = None,
    on_rate: OnRate | None = None,
) -> Iterator[T]:
    return _scheduled(items, tps, total, clock, on_rate, spin=SPIN_THRESHOLD)


def _scheduled(
    items: Iterable[T],
    tps: float,
    total: int,
    clock: Clock | None,
    on_rate: OnRate | None,
    spin: float,
) -> Iterator[T]:
    clock = clock or WallClock()
    cycled = _cycled(items, tps, total)
    interval = 1 / tps
    if on_rate is not None:
        on_rate(tps)
    next_tick = clock.now()
    for item in cycled:
        clock.wait(next_tick, spin)
        yield item
        next_tick += interval


@described(
    "Throttle 4: naive AIMD. Two returns more than 1.5 intervals apart: x 0.7, else + 1 TPS.",
    actuators=("rate",),
    signals="time between two returns",
    origin=ORIGIN,
    year=2026,
)
def aimd_throttle(
    items: Iterable[T],
    tps: float,
    total: int,
    *,
    clock: Clock | None = None,
    on_rate: OnRate | None = None,
) -> Iterator[T]:
    clock = clock or WallClock()
    cycled = _cycled(items, tps, total)
    current_tps = tps
    interval = 1 / current_tps
    last_yield = None
    if on_rate is not None:
        on_rate(current_tps)
    next_tick = clock.now()
    for item in cycled:
        clock.wait(next_tick, SPIN_THRESHOLD)
        yield item
        now = clock.now()
        if last_yield is not None:
            actual_interval = now - last_yield
            if actual_interval > interval * 1.5:
                current_tps *= 0.7
            else:
                current_tps += 1
            current_tps = max(1, min(current_tps, tps))
            interval = 1 / current_tps
            if on_rate is not None:
                on_rate(current_tps)
        last_yield = now
        next_tick += interval


@described(
    "Throttle 5: EWMA of the time between returns, a dead zone, x 0.9 above it, + 1 TPS below it.",
    actuators=("rate",),
    signals="time between two returns",
    origin=ORIGIN,
    year=2026,
)
def ewma_throttle(
    items: Iterable[T],
    tps: float,
    total: int,
    *,
    clock: Clock | None = None,
    on_rate: OnRate | None = None,
) -> Iterator[T]:
    clock = clock or WallClock()
    cycled = _cycled(items, tps, total)
    current_tps = tps
    interval = 1 / current_tps
    last_yield = None
    ewma = None
    if on_rate is not None:
        on_rate(current_tps)
    next_tick = clock.now()
    for item in cycled:
        clock.wait(next_tick, SPIN_THRESHOLD)
        yield item
        now = clock.now()
        if last_yield is not None:
            measured = now - last_yield
            ewma = measured if ewma is None else ALPHA * measured + (1 - ALPHA) * ewma
            ratio = ewma / interval
            if ratio > DEADZONE:
                current_tps *= DEC_RATE
            elif ratio < LOW:
                current_tps += INC_STEP
            current_tps = max(1, min(current_tps, tps))
            interval = 1 / current_tps
            if on_rate is not None:
                on_rate(current_tps)
        last_yield = now
        next_tick += interval


#: The five by the names they have on the command line.
PRINTED: dict[str, PrintedThrottle] = {
    "printed-sleep": sleep_throttle,
    "printed-schedule": schedule_throttle,
    "printed-spin": spin_throttle,
    "printed-aimd": aimd_throttle,
    "printed-ewma": ewma_throttle,
}

#: The parameterised law that equals a printed throttle to the bit under the ideal timer.
TWINS = {
    "printed-schedule": "fixed",
    "printed-spin": "fixed",
    "printed-aimd": "aimd",
    "printed-ewma": "ewma-deadzone",
}
