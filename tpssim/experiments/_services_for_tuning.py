"""The kinds of services on which a law may be tuned: functions from draws to a scenario.

Those on which `headroom` once failed are here, since whoever changes it looks at them.
"""

from __future__ import annotations

import itertools

from tpssim.core.profiles import Stages
from tpssim.experiments._drawing import (
    IN_FLIGHT,
    Draw,
    callers,
    length,
    noisy,
    patience,
    plain,
    quota,
    rounded,
    size,
    stretch,
    waiting_room,
)
from tpssim.scenarios.disturbances import Stall, Step
from tpssim.scenarios.plant import Backend
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_quotas import ServiceQuota
from tpssim.scenarios.service_times import (
    Autocorrelated,
    Exponential,
    Lognormal,
    Pareto,
    Service,
    TwoPhase,
)


def overload(draw: Draw) -> Scenario:
    plant = size(draw)
    target = rounded(plant.capacity * draw.even(1.1, 2.5))
    return plain(
        noisy(draw, plant.mean),
        target,
        length(draw),
        consumer=callers(draw, plant.servers),
        backend=Backend(servers=plant.servers, places=waiting_room(draw, plant.servers)),
    )


def few_servers(draw: Draw) -> Scenario:
    plant = size(draw, (1.0, 4.0))
    tail = (
        Pareto(plant.mean, draw.even(1.5, 2.5))
        if draw.chance(0.5)
        else Lognormal(plant.mean, draw.even(2.0, 5.0))
    )
    return plain(
        tail,
        rounded(plant.capacity * draw.even(0.8, 2.0)),
        length(draw),
        consumer=callers(draw, plant.servers),
        backend=Backend(servers=plant.servers, places=waiting_room(draw, plant.servers)),
    )


def bimodal(draw: Draw) -> Scenario:
    plant, share = size(draw), draw.log(0.01, 0.2)
    ratio = draw.log(10.0, 100.0)
    fast = plant.mean / (1.0 - share + share * ratio)
    return plain(
        TwoPhase(rounded(fast), rounded(fast * ratio), share),
        rounded(plant.capacity * draw.even(0.8, 2.5)),
        length(draw),
        consumer=callers(draw, plant.servers),
        backend=Backend(servers=plant.servers, places=waiting_room(draw, plant.servers)),
    )


def tight_timeout(draw: Draw) -> Scenario:
    plant = size(draw)
    return plain(
        Lognormal(plant.mean, draw.even(0.1, 0.5)),
        rounded(plant.capacity * draw.even(1.1, 2.5)),
        length(draw),
        consumer=callers(draw, plant.servers),
        backend=Backend(servers=plant.servers, places=waiting_room(draw, plant.servers)),
        timeout=rounded(plant.mean * draw.even(2.5, 5.0)),
    )


def correlated(draw: Draw) -> Scenario:
    plant = size(draw)
    return plain(
        Autocorrelated(plant.mean, draw.even(0.5, 1.2), draw.even(0.9, 0.99)),
        rounded(plant.capacity * draw.even(0.8, 2.0)),
        length(draw),
        consumer=callers(draw, plant.servers),
        backend=Backend(servers=plant.servers, places=waiting_room(draw, plant.servers)),
    )


def far(draw: Draw) -> Scenario:
    servers = draw.whole(1.0, 8.0)
    mean = rounded(servers / draw.log(50.0, 250.0))
    network = rounded(max(0.05, min(0.5, mean * draw.log(5.0, 50.0))))
    capacity = servers / mean
    return plain(
        noisy(draw, mean),
        rounded(capacity * draw.even(0.9, 2.0)),
        length(draw),
        consumer=IN_FLIGHT,
        backend=Backend(servers=servers, places=waiting_room(draw, servers, capacity * network)),
        network=Lognormal(network, draw.even(0.02, 0.3)),
    )


def retrograde(draw: Draw) -> Scenario:
    plant = size(draw, (4.0, 64.0))
    slope = rounded(draw.log(0.1, 1.0) / plant.servers)
    longest = 1.0 + slope * (plant.servers - 1.0)  # so that the capacity is the size's
    return plain(
        noisy(draw, rounded(plant.mean / longest)),
        rounded(plant.capacity * draw.even(0.9, 2.0)),
        length(draw),
        consumer=callers(draw, plant.servers),
        backend=Backend(
            servers=plant.servers, places=waiting_room(draw, plant.servers), slope=slope
        ),
        timeout=patience(draw, plant.mean),
    )


def quota_retry_after(draw: Draw) -> Scenario:
    limit, target, duration = quota(draw)
    limit = limit._replace(retry_after=1.0, whole=draw.one_of(0.0, 1.0))
    mean = draw.log(0.001, 0.3)
    return plain(
        noisy(draw, mean),
        target,
        duration,
        consumer=IN_FLIGHT,
        backend=Backend(quotas=(limit,)),
        timeout=patience(draw, mean),
    )


