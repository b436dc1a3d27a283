"""headroom: each rule worked by hand, and what it promises on plants of every kind."""

from __future__ import annotations

import math
from typing import Any

import pytest
from helpers.laws import done, fed

from tpssim import Scenario, Stages, simulate
from tpssim.controllers import law_named
from tpssim.controllers._headroom_busy import Busy, smoothed, unmeasured
from tpssim.controllers._headroom_concurrency import Tally, Tuning, closed, opened
from tpssim.controllers.headroom import Headroom
from tpssim.core.errors import InputError
from tpssim.core.types import Observation
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


def test_a_mean_that_has_settled_jumps_when_the_service_changes() -> None:
    busy = unmeasured()
    for _ in range(300):
        busy = smoothed(busy, 0.02, 0.02)
    # 200 ms count as three means, 60: the quick mean is 20 + 0.3 x 40 = 32, far outside 3 x 2 x
    # 0.42 ms.
    assert smoothed(busy, 0.2, 0.02).mean == pytest.approx(0.032)
    # 22 ms are within a tenth of the mean, which is taken for noise: 20 + 0.02 x 2.
    assert smoothed(busy, 0.022, 0.02).mean == pytest.approx(0.02004)


def flight(
    start: float, latency: float, n: int = 16, peak: float = 20.0, step: float = 0.01
) -> list[Any]:
    """n completions, one every `step` seconds after `start`, of calls of that latency."""
    return [done(start + step * (k + 1), latency, peak) for k in range(n)]


def test_no_congestion_no_limit() -> None:
    # The first window: 4 completions. 64 allowed; with 50 in flight 100.
    assert fed(LAW, flight(0.0, 0.1, 4))[-1][:2] == (math.inf, 64.0)
    assert fed(LAW, flight(0.0, 0.1, 4, peak=50.0))[-1].limit == 100.0


#: Times in 1/64 s, which are floats without rounding: 64 completions a second.
TICK = 1.0 / 64.0
#: A first window of 4, base 1/8 s; then one lasts 3 base: 24 completions.
CONGESTED = [*flight(0.0, 0.125, 4, step=TICK), *flight(4 * TICK, 0.25, 24, step=TICK)]


def test_a_window_lasts_three_latencies_and_sixteen_successes() -> None:
    states = fed(LAW, CONGESTED)
    assert [state.flight.tally.begun for state in states[-25:]] == [4 * TICK] * 24 + [28 * TICK]
    # Few in flight: 16 successes, one each 1/16 s, are 1 s.
    few = fed(LAW, [*flight(0.0, 0.125, 4, step=TICK), *flight(4 * TICK, 0.125, 16, step=4 * TICK)])
    assert [state.flight.tally.begun for state in few[-2:]] == [4 * TICK, 68 * TICK]


def test_the_first_congestion_finds_the_window_by_littles_law() -> None:
    # 64/s, 0.25 s each: 16 in flight, of which 8 wait (0.125 s alone); wanted are 1 + 0.15 x 16.
    state = fed(LAW, CONGESTED)[-1]
    assert (state.flight.allowance.calls, state.limit) == (16.0, 16.0)
    assert state.flight.allowance.base == 0.125
    assert state.flight.allowance.settled == 28 * TICK + 0.25  # 44 ticks


def test_it_asks_whether_it_is_a_queue() -> None:
    # The window that begins at 28 ticks still holds old calls. The one from 52 to 76 sets off the
    # probe.
    waiting = [*CONGESTED, *flight(28 * TICK, 0.25, 48, step=TICK)]
    states = fed(LAW, waiting)
    assert [state.flight.allowance.probing for state in states[-2:]] == [0.0, 1.0]
    assert states[-1].limit == 11.0  # 0.7 x 16
    later = flight(76 * TICK, 0.25, 24, step=TICK)  # settles until 92
    # As many complete: it was a queue, the least latency stays what it was, and 11.2 are enough.
    queue = fed(LAW, [*waiting, *later, *flight(100 * TICK, 0.175, 24, 11.0, step=TICK)])[-1]
    assert (queue.flight.allowance.probing, queue.flight.allowance.base) == (0.0, 0.125)
    assert (queue.flight.allowance.calls, queue.limit) == (pytest.approx(11.2), 11.0)
    # Half as many: no queue, the service takes 0.25 s now.
    slower = fed(LAW, [*waiting, *later, *flight(100 * TICK, 0.25, 16, 11.0, step=2 * TICK)])[-1]
    assert (slower.flight.allowance.probing, slower.flight.allowance.base) == (0.0, 0.25)


