"""What is wanted of a live run: a rate, or a rate over time on the clock of the run."""

from __future__ import annotations

from tpssim.core.profiles import Stages
from tpssim.core.slots import between, piece_at

#: The break points of a profile: times, s, and targets, 1/s.
Points = tuple[list[float], list[float]]
#: What is wanted at some time: a rate, 1/s, or a profile.
Wanted = float | Points


def slots(start: float, end: float, wanted: Wanted, rate: float) -> float:
    """How many slots of `min(rate, wanted)` lie in a stretch of time.

    >>> slots(1.0, 3.0, 10.0, 5.0), slots(0.0, 2.0, ([0.0, 2.0], [0.0, 10.0]), 20.0)
    (10.0, 10.0)
    """
    if isinstance(wanted, float):
        return (end - start) * min(rate, wanted)
    times, targets = wanted
    return between(times, targets, piece_at(times, start, 0), start, end, rate)


def first_target(wanted: float | Stages) -> float:
    """What a law begins with, 1/s: the target at the start, or if that is 0 the highest one.

    >>> first_target(Stages("1m:20")), first_target(5.0)
    (20.0, 5.0)
    """
    return (wanted.start or wanted.peak) if isinstance(wanted, Stages) else wanted


def ends_at(wanted: float | Stages, start: float) -> float:
    """When a run ends that wants this from `start` on, s; inf if it has no last stage."""
    return start + wanted.duration if isinstance(wanted, Stages) else float("inf")


def lasting(wanted: float | Stages) -> float | Stages:
    """The same rate, or a ramp as of a profile that lasts: for rehearsals, which are many.

    >>> lasting(5.0), lasting(Stages("1m:20"))
    (5.0, Stages(stages=((1000000000.0, 20.0),), start=10.0))
    """
    if isinstance(wanted, Stages):
        return Stages([(1e9, wanted.peak)], start=0.5 * wanted.peak)
    return wanted
