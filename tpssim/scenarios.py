"""Scenarios: consumer + service + disturbances + wanted TPS + how long + timer, everything but law and seed.

`SCENARIOS` holds the built-in ones. This room runs nothing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from tpssim.clock import IDEAL, TIMERS, TimerModel
from tpssim.core import InputError, Range, checked, ranges, replaced
from tpssim.recordings import SQLITE_COMMITS, read_service_times
from tpssim.services import Constant, Lognormal, Pareto, Recorded, Service


class Blocking(NamedTuple):
    """One call at a time, on the producer's own thread: while it runs nothing is released."""


class Async(NamedTuple):
    """The producer hands a call over in `handoff` seconds; any number may be in flight.

    `feedback` is what the law sees: "handoff" (the return of the hand-off, as the article's throttles do)
    or "completion" (the end of the work).
    """

    handoff: Annotated[float, Range(0.0, 10.0, "s")] = 20e-6
    feedback: str = "handoff"


Consumer = Blocking | Async


class Step(NamedTuple):
    """Every service time is multiplied by `factor` for calls begun in [start, end)."""

    start: float
    end: float
    factor: Annotated[float, Range(0.0, 1e6, "x", closed_low=False)]


class Swap(NamedTuple):
    """Another service takes over for calls begun in [start, end)."""

    start: float
    end: float
    service: Service


Disturbance = Step | Swap


class Scenario(NamedTuple):
    """Everything about a run except the law and the seed. Changed with `_replace`."""

    name: str
    service: Service
    target: Annotated[float, Range(0.0, 1e6, "1/s", closed_low=False)]  #: the wanted TPS
    duration: Annotated[float, Range(0.0, 1e6, "s", closed_low=False)]
    consumer: Consumer = Blocking()
    disturbances: tuple[Disturbance, ...] = ()
    timer: TimerModel = IDEAL
    spin_threshold: Annotated[float, Range(0.0, 1.0, "s")] = 0.0005
    summary: str = ""


def checked_scenario(scenario: Scenario) -> Scenario:
    """The scenario with every number a float inside its range; raises `InputError` naming the field."""
    owner = f"scenario {scenario.name}"
    consumer = checked(scenario.consumer, owner)
    if isinstance(consumer, Async) and consumer.feedback not in ("handoff", "completion"):
        raise InputError(f"{owner}: feedback={consumer.feedback!r}; allowed: handoff, completion")
    for disturbance in scenario.disturbances:
        if not 0.0 <= disturbance.start < disturbance.end:
            raise InputError(
                f"{owner}: a disturbance from {disturbance.start:g} to {disturbance.end:g} s; "
                "allowed: 0 <= start < end"
            )
        if disturbance.start >= scenario.duration:
            raise InputError(
                f"{owner}: a disturbance at {disturbance.start:g} s, after the end of the run at "
                f"{scenario.duration:g} s; allowed: a longer duration"
            )
    disturbances = tuple(
        checked(d, owner) if isinstance(d, Step) else d._replace(service=checked(d.service, owner))
        for d in scenario.disturbances
    )
    return checked(scenario, owner)._replace(
        consumer=consumer,
        disturbances=disturbances,
        service=checked(scenario.service, owner),
        timer=checked(scenario.timer, owner),
    )


def with_parameters(scenario: Scenario, parameters: Mapping[str, float]) -> Scenario:
    """The scenario with some numbers changed: its own, its service's, its consumer's, its timer's.

    A name is looked up in that order; raises `InputError` with the names that are there.

    >>> with_parameters(SCENARIOS["blocking-steady"], {"mean": 0.05, "cv": 1.0}).service
    Lognormal(mean=0.05, cv=1.0)
    """
    parts: dict[str, Any] = {
        "service": scenario.service,
        "consumer": scenario.consumer,
        "timer": scenario.timer,
    }
    owner = f"scenario {scenario.name}"
    own: dict[str, Any] = {}
    inner: dict[str, dict[str, float]] = {part: {} for part in parts}
    known = list(ranges(scenario))
    for part in parts.values():
        known += [name for name in ranges(part) if name not in known]
    for name, value in parameters.items():
        if name in ranges(scenario):
            own[name] = value
            continue
        for part, record in parts.items():
            if name in ranges(record):
                inner[part][name] = value
                break
        else:
            raise InputError(f"{owner}: there is no parameter {name!r}; allowed: {', '.join(known)}")
    changed = {part: replaced(record, owner, inner[part]) for part, record in parts.items()}
    return checked_scenario(scenario._replace(**changed, **own))


