"""`over_time` at many times at once gives the bits of `capacity` at each."""

from __future__ import annotations

import numpy as np
import pytest

from tpssim.core.profiles import Stages
from tpssim.core.quotas import Quota
from tpssim.scenarios.builtin import SCENARIOS
from tpssim.scenarios.capacity import achievable, phases
from tpssim.scenarios.disturbances import Background, Ramp, Sine, Spike, Stall, Step
from tpssim.scenarios.over_time import achievable_at
from tpssim.scenarios.plant import Async, Backend, Blocking, Pool
from tpssim.scenarios.scenario import Producer, Scenario
from tpssim.scenarios.service_times import Exponential, Lognormal

LOAD = Stages("20s:300,10s:300,0s:40,30s:500")
CHANGES = (
    Step(3.0, 55.0, 1.7),
    Ramp(5.0, 25.0, 3.0),
    Spike(20.0, 50.0, 4.0),
    Sine(0.0, 60.0, 0.6, 7.0),
    Stall(40.0, 42.0),
    Background(30.0, 58.0, 90.0),
)
BACKEND = Backend(servers=4.0, slope=0.01, knee=6.0, failure=0.1)
PLAIN = Scenario("plain", Exponential(0.01), LOAD, 60.0)
QUEUED = PLAIN._replace(consumer=Async(0.001, "completion"), backend=BACKEND, disturbances=CHANGES)
CASES = {
    "a profile": PLAIN,
    "changes": QUEUED,
    "changes, a constant target": QUEUED._replace(target=200.0),
    "a pool": QUEUED._replace(consumer=Pool(3.0)),
    "blocking": QUEUED._replace(consumer=Blocking()),
    "a quota and costs": QUEUED._replace(
        quotas=(Quota(7000.0, 60.0),), cost=Lognormal(2.0, 0.5), backend=Backend(per_cost=0.001)
    ),
    "producers": QUEUED._replace(
        producers=(Producer(), Producer(start=10.0, target=33.3), Producer(end=30.0, target=LOAD)),
        quotas=(Quota(50.0, 1.0),),
    ),
    "nobody there": PLAIN._replace(producers=(Producer(start=10.0, end=20.0),)),
    "arrivals": PLAIN._replace(target=2.0, arrivals=(0.5, 0.7, 3.0, 59.0)),
}


@pytest.mark.parametrize("name", [*CASES, *SCENARIOS])
def test_many_times_at_once_give_the_bits_of_each(name: str) -> None:
    scenario = CASES.get(name) or SCENARIOS[name]
    for start, end in phases(scenario):
        times = start + (np.arange(40) + 0.5) * (end - start) / 40
        one_by_one = [achievable(scenario, t) for t in times.tolist()]
        assert achievable_at(scenario, times).tolist() == one_by_one
