"""Means and intervals by hand, and how they are written."""

from __future__ import annotations

import fcntl
import math
import os
import struct
import sys
import termios
from typing import Any

import numpy as np
import pytest

from tpssim.core.statistics import (
    CONFIDENCE,
    EACH,
    Estimate,
    assumption,
    estimate,
    estimate_each,
    estimates,
    fewest,
    mean_interval,
    place,
    unseen,
)
from tpssim.output import tables
from tpssim.output.format import interval, mean
from tpssim.output.tables import Column, Table, filled


def test_the_interval_of_a_mean_by_hand() -> None:
    # 1, 2, 3: mean 2, s = 1, t(2, 97.5 %) = 4.302653: half-width 4.302653 / sqrt(3) = 2.484138.
    got = mean_interval([1.0, 2.0, 3.0, math.inf, math.nan], 0.95)
    assert got.mean == 2.0
    assert got.low == pytest.approx(2.0 - 2.484138, abs=1e-6)
    assert got.high == pytest.approx(2.0 + 2.484138, abs=1e-6)
    assert (got.n, got.never) == (3, 1)
    assert mean_interval([4.0], 0.95) == Estimate(4.0, None, None, 1, 0)
    assert mean_interval([], 0.95) == Estimate(None, None, None, 0, 0)


def test_the_interval_of_the_median_run_by_hand() -> None:
    """Five runs: between the least and the greatest, 1 - 2 / 2^5; around the mean, so that it holds
    both.
    """
    got = estimate([10.0, 1.0, 2.0, 3.0, 4.0])
    assert got == Estimate(4.0, -2.0, 10.0, 5, 0)  # mean 4; 10 is 6 away, 1 is 3
    # Ten at 95 %: 2 P(Bin(10) < 2) = 22 / 1024 = 0.021, P(< 3) = 112 / 1024: the second least and
    # greatest.
    got = estimate([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0], CONFIDENCE)
    assert got == Estimate(4.5, 1.0, 8.0, 10, 0)
    # Where rare runs make the mean, it lies outside of what most runs do, and the interval says so.
    got = estimate([1.0] * 38 + [100.0] * 2, CONFIDENCE)
    assert (got.mean, got.low) == (5.95, 1.0)


@pytest.mark.parametrize("n", [6, 7, 12, 30, 40, 151, 500, 501])
def test_the_places_are_those_of_scipy(n: int) -> None:
    from scipy.stats import quantile_test

    values = np.random.default_rng(n).lognormal(size=n)
    theirs: Any = quantile_test(values, q=0.0, p=0.5).confidence_interval(CONFIDENCE)
    k, ordered = place(n, CONFIDENCE), np.sort(values)
    assert (ordered[k - 1], ordered[n - k]) == (theirs.low, theirs.high)


def test_from_too_few_runs_nothing_is_claimed() -> None:
    """Two, three or four: 2 / 2^n is 1/2, 1/4, 1/8. However equal they are."""
    assert assumption(1) == "no interval: 1 replication is too few, 5 are the least"
    assert estimate([0.5]) == Estimate(0.5, None, None, 1, 0)
    for n in (2, 3, 4):
        assert estimate([0.5] * n) == Estimate(0.5, None, None, n, 0)
        assert assumption(n) == f"no interval: {n} replications are too few, 5 are the least"
    assert estimate([0.5] * 5) == Estimate(0.5, 0.5, 0.5, 5, 0)
    assert estimate([0.5] * 5, CONFIDENCE) == Estimate(0.5, None, None, 5, 0)
    # 351 / 0.05 = 2^12.8
    assert (fewest(EACH), fewest(CONFIDENCE), fewest(1.0 - 0.05 / 351.0)) == (
        5,
        6,
        14,
    )
    assert assumption(5).startswith("93.75 % for the median of 5 runs")


def test_what_may_be_missing() -> None:
    # 0.55^5 = 0.0503, 0.98^150 = 0.0483: of 45 % of all runs none is among five in 5 % of cases,
    # and so on.
    assert (1.0 - unseen(5)) ** 5 == pytest.approx(0.05)
    assert assumption(5).endswith("what 45 % of all runs do may be missing")
    assert assumption(150).endswith("what 2 % of all runs do may be missing")


