"""Service times of calls that were given up: all that is known is that they were longer.

Such a time is right-censored. A call with the time t has the likelihood f(t); one that was given up
when the service had worked on it for a seconds has S(a), the probability of a longer time (Klein &
Moeschberger, Survival Analysis, 2003, section 3.5). Of those that were answered only times within
what the caller's patience left are seen, which is undone where they are compared with each other.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import optimize, special, stats

from tpssim.experiments.fitting.densities import (
    MAKERS,
    Density,
    Sample,
    edges_of,
    price,
    priced,
)
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

    from tpssim.experiments.fitting.implied import Calls, Implied

    Array = NDArray[np.float64]

GRID = 2000  # times at which a survival function is computed, between which it is a line
BINS = 100  # into which ages are counted, of equal width in the logarithm
ROUNDS = 60  # of expectation and maximisation
LEAST = 1e-300  # a probability that has a logarithm
LONG = 0.01  # share of the calls given up whose service may last longer than `longest`


def survival(service: Any, times: Array) -> Array:
    """The share of a service's times that are longer than these.

    >>> survival(Exponential(2.0), np.array([0.0, 2.0])).round(4).tolist()
    [1.0, 0.3679]
    """
    found: Array
    if isinstance(service, Constant):
        found = (times < service.mean).astype(np.float64)
    elif isinstance(service, Exponential):
        found = np.exp(-times / service.mean)
    elif isinstance(service, Lognormal):
        variance = math.log1p(service.cv**2)
        middle = math.log(service.mean) - variance / 2.0
        with np.errstate(divide="ignore"):
            found = special.ndtr(-(np.log(times) - middle) / math.sqrt(variance))
    elif isinstance(service, Gamma):
        shape = service.cv**-2.0
        found = special.gammaincc(shape, times * (shape / service.mean))
    elif isinstance(service, Pareto):
        least = service.mean * (service.shape - 1.0) / service.shape
        found = (least / np.maximum(times, least)) ** service.shape
    else:
        found = (1.0 - service.share) * np.exp(-times / service.fast)
        found += service.share * np.exp(-times / service.slow)
    return found


def longer(density: Density, times: Array, ages: Array) -> Callable[[Array], Array]:
    """The survival function of a density, given the times in order; of one outside the catalogue
    that of Kaplan and Meier.
    """
    if density.service is not None:
        low, high = float(times[0]), max(float(times[-1]), float(ages.max(initial=0.0)))
        if len(times) <= GRID or not 0.0 < low < high:
            return lambda at: survival(density.service, np.maximum(at, 0.0))
        grid = np.geomspace(low / 2.0, 4.0 * high, GRID)
        values = survival(density.service, grid)
        return lambda at: np.interp(at, grid, values)
    return kaplan_meier(times, ages)


def longest_of(density: Density, times: Array, ages: Array, lost: int) -> float:
    """What hardly any service time exceeds, s: of the calls given up one in a hundred."""
    share = LONG * min(1.0, max(lost, 1) / max(len(times) + len(ages), 1))
    low, high = float(times.mean()), float(times.max()) * 1e6
    sf = longer(density, times, ages)
    if density.service is not None:
        sf = functools.partial(survival, density.service)
    if sf(np.array([high]))[0] > share:  # a recorded tail that was never seen to end
        return math.inf

    def above(log: float) -> float:
        return float(sf(np.array([math.exp(log)]))[0]) - share

    if above(math.log(low)) <= 0.0:
        return float(times.max())
    return math.exp(optimize.brentq(above, math.log(low), math.log(high), xtol=1e-3))


def equivalents(times: Array, allowed: Array, sf: Callable[[Array], Array]) -> Array:
    """Times as they might have been had nobody given up, of about the spread of these.

    An answered time t is one of those within `allowed` a, so F(t) / F(a) is even in [0, 1]; the
    logarithm found is the normal score of that.
    """
    shares = (1.0 - sf(times)) / np.maximum(1.0 - sf(allowed), LEAST)
    scores = special.ndtri(np.clip(shares, 1e-9, 1.0 - 1e-9))
    spread = float(np.log(times[times > 0.0]).std())
    found: Array = float(np.median(times)) * np.exp(spread * scores)
    return found


def binned(ages: Array) -> tuple[Array, Array]:
    """Mean age and count of bins of equal width in the logarithm; of few ages each its own."""
    if len(ages) <= BINS:
        return ages, np.ones(len(ages))
    logs = np.log(ages)
    places = np.floor((logs - logs.min()) / max(float(np.ptp(logs)), 1e-9) * (BINS - 1e-6))
    counts = np.bincount(places.astype(np.intp))
    sums = np.bincount(places.astype(np.intp), weights=ages)
    there = counts > 0
    return sums[there] / counts[there], counts[there].astype(np.float64)


def _exponential(sample: Sample, ages: Array) -> tuple[Any, float]:
    good = len(sample.times)
    mean = sample.mean + float(ages.sum()) / good
    return Exponential(mean), -good * (math.log(mean) + 1.0)


def _searched(minus: Callable[[Array], float], first: list[float]) -> tuple[Array, float]:
    """The parameters of the greatest likelihood, near the first ones."""
    done = optimize.minimize(
        minus, first, method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-4, "maxiter": 400}
    )
    return done.x, -float(done.fun)


def _lognormal(sample: Sample, ages: Array) -> tuple[Any, float]:
    good, variance = len(sample.times), max(sample.variance, 1e-9)
    centres, counts = binned(ages)
    logs = np.log(centres)

    def minus(at: Array) -> float:
        middle, spread = at[0], math.exp(at[1])
        squares = variance + (sample.mean_log - middle) ** 2
        seen = -good * (sample.mean_log + 0.5 * math.log(2.0 * math.pi) + at[1])
        seen -= 0.5 * good * squares / spread**2
        return -float(seen + counts @ special.log_ndtr((middle - logs) / spread))

    (middle, log), value = _searched(minus, [sample.mean_log, 0.5 * math.log(variance)])
    squared = math.exp(2.0 * log)
    if squared > 6.0:
        return None, -math.inf
    return Lognormal(math.exp(middle + squared / 2.0), math.sqrt(math.expm1(squared))), value


def _gamma(sample: Sample, ages: Array) -> tuple[Any, float]:
    good = len(sample.times)
    centres, counts = binned(ages)

    def minus(at: Array) -> float:
        if not -6.0 < at[0] < 20.0:
            return 1e300
        shape, scale = math.exp(at[0]), math.exp(at[1])
        seen = (shape - 1.0) * sample.mean_log - sample.mean / scale
        seen -= shape * at[1] + float(special.gammaln(shape))
        lost = np.log(np.maximum(special.gammaincc(shape, centres / scale), LEAST))
        return -float(good * seen + counts @ lost)

    gap = max(math.log(sample.mean) - sample.mean_log, 1e-9)
    shape = (3.0 - gap + math.sqrt((gap - 3.0) ** 2 + 24.0 * gap)) / (12.0 * gap)
    (log, scale), value = _searched(minus, [math.log(shape), math.log(sample.mean / shape)])
    return Gamma(math.exp(log + scale), math.exp(-0.5 * log)), value


def _pareto(sample: Sample, ages: Array) -> tuple[Any, float]:
    good, least = len(sample.times), float(sample.logs[0])
    lost = float(np.maximum(np.log(ages) - least, 0.0).sum())
    tail = good / (good * (sample.mean_log - least) + lost)
    if not 1.0 < tail <= 100.0:
        return None, -math.inf
    value = good * (math.log(tail) + tail * least - (tail + 1.0) * sample.mean_log) - tail * lost
    return Pareto(math.exp(least) * tail / (tail - 1.0), tail), value


def _two_phase(sample: Sample, ages: Array) -> tuple[Any, float]:
    good = len(sample.times)
    seen, counts = binned(sample.times)
    given_up, lost = binned(ages)
    share, fast, slow = 0.2, 0.5 * sample.mean, 3.0 * sample.mean
    value = -math.inf
    for _ in range(3 * ROUNDS):
        before = value
        rates = 1.0 / fast, 1.0 / slow
        quick = (1.0 - share) * rates[0] * np.exp(-seen * rates[0])
        tardy = share * rates[1] * np.exp(-seen * rates[1])
        quicker = (1.0 - share) * np.exp(-given_up * rates[0])
        tardier = share * np.exp(-given_up * rates[1])
        both, left = quick + tardy + LEAST, quicker + tardier + LEAST
        value = float(counts @ np.log(both) + lost @ np.log(left))
        weights, late = counts * tardy / both, lost * tardier / left
        slowly, tardily = float(weights.sum()), float(late.sum())
        if not 1.0 < slowly < good - 1.0:
            return None, -math.inf
        share = (slowly + tardily) / (good + float(lost.sum()))
        slow = (float(weights @ seen) + float(late @ given_up)) / slowly
        rest = float((counts - weights) @ seen) + float((lost - late) @ given_up)
        fast = rest / (good - slowly)
        if abs(value - before) < 1e-3:
            break
    if slow <= fast:
        return None, -math.inf
    return TwoPhase(fast, slow, share), value


def _free(sample: Sample, ages: Array) -> tuple[Any, float]:
    """A histogram of the logarithms, by the hazard of each bin: the likelihood of Kaplan and Meier
    in bins.
    """
    logs, good = sample.logs, len(sample.times)
    edges = edges_of(logs)
    bins = len(edges) - 1
    deaths = np.bincount(np.searchsorted(edges[1:-1], logs), minlength=bins).astype(np.float64)
    lost = np.bincount(np.searchsorted(edges[1:-1], np.log(ages)), minlength=bins)
    at_risk = np.cumsum((deaths + lost)[::-1])[::-1] - 0.5 * lost
    hazard = deaths / np.maximum(at_risk, 1e-9)
    there = (deaths > 0.0) & (at_risk > 0.0)
    value = float(deaths[there] @ np.log(np.minimum(hazard[there], 1.0)))
    left = np.maximum(at_risk - deaths, 0.0)
    some = (left > 0.0) & (hazard < 1.0)
    value += float(left[some] @ np.log1p(-hazard[some]))
    return None, value - float(deaths @ np.log(np.diff(edges))) - good * sample.mean_log


def _constant(sample: Sample, ages: Array) -> tuple[Any, float]:
    plain = MAKERS["constant"](sample)
    if plain is None:
        return None, -math.inf
    left = (len(sample.times) - np.searchsorted(sample.times, ages - sample.grain) + 0.5) / (
        len(sample.times) + 0.5
    )
    return plain.service, plain.likelihood - price(sample) + float(np.log(left).sum())


#: What each distribution comes to with calls that were given up.
CENSORED: dict[str, Callable[[Sample, Array], tuple[Any, float]]] = {
    "constant": _constant,
    "exponential": _exponential,
    "lognormal": _lognormal,
    "gamma": _gamma,
    "pareto": _pareto,
    "two-phase": _two_phase,
    "recorded": _free,
}
PARAMETERS = {"exponential": 1, "lognormal": 2, "gamma": 2, "pareto": 2, "two-phase": 3}


def censored(kind: str, sample: Sample, ages: Array) -> Density | None:
    """A distribution at its best parameters, with calls given up at these ages; None where it
    cannot be.
    """
    ages = ages[ages > 0.0]  # who had not begun says nothing
    plain = MAKERS[kind](sample)
    if len(ages) == 0:
        return plain
    if plain is None and kind not in PARAMETERS:
        return None
    service, value = CENSORED[kind](sample, ages)
    if not math.isfinite(value) or (service is None and kind in PARAMETERS):
        return None
    parameters = PARAMETERS[kind] if plain is None else plain.parameters
    return priced(sample, kind, service, value, parameters)


def best_censored(sample: Sample, ages: Array) -> list[Density]:
    """Every distribution at its best parameters, the best first."""
    found = [made for kind in CENSORED if (made := censored(kind, sample, ages)) is not None]
    return sorted(found, key=lambda density: -density.score)


def given_up(calls: Calls, found: Implied, factor: Array) -> Array:
    """How long the service had worked on the calls that were given up, s, without what changed."""
    lost = found.sure & ~calls.answered
    ages: Array = found.time[lost] / factor[lost]
    return ages[ages > 0.0]


def patient(sample: Sample, times: Array, ages: Array, allowed: Array) -> tuple[Density, Array]:
    """The likeliest density, and the answered times as if nobody had given up."""
    density = best_censored(sample, ages)[0]
    return density, unhurried(density, times, ages, allowed)


def unhurried(density: Density, times: Array, ages: Array, allowed: Array) -> Array:
    """The answered times as if nobody had given up; those of a constant service are."""
    if density.kind == "constant" or len(ages) == 0:
        return times
    return equivalents(times, allowed, longer(density, np.sort(times), ages))


def kaplan_meier(times: Array, ages: Array) -> Callable[[Array], Array]:
    """The share of services longer than a time, whatever their distribution."""
    data = stats.CensoredData(uncensored=times, right=ages) if len(ages) else times
    found: Callable[[Array], Array] = stats.ecdf(data).sf.evaluate
    return found


def completed_times(times: Array, ages: Array, number: int) -> Array:
    """Times of a recorded service, those included that nobody waited for: as many quantiles of
    Kaplan and Meier's distribution; what is longer than all is as long as the longest.
    """
    levels = np.unique(np.concatenate((times, ages)))
    shares = 1.0 - kaplan_meier(times, ages)(levels)
    places = np.searchsorted(shares, (np.arange(number) + 0.5) / number)
    found: Array = levels[np.minimum(places, len(levels) - 1)]
    return found
