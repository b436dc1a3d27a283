"""The kinds of services on which laws are judged, and none is tuned: functions from draws to a
scenario.
"""

from __future__ import annotations

import itertools
import math

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
from tpssim.scenarios.disturbances import Background, Disturbance, Ramp, Sine, Step
from tpssim.scenarios.feedback import Feedback
from tpssim.scenarios.plant import Backend, Pool
from tpssim.scenarios.retries import Retry
from tpssim.scenarios.scenario import Producer, Scenario
from tpssim.scenarios.service_times import Lognormal


def knee(draw: Draw) -> Scenario:
    plant = size(draw, (4.0, 64.0))
    return plain(
        noisy(draw, plant.mean),
        rounded(plant.capacity * draw.even(0.9, 2.0)),
        length(draw),
        consumer=callers(draw, plant.servers),
        backend=Backend(
            knee=plant.servers, exponent=rounded(1.0 + draw.log(0.2, 2.0) / plant.servers)
        ),
        timeout=patience(draw, plant.mean),
    )


def quota_plain(draw: Draw) -> Scenario:
    limit, target, duration = quota(draw)
    limit = limit._replace(
        window=draw.one_of("fixed", "rolling"), counts_refused=float(draw.chance(0.5))
    )
    mean = draw.log(0.001, 0.3)
    return plain(
        noisy(draw, mean),
        target,
        duration,
        consumer=IN_FLIGHT,
        backend=Backend(quotas=(limit,)),
        timeout=patience(draw, mean),
    )


def concurrency_limit(draw: Draw) -> Scenario:
    limit = draw.whole(4.0, 64.0)
    mean = rounded(limit / draw.log(30.0, 250.0))
    return plain(
        noisy(draw, mean),
        rounded(limit / mean * draw.even(0.9, 2.5)),
        length(draw),
        consumer=callers(draw, limit),
        backend=Backend(limit=limit),
    )


def pool_degrade(draw: Draw) -> Scenario:
    plant, duration = size(draw, (2.0, 16.0)), draw.one_of(60.0, 70.0, 80.0, 90.0)
    start, end = stretch(draw, duration, 0.2, 0.4)
    return plain(
        noisy(draw, plant.mean),
        rounded(plant.capacity * draw.even(0.6, 1.2)),
        duration,
        consumer=Pool(draw.whole(16.0, 200.0)),
        backend=Backend(servers=plant.servers),
        disturbances=(Step(start, end, draw.log(2.0, 10.0)),),
    )


def drift(draw: Draw) -> Scenario:
    plant, duration = size(draw), draw.one_of(70.0, 80.0, 90.0)
    changes: list[Disturbance] = [
        Ramp(rounded(0.1 * duration), duration, draw.log(2.0, 5.0)),
        Sine(0.0, duration, draw.even(0.3, 0.7), rounded(duration / draw.even(1.0, 4.0))),
    ]
    return plain(
        noisy(draw, plant.mean),
        rounded(plant.capacity * draw.even(0.7, 1.5)),
        duration,
        consumer=callers(draw, plant.servers),
        backend=Backend(servers=plant.servers, places=waiting_room(draw, plant.servers)),
        disturbances=(draw.one_of(*changes),),
    )


def flash_crowd(draw: Draw) -> Scenario:
    plant = size(draw)
    calm, rush = plant.capacity * draw.even(0.2, 0.7), plant.capacity * draw.log(1.5, 6.0)
    lasts = draw.even(5.0, 15.0)
    before, rise = draw.even(10.0, 20.0), draw.one_of(0.0, 1.0, 3.0)
    stages = [(0.0, calm), (before, calm), (rise, rush), (lasts, rush), (rise, calm), (25.0, calm)]
    load = Stages([(duration, rounded(target)) for duration, target in stages])
    return plain(
        noisy(draw, plant.mean),
        load,
        load.duration,
        consumer=callers(draw, plant.servers),
        backend=Backend(servers=plant.servers, places=waiting_room(draw, plant.servers)),
        timeout=patience(draw, plant.mean),
    )


