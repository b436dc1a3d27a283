"""Measures and verdicts under a target that moves, and of calls with costs, worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers.traces import trace

from tpssim.core.profiles import Stages
from tpssim.metrics.measure import long_phases, measure, measure_phases
from tpssim.metrics.verdicts import bursts, judge
from tpssim.scenarios.disturbances import Ramp
from tpssim.scenarios.plant import Async, Backend
from tpssim.scenarios.scenario import Producer, Scenario
from tpssim.scenarios.service_quotas import ServiceQuota
from tpssim.scenarios.service_times import Constant, Lognormal
from tpssim.simulation.trace import Trace

RAMP = Scenario("ramp", Constant(0.001), Stages("10s:100"), 10.0, Async(0.0, "completion"))


def climbing(rate: float = math.inf) -> Trace:
    """Slots of `min(rate, 10 t)` over ten seconds: slot k at sqrt(k / 5), then at an even pace."""
    cut = rate / 10.0
    before = np.sqrt(np.arange(500) / 5.0)
    before = before[before < min(cut, 10.0)]
    after = np.arange(cut, 10.0, 1.0 / rate) if rate < 100.0 else np.empty(0)
    at = np.concatenate([before, after])
    return trace(RAMP, at, at + 0.001, np.minimum(rate, 10.0 * at))


def test_a_throttle_that_follows_a_ramp_converges() -> None:
    run = climbing()
    got, (phase,) = measure(run), measure_phases(run)
    assert long_phases(RAMP) == [(0.0, 10.0)]
    assert judge(run).word == "converges"
    assert got["throughput"] == 50.0  # the integral is 500
    assert got["achieved"] == pytest.approx(1.0)
    # From 5 s on 375 calls are wanted, 75 a second; 250 slots lie before.
    assert phase.steady_share == pytest.approx(1.0, abs=0.01)
    assert phase.commanded == pytest.approx(75.0, rel=0.01)
    assert got["swing"] == pytest.approx(0.0, abs=0.01)
    assert math.isnan(got["period"])
    assert got["steady_error"] == pytest.approx(0.0, abs=0.01)
    # In no second are more released than are wanted, and the call that begins it.
    assert got["overshoot"] <= 1.0 / 50.0 + 1e-9
    assert got["settling_time"] < 0.5
    assert math.isnan(got["recovery_time"])
    assert got["iae"] < 10.0  # less than a call a second


def test_what_follows_the_profile_is_no_churn() -> None:
    assert measure(climbing())["total_variation"] == pytest.approx(0.0, abs=1e-9)
    # 10/s are wanted, from 4 s on 50, from 9 s on 20. The law follows a second late, and in between
    # falls by 20 and rises by 20: 40 of the 130 that its rate moves are its own, in 12 s.
    steps = Scenario(
        "steps", Constant(0.001), Stages("4s:10,0s:50,5s:50,0s:20,3s:20", start=10.0), 12.0
    )
    times = np.arange(12) + 0.5
    rates = np.array([10.0, 10, 10, 10, 10, 50, 50, 30, 50, 50, 20, 20])
    got = measure(trace(steps, times, times, rates))
    assert got["total_variation"] == pytest.approx(40.0 / 12.0)
    # Where a run begins at 0 a law begins with the highest that is wanted: 100/s, at once 20/s.
    slow = np.array([100.0, 20.0, 30.0])
    times = np.array([1.0, 2.0, 3.0])
    assert measure(trace(RAMP, times, times, slow))["total_variation"] == pytest.approx(0.0)


def test_a_throttle_that_lags_on_a_ramp_is_stuck() -> None:
    run = climbing(25.0)
    (phase,) = measure_phases(run)
    # Up to 2.5 s it follows: 31 calls; then 25 a second, 125 of 375 in the steady window.
    assert phase.steady_share == pytest.approx(125.0 / 375.0, abs=0.01)
    assert measure(run)["steady_error"] == pytest.approx(2.0 / 3.0, abs=0.01)
    assert phase.swing == 0.0
    assert judge(run).word == "stuck"


def test_a_swing_on_a_ramp_is_seen() -> None:
    """Half of the target and one and a half of it, each half a second."""
    run = climbing()
    share = np.where(run.released % 1.0 < 0.5, 0.5, 1.5)
    swinging = run._replace(rate=share * 10.0 * run.released)
    # The command is cut at the target: 37.5 and 75 on average, 56 in all.
    assert 0.5 < measure(swinging)["swing"] < 1.0
    assert judge(swinging).word == "oscillates"


def test_the_excess_over_a_falling_ramp_is_that_of_each_second() -> None:
    plant = RAMP._replace(target=Stages("0s:100,10s:0"))
    # 30 calls from 8 s on, evenly, in a second in which 15 are wanted; else nothing.
    at = 8.0 + np.arange(30) / 30.0
    run = trace(plant, at, at + 0.001, 100.0)
    assert measure(run)["overshoot"] == pytest.approx((30.0 - 15.0) / 50.0)


def test_a_jump_of_the_target_is_an_edge_that_has_to_settle() -> None:
    """10 a second, from 10 s on 40, to which the throttle comes at 14 s."""
    plant = RAMP._replace(target=Stages("0s:10,10s:10,0s:40,10s:40,0s:10,10s:10"), duration=30.0)
    at = np.concatenate([np.arange(0.0, 14.0, 0.1), np.arange(14.0, 20.0, 0.025)])
    at = np.concatenate([at, np.arange(20.0, 30.0, 0.1)])
    rate = np.where((at >= 14.0) & (at < 20.0), 40.0, 10.0)
    got = measure(trace(plant, at, at + 0.001, rate))
    assert got["settling_time"] == pytest.approx(4.0, abs=0.006)  # 2000 points in 10 s
    assert got["recovery_time"] == pytest.approx(4.0)  # a rise: the jump
    # 38 calls in a second: 10 a second before 14 s, then one each 0.025 s.
    assert got["regain_time"] == pytest.approx(4.0 + 1.0 - 0.025, abs=0.08)
    assert got["achieved"] == pytest.approx((100.0 + 40.0 + 240.0 + 100.0) / 600.0)
    assert judge(trace(plant, at, at + 0.001, rate)).word == "converges"


def test_the_end_of_an_overload_is_something_to_recover_from() -> None:
    """50 a second can be served; 100 are wanted from 10 s to 20 s, and 20 otherwise."""
    plant = Scenario(
        "crowd", Constant(0.02), Stages("0s:20,10s:20,0s:100,10s:100,0s:20,10s:20"), 30.0
    )
    at = np.concatenate([np.arange(0.0, 10.0, 0.05), np.arange(10.0, 20.0, 0.02)])
    at = np.concatenate([at, np.arange(20.0, 23.0, 0.5), np.arange(23.0, 30.0, 0.05)])
    rate = np.select([at < 10.0, at < 20.0, at < 23.0], [20.0, 50.0, 2.0], 20.0)
    got = measure(trace(plant, at, at + 0.02, rate))
    assert got["recovery_time"] == pytest.approx(3.0)
    assert got["achieved"] == pytest.approx((200.0 + 500.0 + 6.0 + 140.0) / 900.0, abs=0.002)
    # Within what can be served there is nothing to recover from.
    calm = plant._replace(target=Stages("0s:20,10s:20,0s:40,10s:40,0s:20,10s:20"))
    rate = np.select([at < 10.0, at < 20.0, at < 23.0], [20.0, 40.0, 2.0], 20.0)
    assert measure(trace(calm, at, at + 0.02, rate))["recovery_time"] == 0.0  # of the jump at 10 s


def test_where_nothing_is_wanted_nothing_is_missed() -> None:
    plant = RAMP._replace(target=Stages("0s:10,10s:10,0s:0,10s:0"), duration=20.0)
    at = np.arange(0.0, 10.0, 0.1)
    run = trace(plant, at, at + 0.001, 10.0)
    assert measure(run)["achieved"] == 1.0
    assert [phase.steady_share for phase in measure_phases(run)] == [1.0, 1.0]
    assert judge(run).word == "converges"


def test_producers_with_targets_of_their_own_command_no_more_than_those() -> None:
    plant = RAMP._replace(
        target=5.0, producers=(Producer(target=30.0), Producer(target=Stages("10s:20")))
    )
    at = np.arange(0.0, 10.0, 0.1)
    run = trace(plant, at, at + 0.001, 100.0)._replace(
        producer=np.tile([0, 1], 50).astype(np.int32)
    )
    (phase,) = measure_phases(run)
    assert phase.achievable == pytest.approx(30.0 + 10.0)
    assert phase.commanded == pytest.approx(30.0 + 15.0, rel=0.001)  # from 5 s on


def test_calls_count_as_their_costs_where_they_have_some() -> None:
    """Calls of cost 100 on a service that takes 1000 of it a second, 10 calls."""
    plant = RAMP._replace(
        target=2000.0,
        cost=Constant(100.0),
        backend=Backend(quotas=(ServiceQuota(1000.0, 1.0, of="cost"),)),
    )
    at = np.arange(0.0, 10.0, 0.25)
    run = trace(plant, at, at + 0.001, 400.0)._replace(cost=np.full(40, 100.0))
    got, (phase,) = measure(run), measure_phases(run)
    assert (phase.achievable, phase.capacity) == (1000.0, 1000.0)
    assert got["throughput"] == 400.0
    assert got["achieved"] == got["worst_phase"] == got["utilisation"] == 0.4
    assert phase.steady_share == pytest.approx(0.4)
    assert got["iae"] == pytest.approx(6000.0)
    assert got["burst_1s"] == 4.0  # calls
    assert got["errors"] == 0.0
    assert judge(run).word == "stuck"


def test_quotas_of_calls_and_of_cost_bound_the_achievable() -> None:
    """500 calls and 200,000 tokens a minute: of calls of 800 tokens 250 a minute, of 200 500."""
    llm = (ServiceQuota(500.0, 60.0), ServiceQuota(200e3, 60.0, of="cost"))
    for mean, calls in ((800.0, 250.0), (200.0, 500.0)):
        plant = RAMP._replace(
            target=1e6, cost=Lognormal(mean, 1.0), backend=Backend(quotas=llm), duration=60.0
        )
        (phase,) = measure_phases(trace(plant, [0.0], [1.0], 1.0))
        assert phase.achievable == pytest.approx(calls / 60.0 * mean), mean


def test_a_burst_is_measured_against_the_most_that_is_wanted() -> None:
    plant = RAMP._replace(target=Stages("5s:100,5s:0"))
    assert bursts({"burst_1s": 127.0, "burst_10ms": 1.0}, plant) == ""
    remark = bursts({"burst_1s": 128.0, "burst_10ms": 1.0}, plant)
    assert remark == "releases up to 128 calls in a second, where 100/s are wanted"
    # Two producers, which are never there together.
    taking_turns = plant._replace(target=100.0, producers=(Producer(0.0, 5.0), Producer(5.0, 10.0)))
    assert bursts({"burst_1s": 128.0, "burst_10ms": 1.0}, taking_turns) == remark
    assert bursts({"burst_1s": 1e9, "burst_10ms": 1e9}, plant._replace(cost=Constant(2.0))) == ""


def test_a_ramp_that_crosses_the_capacity_has_an_edge_there() -> None:
    """50 a second can be served: a ramp of 10 a second each second wants that at 5 s."""
    plant = Scenario("crossing", Constant(0.02), Stages("10s:100,10s:0"), 20.0)
    assert long_phases(plant) == [(0.0, 5.0), (5.0, 10.0), (10.0, 15.0), (15.0, 20.0)]
    at = np.concatenate([np.sqrt(np.arange(125) / 5.0), np.arange(5.0, 20.0, 0.02)])
    phases = measure_phases(trace(plant, at, at + 0.02, np.minimum(10.0 * at, 50.0)))
    assert [phase.achievable for phase in phases] == pytest.approx([25.0, 50.0, 50.0, 25.0])
    assert [phase.swing for phase in phases] == pytest.approx([0.0, 0.0, 0.0, 0.0], abs=0.02)
    # A service that gets slower meanwhile has no single moment.
    slower = plant._replace(disturbances=(Ramp(0.0, 20.0, 2.0),))
    assert long_phases(slower) == [(0.0, 10.0), (10.0, 20.0)]


def test_of_recorded_arrivals_a_verdict_says_what_it_cannot_tell() -> None:
    """Five calls in ten seconds, and a hundred that come in groups: ten a second and then none."""
    few = np.array([0.0, 2.0, 4.0, 6.0, 8.0])
    plant = RAMP._replace(target=0.625, arrivals=tuple(few.tolist()))
    assert judge(trace(plant, few, few + 0.001, 1.0)).reason.endswith("; too few calls to tell: 5")
    groups = np.concatenate([np.arange(k, k + 1.0, 0.05) for k in (0.0, 2.0, 4.0, 6.0, 8.0)])
    plant = plant._replace(target=10.0, arrivals=tuple(groups.tolist()))
    rates = np.where(groups % 2.0 < 0.5, 1.0, 20.0)
    found = judge(trace(plant, groups, groups + 0.001, rates))
    assert found.word == "oscillates"
    assert found.reason.endswith("; a law that follows recorded arrivals swings as they do")
    # The same without recorded arrivals is the law's own doing.
    alone = judge(trace(plant._replace(arrivals=None), groups, groups + 0.001, rates))
    assert alone.word == "oscillates"
    assert "arrivals" not in alone.reason
