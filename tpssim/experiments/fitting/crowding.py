"""Whether service slows down with the calls in flight: slope and knee, against more servers or a
queue.

With n calls in flight a call takes `1 + slope (n - 1) + exponent^max(0, n - knee) - 1` times as
long (`scenarios.plant.slowdown`). For some servers and delay the logarithms of the implied times,
taken together by n, show that factor: its numbers by least squares, then servers and delay anew
with the times divided by it. What is left is judged as ever: a slowdown is taken if it is likelier
than none by the Bayesian information criterion.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import optimize

from tpssim.core.types import record
from tpssim.experiments.fitting.changes import FLAT, PRICE
from tpssim.experiments.fitting.costs import line, per_cost_of, seen_with_costs, with_costs
from tpssim.experiments.fitting.densities import SURE_NATS
from tpssim.experiments.fitting.estimates import Estimate, Unidentified, experiment
from tpssim.experiments.fitting.implied import Calls, implied
from tpssim.experiments.fitting.joint import Seen
from tpssim.experiments.fitting.servers import Setting, profile, setting

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tpssim.experiments.fitting.changes import Course
    from tpssim.scenarios.plant import Backend

    Array = NDArray[np.float64]

STARTS = 3  # numbers of servers, the likeliest, from which it is looked for
CLOSELY = 2  # slowdowns that are settled with the servers
TURNS = 2  # from the slowdown to the servers and back
KNEES = 24  # that are tried
APART, WIDTH = 200.0, 0.02  # calls in flight that are told apart, and a share above them
MANY = 30  # calls beyond a knee, at least
MOST = 700.0  # logarithm of a factor: what a float holds
KINDS = ((True, False), (False, True), (True, True))  # a slope, a knee, both


@record
class Crowding(NamedTuple):
    """How service slows down; the standard errors are of the logarithms of slope and exponent."""

    slope: float = 0.0
    knee: float = math.inf
    exponent: float = 1.0
    slope_error: float = 0.0
    exponent_error: float = 0.0
    knees: tuple[float, float] = (math.inf, math.inf)  #: the least and greatest that may be true
    explained: bool = True  #: False: there is a slowdown, but neither slope nor knee describes it

    def at(self, crowd: Array) -> Array:
        """The factor with so many calls in flight.

        >>> Crowding(0.1, 3.0, 2.0).at(np.array([1.0, 3.0, 5.0])).round(6).tolist()
        [1.0, 1.2, 4.4]
        """
        beyond = np.maximum(crowd - self.knee, 0.0) * math.log(self.exponent)
        found: Array = self.slope * (crowd - 1.0) + np.exp(np.minimum(beyond, MOST))
        return found

    def parameters(self) -> int:
        return (self.slope > 0.0) + 2 * (self.knee < math.inf)

    def on(self, backend: Backend) -> Backend:
        """A backend that slows down so."""
        return backend._replace(slope=self.slope, knee=self.knee, exponent=self.exponent)

    def ends(self) -> tuple[Crowding, Crowding]:
        """The strongest and the weakest slowdown that may be true."""
        found = self.estimates()
        slope = found.get("backend.slope", Estimate(0.0, 0.0, 0.0))
        exponent = found.get("backend.exponent", Estimate(1.0, 1.0, 1.0))
        return (
            Crowding(slope.high, self.knees[0], exponent.high),
            Crowding(slope.low, self.knees[1], exponent.low),
        )

    def estimates(self) -> dict[str, Estimate]:
        """By the names of the scenario."""
        found = {}
        if self.slope > 0.0:
            by = math.exp(1.96 * self.slope_error)
            found["backend.slope"] = Estimate(self.slope, self.slope / by, self.slope * by)
        if self.knee < math.inf:
            found["backend.knee"] = Estimate(self.knee, *self.knees)
            more, by = self.exponent - 1.0, math.exp(1.96 * self.exponent_error)
            found["backend.exponent"] = Estimate(self.exponent, 1.0 + more / by, 1.0 + more * by)
        return found


@record
class Levels(NamedTuple):
    """Mean logarithm of the times with each number of calls in flight, and of how many calls."""

    crowd: Array
    mean: Array
    weight: Array
    spread: float  #: of the logarithms about those means

    @staticmethod
    def of(times: Array, crowd: Array, grain: float) -> Levels:
        logs = np.log(np.maximum(times, grain))
        where = np.unique(together(crowd), return_inverse=True)[1]
        weight = np.bincount(where).astype(np.float64)
        mean = np.bincount(where, weights=logs) / weight
        levels = np.bincount(where, weights=crowd) / weight
        return Levels(levels, mean, weight, max(float((logs - mean[where]).std()), 1e-9))


def together(crowd: Array) -> Array:
    """Which calls are taken together by how many were in flight: up to `APART` the number itself,
    beyond those whose numbers differ by less than a share of `WIDTH`.

    >>> together(np.array([7.0, 200.0, 201.0, 202.0, 900.0])).tolist()
    [7.0, 200.0, 201.0, 201.0, 276.0]
    """
    beyond = np.log(np.maximum(crowd / APART, 1.0)) / WIDTH
    found: Array = np.where(crowd <= APART, crowd, APART + 1.0 + np.floor(beyond))
    return found


def fitted(levels: Levels, kind: tuple[bool, bool]) -> Crowding | None:
    """The slowdown that lies nearest, of slope, knee, or both."""
    if len(levels.crowd) < 4:
        return None
    if not kind[1]:
        made = _squares(levels, True, math.inf)
        return None if made is None else made[0]
    beyond = np.cumsum(levels.weight[::-1])[::-1]
    inner = levels.crowd[(beyond >= MANY) & (levels.crowd >= 1.0)][:-1]
    if len(inner) < 2:
        return None
    tried: dict[float, tuple[Crowding, float]] = {}
    step = max(1, len(inner) // KNEES)
    for knee in inner[::step]:
        _try(tried, levels, kind[0], float(knee))
    if not tried:
        return None
    best = min(tried, key=lambda knee: tried[knee][1])
    for knee in inner[np.abs(inner - best) <= float(step)]:
        _try(tried, levels, kind[0], float(knee))
    best = min(tried, key=lambda knee: tried[knee][1])
    near = [knee for knee, (_, squares) in tried.items() if squares <= tried[best][1] + 3.84]
    return tried[best][0]._replace(knees=(min(near), max(near)))


def _try(
    tried: dict[float, tuple[Crowding, float]], levels: Levels, sloping: bool, knee: float
) -> None:
    made = _squares(levels, sloping, knee)
    if made is not None:
        tried[knee] = made


def _squares(levels: Levels, sloping: bool, knee: float) -> tuple[Crowding, float] | None:
    """The best slope and exponent at a knee, and their sum of squares in units of its noise."""
    bent = knee < math.inf

    def crowding(at: Array) -> Crowding:
        slope = math.exp(at[1]) if sloping else 0.0
        exponent = 1.0 + math.exp(at[-1]) if bent else 1.0
        return Crowding(slope, knee, exponent)

    scale = np.sqrt(levels.weight) / levels.spread

    def rest(at: Array) -> Array:
        found: Array = scale * (levels.mean - at[0] - np.log(crowding(at).at(levels.crowd)))
        return found

    def slopes(at: Array) -> Array:
        """The derivatives of `rest`."""
        made = crowding(at)
        factor, beyond = made.at(levels.crowd), np.maximum(levels.crowd - knee, 0.0)
        columns = [np.ones(len(factor))]
        if sloping:
            columns.append(made.slope * (levels.crowd - 1.0) / factor)
        if bent:
            power = np.exp(np.minimum(beyond * math.log(made.exponent), MOST))
            columns.append(beyond * power * (1.0 - 1.0 / made.exponent) / factor)
        return -scale[:, np.newaxis] * np.stack(columns, axis=1)

    first = [float(levels.mean[0])] + [math.log(0.05)] * sloping + [math.log(0.05)] * bent
    low = [-np.inf] + [math.log(1e-7)] * sloping + [math.log(1e-7)] * bent
    high = [np.inf] + [math.log(1e3)] * sloping + [math.log(9.0)] * bent
    done = optimize.least_squares(rest, first, slopes, bounds=(low, high))
    jacobian = np.asarray(done.jac, dtype=np.float64)
    known = jacobian.T @ jacobian
    if not np.isfinite(known).all() or np.linalg.cond(known) > 1e14:
        return None
    errors = np.sqrt(np.diag(np.linalg.inv(known)))
    made = crowding(done.x)._replace(
        slope_error=float(errors[1]) if sloping else 0.0,
        exponent_error=float(errors[-1]) if bent else 0.0,
    )
    return made, 2.0 * float(done.cost)


def seen_with_crowding(calls: Calls) -> tuple[Seen, Estimate | None, Crowding, Calls]:
    """What the calls are most likely to be, what a unit of cost adds, how service slows down with
    the calls in flight, and the calls without both.
    """
    what, per_cost, plain = seen_with_costs(calls)
    length = math.log(len(calls.start))
    best_score = what.best.score - PRICE * len(what.course.times) * length + SURE_NATS
    looked_at = calls
    if per_cost is not None and per_cost.value > 0.0:
        # What costs add without the changes, which may be the slowdown itself.
        taken = implied(calls, what.best.servers, what.best.delay).taken
        extra = per_cost.value * calls.cost
        looked_at = calls._replace(slower=what.course.at(taken), extra=extra)
    starts = [*what.profile.leading(STARTS), what.best._replace(servers=math.inf, delay=0.0)]
    starts = list({start.servers: start for start in reversed(starts)}.values())
    rough = [(_rough(looked_at, start, kind), start, kind) for start in starts for kind in KINDS]
    rough = sorted((one for one in rough if one[0] > best_score), key=lambda one: -one[0])
    best = Crowding()
    for _, start, kind in rough[:CLOSELY]:
        score, made = _settled(looked_at, start, kind)
        if score > best_score:
            best_score, best = score, made
    if best == Crowding():
        return what, per_cost, best, plain
    slowed = seen_with_costs(calls._replace(slower=best.at(calls.crowd)))
    if slowed[0].best.density.service is None:  # what is left is no simple service
        return what, per_cost, Crowding(explained=False), plain
    return slowed[0], slowed[1], best, slowed[2]


def _slowdown(calls: Calls, setting: Setting, kind: tuple[bool, bool]) -> Crowding | None:
    """The slowdown, if servers and delay are these. It makes what costs add longer, too: a time is
    divided by what one of such a cost takes on the average.
    """
    found = implied(calls._replace(slower=None, extra=None), setting.servers, setting.delay)
    used = found.sure & calls.answered
    times = found.time[used]
    if calls.extra is not None:
        rest = implied(calls, setting.servers, setting.delay).time[used]
        mean = max(float(rest.mean()), calls.grain)
        times = times * mean / (mean + calls.extra[used])
    return fitted(Levels.of(times, calls.crowd[used], calls.grain), kind)


def _slowed(calls: Calls, made: Crowding, at: Setting, closely: bool) -> Calls:
    """The calls with that slowdown; what their costs add, if anything, found anew: closely, or from
    a straight line.
    """
    slowed = calls._replace(slower=made.at(calls.crowd))
    if calls.extra is None:
        return slowed
    if closely:
        return with_costs(slowed, per_cost_of(slowed, at, FLAT).value, at, FLAT)
    found = implied(slowed._replace(extra=None), at.servers, at.delay)
    used = found.sure & calls.answered
    return with_costs(slowed, max(line(found.time[used], calls.cost[used])[0], 0.0), at, FLAT)


def _rough(calls: Calls, start: Setting, kind: tuple[bool, bool]) -> float:
    """The score of a slowdown with servers and delay as they are."""
    made = _slowdown(calls, start, kind)
    if made is None:
        return -math.inf
    found = setting(_slowed(calls, made, start, closely=False), start.servers, start.delay)
    price = 0.5 * made.parameters() * math.log(len(calls.start))
    return -math.inf if found is None else found.score - price


def _settled(calls: Calls, start: Setting, kind: tuple[bool, bool]) -> tuple[float, Crowding]:
    """The slowdown with the servers, the servers with the slowdown, and again; its score."""
    at, score, made = start, -math.inf, None
    for _ in range(TURNS):
        again = _slowdown(calls, at, kind)
        if again is None or again == made:
            break
        made = again
        calls = _slowed(calls, made, at, closely=True)
        around = profile(calls)
        if not around.best:
            break
        at = around.best[around.ranked()[0]]
        score = at.score - 0.5 * made.parameters() * math.log(len(calls.start))
    return (-math.inf, Crowding()) if made is None else (score, made)


def crowding_at_delays(made: Crowding, calls: Calls, best: Setting, delay: Estimate) -> Crowding:
    """The same, less sure by what the delay leaves open."""
    kind = made.slope > 0.0, made.knee < math.inf
    if not any(kind):
        return made
    ends = [_slowdown(calls, best._replace(delay=end), kind) for end in (delay.low, delay.high)]
    known = [end for end in ends if end is not None]

    def wider(error: float, values: list[float], value: float) -> float:
        away = [abs(math.log(other / value)) / 1.96 for other in values if other > 0.0]
        return math.hypot(error, max(away, default=0.0)) if value > 0.0 else 0.0

    slopes, more = [end.slope for end in known], [end.exponent - 1.0 for end in known]
    return made._replace(
        slope_error=wider(made.slope_error, slopes, made.slope),
        exponent_error=wider(made.exponent_error, more, made.exponent - 1.0),
        knees=(
            min([made.knees[0], *(end.knees[0] for end in known)]),
            max([made.knees[1], *(end.knees[1] for end in known)]),
        ),
    )


def per_cost_at_slowdowns(
    value: Estimate, made: Crowding, calls: Calls, best: Setting, course: Course
) -> Estimate:
    """What a unit of cost adds, with what the slowdown leaves open."""
    slowed = [calls._replace(slower=end.at(calls.crowd)) for end in made.ends()]
    ends = [per_cost_of(one, best, course) for one in slowed]
    low, high = min(end.low for end in ends), max(end.high for end in ends)
    return Estimate(value.value, min(value.low, low), max(value.high, high))


def unsaid_of_crowds(crowding: Crowding, calls: Calls) -> list[Unidentified]:
    """What the recording does not say of slowing down."""
    most, rate = float(calls.crowd.max()), len(calls.start) / max(float(calls.start[-1]), 1e-3)
    slower = experiment([("2m", 0.5 * rate), ("2m", rate), ("1m", 0.0)])
    if not crowding.explained:
        because = "calls get slower with more in flight, but neither a slope nor a knee says how"
        return [Unidentified("backend.slope", because, slower)]
    if crowding.knee < math.inf:
        return []
    because = f"there were never more than {most:g} in flight: a knee beyond is not seen"
    return [Unidentified("backend.knee", because, experiment([("2m", 4.0 * rate), ("1m", 0.0)]))]
