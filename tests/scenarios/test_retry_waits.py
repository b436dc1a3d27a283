"""Waits between attempts, their jitter and the budget, by hand and in closed form."""

from __future__ import annotations

import math
from typing import Any

import pytest
from helpers.laws import run

from tpssim.core.errors import InputError
from tpssim.core.schedule import BURST
from tpssim.core.types import FAILED, OK, REJECTED
from tpssim.scenarios.capacity import achievable
from tpssim.scenarios.plant import Async, Backend, success
from tpssim.scenarios.retries import Retry, affordable, deposited, drawn_wait
from tpssim.scenarios.scenario import Producer, Scenario, checked_scenario
from tpssim.scenarios.service_quotas import ServiceQuota
from tpssim.scenarios.service_times import Constant, draws


def plant(mean: float, target: float, duration: float, **more: Any) -> Scenario:
    return checked_scenario(
        Scenario(
            "s", Constant(mean), target, duration, Async(0.0, "completion"), late=BURST
        )._replace(**more)
    )


def test_full_jitter_is_a_share_of_the_plain_wait() -> None:
    retry = Retry(9, base=0.5, growth=2.0, cap=3.0, jitter="full")
    # Of 1/2, 1, 2, 3, 3.
    assert [drawn_wait(retry, n, 0.75, 99.0) for n in range(1, 6)] == [0.375, 0.75, 1.5, 2.25, 2.25]
    assert drawn_wait(retry, 4, 0.0, 99.0) == 0.0


def test_decorrelated_jitter_lies_between_the_base_and_three_times_the_last() -> None:
    retry = Retry(9, base=0.5, growth=7.0, cap=10.0, jitter="decorrelated")
    # At first between 1/2 and 3/2; then, after 1, between 1/2 and 3; at most the cap.
    assert [drawn_wait(retry, 1, u, 0.0) for u in (0.0, 0.5)] == [0.5, 1.0]
    assert [drawn_wait(retry, 2, u, 1.0) for u in (0.0, 0.5)] == [0.5, 1.75]
    assert drawn_wait(retry, 3, 0.75, 8.0) == 10.0
    assert drawn_wait(Retry(9, base=5.0, cap=2.0, jitter="decorrelated"), 1, 0.0, 0.0) == 2.0


@pytest.mark.parametrize("jitter", ["full", "decorrelated"])
def test_each_wait_has_its_own_draw_by_producer_attempt_and_slot(jitter: str) -> None:
    # Every attempt is refused at once (1/64 s), so the times of the attempts show the waits.
    retry = Retry(2, base=0.25, growth=2.0, cap=9.0, jitter=jitter)
    nothing = Backend(quotas=(ServiceQuota(1.0, 1e6, counts_refused=1.0),))
    scenario = plant(
        1 / 64,
        1.0,
        40.0,
        backend=nothing,
        retry=retry,
        producers=(Producer(), Producer()),
    )
    trace = run(scenario, seed=3)
    for producer in (0, 1):
        one, two = (draws("retry.uniform", 30, 3, 0, producer, attempt) for attempt in (1, 2))
        took = (trace.completed - trace.released)[trace.producer == producer]
        for slot in range(1, 30):  # the first call of all passes
            first = 0.25 * one[slot] if jitter == "full" else 0.25 + one[slot] * 0.5
            second = 0.5 * two[slot] if jitter == "full" else 0.25 + two[slot] * (3 * first - 0.25)
            assert took[slot] == pytest.approx(3 / 64 + first + second, abs=1e-12)


def test_a_budget_by_hand() -> None:
    # Nothing but refusals, a retry 1/8 s later. Each call pays for half a retry of at most two.
    nothing = Backend(quotas=(ServiceQuota(1.0, 1e6, counts_refused=1.0),))
    retry = Retry(2, base=0.125, growth=1.0, budget=0.5)
    trace = run(plant(1 / 64, 1.0, 41.0, backend=nothing, retry=retry))
    took = trace.completed - trace.released
    retries = ((took - 1 / 64) / (0.125 + 1 / 64)).round().tolist()
    # Ten tokens at the start, and no more than ten: call 0 passes, 1 to 6 take 12 and bring 3;
    # then there is 1, of call 7 another half: one retry; and so on, one for each two calls.
    assert retries[:7] == [0, 2, 2, 2, 2, 2, 2]
    tokens = 10.0
    for found in retries[1:]:
        tokens = min(tokens + 0.5, 10.0)
        wanted = min(2.0, math.floor(tokens))
        assert found == wanted
        tokens -= wanted
    assert sum(retries[-20:]) == 10


