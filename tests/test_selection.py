"""Kim and Nelson's procedure by hand and by its promise, and what counts as a change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tpssim.metrics import METRICS
from tpssim.statistics import estimate
from tpssim.tuning import selection


def test_kim_nelson_by_hand() -> None:
    """k = 3, n0 = 10, alpha = 0.05, delta = 1.

    eta = ((0.1 / 2) ^ (-2/9) - 1) / 2 = (e^0.6657183 - 1) / 2 = 0.4729442, h2 = 18 eta = 8.5129963.
    Contender 0 loses 0 always, 1 by turns 3 and 5, 2 by turns -0.5 and 1.5 (means 4 and 0.5).
    The differences from 0 have the sample variance 10/9, those of 1 and 2 are always 3.5 (variance 0).
    W[0, 1](10) = W[0, 2](10) = (8.5129963 * 10/9 - 10) / 20 < 0, so 0: at r = 10 whoever has more than the
    least is dropped. With delta = 0.5 it is 0.025 (8.5129963 * 40/9 - 10) = 0.6958885: 2 stays, 1 goes, since
    4 > 0.6958885 and 4 > 0.5. For 0 and 2, W(r) = 0.25/r (37.8355 - r): at r = 20 it is 0.22294 and mean 0.5
    lies above. Before, at even r the mean is 0.5, at odd r it is 0.5 - 1/r; W falls below 0.5 - 1/r or 0.5
    first at: r = 12: 0.5382; r = 13: 0.4776 against 0.4231; r = 14: 0.42563 against 0.5, so at r = 14.
    """
    rows = [[0.0] * 40, [3.0, 5.0] * 20, [-0.5, 1.5] * 20]

    def draw(standing: Sequence[int], r: int) -> list[float]:
        return [rows[i][r] for i in standing]

    sure = selection.kim_nelson(3, draw, 1.0, 40)
    assert (sure.winner, sure.replications, sure.dropped, sure.confidence) == (0, 10, {1: 10, 2: 10}, 0.95)
    closer = selection.kim_nelson(3, draw, 0.5, 40)
    assert (closer.winner, closer.replications, closer.dropped) == (0, 14, {1: 10, 2: 14})


def test_what_is_not_told_apart_has_the_confidence_of_a_t_test() -> None:
    """Differences 1, -1, 1, -1 ... (n = 12): mean 0, s = sqrt(12/11), delta 0.1.

    P(t(11) > 0.1 / (s / sqrt 12)) = P(t(11) > 0.331662) = 0.37319.
    """
    rows = [[0.0] * 12, [1.0, -1.0] * 6]
    choice = selection.kim_nelson(2, lambda standing, r: [rows[i][r] for i in standing], 0.1, 12)
    assert (choice.standing, choice.replications, choice.winner) == ([0, 1], 12, 1)
    from scipy.stats import t

    assert choice.confidence == pytest.approx(1.0 - float(t.sf(0.1 * math.sqrt(11.0), 11)), abs=1e-12)
    assert choice.confidence == pytest.approx(0.627, abs=0.001)


def test_kim_nelson_keeps_its_promise() -> None:
    """Five contenders, the best by delta: it is chosen in 95 % of 300 trials (three deviations: 91 %)."""
    right = 0
    for trial in range(300):
        noise = np.random.default_rng(trial).normal(size=(200, 5))
        noise += np.random.default_rng(1000 + trial).normal(size=(200, 1))  # common random numbers
        noise[:, 3] -= 0.5

        def draw(standing: Sequence[int], r: int, noise: Any = noise) -> list[float]:
            return [float(noise[r, i]) for i in standing]

        right += selection.kim_nelson(5, draw, 0.5, 200).winner == 3
    assert right >= 0.91 * 300


def test_those_without_a_finite_loss_are_dropped() -> None:
    rows = [[0.0, math.nan, *[0.0] * 8], [5.0] * 10, [math.nan] * 10]
    choice = selection.kim_nelson(3, lambda standing, r: [rows[i][r] for i in standing], 1.0, 10)
    assert (choice.winner, choice.dropped) == (1, {2: 1, 0: 2})
    alike = selection.kim_nelson(3, lambda standing, r: [1.0 for _ in standing], 1.0, 20)
    assert (alike.winner, len(alike.standing), alike.confidence) == (2, 3, 1.0)
    nothing = selection.kim_nelson(1, lambda standing, r: [math.nan], 1.0, 10)
    assert (nothing.winner, nothing.confidence) == (-1, 0.0)


def test_what_was_dropped_costs_confidence_too() -> None:
    """Differences of the two that stand: 1, -1 by turns; the third loses 100 always and is dropped at once.

    Kim and Nelson's alpha is spent on the drop (they guarantee 1 - alpha, whoever was dropped); what is left
    in doubt between the others is P(t(11) > 0.1 / (s / sqrt 12)) = 0.373, as above.
    """
    rows = [[0.0] * 12, [1.0, -1.0] * 6, [100.0] * 12]
    choice = selection.kim_nelson(3, lambda standing, r: [rows[i][r] for i in standing], 0.1, 12)
    assert (choice.standing, choice.dropped) == ([0, 1], {2: 10})
    assert choice.confidence == pytest.approx(0.95 - 0.373, abs=0.001)
    # Two that are alike and one that is not: nothing is in doubt between the two, but 5 % are spent.
    rows = [[1.0] * 12, [1.0] * 12, [100.0] * 12]
    choice = selection.kim_nelson(3, lambda standing, r: [rows[i][r] for i in standing], 0.1, 12)
    assert (choice.standing, choice.confidence) == ([0, 1], 0.95)


def changed(
    measure: str, before: Sequence[float], after: Sequence[float]
) -> tuple[list[selection.Change], list[selection.Change]]:
    """What `changes` says of one measure on one scenario; no other exists."""
    values = np.full((2, 1, len(before), len(METRICS)), np.nan)
    place = list(METRICS).index(measure)
    values[0, 0, :, place], values[1, 0, :, place] = before, after
    return selection.changes(["here"], values[0], values[1])


def test_never_is_worse_than_any_number() -> None:
    """McNemar: all 40 (or 35) discordant pairs on one side, 2 / 2^35; there are 25 + 2 tests or so."""
    inf, noise = math.inf, np.random.default_rng(0).random(40) * 0.01
    before = (1.0 + noise).tolist()
    ((change,), better) = changed("recovery_time", before, [inf] * 40)
    assert (change.never, change.pairs, change.default, change.tuned, better) == ((0, 40), 40, None, None, [])
    # Quicker in the five in which it recovers: no gain.
    ((change,), better) = changed("recovery_time", before, [0.5] * 5 + [inf] * 35)
    assert (change.never, change.tuned, better) == ((0, 35), 0.5, [])
    (worse, (change,)) = changed("recovery_time", [inf] * 40, before)
    assert (worse, change.never) == ([], (40, 0))
    assert changed("recovery_time", [inf] * 40, [inf] * 40) == ([], [])


def test_what_is_never_more_often_is_not_better() -> None:
    """3 of 40: 2 / 2^3 is no proof; nor is the speed of the others a gain. As often in both, it is one."""
    inf, noise = math.inf, np.random.default_rng(0).random(37) * 0.01
    before, after = [1.0] * 3 + (1.0 + noise).tolist(), [inf] * 3 + (0.5 + noise[::-1]).tolist()
    assert changed("recovery_time", before, after) == ([], [])
    before[:3] = [inf] * 3
    (worse, (change,)) = changed("recovery_time", before, after)
    assert (worse, change.never, change.pairs) == ([], (3, 3), 40)
    assert change.difference.n == 37


def test_mcnemar_is_exact() -> None:
    """With alpha = 0.05 / m, n pairs all on one side are enough from ceil(1 + log2(m / 0.05)) on: 2 / 2^n."""
    tests = len((*selection.MORE, *selection.LESS)) + 2
    least = math.ceil(1.0 + math.log2(tests / 0.05))
    for lost in (least - 1, least):
        worse, _ = changed("time_to_fairness", [1.0] * 40, [math.inf] * lost + [1.0] * (40 - lost))
        assert len(worse) == (lost == least)


def test_changes_are_paired_and_simultaneous() -> None:
    before = np.full((1, 10, len(METRICS)), np.nan)
    after = before.copy()
    places = {name: i for i, name in enumerate(METRICS)}
    noise = np.random.default_rng(0).normal(size=10)
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
    # Bonferroni: one of as many measures as have a good side, and of those that may never end once more.
    level = 1.0 - 0.05 / (len((*selection.MORE, *selection.LESS)) + 2)
    expected = estimate((0.2 + 0.001 * noise[::-1]).tolist(), level)
    assert worse[0].difference.low == pytest.approx(expected.low)
    assert worse[0].difference.mean == pytest.approx(expected.mean)
    assert set(selection.MORE) | set(selection.LESS) <= set(METRICS)
