"""A window over completions: many become one Observation. Pure, and no part of any law.

A law says which window it wants by `sensor() -> Sensor(...)`, so window settings are fields of its
record.
"""

from __future__ import annotations

import math
from array import array
from typing import Annotated, Any, NamedTuple

from tpssim.core.types import Observation, ceiled, record
from tpssim.core.validation import Range, checked

#: The least time between two looks at a window, s: no less than the coarsest grid of a scenario, on
#: which a shorter one would end when it begins, for ever.
SHORTEST_WINDOW = 1e-3
CAPACITY = 4096  # latencies of a window that are kept for its quantile; later ones are not


@record
class Sensor(NamedTuple):
    """A window lasts `rtts` times its least latency, but between `period` and `longest` seconds.

    At its end, with `least` completions or more, it becomes an Observation; with fewer it is thrown
    away (`discard` 1) or goes on until it has them (`discard` 0). With `period` 0 it ends with a
    completion, as soon as there are enough. `latency` is the mean, or the `quantile` (nearest rank)
    if that is above 0.

    >>> Sensor(period=0.1, least=16.0).quantile  # at least 16 calls; their mean latency
    0.0
    """

    period: Annotated[float, Range(SHORTEST_WINDOW, 1e6, "s", off=True)] = 0.0
    longest: Annotated[float, Range(0.0, 1e6, "s")] = 0.0
    rtts: Annotated[float, Range(0.0, 1e6, "x least latency")] = 0.0
    least: Annotated[float, Range(1.0, 1e6, "completions")] = 1.0
    discard: Annotated[float, Range(0.0, 1.0, "0 or 1")] = 0.0
    quantile: Annotated[float, Range(0.0, 1.0)] = 0.0


@record
class Window(NamedTuple):
    """What a window has collected so far.

    >>> memory = array("d", [0.0]) * CAPACITY
    >>> window = collected(opened(0.0), Observation(0.1, 100.0, 0.02, 0.0), memory)
    >>> window.calls, window.total
    (1.0, 0.02)
    """

    start: float  #: s
    calls: float  #: completions, failed ones too
    errors: float
    drops: float
    timed: float  #: completions whose latency counts
    total: float  #: their sum, s
    least: float  #: the least of them, s
    lag: float  #: sum, s
    in_flight: float  #: largest of any observed call
    peak: float


def sensor_of(law: Any) -> Sensor | None:
    """The window that a law wants, its numbers checked; None if it has none. Raises
    `InputError`.
    """
    if not hasattr(law, "sensor"):
        return None
    wanted: Sensor = law.sensor()
    return checked(wanted, f"the window of controller {type(law).__name__}")


def opened(start: float) -> Window:
    """An empty window."""
    return Window(start, 0.0, 0.0, 0.0, 0.0, 0.0, math.inf, 0.0, 0.0, 0.0)


def collected(window: Window, obs: Observation, memory: array[float]) -> Window:
    """The window with one more completion; its latency is put in `memory`."""
    timed, total, least = window.timed, window.total, window.least
    # A failed call that is no drop says nothing by its latency.
    if obs.errors - obs.drops < obs.count and not math.isnan(obs.latency):
        if timed < CAPACITY:
            memory[int(timed)] = obs.latency
        timed += 1.0
        total += obs.latency
        least = min(least, obs.latency)
    return Window(
        window.start,
        window.calls + obs.count,
        window.errors + obs.errors,
        window.drops + obs.drops,
        timed,
        total,
        least,
        window.lag + obs.lag,
        max(window.in_flight, obs.in_flight),
        max(window.peak, obs.peak),
    )


def window_end(sensor: Sensor, window: Window) -> float:
    """When the window ends, s, as far as it is known now; its start if it ends by count alone."""
    length = sensor.period
    if sensor.rtts > 0.0 and window.least < math.inf:
        length = min(
            max(sensor.rtts * window.least, sensor.period), max(sensor.longest, sensor.period)
        )
    return window.start + length


def ranked(memory: array[float], n: int, rank: int) -> float:
    """The value of that rank (0: the least) among the first n, which are put in another order
    (quickselect).

    Its own code, because sorting costs a compiler more time than all the rest of a law's loop.

    >>> ranked(array("d", [3.0, 1.0, 2.0, 9.0]), 3, 1)
    2.0
    """
    low, high = 0, n - 1
    while low < high:
        pivot = memory[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while memory[i] < pivot:
                i += 1
            while pivot < memory[j]:
                j -= 1
            if i <= j:
                kept = memory[i]
                memory[i] = memory[j]
                memory[j] = kept
                i += 1
                j -= 1
        if rank <= j:
            high = j
        elif rank >= i:
            low = i
        else:
            break
    return memory[rank]


def summed_up(
    sensor: Sensor, window: Window, memory: array[float], now: float, target: float, u: float
) -> Observation:
    """The window as one Observation at `now`."""
    latency = math.nan
    if window.timed > 0.0:
        latency = window.total / window.timed
        if sensor.quantile > 0.0:
            kept = min(int(window.timed), CAPACITY)
            latency = ranked(memory, kept, max(int(ceiled(sensor.quantile * kept)) - 1, 0))
    return Observation(
        now,
        target,
        latency,
        window.lag / window.calls,
        window.calls,
        window.errors,
        window.in_flight,
        window.drops,
        0.0,
        window.peak,
        u,
    )
