"""`capacity.achievable` at many times of one stretch at once, with the same bits.

A stretch has no edges in it (`capacity.stretches`): who is there, and which disturbances are in
force, is the same all through it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tpssim.core.profiles import Stages
from tpssim.core.slots import piece_at
from tpssim.scenarios.capacity import asked, background, capacity, capacity_of, service_at
from tpssim.scenarios.disturbances import RAMP, SPIKE, STEP, Row
from tpssim.scenarios.load import (
    active,
    arrives,
    known_rate,
    mean_cost,
    present,
    target_at,
    target_of,
)
from tpssim.scenarios.plant import success
from tpssim.scenarios.scenario import Producer, Scenario

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def achievable_at(scenario: Scenario, times: Array) -> Array:
    """What is achievable at times of one stretch, calls per second.

    >>> from tpssim.scenarios.builtin import SCENARIOS
    >>> achievable_at(SCENARIOS["ramp-up"], np.array([10.0, 30.0])).tolist()
    [80.0, 160.0]
    """
    found: Array = np.minimum(_asked_at(scenario, times), _capacity_at(scenario, times))
    return found


def _asked_at(scenario: Scenario, times: Array) -> Array:
    """`capacity.asked` at times of one stretch."""
    first = float(times[0])
    here = [producer for producer in scenario.producers if present(producer, first)]
    if scenario.arrivals is None and all(producer.target is None for producer in here):
        if not isinstance(scenario.target, Stages):
            return np.full(len(times), asked(scenario, first))
        one = _profile_at(scenario.target, times)
        every = [one] * len(here)
        calls = len(here) * one / mean_cost(scenario)
    else:
        every = [_target_at(scenario, producer, times) for producer in here]
        calls = _sum(every, times) / mean_cost(scenario)
    if scenario.quotas:
        most, cost = known_rate(scenario), mean_cost(scenario)
        calls = _sum([np.minimum(one / cost, most) for one in every], times)
    return calls * success(scenario.backend, scenario.retry)


def _sum(every: list[Array], times: Array) -> Array:
    """The sum over producers at each time, exact but for one rounding."""
    if len(every) < 2:
        return every[0] if every else np.zeros(len(times))
    return np.array([math.fsum(now) for now in zip(*every, strict=True)])


def _target_at(scenario: Scenario, producer: Producer, times: Array) -> Array:
    """`load.target_at` at times of one stretch."""
    target = target_of(scenario, producer)
    if isinstance(target, Stages) and not arrives(scenario, producer):
        return _profile_at(target, times)
    return np.array([target_at(scenario, producer, t) for t in times.tolist()])


def _profile_at(stages: Stages, times: Array) -> Array:
    """`slots.target_at` at times of one piece."""
    points, targets = stages.points()
    piece = piece_at(points, float(times[0]), 0)
    begin, from_ = points[piece], targets[piece]
    if piece + 1 == len(points) or targets[piece + 1] == from_:
        return np.full(len(times), from_)
    return from_ + (targets[piece + 1] - from_) * ((times - begin) / (points[piece + 1] - begin))


def _capacity_at(scenario: Scenario, times: Array) -> Any:
    """`capacity.capacity` at times of one stretch; one number where the service stays as it is."""
    first = float(times[0])
    mean, factors = service_at(scenario, first)
    if all(row[0] == STEP for row in factors):
        return capacity(scenario, first)
    means = mean * _factor_at(factors, times)
    others = background(scenario, first)
    return capacity_of(scenario, means, active(scenario, first), others, np.minimum)


def _factor_at(rows: list[Row], times: Array) -> Array:
    """`disturbances.factor_at` where all of them are in force."""
    factor = np.ones(len(times))
    for kind, start, end, a, b in rows:
        if kind == STEP:
            factor *= a
        elif kind == RAMP:
            factor *= 1.0 + (a - 1.0) * (times - start) / (end - start)
        elif kind == SPIKE:  # NumPy's exp and sin may differ in the last bit
            swing = [math.exp(x) for x in (-5.0 * (times - start) / (end - start)).tolist()]
            factor *= 1.0 + (a - 1.0) * np.array(swing)
        else:
            swing = [math.sin(x) for x in (2.0 * math.pi * (times - start) / b).tolist()]
            factor *= 1.0 + a * np.array(swing)
    return factor
