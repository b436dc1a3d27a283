"""The oracle delivers what theory says can be delivered, on the noise of the others."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tpssim import InputError, measure, simulate
from tpssim.core.profiles import Stages
from tpssim.scenarios.disturbances import Background, Stall, Step
from tpssim.scenarios.plant import Async, Backend, Blocking, Pool
from tpssim.scenarios.scenario import Producer, Scenario
from tpssim.scenarios.service_quotas import ServiceQuota
from tpssim.scenarios.service_times import Constant, Lognormal
from tpssim.simulation.oracle import bounded, crowd, filled, in_flight, standstills

#: 8 servers of 20 ms: 400 a second.
PLANT = Scenario(
    "p",
    Constant(0.02),
    600.0,
    10.0,
    Async(0.0, "completion"),
    backend=Backend(servers=8.0),
)


def goodput(scenario: Scenario) -> float:
    return measure(simulate(scenario, "oracle"))["goodput"]


@pytest.mark.parametrize(
    ("scenario", "rate"),
    [
        (PLANT, 400.0),  # servers / mean
        (PLANT._replace(target=300.0), 300.0),
        (PLANT._replace(consumer=Pool(4.0)), 200.0),  # workers / mean
        (PLANT._replace(consumer=Blocking()), 50.0),
        (PLANT._replace(consumer=Async(0.0, "handoff")), 400.0),  # it sees what no law sees
        (PLANT._replace(network=Constant(0.06)), 400.0),
        (PLANT._replace(consumer=Pool(8.0), network=Constant(0.06)), 100.0),  # 8 / (20 + 60 ms)
        (PLANT._replace(disturbances=(Step(5.0, 10.0, 4.0),)), 250.0),  # 400, then 100
        (PLANT._replace(disturbances=(Stall(2.0, 7.0),)), 200.0),
        (PLANT._replace(backend=Backend(rate=100.0)), 100.0),
        (PLANT._replace(backend=Backend(quotas=(ServiceQuota(50.0, 1.0),))), 50.0),
        (PLANT._replace(target=200.0, producers=(Producer(),) * 3), 400.0),
        (PLANT._replace(target=Stages("0s:100,5s:100,0s:600,5s:600")), 250.0),
        (PLANT._replace(disturbances=(Background(0.0, 10.0, 100.0),)), 300.0),
    ],
)
def test_it_delivers_what_there_is(scenario: Scenario, rate: float) -> None:
    """Within 2 %: calls are under way at edges, and those of others come at random."""
    assert goodput(scenario) == pytest.approx(rate, rel=0.02)


def test_it_wastes_nothing_where_nothing_is_at_random() -> None:
    assert measure(simulate(PLANT, "oracle"))["wasted"] == 0.0
    # The eight that are under way when it begins to stand still.
    stalled = measure(simulate(PLANT._replace(disturbances=(Stall(2.0, 7.0),)), "oracle"))
    assert stalled["wasted"] == pytest.approx(8 / 2000, rel=0.05)


def test_load_that_comes_by_itself_is_refused_in_time() -> None:
    """500 a second at random for 400: who has waited half of the 0.2 s is refused, the others are
    served.
    """
    trace = simulate(PLANT._replace(poisson=1.0, target=500.0), "oracle")
    got = measure(trace)
    assert got["goodput"] == pytest.approx(400.0, rel=0.02)
    assert got["refused"] + got["skipped"] == pytest.approx(1000.0, rel=0.1)
    assert got["latency_p99"] <= 0.1 + 0.02 + 0.02


def test_the_crowd_is_where_throughput_is_greatest() -> None:
    """n / 1.02^max(0, n - 20) is greatest at n = 1 / ln 1.02 = 50.5."""
    knee = PLANT._replace(backend=Backend(knee=20.0, exponent=1.02))
    assert crowd(knee) == 50.0
    assert crowd(PLANT) == 8.0
    assert crowd(PLANT._replace(backend=Backend())) == math.inf
    # 1 + 0.1 (n - 1) = 5 at n = 41: then a call takes half of its deadline.
    assert crowd(PLANT._replace(backend=Backend(slope=0.1))) == 41.0


def test_calls_on_the_network_are_in_flight_too() -> None:
    """8 served, 8 x 60 / 20 on the way and two standard deviations of those."""
    far = PLANT._replace(network=Constant(0.06))
    assert in_flight(far) == math.ceil(8 + 24 + 2 * math.sqrt(24.0))


def test_it_sends_again_when_a_call_can_be_in_time() -> None:
    stalled = PLANT._replace(disturbances=(Stall(2.0, 4.0), Stall(3.0, 5.0), Stall(7.0, 7.05)))
    assert standstills(stalled) == [(2.0, 4.9)]  # 0.1 s of the 0.2 s, and a short one not at all


@pytest.mark.parametrize(
    ("whole", "level"), [(40.0, 20.0), (60.0, 40.0), (200.0, math.inf), (3.0, 1.5)]
)
def test_a_whole_is_shared_evenly_and_what_one_leaves_goes_to_the_other(
    whole: float, level: float
) -> None:
    assert filled(np.array([20.0, 90.0]), np.ones(2), whole) == level


def test_all_run_on_its_noise() -> None:
    """Call k takes as long under the oracle as under any law."""
    plant = PLANT._replace(service=Lognormal(0.02, 0.5), consumer=Blocking())
    best, fixed = simulate(plant, "oracle", seed=3), simulate(plant, "fixed", seed=3)
    assert np.array_equal(best.latency, fixed.latency, equal_nan=True)
    assert best.scenario == plant


@pytest.mark.parametrize("scenario", [PLANT, PLANT._replace(disturbances=(Stall(2.0, 7.0),))])
def test_both_engines_agree(scenario: Scenario) -> None:
    short = scenario._replace(service=Lognormal(0.02, 0.5), duration=8.0)
    runs = [simulate(short, "oracle", engine=engine) for engine in ("simpy", "compiled")]
    assert runs[0].completed.tobytes() == runs[1].completed.tobytes()


def test_it_has_no_parameters() -> None:
    with pytest.raises(InputError, match="oracle takes no parameters; allowed: oracle alone"):
        simulate(PLANT, "oracle:limit=3")


def test_nothing_is_changed_where_nothing_need_be() -> None:
    met, law = bounded(PLANT)
    assert met == PLANT._replace(quotas=())
    assert law.limit == 8.0
