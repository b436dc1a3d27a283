"""`compare --random`: what is refused, and what it leaves."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

import tpssim
from tpssim.cli.main import main

FEW = ["--controllers", "fixed", "aimd", "--workers", "1"]
OWN = "def mine(items, tps, total=None):\n    yield from items\n"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--random", "0"], "n=0; allowed: a whole number >= 1"),
        (["--random", "2", "--kinds", "fahr"], "there is no family of services 'fahr'"),
        (["--random", "2", "--tps", "5"], "--tps does not go with --random; allowed: without it"),
        (["--random", "2", "--league"], "--league does not go with --random"),
        (["--random", "2", "--scenarios", "knee"], "--scenarios does not go with --random"),
        (["--random", "2", "--traces", "all"], "--traces does not go with --random"),
        (["--kinds", "far"], "--kinds without --random; allowed: with it"),
    ],
)
def test_what_does_not_go_together_is_one_line(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *argv]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_its_folder_has_tables_picture_and_services(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    argv = ["compare", "--random", "3", "--kinds", "far,blocking", "--seed", "4", *FEW]
    assert main(argv) == 0
    shown = capsys.readouterr().out
    assert "3 services of 2 families" in shown
    folder = tmp_path / "results" / "random"
    assert (folder / "services.png").is_file()
    files = {path.stem: path for path in (folder / "scenarios").iterdir()}
    assert set(files) == {"far-0", "blocking-0", "far-1"}
    drawn = tpssim.random_scenarios(3, 4, ["far", "blocking"])
    assert [tpssim.read_scenario(files[scenario.name]) for scenario in drawn] == drawn
    summary: Any = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert summary["command"].endswith("--random 3 --kinds far,blocking --traces first --seed 4")
    with (folder / "services.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["service"], row["throttle"]) for row in rows} == {
        (name, throttle) for name in files for throttle in ("fixed", "aimd")
    }


def test_a_throttle_of_ones_own_is_put_to_what_can_host_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(OWN, encoding="utf-8")
    argv = ["compare", "--random", "2", "--kinds", "blocking,ramps", "--throttle", "mine.py:mine"]
    assert main([*argv, *FEW]) == 0
    captured = capsys.readouterr()
    assert "1 of 2 services are left out" in captured.err
    assert "mine.py:mine" in captured.out
    assert main(["compare", "--random", "1", "--kinds", "ramps", *argv[5:], *FEW]) == 2
    assert "none of 1 services is left" in capsys.readouterr().err
