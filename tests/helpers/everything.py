"""Scenarios drawn over all fields: what the compiled engine must do as the simpy model does."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st

from helpers.plants import PLANTS, SERVICES, Admitting, Windowed, accepted
from tpssim.controllers import CONTROLLERS
from tpssim.core.profiles import Stages
from tpssim.core.quotas import Quota
from tpssim.scenarios.disturbances import Background
from tpssim.scenarios.feedback import Feedback
from tpssim.scenarios.retries import Retry
from tpssim.scenarios.scenario import Producer, Scenario
from tpssim.scenarios.service_quotas import ServiceQuota
from tpssim.scenarios.service_times import Constant, Exponential, Recorded

PRODUCERS = st.sampled_from(
    [
        (Producer(),),
        (Producer(0.25),),
        (Producer(end=1.5),),
        (Producer(), Producer()),
        (Producer(0.5, 2.0), Producer()),
        (Producer(0.25, 0.75), Producer(0.0, 1.0), Producer(0.5)),
        (Producer(target=30.0),),
        (Producer(law=CONTROLLERS["aimd"]()), Producer(0.25, target=20.0, weight=2.0)),
        (Producer(target=Stages("1s:60,1s:5")), Producer(0.5)),
        (Producer(0.0, 1.0, 60.0, 1.0, Windowed()), Producer(), Producer(law=Admitting())),
    ]
)

RETRIES = st.sampled_from(
    [
        Retry(),
        Retry(1.0, 0.0),
        Retry(2.0, 0.125, 2.0),
        Retry(5.0, 0.01, 0.0, 0.05),
        Retry(40.0, 0.0, 1.0),
        Retry(3.0, 0.1, 2.0, jitter="full"),
        Retry(6.0, 0.02, cap=0.3, jitter="decorrelated"),
        Retry(4.0, 0.05, budget=0.1),
        Retry(2.0, 0.0, 1.0, budget=0.0),
    ]
)

QUOTAS = st.lists(
    st.builds(
        ServiceQuota,
        st.sampled_from([2.0, 5.0, 30.0]),
        st.sampled_from([0.1, 0.5, 1.0, 0.33]),
        st.sampled_from(["calls", "cost"]),
        st.sampled_from(["rolling", "fixed"]),
        st.sampled_from([0.0, 1.0]),
        st.sampled_from([0.0, 1.0]),
    ),
    max_size=3,
).map(tuple)

KNOWN = st.lists(
    st.builds(
        Quota,
        st.sampled_from([4.0, 10.0, 25.0]),
        st.sampled_from([0.2, 0.5, 0.77]),
        st.sampled_from(["calls", "cost"]),
        st.sampled_from(["rolling", "fixed"]),
        st.sampled_from([math.inf, 3.5]),
        st.sampled_from([0.0, 0.05]),
    ),
    min_size=1,
    max_size=2,
).map(tuple)

STAGES = st.sampled_from(
    [
        Stages("1s:40,500ms:40,1s:0"),
        Stages("500ms:0,1s:120,0s:20,2s:20"),
        Stages("300ms:60,0s:0,200ms:0,0s:30,1s:90", start=10.0),
        Stages([(0.0, 16.0), (10.0, 16.0)]),
    ]
)

ARRIVALS = st.sampled_from(
    [
        tuple(k / 32 for k in range(64)),
        (0.0, 0.0, 0.1, 0.5, 0.5, 0.5, 0.51, 1.5, 2.0, 2.0, 2.49),
        tuple(0.3 + 0.01 * k for k in range(120)),
    ]
)

FEEDBACK = st.sampled_from(
    [Feedback(0.5), Feedback(0.25, 0.1), Feedback(0.0, 0.0625), Feedback(0.1, 0.5)]
)

LOADS = st.sampled_from(
    [
        (Background(0.25, 2.0, 30.0),),
        (Background(0.0, 1.0, 8.0), Background(0.5, 3.0, 60.0)),
    ]
)

COSTS = st.sampled_from(
    [None, None, Constant(2.0), Exponential(1.5), Recorded((0.0, 1.0, 3.0, 2.5, 0.5), "r")]
)


@st.composite
def _drawn(draw: Any) -> Scenario:
    """Each field beyond the plant is left alone half of the time: all at once hide each other."""

    def some(strategy: Any, otherwise: Any) -> Any:
        return draw(strategy) if draw(st.booleans()) else otherwise

    plant: Scenario = draw(PLANTS)
    timeout = some(st.sampled_from([0.0625, 0.25, 0.03]), math.inf)
    backend = plant.backend._replace(
        rate=some(st.sampled_from([3.0, 20.0, 7.5]), math.inf),
        silent=some(st.just(1.0), 0.0) if timeout < math.inf else 0.0,
        quotas=some(QUOTAS, ()),
        per_cost=some(st.just(0.004), 0.0),
    )
    recorded = Recorded((0.01, 0.02, 0.004, 0.1, 0.03), "r")
    arrivals = draw(ARRIVALS) if draw(st.integers(0, 4)) == 0 else None
    return plant._replace(
        service=some(st.just(recorded), plant.service),
        backend=backend,
        timeout=timeout,
        retry=some(RETRIES, Retry()),
        producers=some(PRODUCERS, (Producer(),)),
        cost=some(COSTS, None),
        quotas=some(KNOWN, ()),
        feedback=some(FEEDBACK, None),
        disturbances=plant.disturbances + some(LOADS, ()),
        target=some(STAGES, plant.target) if arrivals is None else plant.target,
        arrivals=arrivals,
        network=some(SERVICES, plant.network),
    )


#: Scenarios over all fields.
EVERYTHING = _drawn().filter(accepted)
