"""Releases far above what is wanted stand beside the verdict, however right the rate is on
average.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tpssim import compare, measure, simulate
from tpssim.core.schedule import BURST, late_policy
from tpssim.metrics.measure import METRICS
from tpssim.metrics.verdicts import bursts
from tpssim.scenarios.disturbances import Stall
from tpssim.scenarios.plant import Async
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Constant

#: 100/s are wanted of a service that stands still from 5 s to 7 s: 200 slots are missed.
STALLED = Scenario(
    "stalled",
    Constant(0.001),
    target=100.0,
    duration=20.0,
    disturbances=(Stall(5.0, 7.0),),
    late=BURST,
)
AT_ONCE = Scenario("at-once", Constant(0.001), target=500.0, duration=5.0, consumer=Async(0.0))


def whole_seconds(items: Any, tps: float, total: int | None = None) -> Iterator[Any]:
    """A window of a second, as `ratelimit` has it: all of its calls at once, then a wait for the
    next.
    """
    for k in range(total or 0):
        if k and k % int(tps) == 0:
            time.sleep(1.0)
        yield k


def test_calls_of_a_whole_second_at_once_are_no_even_rate() -> None:
    found = compare(AT_ONCE, [whole_seconds, "fixed"], replications=1)
    throttle, even = found.of("at-once").values()
    assert throttle.runs[0].measures["burst_10ms"] == 500.0
    assert throttle.remark(AT_ONCE) == "releases up to 500 calls in 10 ms, where 500/s are wanted"
    assert even.remark(AT_ONCE) == ""
    table = found.table()
    assert re.search(r"whole_seconds +[a-z]+\* ", table)
    assert "* whole_seconds: releases up to 500 calls in 10 ms" in table
    assert "* fixed" not in table


@pytest.mark.parametrize(("late", "most"), [("burst", 300.0), ("delay", 100.0)])
def test_what_is_made_up_after_a_stall_is_seen_in_the_busiest_second(
    late: str, most: float
) -> None:
    """By hand: 2 s are missed; made up at once they come within a second beside its own 100."""
    arena = STALLED._replace(late=late_policy(late))
    measures = measure(simulate(arena, "fixed"))
    assert measures["burst_1s"] == pytest.approx(most, abs=2.0)
    assert bool(bursts(measures, arena)) == (late == "burst")


def test_a_third_above_the_target_is_said_and_a_ceiling_is_not() -> None:
    arena = STALLED._replace(target=300.0)
    assert (
        bursts({"burst_1s": 400.0, "burst_10ms": 5.0}, arena)
        == "releases up to 400 calls in a second, where 300/s are wanted"
    )
    # late="auto": at most 1.1 of it and a call in a second (below ten a second two calls more), and
    # 0.1 s of it at once.
    for target in (0.2, 1.0, 10.0, 300.0, 1e4):
        most = max(1.1 * target + 1.0, target + 2.0)
        assert not bursts(
            {"burst_1s": most, "burst_10ms": 0.1 * target + 2.0}, arena._replace(target=target)
        )
    assert not bursts({"burst_1s": 900.0, "burst_10ms": 90.0}, arena._replace(poisson=1.0))


def test_the_document_and_the_rows_carry_the_remark() -> None:
    found = compare(STALLED, ["fixed"], replications=1)
    document = json.loads(found.to_json())
    remark = document["scenarios"]["stalled"]["throttles"]["fixed"]["verdict"]["remark"]
    assert remark.startswith("releases up to 29") or remark.startswith("releases up to 30")
    assert next(found.rows())["remark"] == remark
    assert "in bursts" in found.picture()[1][0].title


def test_response_times_say_that_a_moved_schedule_hides_a_stall() -> None:
    """By hand: burst leaves the stall in the responses, delay takes it out of them."""
    tails = {
        late: measure(simulate(STALLED._replace(late=late_policy(late)), "fixed"))["response_p99"]
        for late in ("burst", "delay")
    }
    assert tails["burst"] > 1.5
    assert tails["delay"] < 0.1
    assert "moves the schedule" in METRICS["response_p99"].definition


def test_a_picture_says_which_remark_it_is() -> None:
    """An even rate that the service refuses is not one in bursts; losses are said as such."""
    found = compare("overload", ["fixed"], replications=1)
    title = found.picture()[1][0].title
    assert re.fullmatch(r"fixed: saturated 1/1, \d+ % unanswered", title)
