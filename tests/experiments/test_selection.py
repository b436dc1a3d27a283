"""The choice by hand and by its promise, and what counts as a change."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from tpssim.core.statistics import estimate
from tpssim.experiments.tuning import selection, summary_text, tune
from tpssim.experiments.tuning.tried import Outcome
from tpssim.metrics.measure import METRICS


def test_the_choice_by_hand() -> None:
    """Three candidates, 13 replications: two intervals, for each 2 P(Bin(13, 1/2) < k) <= 0.05 / 2.

    P(Bin(13) < 2) = 14 / 8192, P(Bin(13) < 3) = 92 / 8192 = 0.0112: k = 3 (twice 0.0112 is 0.0225).
    Candidate 0 loses 0 always; 1 loses 1, 2, ..., 13; 2 loses -6, -5, ..., 6 (mean 0: the last of
    equal ones). Of 2 less 0 the third least and greatest are -4 and 4, the mean is 0, so at most 4.
    Of 2 less 1 it is -7 always: never the best.
    """
    rows = np.array([[0.0] * 13, np.arange(1.0, 14.0), np.arange(-6.0, 7.0)])
    choice = selection.least_mean(rows)
    assert choice == selection.Choice(2, 13, [0, 2], 4.0)


def test_the_mean_decides_and_of_equal_ones_the_last() -> None:
    alike = selection.least_mean(np.ones((3, 20)))
    assert (alike.winner, alike.standing, alike.within) == (2, [0, 1, 2], 0.0)
    apart = selection.least_mean(np.array([[1.0] * 20, [2.0] * 20]))
    assert (apart.winner, apart.standing, apart.within) == (0, [0], 0.0)


def test_a_few_replications_claim_nothing() -> None:
    """Two that differ by 1 in each of two runs: by chance, one wins both in half of all cases."""
    choice = selection.least_mean(np.array([[1.0, 1.0], [2.0, 2.0]]))
    assert (choice.winner, choice.standing, choice.within) == (0, [0, 1], None)


def test_those_without_a_finite_loss_are_out() -> None:
    rows = np.array(
        [[0.0, math.nan, *[0.0] * 8], [5.0] * 10, [math.nan] * 10, [0.0, math.inf, *[0.0] * 8]]
    )
    choice = selection.least_mean(rows)
    assert (choice.winner, choice.standing, choice.within) == (1, [1], 0.0)
    nothing = selection.least_mean(np.full((1, 10), math.nan))
    assert (nothing.winner, nothing.standing, nothing.within) == (-1, [], None)


def test_a_collapse_in_one_of_twenty_runs_is_met_before_anyone_is_chosen() -> None:
    """0.98 of the other's loss in 95 % of all runs, ten times as much in 5 %: 1.42 against 1 on
    average.

    Of the 150 runs of a choice none collapses with probability 0.95^150 = 0.0005, and one is enough
    to lose only with three or fewer (0.98 - 1 = -0.02 a run, 8.82 more for each): one suffices. Of
    ten runs, after which the worse had been chosen before, none does with probability 0.6.
    """
    worse = 0
    for trial in range(200):
        noise = np.random.default_rng(trial)
        stable = 1.0 + 0.001 * noise.normal(size=tune.CHOOSING)
        brittle = 0.98 * np.where(noise.random(tune.CHOOSING) < 0.05, 10.0, 1.0)
        worse += selection.least_mean(np.array([stable, brittle])).winner == 1
    assert worse <= 2  # 0.1 expected


@pytest.mark.parametrize("kind", ["normal", "exponential", "lognormal"])
def test_the_choice_keeps_its_promise_in_the_least_favourable_case(kind: str) -> None:
    """Five are alike and one is better by a little: within `within` of it, and it stands, in 95
    %.
    """
    near = stands = 0
    for trial in range(200):
        noise = getattr(np.random.default_rng(trial), kind)(size=(6, 40))
        noise[3] -= 0.2
        choice = selection.least_mean(noise)
        assert choice.within is not None
        near += choice.winner == 3 or choice.within >= 0.2
        stands += 3 in choice.standing
    assert min(near, stands) >= 0.9 * 200  # three deviations below 95 %


def changed(
    measure: str, before: Sequence[float], after: Sequence[float]
) -> tuple[list[selection.Change], list[selection.Change]]:
    """What `changes` says of one measure on one scenario; no other exists."""
    values = np.full((2, 1, len(before), len(METRICS)), np.nan)
    place = list(METRICS).index(measure)
    values[0, 0, :, place], values[1, 0, :, place] = before, after
    return selection.changes(["here"], values[0], values[1])


def test_never_is_worse_than_any_number() -> None:
    """McNemar: all 40 (or 35) discordant pairs on one side, 2 / 2^35; there are 25 + 2 tests or
    so.
    """
    inf, noise = math.inf, np.random.default_rng(0).random(40) * 0.01
    before = (1.0 + noise).tolist()
    (change,), better = changed("recovery_time", before, [inf] * 40)
    assert (change.never, change.pairs, change.default, change.tuned, better) == (
        (0, 40),
        40,
        None,
        None,
        [],
    )
    # Quicker in the five in which it recovers: no gain.
    (change,), better = changed("recovery_time", before, [0.5] * 5 + [inf] * 35)
    assert (change.never, change.tuned, better) == ((0, 35), 0.5, [])
    worse, (change,) = changed("recovery_time", [inf] * 40, before)
    assert (worse, change.never) == ([], (40, 0))
    assert changed("recovery_time", [inf] * 40, [inf] * 40) == ([], [])


def test_what_is_never_more_often_is_not_better() -> None:
    """3 of 40: 2 / 2^3 is no proof; nor is the speed of the others a gain. As often in both, it is
    one.
    """
    inf, noise = math.inf, np.random.default_rng(0).random(37) * 0.01
    before, after = [1.0] * 3 + (1.0 + noise).tolist(), [inf] * 3 + (0.5 + noise[::-1]).tolist()
    assert changed("recovery_time", before, after) == ([], [])
    before[:3] = [inf] * 3
    worse, (change,) = changed("recovery_time", before, after)
    assert (worse, change.never, change.pairs) == ([], (3, 3), 40)
    assert change.difference.n == 37


def test_mcnemar_is_exact() -> None:
    """With alpha = 0.05 / m, n pairs all on one side are enough from ceil(1 + log2(m / 0.05)) on: 2
    / 2^n.
    """
    tests = len((*selection.MORE, *selection.LESS, *selection.NEVER))
    least = math.ceil(1.0 + math.log2(tests / 0.05))
    for lost in (least - 1, least):
        worse, _ = changed("time_to_fairness", [1.0] * 40, [math.inf] * lost + [1.0] * (40 - lost))
        assert len(worse) == (lost == least)


def test_changes_are_paired_and_simultaneous() -> None:
    before = np.full((1, 20, len(METRICS)), np.nan)
    after = before.copy()
    places = {name: i for i, name in enumerate(METRICS)}
    noise = np.random.default_rng(0).normal(size=20)
    for name, base, change, own in (
        ("achieved", 0.5, 0.1, 0.0),  # better, and the noise is common to both
        ("response_p99", 1.0, 0.2, 0.001),  # worse
        ("swing", 0.3, 0.0, 0.01),  # nothing but noise
        ("period", 3.0, 1.0, 0.0),  # neither good nor bad
    ):
        before[0, :, places[name]] = base + noise
        after[0, :, places[name]] = base + noise + change + own * noise[::-1]
    worse, better = selection.changes(["here"], before, after)
    assert [change.measure for change in worse] == ["response_p99"]
    assert [change.measure for change in better] == ["achieved"]
    # Bonferroni: one of as many measures as have a good side, and of those that may never end once
    # more.
    level = 1.0 - 0.05 / (len((*selection.MORE, *selection.LESS, *selection.NEVER)))
    expected = estimate((0.2 + 0.001 * noise[::-1]).tolist(), level)
    assert worse[0].difference.low == pytest.approx(expected.low)
    assert worse[0].difference.mean == pytest.approx(expected.mean)
    sense = {name: metric.better for name, metric in METRICS.items()}
    assert {*selection.MORE} == {name for name, better in sense.items() if better == "more"}
    assert {*selection.LESS} <= {name for name, better in sense.items() if better == "less"}


def test_two_equal_pairs_of_forty_are_no_proof() -> None:
    """In two runs of forty both have the measure, and both times it is 0.5 s more: chance."""
    nan = math.nan
    assert changed("response_p99", [1.0, 1.0] + [nan] * 38, [1.5, 1.5] + [nan] * 38) == ([], [])
    (one,), _ = changed("response_p99", [1.0] * 40, [1.5] * 40)
    assert one.pairs == 40


def test_what_differs_by_rounding_is_no_change() -> None:
    assert changed("response_p50", [0.0005] * 40, [0.0005 + 1.8e-15] * 40) == ([], [])


def test_no_change_is_found_where_there_is_none_however_the_runs_spread() -> None:
    """All measures of both from one distribution, three scenarios: a change in 5 % of trials at
    most.
    """
    found = 0
    for trial in range(60):
        draws = np.random.default_rng(trial).pareto(1.5, (2, 3, 100, len(METRICS)))
        draws[np.random.default_rng(1000 + trial).random(draws.shape) < 0.02] *= 100.0
        worse, better = selection.changes(["a", "b", "c"], draws[0], draws[1])
        found += bool(worse or better)
    assert found <= 8  # three deviations above 3


def test_what_is_achieved_less_by_the_chosen_setting_is_said_first() -> None:
    def outcome(achieved: float) -> Outcome:
        measures = {"achieved": estimate([achieved] * 6), "response_p99": estimate([0.1] * 6)}
        return Outcome("spikes", "converges", 1.0, measures)

    pairs = [(outcome(0.982), outcome(0.941)), (outcome(0.982), outcome(0.973))]
    assert summary_text.warning(pairs) == (
        "WORSE with it: achieved 98.2 % becomes 94.1 % on spikes"
    )
    assert summary_text.warning(pairs[1:]) == ""  # 0.9 % less
