"""Changes of the service that no throttle causes: factors on the service time, stalls, another
service.

Each is a record with a start and an end; it acts on calls whose work begins in [start, end), a
stall on all work in that time. Any number may be composed: factors multiply, the last swap wins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

from tpssim.core.errors import InputError
from tpssim.core.types import record
from tpssim.core.validation import Range, checked
from tpssim.scenarios.service_times import Service

FACTOR = Range(1e-9, 1e6, "x")


@record
class Step(NamedTuple):
    """The service time is multiplied by `factor`.

    >>> factor_at([factor_row(Step(10.0, 30.0, 4.0))], 20.0)
    4.0
    """

    start: Annotated[float, "when it begins (s)"]
    end: Annotated[float, "when it is over (s)"]
    factor: Annotated[float, FACTOR, "by what the service time is multiplied"]


@record
class Ramp(NamedTuple):
    """The factor rises (or falls) linearly from 1 at the start to `factor` at the end.

    >>> [factor_at([factor_row(Ramp(0.0, 10.0, 3.0))], t) for t in (0.0, 5.0)]
    [1.0, 2.0]
    """

    start: Annotated[float, "when it begins (s)"]
    end: Annotated[float, "when it is over (s)"]
    factor: Annotated[float, FACTOR, "by what the service time is multiplied at the end"]


@record
class Spike(NamedTuple):
    """The factor jumps to `factor` and decays to 1: `1 + (factor - 1) exp(-5 x)`, x from 0 to 1.

    >>> [round(factor_at([factor_row(Spike(0.0, 10.0, 3.0))], t), 3) for t in (0.0, 2.0)]  # 1 + 2/e
    [3.0, 1.736]
    """

    start: Annotated[float, "when it begins (s)"]
    end: Annotated[float, "when it is over (s)"]
    factor: Annotated[float, FACTOR, "by what the service time is multiplied at the start"]


@record
class Sine(NamedTuple):
    """The factor swings: `1 + amplitude sin(2 pi (t - start) / period)`.

    >>> [round(factor_at([factor_row(Sine(0.0, 60.0, 0.5, 8.0))], t), 3) for t in (0.0, 2.0, 6.0)]
    [1.0, 1.5, 0.5]
    """

    start: Annotated[float, "when it begins (s)"]
    end: Annotated[float, "when it is over (s)"]
    amplitude: Annotated[
        float, Range(0.0, 1.0, "x", closed_high=False), "how far the factor swings around 1"
    ]
    period: Annotated[float, Range(1e-6, 1e6, "s"), "duration of a swing of the factor"]


@record
class Stall(NamedTuple):
    """The service stands still: no work is done between start and end, and none is lost.

    >>> finish([Stall(10.0, 12.0)], 9.5, 1.0)  # half a second of work is left when it begins
    12.5
    """

    start: Annotated[float, "when it begins (s)"]
    end: Annotated[float, "when it is over (s)"]


@record
class Swap(NamedTuple):
    """Another service takes over.

    >>> from tpssim.scenarios.service_times import Constant
    >>> checked_disturbance(Swap(1.0, 3.0, Constant(0.2)), 10.0, "mine").service.mean
    0.2
    """

    start: Annotated[float, "when it begins (s)"]
    end: Annotated[float, "when it is over (s)"]
    service: Service  #: the one that serves meanwhile


@record
class Background(NamedTuple):
    """Calls of other clients: `rate` a second at random (Poisson), each with a service time and a
    cost of its own, which take up servers, places, limits and quotas and are not in the trace.

    >>> from tpssim import Backend, Constant, Scenario
    >>> busy = Scenario("busy", Constant(0.02), 100.0, 60.0, backend=Backend(servers=1.0))
    >>> busy = busy._replace(disturbances=(Background(20.0, 40.0, 30.0),))
    >>> busy.disturbances[0].rate
    30.0
    """

    start: Annotated[float, "when it begins (s)"]
    end: Annotated[float, "when it is over (s)"]
    rate: Annotated[
        float, Range(0.0, 1e6, "1/s", closed_low=False), "calls of other clients per second"
    ]


Factor = Step | Ramp | Spike | Sine
Disturbance = Factor | Stall | Swap | Background

#: Those whose effect is the same from start to end.
CONSTANT = (Step, Stall, Swap, Background)
#: Those that are no factor.
OTHER = (Stall, Swap, Background)


def checked_disturbance(disturbance: Disturbance, duration: float, owner: str) -> Disturbance:
    """The disturbance with its numbers checked; raises `InputError`."""
    start, end = disturbance.start, disturbance.end
    kind = type(disturbance).__name__.lower()
    if not 0.0 <= start < end:
        raise InputError(
            f"{owner}: a {kind} from {start:g} to {end:g} s; allowed: 0 <= start < end"
        )
    if start >= duration:
        raise InputError(
            f"{owner}: a {kind} at {start:g} s, after the end of the run at {duration:g} s; "
            "allowed: a longer duration"
        )
    if isinstance(disturbance, Swap):
        return disturbance._replace(service=checked(disturbance.service, owner))
    return checked(disturbance, owner)


#: A factor as numbers: (kind, start, end, a, b). Both engines reckon with these.
Row = tuple[float, float, float, float, float]
STEP, RAMP, SPIKE, SINE = 0.0, 1.0, 2.0, 3.0


def factor_row(disturbance: Factor) -> Row:
    """The factor as numbers."""
    start, end = disturbance.start, disturbance.end
    if isinstance(disturbance, Sine):
        return SINE, start, end, disturbance.amplitude, disturbance.period
    kind = {Step: STEP, Ramp: RAMP, Spike: SPIKE}[type(disturbance)]
    return kind, start, end, disturbance.factor, 0.0


def factor_at(rows: Any, t: float) -> float:
    """The product of the factors (`Row`s, or a table of them) in force at t.

    >>> factor_at([factor_row(Ramp(0.0, 10.0, 3.0))], 5.0)
    2.0
    """
    factor = 1.0
    for row in rows:
        kind, start, end, a, b = row[0], row[1], row[2], row[3], row[4]
        if start <= t < end:
            if kind == STEP:
                factor *= a
            elif kind == RAMP:
                factor *= 1.0 + (a - 1.0) * (t - start) / (end - start)
            elif kind == SPIKE:
                factor *= 1.0 + (a - 1.0) * math.exp(-5.0 * (t - start) / (end - start))
            else:
                factor *= 1.0 + a * math.sin(2.0 * math.pi * (t - start) / b)
    return factor


def merged(stalls: Sequence[Stall]) -> list[Stall]:
    """The same time of standing still as stalls that do not overlap, in order.

    >>> merged([Stall(2.0, 4.0), Stall(1.0, 3.0)])
    [Stall(start=1.0, end=4.0)]
    """
    found: list[Stall] = []
    for stall in sorted(stalls):
        if found and stall.start <= found[-1].end:
            found[-1] = Stall(found[-1].start, max(found[-1].end, stall.end))
        else:
            found.append(stall)
    return found


def finish(stalls: Any, begin: float, work: float) -> float:
    """When work of that length begun at `begin` is done, given `merged` stalls or a table of them,
    s.

    >>> finish([Stall(1.0, 3.0)], 0.5, 1.0)
    3.5
    """
    for stall in stalls:
        start, end = stall[0], stall[1]
        if start <= begin < end:
            begin = end
        elif begin < start < begin + work:
            work += end - start
    return begin + work
