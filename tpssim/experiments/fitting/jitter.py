"""Whether the service takes equally long for every call, and only its answers scatter.

A timer, a thread or a network delays an answer and keeps no server busy, so the calls behind it do
not wait for that. A server that is late holds up all that come after it: over a busy period its
lateness adds up. So a recording that was busy for long tells which of the two it is. It matters to
laws that watch the gaps between answers, for those of equal services, even or not, last.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tpssim.core.types import record
from tpssim.experiments.fitting.changes import FLAT, Course
from tpssim.experiments.fitting.estimates import Estimate
from tpssim.experiments.fitting.implied import Calls, Implied, implied
from tpssim.scenarios.service_times import Constant
from tpssim.simulation.compiled.compiling import fast

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

NEARLY = 0.2  # cv above which nobody would call a service constant
#: x the scatter of the service times: that of the answers is no more, where it does not add up; of
#: gamma times it is 2 to 5 times as much
MOST = 1.05
NEAR = 0.05  # share of the mean within which the constant time is searched
GRID, STEPS = 41, 40  # times that are tried, and steps of the search around the best of them
BLOCK = 50  # calls whose answers may be late together
DEEP = 5.0  # services in a row, after which lateness has added up, if it does
FEWEST = 100  # calls after so many


@record
class Steady(NamedTuple):
    """A service of constant time, and answers that are on their way for longer or shorter."""

    time: Estimate  #: of each call, s
    cv: Estimate  #: 0, and what it may be at most
    delay: Estimate  #: of the answers, the mean, s
    late: Array  #: how long each answer is on its way, s, in the order of the calls
    course: Course


def equal_services(
    arrivals: Array,
    changes: Array,
    factors: Array,
    time: float,
    free: Array,
    ended: Array,
    chain: Array,
) -> None:
    """When each call is done by servers that take `time` for it, times the factor of the moment.

    `free`: when each of them is; `chain`: services one after the other since a call that did not
    wait.
    """
    last = 0.0
    for i in range(len(arrivals)):
        first = 0
        for k in range(1, len(free)):
            if free[k] < free[first]:
                first = k
        begin, last = arrivals[i], last + 1.0 / len(free)
        if free[first] > begin:
            begin = free[first]
        else:
            last = 0.0
        stretch = 0
        while stretch < len(changes) and changes[stretch] <= begin:
            stretch += 1
        ended[i] = begin + time * factors[stretch]
        free[first] = ended[i]
        chain[i] = last


def steadied(found: Any, calls: Calls) -> Any:
    """What was learned (`Learned`), with a service of constant time if only its answers scatter."""
    servers, plain = found.servers, found.per_cost is None and not found.crowding.parameters()
    if not plain or found.left > 0.0 or found.density.kind == "constant" or servers.is_bound():
        return found
    seen = implied(calls, servers.value, found.delay.value)
    made = steady(calls, seen, int(servers.value), found.course)
    if made is None:
        return found
    constant = Constant(made.time.value)
    return found._replace(
        delay=made.delay,
        density=found.density._replace(kind="constant", service=constant),
        mean=made.time,
        cv=made.cv,
        course=made.course,
        correlations=(),
        late=made.late,
    )


def steady(calls: Calls, found: Implied, servers: int, course: Course) -> Steady | None:
    """The service if it takes equally long for each call; None if its times scatter themselves, or
    if too few calls waited to tell.

    Two servers take 0.1 s, and each answer is up to 8 ms on its way:

    >>> from tpssim.experiments.fitting.implied import calls_of
    >>> start = np.arange(400) * 0.04
    >>> done = 0.1 + 0.05 * np.arange(400) - 0.01 * (np.arange(400) % 2)
    >>> calls = calls_of(start, done + 0.001 * (np.arange(400) * 7 % 9))
    >>> seen = steady(calls, implied(calls, 2.0, 0.0), 2, FLAT)
    >>> round(seen.time.value, 4), round(float(np.ptp(seen.late)), 4)
    (0.1, 0.008)
    """
    used = found.sure & calls.answered
    factors = course.at(found.taken)[used]
    times = found.time[used] / factors
    if not 0.0 < times.std() <= NEARLY * times.mean():
        return None
    ended, chain = np.empty(len(used)), np.empty(len(used))

    def late(time: float, way: Course) -> Array:
        free = np.full(servers, -math.inf)
        changes, factors = np.array(way.times), np.array(way.factors)
        fast(equal_services)(calls.start, changes, factors, time, free, ended, chain)
        lateness: Array = (calls.completion - ended)[used]
        return lateness

    # In seconds, as lateness is: in a quick phase both are short.
    off = found.time[used] - float(times.mean()) * factors
    # A change without which the answers scatter no more than the times do with it is none.
    for way in (FLAT,) if course == FLAT else (FLAT, course):
        time = _least(functools.partial(_scattered, late, way), float(times.mean()))
        lateness = late(time, way)
        deep = chain[used] >= DEEP
        if deep.sum() >= FEWEST and scatter(lateness[deep]) < MOST * scatter(off[deep]):
            return _made(time, np.maximum(lateness, 0.0), chain[used], way)
    return None


def _scattered(late: Callable[[float, Course], Array], way: Course, time: float) -> float:
    return scatter(late(time, way))


def _made(time: float, late: Array, chain: Array, way: Course) -> Steady:
    """The service with its intervals."""
    blocks, spread = max(len(late) / BLOCK, 1.0), float(late.std())
    slope = 1.96 * spread / max(float(chain.std()) * math.sqrt(blocks), 1e-9)
    half = 1.96 * spread / math.sqrt(blocks)
    mean = float(late.mean())
    # Services that scatter by s make answers after a chain of n late by s sqrt(n).
    most = spread / math.sqrt(max(float(chain.mean()), 1.0)) / time
    return Steady(
        Estimate(time, time - slope, time + slope),
        Estimate(0.0, 0.0, most),
        Estimate(mean, max(mean - half, 0.0), mean + half),
        late,
        way,
    )


def scatter(values: Array) -> float:
    """How far values are from their median, on average.

    >>> scatter(np.array([1.0, 2.0, 6.0]))
    1.6666666666666667
    """
    return float(np.abs(values - np.median(values)).mean())


def _least(size: Callable[[float], float], middle: float) -> float:
    """Where a size is least, near a number: from a grid on, by golden sections."""
    grid = middle * np.linspace(1.0 - NEAR, 1.0 + NEAR, GRID)
    best = int(np.argmin([size(float(x)) for x in grid]))
    low, high = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, GRID - 1)])
    golden = (math.sqrt(5.0) - 1.0) / 2.0
    for _ in range(STEPS):
        x, y = high - golden * (high - low), low + golden * (high - low)
        if size(x) <= size(y):
            high = y
        else:
            low = x
    return (low + high) / 2.0
