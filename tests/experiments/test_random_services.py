"""Services at random: what a name says, the ranges that the families promise, and both engines."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.plants import needs_numba

import tpssim
from tpssim import InputError, Scenario, random_scenarios
from tpssim.experiments._drawing import Draw
from tpssim.experiments.families import FAMILIES, JUDGING, TUNING, Family
from tpssim.experiments.random_services import (
    families_of,
    family_of,
    random_scenario,
)
from tpssim.scenarios.capacity import achievable, capacity, mean_over, phases
from tpssim.scenarios.disturbances import Background, Stall
from tpssim.scenarios.load import wanted_calls
from tpssim.scenarios.service_times import TwoPhase
from tpssim.simulation.trace import COLUMNS

DOCUMENT = Path(__file__).parents[2] / "docs" / "services.md"
NUMBERS = range(12)


def several(family: str, seed: int = 11) -> list[Scenario]:
    return [random_scenario(family, number, seed) for number in NUMBERS]


def test_a_scenario_is_a_function_of_seed_family_and_number_alone() -> None:
    many = {scenario.name: scenario for scenario in random_scenarios(200, 7, "all")}
    few = random_scenarios(20, 7, ["far", "overload"])
    assert [scenario.name for scenario in few[:3]] == ["far-0", "overload-0", "far-1"]
    assert all(
        scenario == random_scenario(family_of(scenario.name), k // 2, 7)
        for k, scenario in enumerate(few)
    )
    assert all(many[scenario.name] == scenario for scenario in few if scenario.name in many)
    assert random_scenarios(5, 7, "all") == random_scenarios(9, 7, "all")[:5]
    assert random_scenario("far", 0, 7) != random_scenario("far", 0, 8)


def test_draws_are_those_of_the_standard_library() -> None:
    known = random.Random("7 far 3")
    first, second, third = known.random(), known.random(), known.random()
    draw = Draw(7, "far", 3)
    assert draw.even(10.0, 20.0) == pytest.approx(10.0 + 10.0 * first, rel=5e-3)
    assert draw.log(0.01, 1.0) == pytest.approx(0.01 * 100.0**second, rel=5e-3)
    assert draw.one_of("a", "b", "c") == "abc"[int(3 * third)]


def test_whole_numbers_reach_both_ends() -> None:
    draw = Draw(0, "far", 0)
    found = {draw.whole(2.0, 5.0) for _ in range(300)}
    assert found == {2.0, 3.0, 4.0, 5.0}


def test_families_for_tuning_and_for_judging_are_different_kinds() -> None:
    assert not set(TUNING) & set(JUDGING)
    judged = {family_of(s.name) for s in random_scenarios(100, kinds="judging")}
    assert judged == set(JUDGING)
    assert families_of(["tuning", "far", "judging"]) == list(FAMILIES)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"n": 0}, "n=0; allowed: a whole number >= 1"),
        ({"n": 3, "seed": -1}, "seed=-1; allowed: a whole number >= 0"),
        ({"n": 3, "kinds": "overlod"}, "there is no family of services 'overlod', did you mean"),
        ({"n": 3, "kinds": []}, "no kinds; allowed: tuning, judging, all, or names of families"),
    ],
)
def test_bad_input_is_one_line(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as error:
        random_scenarios(**given)
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_is_long_enough_to_be_judged_and_no_longer(family: str) -> None:
    for scenario in several(family):
        served = math.fsum(
            (b - a) * mean_over(scenario, achievable, a, b) for a, b in phases(scenario)
        )
        assert served >= 300.0, scenario.name
        assert wanted_calls(scenario) <= 50_000.0, scenario.name
        assert 40.0 <= scenario.duration <= 240.0, scenario.name
        assert scenario.summary.startswith(FAMILIES[family].about)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_is_read_back_from_its_file(family: str, tmp_path: Path) -> None:
    scenario = random_scenario(family, 1, 3)
    scenario.to_toml(tmp_path / "drawn.toml")
    assert tpssim.read_scenario(tmp_path / "drawn.toml") == scenario


def ratios(family: str) -> list[float]:
    """What is wanted over what the undisturbed service takes."""
    plain = [scenario._replace(disturbances=()) for scenario in several(family)]
    return [scenario.target / capacity(scenario, 0.0) for scenario in plain]  # type: ignore[operator]


#: Three significant digits of both.
EDGE = 0.02


@pytest.mark.parametrize(
    ("family", "low", "high"),
    [
        ("overload", 1.1, 2.5),
        ("few-servers", 0.8, 2.0),
        ("bimodal", 0.8, 2.5),
        ("correlated", 0.8, 2.0),
        ("outage", 0.6, 1.5),
        ("light-load", 0.3, 0.85),
        ("cold-start", 0.7, 1.5),
    ],
)
def test_targets_are_those_multiples_of_the_capacity(family: str, low: float, high: float) -> None:
    found = ratios(family)
    assert low * (1.0 - EDGE) <= min(found)
    assert max(found) <= high * (1.0 + EDGE)
    assert max(found) - min(found) > 0.4 * (high - low)  # and all over the range


def test_what_a_family_is_about_holds() -> None:
    for scenario in several("far"):
        assert scenario.network is not None
        assert 0.05 <= scenario.network.mean <= 0.5
        assert scenario.network.mean >= 2.0 * scenario.service.mean  # 8 servers at 50/s: 160 ms
    for scenario in several("retrograde"):
        servers, slope = scenario.backend.servers, scenario.backend.slope
        assert 1.05 <= 1.0 + slope * (servers - 1.0) <= 2.0
    for scenario in several("bimodal"):
        assert isinstance(scenario.service, TwoPhase)
        assert 9.9 <= scenario.service.slow / scenario.service.fast <= 101.0
    for scenario in several("tight-timeout"):
        assert 2.45 <= scenario.timeout / scenario.service.mean <= 5.05
    for scenario in several("neighbours"):
        assert {type(thing) for thing in scenario.disturbances} == {Background}
    for scenario in several("outage"):
        (gone,) = scenario.disturbances
        assert 0.09 <= (gone.end - gone.start) / scenario.duration <= 0.41
        assert isinstance(gone, Stall) or 9.9 <= gone.factor <= 101.0  # type: ignore[union-attr]


@pytest.mark.parametrize("family", ["far", "light-load", "combined"])
def test_what_is_on_the_network_takes_no_place_from_the_queue(family: str) -> None:
    # A backend counts a call until its answer is there: by Little's law capacity x network of them.
    for scenario in several(family):
        assert scenario.network is not None
        away = capacity(scenario._replace(disturbances=()), 0.0) * scenario.network.mean
        assert scenario.backend.places >= 2.0 * away + 4.0


def test_quotas_refuse_as_their_names_say() -> None:
    for scenario in several("quota-retry-after"):
        (quota,) = scenario.backend.quotas
        assert (quota.retry_after, quota.counts_refused) == (1.0, 0.0)
    for scenario in several("quota-plain"):
        (quota,) = scenario.backend.quotas
        assert (quota.retry_after, scenario.backend.silent) == (0.0, 0.0)
    for scenario in several("quota-silent"):
        assert scenario.backend.silent == 1.0


@needs_numba
@pytest.mark.parametrize("family", FAMILIES)
def test_both_engines_agree_to_the_bit(family: str) -> None:
    place = list(FAMILIES).index(family)
    scenario = random_scenario(family, place % 4, 29)
    law = ("headroom", "netflix-aimd", "sre-throttling")[place % 3]
    compiled, model = (
        tpssim.simulate(scenario, law, engine=engine) for engine in ("auto", "simpy")
    )
    for column in COLUMNS:
        assert np.array_equal(getattr(compiled, column), getattr(model, column), equal_nan=True)


def row(name: str, family: Family) -> str:
    return f"| `{name}` | {family.about} | {family.ranges} | {family.source} |"


def test_the_document_has_each_family_as_it_is() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    tuning, judging = text.partition("## Families for judging")[::2]
    assert all(row(name, family) in tuning for name, family in TUNING.items())
    assert all(row(name, family) in judging for name, family in JUDGING.items())
