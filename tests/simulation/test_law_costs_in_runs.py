"""Runs of calls that cost: a law does as it does where each call counts one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.plants import same
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tpssim import simulate
from tpssim.controllers import CONTROLLERS
from tpssim.core.profiles import Stages
from tpssim.core.quotas import Quota
from tpssim.core.schedule import AUTO, SKIP
from tpssim.metrics.measure import measure
from tpssim.scenarios.builtin import SCENARIOS
from tpssim.scenarios.disturbances import Step
from tpssim.scenarios.plant import Async, Backend, Blocking, Pool
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_quotas import ServiceQuota
from tpssim.scenarios.service_times import Constant, Lognormal
from tpssim.simulation import simpy_engine
from tpssim.simulation.compiled import engine

PLAIN = Scenario(
    "s",
    Lognormal(0.03, 0.5),
    40.0,
    6.0,
    Blocking(),
    late=AUTO,
    disturbances=(Step(2.0, 3.0, 4.0),),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    law=st.sampled_from(sorted(CONTROLLERS)),
    consumer=st.sampled_from([Blocking(), Async(0.0, "completion"), Pool(3.0)]),
    late=st.sampled_from([AUTO, SKIP]),
    target=st.sampled_from([40.0, Stages("2s:60,2s:20,2s:20", start=10.0)]),
    seed=st.integers(0, 9),
)
def test_calls_of_one_cost_run_as_calls_that_count_one(
    law: str, consumer: Any, late: Any, target: Any, seed: int
) -> None:
    """A power of two rounds nothing: what costs 64 times as much, and is wanted 64 times as fast,
    runs to the bit as calls that count one, but for rates, which are of cost."""
    quota = ServiceQuota(25.0, 1.0, of="cost", retry_after=0.5)
    known = Quota(30.0, 1.0, of="cost")
    plain = PLAIN._replace(
        consumer=consumer, late=late, target=target, backend=Backend(quotas=(quota,)),
        quotas=(known,),
    )  # fmt: skip
    wanted = (
        64.0 * target
        if isinstance(target, float)
        else Stages([(d, 64.0 * t) for d, t in target.stages], 64.0 * target.start)
    )
    costly = plain._replace(
        target=wanted,
        cost=Constant(64.0),
        backend=Backend(quotas=(quota._replace(amount=25.0 * 64.0),)),
        quotas=(known._replace(amount=30.0 * 64.0, burst=30.0 * 64.0),),
    )
    one = simpy_engine.simulate(plain, CONTROLLERS[law](), seed, 0, {})
    other = simpy_engine.simulate(costly, CONTROLLERS[law](), seed, 0, {})
    for name in ("scheduled", "released", "completed", "limit", "in_flight", "outcome"):
        assert np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True), name
    assert np.array_equal(64.0 * one.rate, other.rate)
    assert one.meta["skipped"] == other.meta["skipped"]


def test_a_trace_has_the_rate_of_cost() -> None:
    plant = PLAIN._replace(target=4000.0, cost=Lognormal(100.0, 0.5), disturbances=())
    trace = simulate(plant, "fixed")
    assert trace.rate == pytest.approx(np.full(len(trace.rate), 4000.0))


# The quota of tokens lets 200,000 / 60 a second through on average, of 6,000 that are wanted. A law
# of the rate that finds this serves nearly all of it; what it does not serve at the start, it makes
# up for while the window is empty.
@pytest.mark.parametrize("law", ["headroom", "aimd", "ewma-deadzone", "fixed", "spark-pid"])
def test_adaptive_laws_serve_what_a_quota_of_tokens_allows(law: str) -> None:
    runs = [simulate("llm-quota", law, replication=k) for k in range(5)]
    served = [float(run.cost[run.outcome == 0].sum()) for run in runs]
    assert max(served) <= 200e3 * 4
    assert sum(served) / len(served) >= 0.95 * 200e3 * 4
    assert sum(measure(run)["achieved"] for run in runs) / len(runs) > 0.95


@pytest.mark.parametrize("law", ["headroom", "aimd", "netflix-vegas"])
def test_the_engines_agree_on_costs(law: str) -> None:
    plant = SCENARIOS["llm-quota"]._replace(duration=60.0)
    assert same(
        simpy_engine.simulate(plant, CONTROLLERS[law](), 3, 0, {}),
        engine.generally(plant, CONTROLLERS[law](), [], 3, 0, {}).trace({}),
    )
