"""headroom where calls overlap: the latency without queue, worked by hand."""

from __future__ import annotations

import math

import pytest
from helpers.flights import TUNING, found

from tpssim.controllers._headroom_base import (
    Base,
    based,
    doubt_of,
    is_lower,
    least_kept,
    surely_least,
)


def test_the_latency_without_queue_is_the_mean_of_what_has_no_queue() -> None:
    old = Base(0.0, 0.32, 32.0 / 3.0, 10.0, -0.1, math.inf)  # 0.32 x 3 / 32 = 0.03
    alike = based(old, found(0.2, 20.0, 0.01, own=0.4), True, TUNING)
    assert alike[:4] == pytest.approx((0.15, 0.32 + 0.75 * 0.08, 32.0 * 4.0 / 3.0, 17.5))
    assert alike.least == -0.1
    # Much lower, by more than 2.5 errors of 0.2: another one.
    lower = based(old, found(-0.6, 20.0, 0.01, own=0.4), True, TUNING)
    assert tuple(lower) == pytest.approx((-0.6, 0.4, 32.0, 20.0, -0.6, 32.0))
    # Where the limit was not used, it is only taken into the mean: -0.6 x 0.75.
    assert based(old, found(-0.6, 2.0, 0.01), False, TUNING).level == pytest.approx(-0.45)
    # Beyond two errors of its own, 0.346, and with a queue: it says nothing; nor among 41.
    assert based(old, found(0.4, 20.0, 0.01), True, TUNING) == old
    assert based(old, found(0.2, 41.0, 0.01), True, TUNING) == old


def test_a_window_of_many_must_be_lower_than_one_of_few() -> None:
    """Ten windows have said what the base is: 2.5^2 + 2 ln 11 = 11.05, and the variances are 0.01
    and 0.001: 0.349.
    """
    known = Base(0.0, 0.32, 320.0, 10.0, 0.0, 320.0)
    assert is_lower(known, found(-0.35, 10.0, 0.01), 32.0)
    assert not is_lower(known, found(-0.34, 10.0, 0.01), 32.0)  # as 2.5 errors alone, 0.262, would


def test_four_latencies_that_were_short_by_chance_are_no_least_latency() -> None:
    """36 latencies later: 2.5 sqrt(0.32 / 36 + 0.32 / 4) = 0.745 is what chance explains."""
    four, window = Base(0.0, 0.3, 4.0, 2.0, 0.0, 4.0), found(0.5, 6.0, 0.01)
    assert least_kept(four, 0.5, 0.3, 36.0, 6.0, window)[4:] == (0.5, 36.0)
    assert least_kept(four, 0.8, 0.3, 36.0, 6.0, window)[4:] == (0.0, 4.0)
    assert least_kept(four, 0.5, 0.3, 3.0, 6.0, window)[4:] == (0.0, 4.0)  # it is known less


def test_what_four_short_latencies_say_is_little_once_longer_ones_have_come() -> None:
    """Four that were alike, and then 32 of a variance of 1.6: the level of four is known to
    sqrt(1.6 / 4) = 0.63, so one that is 1.2 higher is no other latency without queue.
    """
    four = Base(0.0, 0.3, 4.0, 2.0, 0.0, 4.0)
    wide = found(1.2, 6.0, 0.05)
    assert doubt_of(four, wide) == pytest.approx(0.4)
    assert surely_least(four, wide) == pytest.approx(math.sqrt(0.4))
    # Weights of 4 and 32: 1.2 x 32 / 36.
    assert based(four, wide, True, TUNING).level == pytest.approx(1.2 * 8.0 / 9.0)
    narrow = found(1.2, 6.0, 0.001)  # then it is known as at first, to sqrt(0.3 / 4) = 0.27
    assert based(four, narrow, True, TUNING) == four
