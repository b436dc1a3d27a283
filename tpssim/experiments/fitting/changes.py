"""When a service became slower or faster: steps of its service times over time.

Change points of the implied times by the time at which a server took the call, of their normal
scores (ranks, so that no tail looks like a change), by the library `ruptures`; then each is moved
to where the likelihood of the two sides is greatest, and each stretch has its factor.
"""

from __future__ import annotations

import importlib.util
import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from tpssim.core.types import record

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from tpssim.experiments.fitting.implied import Implied

    Array = NDArray[np.float64]
    #: How large some times are.
    Scale = Callable[[Array], float]

#: Whether there is what looks for changes.
searches = importlib.util.find_spec("ruptures") is not None
BLOCKS = 1000  # of calls, in which changes are looked for at first
#: What a change must explain, in log-likelihood per logarithm of the number of calls.
PRICE = 2.0
SHORTEST = 30  # calls of a stretch
BRIEF = 60  # calls of a stretch that may be a stall: a few times far too long, others of almost 0
#: Of the shift of one quartile of a stretch: by so much the other one is shifted too, or it is none
#: of all its times.
SHARED = 0.25
MOST = 12  # changes; more are no steps
SURE = 3.0  # standard errors between neighbouring stretches
EQUAL = 1e-4  # factors that differ by less are equal
STRETCHES = 24  # of calls, where changes are not looked for


@record
class Course(NamedTuple):
    """A factor on the service times over time, constant from each time to the next."""

    times: tuple[float, ...]  #: of the changes, s
    factors: tuple[float, ...]  #: one more than times; the first is 1

    def at(self, begin: Array) -> Array:
        """The factor of calls that a server took at these times.

        >>> Course((2.0,), (1.0, 3.0)).at(np.array([1.0, 2.0])).tolist()
        [1.0, 3.0]
        """
        return np.asarray(self.factors)[np.searchsorted(self.times, begin, side="right")]


FLAT = Course((), (1.0,))


def refitted(
    course: Course, found: Implied, used: NDArray[np.bool_], grain: float, scale: Scale
) -> Course:
    """The same changes with the factors that these times have."""
    stretch = np.searchsorted(course.times, found.taken[used], side="right")
    times = np.maximum(found.time[used], grain)
    plain = np.asarray(course.factors)[stretch] == 1.0
    if not plain.any():
        return course
    whole = scale(times[plain])

    def factor(k: int, known: float) -> float:
        there = times[stretch == k]
        return scale(there) / whole if known != 1.0 and len(there) else known

    factors = (factor(k, known) for k, known in enumerate(course.factors))
    return Course(course.times, tuple(factors))


def middle(times: Array) -> float:
    """Their median: the value of a constant service."""
    return float(np.median(times))


def shortest(times: Array) -> float:
    """The shortest of them: where Pareto times begin."""
    return float(times.min())


def geometric(times: Array) -> float:
    """The mean of their logarithms, as a time: what best tells how long lognormal times are."""
    return float(np.exp(np.log(times).mean()))


def arithmetic(times: Array) -> float:
    """Their mean: what best tells how long exponential and gamma times are."""
    return float(times.mean())


def normal_scores(times: Array, grain: float) -> Array:
    """Ranks of the times as quantiles of a normal distribution; equal times have equal ones."""
    ranks = rankdata(np.round(times / grain))
    scores: Array = ndtri((ranks - 0.5) / len(times))
    return scores


