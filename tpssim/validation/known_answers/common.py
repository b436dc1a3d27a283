"""What the cases share: their form, a law without feedback, an open queue, runs of the simpy
model, and how several numbers make one case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tpssim.controllers import CONTROLLERS
from tpssim.core.schedule import AUTO, BURST
from tpssim.core.statistics import mean_interval
from tpssim.core.types import record
from tpssim.scenarios.plant import Async, Backend
from tpssim.scenarios.scenario import Scenario, checked_scenario
from tpssim.simulation import simpy_engine
from tpssim.simulation.trace import Trace
from tpssim.validation.vector_cases import Statistic, out_of_range

REPLICATIONS = 20
CONFIDENCE = 0.999
WIDEST = 0.1  # half-width of an interval, of the value
COMPLETION_FEEDBACK = Async(0.0, "completion")
FIXED = CONTROLLERS["fixed"]()


@record
class Found(NamedTuple):
    """What a case found."""

    quantity: str
    theory: float
    values: Sequence[float]  #: one a replication; a single one is compared within the tolerance
    tolerance: float
    calls: int
    parts: tuple[Statistic, ...] = ()  #: if several numbers are judged, each with its range


@record
class Case(NamedTuple):
    about: str
    run: Callable[[int], Found]  #: from the seed


@record
class Actuators(NamedTuple):
    rate: float
    limit: float
    reject: float


def simulated(
    scenario: Scenario, law: Any, seed: int, replications: int = REPLICATIONS
) -> list[Trace]:
    # The textbooks' arrivals wait, however late: none is given up unless a case says so.
    plant = checked_scenario(scenario._replace(late=BURST) if scenario.late == AUTO else scenario)
    return [
        simpy_engine.simulate(plant, law, seed, replication, {})
        for replication in range(replications)
    ]


def open_queue(
    service: Any, rate: float, calls: int, poisson: float = 1.0, **backend: Any
) -> Scenario:
    """An open queue: `calls` arrivals a replication on average, random or evenly spaced."""
    plant = Backend(**({"servers": 1.0} | backend))
    scenario = Scenario("queue", service, rate, calls / rate, COMPLETION_FEEDBACK, backend=plant)
    return scenario._replace(poisson=poisson)


def interval(name: str, theory: float, values: Sequence[float]) -> Statistic:
    """The mean of replications, and how far theory allows it to be away: by the half-width of its
    interval, and by `WIDEST` at most.
    """
    of = mean_interval(values, CONFIDENCE)
    assert of.mean is not None
    assert of.high is not None
    away = min(of.high - of.mean, WIDEST * abs(theory))
    return Statistic(name, of.mean, theory - away, theory + away)


def found_in_parts(parts: Sequence[Statistic], calls: int) -> Found:
    """A case of several numbers: it holds if none is out of its range."""
    wrong = out_of_range(list(parts))
    listed = ", ".join(f"{s.name} {s.value:.5g} ({s.low:g} to {s.high:g})" for s in wrong)
    quantity = f"out of range, of {len(parts)} statistics" + (f": {listed}" if wrong else "")
    return Found(quantity, 0.0, [float(len(wrong))], 0.0, calls, tuple(parts))
