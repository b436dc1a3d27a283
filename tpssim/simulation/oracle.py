"""The oracle: what a throttle could deliver that knew the service, on the same noise.

It is no law, for it knows what no law can see: what the service can take and when that changes. It
is the bar against which goodput is measured (`experiments.scoring`), and runs by the same engines,
on the same noise, with the same plant. Four things of the scenario are changed for it:

- it wants nothing while the service stands still for longer than a call can wait, and where calls
  of several overlap, no more than its share of the capacity;
- it knows the quotas and the rate limit of the service, and keeps them as a pacer keeps known ones;
- it observes completions at once, whatever laws observe, and keeps as many calls in flight as the
  service is quickest with (`crowd`): a server that gets free has its next call at once, and no call
  waits for one;
- where the load comes by itself it refuses a call that has waited half its deadline.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tpssim.core.profiles import Stages
from tpssim.core.quotas import Quota
from tpssim.core.types import Observation, described, record
from tpssim.scenarios.capacity import capacity, mean_service, phases, varies
from tpssim.scenarios.deadlines import deadline_of
from tpssim.scenarios.disturbances import Background, Stall, merged
from tpssim.scenarios.load import arrives, mean_cost, present, target_at
from tpssim.scenarios.plant import Async, Blocking, Pool, slowdown, success
from tpssim.scenarios.scenario import Producer, Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "oracle"
PARTS = 20  #: of a phase in which something varies: its share is linear between them
MOST_TRIED = 10_000  #: calls in flight
EDGE = 1e-6  #: of a window: two calls as far apart as it is long are not both in it
PATIENCE = 0.5  #: of the deadline: who has waited longer is refused where the load comes by itself


@record
class OracleState(NamedTuple):
    rate: float
    limit: float
    reject: float


@described(
    "What a throttle could deliver that knew the service: the bar of the score.",
    actuators=("rate", "limit", "reject"),
    signals="everything",
    origin="ours",
    year=2026,
)
@record
class Oracle(NamedTuple):
    """The wanted rate, as many calls in flight as the service is quickest with, and no call that
    comes too late anyway.
    """

    limit: float = math.inf  #: calls in flight
    patience: float = math.inf  #: s behind its slot at which a call is refused

    def init(self, target: float) -> OracleState:
        return OracleState(target, self.limit, 0.0)

    def update(self, state: OracleState, obs: Observation) -> OracleState:
        return OracleState(obs.target, self.limit, 0.0)

    def admit(self, state: OracleState, now: float, lag: float, in_flight: float) -> OracleState:
        return OracleState(state.rate, state.limit, 1.0 if lag > self.patience else 0.0)


def crowd(scenario: Scenario) -> float:
    """How many calls the service is quickest with, if they are to succeed in time; inf where it
    takes any number.

    >>> from tpssim.scenarios.builtin import SCENARIOS
    >>> crowd(SCENARIOS["overload"]), crowd(SCENARIOS["knee"]), crowd(SCENARIOS["fast-async"])
    (8.0, 50.0, inf)
    """
    backend, mean = scenario.backend, scenario.service.mean
    most = min(backend.limit, backend.servers)
    if backend.slope == 0.0 and backend.knee == math.inf:
        return most
    best, quickest, n = 1.0, 0.0, 1.0
    while n <= min(most, MOST_TRIED) and (
        n == 1.0 or mean * slowdown(backend, n) <= PATIENCE * deadline_of(scenario)
    ):
        speed = n / slowdown(backend, n)
        if speed > quickest:
            best, quickest = n, speed
        n += 1.0
    return best


def in_flight(scenario: Scenario) -> float:
    """The limit of each producer: the crowd, and what is on the network meanwhile, with two
    standard deviations more.
    """
    n = crowd(scenario)
    if scenario.network is not None and n < math.inf:
        least = min(mean_service(scenario, a) for a, _ in phases(scenario))
        away = n * scenario.network.mean / least
        n = math.ceil(n + away + 2.0 * math.sqrt(away))
    if isinstance(scenario.consumer, Pool):
        n = min(n, scenario.consumer.workers)
    return n


def bounded(scenario: Scenario) -> tuple[Scenario, Oracle]:
    """The scenario as the oracle meets it, and its law there."""
    limits = math.inf if isinstance(scenario.consumer, Blocking) else in_flight(scenario)
    by_itself = scenario.poisson > 0.0 or scenario.arrivals is not None
    law = Oracle(limits, PATIENCE * deadline_of(scenario) if by_itself else math.inf)
    producers = tuple(
        producer._replace(target=_profile(scenario, index))
        if producer.law is None and not arrives(scenario, producer)
        else producer
        for index, producer in enumerate(scenario.producers)
    )
    consumer = scenario.consumer
    if isinstance(consumer, Async):
        consumer = consumer._replace(feedback="completion")
    quotas = () if shared(scenario) else tuple(_known_quotas(scenario))
    return scenario._replace(
        producers=producers,
        consumer=consumer,
        feedback=None,
        quotas=(*scenario.quotas, *quotas),
    ), law


def shared(scenario: Scenario) -> bool:
    """Whether a producer has to leave some of the service to others: to producers with calls that
    overlap or that share a quota, or to clients in the background.
    """
    if any(isinstance(d, Background) for d in scenario.disturbances):
        return True
    counted = bool(scenario.backend.quotas) or scenario.backend.rate < math.inf
    overlap = not isinstance(scenario.consumer, Blocking)
    return len(scenario.producers) > 1 and (counted or overlap)


def _known_quotas(scenario: Scenario) -> Iterator[Quota]:
    """The quotas and the rate limit of the service, as a pacer knows them."""
    for quota in scenario.backend.quotas:
        yield Quota(quota.amount, quota.per, of=quota.of, window=quota.window, margin=EDGE)
    if scenario.backend.rate < math.inf:
        yield Quota(math.floor(scenario.backend.rate), 1.0, margin=EDGE)


def _profile(scenario: Scenario, index: int) -> float | Stages | None:
    """What a producer wants of the service when it knows it: its own target where nothing is
    changed, else a profile over the run.
    """
    own = scenario.producers[index]
    points, still = [], standstills(scenario)
    for a, b in phases(scenario):
        cuts = [a, *(end for _, end in still if a < end < b), b]
        for start, end in itertools.pairwise(cuts):
            parts = PARTS if varies(scenario, start, end) else 1
            times = [start + k * (end - start) / parts for k in range(parts)]
            times.append(math.nextafter(end, 0.0))
            points += [(t, _share(scenario, own, still, t)) for t in times]
    if all(
        share == (target_at(scenario, own, t) if present(own, t) else 0.0) for t, share in points
    ):
        return own.target
    stages, last = [], 0.0
    for t, share in points:
        stages.append((t - last, share))
        last = t
    if not any(share > 0.0 for _, share in stages):
        return own.target  # nothing can be had: it does not matter
    return Stages(stages, start=stages[0][1])


def standstills(scenario: Scenario) -> list[tuple[float, float]]:
    """When a call would wait too long for a service that stands still.

    >>> from tpssim.scenarios.builtin import SCENARIOS
    >>> standstills(SCENARIOS["stall"]), standstills(SCENARIOS["cuts-per-event"])
    ([(10.0, 11.975)], [])
    """
    patience = PATIENCE * min(deadline_of(scenario), scenario.timeout)
    stalls = merged([d for d in scenario.disturbances if isinstance(d, Stall)])
    return [(s.start, s.end - patience) for s in stalls if s.end - s.start > patience]


def _share(scenario: Scenario, own: Producer, still: list[tuple[float, float]], t: float) -> float:
    """What a producer wants at t when it knows the service, 1/s of the target's unit."""
    if not present(own, t) or any(start <= t < end for start, end in still):
        return 0.0
    wanted, most = target_at(scenario, own, t), capacity(scenario, t)
    if most == 0.0 or not shared(scenario):
        return wanted
    sent = mean_cost(scenario) * most / success(scenario.backend, scenario.retry)
    here = [one for one in scenario.producers if present(one, t)]
    wants = np.array([target_at(scenario, one, t) for one in here])
    weights = np.array([one.weight for one in here])
    return min(wanted, filled(wants, weights, sent) * own.weight)


def filled(
    wants: np.typing.NDArray[np.float64], weights: np.typing.NDArray[np.float64], whole: float
) -> float:
    """The level up to which each of several gets its weight's share of a whole, or what it wants.

    >>> filled(np.array([10.0, 50.0]), np.array([1.0, 1.0]), 40.0)
    30.0
    """
    if wants.sum() <= whole:
        return math.inf
    order = np.argsort(wants / weights)
    left, rest = whole, float(weights.sum())
    for k in order:
        level = left / rest
        if wants[k] / weights[k] >= level:
            return float(level)
        left, rest = left - float(wants[k]), rest - float(weights[k])
    return math.inf
