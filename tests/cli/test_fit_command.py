"""`tpssim fit`: a recorded service whose truth is known, its file, its page, its exit code."""

from __future__ import annotations

import csv
import html
import json
from pathlib import Path

import pytest
from helpers.pages import gaps
from helpers.recordings import CROWD, recorded

import tpssim
from tpssim import Backend, ServiceQuota, Stages
from tpssim.cli.main import main
from tpssim.core.types import OK, REJECTED, UNFINISHED
from tpssim.experiments.fitting.draws import drawn
from tpssim.output.records import FitRecord, from_dict
from tpssim.scenarios.files import Estimated, ScenarioFile, read_scenario_file

STATUS = {OK: 200, REJECTED: 429}


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 servers, 50 ms, 1,500 calls in any 10 s, under loads that are more than that."""
    plant = CROWD._replace(
        target=Stages("10s:280,10s:60,10s:280,10s:60"),
        duration=40.0,
        backend=Backend(servers=12.0, quotas=(ServiceQuota(1500.0, 10.0),)),
    )
    seen = recorded(plant, seed=4)
    path = tmp_path_factory.mktemp("fit") / "calls.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["start_s", "latency_s", "status"])
        for start, took, outcome in zip(
            seen.start.tolist(), seen.latency.tolist(), seen.outcome.tolist(), strict=True
        ):
            if outcome != UNFINISHED:
                writer.writerow([repr(start), repr(took), STATUS[outcome]])
    return path


def test_a_recording_becomes_a_service(
    calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, file = tmp_path / "out", tmp_path / "service.toml"
    arguments = ["fit", str(calls), "-o", str(file), "--runs", "6", "--plot", "--out", str(out)]
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert "calls.csv" in said.err
    assert "The twin holds, on " in said.out
    assert "- refuses above 1,500 calls in any 10 s\n" in said.out
    assert max(map(len, said.out.partition("Written to")[0].splitlines())) <= 80
    record = from_dict(json.loads((out / "summary.json").read_text()))
    assert isinstance(record, FitRecord)
    assert record.estimates["backend.servers"] == {"value": 12.0, "low": 12.0, "high": 12.0}
    (quota,) = record.quotas
    assert quota["amount"] == {"value": 1500.0, "low": 1500.0, "high": 1500.0}
    assert (quota["per"]["value"], quota["window"]) == (10.0, "rolling")
    assert record.check["holds"]
    assert record.check["misses"] == []
    assert {path.name for path in out.iterdir()} >= {"fit.png", "service.toml", "summary.json"}
    found = read_scenario_file(file)
    assert found.scenario.backend.quotas == (ServiceQuota(1500.0, 10.0),)
    assert found.provenance is not None
    assert found.provenance.digest == record.recording["digest"]
    assert (found.provenance.fault, found.scenario.summary) == ("", "")
    assert found.scenario.name == "service"  # by the file, for recorders name all alike
    assert {each.name for each in found.estimates} >= {"service.mean", "backend.servers"}
    assert file.with_suffix(".png").is_file()
    # the file is a scenario wherever one is named
    trace = tpssim.simulate(f"{file}:duration=2", "aimd")
    assert trace.scenario.backend.servers == 12.0
    assert main(["report", str(out)]) == 0
    page = (out / "report.html").read_text()
    assert gaps(page) == []
    assert "The twin holds" in page
    assert "learned from a recording" in page
    assert "refuses above 1,500 calls in any 10 s" in page
    assert "service time, mean" in page
    assert f"<code>{record.toml.rstrip()}</code>" in html.unescape(page)


def test_one_document_and_nothing_else(
    calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["fit", str(calls), "--runs", "2", "--holdout", "0", "--json"]
    assert main([*arguments, "--out", str(tmp_path / "out")]) in (0, 1)
    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "fit"
    assert document["check"]["apart"] is False
    assert document["holdout"] == 0.0
    assert "[estimates." in document["toml"]


def test_a_twin_that_does_not_hold_is_exit_code_1(
    calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The service becomes three times as slow in the part that is held out."""
    rows = list(csv.DictReader(calls.read_text().splitlines()))
    for row in rows:
        if float(row["start_s"]) > 20.0 and row["status"] == "200":
            row["latency_s"] = str(3.0 * float(row["latency_s"]))
    other = tmp_path / "other.csv"
    with other.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert main(["fit", str(other), "--runs", "4", "--out", str(tmp_path / "out")]) == 1
    assert "The twin does not hold, on " in capsys.readouterr().out
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert "p50" in summary["check"]["misses"]
    found = read_scenario_file(tmp_path / "out" / "service.toml")
    assert found.provenance is not None
    assert found.provenance.fault == summary["check"]["said"]
    told = "fitted to other.csv; it does not hold on what was held out"
    assert found.scenario.summary == told
    # whoever compares on it reads that, and nothing is promised for it
    assert told in tpssim.compare(found.scenario, ["fixed"], replications=1).table()
    named = tpssim.recommend(tmp_path / "out" / "service.toml", controllers=["headroom"])
    assert named.record().expected == []
    first = " ".join(named.table().splitlines()[1:4])
    assert "The file says that its model is wrong: The twin does not hold, on " in first


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--columns", "when=a"], "columns: 'when' is not known; allowed: start, latency, end"),
        (["--holdout", "1"], "holdout=1.0; allowed: from 0 to below 1"),
        (["--runs", "1"], "runs"),
        (["--seed", "-1"], "seed"),
        (["-o", "my.png"], "'my.png' is no name of a scenario's file; allowed: a name in .toml"),
        (["-o", "nosuch/x.toml"], "there is no folder nosuch for x.toml; allowed: one that exists"),
    ],
)
def test_bad_command_lines_get_exit_code_2(
    calls: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    said: str,
) -> None:
    assert main(["fit", str(calls), *options, "--out", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()
    assert not Path("nosuch").exists()


def test_a_scenario_is_written_over_no_picture(tmp_path: Path) -> None:
    picture = tmp_path / "my.png"
    picture.write_bytes(b"a picture")
    for path in (picture, tmp_path / "nosuch" / "x.toml"):
        with pytest.raises(tpssim.InputError, match="allowed: "):
            CROWD.to_toml(path)
    assert [*tmp_path.iterdir()] == [picture]
    assert picture.read_bytes() == b"a picture"


def test_throttles_on_services_drawn_from_the_intervals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plant = CROWD._replace(duration=2.0, backend=Backend(servers=12.0))
    file = tmp_path / "mine.toml"
    estimates = (Estimated("backend.servers", 12.0, 6.0, 12.0),)
    ScenarioFile(plant, estimates=estimates).to_toml(file)
    out = tmp_path / "out"
    given = ["compare", "--scenarios", str(file), "--draws", "4", "--replications", "2"]
    assert main([*given, "--controllers", "fixed", "--workers", "1", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "plant: from the least to the most of 4 services that may have been it" in said
    assert said.count("wanted 200/s for 2 s") == 1  # the draws have one table together
    summary = json.loads((out / "summary.json").read_text())
    assert [*summary["scenarios"]] == ["plant", *(f"plant draw {k}" for k in range(1, 5))]
    assert [part.get("drawn_from") for part in summary["scenarios"].values()] == [
        None,
        *["plant"] * 4,
    ]
    drawn = [part["throttles"]["fixed"] for name, part in summary["scenarios"].items()][1:]
    over = summary["over_draws"]["plant"]["fixed"]
    assert over["draws"] == sum(over["verdicts"].values()) == 4
    for measure in ("achieved", "response_p99"):
        means = [cell["metrics"][measure]["mean"] for cell in drawn]
        ends = {"least": min(means), "most": max(means), "n": 4}
        assert over["measures"][measure] == ends
    assert over["measures"]["response_p99"]["least"] < over["measures"]["response_p99"]["most"]
    assert [figure["scenario"] for figure in summary["figures"]] == ["plant"]
    assert main(["report", str(out)]) == 0
    page = (out / "report.html").read_text()
    assert "plant: services that may have been it" in page
    assert "plant draw 1" not in page.partition("<main")[2].partition("Configuration")[0]


def test_a_sweep_on_services_drawn_from_the_intervals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where nobody waits p99 is the service's own: as far apart as the times that were drawn."""
    file = tmp_path / "mine.toml"
    plant = CROWD._replace(duration=2.0, backend=Backend(servers=12.0), network=None)
    ScenarioFile(plant, estimates=(Estimated("backend.servers", 12.0, 6.0, 12.0),)).to_toml(file)
    servers = [one.backend.servers for one in drawn(read_scenario_file(file), 4)]
    out = tmp_path / "out"
    given = ["sweep", "--scenario", str(file), "--draws", "4", "--replications", "2"]
    given += ["--controller", "fixed", "--grid", "target=20,200", "--workers", "1"]
    assert main([*given, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "plant: from the least to the most of 4 services that may have been it" in said
    assert max(map(len, said.splitlines())) <= 80
    summary = json.loads((out / "summary.json").read_text())
    slow, _ = (over["measures"]["response_p99"] for over in summary["over_draws"])
    # As many answers a second by fewer servers: each is quicker. A call that the end cuts off is in
    # one p99 and not in another.
    assert max(servers) > min(servers)
    assert slow["most"] / slow["least"] == pytest.approx(max(servers) / min(servers), rel=0.02)
    assert main(["report", str(out)]) == 0
    assert "Services that may have been it" in (out / "report.html").read_text()


def test_what_is_drawn_is_not_swept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.toml"
    plant = CROWD._replace(duration=2.0, backend=Backend(servers=12.0))
    ScenarioFile(plant, estimates=(Estimated("backend.servers", 12.0, 6.0, 12.0),)).to_toml(file)
    given = ["sweep", "--scenario", str(file), "--draws", "4", "--controller", "fixed"]
    out = ["--out", str(tmp_path / "out")]
    # With fewer servers the service was drawn quicker; that is not what twelve of them would do.
    assert main([*given, "--grid", "backend.servers=12", *out]) == 2
    assert "backend.servers is swept and drawn" in capsys.readouterr().err
    assert main([*given, "--grid", "mean=0.05", *out]) == 2
    assert "mean is swept and drawn" in capsys.readouterr().err


def test_draws_need_a_file_of_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["sweep", "--scenario", "healthy", "--grid", "alpha=0.1", "--draws", "2"]
    assert main([*given, "--out", str(tmp_path / "out")]) == 2
    assert "--draws without a file of fit" in capsys.readouterr().err


def test_a_file_by_hand_has_nothing_to_draw_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.toml"
    CROWD.to_toml(file)
    given = ["compare", "--scenarios", str(file), "--draws", "4", "--out", str(tmp_path / "out")]
    assert main(given) == 2
    assert "no estimates to draw from; allowed: a file of fit" in capsys.readouterr().err
