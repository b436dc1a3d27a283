"""Known quotas live: never more in a window, whoever calls and however it goes; and the report."""

from __future__ import annotations

import asyncio
import bisect
import math
import threading
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tpssim import InputError, Limiter, Quota, Stages, arun, athrottle, run, throttle
from tpssim.core.clocks import VirtualClock
from tpssim.live.report import Report


def window(times: list[float], costs: list[float], length: float) -> float:
    """The most in any half-open window of that length, counted from each release on."""
    most = 0.0
    for k, start in enumerate(times):
        end = bisect.bisect_left(times, start + length)
        most = max(most, math.fsum(costs[k:end]))
    return most


def test_a_quota_of_calls_lets_them_through_as_soon_as_there_is_room() -> None:
    clock = VirtualClock()
    handle = throttle(range(7), math.inf, quotas=[Quota(3, 1.0)], clock=clock)
    times = [clock.time() for _ in handle]
    assert times == pytest.approx([0.0] * 3 + [1.05] * 3 + [2.1])
    report = handle.report()
    # The first of three that begin when the window opens, and the seventh; their whole wait.
    assert (report.quota_held, report.retry_after_held) == (2, 0)
    assert report.quota_wait == pytest.approx(2.1)


def test_two_quotas_hold_at_once_and_each_is_named_for_what_it_held() -> None:
    """Three calls in 1 s; 10 of cost in 10 s, margin 0. Costs 1, 1, 1, 1, 7: the fourth waits for
    the first quota until 1 s, and the fifth for the second, until 10 s."""
    clock = VirtualClock()
    quotas = [Quota(3, 1.0, margin=0.0), Quota(10, 10.0, of="cost", margin=0.0)]
    handle = throttle(
        [1.0, 1.0, 1.0, 1.0, 7.0], 1000.0, quotas=quotas, cost=float, clock=clock, late="burst"
    )
    times = [clock.time() for _ in handle]
    assert times == pytest.approx([0.0, 0.001, 0.002, 1.0, 10.0])
    report = handle.report()
    assert report.quota_held == 2
    assert report.quota_wait == pytest.approx(0.997 + 9.0)
    assert "quota of 10 of cost per 10 s held calls back once, for 9 s" in report.verdict


def test_the_report_names_the_quota_and_is_not_on_pace() -> None:
    """20 a second, of which a quota lets 10 through in 1.05 s: the eleventh, due at 0.5 s, waits
    until the first has left, at 1.05 s, and each one after it likewise."""
    handle = throttle(range(200), 20.0, quotas=[Quota(10, 1.0)], clock=VirtualClock())
    for _ in handle:
        pass
    verdict = handle.report().verdict
    assert verdict.startswith("9.")
    assert " of 20 a second: quota of 10 calls per 1 s held calls back 190 times, for " in verdict
    assert "on pace" not in verdict
    assert "held back 190 times for" in str(handle.report())


def test_a_quota_that_nothing_comes_near_changes_nothing() -> None:
    def times(**options: Any) -> list[float]:
        clock = VirtualClock()
        handle = throttle(range(50), 7.0, clock=clock, **options)
        found = [clock.time() for _ in handle]
        assert handle.report().verdict.startswith("on pace")
        return found

    assert times(quotas=[Quota(9, 1.0), Quota(1e6, 60.0, of="cost")]) == times()


def test_a_slot_that_a_quota_holds_back_is_past_the_end_of_a_profile() -> None:
    clock = VirtualClock()
    stages = Stages("1s:10", start=10.0)
    assert len(list(throttle(range(99), stages, quotas=[Quota(3, 5.0)], clock=clock))) == 3
    assert clock.time() == 1.0


def test_windows_of_the_wall_clock() -> None:
    """At most 2 from one full minute to the next, 3 s longer at both ends: from 57 s (of the minute
    before) to 63 s both minutes count."""
    clock = VirtualClock()
    clock.set(30.0)
    quota = Quota(2, 60.0, window="fixed", align=True)
    handle = throttle(range(6), math.inf, quotas=[quota], clock=clock)
    assert [clock.time() for _ in handle] == pytest.approx([30.0, 30.0, 61.5, 61.5, 121.5, 121.5])


