"""A run of a controller against the oracle's."""

from __future__ import annotations

import pytest

from tpssim import InputError, measure, simulate
from tpssim.experiments.scoring import oracle_measures, score_of

SCENARIO = "overload:duration=10"


def test_the_oracle_scores_one() -> None:
    found = score_of(SCENARIO, "oracle", seed=4, replication=2)
    assert (found.total, found.goodput, found.useful, found.tail) == (1.0, 1.0, 1.0, 1.0)


def test_it_is_the_share_of_the_oracle_s_goodput_on_the_same_noise() -> None:
    best = oracle_measures(SCENARIO, 4, 2)
    own = measure(simulate(SCENARIO, "aimd", seed=4, replication=2))
    found = score_of(SCENARIO, "aimd", seed=4, replication=2)
    assert found.goodput == own["goodput"] / best["goodput"]
    again = measure(simulate(SCENARIO, "oracle", seed=4, replication=2))
    assert best == pytest.approx(again, rel=0.0, nan_ok=True)


def test_goodput_alone_may_be_the_score() -> None:
    found = score_of(SCENARIO, "aimd", weights={"goodput": 1.0})
    assert found.total == pytest.approx(found.goodput)
    with pytest.raises(InputError, match="weights: there is no part 'speed'"):
        score_of(SCENARIO, "aimd", weights={"speed": 1.0})
