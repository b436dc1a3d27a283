"""The first line of a live report: what limits the rate, and whether the calls went well."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest

from tpssim import InputError, arun, run, throttle
from tpssim.live.account import verdict
from tpssim.live.tally import Tally


def counted(lags: list[float], held: bool = False, begun: float = 0.0) -> Tally:
    """Releases that late, s, of slots a tenth of a second apart; `begun` after each slot is free."""
    tally = Tally()
    for k, lag in enumerate(lags):
        due = 0.1 * k
        tally.release(due, due + lag, 10.0, 10.0, due + begun if begun else due - 0.05, held)
    tally.ok = len(lags)
    return tally


def test_calls_that_fail_are_told_of_whatever_the_pace() -> None:
    tally = counted([0.0] * 20)
    assert verdict(tally, "aimd", "", 0.0) == "on pace"
    tally.ok, tally.errors = 15, 5
    assert verdict(tally, "aimd", "", 0.0) == "on pace; 25% of the calls failed"


def test_what_a_limit_holds_back_is_not_the_callers_doing() -> None:
    # The lag grows by 0.1 s a call, while the limit is closed: 5 a second of 10.
    tally = counted([0.1 * k for k in range(20)], held=True, begun=0.05)
    assert verdict(tally, "netflix-vegas", "", 19.0) == (
        "held back by the limit of netflix-vegas: 5 of 10 a second"
    )


def test_a_few_late_releases_do_not_limit_a_rate_that_is_held() -> None:
    """One in ten 40 ms late, by our own doing: the rate is what was commanded."""
    tally = counted([0.04 if k % 10 == 5 else 0.0 for k in range(101)])
    told = verdict(tally, "fixed", "a reason", 0.0)
    start, by, late, end = re.split(r"(, by )([\d.]+)", told)
    assert start == "on pace, but unevenly: 10% of the calls released late"
    assert (by, end) == (", by ", " ms at p99, for a reason")
    assert float(late) == pytest.approx(40.0, rel=0.016)  # as wide as a bin of the histogram


async def asynchronous(_: Any) -> None:
    """Nothing."""


NONSENSE: list[tuple[Callable[[], Any], str]] = [
    (lambda: run(asynchronous, range(3), 1000.0), "is asynchronous; allowed: with arun"),
    (lambda: run(5, range(3), 1000.0), "call=5; allowed: a function of an item"),  # type: ignore[arg-type]
    (lambda: asyncio.run(arun(None, range(3), 1000.0)), "call=None; allowed: a function"),  # type: ignore[arg-type]
    (lambda: throttle("a", 5.0, late=None), "late=None; allowed: burst"),  # type: ignore[arg-type]
    (lambda: throttle("a", 5.0, spin=None), "spin=None; allowed: auto, off"),  # type: ignore[arg-type]
    (lambda: throttle("a", 5.0, record=5), "record=5; allowed: a path, or None"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("given", "told"), NONSENSE)
def test_what_is_no_call_policy_or_path_is_refused_in_one_line(given: Callable[[], Any], told: str) -> None:
    with pytest.raises(InputError) as caught:
        given()
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
