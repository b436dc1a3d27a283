"""headroom: each rule worked by hand, and what it promises on plants of every kind."""

from __future__ import annotations

import math
from typing import Any

import pytest
from laws import done, fed

from tpssim import Scenario, simulate
from tpssim.controllers import law_named
from tpssim.controllers.headroom import (
    Busy,
    Headroom,
    HeadroomState,
    after_refusals,
    busy_of,
    flight_of,
    smoothed,
    state_of,
)
from tpssim.controllers.headroom_flight import Tuning, closed, cubic, opened
from tpssim.core import InputError, Observation
from tpssim.disturbances import Step
from tpssim.metrics import measure, measure_phases
from tpssim.plant import Async, Backend
from tpssim.services import Constant

LAW = Headroom(
    alpha=0.02, share=0.95, patience=2.0, queue=1.0, slack=0.15, cut=0.93, scale=4.0, probe_every=10.0
)


def blocked(*news: tuple[float, float, float], law: Headroom = LAW) -> list[Any]:
    """States after calls of one blocked caller: (now, latency, lag)."""
    return fed(law, [Observation(now, 100.0, latency, lag) for now, latency, lag in news])[1:]


def test_one_call_tells_how_fast_a_blocked_caller_can_be() -> None:
    (state,) = blocked((0.02, 0.02, 0.0))
    assert state.rate == pytest.approx(0.95 / 0.02)
    assert state.limit == 64.0  # open, for a blocked caller


def test_a_lag_is_made_up_for_by_a_slower_schedule() -> None:
    (state,) = blocked((0.02, 0.02, 2.0))
    assert state.rate == pytest.approx(0.95 / 0.02 / 2.0)


def test_the_first_calls_count_as_their_plain_mean() -> None:
    # 1/2, 1/3: (20 + 40 + 30) / 3 ms.
    states = blocked((0.02, 0.02, 0.0), (0.06, 0.04, 0.0), (0.09, 0.03, 0.0))
    assert [state.busy for state in states] == pytest.approx([0.02, 0.03, 0.03])


def test_a_mean_that_has_settled_jumps_when_the_service_changes() -> None:
    busy = Busy(math.nan, math.nan, 0.0, 1.0)
    for _ in range(300):
        busy = smoothed(busy, 0.02, 0.02)
    # 200 ms count as three means, 60: the quick mean is 20 + 0.3 x 40 = 32, far outside 3 x 2 x 0.42 ms.
    assert smoothed(busy, 0.2, 0.02).mean == pytest.approx(0.032)
    # 22 ms are within a tenth of the mean, which is taken for noise: 20 + 0.02 x 2.
    assert smoothed(busy, 0.022, 0.02).mean == pytest.approx(0.02004)


def test_a_refused_call_of_a_blocked_caller_sets_off_the_cubic_once_a_second() -> None:
    first = Observation(0.02, 100.0, 0.02, 0.0)
    refusals = [first._replace(now=now, errors=1.0, drops=1.0) for now in (0.04, 0.06, 1.1)]
    states = fed(LAW, [first, *refusals])[2:]
    assert states[0].rate == pytest.approx(0.93 * 47.5)
    assert [state.cut_at for state in states] == [0.04, 0.04, 1.1]
    # Refused again at what was not refused before, or below: that falls, too, by half of a cut.
    assert states[-1].clean < 0.965 * 47.5
    # K = 4 x 0.07^(1/3) s after a cut the rate is at what was not refused.
    assert cubic(47.5, 4.0 * 0.07 ** (1.0 / 3.0), 0.93, 4.0) == pytest.approx(47.5)