def test_tokens_never_exceed_the_reserve_and_ten_tenths_are_one() -> None:
    assert deposited(9.9, 0.5) == 10.0
    tokens = 0.0
    for _ in range(10):
        assert not affordable(tokens)
        tokens = deposited(tokens, 0.1)
    assert tokens < 1.0
    assert affordable(tokens)


@pytest.mark.parametrize(
    ("failure", "attempts", "budget"),
    [(0.3, 3, math.inf), (0.5, 4, math.inf), (0.5, 9, 0.25), (0.8, 2, 0.5), (0.2, 3, 0.9)],
)
def test_amplification_against_its_closed_form(
    failure: float, attempts: int, budget: float
) -> None:
    # Retries per call: p + p^2 + ... + p^m, and no more than the budget.
    calls = 20_000
    scenario = plant(
        0.001,
        100.0,
        calls / 100.0,
        backend=Backend(failure=failure),
        retry=Retry(attempts, base=0.001, growth=1.0, budget=budget),
    )
    trace = run(scenario)
    done = (trace.outcome == OK) | (trace.outcome == FAILED)
    each = (trace.completed - trace.released)[done]
    retries = ((each - 0.001) / 0.002).round().sum()
    plain = sum(failure**k for k in range(1, attempts + 1))
    assert retries / done.sum() == pytest.approx(min(plain, budget), abs=0.02)
    # The share that succeeds in the end: what each of those attempts brings.
    succeeded = (trace.outcome == OK).sum() / done.sum()
    assert succeeded == pytest.approx((1 - failure) * (1 + min(plain, budget)), abs=0.015)
    assert success(scenario.backend, scenario.retry) == pytest.approx(succeeded, abs=0.015)
    assert achievable(scenario, 0.0) == pytest.approx(100.0 * succeeded, abs=1.5)


def test_each_producer_pays_for_its_own_retries() -> None:
    # The second comes when the first has spent everything.
    nothing = Backend(quotas=(ServiceQuota(1.0, 1e6, counts_refused=1.0),))
    scenario = plant(
        1 / 64,
        1.0,
        60.0,
        backend=nothing,
        retry=Retry(1, base=0.125, growth=1.0, budget=0.0),
        producers=(Producer(), Producer(30.0)),
    )
    trace = run(scenario)
    assert set(trace.outcome.tolist()) <= {OK, REJECTED, 5}
    took = trace.completed - trace.released
    assert [(took[trace.producer == p] > 0.125).sum() for p in (0, 1)] == [10, 10]


@pytest.mark.parametrize(
    ("retry", "message"),
    [
        (Retry(jitter="some"), "jitter='some'; allowed: none, full, decorrelated"),
        (Retry(budget=-0.1), r"budget=-0.1 is out of range; allowed: \[0, inf\] retries per call"),
        (Retry(budget=math.nan), "budget=nan is out of range"),
    ],
)
def test_impossible_retries_are_refused_in_one_line(retry: Retry, message: str) -> None:
    with pytest.raises(InputError, match=message):
        checked_scenario(Scenario("s", Constant(0.1), 4.0, 4.0, retry=retry))


def test_what_the_service_asks_for_is_the_last_wait_of_decorrelated_jitter() -> None:
    """The service asks for 2 s, where the draw is less: three times that is the next bound."""
    retry = Retry(2, base=0.25, cap=9.0, jitter="decorrelated")
    first = drawn_wait(retry, 1, 0.5, 0.0, 2.0)
    assert first == 2.0
    assert drawn_wait(retry, 2, 0.5, first, 2.0) == 0.25 + 0.5 * (3.0 * 2.0 - 0.25)
    # More than the cap was asked for: three times the cap at most, and then the cap.
    assert drawn_wait(retry, 2, 1.0, 600.0) == 9.0
    assert drawn_wait(retry, 2, 0.25, 600.0) == 0.25 + 0.25 * (27.0 - 0.25)
