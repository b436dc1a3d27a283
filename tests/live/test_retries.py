"""Waits of retries that are drawn, and the budget that pays for them, in `run` and `arun`."""

from __future__ import annotations

import asyncio
import statistics
from typing import Any

import pytest

from tpssim import Retry, arun, run
from tpssim.core.clocks import VirtualClock
from tpssim.core.errors import InputError
from tpssim.core.types import FAILED, OK, REJECTED, UNFINISHED
from tpssim.live.outcomes import Outcome
from tpssim.live.retries import Attempt, Counted, Policy, policy_of


def policy(seed: int = 0, **fields: Any) -> Policy:
    found = policy_of(Retry(**fields), abs, seed)
    assert found is not None
    return found


LOST = Outcome(FAILED)


def began(wait: Policy, outcome: Outcome = LOST) -> float | None:
    """The wait after the first call of an item, which has begun before."""
    assert isinstance(wait, Counted)
    wait.begun()
    return wait(attempt(outcome=outcome))


def attempt(number: int = 1, waited: float = 0.0, outcome: Outcome = LOST) -> Attempt:
    return Attempt(None, number, 0.0, 1.0, waited, waited, outcome, None, OSError())


@pytest.mark.parametrize("number", [1, 2, 3])
def test_full_jitter_draws_evenly_below_the_wait(number: int) -> None:
    """Waits of 2, 4 and 8 s: of 4,000 draws the mean is a half, with an error of 0.0046."""
    wait = policy(attempts=5.0, base=2.0, growth=2.0, jitter="full")
    shares = [(wait(attempt(number)) or 0.0) / 2.0**number for _ in range(4000)]
    assert 0.0 <= min(shares) < 0.01
    assert 0.99 < max(shares) < 1.0
    assert statistics.fmean(shares) == pytest.approx(0.5, abs=0.015)


@pytest.mark.parametrize(("waited", "most"), [(0.0, 3.0), (2.0, 6.0), (5.0, 8.0), (600.0, 8.0)])
def test_decorrelated_jitter_draws_between_base_and_three_times_the_last_wait(
    waited: float, most: float
) -> None:
    """At most 8 s, as of a service that asked for ten minutes."""
    wait = policy(attempts=5.0, base=1.0, cap=8.0, jitter="decorrelated")
    waits = [wait(attempt(2, waited)) or 0.0 for _ in range(2000)]
    assert 1.0 <= min(waits) < 1.1
    assert most - 0.1 < max(waits) <= most


def test_draws_are_those_of_the_seed() -> None:
    def waits(seed: int) -> list[float | None]:
        wait = policy(seed, attempts=5.0, jitter="full")
        return [wait(attempt()) for _ in range(5)]

    assert waits(1) == waits(1)
    assert waits(1) != waits(2)


def test_a_service_that_asks_for_more_gets_it() -> None:
    wait = policy(attempts=5.0, base=1.0, jitter="full")
    assert wait(attempt(outcome=Outcome(REJECTED, 7.0))) == 7.0
    assert wait(attempt(outcome=Outcome(OK))) is None
    assert wait(attempt(outcome=Outcome(UNFINISHED))) is None
    assert wait(attempt(6)) is None


def test_a_budget_pays_for_a_tenth_of_the_calls_and_ten() -> None:
    """Ten tokens; each call adds 0.1, up to ten, each retry takes one: the eleventh call finds 1.0
    and leaves 0, and from then on one call in ten is tried again: 11 + 8 of 100."""
    wait = policy(attempts=5.0, budget=0.1)
    tried = [began(wait) is not None for _ in range(100)]
    assert tried[:12] == [True] * 11 + [False]
    assert sum(tried) == 19
    assert wait(attempt(2)) is None, "a second retry needs a token, too"


def test_calls_that_go_well_pay_as_well_and_no_more_than_ten_are_kept() -> None:
    wait = policy(attempts=5.0, budget=0.5)
    for _ in range(100):
        assert began(wait, Outcome(OK)) is None
    retries = [wait(attempt(2)) is not None for _ in range(12)]
    assert retries == [True] * 10 + [False] * 2


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_run_retries_within_its_budget(asynchronous: bool) -> None:
    """1,000 calls of which each fails: at most 10 + 0.02 of them are tried again."""
    made: list[int] = []

    def call(k: int) -> None:
        made.append(k)
        raise OSError

    async def acall(k: int) -> None:
        call(k)

    retries = Retry(attempts=5.0, base=0.1, jitter="decorrelated", budget=0.02)
    options: dict[str, Any] = {"clock": VirtualClock(), "retries": retries}
    if asynchronous:
        done = asyncio.run(arun(acall, range(1000), 100.0, **options))
    else:
        done = run(call, range(1000), 100.0, workers=0, **options)
    assert 1025 <= len(made) <= 1030
    assert len(done.failed) == 1000
    assert done.pending == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"jitter": "some"}, "jitter='some'; allowed: none, full"), ({"budget": -0.1}, "budget=-0.1")],
)
def test_bad_policies(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(abs, [1], 5.0, retries=Retry(**fields))


def test_a_call_pays_when_it_begins() -> None:
    """Ten retries empty the bucket; twelve calls that begin pay for six before one ends."""
    wait = policy(attempts=20.0, budget=0.5)
    assert isinstance(wait, Counted)
    assert [wait(attempt(2)) is not None for _ in range(11)] == [True] * 10 + [False]
    for _ in range(12):
        wait.begun()
    assert [wait(attempt(2)) is not None for _ in range(7)] == [True] * 6 + [False]


def test_the_wait_that_a_service_asked_for_is_the_last_one_as_in_the_model() -> None:
    """Of a service that asks for 4 s once, the next wait lies between 1 and 12 s, not 1 and 3."""
    wait = policy(attempts=5.0, base=1.0, cap=100.0, jitter="decorrelated")
    first = wait(attempt(1, outcome=Outcome(REJECTED, 4.0)))
    assert first == 4.0
    waits = [wait(attempt(2, first)) or 0.0 for _ in range(2000)]
    assert min(waits) < 1.1
    assert 11.8 < max(waits) <= 12.0
