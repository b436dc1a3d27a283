"""`tpssim recommend`: any recording that `fit` reads, and a command and code that run."""

from __future__ import annotations

import argparse
import html
import json
import random
from pathlib import Path

import pytest
from helpers.pages import gaps

from tpssim.cli.commands import common
from tpssim.cli.main import main

QUICK = ["--draws", "0", "--budget", "16", "--controllers", "headroom", "--workers", "1"]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """120 calls, one at a time, of 20 ms on average, in columns that nobody knows by their names;
    every second one of another route takes ten times as long.
    """
    draw, now, lines = random.Random(1), 0.0, ["began_at,lasted,route"]
    for number in range(240):
        took = draw.uniform(10.0, 30.0) * (10.0 if number % 2 else 1.0)
        lines.append(f"{now:.6f},{took:.3f},/{'slow' if number % 2 else 'quick'}")
        now += 0.3
    path = tmp_path / "log.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_recording_is_read_as_fit_reads_it(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ["--columns", "start=began_at,latency=lasted", "--unit", "ms", "--name", "/quick"]
    asked = ["recommend", str(log), *told, "--tps", "20", *QUICK, "--out", str(tmp_path / "out")]
    assert main(asked) == 0
    record = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert record["scenario"]["service"]["mean"] == pytest.approx(0.02, rel=0.1)
    assert "unit ms" in record["command"]
    assert "'lasted' is in ms (as given)" in capsys.readouterr().err


@pytest.mark.parametrize("service", ["healthy", "mine.toml"])
def test_a_scenario_has_no_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], service: str
) -> None:
    (tmp_path / "mine.toml").write_text("")
    given = service if service == "healthy" else str(tmp_path / service)
    assert main(["recommend", given, "--unit", "ms", "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said == [
        f"tpssim: --columns, --unit and --name are of a recording, and {given} is a scenario;"
        " allowed: none of them"
    ]


@pytest.mark.parametrize("columns", ["start=began_at", "start=began_at,latency=lasted"])
def test_arrivals_take_the_columns_that_are_named(log: Path, columns: str) -> None:
    parser = argparse.ArgumentParser()
    common.add_trace(parser)
    parser.add_argument("--tps", type=float)
    asked = parser.parse_args(["--arrivals", str(log), "--columns", columns])
    (scenario,) = common.scenarios(asked, ["healthy"])
    assert scenario.arrivals == pytest.approx([0.3 * number for number in range(240)])


def test_columns_of_no_file_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "healthy", "fixed", "--columns", "start=a"]) == 2
    said = capsys.readouterr().err
    assert "--columns belongs to --trace FILE or --arrivals FILE, which are missing" in said


def test_the_page_has_the_code_in_one_piece(tmp_path: Path) -> None:
    asked = ["recommend", "blocking-steady:duration=3", *QUICK, "--out", str(tmp_path)]
    assert main(asked) == 0
    code = (tmp_path / "use.py").read_text()
    compile(code, "use.py", "exec")
    assert main(["report", str(tmp_path)]) == 0
    page = html.unescape((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert f"<code>{code.rstrip()}</code>" in page


def test_the_page_says_what_the_service_is_where_its_file_does_not(tmp_path: Path) -> None:
    file, out = tmp_path / "mine.toml", tmp_path / "out"
    file.write_text(
        'target = 100.0\nduration = 3.0\nservice = { kind = "gamma", mean = 0.05, cv = 0.5 }\n'
        'backend = { servers = 8.0 }\nconsumer = { kind = "async" }\n'
    )
    assert main(["recommend", str(file), *QUICK, "--out", str(out)]) == 0
    said = "overlapping: 8 servers, gamma of mean 0.05 s and cv 0.5"
    assert json.loads((out / "summary.json").read_text())["service"] == said
    assert main(["report", str(out)]) == 0
    page = (out / "report.html").read_text(encoding="utf-8")
    assert f"<dd>{said}</dd>" in page
    assert gaps(page) == []