def test_a_blocked_caller_is_cut_from_where_it_is() -> None:
    # Calls of 50 ms: 0.95 / 0.05 = 19/s.
    slow = [Observation(0.1 * k, 100.0, 0.05, 0.0) for k in range(1, 30)]
    refused = slow[-1]._replace(now=3.0, errors=1.0, drops=1.0)
    # Far below a mark of 100/s, not refused when calls took 5 ms, the cut is from 19/s all the same.
    fast = Observation(-5.0, 100.0, 0.005, 0.0)
    marked = [fast, fast._replace(now=-4.9, errors=1.0, drops=1.0)]
    below = fed(LAW, [*marked, *slow, *slow, refused])
    assert below[2].clean == 100.0
    assert below[-1].rate == pytest.approx(0.93 * below[-2].rate)
    states = fed(LAW, [*slow, refused])
    assert states[-2].rate == pytest.approx(19.0)
    again = refused._replace(now=4.5)
    assert fed(LAW, [*slow, refused])[-1].rate == pytest.approx(0.93 * 19.0)
    # Refused again: the mark falls, and the rate with it.
    last = fed(LAW, [*slow, refused, again])[-1]
    assert last.rate == pytest.approx(0.93 * last.clean)
    assert last.clean < 19.0


def flight(start: float, latency: float, n: int = 16, peak: float = 20.0, step: float = 0.01) -> list[Any]:
    """n completions, one every `step` seconds after `start`, of calls of that latency."""
    return [done(start + step * (k + 1), latency, peak) for k in range(n)]


def test_no_congestion_no_limit() -> None:
    # The first window: 16 completions in 0.15 s. 64 allowed; with 50 in flight 100.
    assert fed(LAW, flight(0.0, 0.1))[-1][:2] == (math.inf, 64.0)
    assert fed(LAW, flight(0.0, 0.1, peak=50.0))[-1].limit == 100.0


CONGESTED = [*flight(0.0, 0.1), *flight(0.16, 0.2)]


def test_the_first_congestion_finds_the_window_by_littles_law() -> None:
    # 16 in 0.16 s, 0.2 s each: 20 in flight, of which 10 wait (0.1 s alone); wanted are 1 + 0.15 x 20.
    state = fed(LAW, CONGESTED)[-1]
    assert (state.window, state.limit) == (pytest.approx(20.0), 20.0)
    assert state.base == pytest.approx(0.1)
    assert state.settled == pytest.approx(0.32 + 0.2)


def test_it_asks_whether_it_is_a_queue() -> None:
    # Windows that begin before 0.52 s still hold old calls. The one from 0.64 to 0.8 s sets off the probe.
    waiting = [*CONGESTED, *flight(0.32, 0.2, 48)]
    states = fed(LAW, waiting)
    assert [state.probing for state in states[-2:]] == [0.0, 1.0]
    assert states[-1].limit == 14.0  # 0.7 x 20
    later = flight(0.8, 0.2, 32)  # settles until 1.0 s
    # As many complete, 100/s: it was a queue, the least latency stays what it was, and 14 are enough.
    queue = fed(LAW, [*waiting, *later, *flight(1.12, 0.14, 16, 14.0)])[-1]
    assert (queue.probing, queue.base) == (0.0, pytest.approx(0.1))
    assert queue.limit == 14.0
    # Half as many: no queue, the service takes 0.2 s now.
    slower = fed(LAW, [*waiting, *later, *flight(1.12, 0.2, 16, 14.0, step=0.02)])[-1]
    assert (slower.probing, slower.base) == (0.0, pytest.approx(0.2))


def test_a_queue_that_is_too_long_shrinks_and_one_that_is_too_short_grows() -> None:
    # Probed at 1.28 s; settled at 1.42. From 1.44 s: 100/s of 0.12 s are 12 in flight, 2 of them waiting.
    # wanted 1 + 0.15 x 12 = 2.8: + 0.2 x 0.8.
    before = [*CONGESTED, *flight(0.32, 0.2, 48), *flight(0.8, 0.2, 32), *flight(1.12, 0.14, 16, 14.0)]
    shorter = fed(LAW, [*before, *flight(1.28, 0.12, 16), *flight(1.44, 0.12, 16)])[-1]
    assert shorter.window == pytest.approx(14.0 + 0.2 * 0.8)
    # 0.13 s: 13 in flight, 3 waiting, wanted 2.95: - 0.7 x 0.05.
    longer = fed(LAW, [*before, *flight(1.28, 0.13, 16), *flight(1.44, 0.13, 16)])[-1]
    assert longer.window == pytest.approx(14.0 - 0.7 * 0.05)


