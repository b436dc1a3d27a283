"""How much longer a call takes for each unit of its cost: service time = z + per_cost cost.

For each `per_cost` what is left of the implied times has a likelihood, at the best distribution of
the catalogue; one that is no better than none by the Bayesian information criterion is none. The
interval is that of the profile likelihood, as the delay's.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize, stats

from tpssim.experiments.fitting.densities import SURE_NATS, best_densities, sampled
from tpssim.experiments.fitting.estimates import Estimate, Unidentified
from tpssim.experiments.fitting.implied import Calls, implied
from tpssim.experiments.fitting.intervals import delay_interval
from tpssim.experiments.fitting.joint import Seen, seen
from tpssim.experiments.fitting.survival import best_censored

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from tpssim.experiments.fitting.changes import Course
    from tpssim.experiments.fitting.densities import Density
    from tpssim.experiments.fitting.servers import Setting

    Array = NDArray[np.float64]

GRID = 24  # values that are tried before the best is searched
BELOW = 0.01  # share of the calls whose cost may add more than they took, where stamps are rough
PAIRED = 300  # calls whose slopes to each other have the middle that a constant service has
TURNS = 2  # from the costs to the servers and back


def differ(cost: Array) -> bool:
    """Whether these costs, of answered calls, may tell anything."""
    return len(cost) > 0 and float(np.ptp(cost)) > 0.0


def equal_costs(calls: Calls) -> list[Unidentified]:
    """What answered calls that all cost the same do not say; 1 is the cost of calls without any."""
    cost = calls.cost[calls.answered]
    if len(cost) == 0 or differ(cost) or bool((calls.cost == 1.0).all()):
        return []
    because = f"each {'answered ' if differ(calls.cost) else ''}call costs {float(cost[0]):g}"
    more = "tpssim fit CALLS-OF-SEVERAL-COSTS.csv --columns start=...,latency=...,cost=..."
    return [Unidentified("backend.per_cost", because, more)]


def per_cost_of(calls: Calls, setting: Setting, course: Course) -> Estimate:
    """What a unit of cost adds to the service time, s, if servers, delay and changes are these; 0
    with an upper bound where it makes no difference.
    """
    found = implied(calls._replace(extra=None), setting.servers, setting.delay)
    plain = found.time / course.at(found.taken)
    used, lost = found.sure & calls.answered, found.sure & ~calls.answered
    if not differ(calls.cost[used]):
        return Estimate(0.0, 0.0, math.inf)
    likely = _likelihood(plain[used], calls.cost[used], plain[lost], calls.cost[lost], calls)
    first, error = line(plain[used], calls.cost[used])
    none = likely(0.0)
    if none is None:
        return Estimate(0.0, 0.0, math.inf)
    highest = max(2.0 * first, 0.0) + 4.0 * error
    tried = {0.0: none}
    some = slice(None, None, max(int(used.sum()) // PAIRED, 1))
    exact = float(stats.theilslopes(plain[used][some], calls.cost[used][some]).slope)
    for value in (first, exact, *np.linspace(0.0, highest, GRID)):
        made = likely(float(value)) if value > 0.0 else None
        if made is not None:
            tried[float(value)] = made
    best = max(tried, key=lambda value: tried[value].score)
    ordered = sorted(tried)
    place = ordered.index(best)
    low, high = ordered[max(place - 1, 0)], ordered[min(place + 1, len(ordered) - 1)]

    def minus(value: float) -> float:
        made = likely(value)
        if made is None:
            return math.inf
        tried[float(value)] = made
        return -made.score

    if high > low:
        optimize.minimize_scalar(
            minus, bounds=(low, high), method="bounded", options={"xatol": 1e-6 * highest}
        )
        best = max(tried, key=lambda value: tried[value].score)
    price = 0.5 * math.log(max(int(used.sum()), 2)) + SURE_NATS
    if tried[best].score - none.score <= price:
        best = 0.0
    kind = tried[best].kind

    def attempt(value: float) -> float:
        made = likely(value)
        return made.likelihood if made is not None and made.kind == kind else -math.inf

    return delay_interval(attempt, best, highest, kind, calls.grain / float(calls.cost.std()))


def together(calls: Calls, setting: Setting, course: Course, first: float) -> float:
    """What a unit of cost adds, s, where it is searched together with the delay: a little more of
    one may be a little less of the other.
    """
    took = float(np.median((calls.completion - calls.start)[calls.answered]))
    steps = np.array([max(setting.delay, 0.02 * took), first])

    def minus(at: Array) -> float:
        delay, value = steps * at
        if delay < 0.0 or value <= 0.0:
            return 1e300
        rest = with_costs(calls, value, setting._replace(delay=delay), course)
        found = implied(rest, setting.servers, delay)
        times = found.time / course.at(found.taken)
        used, lost = found.sure & calls.answered, found.sure & ~calls.answered
        nothing = np.zeros(len(times))
        made = _likelihood(times[used], nothing[used], times[lost], nothing[lost], calls)(0.0)
        return 1e300 if made is None else -made.score

    start = np.array([setting.delay / steps[0], 1.0])
    simplex = start + np.array([[0.0, 0.0], [0.05, 0.0], [0.0, 0.02]])
    done = optimize.minimize(
        minus,
        start,
        method="Nelder-Mead",
        options={"initial_simplex": simplex, "maxiter": 80, "xatol": 1e-5, "fatol": 1e-2},
    )
    return float(steps[1] * done.x[1])


def per_cost_at_delays(
    value: Estimate, calls: Calls, setting: Setting, course: Course, delay: Estimate
) -> Estimate:
    """The same with what the delay leaves open."""
    ends = [
        per_cost_of(calls, setting._replace(delay=end), course) for end in (delay.low, delay.high)
    ]
    return Estimate(
        value.value,
        min(value.low, *(end.low for end in ends)),
        max(value.high, *(end.high for end in ends)),
    )


def _likelihood(
    times: Array, cost: Array, ages: Array, lost_cost: Array, calls: Calls
) -> Callable[[float], Density | None]:
    """The likeliest density of what is left of the times."""

    def likely(value: float) -> Density | None:
        sample = sampled(times - value * cost, calls.grain, calls.shortest)
        if sample is None or sample.below > BELOW * sample.n:
            return None
        if calls.patience < math.inf:
            return best_censored(sample, ages - value * lost_cost)[0]
        return best_densities(sample)[0]

    return likely


def line(times: Array, cost: Array) -> tuple[float, float]:
    """Slope and its standard error of the straight line through the times by least squares."""
    away = cost - cost.mean()
    squares = float(away @ away)
    slope = float(away @ times) / squares
    rest = times - times.mean() - slope * away
    return slope, math.sqrt(float(rest @ rest) / max(len(times) - 2, 1) / squares)


def with_costs(calls: Calls, value: float, setting: Setting, course: Course) -> Calls:
    """The calls without what their costs add, stretched as the rest of their times is."""
    if value == 0.0:
        return calls._replace(extra=None)
    found = implied(calls, setting.servers, setting.delay)
    return calls._replace(extra=value * calls.cost * course.at(found.taken))


def around(value: float, near: Estimate) -> Estimate:
    """A value with the interval of another. Where it lies outside, the interval that has both is
    wider by how far outside, to both sides.

    >>> around(7.0, Estimate(5.0, 4.0, 6.0)), around(5.5, Estimate(5.0, 4.0, 6.0))
    (Estimate(value=7.0, low=3.0, high=8.0), Estimate(value=5.5, low=4.0, high=6.0))
    """
    away = max(near.low - value, value - near.high, 0.0)
    return Estimate(value, max(min(near.low, value) - away, 0.0), max(near.high, value) + away)


def seen_with_costs(calls: Calls) -> tuple[Seen, Estimate | None, Calls]:
    """What the calls are most likely to be, what a unit of cost adds, and they without that."""
    what = seen(calls)
    if not differ(calls.cost[calls.answered]):
        return what, None, calls
    per_cost = per_cost_of(calls, what.best, what.course)
    value = per_cost.value
    for _ in range(TURNS):
        if value == 0.0:
            break
        value = together(calls, what.best, what.course, value)
        calls = with_costs(calls, value, what.best, what.course)
        what = seen(calls)
        near = per_cost_of(calls, what.best, what.course)
        per_cost = around(value, near)
    return what, per_cost, calls