@pytest.mark.parametrize("kind", ["throttle", "athrottle", "run", "arun", "Limiter"])
def test_every_way_of_calling_has_quotas_and_costs(kind: str) -> None:
    """10 of cost in 1 s, margin 0; costs 4, 4, 4: the third waits. At 4 a second of cost slots are
    1 s apart, so that without the quota it would come at 2 s; at inf all come at once."""
    clock, times = VirtualClock(), []
    options: dict[str, Any] = {"quotas": [Quota(10, 1.0, of="cost", margin=0.0)], "clock": clock}

    def call(_: Any) -> None:
        times.append(clock.time())

    async def acall(_: Any) -> None:
        call(_)

    async def main() -> None:
        async for _ in athrottle("abc", math.inf, cost=4, **options):
            call(_)

    if kind == "throttle":
        for _ in throttle("abc", math.inf, cost=4, **options):
            call(_)
    elif kind == "athrottle":
        asyncio.run(main())
    elif kind == "run":
        run(call, [4, 4, 4], math.inf, workers=0, cost=lambda item: item, **options)
    elif kind == "arun":
        asyncio.run(arun(acall, [4, 4, 4], math.inf, cost=lambda item: item, **options))
    else:
        limiter = Limiter(math.inf, **options)
        for _ in range(3):
            with limiter.acquire(cost=4) as permit:
                call(_)
                assert permit.cost == 4.0
    assert times == [0.0, 0.0, 1.0]


def test_a_call_moves_the_next_slot_by_its_cost() -> None:
    clock = VirtualClock()
    costs = [3.0, 1.0, 0.5, 0.0, 2.0]
    handle = throttle(costs, 10.0, cost=lambda cost: cost, clock=clock)
    assert [clock.time() for _ in handle] == pytest.approx([0.0, 0.3, 0.4, 0.45, 0.45])


def test_who_waits_for_a_quota_may_give_up_and_nobody_elses_slot_moves() -> None:
    clock = VirtualClock()
    limiter = Limiter(math.inf, quotas=[Quota(1, 10.0, margin=0.0)], clock=clock)
    limiter.acquire().done()
    with pytest.raises(TimeoutError):
        limiter.acquire(timeout=3.0)
    with pytest.raises(TimeoutError):
        limiter.acquire(timeout=0.0)
    assert clock.time() == 3.0
    assert limiter.acquire().released == 10.0


def test_threads_of_a_real_pool_keep_to_a_quota() -> None:
    """40 calls of 20 in 0.2 s, from 8 threads; the times of release are the pacer's."""
    limiter = Limiter(math.inf, quotas=[Quota(20, 0.2)])
    permits: list[Any] = []

    def work() -> None:
        for _ in range(5):
            with limiter as permit:
                permits.append(permit)

    pool = [threading.Thread(target=work) for _ in range(8)]
    for thread in pool:
        thread.start()
    for thread in pool:
        thread.join()
    times = sorted(permit.released for permit in permits)
    assert len(times) == 40
    assert window(times, [1.0] * 40, 0.21) <= 20
    assert limiter.report().quota_held >= 1