def test_refusals_take_it_back_to_what_was_not_refused() -> None:
    news = flight(0.0, 0.1, 15, 10.0)
    state = fed(LAW, [*news, done(0.16, 0.01, 10.0, dropped=True)])[-1]
    # 0.93 x 10 would be less than a call fewer.
    assert (state.clean, state.window, state.limit) == (10.0, pytest.approx(9.0), 9.0)
    assert state.settled == pytest.approx(1.16)
    # Few in flight: a limit of 4 would be too coarse, so calls are paced: one fewer than 5 in 0.1 s.
    news = flight(0.0, 0.1, 15, 5.0)
    few = fed(LAW, [*news, done(0.16, 0.01, 5.0, dropped=True)])[-1]
    assert few.rate == pytest.approx(4.0 / 0.1)


def test_an_outage_without_any_success_halves_nothing_for_ever() -> None:
    news = [done(0.01 * (k + 1), 1.0, 40.0, dropped=True) for k in range(16)]
    state = fed(LAW, news)[-1]
    assert (state.clean, state.window) == (40.0, pytest.approx(28.0))
    assert state.limit == 28.0


def test_the_way_back_from_an_outage_doubles_until_the_mark_or_a_queue() -> None:
    tuning = Tuning(queue=1.0, slack=0.15, cut=0.93, scale=4.0, probe_every=10.0)
    # 16 calls of 0.1 s in 0.16 s, no queue; 10 in flight, where 40 had not been refused.
    way = opened(3.0)._replace(done=16.0, good=16.0, total=1.6, squares=0.16, peak=10.0, base=0.1, flow=100.0)
    way = way._replace(window=10.0, clean=40.0, cut_at=2.5, settled=2.6, probed=2.7)
    assert closed(way, 3.16, 500.0, True, tuning).window == 20.0
    # From 20 on to 40, but no further than the cubic has come.
    further = closed(way._replace(window=20.0, peak=20.0), 3.16, 500.0, True, tuning)
    assert further.window == pytest.approx(cubic(40.0, 0.66, 0.93, 4.0))
    # 0.3 s a call: 10 in flight, two thirds of them waiting, wanted 2.5. The mark goes where the window was.
    queue = closed(way._replace(total=4.8, squares=1.44, probed=3.1), 3.16, 500.0, True, tuning)
    assert queue.clean == 10.0
    assert queue.window == pytest.approx(10.0 - 0.7 * (20.0 / 3.0 - 2.5))


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
    """A stale latency without queue looks like a queue; cutting that takes work away, which shows."""
    third = Step(10.0, 30.0, 4.0)
    scenario = Scenario("few-servers", Constant(servers / 300.0), 250.0, 40.0, Async(0.0, "completion"))
    network = Constant(way) if way else None
    scenario = scenario._replace(
        disturbances=(third,), backend=Backend(servers=servers, places=50.0), network=network
    )
    shares = [measure_phases(simulate(scenario, "headroom", replication=k))[1].steady_share for k in range(3)]
    assert min(shares) >= 0.9


def test_auto_is_this_law() -> None:
    assert law_named("auto") == ("headroom", Headroom())
    with pytest.raises(InputError, match="no parameter 'nothing'"):
        law_named("auto:nothing=1")


def test_each_number_of_the_state_keeps_its_name() -> None:
    numbers = [float(k) for k in range(len(HeadroomState._fields))]
    state = HeadroomState(*numbers)._replace(reject=0.0)
    assert state_of(state.rate, state.limit, busy_of(state), state.crowd, flight_of(state)) == state
    renamed = {"mean": "busy"}
    named: list[tuple[str, float]] = [*busy_of(state)._asdict().items(), *flight_of(state)._asdict().items()]
    assert all(value == getattr(state, renamed.get(name, name)) for name, value in named)
    kept = {"clean": 1.0, "cut_at": 2.0, "settled": 3.0}
    assert repr(after_refusals(9.0, *kept.values())) == repr(opened(9.0)._replace(**kept))