def quota_silent(draw: Draw) -> Scenario:
    limit, target, duration = quota(draw)
    limit = limit._replace(counts_refused=float(draw.chance(0.5)))
    return plain(
        noisy(draw, draw.log(0.001, 0.3)),
        target,
        duration,
        consumer=IN_FLIGHT,
        backend=Backend(quotas=(limit,), silent=1.0),
        timeout=draw.log(0.5, 5.0),
    )


def outage(draw: Draw) -> Scenario:
    plant, duration = size(draw), draw.one_of(60.0, 70.0, 80.0, 90.0)
    start, end = stretch(draw, duration, 0.1, 0.4)
    gone = Stall(start, end) if draw.chance(0.5) else Step(start, end, draw.log(10.0, 100.0))
    return plain(
        noisy(draw, plant.mean),
        rounded(plant.capacity * draw.even(0.6, 1.5)),
        duration,
        consumer=callers(draw, plant.servers),
        backend=Backend(servers=plant.servers, places=waiting_room(draw, plant.servers)),
        disturbances=(gone,),
        timeout=patience(draw, plant.mean),
    )


def capacity_steps(draw: Draw) -> Scenario:
    plant, duration = size(draw), draw.one_of(60.0, 70.0, 80.0, 90.0)
    edges = [rounded(duration * part / 5.0) for part in range(1, 5)]
    steps = [Step(a, b, draw.log(0.4, 4.0)) for a, b in itertools.pairwise(edges)]
    return plain(
        noisy(draw, plant.mean),
        rounded(plant.capacity * draw.even(0.8, 2.0)),
        duration,
        consumer=callers(draw, plant.servers),
        backend=Backend(servers=plant.servers, places=waiting_room(draw, plant.servers)),
        disturbances=tuple(steps),
        timeout=patience(draw, plant.mean),
    )


def ramps(draw: Draw) -> Scenario:
    plant, rise = size(draw), draw.even(10.0, 30.0)
    low, high = plant.capacity * draw.one_of(0.0, 0.2), plant.capacity * draw.even(1.1, 2.5)
    stages = [(0.0, low), (rise, high), (draw.even(20.0, 40.0), high), (rise, low)]
    load = Stages([(duration, rounded(target)) for duration, target in stages])
    return plain(
        noisy(draw, plant.mean),
        load,
        load.duration,
        consumer=callers(draw, plant.servers),
        backend=Backend(servers=plant.servers, places=waiting_room(draw, plant.servers)),
    )


def poisson(draw: Draw) -> Scenario:
    plant = size(draw)
    return plain(
        noisy(draw, plant.mean),
        rounded(plant.capacity * draw.even(0.7, 1.5)),
        length(draw),
        consumer=IN_FLIGHT,
        backend=Backend(servers=plant.servers, places=waiting_room(draw, plant.servers)),
        poisson=1.0,
    )


def blocking(draw: Draw) -> Scenario:
    mean = draw.log(0.008, 0.15)
    services: list[Service] = [
        Lognormal(mean, draw.even(0.3, 2.0)),
        Exponential(mean),
        Pareto(mean, draw.even(1.8, 3.0)),
    ]
    network = Lognormal(draw.log(0.001, 0.1), 0.1) if draw.chance(0.3) else None
    return plain(
        draw.one_of(*services), rounded(draw.even(0.5, 4.0) / mean), length(draw), network=network
    )


def few_places(draw: Draw) -> Scenario:
    plant = size(draw, (4.0, 64.0))
    return plain(
        noisy(draw, plant.mean),
        rounded(plant.capacity * draw.even(0.9, 2.5)),
        length(draw),
        consumer=callers(draw, 2.0 * plant.servers),
        backend=Backend(
            servers=plant.servers, places=float(int(plant.servers * draw.even(0.0, 1.0)))
        ),
    )


def tokens(draw: Draw) -> Scenario:
    calls = draw.log(2.0, 15.0)  # a second that the quota of cost lets through
    cost = draw.log(200.0, 2000.0)
    spare = draw.even(0.8, 2.0)  # of the quota of calls
    quotas = (
        ServiceQuota(float(round(60.0 * calls * spare)), 60.0, retry_after=1.0, at_once=1.0),
        ServiceQuota(
            float(round(60.0 * calls * cost)), 60.0, of="cost", retry_after=1.0, at_once=1.0
        ),
    )
    return plain(
        Lognormal(draw.log(0.2, 1.0), draw.even(0.2, 0.6)),
        rounded(calls * cost * draw.even(1.1, 3.0)),
        240.0,
        consumer=IN_FLIGHT,
        cost=Lognormal(cost, draw.even(0.5, 1.5)),
        backend=Backend(per_cost=draw.log(0.0005, 0.005), quotas=quotas),
        timeout=120.0,
    )
