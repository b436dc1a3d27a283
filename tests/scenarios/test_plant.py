"""Consumers, backend, retries by hand. All times are sums of powers of two, so equality is
exact.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from helpers.laws import SetOnce, observations_of, run

from tpssim.core.schedule import BURST
from tpssim.core.types import FAILED, OK, REJECTED, TIMED_OUT, UNFINISHED
from tpssim.scenarios.capacity import achievable, capacity
from tpssim.scenarios.plant import (
    Async,
    Backend,
    Blocking,
    Consumer,
    Pool,
    backend_capacity,
    slowdown,
)
from tpssim.scenarios.retries import Retry, retry_wait
from tpssim.scenarios.scenario import Producer, Scenario
from tpssim.scenarios.service_times import Constant, draws


def plant(
    mean: float, target: float, duration: float, consumer: Consumer | None = None, **more: Any
) -> Scenario:
    return Scenario(
        "s", Constant(mean), target, duration, consumer or Blocking(), late=BURST
    )._replace(**more)


def test_a_pool_runs_as_many_calls_as_it_has_workers_and_queues_the_rest() -> None:
    trace = run(plant(0.5, 8.0, 1.0, Pool(2.0)))
    # Eight releases a second go out on time; two at once are worked on.
    assert trace.released.tolist() == [k / 8.0 for k in range(8)]
    assert trace.completed[:2].tolist() == [0.5, 0.625]
    assert trace.outcome.tolist() == [OK, OK] + [UNFINISHED] * 6
    longer = run(plant(0.5, 8.0, 2.0, Pool(2.0)))
    assert longer.completed[:6].tolist() == [0.5, 0.625, 1.0, 1.125, 1.5, 1.625]
    # What the law observes counts the wait in the queue.
    assert longer.latency[:4].tolist() == [0.5, 0.5, 0.75, 0.75]
    # the fifth comes as the first ends
    assert longer.in_flight[:5].tolist() == [
        1.0,
        2.0,
        3.0,
        4.0,
        4.0,
    ]


def test_a_full_queue_holds_the_producer_back() -> None:
    trace = run(plant(0.5, 8.0, 2.0, Pool(2.0, 1.0)))
    # 0 and 1/8 begin, 2/8 waits, 3/8 finds the queue full: the producer stands until 0.5.
    assert trace.released[:6].tolist() == [0.0, 0.125, 0.25, 0.375, 0.5, 0.625]
    assert trace.scheduled[:6].tolist() == [0.0, 0.125, 0.25, 0.375, 0.5, 0.625]
    assert trace.released[6] == 1.0  # the call of 0.625 found no place before then
    # two at work, one in the queue, one on the producer's hands
    assert trace.in_flight.max() == 4.0
    unbounded = run(plant(0.5, 8.0, 2.0, Pool(2.0)))
    assert unbounded.in_flight.max() > 8.0


@pytest.mark.parametrize(("servers", "done"), [(1.0, [0.5, 1.0, 1.5]), (2.0, [0.5, 0.625, 1.0])])
def test_servers_work_first_come_first_served(servers: float, done: list[float]) -> None:
    scenario = plant(0.5, 8.0, 2.0, Async(0.0, "completion"), backend=Backend(servers=servers))
    assert run(scenario).completed[:3].tolist() == done


def test_places_bound_the_line_in_front_of_the_servers() -> None:
    scenario = plant(
        0.5, 8.0, 1.0, Async(0.0, "completion"), backend=Backend(servers=1.0, places=1.0)
    )
    trace = run(scenario)
    # 0 is served until 1/2, 1/8 waits until then; 1/4 and 3/8 find two in the backend.
    assert trace.outcome.tolist()[:5] == [OK, UNFINISHED, REJECTED, REJECTED, UNFINISHED]
    assert trace.completed[2:4].tolist() == [0.75, 0.875]  # an error after the plain service time


def test_latency_grows_linearly_with_the_calls_inside() -> None:
    scenario = plant(0.25, 8.0, 2.0, Async(0.0, "completion"), backend=Backend(slope=0.5))
    # 0: alone; 1/8: two inside, x 1.5; 1/4: the first has ended, two inside.
    assert (run(scenario).completed - run(scenario).released)[:3].tolist() == [0.25, 0.375, 0.375]


def test_an_answer_takes_its_time_on_the_way_and_no_server_is_busy_then() -> None:
    # One server of 0.5 s, two calls a second, 0.25 s on the way: the server is always busy, the
    # caller waits.
    way: dict[str, Any] = {"backend": Backend(servers=1.0), "network": Constant(0.25)}
    scenario = plant(0.5, 2.0, 2.0, Async(0.0, "completion"), **way)
    trace = run(scenario)
    assert trace.released.tolist() == [0.0, 0.5, 1.0, 1.5]
    assert trace.completed[:3].tolist() == [0.75, 1.25, 1.75]
    assert trace.latency[:3].tolist() == [0.75, 0.75, 0.75]
    assert capacity(scenario, 0.0) == 2.0
    # One caller at a time: it makes a call in 0.75 s.
    alone = plant(0.5, 2.0, 4.0, **way)
    assert run(alone).released.tolist() == [0.0, 0.75, 1.5, 2.25, 3.0, 3.75]
    assert capacity(alone, 0.0) == 1.0 / 0.75


def test_latency_explodes_behind_the_knee() -> None:
    backend = Backend(knee=2.0, exponent=2.0)
    assert [slowdown(backend, n) for n in (1.0, 2.0, 3.0, 4.0)] == [1.0, 1.0, 2.0, 4.0]
    assert slowdown(Backend(knee=10.0, exponent=1.01), 1010.0) == pytest.approx(1.01**1000)
    assert math.isfinite(slowdown(backend, 1e9))
    # The reference's server: delay (1 + scale (n - 1) + [e^max(0, n - k) - 1]), scale .1, e 1.1, k
    # 10, n 12.
    assert slowdown(Backend(slope=0.1, knee=10.0, exponent=1.1), 12.0) == pytest.approx(
        1.0 + 1.1 + 0.21
    )
    scenario = plant(0.5, 8.0, 2.0, Async(0.0, "completion"), backend=backend)
    assert (run(scenario).completed - run(scenario).released)[:3].tolist() == [0.5, 0.5, 1.0]


def test_calls_fail_with_the_given_probability_and_by_their_own_noise() -> None:
    scenario = plant(0.001, 100.0, 100.0, backend=Backend(failure=0.25))
    trace = run(scenario)
    failed = trace.outcome == FAILED
    assert failed.sum() == pytest.approx(2500, abs=5 * math.sqrt(10_000 * 0.25 * 0.75))
    assert failed.tolist() == (draws("failure.uniform", 10_000, 0, 0) < 0.25).tolist()
    observed = observations_of(scenario._replace(duration=1.0))
    assert [obs.errors for obs in observed] == failed[:100].tolist()
    assert all(obs.drops == 0.0 for obs in observed)


def test_a_caller_gives_up_and_the_server_works_on() -> None:
    scenario = plant(
        0.5, 8.0, 1.0, Async(0.0, "completion"), backend=Backend(servers=1.0), timeout=0.5625
    )
    trace = run(scenario)
    # Call 1 begins at 1/2 and would end at 1; its caller leaves at 1/8 + 9/16. Call 2 still waits
    # for it.
    assert trace.outcome[:2].tolist() == [OK, TIMED_OUT]
    assert trace.completed[:3].tolist() == [0.5, 0.6875, 0.8125]
    assert trace.outcome[2] == TIMED_OUT
    last = observations_of(scenario)[1]
    assert (last.now, last.latency, last.errors, last.drops) == (0.6875, 0.5625, 1.0, 1.0)


def test_an_answer_at_the_instant_of_the_timeout_counts() -> None:
    trace = run(plant(0.5, 1.0, 1.0, timeout=0.5))
    assert trace.outcome.tolist() == [OK]


def test_a_blocking_caller_is_free_when_it_gives_up() -> None:
    trace = run(plant(0.5, 8.0, 1.0, timeout=0.25))
    assert trace.released.tolist() == [0.0, 0.25, 0.5, 0.75]
    assert set(trace.outcome[:3].tolist()) == {TIMED_OUT}


@pytest.mark.parametrize("silent", [0.0, 1.0])
def test_above_its_limit_the_backend_rejects_with_an_error_or_in_silence(silent: float) -> None:
    scenario = plant(
        0.5,
        4.0,
        2.0,
        Async(0.0, "completion"),
        backend=Backend(limit=1.0, silent=silent),
        timeout=0.875,
    )
    trace = run(scenario)
    # 0 is inside until 1/2, so 1/4 is rejected. In silence it never gets in, and 1/2 finds the
    # backend empty; with an error it is inside until 3/4, so 1/2 is rejected too and inside until
    # 1, and so on for ever.
    outcome, after, next_one = (TIMED_OUT, 0.875, OK) if silent else (REJECTED, 0.5, REJECTED)
    assert trace.outcome[:3].tolist() == [OK, outcome, next_one]
    assert trace.completed[1] - trace.released[1] == after
    assert silent or set(trace.outcome[1:-2].tolist()) == {REJECTED}


def test_a_rejected_call_slows_the_others_and_takes_no_server() -> None:
    # A call each 1/8: 0 is served until 1/2; 1/8, with two inside, takes 2 * 1/2 from there; 1/4 is
    # rejected and inside until 3/4. From then on others like it are always inside, though the
    # server is idle at 3/2.
    backend = Backend(servers=1.0, slope=1.0, limit=2.0)
    trace = run(plant(0.5, 8.0, 2.0, Async(0.0, "completion"), backend=backend))
    assert trace.completed[0] == 0.5
    assert trace.outcome[1] == OK
    assert trace.completed[1] == 1.5
    assert set(trace.outcome[2:12].tolist()) == {REJECTED}


def test_a_rejected_call_without_a_place_never_gets_in() -> None:
    # One server, no place: 0 is served until 1/2, 1/4 finds no place, 1/2 finds an idle server.
    trace = run(
        plant(0.5, 4.0, 2.0, Async(0.0, "completion"), backend=Backend(servers=1.0, places=0.0))
    )
    assert trace.outcome[:4].tolist() == [OK, REJECTED, OK, REJECTED]


def test_above_its_rate_the_backend_rejects() -> None:
    trace = run(plant(0.125, 4.0, 2.5, backend=Backend(rate=2.0)))
    # At most two beginnings in the last second, rejected ones counted: after two none is ever
    # accepted.
    assert trace.outcome[:-1].tolist() == [OK, OK] + [REJECTED] * 7
    calm = run(plant(0.125, 2.0, 2.5, backend=Backend(rate=2.0)))
    assert set(calm.outcome.tolist()) == {OK}


def test_retry_waits_are_fibonacci_or_exponential_and_capped() -> None:
    assert [retry_wait(Retry(9, 0.5), n) for n in range(1, 7)] == [0.5, 1.0, 1.5, 2.5, 4.0, 6.5]
    assert [retry_wait(Retry(9, 0.5, 2.0, 3.0), n) for n in range(1, 6)] == [
        0.5,
        1.0,
        2.0,
        3.0,
        3.0,
    ]
    assert retry_wait(Retry(1000, 1.0, 100.0), 1000) == 30.0


def test_a_caller_tries_again_and_its_latency_counts_all_of_it() -> None:
    scenario = plant(0.125, 1.0, 1.5, timeout=0.0625, retry=Retry(2.0, 0.25, 2.0))
    trace = run(scenario)
    # Attempts at 0, 5/16, 14/16 (1/16 until the timeout, then 1/4, then 1/2); given up at 15/16.
    assert trace.completed[0] == 0.9375
    assert trace.latency[0] == 0.9375
    assert trace.outcome[0] == TIMED_OUT
    assert trace.released[1] == 1.0
    # A second chance: two of three attempts fail by their own draws, so fewer calls fail in the
    # end.
    flaky = plant(0.001, 50.0, 100.0, backend=Backend(failure=0.5), retry=Retry(1.0, 0.001))
    failed = (run(flaky).outcome == FAILED).sum()
    assert failed == pytest.approx(1250, abs=5 * math.sqrt(5000 * 0.25 * 0.75))


def test_the_tick_rounds_latencies_up_and_adds_one() -> None:
    trace = run(plant(0.1, 1.0, 2.0, tick=0.25))
    assert trace.completed[0] == 0.5
    assert run(plant(0.25, 1.0, 2.0, tick=0.25)).completed[0] == 0.5
    # A retry's wait as well: timeout at 1/16, wait 1/8 -> 1/2, done a tick and a tick later.
    again = run(plant(0.125, 1.0, 2.0, tick=0.25, timeout=0.0625, retry=Retry(1.0, 0.125)))
    assert again.completed[0] == 0.0625 + 0.5 + 0.0625


def test_the_grid_rounds_the_times_of_events() -> None:
    trace = run(plant(0.0104, 3.0, 2.0, Async(0.0, "completion"), grid=0.001))
    assert trace.released[:4].tolist() == pytest.approx([0.0, 0.333, 0.667, 1.0], abs=1e-12)
    assert trace.completed[:2].tolist() == pytest.approx([0.010, 0.343], abs=1e-12)


def test_producers_share_the_servers_and_come_and_go() -> None:
    scenario = plant(0.5, 1.0, 4.0, backend=Backend(servers=1.0))._replace(
        producers=(Producer(), Producer(1.0, 2.5))
    )
    trace = run(scenario)
    assert trace.released[trace.producer == 0].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert trace.released[trace.producer == 1].tolist() == [1.0, 2.0]
    # At equal times the first producer comes first; the other waits for the only server.
    assert trace.latency[trace.producer == 0].tolist() == [0.5] * 4
    assert trace.latency[trace.producer == 1].tolist() == [1.0] * 2
    # A law's time starts when its producer does.
    assert observations_of(scenario._replace(producers=(Producer(1.0),)))[0].now == 0.5


def test_every_producer_has_its_own_law_and_noise() -> None:
    scenario = plant(0.01, 50.0, 10.0, backend=Backend(failure=0.5))._replace(
        producers=(Producer(), Producer())
    )
    trace = run(scenario)
    one, two = (trace.outcome[trace.producer == i] == FAILED for i in (0, 1))
    assert one.tolist() == (draws("failure.uniform", len(one), 0, 0) < 0.5).tolist()
    assert two.tolist() == (draws("failure.uniform", len(two), 0, 0, 1) < 0.5).tolist()
    assert not np.array_equal(one, two)


def test_random_gaps_are_exponential_and_indexed_by_slot() -> None:
    trace = run(plant(0.0001, 100.0, 100.0, Async(0.0))._replace(poisson=1.0))
    gaps = draws("gap.exponential", len(trace.scheduled), 0, 0) / 100.0
    assert trace.scheduled.tolist() == pytest.approx(np.cumsum(gaps).tolist(), rel=1e-12)


@pytest.mark.parametrize(
    ("backend", "callers", "sustains"),
    [
        (Backend(), math.inf, math.inf),
        (Backend(), 3.0, 300.0),
        (Backend(servers=4.0), math.inf, 400.0),
        (Backend(servers=4.0), 3.0, 300.0),
        (Backend(rate=50.0), math.inf, 50.0),
        (Backend(limit=3.0), math.inf, 300.0),
        (Backend(slope=0.5), math.inf, 200.0),  # n / (1 + (n - 1) / 2) approaches 2 as n grows
        (Backend(slope=2.0), math.inf, 100.0),  # and falls from 1 with a steeper slope
        (Backend(slope=0.1), 10.0, 1000.0 / 1.9),
        (Backend(servers=3.0, slope=0.5), math.inf, 150.0),  # 3 / 2
        (Backend(knee=2.0, exponent=2.0), math.inf, 200.0),  # 2 / 1; 3 / 2 and 4 / 4 are less
        (Backend(knee=2.0, exponent=2.0), 1.0, 100.0),
        (Backend(knee=10.0), 50.0, 5000.0),  # an exponent of 1 is no knee
    ],
)
def test_what_a_backend_sustains_at_10_ms(
    backend: Backend, callers: float, sustains: float
) -> None:
    assert backend_capacity(backend, 0.01, callers) == pytest.approx(sustains, rel=1e-12)


@pytest.mark.parametrize("exponent", [1.001, 1.02, 1.3])
@pytest.mark.parametrize("slope", [0.0, 0.01])
def test_the_best_crowd_behind_a_knee_is_found(exponent: float, slope: float) -> None:
    backend = Backend(knee=7.0, exponent=exponent, slope=slope)
    best = max(n / slowdown(backend, float(n)) for n in range(1, 5000))
    assert backend_capacity(backend, 1.0) == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize(
    "scenario",
    [
        plant(0.01, 3000.0, 20.0, Pool(10.0), backend=Backend(slope=0.1)),
        plant(0.01, 300.0, 20.0, backend=Backend(slope=2.0)),
        plant(0.01, 300.0, 100.0, backend=Backend(failure=0.3)),
        plant(0.01, 50.0, 200.0, backend=Backend(failure=0.3)),
        plant(0.01, 300.0, 20.0, backend=Backend(servers=2.0), producers=(Producer(),) * 3),
    ],
)
def test_what_is_achievable_is_achieved_by_asking_for_more(scenario: Scenario) -> None:
    trace = run(scenario)
    best = achievable(scenario, 0.0)
    assert (trace.outcome == OK).sum() / scenario.duration == pytest.approx(best, rel=0.05)


def test_a_limit_actuator_in_a_pool_counts_the_queue() -> None:
    trace = run(plant(0.5, 8.0, 2.0, Pool(1.0)), SetOnce(limit=2.0))
    assert trace.in_flight.max() == 2.0
    assert trace.meta["limited"] > 0.0