def phases(scenario: Scenario) -> list[tuple[float, float]]:
    """The stretches of time between two edges of the disturbances, s."""
    edges = {0.0, scenario.duration}
    for disturbance in scenario.disturbances:
        edges |= {min(disturbance.start, scenario.duration), min(disturbance.end, scenario.duration)}
    ordered = sorted(edges)
    return list(itertools.pairwise(ordered))


def mean_service(scenario: Scenario, t: float) -> float:
    """The expected service time of a call begun at t, s."""
    mean = scenario.service.mean
    factor = 1.0
    for disturbance in scenario.disturbances:
        if disturbance.start <= t < disturbance.end:
            if isinstance(disturbance, Step):
                factor *= disturbance.factor
            else:
                mean = disturbance.service.mean
    return mean * factor


def capacity(scenario: Scenario, t: float) -> float:
    """What the consumer can take at time t, 1/s.

    Blocking: `1 / E[service time]`, one call after the other. Async: `1 / handoff`, since nothing behind
    the hand-off is limited (inf if it costs nothing).
    """
    if isinstance(scenario.consumer, Async):
        return 1.0 / scenario.consumer.handoff if scenario.consumer.handoff > 0.0 else math.inf
    return 1.0 / mean_service(scenario, t)


def achievable(scenario: Scenario, t: float) -> float:
    """`min(target, capacity(t))`, 1/s: what a perfect throttle would deliver."""
    return min(scenario.target, capacity(scenario, t))


def frame(
    scenario: Scenario,
) -> tuple[list[tuple[float, float, float]], list[tuple[float, float]], float, float]:
    """What a picture needs: (start, end, achievable) of the phases, (start, end) of the disturbances, target,
    duration."""
    steps = [(start, end, achievable(scenario, start)) for start, end in phases(scenario)]
    shades = [(d.start, min(d.end, scenario.duration)) for d in scenario.disturbances]
    return steps, shades, scenario.target, scenario.duration


def _two_digits(value: float) -> float:
    return float(f"{value:.1e}")


def trace_scenario(
    path: str | Path, *, column: str | None = None, unit: str | None = None, target: float | None = None
) -> Scenario:
    """A blocking consumer whose service times are replayed from a CSV file (`read_service_times`).

    `target` defaults to twice the mean rate of the recording, in two digits, so that a throttle has
    something to find; the run is long enough for 6,000 calls at that mean rate. Raises `InputError`.
    """
    service = Recorded(read_service_times(path, column=column, unit=unit), Path(path).name)
    wanted = _two_digits(2.0 / service.mean) if target is None else target
    return checked_scenario(
        Scenario(
            name="trace",
            service=service,
            target=wanted,
            duration=_two_digits(6000.0 * service.mean),
            summary=f"{len(service.recording)} recorded service times from {service.source}",
        )
    )


_ALL = (
    Scenario(
        name="fast-async",
        service=Lognormal(0.02, 0.5),
        target=500.0,
        duration=20.0,
        consumer=Async(),
        summary="calls that only hand off, in 20 us: nothing to adapt to",
    ),
    Scenario(
        name="blocking-steady",
        service=Lognormal(0.02, 0.5),
        target=100.0,
        duration=60.0,
        summary="a blocking service that bears half of what is wanted, with noise",
    ),
    Scenario(
        name="degrade-recover",
        service=Constant(0.0005),
        target=200.0,
        duration=60.0,
        disturbances=(Swap(10.0, 30.0, Lognormal(0.02, 0.5)),),
        summary="fast, then slow and noisy from 10 s to 30 s, then fast again",
    ),
    Scenario(
        name="spikes",
        service=Lognormal(0.002, 0.1),
        target=200.0,
        duration=60.0,
        disturbances=tuple(Step(at, at + 0.5, 50.0) for at in (10.0, 20.0, 30.0, 40.0)),
        summary="a healthy service that stops almost dead for half a second, four times",
    ),
    Scenario(
        name="heavy-tail",
        service=Pareto(0.005, 1.5),
        target=100.0,
        duration=60.0,
        summary="twice the capacity that is wanted, but service times of infinite variance",
    ),
    Scenario(
        name="drift",
        service=Lognormal(0.02, 0.5),
        target=500.0,
        duration=60.0,
        consumer=Async(),
        timer=TIMERS["linux"],
        summary="fast calls on the timer of a Linux machine: who keeps time?",
    ),
    trace_scenario(SQLITE_COMMITS)._replace(
        name="sqlite-commits", summary="a real recording: durable SQLite commits, blocking"
    ),
)

SCENARIOS: dict[str, Scenario] = {scenario.name: checked_scenario(scenario) for scenario in _ALL}
