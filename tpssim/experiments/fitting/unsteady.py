"""What a service did over time that the twin does not: standing still, and changing without steps.

While calls are in service and none is answered, each of them turns out longer than it was before.
Where that is next to impossible for all of them together, the service stood still. One call alone
may as well be a long one, so two are needed.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tpssim.core.types import record
from tpssim.experiments.fitting.estimates import Unidentified
from tpssim.experiments.fitting.implied import implied
from tpssim.experiments.fitting.survival import longer
from tpssim.output.format import number

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tpssim.experiments.fitting.changes import Course
    from tpssim.experiments.fitting.implied import Calls
    from tpssim.experiments.fitting.twin import Learned

    Array = NDArray[np.float64]

LOOKED_AT = 50  # times without an answer, the longest
TOGETHER = 2  # calls in service that a stall needs, at least
RAREST = 1e-6  # a share of calls that is no rarer by what is known of the tail
SURE = 15.0  # nats, above the logarithm of the number of calls
STRETCHES = 24  # of as many calls, whose times are compared
FEWEST = 50  # calls of each
VARIES = 4.0  # times what chance alone makes the variance between stretches
BY = 0.05  # share of a service time by which stretches differ, at least
RISING = 3  # changes in one direction that may be a ramp


@record
class Standing(NamedTuple):
    """A time without an answer, s, and how many calls were in service."""

    start: float
    end: float
    calls: int


def standing(calls: Calls, found: Learned) -> list[Standing]:
    """When the service stood still, in order of time."""
    course, times = found.course, np.sort(found.times)
    seen = implied(calls, found.servers.value, found.delay.value)
    factor = course.at(seen.taken) * found.crowding.at(calls.crowd)
    extra = 0.0 if found.per_cost is None else found.per_cost.value * calls.cost
    sf = longer(found.density, times, times[:0])

    def left(inside: NDArray[np.bool_], at: float) -> Array:
        """The share of services that are longer than each of these calls was by then."""
        worked = (at - seen.begin - calls.grain) / factor - extra
        return np.maximum(sf(np.maximum(worked[inside], 0.0)), RAREST)

    answers = np.sort(calls.completion[calls.answered])
    gaps = np.diff(answers)
    enough = -SURE - math.log(len(calls.start))
    stood = []
    for place in np.sort(np.argsort(-gaps, kind="stable")[:LOOKED_AT]):
        start, end = float(answers[place]), float(answers[place + 1])
        inside = seen.sure & (seen.begin < end) & (calls.completion >= end)
        if int(inside.sum()) < TOGETHER:
            continue
        likely = np.log(left(inside, end)) - np.log(left(inside, start))
        if float(likely.sum()) < enough:
            stood.append(Standing(start, end, int(inside.sum())))
    return stood


def stretches(times: Array) -> Array | None:
    """How much longer than the middle one the calls of each stretch took, if they differ by more
    than chance; times in their order.

    >>> stretches(np.tile([1.0, 2.0], 1000)) is None
    True
    """
    size = len(times) // STRETCHES
    logs = np.log(times[: size * STRETCHES][times[: size * STRETCHES] > 0.0])
    size = len(logs) // STRETCHES
    if size < FEWEST:
        return None
    parts = logs[: size * STRETCHES].reshape(STRETCHES, size)
    levels, within = parts.mean(axis=1), float(parts.var(axis=1).mean())
    between = float(levels.var(ddof=1))
    if between <= VARIES * within / size or math.sqrt(between) < BY:
        return None
    found: Array = np.exp(levels - np.median(levels))
    return found


def climbing(course: Course) -> int:
    """How many changes in a row, at most, go in one direction.

    >>> from tpssim.experiments.fitting.changes import Course
    >>> climbing(Course((1.0, 2.0, 3.0), (1.0, 1.2, 1.4, 1.1)))
    2
    """
    signs = np.sign(np.diff(course.factors))
    return max((len([*same]) for _, same in itertools.groupby(signs)), default=0)


def unsaid_of_time(calls: Calls, found: Learned, longer_one: str) -> list[Unidentified]:
    """What the twin does not do that the service did; `longer_one`: the command of a recording that
    would show more of it.
    """
    said = []
    stood = standing(calls, found)
    if stood:
        most = max(stood, key=lambda one: one.end - one.start)
        because = (
            f"no answer came from {number(most.start)} to {number(most.end)} s with {most.calls}"
            " calls in service: it stood still, and the twin does not"
        )
        if len(stood) > 1:
            because += f"; so it did {len(stood)} times, this is the longest"
        said.append(Unidentified("stalls", because, longer_one))
    levels = stretches(found.times) if calls.patience == math.inf else None
    if levels is not None:
        because = (
            f"calls took from {number(levels.min())} to {number(levels.max())} times as long as in"
            " the middle, and steps do not say when: the twin has the mixture"
        )
        said.append(Unidentified("changes", because, longer_one))
    elif climbing(found.course) >= RISING:
        because = (
            f"{climbing(found.course)} changes follow one another in one direction: it may be a"
            " ramp, which the twin has as steps"
        )
        said.append(Unidentified("changes", because, longer_one))
    return said
