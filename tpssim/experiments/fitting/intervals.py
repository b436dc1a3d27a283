"""How sure the numbers of a fit are: 95 % intervals of the mean, the cv, and the delay.

At the best delay the spread of the service's numbers is that of fits to the times drawn anew in
blocks (a bootstrap, which holds where times are correlated too). What the delay leaves open comes
on top: over the delays that may be true, as the profile likelihood says, the service moves with it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tpssim.core.types import record
from tpssim.experiments.fitting.densities import Density, sampled
from tpssim.experiments.fitting.estimates import Estimate
from tpssim.experiments.fitting.joint import SCALES
from tpssim.experiments.fitting.survival import censored
from tpssim.scenarios.service_times import Constant, Exponential, Pareto, Recorded, TwoPhase

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

DRAWS = 200
#: Half of the 95 % quantile of chi-square, and what takes its place for a delay at the edge of what
#: is possible, where the likelihood falls off as an exponential's, nats.
REGULAR, AT_EDGE = 1.92, 3.0
#: Distributions whose shortest times decide on the delay.
SHARP = ("exponential", "pareto", "two-phase")


def cv_of(service: Any) -> float:
    """Standard deviation over mean; inf where the variance is infinite.

    >>> cv_of(Constant(0.02)), cv_of(Exponential(0.02)), cv_of(Pareto(0.02, 2.0))
    (0.0, 1.0, inf)
    """
    if isinstance(service, Constant):
        return 0.0
    if isinstance(service, Exponential):
        return 1.0
    if isinstance(service, Pareto):
        excess = service.shape * (service.shape - 2.0)
        return excess**-0.5 if excess > 0.0 else math.inf
    if isinstance(service, TwoPhase):
        second = 2.0 * ((1.0 - service.share) * service.fast**2 + service.share * service.slow**2)
        return math.sqrt(second / service.mean**2 - 1.0)
    if isinstance(service, Recorded):
        return float(np.std(service.recording)) / service.mean
    return float(service.cv)


@record
class Spread(NamedTuple):
    """Mean and cv of services that the times may come from, at one delay."""

    mean: Array
    cv: Array


def spread_of(
    times: Array,
    density: Density,
    grain: float,
    seed: int,
    ages: Array | None = None,
    shortest: float | None = None,
    plain: NDArray[np.bool_] | None = None,
) -> Spread:
    """Of services fitted to the times drawn anew in blocks; `ages`: of calls given up.

    Where the service changed, `plain` are the calls before that, or after its end: the factors of
    the others have been found from the times, so that these alone say how long a call takes.
    """
    draw = np.random.default_rng(seed)
    n = len(times)
    length = max(1, min(50, n // 20))
    scale = SCALES[density.kind]
    means, cvs = [], []
    for _ in range(DRAWS):
        firsts = draw.integers(0, n, size=math.ceil(n / length))
        chosen = (firsts[:, np.newaxis] + np.arange(length)).ravel()[:n] % n
        some = times[chosen]
        lost = times[:0]
        if ages is not None and len(ages):
            lost = ages[draw.integers(0, len(ages), size=int(draw.poisson(len(ages))))]
        service = None
        if density.service is not None:
            sample = sampled(some, grain, shortest)
            made = None if sample is None else censored(density.kind, sample, lost)
            if made is None or made.service is None:
                continue
            service = made.service
        mean = some.mean() if service is None else service.mean
        if plain is not None and plain[chosen].any():
            sizes = np.maximum(some, grain)
            mean *= scale(sizes[plain[chosen]]) / scale(sizes)
        means.append(mean)
        cvs.append(some.std() / some.mean() if service is None else cv_of(service))
    return Spread(np.array(means), np.array(cvs))


def interval(value: float, drawn: Array, ends: tuple[float, float], least: float) -> Estimate:
    """Around a value, from draws at the best delay and the values at the ends of the delay's
    interval; at least `least` to each side.
    """
    if not math.isfinite(value) or len(drawn) < 20:
        return Estimate(value, value, value)
    low, high = np.quantile(drawn, [0.025, 0.975])
    centre = float(np.median(drawn))
    below = math.hypot(max(centre - low, 0.0), max(value - min(ends), 0.0))
    above = math.hypot(max(high - centre, 0.0), max(max(ends) - value, 0.0))
    return Estimate(value, max(0.0, value - max(below, least)), value + max(above, least))


def delay_interval(
    attempt: Callable[[float], float], best: float, highest: float, kind: str, grain: float
) -> Estimate:
    """The delays that may be true: where the likelihood, `attempt(delay)`, is near enough to the
    best.
    """
    near = attempt(best) - (AT_EDGE if kind in SHARP else REGULAR)

    def edge(end: float) -> float:
        """Between the best and an end, where the likelihood falls below."""
        if attempt(end) >= near:
            return end
        inside, outside = best, end
        for _ in range(30):
            middle = (inside + outside) / 2.0
            if abs(outside - inside) <= 1e-6 * highest:
                break
            if attempt(middle) >= near:
                inside = middle
            else:
                outside = middle
        return inside

    return Estimate(best, max(0.0, edge(0.0) - grain), edge(highest) + grain)