def change_points(scores: Array) -> list[int]:
    """Numbers of the first calls after a change, in scores of variance 1 in order of time."""
    if not searches:
        return []
    import ruptures

    n = len(scores)
    size = max(1, n // BLOCKS)
    blocks = n // size
    if blocks * size < 2 * SHORTEST:
        return []
    signal = scores[: blocks * size].reshape(blocks, size).mean(axis=1) * math.sqrt(size)
    # Neighbours differ by the noise alone; where times hang together it is more than 1 per call.
    noise = max(0.5 * float(np.median(np.diff(signal) ** 2)) / 0.455, 1e-6)
    least = max(2, math.ceil(SHORTEST / size))
    finder = ruptures.KernelCPD(kernel="linear", min_size=least).fit(signal.reshape(-1, 1))
    penalty = 2.0 * PRICE * math.log(n) * min(max(noise, 0.05), 20.0)
    return [int(end) * size for end in finder.predict(pen=penalty)[:-1]]


def course_of(begin: Array, times: Array, grain: float, scale: Scale) -> tuple[Course, list[int]]:
    """The steps of service times by when they begin, and the places of the changes in that order;
    `scale` is the size of some times.
    """
    order = np.argsort(begin, kind="stable")
    when, took = begin[order], np.maximum(times[order], grain)
    scores = normal_scores(took, grain)
    places = change_points(scores)
    if not 0 < len(places) <= MOST:
        return FLAT, []
    for _ in range(2):
        places = moved(places, took, scale)
    return _course(places, when, took, scale), places


def moved(places: list[int], took: Array, scale: Scale) -> list[int]:
    """Each change where both sides fit best, the others staying."""
    by_mean = scale is arithmetic
    values = took if by_mean else np.log(took)
    where = exponential_cut if by_mean else pareto_cut if scale is shortest else best_cut
    bounds = [0, *places, len(values)]
    for k in range(1, len(bounds) - 1):
        low, high = bounds[k - 1], bounds[k + 1]
        cut = low + where(values[low:high])
        bounds[k] = min(max(cut, low + SHORTEST), high - SHORTEST)
    return bounds[1:-1]


def best_cut(values: Array) -> int:
    """Where to cut values into two parts so that the squares about their means are least.

    >>> best_cut(np.array([0.0, 0.1, 0.0, 5.0, 5.1]))
    3
    """
    n = len(values)
    sums = np.cumsum(values - values.mean())[:-1]
    left = np.arange(1.0, n)
    return int(np.argmax(sums**2 / (left * (n - left)))) + 1


def exponential_cut(times: Array) -> int:
    """Where to cut times into two parts of which each is likeliest to be exponential.

    >>> exponential_cut(np.array([1.0, 2.0, 1.0, 8.0, 9.0]))
    3
    """
    n = len(times)
    sums, left = np.cumsum(times), np.arange(1.0, n)
    before, after = sums[:-1] / left, (sums[-1] - sums[:-1]) / (n - left)
    return int(np.argmin(left * np.log(before) + (n - left) * np.log(after))) + 1


def pareto_cut(logs: Array) -> int:
    """Where to cut times into two parts of which each is likeliest to be of Pareto, with one tail;
    `logs` are their logarithms.

    >>> pareto_cut(np.array([1.0, 1.3, 1.1, 2.0, 2.2]))
    3
    """
    n = len(logs)
    left = np.arange(1.0, n)
    before = np.minimum.accumulate(logs)[:-1]
    after = np.minimum.accumulate(logs[::-1])[::-1][1:]
    return int(np.argmax(left * before + (n - left) * after)) + 1


def _course(places: list[int], when: Array, took: Array, scale: Scale) -> Course:
    """The factors of the stretches; neighbours that are equal, but for chance, become one, and one
    that is as at first has the factor 1.
    """
    kept = list(places)
    logs = np.log(took)
    while True:
        bounds = [0, *kept, len(when)]
        stretches = [slice(low, high) for low, high in itertools.pairwise(bounds)]
        stalls = [
            k
            for k in range(1, len(stretches))
            if is_stall(logs[stretches[k - 1]], logs[stretches[k]])
        ]
        if stalls:
            del kept[stalls[0] - 1]
            continue
        errors = [_error(took[part], logs[part], scale) for part in stretches]
        sizes = [scale(took[part]) for part in stretches]
        gaps = [
            abs(math.log(sizes[k + 1] / sizes[k]))
            / max(SURE * math.hypot(*errors[k : k + 2]), EQUAL)
            for k in range(len(kept))
        ]
        if not gaps or min(gaps) >= 1.0:
            break
        del kept[gaps.index(min(gaps))]
    base = [
        k
        for k, size in enumerate(sizes)
        if abs(math.log(size / sizes[0])) <= max(SURE * math.hypot(errors[k], errors[0]), EQUAL)
    ]
    whole = scale(np.concatenate([took[stretches[k]] for k in base]))
    factors = tuple(1.0 if k in base else size / whole for k, size in enumerate(sizes))
    moments = [(when[place - 1] + when[place]) / 2.0 for place in kept]
    return Course(tuple(map(float, moments)), factors)


def is_stall(before: Array, logs: Array) -> bool:
    """Whether in a brief stretch of logarithms some times moved and others did not, or the other
    way, from the stretch `before` on: a slower or faster service moves them all.

    >>> before = np.zeros(100)
    >>> is_stall(before, np.repeat([-5.0, 0.0, 1.0], [14, 12, 4])), is_stall(before, np.ones(30))
    (True, False)
    """
    if len(logs) >= BRIEF:
        return False
    one, other = np.quantile(logs, (0.25, 0.75)) - np.quantile(before, (0.25, 0.75))
    most, least = (one, other) if abs(one) > abs(other) else (other, one)
    return bool(least * np.sign(most) < SHARED * abs(most))


def _error(times: Array, logs: Array, scale: Scale) -> float:
    """The standard error of the logarithm of how large some times are."""
    spread = float(logs.std())
    if scale is arithmetic:
        spread = max(spread, float(times.std() / times.mean()))
    return spread / math.sqrt(len(times))


def blockwise(found: Implied, used: NDArray[np.bool_], grain: float) -> Array:
    """Whatever the service does over time: a factor of its own for each of `STRETCHES` stretches of
    as many calls; of fewer calls each is a stretch.
    """
    begin = found.taken
    if not used.any():
        return np.ones(len(begin))
    logs = np.log(np.maximum(found.time, grain))
    order = np.argsort(begin[used], kind="stable")
    edges = np.linspace(0, len(order), min(STRETCHES, len(order)) + 1).astype(np.int64)
    values = logs[used][order]
    levels = np.array([values[a:b].mean() for a, b in itertools.pairwise(edges)])
    cuts = begin[used][order][edges[1:-1]]
    factors: Array = np.exp(levels - values.mean())[np.searchsorted(cuts, begin, side="right")]
    return factors