QUOTAS = st.lists(
    st.builds(
        Quota,
        st.sampled_from([3.0, 5.0, 20.0]),
        st.sampled_from([0.5, 1.0, 7.0]),
        of=st.sampled_from(["calls", "cost"]),
        window=st.just("rolling"),
        align=st.just(False),
        burst=st.sampled_from([3.0, math.inf]),
        margin=st.sampled_from([0.0, 0.05]),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=100, deadline=None)
@given(
    quotas=QUOTAS,
    costs=st.lists(st.sampled_from([0.0, 0.1, 1.0, 2.0, 3.0]), min_size=1, max_size=60),
    tps=st.sampled_from([5.0, 50.0, math.inf]),
    took=st.sampled_from([0.0, 0.03, 0.4]),
    late=st.sampled_from(["auto", "burst", "delay", "skip"]),
)
def test_no_window_holds_more(
    quotas: list[Quota], costs: list[float], tps: float, took: float, late: str
) -> None:
    clock, times = VirtualClock(), []
    for _ in throttle(costs, tps, quotas=quotas, cost=float, late=late, clock=clock):
        times.append(clock.time())
        clock.wait(clock.time() + took, 0.0)
    assert len(times) == len(costs)
    for quota in quotas:
        weights = costs if quota.of == "cost" else [1.0] * len(costs)
        length = quota.per * (1.0 + quota.margin)
        assert window(times, weights, length * (1.0 - 1e-12)) <= quota.amount + 1e-9


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"quotas": Quota(5, 1)}, r"quotas=.*; allowed: a list of Quota"),
        ({"quotas": [5]}, r"quotas=.*; allowed: a list of Quota"),
        ({"quotas": [Quota(-1, 1)]}, r"amount=-1"),
        ({"quotas": [Quota(5, math.nan)]}, r"per=nan"),
        ({"cost": -1}, r"cost=-1; allowed: a number in \[0, inf\), or a function of the item"),
        ({"quotas": [Quota(5, 1, burst=6)]}, r"burst=6 above amount=5 changes nothing; allowed"),
        ({"cost": "3"}, r"cost='3'; allowed"),
        ({"cost": math.nan}, r"cost=nan; allowed"),
    ],
)
def test_bad_quotas_and_costs_get_one_line(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        throttle([1], 5.0, **options)
    assert "\n" not in str(caught.value)


def test_a_cost_that_is_none_is_named_when_its_item_comes_and_the_item_stays() -> None:
    handle = throttle([1.0, -2.0], 5.0, cost=float, clock=VirtualClock())
    assert next(handle) == 1.0
    with pytest.raises(InputError, match=r"cost=-2\.0; allowed: a number in \[0, inf\)"):
        next(handle)
    assert handle.pending == (-2.0,)


def test_a_call_that_no_quota_ever_lets_through_is_refused_at_once() -> None:
    limiter = Limiter(5.0, quotas=[Quota(100, 60.0, of="cost")], clock=VirtualClock())
    limiter.acquire(cost=100).done()
    with pytest.raises(InputError, match=r"cost=101 is more than the quota of 100 of cost"):
        limiter.acquire(cost=101)
    with pytest.raises(InputError, match="cost=True"):
        limiter.acquire(cost=True)
    assert limiter.report().in_flight == 0
    assert limiter.acquire(cost=1.0).released == pytest.approx(63.0)
    with pytest.raises(InputError, match=r"cost=101 is more than the quota of 100 of cost"):
        throttle([1], 5.0, cost=101, quotas=[Quota(100, 60.0, of="cost")])
    small = Limiter(5.0, quotas=[Quota(0.5, 60.0, of="cost")], clock=VirtualClock())
    assert small.acquire(cost=0.25).cost == 0.25


def test_the_report_of_calls_that_cost_more_counts_rates_in_calls() -> None:
    """Costs 1, 3, 1, 3, ... at 20 of cost a second: gaps of 0.05 and 0.15 s. The 40 calls before
    the last cost 20 x 1 + 20 x 3 = 80 in 4 s, so 10 calls a second, of cost 2 on average, as
    wanted."""
    handle = throttle(range(41), 20.0, cost=lambda k: 1.0 + 2.0 * (k % 2), clock=VirtualClock())
    for _ in handle:
        pass
    report = handle.report()
    assert report.verdict == "on pace, 10.00/s"
    assert (report.rate, report.mean_cost) == pytest.approx((10.0, 2.0))
    assert (report.commanded, report.wanted, report.target) == pytest.approx((10.0, 10.0, 10.0))
    assert (report.rate_error, report.doubles) == pytest.approx((0.0, 0.0), abs=1e-9)
    assert report.gaps_within_10 == 1.0
    assert "cost      2 a call on average, so 20 a second" in str(report)


def test_many_cheap_calls_are_no_burst_in_the_report() -> None:
    """Cost 0.1 at 20 of cost a second is 200 calls a second, 0.005 s apart; of cost 0, any."""
    handle = throttle(range(401), 20.0, cost=0.1, clock=VirtualClock())
    for _ in handle:
        pass
    report = handle.report()
    assert report.verdict == "on pace, 200.0/s"
    assert report.ceiling == pytest.approx(200.0 + 20.0 + 1.0)
    assert (report.doubles, report.gaps_within_10) == (0.0, 1.0)
    free = throttle(range(9), 20.0, cost=0.0, clock=VirtualClock())
    assert [free.report().released for _ in free] == [float(k + 1) for k in range(9)]
    assert str(free.report())


@pytest.mark.parametrize("how", ["loop", "run", "arun"])
def test_a_wait_that_goes_on_or_was_cut_short_counts(how: str) -> None:
    """Three calls, and the fourth waits for a minute; it is stopped as soon as a report says so."""
    seen: list[Report] = []
    begun = threading.Event()
    handles: list[Any] = []

    def watch(handle: Any) -> None:
        handles.append(handle)
        begun.set()

    def stop() -> None:
        begun.wait(60.0)
        (handle,) = handles
        until = time.monotonic() + 60.0
        while not handle.report().quota_wait > 0.0 and time.monotonic() < until:
            time.sleep(0.001)
        seen.append(handle.report())
        handle.stop()

    async def acall(item: int) -> int:
        return item

    stopping = threading.Thread(target=stop)
    stopping.start()
    options: dict[str, Any] = {"quotas": [Quota(3.0, per=60.0)]}
    if how == "loop":
        handle = throttle(range(9), math.inf, **options)
        watch(handle)
        assert list(handle) == [0, 1, 2]
        last = handle.report()
    elif how == "run":
        last = run(abs, range(9), math.inf, workers=2, started=watch, **options).report
    else:
        last = asyncio.run(arun(acall, range(9), math.inf, started=watch, **options)).report
    stopping.join()
    for report in (*seen, last):
        assert (report.released, report.quota_held) == (3, 1)
        assert "quota of 3 calls per 60 s held calls back once" in report.verdict
    assert last.quota_wait >= seen[0].quota_wait > 0.0