def test_a_queue_that_is_too_long_shrinks_and_one_that_is_too_short_grows() -> None:
    # Judged at 124 ticks, settled at 135.2. From 148: 64/s of 0.15 s are 9.6 in flight, 1.6 of them
    # waiting. wanted 1 + 0.15 x 9.6 = 2.44: + 0.2 x 0.84.
    before = [*CONGESTED, *flight(28 * TICK, 0.25, 72, step=TICK)]
    before += flight(100 * TICK, 0.175, 24, 11.0, step=TICK)
    shorter = fed(LAW, [*before, *flight(124 * TICK, 0.15, 48, step=TICK)])[-1]
    assert shorter.flight.allowance.calls == pytest.approx(11.2 + 0.2 * 0.84)
    # 0.17 s: 10.88 in flight, 2.88 waiting, wanted 2.632: - 0.7 x 0.248.
    longer = fed(LAW, [*before, *flight(124 * TICK, 0.17, 48, step=TICK)])[-1]
    assert longer.flight.allowance.calls == pytest.approx(11.2 - 0.7 * 0.248)


@pytest.mark.parametrize(
    ("scenario", "achieved", "stretch"),
    [
        ("blocking-steady", 0.9, 4.0),
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
    assert rates[24] == pytest.approx(2.0 * 0.98 / 0.05)


def test_auto_is_this_law() -> None:
    assert law_named("auto") == ("headroom", Headroom())
    with pytest.raises(InputError, match="no parameter 'nothing'"):
        law_named("auto:nothing=1")


# What docs/headroom.md says in words, worked by hand.

TUNING = Tuning(queue=1.5, slack=0.03, probe_every=200.0)


def after_a_second(target: float, base: float, **known: float) -> float:
    """The window after a second in which 100 calls of 0.2 s each were done, with the limit
    reached.
    """
    new = opened(0.0)
    flight = new._replace(
        tally=Tally(begun=0.0, good=100.0, total=20.0, squares=4.0, peak=20.0),
        allowance=new.allowance._replace(base=base, probed=0.0, **known),
    )
    return closed(flight, 1.0, target, True, TUNING).allowance.calls


def test_the_first_congestion_is_less_than_wanted_or_twice_the_queue() -> None:
    # 20 in flight (Little), wanted queue 1.5 + 0.03 x 20 = 2.1; queued: 20 (1 - base / 0.2).
    assert after_a_second(100.0, 0.17) == math.inf  # 3 queued, but all that was wanted was done
    assert after_a_second(200.0, 0.17) == pytest.approx(20.0)  # less was done
    assert after_a_second(100.0, 0.1) == pytest.approx(20.0)  # 10 queued: more than twice 2.1
    assert after_a_second(200.0, 0.18) == math.inf  # 2 queued: not more than wanted


def test_one_stray_call_is_cut_and_moves_a_noisy_service_little() -> None:
    # sd 0.01 of 0.02 s: cut to max(0.02 + 4 x 0.01, 3 x 0.02) = 0.06; quick mean 0.032, mean 0.022,
    # 0.01 apart, less than 3 x 0.01 x sqrt(0.3 / 1.7) = 0.0126.
    noisy = smoothed(Busy(mean=0.02, quick=0.02, spread=0.01**2, weight=0.05), 5.0, 0.05)
    assert (noisy.mean, noisy.quick) == pytest.approx((0.022, 0.032))
    # sd 0.002: cut to three means all the same, and now 0.01 is more than 0.0025: taken for a
    # change.
    steady = smoothed(Busy(mean=0.02, quick=0.02, spread=0.002**2, weight=0.05), 5.0, 0.05)
    assert steady.mean == pytest.approx(0.032)
