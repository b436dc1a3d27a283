"""Results as typed records: what is written is read back, of every kind, from real small runs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT

import tpssim
from tpssim.cli.main import main
from tpssim.core.errors import InputError
from tpssim.core.statistics import Estimate
from tpssim.experiments.analysis.analyses import analyse
from tpssim.experiments.compare import league
from tpssim.experiments.over_services import over_services
from tpssim.experiments.tuning import tune as tuning
from tpssim.experiments.tuning.sensitivity import sensitivity
from tpssim.output.records import KINDS, SCHEMA, Record, SweepRecord, from_dict
from tpssim.output.records.checks import fault, hints_of
from tpssim.output.records.parts import Figure, Interval, interval
from tpssim.output.records.searches import Index
from tpssim.validation import live_against_simulated
from tpssim.validation.validate import record_of, validate

SHORT = "blocking-steady:duration=3"
FEW = ["--replications", "2", "--workers", "1"]
#: The command that leaves each kind, and its pictures with what they are of.
MADE: dict[str, tuple[list[str], list[tuple[str, str]]]] = {
    "compare": (
        ["compare", "--scenarios", SHORT, "--controllers", "fixed", "--late", "burst,skip", *FEW],
        [("rates", "scenario"), ("rates", "scenario"), ("late policies", "late")],
    ),
    "league": (
        ["compare", "--league", "--scenarios", SHORT, "--controllers", "aimd", "fixed", *FEW],
        [("matrix", "controllers")],
    ),
    "services": (
        [
            *["compare", "--random", "2", "--kinds", "blocking", "--controllers", "aimd", "fixed"],
            *["--workers", "1"],
        ],
        [("matrix", "controllers")],
    ),
    "simulate": (["simulate", SHORT, "aimd"], [("rates", "traces")]),
    "sweep": (
        [
            *["sweep", "--scenario", SHORT, "--grid", "alpha=0.1,0.2", "deadzone=1.1,1.3", *FEW],
            *["--heatmap", "verdict", "--plot", "achieved", "churn:swing"],
        ],
        [("heat map", "factors"), ("line", "over"), ("line", "over")],
    ),
    "tune": (
        [
            *["tune", "aimd", "--scenarios", SHORT, "--parameters", "dec_rate,inc_step"],
            *["--budget", "16", "--sensitivity", "--replications", "1", "--workers", "1"],
        ],
        [("convergence", "controller"), ("profile", "controller"), ("sensitivity", "controller")],
    ),
    "live": (
        ["live", "--call", "math:sqrt", "--tps", "500", "--total", "20", "--quiet"],
        [("live", "traces")],
    ),
    "replay": (["replay", "live/recording.ndjson"], [("replay", "controllers")]),
    "fit": (["fit", "recorded/trace.csv", "--runs", "2"], [("fit", "recording")]),
    "recommend": (
        ["recommend", SHORT, "--controllers", "aimd", "--budget", "16", "--workers", "1"],
        [("candidates", "file")],
    ),
    "analyse": (
        ["analyse", "aimd", "--scenario", SHORT, "--replications", "2"],
        [("analysis", "scenario")],
    ),
    "validate": (["validate", "--cases", "ties"], []),
    "calibrate": (["calibrate", "--sleeps", "20"], []),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setattr(tuning, "CHOOSING", 20)  # its form is looked at, not what is chosen
        assert main(["simulate", "healthy:duration=10", "fixed", "--out", "recorded"]) == 0
        for kind, (argv, _) in MADE.items():
            assert main([*argv, "--out", kind]) == 0
    return root


def written(folder: Path) -> str:
    name = "timer.json" if folder.name == "calibrate" else "summary.json"
    return (folder / name).read_text(encoding="utf-8")


def again(record: Record) -> Record:
    """The record, written and read back."""
    return from_dict(json.loads(json.dumps(record.to_dict(), allow_nan=False)))


@pytest.mark.parametrize("kind", MADE)
def test_what_a_verb_writes_is_its_record_to_the_byte(kind: str, results: Path) -> None:
    text = written(results / kind)
    record = from_dict(json.loads(text))
    assert type(record) is KINDS[kind]
    assert json.dumps(record.to_dict(), indent=1, allow_nan=False) + "\n" == text
    assert [*json.loads(text)][:4] == ["kind", "schema_version", "tpssim", "command"]
    assert record.command.startswith("python -m tpssim ")


@pytest.mark.parametrize("kind", MADE)
def test_each_figure_says_what_it_shows_and_its_files_are_there(kind: str, results: Path) -> None:
    folder = results / kind
    figures: Any = from_dict(json.loads(written(folder))).figures
    assert [figure["name"] for figure in figures] == [name for name, _ in MADE[kind][1]]
    for figure, (_, key) in zip(figures, MADE[kind][1], strict=True):
        assert figure[key]
        for file in (figure["file"], *figure.get("traces", {}).values()):
            assert (folder / file).is_file()
    pictures = {path.name for path in folder.glob("*.png")}
    assert {figure["file"] for figure in figures} == pictures


def test_figures_of_a_sweep_name_measure_and_factors(results: Path) -> None:
    heat, achieved, churn = from_dict(json.loads(written(results / "sweep"))).figures
    assert (heat["measure"], heat["factors"]) == ("verdict", ["alpha", "deadzone"])
    assert (achieved["measure"], achieved["over"]) == ("achieved", "alpha")
    assert (churn["measure"], churn["over"]) == ("churn", "swing")


def test_a_late_policy_is_a_field(results: Path) -> None:
    record: Any = from_dict(json.loads(written(results / "compare")))
    found = [(arena["late"], arena["variant_of"]) for arena in record.scenarios.values()]
    assert found == [("burst", SHORT), ("skip", SHORT)]
    late = record.figures[-1]
    assert (late["scenario"], late["late"]) == (SHORT, ["burst", "skip"])


def surfaces() -> dict[str, Record]:
    """What the objects of the Python surface say of themselves."""
    compared = tpssim.compare(SHORT, ["fixed", "printed-schedule"], replications=5)
    grid = {"alpha": [0.1, 0.2], "deadzone": [1.1, 1.3]}
    tuned = tpssim.tune(SHORT, "aimd", parameters=["dec_rate"], budget=16, replications=1)
    found = sensitivity(
        SHORT, "aimd", "iae", parameters=["dec_rate", "inc_step"], replications=1, base=8
    )
    scenario = live_against_simulated.scenario_of("blocking", [0.001], 6.0)
    traces = tpssim.simulate(scenario, "aimd"), tpssim.simulate(scenario, "aimd", seed=1)
    first, second = map(live_against_simulated.numbers, traces)
    report = tpssim.throttle([], 1.0).report()
    pair = live_against_simulated.Pair(
        "aimd", "blocking", 0.001, first, [second], ("stuck", "stuck"), report, traces
    )
    return {
        "compare": compared.record(),
        "league": league([SHORT], ["aimd", "fixed"], replications=2).record(),
        "services": over_services(league([SHORT], ["aimd"], replications=1)).record(),
        "sweep": tpssim.sweep(SHORT, "ewma-deadzone", grid, replications=2).record(),
        "tune": dataclasses.replace(tuned.record(), sensitivity=found.record()),
        "analyse": analyse("degrade-recover:duration=20", "ewma-deadzone", replications=2).record(),
        "validate": record_of(validate(["ties", "constant-link"]), 0),
        "validate-live": live_against_simulated.record_of([pair]),
    }


def test_the_objects_of_the_surface_have_records_that_are_read_back() -> None:
    for kind, record in surfaces().items():
        assert record.kind == kind
        assert (record.command, record.figures) == ("", [])
        assert again(record) == record, kind


def test_kinds_are_what_the_verbs_leave() -> None:
    assert {*MADE, "validate-live"} == {*KINDS}
    assert all(cls.kind == kind for kind, cls in KINDS.items())


def test_keys_that_this_version_does_not_know_are_passed_over(results: Path) -> None:
    document = json.loads(written(results / "validate"))
    assert from_dict({**document, "mood": "good"}) == from_dict(document)


def test_a_bool_is_no_number_and_a_whole_number_is_one() -> None:
    assert fault(True, float, "x") == "x is True; allowed: a number"
    assert fault(True, int, "x") == "x is True; allowed: a whole number"
    assert fault(3, float, "x") == ""
    assert fault(3.0, int, "x") == "x is 3.0; allowed: a whole number"
    assert fault(1, bool, "x") == "x is 1; allowed: true or false"
    assert fault(1e301, float, "x") == "x is 1e+301; allowed: a number of at most 1e+300"


def test_inside_a_part_that_may_be_null_the_field_is_named() -> None:
    shape = Index | None
    assert fault(None, shape, "x") == ""
    assert fault({"value": 1.0, "low": None, "high": None}, shape, "x") == ""
    assert fault({"value": 1.0, "low": "a"}, shape, "x") == (
        "x > low is 'a'; allowed: a number or null"
    )
    assert fault(3, shape, "x") == "x is 3; allowed: an object or null"


def test_what_does_not_apply_to_a_figure_need_not_be_there() -> None:
    assert fault({"name": "line", "file": "x.png"}, Figure, "f") == ""
    assert fault({"name": "line"}, Figure, "f") == "f > file is missing; allowed: text"
    assert fault({"name": "line", "file": "x.png", "late": "skip"}, Figure, "f") == (
        "f > late is 'skip'; allowed: a list"
    )


def test_an_estimate_is_a_part() -> None:
    assert list(hints_of(Interval)) == list(Estimate._fields)
    assert interval(Estimate(1.0, None, None, 2, 0)) == {
        "mean": 1.0, "low": None, "high": None, "n": 2, "never": 0,
    }  # fmt: skip


def test_a_record_that_is_damaged_in_memory_is_refused_too() -> None:
    record = SweepRecord(
        scenario="s", controller="c", parameters={}, factors={"x": ""}, replications=1, seed=0,
        seed_set="common", metrics={}, curves=[], points=[], failures=[],
    )  # fmt: skip
    with pytest.raises(InputError, match=r"^points is empty; allowed: at least one$"):
        from_dict(record.to_dict())
    assert record.to_dict()["schema_version"] == SCHEMA


@pytest.mark.parametrize("name", ["reference-league", "reference-held-out"])
def test_the_committed_summaries_are_records_of_this_schema(name: str) -> None:
    text = (ROOT / "results" / name / "summary.json").read_text(encoding="utf-8")
    record = from_dict(json.loads(text))
    assert record.kind == "league"
    assert record.to_dict() == json.loads(text)
