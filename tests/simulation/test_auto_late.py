"""`late="auto"`: the wanted rate is a ceiling, whatever a law, its users and the machine do."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from helpers.laws import SetOnce
from hypothesis import given, settings
from hypothesis import strategies as st

from tpssim.controllers import CONTROLLERS
from tpssim.core.pacer import Pacer
from tpssim.core.schedule import AUTO, BURST, DELAY, Late, capped

HALF = [0.5] * 10_000


def paced(law: Any, target: float, gaps: list[float], latency: float = 0.01) -> list[float]:
    """When a pacer releases, asked `gaps[k]` s after release k; each call ends in between."""
    pacer = Pacer(law, target, 0.0, HALF, HALF, late=AUTO)
    now, times = 0.0, []
    for gap in gaps:
        due = pacer.due()
        while pacer.look_at < min(due, now + 10.0):
            pacer.look(pacer.look_at)
            due = pacer.due()
        if due == math.inf:
            break
        now = max(now, due)
        if pacer.release(now):
            times.append(now)
            pacer.settled(now + gap, min(gap, latency), now - due, 0.0, 0.0, 1.0)
        else:
            pacer.refused(now)
        now += gap
    return times


def most(times: list[float]) -> int:
    """The most releases in any half-open second."""
    return max((sum(start <= t < start + 1.0 for t in times) for start in times), default=0)


def ceiling(target: float) -> float:
    """The most that the policy allows in a second."""
    return 1.1 * target + 1.0 if target >= 10.0 else target + 2.0


@settings(deadline=None)
@given(
    law=st.sampled_from([*(law() for law in CONTROLLERS.values()), SetOnce(), SetOnce(rate=7.0)]),
    target=st.floats(0.01, 100.0),
    gaps=st.lists(
        st.one_of(st.just(0.0), st.floats(0.0, 0.05), st.floats(0.0, 3.0), st.just(3600.0)),
        max_size=120,
    ),
    latency=st.sampled_from([0.0001, 0.01, 0.5]),
)
def test_no_second_holds_more_than_the_ceiling(
    law: Any, target: float, gaps: list[float], latency: float
) -> None:
    assert most(paced(law, target, gaps, latency)) <= ceiling(target) + 1e-9


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        # An hour without an item, then always one: the slot that is due, and those of the 0.1 s
        # before.
        (50.0, 1 + 5),
        # Slots that are further apart: the one that is due, and one before.
        (4.0, 1 + 1),
        (0.5, 1 + 1),
    ],
)
def test_an_idle_source_is_no_lag(target: float, expected: int) -> None:
    times = paced(SetOnce(), target, [3600.0] + [0.0] * 20)
    assert times[0] == 0.0
    assert sum(t == 3600.0 for t in times) == expected
    gaps = [b - a for a, b in pairwise(times[expected:])]
    assert gaps == pytest.approx([1.0 / target] * (20 - expected))


def test_a_short_delay_is_made_up_for() -> None:
    # 50 a second, 90 ms late once: the four slots that were missed follow at once, and none is
    # lost.
    times = paced(SetOnce(), 50.0, [0.09] + [0.0] * 9)
    assert times == pytest.approx([0.0, *[0.09] * 4, 0.1, 0.12, 0.14, 0.16, 0.18])


def test_what_a_long_delay_costs_is_counted() -> None:
    # At 10 a second it may be 0.1 s behind. Due at 0.1, released at 2.1: it goes on from 2.0, 19
    # slots less.
    pacer = Pacer(SetOnce(), 10.0, 0.0, HALF, HALF, late=AUTO)
    assert (pacer.due(), pacer.release(0.0)) == (0.0, True)
    assert (pacer.due(), pacer.release(2.1)) == (0.1, True)
    assert pacer.skipped == pytest.approx(19.0)
    assert (pacer.re_anchored, pacer.caught_up) == (1.0, 1.0)
    assert pacer.due() == pytest.approx(2.1)


@pytest.mark.parametrize("late", [AUTO, DELAY, capped(1), BURST], ids=str)
def test_a_law_that_says_when_is_taken_at_its_word_after_a_delay(late: Late) -> None:
    # A bucket of one token, filled with 5 a second: due at 0.2 s, released at 3 s; the next token
    # is there at 3.2 s, not three seconds later.
    pacer = Pacer(
        CONTROLLERS["token-bucket"](share=0.5, capacity=1.0), 10.0, 0.0, HALF, HALF, late=late
    )
    assert (pacer.due(), pacer.release(0.0)) == (0.0, True)
    assert pacer.due() == pytest.approx(0.2)
    assert pacer.release(3.0)
    assert pacer.due() == pytest.approx(3.2)
