"""One word for a run: each rule at its threshold, and what the built-in scenarios must show."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tpssim.experiment import simulate
from tpssim.metrics import Phase
from tpssim.verdicts import WORDS, judge, judge_phase, majority

GOOD = Phase(0.0, 60.0, 100.0, 200.0, 100.0, 1.0, 1.0, 0.5, 100.0, 0.0, 0.1, math.nan, 0.0)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "converges"),
        ({"swing": 0.51}, "oscillates"),
        ({"swing": 0.5}, "converges"),
        ({"swing": 0.11, "period": 3.0}, "oscillates"),  # small but regular
        ({"swing": 0.1, "period": 3.0}, "converges"),
        ({"steady_share": 0.79}, "stuck"),
        ({"steady_share": 0.8}, "converges"),
        ({"drift": 1001.0}, "drifts"),
        ({"drift": 1000.0}, "converges"),
        ({"drift": 10_000.0, "steady_load": 0.9}, "converges"),  # a busy consumer makes any schedule late
        ({"drift": 10_001.0, "steady_load": 0.9}, "saturated"),
        ({"drift": 10_001.0, "steady_load": 0.89}, "drifts"),
    ],
)
def test_each_rule_at_its_threshold(changes: dict[str, Any], word: str) -> None:
    assert judge_phase(GOOD._replace(**changes)).word == word


def test_reasons_are_one_line_with_figures() -> None:
    assert (
        judge_phase(GOOD._replace(steady_share=0.5)).reason
        == "0-60 s: settled at 50% of the achievable 100/s"
    )


def test_the_majority_decides_and_the_worse_word_wins_a_tie() -> None:
    assert majority(["converges", "converges", "stuck"]) == ("converges", 2 / 3)
    assert majority(["converges", "stuck"]) == ("stuck", 0.5)
    assert WORDS[:2] == ("inert", "stuck")


@pytest.mark.parametrize(
    ("scenario", "controller", "word"),
    [
        ("degrade-recover", "printed-sleep", "drifts"),
        ("degrade-recover", "printed-spin", "saturated"),
        ("degrade-recover", "printed-aimd", "oscillates"),
        ("degrade-recover", "printed-ewma", "stuck"),
        ("degrade-recover", "headroom", "converges"),
        ("blocking-steady", "aimd", "oscillates"),
        ("blocking-steady", "headroom", "converges"),
        ("fast-async", "ewma-deadzone", "converges"),
        ("drift", "printed-sleep", "drifts"),
        ("drift", "printed-spin", "converges"),
        ("spikes", "printed-ewma", "stuck"),
        ("spikes", "headroom", "converges"),
    ],
)
def test_the_story_holds_on_another_seed(scenario: str, controller: str, word: str) -> None:
    assert judge(simulate(scenario, controller, seed=12345)).word == word
