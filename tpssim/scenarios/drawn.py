"""What a picture of a scenario shows beside the runs: what is achievable and what is wanted."""

from __future__ import annotations

import math

from tpssim.core.arrivals import mean_rate
from tpssim.core.profiles import Stages
from tpssim.scenarios.capacity import achievable, mean_over, most_wanted, phases
from tpssim.scenarios.disturbances import Background
from tpssim.scenarios.load import arrives, mean_cost, profiles, target_of, wanted
from tpssim.scenarios.scenario import Scenario

Steps = list[tuple[float, float, float]]
Points = list[tuple[float, float]]

PARTS = 50  # of a phase in which the achievable changes
FINE = 400  # points of what is wanted by recorded arrivals

#: (start, end, achievable) in order; when disturbances act; the most that is wanted; duration;
#: what is wanted at times, if it says more than the achievable; what rates are of
Drawn = tuple[Steps, list[tuple[float, float]], float, float, Points, str]


def frame(scenario: Scenario) -> Drawn:
    """What a picture needs; rates are of cost where calls have one."""
    steps: Steps = []
    unit = mean_cost(scenario)
    for start, end in phases(scenario):
        mean = mean_over(scenario, achievable, start, end)
        n = 1 if mean == achievable(scenario, start) else PARTS
        width = (end - start) / n
        for i in range(n):
            a = start + i * width
            steps.append((a, a + width, unit * achievable(scenario, a + width / 2.0)))
    shades = [(d.start, min(d.end, scenario.duration)) for d in scenario.disturbances]
    of = "calls" if scenario.cost is None else "cost"
    most, points = unit * most_wanted(scenario), wanted_points(scenario)
    return steps, shades, most, scenario.duration, points, of


def wanted_points(scenario: Scenario) -> Points:
    """What is wanted, where it changes over time or quotas and other clients decide what of it can
    be had: points of a line.
    """
    end = scenario.duration
    if scenario.arrivals is not None:
        return [(t, wanted(scenario, t)) for t in (k * end / FINE for k in range(FINE))]
    others = any(isinstance(d, Background) for d in scenario.disturbances)
    if not (profiles(scenario) or scenario.backend.quotas or scenario.quotas or others):
        return []
    ends = [(a, math.nextafter(b, 0.0)) for a, b in phases(scenario)]
    return [(t, wanted(scenario, t)) for both in ends for t in both]


def target_points(scenario: Scenario) -> list[tuple[list[float], list[float]]]:
    """The points of what each producer wants: see `core.slots`."""
    found = []
    for producer in scenario.producers:
        target = target_of(scenario, producer)
        if arrives(scenario, producer):
            target = mean_rate(scenario.arrivals or ()) * mean_cost(scenario)
        found.append(target.points() if isinstance(target, Stages) else ([0.0], [target]))
    return found
