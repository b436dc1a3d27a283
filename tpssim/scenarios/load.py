"""What is wanted of a scenario over time, by each producer and by all that are there."""

from __future__ import annotations

import bisect
import math
from typing import NamedTuple

from tpssim.core.arrivals import checked_arrivals, mean_rate, until
from tpssim.core.profiles import Stages
from tpssim.core.quotas import ceiling_of
from tpssim.core.slots import between, piece_at
from tpssim.core.types import record
from tpssim.scenarios.scenario import Producer, Scenario, checked_scenario, with_parameters


def present(producer: Producer, t: float) -> bool:
    """Whether a producer is there at t."""
    return producer.start <= t < producer.end


def active(scenario: Scenario, t: float) -> int:
    """How many producers are there at t."""
    return sum(present(producer, t) for producer in scenario.producers)


def with_stages(scenario: Scenario, stages: Stages, duration: float | None = None) -> Scenario:
    """The scenario under a profile, with whose last stage it ends unless a duration is given;
    raises `InputError`.
    """
    return checked_scenario(
        scenario._replace(
            target=stages,
            duration=stages.duration if duration is None else duration,
            summary=_of_another_load(scenario),
        )
    )


def _of_another_load(scenario: Scenario) -> str:
    """The summary of a scenario, which speaks of its own load, under another one."""
    return scenario.summary and f"{scenario.summary} (here under another load)"


def with_arrivals(
    scenario: Scenario, arrivals: tuple[float, ...], duration: float | None = None
) -> Scenario:
    """The scenario under recorded arrivals, to whose last one it gives a second unless a duration
    is given; raises `InputError`.
    """
    times = checked_arrivals(arrivals, f"scenario {scenario.name}")
    return checked_scenario(
        scenario._replace(
            target=mean_rate(times),
            arrivals=times,
            duration=until(times) if duration is None else duration,
            poisson=0.0,
            summary=_of_another_load(scenario),
        )
    )


@record
class Load(NamedTuple):
    """What is wanted in place of what a scenario says: a rate, stages, or recorded arrivals.

    >>> Load(mean_rate((0.0, 1.5, 3.0)), (0.0, 1.5, 3.0)).implied()
    {'target': 1.0, 'duration': 4.0}
    """

    target: float | Stages
    arrivals: tuple[float, ...] | None = None

    def implied(self) -> dict[str, float | Stages]:
        """What a scenario's file need not say under this load."""
        if self.arrivals is not None:
            return {"target": self.target, "duration": until(self.arrivals)}
        if isinstance(self.target, Stages):
            return {"target": self.target, "duration": self.target.duration}
        return {"target": self.target}

    def on(self, scenario: Scenario, duration: float | None = None) -> Scenario:
        """The scenario under this load, whose end sets the duration unless one is given; raises
        `InputError`.
        """
        if self.arrivals is not None:
            return with_arrivals(scenario, self.arrivals, duration)
        if isinstance(self.target, Stages):
            return with_stages(scenario, self.target, duration)
        return with_parameters(scenario, {"target": self.target})


def spans(scenario: Scenario) -> list[tuple[float, float]]:
    """When each producer is there."""
    return [(producer.start, producer.end) for producer in scenario.producers]


def target_of(scenario: Scenario, producer: Producer) -> float | Stages:
    """What a producer wants: a number, 1/s, or a profile over the time of the run."""
    return scenario.target if producer.target is None else producer.target


def at(target: float | Stages, t: float) -> float:
    """The target at a time of the run, 1/s."""
    return target.at(t) if isinstance(target, Stages) else target


def arrives(scenario: Scenario, producer: Producer) -> bool:
    """Whether the calls of a producer are recorded arrivals."""
    return scenario.arrivals is not None and producer.target is None


def arrival_rate(scenario: Scenario, t: float) -> float:
    """The mean rate of the recorded arrivals in the whole second of the run that holds t, 1/s.

    What is left of a second at the end belongs to the last whole one: a call in a ms is no 1000/s.
    """
    assert scenario.arrivals is not None
    last = max(math.floor(scenario.duration) - 1, 0)
    begin = min(math.floor(t), last)
    end = begin + 1.0 if begin < last else scenario.duration
    low, high = (bisect.bisect_left(scenario.arrivals, edge) for edge in (begin, end))
    return (high - low) / (end - begin)


