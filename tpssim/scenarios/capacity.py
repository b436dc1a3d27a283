"""What the plant of a scenario can take, and of the target what is achievable, over time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

from tpssim.core.profiles import Stages
from tpssim.core.validation import MOST_CALLS, check_size
from tpssim.scenarios.disturbances import (
    CONSTANT,
    Background,
    Row,
    Stall,
    Swap,
    factor_at,
    factor_row,
)
from tpssim.scenarios.load import (
    active,
    known_rate,
    mean_cost,
    most_slots,
    present,
    profiles,
    target_at,
    wanted,
    wanted_calls,
)
from tpssim.scenarios.plant import Async, Blocking, backend_capacity, success
from tpssim.scenarios.scenario import Scenario


def stretches(scenario: Scenario) -> list[tuple[float, float]]:
    """The stretches of time, s, between two edges: of disturbances, of producers coming and
    leaving, and of the stages of a target.
    """
    edges = {0.0, scenario.duration}
    for thing in (*scenario.disturbances, *scenario.producers):
        edges |= {min(thing.start, scenario.duration), min(thing.end, scenario.duration)}
    for stages in profiles(scenario):
        edges |= {min(time, scenario.duration) for time in stages.points()[0]}
    return list(itertools.pairwise(sorted(edges)))


def phases(scenario: Scenario) -> list[tuple[float, float]]:
    """The stretches, each cut where what is wanted crosses what the plant can take on a ramp."""
    found = stretches(scenario)
    if not profiles(scenario):
        return found
    cuts = [[start, *_crossing(scenario, start, end), end] for start, end in found]
    return [phase for cut in cuts for phase in itertools.pairwise(cut)]


def _crossing(scenario: Scenario, start: float, end: float) -> list[float]:
    """Where an overload begins or ends in a stretch; nowhere if the service changes in it."""
    middle, most = (start + end) / 2.0, capacity(scenario, start)
    if any(most != capacity(scenario, t) for t in (middle, math.nextafter(end, 0.0))):
        return []
    before, there = (asked(scenario, t) - most for t in (start, middle))
    if before == there or math.isinf(most):
        return []
    crossing = start + (middle - start) * (before / (before - there))
    return [crossing] if start < crossing < end else []


def service_at(scenario: Scenario, t: float) -> tuple[float, list[Row]]:
    """The expected service time of a call begun at t, s, inf during a stall, and the factors in
    force, by which it is multiplied.
    """
    mean = scenario.service.mean
    factors = []
    for disturbance in scenario.disturbances:
        if disturbance.start <= t < disturbance.end:
            if isinstance(disturbance, Stall):
                return math.inf, []
            if isinstance(disturbance, Swap):
                mean = disturbance.service.mean
            elif not isinstance(disturbance, Background):
                factors.append(factor_row(disturbance))
    if scenario.backend.per_cost > 0.0:
        mean += scenario.backend.per_cost * mean_cost(scenario)
    return mean, factors


def mean_service(scenario: Scenario, t: float) -> float:
    """The expected service time of a call begun at t, s; inf during a stall."""
    mean, factors = service_at(scenario, t)
    return mean * factor_at(factors, t)


def background(scenario: Scenario, t: float) -> float:
    """What other clients send at t, 1/s."""
    return math.fsum(
        d.rate for d in scenario.disturbances if isinstance(d, Background) and d.start <= t < d.end
    )


def capacity(scenario: Scenario, t: float) -> float:
    """What the plant can take from the producers that are there at time t, successful calls per
    second.

    The least of what the callers can make (blocking: one call each at a time; a pool: `workers`
    each; async: `1 / handoff` each) and of what the backend can sustain with that many callers
    (`backend_capacity`), times the share that succeeds in the end. With hand-off feedback nothing
    waits for the backend, which then only bounds what is delivered. What other clients send is not
    there for them. Retries and their waits, which take callers' time, are left out. inf if nothing
    is limited.
    """
    mean, n = mean_service(scenario, t), active(scenario, t)
    if mean == math.inf or n == 0:
        return 0.0
    return float(capacity_of(scenario, mean, n, background(scenario, t)))


def capacity_of(scenario: Scenario, mean: Any, n: int, others: float, least: Any = min) -> Any:
    """The same of n > 0 producers beside what other clients send, at a mean service time; of an
    array of them with NumPy's `minimum` as the `least` of two.
    """
    consumer = scenario.consumer
    if isinstance(consumer, Async):
        callers = math.inf
        made = n / consumer.handoff if consumer.handoff > 0.0 else math.inf
    else:
        callers = n * (1.0 if isinstance(consumer, Blocking) else consumer.workers)
        made = callers / (mean + (scenario.network.mean if scenario.network else 0.0))
    cost = mean_cost(scenario)
    sustained = least(made, backend_capacity(scenario.backend, mean, callers, cost, least))
    if others > 0.0:
        left = backend_capacity(scenario.backend, mean, math.inf, cost, least) - others
        sustained = least(sustained, -least(-left, 0.0))
    return sustained * success(scenario.backend, scenario.retry)


def expected_slots(scenario: Scenario) -> float:
    """As many slots as one producer seldom exceeds, itself there all the time."""
    slots = max(most_slots(scenario), scenario.duration) / mean_cost(scenario)
    if isinstance(scenario.consumer, Blocking) and not scenario.late.skip:
        served = math.fsum(
            (b - a) * mean_over(scenario, capacity, a, b) for a, b in phases(scenario)
        )
        # A quarter more than the mean, because service times of a heavy tail are mostly shorter
        # than theirs.
        slots = min(slots, 1.25 * served + 100.0)
    return slots


def check_calls(scenario: Scenario) -> None:
    """Refuse a run of more calls than the memory has room for; raises `InputError`."""
    # What is wanted bounds what is made, and costs nothing to know.
    if wanted_calls(scenario) > MOST_CALLS:
        present = sum(min(p.end, scenario.duration) - p.start for p in scenario.producers)
        calls = expected_slots(scenario) * present / scenario.duration
        what = f"calls in a run of {scenario.duration:g} s of {scenario.name}"
        check_size(what, calls, MOST_CALLS, "0.1 to 0.5 kB of memory")


def achievable(scenario: Scenario, t: float) -> float:
    """`min(sum of targets / mean cost x share that succeeds, capacity(t))` of the producers that
    are there, calls per second; of each only what its known quotas let through.
    """
    return min(asked(scenario, t), capacity(scenario, t))


def asked(scenario: Scenario, t: float) -> float:
    """What is wanted of the plant, as far as known quotas let it through and calls succeed in the
    end, calls per second.
    """
    calls = wanted(scenario, t) / mean_cost(scenario)
    if scenario.quotas:
        most, cost = known_rate(scenario), mean_cost(scenario)
        here = (producer for producer in scenario.producers if present(producer, t))
        calls = math.fsum(min(target_at(scenario, p, t) / cost, most) for p in here)
    return calls * success(scenario.backend, scenario.retry)


def varies(scenario: Scenario, start: float, end: float) -> bool:
    """Whether the service or what is wanted changes within a stretch without edges."""
    return any(
        not isinstance(d, CONSTANT) and d.start < end and d.end > start
        for d in scenario.disturbances
    ) or (
        scenario.arrivals is not None
        or any(ramps(stages, start, end) for stages in profiles(scenario))
    )


def ramps(stages: Stages, start: float, end: float) -> bool:
    """Whether a profile changes within a stretch, other than by jumps.

    >>> held = Stages("10s:50,10s:50")
    >>> ramps(held, 0.0, 10.0), ramps(held, 10.0, 20.0)
    (True, False)
    """
    times, targets = stages.points()
    pieces = zip(itertools.pairwise(times), itertools.pairwise(targets), strict=True)
    return any(a < end and b > start and a < b and v != w for (a, b), (v, w) in pieces)


def mean_over(
    scenario: Scenario,
    what: Callable[[Scenario, float], float],
    start: float,
    end: float,
    n: int = 200,
) -> float:
    """The mean of `capacity` or `achievable` over a stretch without edges, at n mid-points if it
    varies.
    """
    if not varies(scenario, start, end):
        return what(scenario, start)
    return math.fsum(what(scenario, start + (i + 0.5) * (end - start) / n) for i in range(n)) / n


def most_wanted(scenario: Scenario) -> float:
    """The most that is wanted of all producers at once, calls per second."""
    ends = [(start, math.nextafter(end, 0.0)) for start, end in phases(scenario)]
    if scenario.arrivals is not None:
        ends += [(float(second), float(second)) for second in range(math.ceil(scenario.duration))]
    most = max(wanted(scenario, t) for edges in ends for t in edges)
    return most / mean_cost(scenario)
