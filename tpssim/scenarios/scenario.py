"""The record of a scenario, its rules, and how its numbers are changed by name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from tpssim.core.arrivals import checked_arrivals
from tpssim.core.errors import InputError, no_such
from tpssim.core.profiles import Stages
from tpssim.core.quotas import Quota, checked_quotas
from tpssim.core.schedule import AUTO, Late
from tpssim.core.slots import between
from tpssim.core.states import current, of_users
from tpssim.core.timer_models import FINEST, IDEAL, TimerModel
from tpssim.core.types import record
from tpssim.core.validation import Range, checked, ranges, replaced
from tpssim.scenarios.disturbances import Background, Disturbance, Swap, checked_disturbance
from tpssim.scenarios.feedback import Feedback
from tpssim.scenarios.plant import Async, Backend, Blocking, Consumer, checked_backend, shares
from tpssim.scenarios.producers import TARGET, checked_producer, checked_target
from tpssim.scenarios.producers import Producer as Producer
from tpssim.scenarios.retries import Retry
from tpssim.scenarios.service_times import Service


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
    #: the wanted TPS of each producer: a number, or `Stages` over the time of the run
    target: Annotated[float | Stages, TARGET, "the wanted TPS of each producer"]
    duration: Annotated[float, Range(0.0, 1e6, "s", closed_low=False), "how long the run is"]
    consumer: Consumer = Blocking()
    disturbances: tuple[Disturbance, ...] = ()
    timer: Annotated[TimerModel, "how sleeps of the caller end late"] = IDEAL
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
    late: Annotated[Late, "what becomes of slots that were missed"] = AUTO
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
    #: the network, the client's own code; no server is busy then
    network: Annotated[Service | None, "what an answer takes on its way besides"] = None
    #: by so much the next slot moves, so the target counts cost per second; quotas may count it,
    #: and work may depend on it; None: 1
    cost: Annotated[Service | None, "what a call costs: tokens, say"] = None
    #: what each producer's pacer knows of quotas, and never exceeds
    quotas: tuple[Quota, ...] = ()
    #: of the one producer without a target of its own, in place of the target
    arrivals: Annotated[tuple[float, ...] | None, "recorded start times of calls, in order (s)"] = (
        None
    )
    #: how late laws observe what happens to calls; None: at once
    feedback: Feedback | None = None
    deadline: Annotated[
        float,
        Range(1e-6, math.inf, "s", off=True),
        "how soon a call must succeed to count as goodput; 0: ten times the mean latency without"
        " load, at least 50 ms",
    ] = 0.0

    def to_toml(self, path: str | Path | None = None) -> str:
        """The scenario as the text of a TOML file, which `read_scenario` reads back to the bit;
        written to `path` if there is one, complete or not at all. Raises `InputError`.

        Fields are left out where they are as by default; a comment says what each of the others is.

        >>> from tpssim.scenarios.service_times import Constant
        >>> print(Scenario("mine", Constant(0.02), target=100.0, duration=5.0).to_toml())
        name = "mine"
        target = 100  # the wanted TPS of each producer (1/s)
        duration = 5  # how long the run is (s)
        <BLANKLINE>
        [service]
        kind = "constant"
        mean = 0.02  # service time (s)
        <BLANKLINE>
        """
        from tpssim.scenarios.toml_text import toml, written

        return written(toml(checked_scenario(self), f"scenario {self.name}"), path)


def checked_scenario(scenario: Scenario) -> Scenario:
    """The scenario with every number a float inside its range; raises `InputError` naming the
    field.
    """
    # One rule after the other: nothing to split.
    owner, name = f"scenario {scenario.name}", scenario.name
    if not isinstance(name, str) or not name.strip() or name.startswith("."):
        allowed = "a text that does not begin with a dot, for files are named by it"
        raise InputError(f"scenario: name={name!r}; allowed: {allowed}")
    wanted = checked_target(scenario.target, owner)
    peak = wanted.peak if isinstance(wanted, Stages) else wanted
    scenario = checked(scenario._replace(target=peak), owner)._replace(target=wanted)
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
                " Swap, Background"
            )
    if not isinstance(scenario.consumer, Consumer):
        raise InputError(
            f"{owner}: consumer={scenario.consumer!r}; allowed: Blocking(), Async(...), Pool(...)"
        )
    consumer = checked(scenario.consumer, owner)
    if isinstance(consumer, Async) and consumer.feedback not in ("handoff", "completion"):
        raise InputError(f"{owner}: feedback={consumer.feedback!r}; allowed: handoff, completion")
    backend = checked_backend(scenario.backend, owner)
    if backend.silent and math.isinf(scenario.timeout):
        raise InputError(
            f"{owner}: silent=1 with timeout=inf: a call would wait for ever; allowed: a timeout"
        )
    if any(isinstance(d, Background) for d in scenario.disturbances) and not shares(backend):
        raise InputError(
            f"{owner}: a background load on a service without limits changes nothing; allowed: a"
            " backend with servers, slope, knee, limit, rate or quotas"
        )
    if not isinstance(scenario.producers, tuple) or isinstance(scenario.producers, Producer):
        raise InputError(
            f"{owner}: producers={scenario.producers!r}; allowed: a tuple of Producer(start, end)"
        )
    if not scenario.producers:
        raise InputError(f"{owner}: no producer; allowed: at least one")
    check_load(scenario, owner)
    producers = tuple(checked_producer(producer, owner) for producer in scenario.producers)
    if all(producer.law is not None for producer in producers):
        raise InputError(
            f"{owner}: each producer has a law of its own, so the one that is run rules none;"
            " allowed: one producer with law=None at least"
        )
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
        cost=checked_cost(scenario.cost, owner),
        quotas=checked_quotas(scenario.quotas, owner),
        arrivals=arrivals_of(scenario, owner),
        feedback=checked_feedback(scenario, owner),
    )


def check_load(scenario: Scenario, owner: str) -> None:
    """Refuse a profile that wants nothing before the run ends; raises `InputError`."""
    wanted = scenario.target
    if isinstance(wanted, Stages) and scenario.arrivals is None:
        times, targets = wanted.points()
        if not between(times, targets, 0, 0.0, scenario.duration, math.inf) > 0.0:
            raise InputError(
                f"{owner}: stages {wanted} want no call before the end of the run at"
                f" {scenario.duration:g} s; allowed: a longer duration"
            )


def checked_cost(cost: Service | None, owner: str) -> Service | None:
    """What calls cost, its numbers checked; raises `InputError`."""
    if isinstance(cost, int | float):
        raise InputError(f"{owner}: cost={cost!r}; allowed: None, or such as Constant(mean=500)")
    return None if cost is None else checked(cost, f"{owner}: cost", OF_COST)


def checked_feedback(scenario: Scenario, owner: str) -> Feedback | None:
    """How late laws observe, which must be before the run ends; raises `InputError`."""
    if scenario.feedback is None:
        return None
    feedback: Feedback = checked(scenario.feedback, owner)
    if not feedback.period + feedback.delay < scenario.duration:
        raise InputError(
            f"{owner}: period={feedback.period:g} and delay={feedback.delay:g} of the feedback in a"
            f" run of {scenario.duration:g} s, in which no law would observe anything; allowed:"
            " together below the duration"
        )
    return feedback


def arrivals_of(scenario: Scenario, owner: str) -> tuple[float, ...] | None:
    """The recorded arrivals, checked; raises `InputError`."""
    if scenario.arrivals is None:
        return None
    if scenario.poisson:
        raise InputError(f"{owner}: poisson=1 with arrivals; allowed: one of them")
    if isinstance(scenario.target, Stages):
        raise InputError(
            f"{owner}: target={scenario.target!s:.40} with arrivals, which take its place;"
            " allowed: one of them, and a number as target beside arrivals"
        )
    following = [producer for producer in scenario.producers if producer.target is None]
    if len(following) != 1 or following[0].start > 0.0:
        raise InputError(
            f"{owner}: arrivals with {len(following)} producers that could follow them; allowed:"
            " one with target=None, from 0 s on"
        )
    times = checked_arrivals(scenario.arrivals, owner)
    if not times[0] < scenario.duration:
        raise InputError(
            f"{owner}: the first arrival is at {times[0]:g} s, after the end of the run at"
            f" {scenario.duration:g} s; allowed: a longer duration"
        )
    return times


#: The records inside a scenario whose numbers can be changed by name.
PARTS = ("service", "consumer", "backend", "retry", "timer", "network", "cost", "feedback")
#: The unit of what a cost has in place of seconds.
OF_COST = "of cost"


def parts_of(scenario: Scenario) -> dict[str, Any]:
    """Those of the `PARTS` that a scenario has."""
    found = {name: getattr(scenario, name) for name in PARTS}
    return {name: part for name, part in found.items() if part is not None}


def parameter_range(scenario: Scenario, name: str) -> Range | None:
    """The range of a number that `with_parameters` can change; None if there is none of that
    name.
    """
    part, dot, plain = name.rpartition(".")
    if name in ranges(scenario):
        return ranges(scenario)[name]
    for owner, given in parts_of(scenario).items():
        if plain in ranges(given) and (owner == part or not dot):
            found = ranges(given)[plain]
            of_cost = owner == "cost" and found.unit == "s"
            return found._replace(unit=OF_COST) if of_cost else found
    return None


def parameter_value(scenario: Scenario, name: str) -> Any:
    """The number that `with_parameters` would change; None if there is none of that name.

    >>> from tpssim.scenarios.service_times import Constant
    >>> parameter_value(Scenario("s", Constant(0.02), 100.0, 60.0), "service.mean")
    0.02
    """
    part, dot, plain = name.rpartition(".")
    if name in ranges(scenario):
        return getattr(scenario, name)
    for owner, given in parts_of(scenario).items():
        if plain in ranges(given) and (owner == part or not dot):
            return getattr(given, plain)
    return None


def parameter_names(scenario: Scenario) -> list[str]:
    """The names that `with_parameters` takes, a part's own where an earlier one has it too.

    >>> from tpssim.scenarios.service_times import Constant
    >>> parameter_names(Scenario("s", Constant(0.02), 100.0, 60.0))[:4]
    ['target', 'duration', 'spin_threshold', 'timeout']
    """
    known = list(ranges(scenario))
    for part, given in parts_of(scenario).items():
        known += [f"{part}.{name}" if name in known else name for name in ranges(given)]
    return known


def with_parameters(scenario: Scenario, parameters: Mapping[str, float]) -> Scenario:
    """The scenario with some numbers changed: its own or those of one of its parts.

    A name is looked up in the scenario, then in its `PARTS` in that order; a part can be named:
    `backend.rate`. Raises `InputError` with the names that are there.

    >>> from tpssim.scenarios.service_times import Lognormal
    >>> with_parameters(Scenario("s", Lognormal(0.02, 0.5), 100.0, 60.0), {"mean": 0.05}).service
    Lognormal(mean=0.05, cv=0.5)
    """
    parts = parts_of(scenario)
    owner = f"scenario {scenario.name}"
    own: dict[str, Any] = {}
    inner: dict[str, dict[str, float]] = {part: {} for part in parts}
    if "target" in parameters and scenario.arrivals is not None:
        raise InputError(
            f"{owner}: target with recorded arrivals, which take its place; allowed: a scenario"
            " without arrivals"
        )
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
            known = parameter_names(scenario)
            raise no_such("parameter", name, known, f"{owner}: ")
    changed = {
        part: replaced(given, f"{owner}: cost", inner[part], OF_COST)
        if part == "cost"
        else replaced(given, owner, inner[part])
        for part, given in parts.items()
    }
    return checked_scenario(scenario._replace(**changed, **own))


def with_late(scenario: Scenario, policies: Sequence[Late]) -> list[Scenario]:
    """The scenario once for each late policy, under a name that says which."""
    return [scenario._replace(name=f"{scenario.name} late={late}", late=late) for late in policies]


def base_of(scenario: Scenario) -> str:
    """The name of the scenario of which it is a variant by `with_late`; its own if it is none."""
    return scenario.name.removesuffix(f" late={scenario.late}")


def code(scenario: Scenario) -> tuple[str, ...]:
    """The user's own code that serves or rules in it, as it is now: part of the key of whatever is
    kept of it.
    """
    things: list[Any] = [scenario.service, scenario.network, scenario.cost]
    things += [thing.service for thing in scenario.disturbances if isinstance(thing, Swap)]
    things += [producer.law for producer in scenario.producers]
    return tuple(current(thing) for thing in of_users(things))
