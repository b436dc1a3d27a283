"""How soon a call of a scenario must succeed, and from when on that is counted."""

from __future__ import annotations

from tpssim.scenarios.load import mean_cost
from tpssim.scenarios.scenario import Scenario

#: The deadline where a scenario names none: so many mean latencies without load, and at least so
#: many seconds (Breakwater, OSDI 2020, takes ten times the mean service and the network's way).
LATENCIES, SHORTEST = 10.0, 0.05


def alone(scenario: Scenario) -> float:
    """The mean latency of a call without load or disturbance, the network included, s.

    >>> from tpssim.scenarios.service_times import Constant
    >>> alone(Scenario("far", Constant(0.02), 10.0, 5.0, network=Constant(0.1))) == 0.02 + 0.1
    True
    """
    mean: float = scenario.service.mean
    if scenario.backend.per_cost > 0.0:
        mean += scenario.backend.per_cost * mean_cost(scenario)
    return mean + (scenario.network.mean if scenario.network is not None else 0.0)


def deadline_of(scenario: Scenario) -> float:
    """How soon a call must succeed, s: the scenario's `deadline`, or else ten times the mean
    latency without load, at least 50 ms.

    >>> from tpssim.scenarios.service_times import Constant
    >>> slow, quick = Scenario("slow", Constant(0.02), 10.0, 5.0), Constant(0.001)
    >>> deadline_of(slow), deadline_of(slow._replace(service=quick))
    (0.2, 0.05)
    >>> deadline_of(slow._replace(deadline=1.5))
    1.5
    """
    if scenario.deadline > 0.0:
        return scenario.deadline
    return usual_deadline(alone(scenario))


def usual_deadline(latency: float) -> float:
    """Where none is named: ten times the mean latency without load, at least 50 ms.

    >>> usual_deadline(0.001), usual_deadline(0.02)
    (0.05, 0.2)
    """
    return max(SHORTEST, LATENCIES * latency)
