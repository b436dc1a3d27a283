"""headroom: each rule worked by hand, and what it promises on plants of every kind."""

from __future__ import annotations

import math
from typing import Any

import pytest
from helpers.laws import done, fed

from tpssim import Scenario, Stages, simulate
from tpssim.controllers import law_named
from tpssim.controllers._headroom_busy import Busy, smoothed, unmeasured
from tpssim.controllers.headroom import Headroom
from tpssim.core.errors import InputError
from tpssim.core.types import Observation
from tpssim.experiments.random_services import random_scenario
from tpssim.experiments.scoring import score_of
from tpssim.metrics.measure import measure, measure_phases
from tpssim.scenarios.disturbances import Step
from tpssim.scenarios.plant import Async, Backend, Blocking
from tpssim.scenarios.service_times import Constant

LAW = Headroom(
    alpha=0.02, share=0.95, patience=100.0, queue=1.0, slack=0.15, cut=0.93, probe_every=100.0
)


def blocked(*history: tuple[float, float, float], law: Headroom = LAW) -> list[Any]:
    """States after calls of one blocked caller: (now, latency, lag)."""
    return fed(law, [Observation(now, 100.0, latency, lag) for now, latency, lag in history])[1:]


def test_one_call_tells_how_fast_a_blocked_caller_can_be() -> None:
    (state,) = blocked((0.02, 0.02, 0.0))
    assert state.rate == pytest.approx(0.95 / 0.02)
    assert state.limit == 64.0  # open, for a blocked caller


def test_a_lag_is_made_up_for_by_a_slower_schedule() -> None:
    # Patience is the time of 100 calls of 20 ms.
    (state,) = blocked((0.02, 0.02, 2.0))
    assert state.rate == pytest.approx(0.95 / 0.02 / 2.0)


def test_the_first_calls_count_as_their_plain_mean() -> None:
    # 1/2, 1/3: (20 + 40 + 30) / 3 ms.
    states = blocked((0.02, 0.02, 0.0), (0.06, 0.04, 0.0), (0.09, 0.03, 0.0))
    assert [state.busy.mean for state in states] == pytest.approx([0.02, 0.03, 0.03])


def test_the_rate_grows_until_the_caller_is_idle_for_no_more_than_its_share() -> None:
    # share 0.95. 10 ms idle before the second call, half of its time: 1 + 0.15 (0.5 - 0.05).
    first, second = blocked((0.02, 0.02, 0.0), (0.05, 0.02, 0.0))
    assert (first.ahead, second.ahead) == pytest.approx((1.0, 1.0675))
    assert second.rate == pytest.approx(1.0675 * 0.95 / 0.02)
    # Late, so it waited for no slot: 1.0675 (1 - 0.15 x 0.05); on time and not idle: the same.
    late = blocked((0.02, 0.02, 0.0), (0.05, 0.02, 0.0), (0.08, 0.02, 0.005))
    busy = blocked((0.02, 0.02, 0.0), (0.05, 0.02, 0.0), (0.07, 0.02, 0.0))
    assert late[-1].ahead == busy[-1].ahead == pytest.approx(1.0675 * 0.9925)
    # Idle for more than a call's time counts as one call's time; twice the rate at most.
    longer = blocked((0.02, 0.02, 0.0), (5.0, 0.02, 0.0))
    assert longer[-1].ahead == pytest.approx(1.1425)
    often = blocked(*((0.05 * k, 0.02, 0.0) for k in range(1, 60)))
    assert often[-1].ahead == 2.0


def test_a_caller_who_is_held_back_by_the_target_is_not_idle_for_the_law() -> None:
    often = blocked(*((0.01 * k, 0.001, 0.0) for k in range(1, 60)))
    assert often[-1].ahead == 1.0


def test_a_mean_that_has_settled_jumps_when_the_service_changes() -> None:
    busy = unmeasured()
    for _ in range(300):
        busy = smoothed(busy, 0.02, 0.02)
    # 200 ms count as three means, 60: the quick mean is 20 + 0.3 x 40 = 32, far outside 3 x 2 x
    # 0.42 ms.
    assert smoothed(busy, 0.2, 0.02).mean == pytest.approx(0.032)
    # 22 ms are within a tenth of the mean, which is taken for noise: 20 + 0.02 x 2.
    assert smoothed(busy, 0.022, 0.02).mean == pytest.approx(0.02004)


