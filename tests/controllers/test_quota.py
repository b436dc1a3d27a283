"""headroom at a service that refuses: each rule by hand, quotas of any kind, and one that refuses
everything.

The quotas of 100 a second and the outages at 5 ms a call were looked at while the law was designed;
37, 250 and 1 a second, the noisy services and the changed quota were not.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable

import pytest
from helpers.laws import done, fed

from tpssim import Scenario, simulate
from tpssim.controllers import CONTROLLERS
from tpssim.controllers._headroom_rate import Cubic, Served, along, paced, unrefused
from tpssim.controllers.headroom import Headroom
from tpssim.core.pacer import Pacer
from tpssim.core.types import OK, REJECTED, Observation
from tpssim.scenarios.disturbances import Stall
from tpssim.scenarios.plant import Async, Backend, Blocking
from tpssim.scenarios.service_quotas import ServiceQuota
from tpssim.scenarios.service_times import Constant, Gamma, Lognormal, Service

LAW = Headroom(cut=0.9)
Server = Callable[[float], bool]


def served(count: int, start: float = 0.0) -> list[Observation]:
    """So many calls of one caller, one each 10 ms, of 1 ms each."""
    return [done(start + 0.01 * (k + 1), 0.001) for k in range(count)]


def refused(now: float) -> Observation:
    return done(now, 0.001, dropped=True)


def told(now: float, waited: float) -> Observation:
    """A served call that an answer had held back for so long."""
    return done(now, 0.001)._replace(lag=waited)


def test_one_refused_call_is_an_accident_and_two_are_not() -> None:
    states = fed(LAW, [*served(100), refused(1.01), refused(1.02)])
    assert [state.rate for state in states[-2:]] == [100.0, 50.0]  # the trial waits two calls' time
    # 34 calls later the first counts for less than a half: 0.98^35 = 0.49.
    states = fed(LAW, [*served(100), refused(1.01), *served(35, 1.01), refused(1.37)])
    assert states[-1].rate == 100.0


def test_trials_wait_a_share_of_the_time_for_which_it_has_refused() -> None:
    # At 1.02 it refuses; 0.02 s later the next trial waits 0.02 s and 0.15 x 0.02 s.
    state = fed(LAW, [*served(100), refused(1.01), refused(1.02), refused(1.04)])[-1]
    assert state.pace.down == pytest.approx(0.02)
    assert 1.0 / state.rate == pytest.approx(0.02 + 0.15 * 0.02)


def test_it_goes_on_at_what_was_served() -> None:
    # 101 served: 100 in 0.99 s (the first begins it), 0.03 s of refusals, half of the last 20 ms.
    state = fed(
        LAW, [*served(100), refused(1.01), refused(1.02), refused(1.03), done(1.05, 0.001)]
    )[-1]
    mean = 101.0 / (0.99 + 0.03 + 0.01)
    mark = (mean + 100.0) / 2.0
    assert state.pace.cubic.mark == pytest.approx(mark)
    assert state.pace.allowed == pytest.approx(0.9 * mark)
    assert state.pace.cubic.span == 64.0
    assert state.rate == state.pace.allowed
    # Along the cubic: at the mark after K = 64 (1 - cut)^(1/3) calls.
    assert along(100.0, 0.9 * 100.0, 0.9, 0.1 ** (1.0 / 3.0)) == pytest.approx(100.0)


def test_after_an_outage_the_rate_of_before_is_tried_again_once() -> None:
    # 100 served in 0.99 s, 2 refused; after 30 s one is served. Its trial had been due at once.
    outage = [*served(100), refused(1.01), refused(1.02), done(31.02, 0.001)]
    first = fed(LAW, outage)[-1].pace
    assert first.mean == pytest.approx(101.0 / (1.01 + 15.0))
    # Before it refused, 101 in 1.01 s: 100 a second was wanted, and is the most.
    assert (first.cubic.mark, first.allowed) == (pytest.approx(100.0), pytest.approx(90.0))
    # Just the same again is no accident: the mean over all of the time is what is allowed.
    again = [*served(100, 31.02), refused(32.03), refused(32.04), done(62.04, 0.001)]
    second = fed(LAW, [*outage, *again])[-1].pace
    assert second.mean == pytest.approx(101.0 / (1.02 + 15.0))
    # That is known for longer, so it begins closer: 0.1 (64 / 320)^(1/2) below.
    assert second.allowed == pytest.approx((1.0 - 0.1 / 5.0**0.5) * 1.03 * first.mean)


def test_a_timeout_shows_an_outage_since_the_call_was_released() -> None:
    # Two calls of 1.0 and 1.01 s time out after 5 s; one of 6.02 s is served. So it refused from
    # 1.0 s on: 101 in the 1.0 s of before, not in 6.01 s.
    outage = [done(6.0, 5.0, dropped=True), done(6.01, 5.0, dropped=True), done(6.03, 0.001)]
    pace = fed(LAW, [*served(100), *outage])[-1].pace
    assert pace.mean == pytest.approx(101.0 / 6.01)
    assert pace.allowed == pytest.approx(90.0)


def test_how_long_a_call_takes_is_not_told_by_one_that_waited_for_the_end_of_an_outage() -> None:
    # As before, but the call that is served was released at 6.03 and had to wait until 16.0 s. It
    # refused from 1.0 s on, or 15 s: that is not brief beside calls of a millisecond.
    outage = [done(6.0, 5.0, dropped=True), done(6.01, 5.0, dropped=True), done(16.0, 9.97)]
    pace = fed(LAW, [*served(100), *outage])[-1].pace
    assert pace.mean == pytest.approx(101.0 / (6.0 + 9.99 / 2.0))
    assert pace.allowed == pytest.approx(90.0)
    assert pace.cubic.span == 64.0


def test_the_mark_of_a_rate_that_is_confirmed_is_closer_to_the_one_that_was_refused() -> None:
    # Twice the same: 95 served in 0.99 s and half of 20 ms, then refused at 100 a second. At first
    # the mark is half of the way, (95 + 100) / 2; once that is confirmed, three quarters.
    pace = unrefused()._replace(allowed=100.0, seen=1.0, down=0.0, turn=1.0, unit=0.001)
    again = Served(calls=94.0, time=0.99, down=0.0, dry=0.0)
    first = paced(pace._replace(served=again), done(1.02, 0.001), 0.0, 100.0, 0.9)
    mean = 95.0 / (0.99 + 0.01)
    assert first.cubic.mark == pytest.approx((mean + 100.0) / 2.0)
    known = first._replace(allowed=100.0, down=0.0, seen=1.0, turn=1.0, served=again)
    second = paced(known, done(1.02, 0.001), 0.0, 100.0, 0.9)
    assert second.mean == pytest.approx(mean)
    assert second.cubic.mark == pytest.approx(mean + 0.75 * (100.0 - mean))


def test_a_call_that_was_told_when_to_come_back_is_no_accident() -> None:
    # Refused at 1.01, released 2 s after its slot, and served: 101 in 1.0 s, and 1.995 s closed
    # (all of 1.99 that the answer held it back, half of the 10 ms of the interval).
    history = [*served(100), refused(1.01), told(3.01, 1.99)]
    state = fed(LAW, history)[-1]
    assert state.pace.mean == pytest.approx(101.0 / (1.0 + 1.995))
    # 101 in the second before, at most the 100 a second of then: tried again, at 0.9 of that.
    assert state.rate == pytest.approx(90.0)
    # Where nothing is late, nobody asked for anything.
    quiet = fed(LAW, [*served(100), refused(1.01), done(3.01, 0.001)])[-1]
    assert (quiet.rate, quiet.pace.mean) == (100.0, 0.0)


def test_a_confirmed_rate_is_tried_ever_more_seldom() -> None:
    # Always the 100 a second that are wanted, refused after the mark was passed: K = 0.1^(1/3) of
    # the span, which are 30, 149, 743 and 951 calls.
    history, now, spans, begins = served(100), 1.0, [], []
    for calls in (100, 200, 800, 1000, 100):
        history += [refused(now + 0.01), refused(now + 0.02), *served(calls, now + 0.02)]
        cubic = fed(LAW, history)[-1].pace.cubic
        spans.append(cubic.span)
        begins.append(1.0 - cubic.least / cubic.mark)
        now += 0.02 + 0.01 * calls
    assert spans == [64.0, 320.0, 1600.0, 2048.0, 2048.0]
    # It begins the closer to the mark the longer that is known: 0.1 sqrt(64 / span) below it.
    assert begins == pytest.approx([0.1, 0.1 / 5.0**0.5, 0.02, 0.1 / 32.0**0.5, 0.1 / 32.0**0.5])
    # Refused below the mark, 60 calls later: it is not confirmed, and is trusted as before.
    until = [obs for obs in history if obs.now <= 2.04 + 1e-9]
    assert fed(LAW, [*until, done(2.05, 0.001)])[-1].pace.cubic.span == 320.0
    below = [*until, *served(60, 2.04), refused(2.65), refused(2.66), done(2.68, 0.001)]
    known = fed(LAW, below)
    assert known[-2].pace.down >= 0.0
    assert known[-1].pace.of == 60.0
    assert known[-1].pace.cubic.span == 320.0


def test_what_takes_more_than_was_known_is_searched_again() -> None:
    # From the start all is refused: taken up at half of 100 a second, flat at 100, K = 0.5^(1/3).
    # 64 (K + 0.15^(1/3)) = 84.8 calls later 115 a second are allowed; but 100 are wanted, so there
    # it ends, at the first rate that is not below.
    begun = [refused(0.01), refused(0.02), done(10.0, 0.001)]
    state = fed(LAW, [*begun, *served(200, 10.0)])[-1]
    assert state.rate == 100.0
    assert 100.0 <= state.pace.allowed < 100.1
    # With 1,000 wanted the curve goes on, and begins again above 115, as short as at first.
    many = [obs._replace(target=1000.0) for obs in served(86, 10.0)]
    pace = fed(LAW, [*begun, *many])[-1].pace
    assert (pace.cubic.span, pace.cubic.calls) == (64.0, 1.0)
    assert 115.0 < pace.cubic.mark < 117.0


def test_a_few_calls_tell_no_rate_and_the_next_ones_are_slower() -> None:
    # Taken up at 50; 4 served and 2 refused in between are too few: 0.9 x 50 then.
    begun = [refused(0.01), refused(0.02), done(10.0, 0.001), *served(4, 10.0)]
    few = [refused(10.05), refused(10.06), done(11.0, 0.001)]
    pace = fed(LAW, [*begun, *few])[-1].pace
    assert (pace.allowed, pace.cubic.mark) == (pytest.approx(45.0), 100.0)


def test_a_pause_of_the_caller_is_no_time_of_the_service() -> None:
    # An hour in which nothing was asked for, and then two refusals: about 100 a second were served.
    history = [
        *served(100),
        *served(100, 3600.0),
        refused(3601.01),
        refused(3601.02),
        done(3601.03, 0.001),
    ]
    assert fed(LAW, history)[-1].pace.cubic.mark > 95.0


def test_a_service_that_refuses_from_the_start_is_taken_up_at_half() -> None:
    history = [refused(0.01), refused(0.02), refused(10.0), done(20.0, 0.001)]
    assert fed(LAW, history)[-1].pace.allowed == 50.0


def test_a_rate_that_was_found_while_the_service_was_slow_rises_when_it_is_quick() -> None:
    """Calls took 0.9 s, and now 0.1: the mean of the logarithms falls by ln 9 (1 - (31 / 32)^n), by
    1.1 with n = 22: 1.1045, the logarithm of 3.0178.
    """
    cubic = Cubic(mark=20.0, least=18.6, span=256.0, scale=256.0, calls=9.0)
    pace = unrefused()._replace(allowed=19.0, cubic=cubic, unit=0.9, found=0.0, seen=0.0)
    for n in range(1, 23):
        assert pace.allowed == 19.0
        quick = Observation(0.1 * n, 100.0, 0.1, 0.0)
        pace = paced(pace, quick, 0.0, 10.0, 0.93)
    assert pace.allowed == pytest.approx(19.0 * 3.0178, rel=1e-3)
    expected = (20.0 * 3.0178, 19.0 * 3.0178, 64.0, 64.0, 0.0)
    assert tuple(pace.cubic) == pytest.approx(expected, rel=1e-3)
    assert pace.found == pace.level
    # A call that failed says nothing.
    failed = Observation(3.0, 100.0, 0.001, 0.0, errors=1.0)
    assert paced(pace, failed, 0.0, 10.0, 0.93).level == pace.level


def test_for_want_of_a_place_one_call_fewer_is_in_flight_and_the_rate_stays() -> None:
    ended = [done(0.01 * (k + 1), 0.1, 10.0) for k in range(60)]
    once = [done(0.61, 0.1, 10.0, dropped=True), done(0.62, 0.1, 10.0, dropped=True)]
    paced = [*ended, *once, *(done(0.8 + 0.01 * k, 0.1, 10.0) for k in range(200))]
    before, after = fed(LAW, [*paced, done(3.0, 0.1, 12.0, dropped=True)])[-2:]
    assert after.rate == before.rate
    assert (after.flight.allowance.calls, after.limit) == (11.0, 11.0)


# Quotas.


def rolling(quota: float, per: float = 1.0, *, all_count: bool = True) -> Server:
    """At most so many in any stretch of `per` seconds, refused ones included or not."""
    begun: deque[float] = deque()

    def takes(now: float) -> bool:
        while begun and begun[0] <= now - per:
            begun.popleft()
        takes = len(begun) + 1 <= quota
        if takes or all_count:
            begun.append(now)
        return takes

    return takes


def fixed(quota: float, per: float = 1.0, phase: float = 0.37) -> Server:
    """At most so many in each of the windows that follow each other."""
    seen: dict[int, int] = {}

    def takes(now: float) -> bool:
        window = math.floor((now + phase) / per)
        seen[window] = seen.get(window, 0) + 1
        return seen[window] <= quota

    return takes


def driven(
    server: Server,
    target: float,
    duration: float,
    latency: float,
    *,
    alone: bool = False,
    law: str = "headroom",
) -> list[tuple[float, bool]]:
    """When each call was released, and whether it was served; each takes `latency` s, refused or
    not.
    """
    half = [0.5] * 200_000
    pacer = Pacer(CONTROLLERS[law](), target, 0.0, half, half)
    flying: list[tuple[float, int, float, bool, float]] = []
    calls: list[tuple[float, bool]] = []
    now = 0.0
    for number in itertools.count():
        due = math.inf if alone and flying else max(pacer.due(), now)
        ends = flying[0][0] if flying else math.inf
        now = min(due, ends)
        if now >= duration:
            return calls
        if ends <= due:
            _, _, lag, good, among = heapq.heappop(flying)
            error = 0.0 if good else 1.0
            pacer.settled(now, latency, lag, error, error, among)
        elif pacer.release(now):
            good = server(now)
            calls.append((now, good))
            heapq.heappush(
                flying, (now + latency, number, now - pacer.deadline, good, float(pacer.flying))
            )
    raise AssertionError


def shares(calls: list[tuple[float, bool]], allowed: float) -> tuple[float, float]:
    """(share of what is allowed that was served, share of the calls that was refused)."""
    good = sum(good for _, good in calls)
    return good / allowed, 1.0 - good / len(calls)


@pytest.mark.parametrize("target", [150.0, 300.0, 1000.0])
@pytest.mark.parametrize("latency", [0.001, 0.01, 0.03])
@pytest.mark.parametrize("kind", [rolling, fixed])
def test_a_quota_of_a_hundred_a_second(
    kind: Callable[[float], Server], latency: float, target: float
) -> None:
    calls = driven(kind(100.0), target, 40.0, latency)
    assert shares(calls, 4000.0)[0] >= 0.9
    assert shares([call for call in calls if call[0] >= 5.0], 3500.0)[1] <= 0.02


@pytest.mark.parametrize("quota", [37.0, 250.0])
@pytest.mark.parametrize("kind", [rolling, fixed, lambda quota: rolling(quota, all_count=False)])
def test_other_quotas(kind: Callable[[float], Server], quota: float) -> None:
    used, lost = shares(driven(kind(quota), 3.0 * quota, 10_000.0 / quota, 0.02), 10_000.0)
    assert used >= 0.9
    assert lost <= 0.03


def test_sixty_a_minute() -> None:
    # In no unit of the law's own: it is the quota of 60 a second, sixty times slower.
    used, lost = shares(driven(rolling(60.0, 60.0), 5.0, 3600.0, 0.2), 3600.0)
    assert used >= 0.9
    assert lost <= 0.03


def test_a_quota_that_falls_is_kept_and_one_that_rises_is_found_in_2500_calls() -> None:
    few, many = rolling(50.0), rolling(100.0)
    calls = driven(lambda now: (few if 40.0 <= now < 80.0 else many)(now), 300.0, 180.0, 0.01)
    low = [call for call in calls if 45.0 <= call[0] < 80.0]
    assert shares(low, 35.0 * 50.0)[0] >= 0.9
    assert shares(low, 35.0 * 50.0)[1] <= 0.05
    later = [call for call in calls if call[0] >= 80.0][2500:]
    assert shares(later, (180.0 - later[0][0]) * 100.0)[0] >= 0.9


def told_when(amount: float, counts_refused: float, window: str = "rolling") -> Backend:
    """A quota of so many in a second, whose answers say when to come back."""
    quota = ServiceQuota(amount, 1.0, window=window, counts_refused=counts_refused, retry_after=1.0)
    return Backend(quotas=(quota,))


@pytest.mark.parametrize(
    ("backend", "takes", "target"),
    [
        (told_when(100.0, 1.0), 0.001, 300.0),
        (told_when(100.0, 1.0), 0.03, 300.0),
        (told_when(100.0, 0.0, "fixed"), 0.01, 1000.0),
    ],
)
def test_plain_quotas_of_the_bench(backend: Backend, takes: float, target: float) -> None:
    """90 % served, and after 5 s at most 3 % refused. A law that counts no time while an answer
    keeps it waiting has up to 35 % refused for good.
    """
    overlapping = Async(feedback="completion")
    plant = Scenario("plain", Constant(takes), target, 30.0, overlapping, backend=backend)
    trace = simulate(plant, "headroom", engine="simpy")
    assert ((trace.outcome == OK) & (trace.completed <= 30.0)).sum() >= 0.9 * 100.0 * 30.0
    assert (trace.outcome[trace.released >= 5.0] == REJECTED).mean() <= 0.03


@pytest.mark.parametrize("takes", [0.05, 0.2])
def test_after_a_long_outage_what_was_served_before_is_served_again(takes: float) -> None:
    """Of the 2,500 calls that are wanted in the 25 s outside of it, 93 %: half of the longest wait
    for a trial, 0.15 x 20 s, is 6 %.
    """
    plant = Scenario(
        "outage", Constant(takes), 100.0, 45.0, Async(feedback="completion"), timeout=1.0
    )._replace(disturbances=(Stall(10.0, 30.0),), backend=Backend(servers=40.0))
    trace = simulate(plant, "headroom", engine="simpy")
    assert ((trace.outcome == OK) & (trace.completed <= 45.0)).sum() >= 0.93 * 2500.0


@pytest.mark.parametrize("service", [Lognormal(0.03, 0.5), Gamma(0.03, 1.0), Constant(0.03)])
@pytest.mark.parametrize("consumer", [Async(0.0, "completion"), Blocking()])
def test_the_bench_s_quota_with_noise(service: Service, consumer: Async | Blocking) -> None:
    blocking = isinstance(consumer, Blocking)
    quota = 20.0 if blocking else 100.0  # one call at a time makes 33 a second at most
    scenario = Scenario("quota", service, 300.0, 40.0, consumer, backend=Backend(rate=quota))
    trace = simulate(scenario, "headroom", seed=5, engine="simpy")
    good = int((trace.outcome == 0).sum())
    # A blocked caller whose calls vary as much as they last catches up in bursts, which cost a
    # little.
    assert good >= (0.88 if blocking else 0.9) * quota * 40.0
    assert (trace.outcome[trace.released >= 5.0] == REJECTED).mean() <= 0.03


def test_a_short_burst_after_a_long_wait_says_nothing_of_the_rate_served() -> None:
    # 20 calls, then refused for 2 s, for the answer said so: 21 calls from 0.01 to 2.22 s.
    first = [*served(20), refused(0.21), refused(0.22), told(2.22, 2.0)]
    assert fed(LAW, first)[-1].pace.mean == pytest.approx(21.0 / 2.21)
    # 21 more in 0.24 s are less than a quarter of 2 s; in 0.57 s they are not.
    again = [*first, *served(20, 2.22), refused(2.43), refused(2.44)]
    assert fed(LAW, [*again, told(2.46, 0.02)])[-1].pace.mean == pytest.approx(21.0 / 2.21)
    assert fed(LAW, [*again, told(2.79, 0.35)])[-1].pace.mean == pytest.approx(21.0 / 0.57)


@pytest.mark.parametrize("out", [17.0, 20.0, 23.0])
def test_a_service_that_refuses_everything_is_tried_seldom_and_taken_up_soon(out: float) -> None:
    # 5 ms a call, 50 a second wanted, one at a time. The best laws: 20 calls (botocore-cubic), back
    # in 3.2 s (aimd-epoch).
    calls = driven(lambda now: not 10.0 <= now < 10.0 + out, 50.0, 50.0 + out, 0.005, alone=True)
    into = sum(1 for now, _ in calls if 10.0 <= now < 10.0 + out)
    assert into <= 40
    late = [now for now, good in calls if good and now >= 10.0 + out]
    back = next(
        k * 0.1 for k in range(300) if sum(0 <= t - 10.0 - out - k * 0.1 < 1.0 for t in late) >= 45
    )
    assert back <= 6.4
