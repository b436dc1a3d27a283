"""Objectives: what the named ones are, what a formula may hold, what is refused."""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tpssim import InputError, measure, simulate
from tpssim.experiments.tuning.evaluations import penalised
from tpssim.experiments.tuning.objectives import (
    OBJECTIVES,
    PENALTY,
    constants,
    distinguished,
    objective,
    sense,
)
from tpssim.metrics.measure import METRICS

SHORT = "blocking-steady:duration=5"


def test_objectives_are_what_their_formulas_say() -> None:
    trace = simulate(SHORT, "ewma-deadzone")
    found = measure(trace)
    # of the scenario: 20 ms a call, and twice that is wanted
    target, capacity, duration = (
        100.0,
        50.0,
        5.0,
    )
    known = constants(trace.scenario)
    assert known == pytest.approx({"target": target, "achievable": capacity, "duration": duration})
    measures = {**found, **known}
    latency = found["response_p99"] * capacity
    tracking, churn = found["iae"] / (capacity * duration), found["total_variation"] / capacity
    # to the bit
    assert objective("churn").of(measures) == found["total_variation"] / known["achievable"]
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
        ("max: iae - +errors", -29.5),
        ("2 * (iae - 10) / duration", 10.0),
        ("iae / iae / 4 - 1e-1", 0.15),
        ("churn * 100 - achieved", 199.2),  # an objective, and a measure that hides one
        ("min: errors / swing", math.nan),
        ("iae * 1e308 * 1e308", math.nan),
    ],
)
def test_formulas(text: str, value: float) -> None:
    measures = {"iae": 30.0, "errors": 0.5, "swing": 0.0, "achieved": 0.8, "churn": 2.0}
    found = objective(text).of({**measures, "achievable": 50.0, "duration": 4.0})
    assert found == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.better])
def test_a_measure_alone_is_taken_in_its_own_sense(name: str) -> None:
    aim = objective(name)
    good, bad = (0.9, 0.2) if METRICS[name].better == "more" else (0.2, 0.9)
    assert aim.of({name: good}) < aim.of({name: bad})
    # What is printed names the number that is less for better: no measure stands for another
    # number.
    assert (aim.name == name) == (aim.of({name: good}) == good)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("achieved + churn", "achieved"),  # 58 % fell to 14 %, "a certain gain"
        ("achieved - churn", "achieved"),
        ("churn - 0.5 * iae", "iae"),
        ("throughput * 2", "throughput"),
        ("1 / swing", "swing"),
        ("iae / -errors", "iae"),
        ("score + churn", "score"),
        ("-tracking", "tracking"),
        ("-(1 - fairness) * 3 + churn", "fairness"),
    ],
)
def test_a_formula_that_makes_a_measure_worse_is_refused(text: str, wrong: str) -> None:
    with pytest.raises(
        InputError, match=f"makes {wrong} worse.*'max: .*' or 'min: .*', which say which way"
    ):
        objective(text)
    measures = {**dict.fromkeys(METRICS, 0.5), "achievable": 2.0, "duration": 4.0}
    if not {"score", "tracking"} & {wrong}:
        assert objective(f"max: {text}").of(measures) == -objective(f"min:{text}").of(measures)


@pytest.mark.parametrize(
    "text",
    [
        "1 - achieved + churn",
        "churn - achieved",
        "iae / throughput",
        "latency / (100 + latency)",
        "2 - score",
    ],
)
def test_a_formula_that_makes_no_measure_worse_is_taken_as_it_is(text: str) -> None:
    assert objective(text).formula == text


@pytest.mark.parametrize("text", ["period", "drift * 2", "limited"])
def test_of_what_has_no_sense_one_must_be_given(text: str) -> None:
    with pytest.raises(InputError, match="neither more nor less is better; allowed: 'max: "):
        objective(text)
    assert objective(f"min: {text}").formula == text


def test_score_has_the_league_s_direction_and_what_is_missing_to_it_its_name() -> None:
    found = {**measure(simulate(SHORT, "aimd")), "score": 0.75}
    best = 0.75
    assert (objective("score").name, objective("score").of(found)) == ("1 - score", 1.0 - best)
    assert objective("max: score").of(found) == -best


@pytest.mark.parametrize("given", ["achieved", "score", "max: period", "min: -swing", "balanced"])
def test_an_objective_goes_to_another_process(given: str) -> None:
    aim = objective(given)
    again = pickle.loads(pickle.dumps(aim))
    assert again[:2] == aim[:2]
    measures = {**dict.fromkeys([*METRICS, "score"], 0.5), "achievable": 2.0, "duration": 4.0}
    assert again.of(measures) == aim.of(measures)


def test_churn_tells_settings_of_every_kind_of_law_apart() -> None:
    """Limits and refusals have an open rate, whose variation is 0."""
    for scenario, laws in (
        ("pool-degrade:duration=22", ["netflix-vegas", "netflix-vegas:smoothing=0.5"]),
        ("refusing:duration=10", ["sre-throttling:k=1.1", "sre-throttling:k=2"]),
    ):
        found = [measure(simulate(scenario, law)) for law in laws]
        assert [measures["total_variation"] for measures in found] == [0.0, 0.0]
        a, b = (objective("churn").of(measures) for measures in found)
        assert 0.0 < a != b > 0.0


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
        (
            "pace",
            "there is no measure 'pace'; allowed: tracking, achieved, churn, latency,",
        ),
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


def tracking(measures: Mapping[str, float]) -> float:
    return measures["iae"]


def test_a_function_that_is_named_as_an_objective_stays_itself_in_another_process() -> None:
    again = pickle.loads(pickle.dumps(objective(tracking)))
    assert again.of({"iae": 3.0}) == 3.0


def test_an_objective_that_is_given_twice_is_refused() -> None:
    with pytest.raises(InputError, match="'tracking' is given twice"):
        distinguished([objective("tracking"), objective("tracking")])
    both = distinguished([objective("tracking"), objective(tracking)])
    assert [one.name for one in both] == ["tracking 1", "tracking 2"]


def test_a_length_that_is_refused_is_the_one_that_was_typed() -> None:
    """Of `max:` the formula is longer than what was typed."""
    for size in range(390, 406):
        text = _long(size)
        assert len(text) == size
        if size <= 400:
            assert objective(text).of({"achieved": 0.5}) == -0.5
        else:
            with pytest.raises(
                InputError, match=f"^objective of {size} characters; allowed: at most 400$"
            ):
                objective(text)


def _long(size: int) -> str:
    """`max:` of achieved plus nothing, in so many characters."""
    return f"max: achieved + 0.{'0' * (size - 18)}"


def test_the_most_of_a_measure_is_the_measure_in_its_own_sense() -> None:
    most, own = objective("max: throughput"), objective("throughput")
    assert (most.name, most.formula) == (own.name, own.formula) == ("-throughput", "-throughput")
    with pytest.raises(InputError, match="'-throughput' is given twice"):
        distinguished([most, own])


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("score", ("score", "more", 0.6)),  # of a loss of 0.4, as the league shows it
        ("achieved", ("achieved", "more", 0.6)),
        ("throughput", ("throughput", "more", -0.4)),
        ("churn", ("churn", "less", 0.4)),
        ("max: achieved - churn", ("-(achieved - churn)", "less", 0.4)),
    ],
)
def test_a_loss_is_shown_in_the_sense_that_its_measure_has_everywhere(
    given: str, shown: tuple[str, str, float]
) -> None:
    aim = objective(given)
    way = sense(aim.name, aim.formula)
    assert (way.name, way.better) == shown[:2]
    assert way.of(0.4) == pytest.approx(shown[2])
