"""When a service changed in a stretch of which no call is known: worked by hand, and drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tpssim import Async, Backend, Lognormal, Scenario, Stages, Step, simulate
from tpssim.core.types import OK
from tpssim.experiments.fitting.changes import Course
from tpssim.experiments.fitting.gaps import timed
from tpssim.experiments.fitting.implied import Implied, calls_of, implied

#: One server that takes 0.3 s for a call, and 0.1 s from 12 s on; all calls are there from the
#: first, and only two are answered: that from 3 to 3.3 s and that from 16 to 16.1 s.
BEGINS = np.concatenate((0.3 * np.arange(40), 12.0 + 0.1 * np.arange(41)))
TIMES = np.repeat([0.3, 0.1], [40, 41])
FIRST, LAST = 10, 80
CALLS = calls_of(np.full(81, -5.0), BEGINS + TIMES, np.isin(np.arange(81), (FIRST, LAST)))
CALLS = CALLS._replace(patience=9.0)
KNOWN = Implied(BEGINS, TIMES, BEGINS > 0.0, np.isin(np.arange(81), (FIRST, LAST)), 0.0)


def test_the_moment_at_which_so_many_calls_are_taken() -> None:
    """70 calls from 3 s to 16 s: 30 of 0.3 s and 40 of 0.1 s, so until 12 s."""
    for seen in (9.5, 16.05):  # in the flood, or just behind it
        found = timed(Course((seen,), (3.0, 1.0)), CALLS, KNOWN, 1.0, 0.1)
        assert found.times == pytest.approx((12.0,))
        assert found.factors == (3.0, 1.0)
    # Nobody gave up, or no servers: nothing is hidden.
    course = Course((9.5,), (3.0, 1.0))
    assert timed(course, CALLS._replace(patience=math.inf), KNOWN, 1.0, 0.1) == course
    assert timed(course, CALLS, KNOWN, math.inf, 0.1) == course


def test_a_change_that_was_seen_or_is_not_alone_stays() -> None:
    course = Course((11.0,), (3.0, 1.0))
    whole = CALLS._replace(answered=np.ones(81, dtype=bool))
    assert timed(course, whole, KNOWN, 1.0, 0.1) == course  # one answer after the other
    early = CALLS._replace(start=np.where(np.arange(81) == FIRST, 2.9, -5.0))
    assert timed(course, early, KNOWN, 1.0, 0.1) == course  # the first one did not wait
    two = Course((8.0, 11.0), (3.0, 2.0, 1.0))
    assert timed(two, CALLS, KNOWN, 1.0, 0.1) == two
    alone = CALLS._replace(answered=np.arange(81) == FIRST)
    assert timed(course, alone, KNOWN, 1.0, 0.1) == course  # nothing is answered after it


def test_a_service_that_is_slow_at_first_is_quick_when_it_was() -> None:
    """Ten times slower for 15 s, of which no call is known from 4 to 20 s."""
    plant = Scenario(
        "slow", Lognormal(0.08, 0.3), Stages("42s:80,18s:16", start=16.0), 60.0,
        Async(feedback="completion"), (Step(0.0, 15.0, 10.0),),
        backend=Backend(servers=8.0), timeout=2.0,
    )  # fmt: skip
    trace = simulate(plant, "fixed", seed=4)
    ended = np.where(np.isfinite(trace.completed), trace.completed, 60.0)
    calls = calls_of(trace.released, ended, trace.outcome == OK)
    calls = calls._replace(patience=2.0, longest=2.0)
    found = implied(calls, 8.0, 0.0)
    gap = np.flatnonzero(np.diff(found.taken[found.sure]) > 5.0)
    assert len(gap) == 1
    seen = Course((float(found.taken[found.sure][gap[0] + 1]) - 0.01,), (10.0, 1.0))
    assert seen.times[0] > 18.0
    assert timed(seen, calls, found, 8.0, 0.08).times[0] == pytest.approx(15.0, abs=0.5)
