"""Quotas of a service, by hand and against a slow count of everything that began."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from helpers.laws import run

from tpssim.core.errors import InputError
from tpssim.core.schedule import BURST
from tpssim.core.types import OK, REJECTED, TIMED_OUT
from tpssim.scenarios.capacity import achievable, capacity
from tpssim.scenarios.plant import Async, Backend, quota_rate
from tpssim.scenarios.retries import Retry
from tpssim.scenarios.scenario import Producer, Scenario, checked_scenario
from tpssim.scenarios.service_quotas import (
    Meters,
    ServiceQuota,
    seconds_until,
    window_number,
)
from tpssim.scenarios.service_times import Constant


def plant(*quotas: ServiceQuota, **more: Any) -> Scenario:
    """A call each 1/4 s of 1/16 s."""
    scenario = Scenario("s", Constant(0.0625), 4.0, 4.0, Async(0.0, "completion"), late=BURST)
    backend = Backend(quotas=quotas, **{k: more.pop(k) for k in ("silent",) if k in more})
    return checked_scenario(scenario._replace(backend=backend, **more))


def accepted(scenario: Scenario) -> list[int]:
    trace = run(scenario)
    assert set(trace.outcome.tolist()) <= {OK, REJECTED}
    return [k for k, outcome in enumerate(trace.outcome.tolist()) if outcome == OK]


def test_a_rolling_window_forgets_a_call_exactly_one_window_later() -> None:
    # Two in any second: 0 and 1/4 pass, 1/2 and 3/4 do not; at 1 the call of 0 has just left.
    assert accepted(plant(ServiceQuota(2.0, 1.0))) == [0, 1, 4, 5, 8, 9, 12, 13]


def test_fixed_windows_begin_with_the_run_whatever_came_before() -> None:
    # One producer comes at 3/4: of the window up to 1 it gets 3/4, of the next 1 and 5/4.
    scenario = plant(ServiceQuota(2.0, 1.0, window="fixed"), producers=(Producer(0.75),))
    trace = run(scenario)
    assert trace.released[trace.outcome == OK].tolist()[:5] == [0.75, 1.0, 1.25, 2.0, 2.25]
    # The rolling window has room only a second after the first of two.
    rolling = run(plant(ServiceQuota(2.0, 1.0), producers=(Producer(0.75),)))
    assert rolling.released[rolling.outcome == OK].tolist()[:4] == [0.75, 1.0, 1.75, 2.0]


def test_whoever_counts_refused_calls_never_lets_a_crowd_in_again() -> None:
    # Four a second where two are allowed: with refused ones counted the window is always full.
    assert accepted(plant(ServiceQuota(2.0, 1.0, counts_refused=1.0))) == [0, 1]


def test_all_quotas_must_have_room_and_none_counts_what_another_refused() -> None:
    # One in half a second, three in two seconds: 0, 1/2, 1; then not before 2.
    both = plant(ServiceQuota(1.0, 0.5), ServiceQuota(3.0, 2.0))
    assert accepted(both) == [0, 2, 4, 8, 10, 12]
    # The long one counts the refused ones of the short one too: 0, 1/4, 1/2 fill it for good.
    counting = plant(ServiceQuota(1.0, 0.5), ServiceQuota(3.0, 2.0, counts_refused=1.0))
    assert accepted(counting) == [0, 2]


def test_a_quota_counts_what_it_let_in_though_a_limit_rejects_it() -> None:
    # One at a time, each for 3/8 s: 1/4 is beyond the limit, and the second of two in the quota, so
    # 1, when nobody is inside, is rejected too.
    times = (Producer(end=0.5), Producer(1.0, 1.25))
    scenario = plant(ServiceQuota(2.0, 10.0), service=Constant(0.375), producers=times)
    limited = scenario.backend._replace(limit=1.0)
    assert accepted(scenario._replace(backend=limited._replace(quotas=()))) == [0, 2]
    assert accepted(scenario._replace(backend=limited)) == [0]


def test_a_refusal_is_answered_after_the_service_time_or_never() -> None:
    trace = run(plant(ServiceQuota(1.0, 10.0)))
    assert trace.outcome[1] == REJECTED
    assert trace.completed[1] == 0.25 + 0.0625
    silent = run(plant(ServiceQuota(1.0, 10.0), silent=1.0, timeout=0.125))
    assert silent.outcome[1] == TIMED_OUT
    assert silent.completed[1] == 0.25 + 0.125


@pytest.mark.parametrize(
    ("quota", "again"),
    [
        # The call of 1/4 is told to come when that of 0 leaves.
        (ServiceQuota(1.0, 2.0, retry_after=1.0), 2.0),
        (ServiceQuota(1.0, 1.5, window="fixed", retry_after=1.0), 1.5),
        # It is counted itself, so it is told to come when it leaves.
        (ServiceQuota(1.0, 2.0, counts_refused=1.0, retry_after=1.0), 2.25),
        # Nothing is said: it comes after its own wait of 1/8.
        (ServiceQuota(1.0, 2.0), 0.25 + 0.0625 + 0.125),
    ],
)
def test_a_retry_waits_until_the_answer_says(quota: ServiceQuota, again: float) -> None:
    scenario = plant(quota, producers=(Producer(end=0.5),), retry=Retry(1.0, 0.125))
    trace = run(scenario)
    # 0 passes; 1/4 is refused at first, and once more where nothing is said.
    assert trace.released.tolist() == [0.0, 0.25]
    assert trace.completed[1] == again + 0.0625
    assert trace.outcome[1] == (OK if quota.retry_after else REJECTED)


def test_a_call_that_never_fits_is_told_nothing() -> None:
    meters = Meters((ServiceQuota(5.0, 1.0, "cost", retry_after=1.0),))
    assert meters.take(0.0, 6.0) == math.inf
    assert seconds_until(math.inf, 0.0) == 0.0


def test_a_refusal_at_once_that_names_whole_seconds() -> None:
    """Two in any second. Call 2 is refused at 1/2, at once; there is room at 1, but the answer says
    a whole second: nothing comes before 3/2. Then three are due, of which two pass and the third is
    told to come at 5/2, before the next one, due as well, is released; and so on.
    """
    trace = run(plant(ServiceQuota(2.0, 1.0, retry_after=1.0, whole=1.0, at_once=1.0)))
    assert trace.outcome.tolist() == [OK, OK, REJECTED] * 4
    assert trace.released.tolist() == [0.0, 0.25, 0.5, *[1.5] * 3, *[2.5] * 3, *[3.5] * 3]
    refused = trace.outcome == REJECTED
    assert (trace.completed - trace.released)[refused].tolist() == [0.0] * 4
    # With a service time the answer to call 2 comes at 9/16, and says a whole second from there.
    later = run(plant(ServiceQuota(2.0, 1.0, retry_after=1.0, whole=1.0)))
    assert later.released[3] == 1.5625


def test_an_answer_is_never_a_last_bit_too_early() -> None:
    # Half a last bit is lost twice: in the difference, and in the sum of it and `sent`.
    sent, opens = 2.0**-48, 61.0 + 2.0**-47
    assert sent + (opens - sent) < opens
    assert opens <= sent + seconds_until(opens, sent) <= opens + 2.0**-46
    rng = random.Random(5)
    for _ in range(2000):
        sent = rng.uniform(0.0, 100.0)
        opens = sent + rng.choice([1e-6, 1e-3, 1.0, 1e3]) * rng.random()
        assert sent + seconds_until(opens, sent) >= opens


def test_whoever_comes_when_told_has_room() -> None:
    rng = random.Random(6)
    for window in ("rolling", "fixed"):
        meters = Meters((ServiceQuota(3.0, 0.7, window=window, retry_after=1.0),))
        now, told = 0.0, 0
        for _ in range(3000):
            now += rng.expovariate(6.0)
            opens = meters.take(now, 1.0)
            if opens > 0.0:
                told += 1
                now = opens
                assert meters.take(now, 1.0) == -1.0
        assert told > 300


@pytest.mark.parametrize("window", ["rolling", "fixed"])
@pytest.mark.parametrize("of", ["calls", "cost"])
@pytest.mark.parametrize("counts_refused", [0.0, 1.0])
def test_windows_against_a_slow_count(window: str, of: str, counts_refused: float) -> None:
    rng = random.Random(7)
    quota = ServiceQuota(24.0, 1.0, of, window, counts_refused)
    meters = Meters((quota,))
    counted: list[tuple[float, float]] = []
    now, passed = 0.0, 0
    for _ in range(3000):
        now += rng.expovariate(30.0 if of == "calls" else 12.0)
        cost = float(rng.randrange(6))
        taken = 1.0 if of == "calls" else cost
        start = now - 1.0 if window == "rolling" else math.floor(now) - 1e-12
        room = taken + sum(c for t, c in counted if t > start) <= 24.0
        assert (meters.take(now, cost) < 0.0) == room
        passed += room
        if room or counts_refused:
            counted.append((now, taken))
    assert 200 < passed < 2900


def test_the_ends_of_fixed_windows_are_products() -> None:
    for per in (0.1, 0.7, 1.0 / 3.0, 60.0):
        for k in (1, 3, 7, 1000, 999_999):
            edge = k * per
            assert window_number(edge, per) == k
            assert window_number(math.nextafter(edge, 0.0), per) == k - 1


def test_capacity_follows_the_quotas() -> None:
    assert quota_rate(ServiceQuota(500.0, 60.0), 99.0) == 500.0 / 60.0
    assert quota_rate(ServiceQuota(200e3, 60.0, "cost"), 1000.0) == pytest.approx(10.0 / 3.0)
    assert quota_rate(ServiceQuota(200e3, 60.0, "cost"), 0.0) == math.inf
    scenario = plant(ServiceQuota(8.0, 2.0), ServiceQuota(100.0, 10.0), target=16.0)
    assert capacity(scenario, 0.0) == 4.0
    assert achievable(scenario, 0.0) == 4.0
    # And that is what passes: eight in each stretch of two seconds, at once.
    long = scenario._replace(duration=40.0)
    assert (run(long).outcome == OK).sum() == 160


@pytest.mark.parametrize(
    ("quotas", "message"),
    [
        ((ServiceQuota(0.0, 1.0),), "amount=0 is out of range; allowed: "),
        ((ServiceQuota(math.nan, 1.0),), "amount=nan is out of range"),
        ((ServiceQuota(math.inf, 1.0),), "amount=inf is out of range"),
        ((ServiceQuota(2.5, 1.0),), "amount=2.5 is no whole number of calls; allowed: 1, 2, 3"),
        ((ServiceQuota(5.0, -1.0),), "per=-1 is out of range"),
        ((ServiceQuota(5.0, 1.0, "tokens"),), "of='tokens'; allowed: calls, cost"),
        ((ServiceQuota(5.0, 1.0, window="open"),), "window='open'; allowed: rolling, fixed"),
        ((ServiceQuota(5.0, 1.0, retry_after=0.5),), "retry_after=0.5 is out of range"),
        (ServiceQuota(5.0, 1.0), r"allowed: a tuple of ServiceQuota\(amount, per\)"),
        ((5.0,), r"quotas=\(5.0,\); allowed: a tuple of ServiceQuota"),
    ],
)
def test_impossible_quotas_are_refused_in_one_line(quotas: Any, message: str) -> None:
    scenario = Scenario("s", Constant(0.1), 4.0, 4.0, backend=Backend(quotas=quotas))
    with pytest.raises(InputError, match=message) as error:
        checked_scenario(scenario)
    assert "\n" not in str(error.value)


def test_a_quota_of_whole_numbers_becomes_one_of_floats() -> None:
    given: Any = ServiceQuota(5, 60)
    scenario = Scenario("s", Constant(0.1), 4.0, 4.0, backend=Backend(quotas=(given,)))
    (quota,) = checked_scenario(scenario).backend.quotas
    assert (type(quota.amount), type(quota.per)) == (float, float)
