"""The same plant at another scale of time: the laws that are ours do the same, in units of the
service time.

A factor that is a power of two changes no digit of a float, so what is asked for is equality, not
likeness.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from tpssim import SCENARIOS, Scenario, simulate
from tpssim.cli.catalogue import absolute, entries, text
from tpssim.controllers import CONTROLLERS
from tpssim.core.schedule import BURST
from tpssim.metrics.measure import measure
from tpssim.scenarios.disturbances import Stall, Step
from tpssim.scenarios.plant import Async, Backend, Pool
from tpssim.scenarios.service_times import Constant, Exponential, Lognormal, Recorded

OURS = [name for name, law in CONTROLLERS.items() if law.origin.startswith("ours")]
#: From 1 ms to 100 s where a call takes 1/8 s: 2^-7 is 0.98 ms, 2^10 is 128 s.
SCALES = [2.0**-7, 2.0**-3, 2.0**5, 2.0**10]


def plants(scale: float) -> dict[str, Scenario]:
    """Plants whose call takes `scale` / 8 s, all with the same number of calls."""

    def of(
        name: str, service: Exponential | Constant | Recorded, target: float, calls: float
    ) -> Scenario:
        # late="auto" has a tenth of a second of its own, so the plants keep what was missed.
        return Scenario(name, service, target / scale, calls * scale / 8.0, late=BURST)

    mean = scale / 8.0
    flight = Async(0.0, "completion")
    slow = (Step(100.0 * mean, 300.0 * mean, 4.0),)
    recorded = Recorded(tuple(mean * k / 16.0 for k in (9, 31, 12, 20, 8, 16, 14, 18)), "made up")
    return {
        "blocking": of("blocking", Exponential(mean), 16.0, 600.0),  # twice what it can take
        "recorded": of("recorded", recorded, 16.0, 600.0),
        "slows down": of("slows down", Exponential(mean), 6.0, 600.0)._replace(disturbances=slow),
        "stands still": of("stands still", Exponential(mean), 6.0, 400.0)._replace(
            disturbances=(Stall(100.0 * mean, 200.0 * mean),), timeout=20.0 * mean
        ),
        "in flight": of("in flight", Exponential(mean), 96.0, 200.0)._replace(
            consumer=flight, backend=Backend(servers=8.0)
        ),
        "few servers": of("few servers", Exponential(mean), 16.0, 400.0)._replace(
            consumer=Pool(32.0), backend=Backend(servers=2.0), disturbances=slow
        ),
        "refusing": of("refusing", Exponential(mean), 96.0, 200.0)._replace(
            consumer=flight, backend=Backend(servers=8.0, places=0.0)
        ),
        "outage": of("outage", Constant(mean), 48.0, 300.0)._replace(
            consumer=flight,
            backend=Backend(servers=8.0),
            disturbances=(Stall(50.0 * mean, 100.0 * mean),),
            timeout=5.0 * mean,
        ),
    }


@pytest.mark.parametrize("plant", plants(1.0))
@pytest.mark.parametrize("name", OURS)
def test_the_trace_is_the_same_at_every_scale_of_time(name: str, plant: str) -> None:
    one = simulate(plants(1.0)[plant], name, engine="simpy")
    assert len(one.released) > 100
    for scale in SCALES:
        other = simulate(plants(scale)[plant], name, engine="simpy")
        for column in ("scheduled", "released", "completed", "latency"):
            assert np.array_equal(
                getattr(other, column), scale * getattr(one, column), equal_nan=True
            )
        assert np.array_equal(other.rate, one.rate / scale)
        for column in ("limit", "in_flight", "outcome"):
            assert np.array_equal(getattr(other, column), getattr(one, column))


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("mean", [0.004, 0.04, 0.4, 4.4, 100.0])
def test_a_blocking_service_is_used_however_long_its_calls_take(name: str, mean: float) -> None:
    # Twice its capacity is wanted; at 4.4 s a call a floor of 1/s would be four times what it can
    # take.
    scenario = SCENARIOS["blocking-steady"]
    scenario = scenario._replace(
        service=Lognormal(mean, 0.5), target=2.0 / mean, duration=3000.0 * mean
    )
    trace = simulate(scenario, name, engine="simpy")
    assert measure(trace)["achieved"] > 0.9
    assert 0.85 < trace.rate[1000:].mean() * mean < 1.05


def test_laws_that_are_ours_have_no_absolute_parameter_and_the_list_warns_of_others() -> None:
    assert {"headroom", "busy-time"} <= set(OURS)
    assert {name: absolute(CONTROLLERS[name]) for name in OURS} == {name: {} for name in OURS}
    assert absolute(CONTROLLERS["aimd"]) == {"inc_step": "1/s per call", "min_rate": "1/s"}
    assert absolute(CONTROLLERS["aimd-epoch"]) == {
        "slow": "s",
        "inc_step": "1/s per s",
        "min_rate": "1/s",
    }
    document = entries("controllers", "aimd")
    assert document["controllers"]["aimd"]["absolute"] == absolute(CONTROLLERS["aimd"])
    assert "not scale free: inc_step (1/s per call), min_rate (1/s)" in text(document, "aimd")
    assert "not scale free" not in text(entries("controllers", "headroom"), "headroom")


def test_a_switch_that_is_off_is_no_scale() -> None:
    assert math.isclose(0.0, CONTROLLERS["pid"]().kd)
    assert "kd" not in absolute(CONTROLLERS["pid"])
