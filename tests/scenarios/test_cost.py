"""What a call costs: whose draw it is, what it does to work and quotas, what it is worth."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.laws import SetOnce, run

import tpssim
from tpssim.core.errors import InputError
from tpssim.core.schedule import BURST
from tpssim.core.types import OK, REFUSED, REJECTED
from tpssim.scenarios.builtin import trace_scenario
from tpssim.scenarios.capacity import capacity, mean_service
from tpssim.scenarios.disturbances import Step, Swap
from tpssim.scenarios.load import mean_cost
from tpssim.scenarios.plant import Async, Backend
from tpssim.scenarios.retries import Retry
from tpssim.scenarios.scenario import Producer, Scenario, checked_scenario, with_parameters
from tpssim.scenarios.service_quotas import ServiceQuota
from tpssim.scenarios.service_times import Constant, Exponential, Lognormal, Recorded, draws

COSTLY = checked_scenario(
    Scenario(
        "s",
        Constant(0.0625),
        400.0,
        8.0,
        Async(0.0, "completion"),
        late=BURST,
        cost=Exponential(100.0),
    )
)


def test_the_cost_is_a_draw_by_producer_and_slot() -> None:
    trace = run(COSTLY._replace(producers=(Producer(), Producer())), seed=2)
    for producer in (0, 1):
        mine = trace.cost[trace.producer == producer]
        drawn = draws("cost.exponential", len(mine), 2, 0, producer)
        assert mine.tolist() == (100.0 * drawn).tolist()
    plain = run(COSTLY._replace(cost=None, target=4.0))
    assert set(plain.cost.tolist()) == {1.0}


def test_costs_change_no_other_noise() -> None:
    trace = run(COSTLY._replace(service=Exponential(0.0625)))
    took = (trace.completed - trace.released)[:16]
    assert took == pytest.approx(0.0625 * draws("exponential", 16, 0, 0), abs=1e-9)


def test_a_slot_that_is_refused_locally_has_its_cost() -> None:
    trace = run(COSTLY, SetOnce(reject=0.5))
    assert (trace.outcome == REFUSED).sum() > 5
    drawn = 100.0 * draws("cost.exponential", len(trace.cost), 0, 0)
    assert trace.cost.tolist() == drawn.tolist()


def test_work_takes_longer_by_the_cost_and_factors_act_on_all_of_it() -> None:
    plant = COSTLY._replace(target=16.0, cost=Constant(4.0), backend=Backend(per_cost=1 / 64))
    trace = run(plant._replace(disturbances=(Step(1.0, 2.0, 2.0), Swap(3.0, 4.0, Constant(0.5)))))
    took = (trace.completed - trace.released).tolist()
    assert took[0] == 1 / 16 + 4 / 64
    assert took[4] == 2.0 * (1 / 16 + 4 / 64)
    assert took[12] == 1 / 2 + 4 / 64


def test_a_retry_costs_as_much_as_the_call() -> None:
    failing = Backend(per_cost=1e-3, failure=0.999999)
    trace = run(COSTLY._replace(backend=failing, retry=Retry(1, 0.25)))
    cost = 100.0 * draws("cost.exponential", 8, 0, 0)
    took = (trace.completed - trace.released)[:8]
    assert took == pytest.approx(2 * (1 / 16 + 1e-3 * cost) + 0.25)


def test_a_quota_of_cost_counts_what_passed() -> None:
    # 5 a second where each call costs 2: two of four calls pass in each second.
    quota = ServiceQuota(5.0, 1.0, of="cost")
    backend = Backend(quotas=(quota,), per_cost=1.0)
    trace = run(COSTLY._replace(target=8.0, cost=Constant(2.0), backend=backend))
    refused = trace.outcome == REJECTED
    assert trace.outcome[:8].tolist() == [OK, OK, REJECTED, REJECTED] * 2
    # A rejection takes the plain service time, whatever the call would have cost.
    assert set((trace.completed - trace.released)[refused].tolist()) == {0.0625}


def test_capacity_follows_the_cost() -> None:
    plant = COSTLY._replace(consumer=tpssim.Blocking(), backend=Backend(per_cost=1e-3))
    assert mean_cost(plant) == 100.0
    assert mean_service(plant, 0.0) == pytest.approx(0.1625)
    assert capacity(plant, 0.0) == pytest.approx(1 / 0.1625)
    tokens = Backend(quotas=(ServiceQuota(600.0, 60.0, "cost"),))
    assert capacity(plant._replace(backend=tokens), 0.0) == pytest.approx(0.1)


def test_recorded_costs_belong_to_the_recorded_calls() -> None:
    times, costs = (0.25, 0.5, 0.75, 1.0), (1.0, 2.0, 3.0, 4.0)
    plant = COSTLY._replace(service=Recorded(times, "t"), cost=Recorded(costs, "c"))
    plant = plant._replace(target=10.0, duration=30.0)
    begins = set()
    for replication in range(10):
        trace = run(plant, replication=replication)
        done = trace.outcome == OK
        took = trace.completed - trace.released
        assert took[done] == pytest.approx(trace.cost[done] / 4.0)
        begins.add(trace.cost[0])
    assert len(begins) > 1
    # Another number of costs is another recording, with a beginning of its own.
    apart = plant._replace(cost=Recorded((1.0, 2.0, 3.0), "c"))
    start = int(draws("cost.uniform", 1, 0, 0)[0] * 3)
    assert run(apart).cost[:3].tolist() == [1.0 + (start + k) % 3 for k in range(3)]


def test_its_numbers_have_names() -> None:
    plant = COSTLY._replace(network=Constant(0.01), cost=Lognormal(400.0, 1.0))
    changed = with_parameters(
        plant, {"cost.mean": 300.0, "network.mean": 0.5, "cv": 2.0, "per_cost": 1e-3}
    )
    assert changed.cost == Lognormal(300.0, 2.0)
    assert changed.network == Constant(0.5)
    assert changed.service == Constant(0.0625)
    assert changed.backend.per_cost == 1e-3
    with pytest.raises(InputError, match=r"no parameter 'network\.mean'"):
        with_parameters(COSTLY, {"network.mean": 0.5})


class Falling(tuple):  # type: ignore[type-arg]
    """Costs that are none."""

    _fields = ()
    mean = 1.0

    def noise(self) -> str:
        return "uniform"

    def times(self, noise: Any) -> Any:
        return noise - 0.5


def test_impossible_costs_are_refused_in_one_line() -> None:
    with pytest.raises(
        InputError, match=r"scenario s: cost: mean=-1 .*; allowed: \[1e-12, 1e\+06\] of cost$"
    ):
        checked_scenario(COSTLY._replace(cost=Constant(-1.0)))
    with pytest.raises(InputError, match="per_cost=nan is out of range"):
        checked_scenario(COSTLY._replace(backend=Backend(per_cost=math.nan)))
    with pytest.raises(InputError, match="cost=5; allowed: None, or such as Constant"):
        checked_scenario(COSTLY._replace(cost=5))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"Falling: call \d+ would cost -0\.\d+; allowed: finite"):
        run(COSTLY._replace(cost=Falling()))


def test_every_file_of_a_trace_has_the_column(tmp_path: Path) -> None:
    trace = run(COSTLY)
    trace.to_csv(tmp_path / "calls.csv")
    with (tmp_path / "calls.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["cost"]) for row in rows] == trace.cost.tolist()
    assert trace.columns()["cost"] is trace.cost


def test_a_recording_has_costs_of_its_calls(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    path.write_text(
        "service_s,tokens,status\n0.25,1000,200\n0.9,7,500\n0.75,3000,200\n", encoding="utf-8"
    )
    scenario = trace_scenario(path, cost="Tokens")
    # The call that failed is left out with its cost.
    assert scenario.service.recording == (0.25, 0.75)  # type: ignore[attr-defined]
    assert scenario.cost == Recorded((1000.0, 3000.0), "calls.csv")
    # Twice the two calls a second that the mean of 1/2 s allows, of 2000 each.
    assert scenario.target == 8000.0
    assert trace_scenario(path).cost is None
    trace = run(scenario._replace(duration=5.0))
    done = trace.outcome == OK
    took = (trace.completed - trace.released)[done]
    assert took == pytest.approx(np.where(trace.cost[done] == 1000.0, 0.25, 0.75))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("service_s,tokens\n1,many\n", "row 2: tokens='many'; allowed: a cost from 0 to 1e+06"),
        ("service_s,tokens\n1,-1\n", "row 2: tokens='-1'"),
        ("service_s,tokens\n1,\n", "row 2: tokens=''"),
        ("service_s,words\n1,1\n", "has no column 'tokens'; allowed: service_s, words"),
        ("service_s,tokens\n1,0\n", "cost: a mean"),
    ],
)
def test_recorded_costs_that_are_none_are_refused_in_one_line(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "calls.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(message)) as error:
        trace_scenario(path, cost="tokens")
    assert "\n" not in str(error.value)