def test_undefined_and_infinite_values_are_left_out_and_counted() -> None:
    assert estimate([math.nan, math.inf]) == Estimate(None, None, None, 0, 1)
    assert estimate([5.0, math.inf]) == Estimate(5.0, None, None, 1, 1)
    assert estimate([]) == Estimate(None, None, None, 0, 0)
    several = np.array([[1.0, math.nan], [2.0, 7.0], [3.0, math.inf], [4.0, 8.0], [5.0, 9.0]])
    found = estimates(several)
    assert found.mean.tolist() == [3.0, 8.0]
    assert found.half[0] == 2.0
    assert math.isnan(found.half[1])
    assert (found.n.tolist(), found.never.tolist()) == ([5, 3], [0, 1])


@pytest.mark.parametrize("n", [5, 300])
def test_a_mean_has_the_same_bits_beside_others(n: int) -> None:
    """NumPy adds many values in another order if they do not lie side by side."""
    columns = np.random.default_rng(n).lognormal(0.0, 2.0, (7, n))
    means = [found.mean for found in estimate_each(columns.tolist())]
    assert means == [float(np.sum(column) / n) for column in columns]


@pytest.mark.parametrize("n", [5, 30])
def test_the_interval_holds_the_median_run_as_often_as_it_says(n: int) -> None:
    """However the runs spread: skewed, heavy, or one in fifty ten times as long."""
    rng = np.random.default_rng(3)
    kinds = {
        math.log(2.0): rng.exponential(1.0, (2000, n)),
        2.0 ** (1.0 / 1.1) - 1.0: rng.pareto(1.1, (2000, n)),
        1.0: np.where(rng.random((2000, n)) < 0.02, 10.0, 1.0),
    }
    for median, samples in kinds.items():
        found = [estimate(row) for row in samples.tolist()]
        held = sum(
            e.low is not None and e.high is not None and e.low <= median <= e.high for e in found
        )
        assert held >= 0.92 * 2000  # three deviations below 93.75 %


def test_how_numbers_are_written() -> None:
    assert mean(estimate([0.5, 0.5]), 1, 100.0) == "50.0"
    assert mean(estimate([-1e-9, -1e-9]), 0) == "0"
    assert mean(estimate([math.inf]), 2) == "never"
    assert mean(estimate([2.0, math.inf]), 1) == "never 1/2"
    assert mean(estimate([math.nan]), 2) == "-"
    assert interval(estimate([1.0, 2.0, 3.0, 4.0, 5.0]), 1) == "3.0 ±2.0"
    assert interval(estimate([2.0]), 1) == "2.0"


def test_a_table_is_aligned_and_a_long_label_has_its_own_line() -> None:
    rows = [("a", "yes", "1", "10"), ("a-label-that-is-far-too-long", "no", "22", "3")]
    columns = [Column("name", left=True), Column("word", left=True), Column("x"), Column("yy")]
    assert Table("", columns, rows).text().splitlines() == [
        "name  word   x  yy",
        "----------------------------",
        "a     yes    1  10",
        "a-label-that-is-far-too-long",
        "      no    22   3",
    ]


def test_on_a_narrow_terminal_columns_follow_in_blocks_and_words_stay_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tables, "screen", lambda: 22)
    rows = [("a", "yes", "1", "10", "100000"), ("b", "no", "2", "3", "4")]
    words = [Column("name", left=True), Column("word", left=True)]
    columns = [*words, Column("x"), Column("yy"), Column("zzzzzzzz")]
    assert Table("", columns, rows).text().splitlines() == [
        "name word x yy",
        "--------------",
        "a    yes  1 10",
        "b    no   2  3",
        "",
        "name word zzzzzzzz",
        "------------------",
        "a    yes    100000",
        "b    no          4",
    ]
    assert filled("of token-bucket and ewma-deadzone", further="  ").splitlines() == [
        "of token-bucket and",
        "  ewma-deadzone",
    ]


def test_a_terminal_says_how_wide_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tables.screen() == 80, "the tests write to no terminal"
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 73, 0, 0))
    with os.fdopen(slave, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        assert tables.screen() == 73
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 0, 0, 0, 0))  # it does not know
        assert tables.screen() == 80
        monkeypatch.undo()
    os.close(master)
