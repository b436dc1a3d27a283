"""Objectives: what the named ones are, what a formula may hold, what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tpssim import InputError, measure, simulate
from tpssim.tuning.evaluations import penalised
from tpssim.tuning.objectives import OBJECTIVES, PENALTY, constants, objective

SHORT = "blocking-steady:duration=5"


def test_objectives_are_what_their_formulas_say() -> None:
    trace = simulate(SHORT, "ewma-deadzone")
    found = measure(trace)
    target, capacity, duration = 100.0, 50.0, 5.0  # of the scenario: 20 ms a call, and twice that is wanted
    known = constants(trace.scenario)
    assert known == pytest.approx({"target": target, "achievable": capacity, "duration": duration})
    measures = {**found, **known}
    latency = found["response_p99"] * capacity
    tracking, churn = found["iae"] / (capacity * duration), found["total_variation"] / capacity
    assert objective("tracking").of(measures) == pytest.approx(tracking)
    assert objective("achieved").of(measures) == pytest.approx(1.0 - found["achieved"])
    assert objective("latency").of(measures) == pytest.approx(latency)
    balanced = tracking + churn / 4.0 + latency / (100.0 + latency)
    assert objective("balanced").of(measures) == pytest.approx(balanced)
    assert set(OBJECTIVES) >= {"tracking", "achieved", "churn", "latency", "balanced"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("iae", 30.0),
        ("-iae + +errors", -29.5),
        ("2 * (iae - 10) / duration", 10.0),
        ("iae / iae / 4 - 1e-1", 0.15),
        ("churn * 100 - achieved", 199.2),  # an objective, and a measure that hides one
        ("errors / swing", math.nan),
        ("iae * 1e308 * 1e308", math.nan),
    ],
)
def test_formulas(text: str, value: float) -> None:
    measures = {"iae": 30.0, "errors": 0.5, "swing": 0.0, "achieved": 0.8, "total_variation": 100.0}
    found = objective(text).of({**measures, "achievable": 50.0, "duration": 4.0})
    assert found == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "iae.real",
        "iae[0]",
        "(lambda: iae)()",
        "iae ** 2",
        "iae if errors else 0",
        "iae < 1",
        "iae and errors",
        "not iae",
        "'iae' * 3",
        "iae + True",
        "iae + 1j",
        "[iae]",
        "(x := iae)",
        "iae @ errors",
        "iae // 2",
        "f'{iae}'",
        "iae + 1e999",
        f"iae + 1{'0' * 320}",
    ],
)
def test_formulas_hold_nothing_else(text: str) -> None:
    with pytest.raises(InputError, match="is not allowed; allowed: measures, numbers"):
        objective(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 - acheived", "no measure 'acheived', did you mean 'achieved'"),
        ("speed", "there is no measure 'speed'; allowed: throughput"),
        ("iae +", "is no formula; allowed: tracking"),
        ("", "is no formula"),
        ("1 + 2", "names no measure"),
        ("target", "names no measure"),
        ("-" * 500 + "iae", "503 characters; allowed: at most 400"),
        (3.0, "objective 3.0 is neither name, formula nor function"),
    ],
)
def test_what_is_no_objective_is_refused(text: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        objective(text)


def test_the_deepest_formula_is_evaluated() -> None:
    assert objective("-" * 396 + "iae").of({"iae": 2.0}) == 2.0


def test_penalties_lie_above_all_others_and_fall_towards_them() -> None:
    losses = np.array([[[1.0], [3.0]], [[math.nan], [3.0]], [[math.nan], [math.nan]]])
    assert penalised(losses)[:, 0].tolist() == [2.0, 1.5 * PENALTY, 2.0 * PENALTY]
