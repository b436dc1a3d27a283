"""Which points a sweep visits, whose parameter a name is, and what is refused."""

from __future__ import annotations

import math
from typing import Annotated, Any, NamedTuple

import numpy as np
import pytest
from helpers.laws import Actuators

from tpssim import InputError, Observation
from tpssim.controllers.aimd import Aimd
from tpssim.controllers.ewma_deadzone import EwmaDeadzone
from tpssim.core.schedule import SKIP
from tpssim.core.timer_models import TIMERS
from tpssim.core.validation import Range
from tpssim.experiments.sweep import designs
from tpssim.experiments.sweep.designs import Value, parse_axis
from tpssim.scenarios.builtin import SCENARIOS

ARENA = SCENARIOS["blocking-steady"]


def test_a_grid_is_every_combination_in_order() -> None:
    found = designs.factors(ARENA, Aimd(), {"dec_rate": [0.5, 0.9], "cv": [0.1, 0.2, 0.3]})
    assert designs.points(found, "grid", None, 0) == [
        (0.5, 0.1), (0.5, 0.2), (0.5, 0.3), (0.9, 0.1), (0.9, 0.2), (0.9, 0.3),
    ]  # fmt: skip
    assert [(factor.owner, factor.unit) for factor in found] == [
        ("controller", "x"),
        ("scenario", "std / mean"),
    ]


def test_parameters_of_law_scenario_timer_and_late_policy() -> None:
    grid: dict[str, list[Value]] = {
        "controller.alpha": [0.5], "target": [50.0], "scenario.spin_threshold": [0.001],
        "timer": ["linux"], "late": ["skip"], "timer.read_cost": [1e-6],
    }  # fmt: skip
    found = designs.factors(ARENA, EwmaDeadzone(), grid)
    (point,) = designs.points(found, "grid", None, 0)
    scenario, law = designs.at(ARENA, EwmaDeadzone(), found, point)
    assert law == EwmaDeadzone(alpha=0.5)
    assert (scenario.target, scenario.spin_threshold, scenario.late) == (50.0, 0.001, SKIP)
    assert scenario.timer == TIMERS["linux"]._replace(read_cost=1e-6)


@pytest.mark.parametrize("design", ["sobol", "lhs"])
def test_a_sample_fills_the_space_evenly(design: str) -> None:
    found = designs.factors(ARENA, EwmaDeadzone(), {"alpha": [0.01, 0.16], "deadzone": [1.0, 2.0]})
    points = designs.points(found, design, 64, 7)
    assert points == designs.points(found, design, 64, 7)
    assert points != designs.points(found, design, 64, 8)
    # alpha is searched on a logarithmic scale: 0.04 is the middle. 64 points fill 16 equal
    # intervals.
    alpha = np.log([float(point[0]) for point in points]) - math.log(0.01)
    deadzone = np.array([float(point[1]) for point in points]) - 1.0
    for column in (alpha / math.log(16.0), deadzone):
        counts = np.histogram(column, 16, (0.0, 1.0))[0]
        assert counts.tolist() == [4] * 16


def test_the_seed_of_a_point() -> None:
    assert designs.seed_of(5, "common", (0.1,)) == designs.seed_of(5, "common", (0.2,)) == 5
    seeds = {designs.seed_of(s, "independent", p) for s in (5, 6) for p in ((0.1,), (0.2,))}
    assert len(seeds) == 4


@pytest.mark.parametrize(
    ("grid", "design", "number", "message"),
    [
        ({}, "grid", None, "the grid has no factor"),
        (
            {"beta": [1.0]},
            "grid",
            None,
            "no parameter 'beta'; allowed: the controller's .alpha, deadzone",
        ),
        ({"controller.mean": [1.0]}, "grid", None, "no parameter 'controller.mean'"),
        ({"alpha": [0.1, 2.0]}, "grid", None, r"alpha=2.0 is out of range; allowed: \(0, 1\]"),
        ({"alpha": ["fast"]}, "grid", None, "alpha=fast is out of range"),
        ({"alpha": []}, "grid", None, "alpha has no value"),
        (
            {"alpha": [0.1], "controller.alpha": [0.2]},
            "grid",
            None,
            "alpha of the controller is given twice",
        ),
        ({"alpha": [0.1, 0.1]}, "grid", None, "alpha=0.1 is given twice"),
        (
            {"timer": ["sundial"]},
            "grid",
            None,
            "timer=sundial is no timer model; allowed: ideal, linux",
        ),
        ({"late": ["never"]}, "grid", None, "no late policy 'never'"),
        ({"alpha": [0.1]}, "spiral", None, "no design 'spiral'; allowed: grid, sobol, lhs"),
        ({"alpha": [0.1]}, "grid", 5, "points=5 with a full grid"),
        ({"alpha": [0.1, 0.2]}, "lhs", None, "points=None with the design lhs"),
        ({"alpha": [0.1]}, "sobol", 4, "alpha with the design sobol; allowed: two finite numbers"),
        ({"timer": ["linux"]}, "lhs", 4, "timer with the design lhs"),
    ],
)
def test_bad_grids_get_one_line(
    grid: dict[str, Any], design: str, number: int | None, message: str
) -> None:
    with pytest.raises(InputError, match=message) as error:
        designs.points(designs.factors(ARENA, EwmaDeadzone(), grid), design, number, 0)
    assert "\n" not in str(error.value)


class Timid(NamedTuple):
    """A law with a parameter that the scenario has too."""

    target: Annotated[float, Range(0.0, 1.0)] = 0.5

    def init(self, target: float) -> Actuators:
        return Actuators(target * self.target, math.inf, 0.0)

    def update(self, state: Actuators, obs: Observation) -> Actuators:
        return state


def test_a_name_of_both_must_be_qualified() -> None:
    with pytest.raises(
        InputError,
        match=r"'target' is a parameter of the controller and of the scenario; allowed: ",
    ):
        designs.factors(ARENA, Timid(), {"target": [0.5]})
    found = designs.factors(
        ARENA, Timid(), {"controller.target": [0.25], "scenario.target": [80.0]}
    )
    scenario, law = designs.at(ARENA, Timid(), found, (0.25, 80.0))
    assert (scenario.target, law) == (80.0, Timid(0.25))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alpha=0.05:0.5:4", ("alpha", [0.05, 0.2, 0.35, 0.5])),
        ("alpha=0.01:1:3:log", ("alpha", [0.01, 0.1, 1.0])),
        ("alpha=0.05:0.5", ("alpha", [0.05, 0.5])),
        ("deadzone=1.02,1.1,1.2", ("deadzone", [1.02, 1.1, 1.2])),
        ("backend.servers=4", ("backend.servers", [4.0])),
        ("late=burst,skip", ("late", ["burst", "skip"])),
    ],
)
def test_the_grid_syntax(text: str, expected: tuple[str, list[Value]]) -> None:
    assert parse_axis(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "alpha",
        "alpha=",
        "=1",
        "alpha=1:2:3:4",
        "alpha=2:1:5",
        "alpha=0:1:5:log",
        "alpha=0:1:1",
        "alpha=a:b",
    ],
)
def test_bad_grid_syntax_gets_one_line(text: str) -> None:
    with pytest.raises(InputError, match="grid") as error:
        parse_axis(text)
    assert "\n" not in str(error.value)
