"""A service that is known, recorded in the model, is learned from its recording."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tpssim
from tpssim import Async, Backend, Constant, InputError, Scenario, ServiceQuota, Stages, Step
from tpssim.core.types import OK, REJECTED, TIMED_OUT
from tpssim.experiments.fitting import changes, implied
from tpssim.experiments.fitting.crowding import Crowding
from tpssim.experiments.fitting.densities import Density
from tpssim.experiments.fitting.estimates import Estimate
from tpssim.experiments.fitting.fit_result import FitResult
from tpssim.experiments.fitting.twin import Learned, plateau_of
from tpssim.scenarios.recordings.calls import Recording

SERVICES: dict[str, Any] = {
    "constant": tpssim.Constant(0.02),
    "exponential": tpssim.Exponential(0.02),
    "lognormal": tpssim.Lognormal(0.02, 0.6),
    "gamma": tpssim.Gamma(0.02, 0.5),
    "pareto": tpssim.Pareto(0.02, 3.0),
    "two-phase": tpssim.TwoPhase(0.01, 0.11, 0.1),
}


def recorded(scenario: Scenario, law: str = "fixed", seed: int = 0) -> Recording:
    trace = tpssim.simulate(scenario, law, seed=seed)
    return Recording.of(trace.released, trace.completed, trace.outcome)


def plant(service: Any, servers: float, peak: float, **more: Any) -> Scenario:
    """A ramp up to `peak` times the capacity and down again, in 40 s."""
    top = peak * servers / service.mean
    wanted = Stages([(20.0, top), (20.0, 0.0)])
    consumer = Async(feedback="completion")
    backend = more.pop("backend", Backend())._replace(servers=servers)
    made = Scenario("known", service, wanted, 40.0, consumer, backend=backend, poisson=1.0)
    return made._replace(**more)


def within(result: FitResult, name: str, true: float, share: float) -> bool:
    return abs(result.estimates[name].value / true - 1.0) <= share


@pytest.mark.parametrize("kind", SERVICES)
def test_each_distribution_on_three_servers_behind_a_delay(kind: str) -> None:
    service = SERVICES[kind]
    result = tpssim.fit(recorded(plant(service, 3.0, 1.4, network=Constant(0.015))), holdout=0.0)
    assert result.structure == "overlapping"
    assert result.kind == kind
    assert tuple(result.estimates["backend.servers"]) == (3.0, 3.0, 3.0)
    assert within(result, "service.mean", service.mean, 0.04)
    assert abs(result.estimates["network.mean"].value - 0.015 - 20e-6) < 0.03 * service.mean
    assert abs(result.plateau.value / (3.0 / service.mean) - 1.0) < 0.04
    assert result.scenario.backend.servers == 3.0
    assert not result.changes


@pytest.mark.parametrize("servers", [1.0, 8.0, 40.0])
def test_the_number_of_servers_is_exact(servers: float) -> None:
    quota = ServiceQuota(round(9.0 * servers / 0.05), 10.0)  # refuses some of the calls
    scenario = plant(tpssim.Gamma(0.05, 0.7), servers, 1.3, backend=Backend(quotas=(quota,)))
    result = tpssim.fit(recorded(scenario, seed=2), holdout=0.0)
    assert tuple(result.estimates["backend.servers"]) == (servers, servers, servers)
    assert within(result, "service.mean", 0.05, 0.04)


def test_servers_that_were_never_all_at_work_are_a_bound() -> None:
    result = tpssim.fit(recorded(plant(tpssim.Exponential(0.1), 30.0, 0.3)), holdout=0.0)
    servers = result.estimates["backend.servers"]
    assert servers.is_bound()
    assert servers.value == servers.high == math.inf
    assert 1.0 < servers.low <= 30.0
    assert result.plateau.value == math.inf
    (said,) = (one for one in result.unidentified if one.name not in ("limits", "backend.knee"))
    assert said.name == "backend.servers"
    assert said.experiment.startswith("tpssim live --url URL --async --stages ")
    assert within(result, "service.mean", 0.1, 0.05)


def test_a_bound_is_a_number_of_servers_whatever_the_delay() -> None:
    scenario = plant(tpssim.Gamma(0.05, 0.7), 18.0, 0.6, network=Constant(0.04))
    servers = tpssim.fit(recorded(scenario, seed=1), holdout=0.0).estimates["backend.servers"]
    assert servers.is_bound()
    assert 5.0 < servers.low <= 18.0


def test_a_step_of_the_service_is_found_with_servers_and_mean() -> None:
    step = Step(12.0, 26.0, 2.0)
    scenario = plant(tpssim.Lognormal(0.02, 0.6), 4.0, 1.2, disturbances=(step,))
    result = tpssim.fit(recorded(scenario, seed=4), holdout=0.0)
    assert result.estimates["backend.servers"].value == 4.0
    assert within(result, "service.mean", 0.02, 0.03)
    # What is recorded begins with the first call, a fraction of a second after 0.
    assert [change.time for change in result.changes] == pytest.approx([12.0, 26.0], abs=1.0)
    assert [change.factor for change in result.changes] == pytest.approx([2.0, 0.5], rel=0.06)
    (found,) = result.scenario.disturbances
    assert isinstance(found, Step)
    assert found.factor == pytest.approx(2.0, rel=0.06)


@pytest.mark.parametrize("kind", ["constant", "pareto"])
def test_a_sharp_edge_and_a_step_are_found_together(kind: str) -> None:
    # Three times as slow under a load that is more than it takes: most calls wait, so hardly any
    # shows the delay, and the edge of the times shows only where the factor is the right one.
    service = SERVICES[kind]
    consumer, backend = Async(feedback="completion"), Backend(servers=5.0)
    scenario = Scenario("known", service, 275.0, 15.0, consumer, backend=backend, poisson=1.0)
    step = Step(4.0, 7.0, 3.0)
    scenario = scenario._replace(network=Constant(0.004), disturbances=(step,))
    result = tpssim.fit(recorded(scenario, seed=7), holdout=0.0)
    assert result.kind == kind
    assert tuple(result.estimates["backend.servers"]) == (5.0, 5.0, 5.0)
    assert within(result, "service.mean", 0.02, 0.02)
    delay = result.estimates["network.mean"]
    assert delay.low <= 0.00402 <= delay.high
    assert [change.factor for change in result.changes] == pytest.approx([3.0, 1.0 / 3.0], rel=0.02)


def test_a_constant_service_that_is_seldom_full_shows_servers_and_delay() -> None:
    scenario = plant(SERVICES["constant"], 10.0, 0.75, network=Constant(0.024))
    result = tpssim.fit(recorded(scenario, seed=3), holdout=0.0)
    assert tuple(result.estimates["backend.servers"]) == (10.0, 10.0, 10.0)
    assert within(result, "service.mean", 0.02, 1e-4)
    assert result.estimates["network.mean"].value == pytest.approx(0.02402, rel=1e-3)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_sharp_edge_that_is_seldom_full_shows_servers_and_delay(seed: int) -> None:
    # Only the shortest time tells the delay, which the few calls that waited have to agree with.
    scenario = Scenario("known", tpssim.Pareto(0.5, 2.8), 39.0, 154.0, Async(feedback="completion"))
    scenario = scenario._replace(poisson=1.0, backend=Backend(servers=30.0), network=Constant(0.4))
    result = tpssim.fit(recorded(scenario, seed=seed), holdout=0.0)
    servers = result.estimates["backend.servers"]
    assert servers.value == 30.0
    assert servers.low <= 30.0 <= servers.high
    assert within(result, "service.mean", 0.5, 0.02)


@pytest.mark.parametrize(
    ("seconds", "step"), [(210.0, None), (31.5, Step(12.0, 19.5, 1.5))], ids=["steady", "step"]
)
def test_a_long_recording_is_searched_in_parts_and_settled_on_all(
    seconds: float, step: Step | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if step is not None:  # which takes long to find: what is long is less here
        monkeypatch.setattr(implied, "LOOKED_AT", 3000)
    scenario = Scenario(
        "known", tpssim.Gamma(0.02, 0.7), 200.0, seconds, Async(feedback="completion")
    )
    scenario = scenario._replace(poisson=1.0, backend=Backend(servers=5.0), network=Constant(0.004))
    if step is not None:
        scenario = scenario._replace(disturbances=(step,))
    recording = recorded(scenario, seed=6)
    assert len(recording) > 2 * implied.LOOKED_AT
    result = tpssim.fit(recording, holdout=0.0)
    assert tuple(result.estimates["backend.servers"]) == (5.0, 5.0, 5.0)
    mean = result.estimates["service.mean"]
    assert mean.low <= 0.02 <= mean.high
    assert step is not None or within(result, "service.mean", 0.02, 0.01)
    found = [change.time for change in result.changes]
    assert found == pytest.approx([] if step is None else [12.0, 19.5], abs=1.0)


def test_stamps_of_whole_milliseconds_tell_servers_and_mean() -> None:
    scenario = plant(tpssim.Gamma(0.02, 0.7), 4.0, 1.3, network=Constant(0.0134))
    exact = recorded(scenario, seed=5)
    start, latency = np.round(exact.start, 3), np.round(exact.latency, 3)
    coarse = Recording.of(start, start + latency, exact.outcome, resolution=1e-3)
    result = tpssim.fit(coarse, holdout=0.0)
    assert tuple(result.estimates["backend.servers"]) == (4.0, 4.0, 4.0)
    assert within(result, "service.mean", 0.02, 0.04)
    assert within(result, "service.cv", 0.7, 0.05)


def learned(servers: Estimate, mean: Estimate, crowding: Crowding) -> Learned:
    return Learned(
        servers=servers,
        delay=Estimate(0.0, 0.0, 0.0),
        density=Density("exponential", tpssim.Exponential(0.02), 0.0, 1, 0.0),
        times=np.zeros(0),
        mean=mean,
        cv=Estimate(1.0, 1.0, 1.0),
        course=changes.FLAT,
        likelihoods={},
        crowding=crowding,
    )


def test_a_plateau_has_no_upper_end_where_the_mean_may_be_nothing() -> None:
    found = learned(Estimate(4.0, 4.0, 4.0), Estimate(0.02, 0.0, 0.04), Crowding())
    assert tuple(plateau_of(found)) == (200.0, 100.0, math.inf)


def test_a_plateau_is_no_better_known_than_the_slowdown() -> None:
    # A call takes 20 ms, with n in flight 1 + slope (n - 1) times as long; slope 0.1 (0.05 to 0.2).
    mean = Estimate(0.02, 0.02, 0.02)
    slowing = Crowding(slope=0.1, slope_error=math.log(2.0) / 1.96)
    found = plateau_of(learned(Estimate(6.0, 5.0, 7.0), mean, slowing))
    assert found.value == pytest.approx(6.0 / 0.03)
    assert found.low == pytest.approx(5.0 / 0.036)
    assert found.high == pytest.approx(7.0 / 0.026)
    # At least 5 servers: they alone, at the steepest slope.
    found = plateau_of(learned(Estimate(math.inf, 5.0, math.inf), mean, slowing))
    assert tuple(found) == pytest.approx((math.inf, 5.0 / 0.036, math.inf))
    # Beyond a knee of 5 (4 to 6) each call more makes all of them twice as slow: as many are best.
    bent = Crowding(knee=5.0, exponent=2.0, knees=(4.0, 6.0))
    found = plateau_of(learned(Estimate(8.0, 8.0, 8.0), mean, bent))
    assert tuple(found) == pytest.approx((250.0, 200.0, 300.0))


def test_one_call_at_a_time_says_nothing_of_servers() -> None:
    times = np.random.default_rng(1).gamma(4.0, 0.005, 2000)
    ends = np.cumsum(times + 0.001)
    result = tpssim.fit(Recording.of(ends - times, ends), holdout=0.0)
    assert result.structure == "one at a time"
    assert result.scenario.consumer == tpssim.Blocking()
    assert result.kind == "gamma"
    assert result.estimates["service.mean"].value == pytest.approx(times.mean())
    assert result.estimates["service.cv"].value == pytest.approx(0.5, rel=0.05)
    unknown = {said.name for said in result.unidentified}
    assert unknown == {"backend.servers", "network.mean", "limits"}


def test_only_what_began_before_the_held_out_part_is_fitted() -> None:
    drawn = np.random.default_rng(2)
    times = np.where(np.arange(4000) < 2000, 0.01, 0.05) * drawn.gamma(4.0, 0.25, 4000)
    ends = np.arange(4000) + times
    result = tpssim.fit(Recording.of(ends - times, ends))
    assert result.split == pytest.approx(1999.5, abs=0.1)
    assert result.estimates["service.mean"].value == pytest.approx(times[:2000].mean())


def test_the_timeout_of_the_caller_is_that_of_the_calls_given_up() -> None:
    times = np.random.default_rng(3).exponential(0.1, 3000)
    starts = np.arange(3000.0)
    late = times > 0.25
    ends = starts + np.minimum(times, 0.25)
    outcome = np.where(late, TIMED_OUT, OK)
    result = tpssim.fit(Recording.of(starts, ends, outcome), holdout=0.0)
    assert result.estimates["timeout"].value == pytest.approx(0.25)
    assert result.scenario.timeout == pytest.approx(0.25)


def test_what_cannot_be_fitted_is_refused_in_one_line() -> None:
    few = Recording.of([0.0, 1.0], [0.5, 1.5])
    with pytest.raises(InputError, match=r"answered calls to fit.*: 2; allowed: at least 50"):
        tpssim.fit(few, holdout=0.0)
    with pytest.raises(InputError, match=r"holdout=1\.5; allowed: from 0 to below 1"):
        tpssim.fit(few, holdout=1.5)


def test_without_the_library_for_changes_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "searches", False)
    times = np.random.default_rng(1).gamma(4.0, 0.005, 2000)
    ends = np.cumsum(times + 0.001)
    result = tpssim.fit(Recording.of(ends - times, ends), holdout=0.0)
    assert result.unidentified[0].name == "changes"
    assert result.unidentified[0].experiment == "pip install 'tpssim[fit]'"


def test_refusals_that_were_held_out_are_said() -> None:
    start = np.arange(400) / 10.0
    outcome = np.where((np.arange(400) >= 300) & (np.arange(400) % 2 == 0), REJECTED, OK)
    result = tpssim.fit(tpssim.Recording.of(start, start + 0.02, outcome))
    (said,) = [one for one in result.unidentified if one.name == "limits"]
    assert said.because == "no call was refused in what was fitted, 50 were in what was held out"
    assert said.experiment == "tpssim fit FILE --holdout 0"