def after_end(scenario: Scenario) -> int:
    """How many of the recorded arrivals come when the run is over."""
    times = scenario.arrivals or ()
    return len(times) - bisect.bisect_left(times, scenario.duration)


def target_at(scenario: Scenario, producer: Producer, t: float) -> float:
    """The rate that a producer wants at t, 1/s."""
    if arrives(scenario, producer):
        return arrival_rate(scenario, t) * mean_cost(scenario)
    return at(target_of(scenario, producer), t)


def peak_of(target: float | Stages) -> float:
    """The highest rate of a target, 1/s.

    >>> peak_of(Stages("30s:100,30s:0")), peak_of(5.0)
    (100.0, 5.0)
    """
    return target.peak if isinstance(target, Stages) else target


def peak(scenario: Scenario) -> float:
    """The highest rate that one producer wants, 1/s; of recorded arrivals that of a second."""

    def highest(producer: Producer) -> float:
        if arrives(scenario, producer):
            seconds = range(math.ceil(scenario.duration))
            return max(target_at(scenario, producer, float(second)) for second in seconds)
        return peak_of(target_of(scenario, producer))

    return max(highest(producer) for producer in scenario.producers)


def profiles(scenario: Scenario) -> list[Stages]:
    """The profiles that producers follow."""
    following = (p for p in scenario.producers if not arrives(scenario, p))
    found = (target_of(scenario, producer) for producer in following)
    return [target for target in found if isinstance(target, Stages)]


def wanted(scenario: Scenario, t: float) -> float:
    """The rate that the producers want that are there at t, 1/s."""
    here = [producer for producer in scenario.producers if present(producer, t)]
    if scenario.arrivals is None and all(producer.target is None for producer in here):
        return len(here) * at(scenario.target, t)
    return math.fsum(target_at(scenario, producer, t) for producer in here)


def known_rate(scenario: Scenario) -> float:
    """What the known quotas let each producer send in the long run, calls per second; inf without
    any.
    """
    ceilings = [ceiling_of(quota, 0.0) for quota in scenario.quotas]
    cost = mean_cost(scenario)
    rates = [c.amount / c.length / (cost if c.by_cost > 0.0 else 1.0) for c in ceilings]
    return min(rates, default=math.inf)


def wanted_slots(scenario: Scenario, producer: Producer) -> float:
    """How many slots a producer wants in the run, of cost 1."""
    start, end = producer.start, min(producer.end, scenario.duration)
    if arrives(scenario, producer):
        assert scenario.arrivals is not None
        return bisect.bisect_left(scenario.arrivals, end) * mean_cost(scenario)
    target = target_of(scenario, producer)
    if not isinstance(target, Stages):
        return (end - start) * target
    times, targets = target.points()
    return between(times, targets, piece_at(times, start, 0), start, end, math.inf)


def most_slots(scenario: Scenario) -> float:
    """How many slots a producer would want that is there all the time, at most, of cost 1."""
    always = [producer._replace(start=0.0, end=math.inf) for producer in scenario.producers]
    return max(wanted_slots(scenario, producer) for producer in always)


def wanted_calls(scenario: Scenario) -> float:
    """How many calls all producers want in a run, on average."""
    slots = math.fsum(wanted_slots(scenario, producer) for producer in scenario.producers)
    return slots / mean_cost(scenario)


def mean_cost(scenario: Scenario) -> float:
    """The expected cost of a call, 1 where none is given."""
    return 1.0 if scenario.cost is None else scenario.cost.mean


def shown_target(scenario: Scenario) -> str:
    """The target in words.

    >>> from tpssim.scenarios.service_times import Constant
    >>> shown_target(Scenario("s", Constant(0.02), 100.0, 60.0))
    '100/s'
    """
    target = scenario.target
    if scenario.arrivals is not None:
        late, number = after_end(scenario), len(scenario.arrivals)
        shown = f"{number - late:,} of {number:,}" if late else f"{number:,}"
        return f"{shown} recorded arrivals"
    return str(target) if isinstance(target, Stages) else f"{target:g}/s"
