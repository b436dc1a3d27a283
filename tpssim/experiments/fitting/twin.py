"""What was learned of a service, and the scenario that it makes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tpssim.core.types import record
from tpssim.experiments.fitting.changes import Course
from tpssim.experiments.fitting.costs import differ
from tpssim.experiments.fitting.crowding import Crowding
from tpssim.experiments.fitting.densities import Density
from tpssim.experiments.fitting.estimates import Change, Estimate
from tpssim.scenarios.disturbances import Step
from tpssim.scenarios.files import Correlated
from tpssim.scenarios.plant import Async, Backend, Blocking, backend_capacity
from tpssim.scenarios.scenario import Scenario, checked_scenario
from tpssim.scenarios.service_times import Constant, Recorded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tpssim.scenarios.recordings.calls import Recording

    Array = NDArray[np.float64]

KEPT = 2000  # values of a recorded service


@record
class Learned(NamedTuple):
    """Servers, delay and service times, before anything is made of them."""

    servers: Estimate
    delay: Estimate
    density: Density
    times: Array  #: service times of the answered calls, in their order
    mean: Estimate
    cv: Estimate
    course: Course
    likelihoods: dict[float, float]
    correlations: tuple[Correlated, ...] = ()
    left: float = 0.0  #: share of the services that are longer than anybody waited for
    per_cost: Estimate | None = None  #: s for each unit of cost; None: calls have no costs
    crowding: Crowding = Crowding()
    late: Array | None = None  #: how long each answer is on its way, s; None: all the same


def changes_of(course: Course) -> tuple[Change, ...]:
    """From when on service takes how many times as long as before.

    >>> changes_of(Course((2.0, 5.0), (1.0, 3.0, 1.5)))
    (Change(time=2.0, factor=3.0), Change(time=5.0, factor=0.5))
    """
    pairs = zip(course.factors, course.factors[1:], strict=False)
    return tuple(
        Change(time, after / before)
        for time, (before, after) in zip(course.times, pairs, strict=True)
    )


def steps_of(course: Course, end: float) -> tuple[Step, ...]:
    """The same as disturbances of a scenario that lasts until `end`.

    >>> steps_of(Course((2.0, 5.0), (1.0, 3.0, 1.0)), 9.0)
    (Step(start=2.0, end=5.0, factor=3.0),)
    """
    edges = [*course.times, end]
    return tuple(
        Step(edges[k], edges[k + 1], factor)
        for k, factor in enumerate(course.factors[1:])
        if factor != 1.0 and edges[k] < edges[k + 1]
    )


def plateau_of(found: Learned, cost: float = 1.0) -> Estimate:
    """Answers per second with all servers at work, of calls of a mean cost: well known where they
    once were, else a bound.

    With other servers than the likeliest the mean is another, so that both together are as well
    known as the mean alone. Where service slows down, its numbers and how many servers there are
    leave open what all of them would give.
    """
    servers, mean = found.servers, found.mean
    if found.per_cost is not None:
        mean = Estimate(*(a + cost * b for a, b in zip(mean, found.per_cost, strict=True)))
    strongest, weakest = found.crowding.ends()
    if servers.is_bound():
        low = backend_capacity(strongest.on(Backend(servers=servers.low)), mean.high)
        return Estimate(math.inf, low, math.inf)
    if found.crowding == Crowding():
        servers = Estimate(servers.value, servers.value, servers.value)
    value = backend_capacity(found.crowding.on(Backend(servers=servers.value)), mean.value)
    low = backend_capacity(strongest.on(Backend(servers=servers.low)), mean.high)
    weak = weakest.on(Backend(servers=servers.high))
    return Estimate(value, low, backend_capacity(weak, mean.low) if mean.low > 0.0 else math.inf)


def _service(found: Learned, seed: int) -> Any:
    """The service of the scenario: of the catalogue, or the times themselves."""
    if found.density.service is not None:
        return found.density.service
    return kept(np.maximum(found.times, 0.0), seed)


def _network(found: Learned, seed: int) -> Any:
    """What an answer takes on its way, in the scenario."""
    if found.late is not None:
        return kept(found.late, seed)
    return Constant(found.delay.value) if found.delay.value > 0.0 else None


def kept(values: Array, seed: int) -> Recorded:
    """Recorded values, of many as many quantiles with their mean, in any order."""
    if len(values) > KEPT:
        mean = float(values.mean())
        values = np.quantile(values, (np.arange(KEPT) + 0.5) / KEPT)
        values *= mean / float(values.mean())
        values = np.random.default_rng(seed).permutation(values)
    return Recorded(tuple(values.tolist()), "a recording of its calls")


def name_of(path: Path) -> str:
    """The name of a service that was recorded in a file. `live` and `record=` name all of theirs
    alike, so theirs is that of the folder.

    >>> name_of(Path("checkout.csv")), name_of(Path("results/live-checkout/recording.ndjson"))
    ('checkout', 'live-checkout')
    """
    usual = path.stem == "recording" and path.parent.name
    return path.parent.name if usual else path.stem or "fitted"


def twin_of(
    recording: Recording, found: Learned, timeout: Estimate | None, alone: bool, seed: int
) -> Scenario:
    """The scenario of a service that was learned."""
    duration = max(float(recording.start[-1]), 1e-3)
    costs = recording.cost if recording.cost is not None and differ(recording.cost) else None
    wanted = len(recording) / duration * (1.0 if costs is None else float(costs.mean()))
    per_cost = 0.0 if found.per_cost is None else found.per_cost.value
    made = Scenario(
        name_of(Path(recording.source.path)),
        _service(found, seed),
        wanted,
        duration,
        Blocking() if alone else Async(handoff=0.0, feedback="completion"),
        backend=found.crowding.on(Backend(servers=found.servers.value, per_cost=per_cost)),
        cost=None if costs is None else kept(costs, seed + 1),
        network=_network(found, seed),
        timeout=math.inf if timeout is None else timeout.value,
        disturbances=steps_of(found.course, duration),
    )
    return checked_scenario(made)