def arrivals(draw: Draw) -> Scenario:
    plant, duration = size(draw), 60.0
    calm, rush = plant.capacity * draw.even(0.2, 0.5), plant.capacity * draw.even(1.2, 2.5)
    rests, lasts = draw.even(4.0, 10.0), draw.even(0.3, 2.0)
    times, now, busy, until = [], 0.0, False, -rests * math.log(1.0 - draw.unit())
    while now < duration:
        gap = -math.log(1.0 - draw.unit()) / (rush if busy else calm)
        if now + gap < until:
            now += gap
            times.append(round(now, 4))
        else:
            now, busy = until, not busy
            until -= (lasts if busy else rests) * math.log(1.0 - draw.unit())
    return plain(
        noisy(draw, plant.mean),
        rounded(len(times) / duration),
        duration,
        consumer=IN_FLIGHT,
        backend=Backend(servers=plant.servers, places=waiting_room(draw, plant.servers)),
        arrivals=tuple(time for time in times if time < duration),
    )


def producers(draw: Draw) -> Scenario:
    plant, duration = size(draw), draw.one_of(60.0, 70.0, 80.0)
    number = int(draw.whole(2.0, 6.0))
    each = plant.capacity * draw.even(1.0, 2.5) / number
    late = [Producer(rounded(duration * draw.even(0.1, 0.4))) for _ in range(number // 2)]
    if draw.chance(0.5):
        late[0] = late[0]._replace(end=rounded(duration * draw.even(0.6, 0.8)))
    return plain(
        noisy(draw, plant.mean),
        rounded(each),
        duration,
        consumer=IN_FLIGHT,
        backend=Backend(servers=plant.servers, places=waiting_room(draw, plant.servers)),
        producers=(*(Producer() for _ in range(number - len(late))), *late),
    )


def late_feedback(draw: Draw) -> Scenario:
    plant, duration = size(draw), draw.one_of(60.0, 70.0, 80.0, 90.0)
    start, end = stretch(draw, duration, 0.2, 0.4)
    return plain(
        noisy(draw, plant.mean),
        rounded(plant.capacity * draw.even(0.8, 1.5)),
        duration,
        consumer=IN_FLIGHT,
        backend=Backend(servers=plant.servers, places=waiting_room(draw, plant.servers)),
        disturbances=(Step(start, end, draw.log(1.0, 4.0)),),
        feedback=Feedback(draw.log(0.2, 3.0), draw.log(0.1, 2.0)),
    )


def neighbours(draw: Draw) -> Scenario:
    plant, duration = size(draw, (4.0, 64.0)), draw.one_of(60.0, 70.0, 80.0)
    others = [
        Background(
            rounded(start * duration),
            rounded((start + 0.2) * duration),
            rounded(plant.capacity * draw.even(0.2, 0.8)),
        )
        for start in (0.15, 0.5)
    ]
    return plain(
        noisy(draw, plant.mean),
        rounded(plant.capacity * draw.even(0.5, 1.2)),
        duration,
        consumer=callers(draw, plant.servers),
        backend=Backend(servers=plant.servers, places=waiting_room(draw, plant.servers)),
        disturbances=tuple(others),
    )


def retries(draw: Draw) -> Scenario:
    plant = size(draw)
    return plain(
        noisy(draw, plant.mean),
        rounded(plant.capacity * draw.even(0.8, 1.6)),
        length(draw),
        consumer=callers(draw, plant.servers),
        backend=Backend(
            servers=plant.servers,
            places=math.ceil(plant.servers * draw.even(0.5, 5.0)),
            failure=draw.one_of(0.0, 0.01, 0.05),
        ),
        timeout=patience(draw, plant.mean),
        retry=Retry(
            attempts=draw.whole(1.0, 4.0),
            base=draw.log(0.02, 1.0),
            growth=2.0,
            jitter=draw.one_of("none", "full", "decorrelated"),
            budget=draw.one_of(math.inf, math.inf, 0.1, 0.2),
        ),
    )


def phases(draw: Draw) -> Scenario:
    plant, duration = size(draw), draw.one_of(60.0, 70.0, 80.0)
    spread, lasts = draw.even(0.3, 0.8), draw.log(0.5, 5.0)
    edges = [rounded(k * lasts) for k in range(math.floor(duration / lasts) + 1)]
    slower = [
        Step(a, b, rounded(math.exp(draw.normal(spread)))) for a, b in itertools.pairwise(edges)
    ]
    return plain(
        noisy(draw, plant.mean),
        rounded(plant.capacity * draw.even(0.7, 1.5)),
        duration,
        consumer=callers(draw, plant.servers),
        backend=Backend(servers=plant.servers, places=waiting_room(draw, plant.servers)),
        disturbances=tuple(slower),
    )


def light_load(draw: Draw) -> Scenario:
    plant, network = size(draw, (1.0, 64.0)), draw.log(0.001, 0.1)
    places = waiting_room(draw, plant.servers, plant.capacity * network)
    return plain(
        Lognormal(plant.mean, draw.even(0.3, 2.5)),
        rounded(plant.capacity * draw.even(0.3, 0.85)),
        length(draw),
        consumer=callers(draw, plant.servers),
        backend=Backend(servers=plant.servers, places=places),
        network=Lognormal(network, draw.even(0.05, 1.0)),
    )


def cold_start(draw: Draw) -> Scenario:
    plant = size(draw)
    warm = draw.even(8.0, 25.0)
    return plain(
        noisy(draw, plant.mean),
        rounded(plant.capacity * draw.even(0.7, 1.5)),
        draw.one_of(60.0, 70.0, 80.0),
        consumer=callers(draw, plant.servers),
        backend=Backend(servers=plant.servers, places=waiting_room(draw, plant.servers)),
        disturbances=(Step(0.0, warm, draw.log(3.0, 20.0)),),
        timeout=patience(draw, plant.mean),
    )


def random_errors(draw: Draw) -> Scenario:
    plant = size(draw)
    return plain(
        noisy(draw, plant.mean),
        rounded(plant.capacity * draw.even(0.6, 1.5)),
        length(draw),
        consumer=callers(draw, plant.servers),
        backend=Backend(
            servers=plant.servers,
            places=waiting_room(draw, plant.servers),
            failure=draw.log(0.005, 0.15),
        ),
    )


def blocking_changes(draw: Draw) -> Scenario:
    mean, duration = draw.log(0.004, 0.05), draw.one_of(60.0, 70.0, 80.0)
    start, end = stretch(draw, duration, 0.2, 0.4)
    return plain(
        noisy(draw, mean),
        rounded(draw.even(0.4, 1.5) / mean),
        duration,
        disturbances=(Step(start, end, draw.log(2.0, 20.0)),),
    )


def combined(draw: Draw) -> Scenario:
    plant, duration = size(draw, (4.0, 32.0)), draw.one_of(60.0, 70.0, 80.0)
    start, end = stretch(draw, duration, 0.1, 0.3)
    network = Lognormal(draw.log(0.005, 0.05), draw.even(0.05, 0.5))
    return plain(
        noisy(draw, plant.mean),
        rounded(plant.capacity * draw.even(0.8, 2.0)),
        duration,
        consumer=callers(draw, plant.servers),
        backend=Backend(
            servers=plant.servers,
            places=waiting_room(draw, plant.servers, plant.capacity * network.mean),
            slope=rounded(draw.log(0.03, 0.3) / plant.servers),
            failure=draw.one_of(0.0, 0.0, 0.02),
        ),
        network=network,
        disturbances=(Step(start, end, draw.log(1.5, 6.0)),),
        timeout=patience(draw, plant.mean + network.mean),
        poisson=float(draw.chance(0.5)),
    )