@pytest.mark.parametrize(
    ("scenario", "achieved", "stretch"),
    [
        ("blocking-steady", 0.97, 4.0),
        ("fast-async", 0.99, 1.1),
        ("healthy", 0.99, 1.1),
        ("overload", 0.95, 2.5),
        ("pool-degrade", 0.95, 2.0),
        ("creep", 0.95, 2.5),
        ("refusing", 0.9, 1.1),
    ],
)
def test_it_uses_what_there_is_and_adds_little_latency(
    scenario: str, achieved: float, stretch: float
) -> None:
    found = measure(simulate(scenario, "headroom"))
    assert found["achieved"] >= achieved
    assert found["stretch"] <= stretch


@pytest.mark.parametrize("number", [3, 6, 9])
def test_one_call_at_a_time_wastes_little_of_the_caller_s_time(number: int) -> None:
    """With noise; at 0.98 of the rate of the mean the caller was idle for 10 to 13 %."""
    assert score_of(random_scenario("blocking", number, seed=1), Headroom()).goodput >= 0.97


@pytest.mark.parametrize(("servers", "way"), [(3.0, 0.002), (4.0, 0.006), (6.0, 0.0)])
def test_a_few_servers_that_become_slower_are_kept_busy(servers: float, way: float) -> None:
    """A stale latency without queue looks like a queue; cutting that takes work away, which
    shows.
    """
    third = Step(10.0, 30.0, 4.0)
    scenario = Scenario(
        "few-servers", Constant(servers / 300.0), 250.0, 40.0, Async(0.0, "completion")
    )
    network = Constant(way) if way else None
    scenario = scenario._replace(
        disturbances=(third,), backend=Backend(servers=servers, places=50.0), network=network
    )
    shares = [
        measure_phases(simulate(scenario, "headroom", replication=k))[1].steady_share
        for k in range(3)
    ]
    assert min(shares) >= 0.9


@pytest.mark.parametrize(
    ("consumer", "made"), [(Async(0.0, "completion"), 1500), (Blocking(), 380)]
)
def test_a_ramp_from_nothing_is_followed_where_calls_may_overlap(
    consumer: Async | Blocking, made: int
) -> None:
    """10 s of a ramp to 100 a second and 10 s of that are 1,500 calls; one at a time, of 50 ms
    each, 380 fit: sqrt(2 k / 10) s is when slot k is due, 50 ms apart from k = 20 (2 s) on.
    """
    load = Stages("10s:100,10s:100")
    backend = Backend(servers=20.0)
    scenario = Scenario("ramp", Constant(0.05), load, 20.0, consumer, backend=backend)
    trace = simulate(scenario, "headroom")
    assert 0.98 * made <= int((trace.completed <= 20.0).sum()) <= made


def test_a_caller_who_waits_is_tried_ever_more_seldom() -> None:
    # 50 ms a call, one at a time, always on time: the slot of a trial is due after 25.5 ms.
    calls = [(0.05 * (k + 1), 0.05, 0.0) for k in range(120)]
    rates = [state.rate for state in blocked(*calls, law=Headroom())]
    assert [k for k, rate in enumerate(rates) if rate > 20.0] == [24, 75]
    assert rates[24] == pytest.approx(2.0 * 0.995 / 0.05)


def test_auto_is_this_law() -> None:
    assert law_named("auto") == ("headroom", Headroom())
    with pytest.raises(InputError, match="no parameter 'nothing'"):
        law_named("auto:nothing=1")


def known(mean: float, sd: float) -> Busy:
    """Calls of that mean for long, of which logarithms have a standard deviation of 0.5."""
    return Busy(mean, mean, sd * sd, 0.05, unit=mean, level=0.0, lately=0.0, scatter=0.25)


def test_one_stray_call_is_cut_and_moves_a_noisy_service_little() -> None:
    # sd 0.01 of 0.02 s: cut to max(0.02 + 4 x 0.01, 3 x 0.02) = 0.06; quick mean 0.032, mean 0.022,
    # 0.01 apart, less than 3 x 0.01 x sqrt(0.3 / 1.7) = 0.0126.
    noisy = smoothed(known(0.02, 0.01), 5.0, 0.05)
    assert (noisy.mean, noisy.quick) == pytest.approx((0.022, 0.032))
    # sd 0.002: cut to three means all the same, and now 0.01 is more than 0.0025: taken for a
    # change.
    steady = smoothed(known(0.02, 0.002), 5.0, 0.05)
    assert steady.mean == pytest.approx(0.032)


