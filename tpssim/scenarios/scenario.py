"""The record of a scenario: everything about a run except the law and the seed.

Its rules, its phases, what the plant can take. This module runs nothing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from tpssim.core.errors import InputError, no_such
from tpssim.core.schedule import AUTO, Late
from tpssim.core.states import current, of_users
from tpssim.core.timer_models import FINEST, IDEAL, TimerModel
from tpssim.core.types import record
from tpssim.core.validation import MOST_CALLS, Range, check_size, checked, ranges, replaced
from tpssim.scenarios.disturbances import (
    CONSTANT,
    Disturbance,
    Stall,
    Swap,
    checked_disturbance,
    factor_at,
    factor_row,
)
from tpssim.scenarios.plant import (
    Async,
    Backend,
    Blocking,
    Consumer,
    Retry,
    backend_capacity,
    success,
)
from tpssim.scenarios.service_times import Service


@record
class Producer(NamedTuple):
    """One of several sources of calls, each with its own throttle: when it comes and when it
    leaves, s.

    >>> from tpssim.scenarios.service_times import Constant
    >>> two = (Producer(), Producer(start=2.0))
    >>> shared = checked_scenario(Scenario("shared", Constant(0.02), 40.0, 5.0, producers=two))
    >>> shared.producers[1].start
    2.0
    """

    start: Annotated[float, Range(0.0, 1e6, "s"), "when the producer comes"] = 0.0
    end: Annotated[float, Range(0.0, math.inf, "s"), "when the producer leaves"] = math.inf


@record
class Scenario(NamedTuple):
    """Everything about a run except the law and the seed. Changed with `_replace`.

    >>> from tpssim.scenarios.disturbances import Step
    >>> from tpssim.scenarios.service_times import Constant
    >>> plant = Scenario("mine", Constant(0.02), target=100.0, duration=5.0)
    >>> plant._replace(disturbances=(Step(1.0, 3.0, factor=4.0),)).disturbances[0].factor
    4.0
    """

    name: str
    service: Service
    target: Annotated[
        float, Range(0.0, 1e6, "1/s", closed_low=False), "the wanted TPS of each producer"
    ]
    duration: Annotated[float, Range(0.0, 1e6, "s", closed_low=False), "how long the run is"]
    consumer: Consumer = Blocking()
    disturbances: tuple[Disturbance, ...] = ()
    timer: TimerModel = IDEAL
    spin_threshold: Annotated[
        float, Range(0.0, 1.0, "s"), "how long before a slot the wait by reading the clock begins"
    ] = 0.0005
    summary: str = ""
    backend: Backend = Backend()
    timeout: Annotated[
        float,
        Range(0.0, math.inf, "s", closed_low=False),
        "how long a caller waits for an answer, in each attempt",
    ] = math.inf
    retry: Retry = Retry()
    late: Late = AUTO
    poisson: Annotated[
        float, Range(0.0, 1.0, "0 or 1"), "1: exponential gaps between slots; 0: even ones"
    ] = 0.0
    producers: tuple[Producer, ...] = (Producer(),)
    tick: Annotated[
        float,
        Range(FINEST, 1.0, "s", off=True),
        "step to a multiple of which, plus one, latencies are rounded up; 0: none",
    ] = 0.0
    grid: Annotated[
        float,
        Range(FINEST, 1e-3, "s", off=True),
        "step to a multiple of which times of events are rounded; 0: none",
    ] = 0.0
    #: what an answer takes on its way besides (network, the client's own code); no server is busy
    #: then
    network: Service | None = None


def checked_scenario(scenario: Scenario) -> Scenario:
    """The scenario with every number a float inside its range; raises `InputError` naming the
    field.
    """
    # One rule after the other: nothing to split.
    owner = f"scenario {scenario.name}"
    scenario = checked(scenario, owner)
    if not isinstance(scenario.disturbances, tuple) or isinstance(
        scenario.disturbances, Disturbance
    ):
        raise InputError(
            f"{owner}: disturbances={scenario.disturbances!r}; allowed: a tuple of disturbances"
        )
    for thing in scenario.disturbances:
        if not isinstance(thing, Disturbance):
            raise InputError(
                f"{owner}: {thing!r} is no disturbance; allowed: Step, Ramp, Spike, Sine, Stall,"
                " Swap"
            )
    if not isinstance(scenario.consumer, Consumer):
        raise InputError(
            f"{owner}: consumer={scenario.consumer!r}; allowed: Blocking(), Async(...), Pool(...)"
        )
    consumer = checked(scenario.consumer, owner)
    if isinstance(consumer, Async) and consumer.feedback not in ("handoff", "completion"):
        raise InputError(f"{owner}: feedback={consumer.feedback!r}; allowed: handoff, completion")
    backend = checked(scenario.backend, owner)
    if backend.silent and math.isinf(scenario.timeout):
        raise InputError(
            f"{owner}: silent=1 with timeout=inf: a call would wait for ever; allowed: a timeout"
        )
    if not isinstance(scenario.producers, tuple) or isinstance(scenario.producers, Producer):
        raise InputError(
            f"{owner}: producers={scenario.producers!r}; allowed: a tuple of Producer(start, end)"
        )
    if not scenario.producers:
        raise InputError(f"{owner}: no producer; allowed: at least one")
    producers = tuple(checked(producer, owner) for producer in scenario.producers)
    alone = len(producers) == 1
    if isinstance(consumer, Blocking) and alone and math.isfinite(backend.limit):
        raise InputError(
            f"{owner}: limit={backend.limit:g} on one blocking producer, which never has more than"
            " one call in flight; allowed: an async consumer, a pool or several producers"
        )
    for producer in producers:
        if not producer.start < min(producer.end, scenario.duration):
            raise InputError(
                f"{owner}: a producer from {producer.start:g} to {producer.end:g} s in a run of "
                f"{scenario.duration:g} s; allowed: start < end, start < duration"
            )
    return scenario._replace(
        consumer=consumer,
        disturbances=tuple(
            checked_disturbance(d, scenario.duration, owner) for d in scenario.disturbances
        ),
        service=checked(scenario.service, owner),
        timer=checked(scenario.timer, owner),
        backend=backend,
        retry=checked(scenario.retry, owner),
        producers=producers,
        late=checked(scenario.late, owner),
        network=None if scenario.network is None else checked(scenario.network, owner),
    )


#: The records inside a scenario whose numbers can be changed by name.
PARTS = ("service", "consumer", "backend", "retry", "timer")


def parameter_range(scenario: Scenario, name: str) -> Range | None:
    """The range of a number that `with_parameters` can change; None if there is none of that
    name.
    """
    part, dot, plain = name.rpartition(".")
    if name in ranges(scenario):
        return ranges(scenario)[name]
    records = [getattr(scenario, owner) for owner in PARTS if owner == part or not dot]
    return next((found for record in records if (found := ranges(record).get(plain))), None)


def with_parameters(scenario: Scenario, parameters: Mapping[str, float]) -> Scenario:
    """The scenario with some numbers changed: its own or those of one of its parts.

    A name is looked up in the scenario, then in its `PARTS` in that order; a part can be named:
    `backend.rate`. Raises `InputError` with the names that are there.

    >>> from tpssim.scenarios.service_times import Lognormal
    >>> with_parameters(Scenario("s", Lognormal(0.02, 0.5), 100.0, 60.0), {"mean": 0.05}).service
    Lognormal(mean=0.05, cv=0.5)
    """
    parts: dict[str, Any] = {name: getattr(scenario, name) for name in PARTS}
    owner = f"scenario {scenario.name}"
    own: dict[str, Any] = {}
    inner: dict[str, dict[str, float]] = {part: {} for part in parts}
    known = list(ranges(scenario))
    for part, given in parts.items():
        known += [f"{part}.{name}" if name in known else name for name in ranges(given)]
    for name, value in parameters.items():
        qualifier, dot, plain = name.rpartition(".")
        if name in ranges(scenario):
            own[name] = value
            continue
        for part, given in parts.items():
            if plain in ranges(given) and (part == qualifier or not dot):
                inner[part][plain] = value
                break
        else:
            raise no_such("parameter", name, known, f"{owner}: ")
    changed = {part: replaced(given, owner, inner[part]) for part, given in parts.items()}
    return checked_scenario(scenario._replace(**changed, **own))


def with_late(scenario: Scenario, policies: Sequence[Late]) -> list[Scenario]:
    """The scenario once for each late policy, under a name that says which."""
    return [scenario._replace(name=f"{scenario.name} late={late}", late=late) for late in policies]


def base_of(scenario: Scenario) -> str:
    """The name of the scenario of which it is a variant by `with_late`; its own if it is none."""
    return scenario.name.removesuffix(f" late={scenario.late}")


def code(scenario: Scenario) -> tuple[str, ...]:
    """The user's own code that serves in it, as it is now: part of the key of whatever is kept of
    it.
    """
    things: list[Any] = [scenario.service, scenario.network]
    things += [thing.service for thing in scenario.disturbances if isinstance(thing, Swap)]
    return tuple(current(thing) for thing in of_users(things))


def phases(scenario: Scenario) -> list[tuple[float, float]]:
    """The stretches of time, s, between two edges: of disturbances, and of producers coming and
    leaving.
    """
    edges = {0.0, scenario.duration}
    for thing in (*scenario.disturbances, *scenario.producers):
        edges |= {min(thing.start, scenario.duration), min(thing.end, scenario.duration)}
    return list(itertools.pairwise(sorted(edges)))


def mean_service(scenario: Scenario, t: float) -> float:
    """The expected service time of a call begun at t, s; inf during a stall."""
    mean = scenario.service.mean
    factors = []
    for disturbance in scenario.disturbances:
        if disturbance.start <= t < disturbance.end:
            if isinstance(disturbance, Stall):
                return math.inf
            if isinstance(disturbance, Swap):
                mean = disturbance.service.mean
            else:
                factors.append(factor_row(disturbance))
    return mean * factor_at(factors, t)


def active(scenario: Scenario, t: float) -> int:
    """How many producers are there at t."""
    return sum(producer.start <= t < producer.end for producer in scenario.producers)


def capacity(scenario: Scenario, t: float) -> float:
    """What the plant can take from the producers that are there at time t, successful calls per
    second.

    The least of what the callers can make (blocking: one call each at a time; a pool: `workers`
    each; async: `1 / handoff` each) and of what the backend can sustain with that many callers
    (`backend_capacity`), times the share that succeeds in the end. With hand-off feedback nothing
    waits for the backend, which then only bounds what is delivered. Retries and their waits, which
    take callers' time, are left out. inf if nothing is limited.
    """
    mean = mean_service(scenario, t)
    n = active(scenario, t)
    if mean == math.inf or n == 0:
        return 0.0
    consumer = scenario.consumer
    if isinstance(consumer, Async):
        callers = math.inf
        made = n / consumer.handoff if consumer.handoff > 0.0 else math.inf
    else:
        callers = n * (1.0 if isinstance(consumer, Blocking) else consumer.workers)
        made = callers / (mean + (scenario.network.mean if scenario.network else 0.0))
    sustained = min(made, backend_capacity(scenario.backend, mean, callers))
    return sustained * success(scenario.backend, scenario.retry)


def expected_slots(scenario: Scenario) -> float:
    """As many slots as one producer seldom exceeds, itself there all the time."""
    wanted = max(scenario.target, 1.0) * scenario.duration
    if isinstance(scenario.consumer, Blocking) and not scenario.late.skip:
        served = math.fsum(
            (b - a) * mean_over(scenario, capacity, a, b) for a, b in phases(scenario)
        )
        # A quarter more than the mean, because service times of a heavy tail are mostly shorter
        # than theirs.
        wanted = min(wanted, 1.25 * served + 100.0)
    return wanted


def check_calls(scenario: Scenario) -> None:
    """Refuse a run of more calls than the memory has room for; raises `InputError`."""
    present = sum(min(p.end, scenario.duration) - p.start for p in scenario.producers)
    # What is wanted bounds what is made, and costs nothing to know.
    if scenario.target * present > MOST_CALLS:
        calls = expected_slots(scenario) * present / scenario.duration
        what = f"calls in a run of {scenario.duration:g} s of {scenario.name}"
        check_size(what, calls, MOST_CALLS, "0.1 to 0.5 kB of memory")


def achievable(scenario: Scenario, t: float) -> float:
    """`min(sum of targets x share that succeeds, capacity(t))` of the producers that are there,
    1/s.
    """
    wanted = active(scenario, t) * scenario.target * success(scenario.backend, scenario.retry)
    return min(wanted, capacity(scenario, t))


def varies(scenario: Scenario, start: float, end: float) -> bool:
    """Whether the service changes within a stretch without edges."""
    return any(
        not isinstance(d, CONSTANT) and d.start < end and d.end > start
        for d in scenario.disturbances
    )


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


Steps = list[tuple[float, float, float]]


def frame(scenario: Scenario) -> tuple[Steps, list[tuple[float, float]], float, float]:
    """What a picture needs: (start, end, achievable), when disturbances act, target of all,
    duration.
    """
    steps: Steps = []
    for start, end in phases(scenario):
        n = 1 if mean_over(scenario, achievable, start, end) == achievable(scenario, start) else 50
        width = (end - start) / n
        for i in range(n):
            a = start + i * width
            steps.append((a, a + width, achievable(scenario, a + width / 2.0)))
    shades = [(d.start, min(d.end, scenario.duration)) for d in scenario.disturbances]
    most = max(active(scenario, start) for start, _ in phases(scenario))
    return steps, shades, most * scenario.target, scenario.duration
