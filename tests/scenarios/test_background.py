"""Other clients on the service: what they take up, by hand and by Erlang."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from helpers.laws import run

import tpssim
from tpssim.core.errors import InputError
from tpssim.core.schedule import BURST
from tpssim.core.types import OK, REJECTED, UNFINISHED
from tpssim.scenarios.capacity import achievable, capacity, mean_service, phases
from tpssim.scenarios.disturbances import Background, Step
from tpssim.scenarios.plant import Async, Backend, Blocking
from tpssim.scenarios.scenario import Scenario, checked_scenario
from tpssim.scenarios.service_quotas import ServiceQuota
from tpssim.scenarios.service_times import Constant, Exponential, draws


def plant(*disturbances: Any, **more: Any) -> Scenario:
    scenario = Scenario("s", Constant(0.5), 1.0, 20.0, Async(0.0, "completion"), late=BURST)
    more = {"backend": Backend(servers=1.0)} | more
    return checked_scenario(scenario._replace(disturbances=disturbances, **more))


def arrivals(load: Background, seed: int = 0, index: int = 0) -> list[float]:
    gaps = draws("background.gap.exponential", 1000, seed, 0, index) / load.rate
    return [t for t in (load.start + np.cumsum(gaps)).tolist() if t < load.end]


def test_other_calls_stand_in_the_same_line_by_their_own_noise() -> None:
    load = Background(5.0, 12.0, 0.7)
    trace = run(plant(load))
    # One server, 1/2 s each, first come, first served; a call of ours each second.
    ours = [float(k) for k in range(20)]
    line = sorted([(t, 1) for t in ours] + [(t, 0) for t in arrivals(load)])
    free, ends = 0.0, {}
    for t, mine in line:
        free = max(t, free) + 0.5
        if mine:
            ends[t] = free
    assert len(line) > 22
    assert trace.completed[:-1] == pytest.approx([ends[t] for t in ours][:-1], abs=1e-12)
    assert len(trace.released) == 20
    assert max(trace.completed[:5] - trace.released[:5]) == 0.5


def test_two_loads_draw_their_own_noise_and_none_of_the_producers() -> None:
    one, two = Background(0.0, 20.0, 1.0), Background(0.0, 20.0, 1.0 + 1e-9)
    assert arrivals(one)[:3] != pytest.approx(arrivals(two, index=1)[:3])
    service = Exponential(0.01)
    loaded = run(plant(one, two, service=service, backend=Backend(servers=1e6)))
    alone = run(plant(service=service, backend=Backend(servers=1e6)))
    assert loaded.completed.tolist() == alone.completed.tolist()


@pytest.mark.parametrize(("servers", "mine", "theirs"), [(3.0, 1.0, 2.0), (2.0, 0.2, 1.5)])
def test_what_is_lost_beside_them_is_what_erlang_says(
    servers: float, mine: float, theirs: float
) -> None:
    load = mine + theirs
    terms = [load**k / math.factorial(k) for k in range(int(servers) + 1)]
    scenario = plant(
        Background(0.0, math.inf, theirs),
        service=Exponential(1.0),
        target=mine,
        duration=20_000.0,
        poisson=1.0,
        backend=Backend(servers=servers, places=0.0),
    )
    outcome = run(scenario).outcome
    outcome = outcome[outcome != UNFINISHED]
    lost = terms[-1] / sum(terms)
    assert (outcome == REJECTED).mean() == pytest.approx(lost, abs=5.0 / math.sqrt(len(outcome)))


def test_they_use_up_quotas_and_limits() -> None:
    # Four in ten seconds: whoever comes first. A call of ours each second, at no cost of theirs.
    load = Background(0.0, 20.0, 0.5)
    quota = Backend(quotas=(ServiceQuota(4.0, 10.0, window="fixed"),), failure=0.0)
    trace = run(plant(load, backend=quota, service=Constant(0.001)))
    used, expected = [0, 0], []
    for t, own in sorted([(float(k), 1) for k in range(20)] + [(t, 0) for t in arrivals(load)]):
        window = int(t // 10.0)
        passes = used[window] < 4
        used[window] += passes
        if own:
            expected.append(OK if passes else REJECTED)
    assert trace.outcome.tolist() == expected
    assert 0 < expected.count(OK) < 8
    # One at a time: ours of 1/2 s each second never meet, theirs are in the way.
    crowded = plant(load, backend=Backend(limit=1.0))
    assert set(run(crowded._replace(disturbances=())).outcome[:-1].tolist()) == {OK}
    assert REJECTED in run(crowded).outcome


def test_failures_are_of_the_producers_alone() -> None:
    load = Background(0.0, 20.0, 2.0)
    flaky = plant(load, backend=Backend(servers=50.0, failure=0.5))
    failed = run(flaky).outcome[:-1] == 1
    assert failed.tolist() == (draws("failure.uniform", 19, 0, 0) < 0.5).tolist()


def test_their_costs_count() -> None:
    load = Background(0.0, 20.0, 2.0)
    tokens = Backend(quotas=(ServiceQuota(30.0, 1e3, "cost"),))
    trace = run(plant(load, backend=tokens, cost=Exponential(2.0), target=2.0))
    costs = (2.0 * draws("background.cost.exponential", 100, 0, 0)).tolist()
    ours = (2.0 * draws("cost.exponential", len(trace.cost), 0, 0)).tolist()
    line = sorted(
        [(t, 1, c) for t, c in zip(trace.released.tolist(), ours, strict=True)]
        + [(t, 0, c) for t, c in zip(arrivals(load), costs, strict=False)]
    )
    used, expected = 0.0, []
    for _, own, cost in line:
        passes = used + cost <= 30.0
        used += cost * passes
        if own:
            expected.append(OK if passes else REJECTED)
    assert trace.outcome[:-1].tolist() == expected[:-1]


def test_capacity_is_what_they_leave() -> None:
    scenario = plant(Background(5.0, 10.0, 0.5), Background(8.0, 30.0, 9.0), Step(1.0, 2.0, 2.0))
    assert phases(scenario) == [
        (0.0, 1.0),
        (1.0, 2.0),
        (2.0, 5.0),
        (5.0, 8.0),
        (8.0, 10.0),
        (10.0, 20.0),
    ]
    assert [capacity(scenario, t) for t in (0.0, 1.0, 5.0, 8.0)] == [2.0, 1.0, 1.5, 0.0]
    assert achievable(scenario, 5.0) == 1.0
    assert mean_service(scenario, 8.0) == 0.5
    # Of four servers others leave more than one caller at a time can use.
    roomy = scenario._replace(consumer=Blocking(), backend=Backend(servers=4.0))
    assert capacity(roomy, 5.0) == 2.0


def test_code_that_waits_by_itself_has_them_too() -> None:
    load = Background(0.0, 20.0, 1.5)
    hosted = tpssim.simulate(plant(load), "printed-schedule")
    assert hosted.completed[:15].tolist() == run(plant(load)).completed[:15].tolist()


@pytest.mark.parametrize(
    ("scenario", "message"),
    [
        (plant()._replace(disturbances=(Background(0.0, 1.0, 0.0),)), "rate=0 is out of range"),
        (
            plant()._replace(disturbances=(Background(2.0, 1.0, 1.0),)),
            "a background from 2 to 1 s; allowed: 0 <= start < end",
        ),
        (
            plant()._replace(disturbances=(Background(0.0, 1.0, 1.0),), backend=Backend()),
            "a background load on a service without limits changes nothing; allowed: a backend",
        ),
    ],
)
def test_impossible_loads_are_refused_in_one_line(scenario: Scenario, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        checked_scenario(scenario)
    assert "\n" not in str(error.value)
