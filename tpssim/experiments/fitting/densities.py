"""How likely service times are under each distribution of the catalogue, at its best parameters."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.special import digamma, gammaln, zeta

from tpssim.core.types import record
from tpssim.scenarios.service_times import (
    Constant,
    Exponential,
    Gamma,
    Lognormal,
    Pareto,
    TwoPhase,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

DISTURBED = 0.01  # share of the times that may be below 0
TINY = 1e-9  # a spread of logarithms that is none
BINS = 400  # into which times are counted for what has no sums of its own
FREE = 48  # bins of a density that is no member of the catalogue
TAIL = 0.05  # share of the times, at either end, that may lie far away from the others
SIDE = 12  # bins for what lies there, on either side
ROUNDS = 60  # of expectation and maximisation
ATOM = 4.0  # x the grain: equal times are within so much
SURE_NATS = 5.0  # by which something must be likelier than nothing, its price paid


@record
class Density(NamedTuple):
    """A distribution at its best parameters."""

    kind: str  #: its name, "recorded" for none of the catalogue
    service: Any  #: a record of the catalogue; None for none of it
    likelihood: float  #: log-likelihood of all the times, nats
    parameters: int
    score: float  #: log-likelihood less half a parameter's price, ln n, each


NOTHING = Density("recorded", None, 0.0, 0, 0.0)  # where none is known yet


@record
class Sample(NamedTuple):
    """Service times, and what the densities need of them."""

    n: int
    below: int  #: times that no service can have
    mean_below: float  #: how far they are below 0, on average
    times: Array  #: the others, sorted
    logs: Array  #: their logarithms
    mean: float
    mean_log: float
    variance: float  #: of the logarithms
    grain: float  #: times closer than this are equal, s


def sampled(times: Array, grain: float, shortest: float | None = None) -> Sample | None:
    """The times in order; None if hardly any is above 0. Times closer than `grain` are equal, and
    none is below `shortest`, which is the same unless it is given.
    """
    n = len(times)
    ordered = np.sort(times)
    below = int(np.searchsorted(ordered, -grain))
    least = grain if shortest is None else shortest
    good = np.maximum(ordered[below:], least)
    if ordered[below:].size and ordered[below] < -least:  # by the stamps alone: as far from 0
        good = np.sort(np.maximum(np.abs(ordered[below:]), least))
    if len(good) < max(10, n // 20):
        return None
    logs = np.log(good)
    mean_below = -float(ordered[:below].mean()) if below else 0.0
    means = float(good.mean()), float(logs.mean())
    return Sample(n, below, mean_below, good, logs, *means, float(logs.var()), grain)


def price(sample: Sample) -> float:
    """What the times that no service can have cost, nats: one in a hundred may be, by what disturbs
    the stamps, and as far from 0 as the others.
    """
    bad, good = sample.below, len(sample.times)
    if not bad:
        return 0.0
    each = math.log(DISTURBED) - math.log(max(sample.mean, sample.mean_below))
    return bad * each + good * math.log(1.0 - DISTURBED)


def priced(sample: Sample, kind: str, service: Any, likelihood: float, parameters: int) -> Density:
    """A density of the times above 0 with the price of the others."""
    # Nothing is more certain than stamps.
    total = min(likelihood, -len(sample.times) * math.log(sample.grain)) + price(sample)
    score = total - 0.5 * parameters * math.log(sample.n)
    return Density(kind, service, total, parameters, score)


def _exponential(sample: Sample) -> Density:
    good = len(sample.times)
    likelihood = -good * (math.log(sample.mean) + 1.0)
    return priced(sample, "exponential", Exponential(sample.mean), likelihood, 1)


def _lognormal(sample: Sample) -> Density | None:
    good, variance = len(sample.times), sample.variance
    if not TINY < variance < 6.0:
        return None
    likelihood = -good * (sample.mean_log + 0.5 * math.log(2.0 * math.pi * math.e * variance))
    mean = math.exp(sample.mean_log + variance / 2.0)
    service = Lognormal(mean, math.sqrt(math.expm1(variance)))
    return priced(sample, "lognormal", service, likelihood, 2)


def _gamma(sample: Sample) -> Density | None:
    good, gap = len(sample.times), math.log(sample.mean) - sample.mean_log
    if not TINY < gap < 50.0:
        return None
    shape = (3.0 - gap + math.sqrt((gap - 3.0) ** 2 + 24.0 * gap)) / (12.0 * gap)
    for _ in range(4):  # of log(shape) - digamma(shape) = gap
        error = math.log(shape) - float(digamma(shape)) - gap
        slope = 1.0 / shape - float(zeta(2.0, shape))  # the trigamma function
        shape = max(shape / 2.0, shape - error / slope)
    if not 1.0 / 400.0 < shape < 1e9:
        return None
    each = shape * math.log(shape / sample.mean) - float(gammaln(shape)) - shape
    likelihood = good * (each + (shape - 1.0) * sample.mean_log)
    return priced(sample, "gamma", Gamma(sample.mean, shape**-0.5), likelihood, 2)


def _pareto(sample: Sample) -> Density | None:
    good, least = len(sample.times), float(sample.logs[0])
    excess = sample.mean_log - least
    if excess <= 0.01 or least < math.log(100.0 * sample.grain):
        return None
    tail = 1.0 / excess
    if not 1.0 < tail <= 100.0:
        return None
    likelihood = good * (math.log(tail) + tail * least - (tail + 1.0) * sample.mean_log)
    service = Pareto(math.exp(least) * tail / (tail - 1.0), tail)
    return priced(sample, "pareto", service, likelihood, 2)


def _binned(sample: Sample) -> tuple[Array, Array]:
    """Mean time and count of bins of equal width in the logarithm."""
    logs = sample.logs
    centre, spread = sample.mean_log, max(math.sqrt(sample.variance), 1e-9)
    low, high = max(logs[0], centre - 8.0 * spread), min(logs[-1], centre + 8.0 * spread)
    edges = np.searchsorted(logs, np.linspace(low, high, BINS + 1)[1:-1])
    bounds = np.concatenate(([0], edges, [len(logs)]))
    counts = np.diff(bounds)
    sums = np.concatenate(([0.0], np.cumsum(sample.times)))
    there = counts > 0
    totals = sums[bounds[1:]] - sums[bounds[:-1]]
    return totals[there] / counts[there], counts[there].astype(np.float64)


def _two_phase(sample: Sample) -> Density | None:
    good = len(sample.times)
    times, counts = _binned(sample)
    if float(counts @ times**2) / good < 2.02 * sample.mean**2:
        return None  # a mixture of exponentials has a cv of 1 or more
    share, fast, slow = 0.2, 0.5 * sample.mean, 3.0 * sample.mean
    value = -math.inf
    for _ in range(ROUNDS):
        quick = (1.0 - share) / fast * np.exp(-times / fast)
        tardy = share / slow * np.exp(-times / slow)
        both = quick + tardy + 1e-300
        value = float(counts @ np.log(both))
        weights = counts * tardy / both
        total = float(weights.sum())
        if not 1.0 < total < good - 1.0:
            return None
        share, slow = total / good, float(weights @ times) / total
        fast = (good * sample.mean - total * slow) / (good - total)
        if fast <= 0.0:
            return None
    return priced(sample, "two-phase", TwoPhase(fast, slow, share), value, 3)


def atoms_of(times: Array, grain: float) -> tuple[Array, Array]:
    """The values that most of these times, in order, have: where those of each begin and how many
    there are, the most frequent first. None if hardly any two are equal.

    >>> starts, counts = atoms_of(np.array([1.0] * 3 + [2.0] * 12 + [3.0] * 20), 0.1)
    >>> starts.tolist(), counts.tolist()
    ([15, 3], [20, 12])
    """
    breaks = np.flatnonzero(np.diff(times) > grain)
    bounds = np.concatenate(([0], breaks + 1, [len(times)]))
    counts = np.diff(bounds)
    widths = times[bounds[1:] - 1] - times[bounds[:-1]]
    kept = np.flatnonzero((counts >= max(10, 0.01 * len(times))) & (widths < ATOM * grain))
    if counts[kept].sum() < 0.2 * len(times):
        kept = kept[:0]
    kept = kept[np.argsort(-counts[kept])][:8]
    return bounds[:-1][kept], counts[kept]


def _atoms(sample: Sample) -> Density | None:
    """A few values that most times have, the rest spread evenly: a constant service."""
    times, good = sample.times, len(sample.times)
    starts, counts = atoms_of(times, sample.grain)
    if len(starts) == 0:
        return None
    inside = counts.astype(np.float64)
    rest = good - float(inside.sum())
    likelihood = float(inside @ np.log(inside / good)) - float(inside.sum()) * math.log(
        sample.grain
    )
    if rest:
        likelihood += rest * (math.log(rest / good) - math.log(4.0 * sample.mean))
    middle = (2 * starts[0] + counts[0]) // 2
    service = Constant(float(times[middle])) if len(starts) == 1 else None
    return priced(sample, "constant", service, likelihood, len(starts))


def quantile_of(ordered: Array, share: float) -> float:
    """`numpy.quantile` of values in order, without looking at all of them.

    >>> quantile_of(np.array([1.0, 2.0, 4.0]), 0.625)
    2.5
    """
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    low, high = float(ordered[below]), float(ordered[min(below + 1, len(ordered) - 1)])
    part, apart = place - below, high - low
    return low + apart * part if part < 0.5 else high - apart * (1.0 - part)


def edges_of(logs: Array) -> Array:
    """Edges of the bins of a histogram of logarithms in order. What a stall or a burst took far
    away from all others has bins of its own, or it would blur the bins of the others.

    >>> edges_of(np.linspace(0.0, 1.0, 1001)).round(4)[[0, 1, -1]].tolist()  # none is far away
    [0.0, 0.0208, 1.0]
    >>> far = np.append(np.linspace(0.0, 1.0, 1000), 9.0)
    >>> edges_of(far).round(2)[[0, 48, 49, 60]].tolist()
    [0.0, 1.85, 2.45, 9.0]
    """
    low, high = quantile_of(logs, TAIL), quantile_of(logs, 1.0 - TAIL)
    wide = max(high - low, TINY)
    low, high = max(float(logs[0]), low - wide), min(float(logs[-1]), high + wide)
    edges = np.linspace(low, max(high, low + TINY), FREE + 1)
    before = np.linspace(logs[0], low, SIDE + 1)[:-1] if logs[0] < low else edges[:0]
    after = np.linspace(high, logs[-1], SIDE + 1)[1:] if logs[-1] > high else edges[:0]
    return np.concatenate((before, edges, after))


def _free(sample: Sample) -> Density | None:
    """A histogram of the logarithms: what no member of the catalogue describes."""
    logs, good = sample.logs, len(sample.times)
    if math.sqrt(sample.variance) < TINY:
        return None
    edges = edges_of(logs)
    places = np.searchsorted(logs, edges[1:-1])
    counts = np.diff(np.concatenate(([0], places, [good]))).astype(np.float64)
    full = counts > 0.0
    there, widths, centres = (
        counts[full],
        np.diff(edges)[full],
        0.5 * (edges[1:] + edges[:-1])[full],
    )
    # In each bin no more certain than the stamps; the bin's own logarithms otherwise.
    each = np.minimum(np.log(there / (good * widths)) - centres, -math.log(sample.grain))
    likelihood = float(there @ (each + centres)) - good * sample.mean_log
    return priced(sample, "recorded", None, likelihood, len(there) - 1)


#: The densities by name; each may answer None, where it cannot be.
MAKERS: dict[str, Callable[[Sample], Density | None]] = {
    "constant": _atoms,
    "exponential": _exponential,
    "lognormal": _lognormal,
    "gamma": _gamma,
    "pareto": _pareto,
    "two-phase": _two_phase,
    "recorded": _free,
}


def best_densities(sample: Sample) -> list[Density]:
    """Every distribution at its best parameters, the best first."""
    found = [made for make in MAKERS.values() if (made := make(sample)) is not None]
    return sorted(found, key=lambda density: -density.score)