def test_two_calls_that_are_far_quicker_show_in_logarithms() -> None:
    # 20 ms where 200 are usual, sd 100; logarithms 0, sd 0.5. The first counts as 4 sd below: 0.3
    # and 0.05 of it are 0.5 apart, which noise of 2.5 x 0.5 x sqrt(0.3 / 1.7) = 0.525 may be.
    once = smoothed(known(0.2, 0.1), 0.02, 0.05)
    assert (once.level, once.lately) == pytest.approx((-0.1, -0.6))
    assert once.mean == pytest.approx(0.191)
    # Then sd^2 = 0.25 + 0.1 (1.5^2 - 0.25), 0.67^2; the second is ln 10 - 0.1 below.
    off = math.log(10.0) - 0.1
    twice = smoothed(once, 0.02, 0.05)
    lately, level = -0.6 + 0.3 * (-0.1 - off + 0.6), -0.1 - 0.05 * off
    mean = 0.191 + 0.05 * (0.02 - 0.191)
    assert twice.mean == twice.quick == pytest.approx(mean * math.exp(lately - level))
    assert (twice.level, twice.weight) == (twice.lately, 0.3)


def test_one_call_in_no_time_moves_a_noisy_service_little() -> None:
    # As a clock that ticks may have it: 4 sd of the logarithms below, and nothing follows.
    assert smoothed(known(0.2, 0.1), 0.0, 0.05).mean == pytest.approx(0.19)
    assert smoothed(known(0.2, 0.1), 1e-300, 0.05).mean == pytest.approx(0.19)


def test_a_second_call_that_is_far_longer_is_no_sign_of_quicker_ones() -> None:
    # 1 ms, then 100, cut to 3: half of the way.
    first = smoothed(unmeasured(), 0.001, 0.05)
    assert smoothed(first, 0.1, 0.05).mean == pytest.approx(0.002)


def test_a_first_call_in_no_time_is_forgotten() -> None:
    first = smoothed(unmeasured(), 0.0, 0.05)
    assert smoothed(first, 0.02, 0.05).mean > 0.0
    assert math.isfinite(smoothed(smoothed(unmeasured(), 1e300, 0.05), 0.02, 0.05).spread)


def test_a_call_that_came_long_ago_is_refused() -> None:
    """Six calls' time: of 0.125 s one at a time; of 0.25 s, the least, where several overlap."""
    alone = fed(LAW, [done(1.0, 0.125)])[-1]
    assert LAW.admit(LAW.init(100.0), 9.0, 1e6, 0.0).reject == 0.0  # nothing is known yet
    assert LAW.admit(alone, 1.0, 0.75, 0.0).reject == 0.0
    refused = LAW.admit(alone, 1.0, 0.7501, 0.0)
    assert refused == alone._replace(reject=1.0)
    told = Observation(1.0, 100.0, math.nan, 0.0, count=0.0, refusals=1.0)
    assert LAW.update(refused, told) == alone
    # At 4 a second six intervals are 1.5 s.
    rare = alone._replace(wanted=4.0)
    assert [LAW.admit(rare, 1.0, lag, 0.0).reject for lag in (1.49, 1.51)] == [0.0, 1.0]
    paced = rare._replace(pace=rare.pace._replace(cubic=rare.pace.cubic._replace(mark=3.0)))
    assert [LAW.admit(paced, 1.0, lag, 0.0).reject for lag in (0.75, 0.76)] == [0.0, 1.0]
    assert LAW.why(refused, told, alone) == "a call had waited for more than 6 calls' time"
    crowd = alone._replace(overlap=1.0)
    assert LAW.admit(crowd, 1.0, 1e6, 1.0).reject == 0.0  # no window has ended
    base = crowd.flight.base._replace(level=9.0, least=math.log(2.0))
    known = crowd._replace(flight=crowd.flight._replace(unit=0.125, base=base))
    assert LAW.admit(known, 1.0, 1.499, 1.0).reject == 0.0
    assert LAW.admit(known, 1.0, 1.501, 1.0).reject == 1.0
