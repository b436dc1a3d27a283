"""Classes of callers on one service: own targets, own laws, weights; by hand and by Erlang."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
from helpers.laws import Actuators, SetOnce, run

import tpssim
from tpssim.controllers import CONTROLLERS
from tpssim.core.errors import InputError
from tpssim.core.schedule import BURST
from tpssim.core.types import REJECTED, UNFINISHED
from tpssim.metrics.measure import measure
from tpssim.scenarios.capacity import achievable
from tpssim.scenarios.drawn import frame
from tpssim.scenarios.load import peak, wanted, wanted_calls
from tpssim.scenarios.plant import Async, Backend, Blocking
from tpssim.scenarios.scenario import Producer, Scenario, checked_scenario, code
from tpssim.scenarios.service_times import Constant, Exponential

FIXED = CONTROLLERS["fixed"]()


def plant(*producers: Producer, **more: Any) -> Scenario:
    scenario = Scenario("s", Constant(1 / 64), 4.0, 8.0, Async(0.0, "completion"), late=BURST)
    return checked_scenario(scenario._replace(producers=producers, **more))


def releases(scenario: Scenario, producer: int, law: Any = FIXED) -> list[float]:
    trace = run(scenario, law)
    found: list[float] = trace.released[trace.producer == producer].tolist()
    return found


def test_each_producer_keeps_its_own_target() -> None:
    scenario = plant(Producer(), Producer(target=2.0, start=1.0), Producer(target=8.0, end=0.5))
    assert releases(scenario, 0) == [k / 4 for k in range(32)]
    assert releases(scenario, 1) == [1.0 + k / 2 for k in range(14)]
    assert releases(scenario, 2) == [0.0, 0.125, 0.25, 0.375]
    assert [wanted(scenario, t) for t in (0.0, 0.75, 1.5)] == [12.0, 4.0, 6.0]
    assert [achievable(scenario, t) for t in (0.0, 0.75, 1.5)] == [12.0, 4.0, 6.0]
    assert (peak(scenario), wanted_calls(scenario)) == (8.0, 32.0 + 14.0 + 4.0)
    assert frame(scenario)[2] == 12.0


def test_each_producer_follows_its_own_law() -> None:
    scenario = plant(Producer(), Producer(law=SetOnce(rate=1.0)), Producer(law=SetOnce(limit=0.0)))
    assert releases(scenario, 0, SetOnce(rate=2.0)) == [k / 2 for k in range(16)]
    assert releases(scenario, 1, SetOnce(rate=2.0)) == [float(k) for k in range(8)]
    assert releases(scenario, 2) == []


@pytest.mark.parametrize("engine", ["auto", "simpy"])
def test_a_law_of_its_own_runs_beside_code_that_waits_by_itself(engine: str) -> None:
    scenario = plant(Producer(), Producer(law=SetOnce(rate=1.0)), Producer(target=8.0))
    trace = tpssim.simulate(scenario, "printed-schedule", engine=engine)
    assert trace.released[trace.producer == 1].tolist() == [float(k) for k in range(8)]
    for producer, rate in ((0, 4.0), (2, 8.0)):
        hosted = trace.released[trace.producer == producer]
        assert hosted == pytest.approx(np.arange(8.0 * rate) / rate, abs=1e-3)


@pytest.mark.parametrize(("servers", "targets"), [(3.0, (1.0, 2.0)), (5.0, (0.5, 0.5, 4.0))])
def test_classes_without_places_lose_what_erlang_says(
    servers: float, targets: tuple[float, ...]
) -> None:
    # M/M/c/c: all classes lose the same share, B(c, a) of all their load, whatever their own is.
    load = sum(targets)
    terms = [load**k / math.factorial(k) for k in range(int(servers) + 1)]
    lost = terms[-1] / sum(terms)
    scenario = plant(
        *(Producer(target=target) for target in targets),
        service=Exponential(1.0),
        duration=20_000.0,
        poisson=1.0,
        backend=Backend(servers=servers, places=0.0),
    )
    trace = run(scenario)
    for number, target in enumerate(targets):
        mine = trace.outcome[trace.producer == number]
        mine = mine[mine != UNFINISHED]
        assert len(mine) == pytest.approx(20_000.0 * target, rel=0.05)
        assert (mine == REJECTED).mean() == pytest.approx(lost, abs=5.0 / math.sqrt(len(mine)))


def test_fairness_is_by_weight() -> None:
    # Four and one a second: of equal weight (5^2) / (2 * 17), of weights 4 and 1 fair.
    one, other = Producer(), Producer(target=1.0)
    assert measure(run(plant(one, other)))["fairness"] == pytest.approx(25.0 / 34.0, rel=0.05)
    heavy = plant(one._replace(weight=4.0), other)
    assert measure(run(heavy))["fairness"] == pytest.approx(1.0, abs=0.01)
    assert measure(run(heavy))["time_to_fairness"] == 0.0


class Mine(NamedTuple):
    """A user's law."""

    share: float = 0.5

    def init(self, target: float) -> Actuators:
        return Actuators(self.share * target, math.inf, 0.0)

    def update(self, state: Actuators, obs: Any) -> Actuators:
        return state


def test_a_law_of_the_users_is_part_of_the_key() -> None:
    scenario = plant(Producer(), Producer(law=Mine()))
    assert len(code(scenario)) == 1
    assert code(plant(Producer(), Producer(law=FIXED))) == ()
    assert releases(scenario, 1) == [k / 2 for k in range(16)]


@pytest.mark.parametrize(
    ("producers", "message"),
    [
        ((Producer(target=0.0),), r"a producer: target=0 is out of range; allowed: \(0, 1e\+06\]"),
        ((Producer(target=math.nan),), "target=nan is out of range"),
        ((Producer(weight=0.0),), "weight=0 is out of range"),
        ((Producer(law=FIXED),), "each producer has a law of its own, so the one that is run"),
        ((Producer(), Producer(law="aimd")), "a producer's law='aimd'; allowed: a record with"),
        ((Producer(), Producer(law=CONTROLLERS["aimd"])), "a producer's law=<class"),
        (
            (Producer(), Producer(law=CONTROLLERS["aimd"](dec_rate=2.0))),
            "the law of a producer: dec_rate=2 is out of range",
        ),
        ((Producer(), 5.0), r"producer 5.0; allowed: Producer\(start, end\)"),
    ],
)
def test_impossible_producers_are_refused_in_one_line(producers: Any, message: str) -> None:
    scenario = Scenario("s", Constant(0.1), 4.0, 4.0, Blocking(), producers=producers)
    with pytest.raises(InputError, match=message) as error:
        checked_scenario(scenario)
    assert "\n" not in str(error.value)
