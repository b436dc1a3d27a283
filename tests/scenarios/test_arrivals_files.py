"""Recorded arrivals: files of start times, and the load of the command line."""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tpssim.cli.catalogue import entries, text
from tpssim.cli.commands import common
from tpssim.core.errors import InputError
from tpssim.core.profiles import Stages
from tpssim.experiments.comparison_record import scenario_part
from tpssim.output.records import from_dict
from tpssim.scenarios.builtin import SCENARIOS
from tpssim.scenarios.capacity import most_wanted
from tpssim.scenarios.load import after_end, shown_target, wanted, with_arrivals, with_stages
from tpssim.scenarios.recordings.arrivals import read_arrivals, start_times
from tpssim.scenarios.scenario import Scenario, checked_scenario, with_parameters
from tpssim.scenarios.service_times import Constant


def write(folder: Path, text: str) -> Path:
    path = folder / "arrivals.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "options", "times"),
    [
        ("start_s\n5\n5.5\n7\n", {}, (0.0, 0.5, 2.0)),
        # As calls are logged when they end: in any order.
        ("released,latency\n3,1\n1,9\n2,1\n", {}, (0.0, 1.0, 2.0)),
        ("timestamp_ms\n1700000000500\n1700000000000\n", {}, (0.0, 0.5)),
        ("anything\n1\n4\n", {}, (0.0, 3.0)),
        ("a,b\n1,10\n2,30\n", {"column": "B"}, (0.0, 20.0)),
        (
            "TIMESTAMP,ContextTokens\n2023-11-16 18:17:03.9799600,1\n2023-11-16T18:17:05.48,2\n",
            {},
            (0.0, 1.50004),
        ),
        ("start\n2026-11-29T10:00:00+01:00\n2026-11-29T09:00:01Z\n", {}, (0.0, 1.0)),
        ("start_s,x\n1,1\n,2\n3,3\n", {}, (0.0, 2.0)),
    ],
)
def test_start_times_are_read(
    tmp_path: Path, text: str, options: dict[str, Any], times: tuple[float, ...]
) -> None:
    assert read_arrivals(write(tmp_path, text), **options) == pytest.approx(times)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("start_s\n1\nsoon\n", {}, "row 3: start_s='soon'; allowed: a finite number, or a date"),
        ("start_s\n1\n1e999\n", {}, "row 3: start_s='1e999'"),
        (
            "a,b\n1,2\n",
            {},
            "none of the columns a, b is known to hold start times; allowed: released, ",
        ),
        ("a,b\n1,2\n", {"column": "c"}, "has no column 'c'; allowed: a, b"),
        ("start_s,x\n,1\n", {}, "no row has a time under start_s; allowed: at least one"),
    ],
)
def test_what_is_no_start_time_is_refused_in_one_line(
    tmp_path: Path, text: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as error:
        read_arrivals(write(tmp_path, text), **options)
    assert "\n" not in str(error.value)


def test_what_was_left_out_and_put_in_order_is_said(tmp_path: Path) -> None:
    """Of 5, 3, -, 4, nan, 9: two have no time; 3 and 4 come after 5."""
    found = start_times(write(tmp_path, "start_s,x\n5,\n3,\n,\n4,\nnan,\n9,\n"))
    assert (found.times, found.left_out, found.moved) == ((0.0, 1.0, 2.0, 6.0), 2, 2)
    assert found.said(tmp_path / "arrivals.csv") == (
        "arrivals.csv: 4 start times from 'start_s'; 2 rows have no time and were left out; 2 rows"
        " are earlier than one above, so all were sorted"
    )
    assert start_times(write(tmp_path, "start_s\n1\n1\n2\n")).said("a.csv") == ""


PLAIN = Scenario("s", Constant(0.25), 8.0, 10.0)


def test_a_load_sets_how_long_the_run_is() -> None:
    ramp = with_stages(PLAIN, Stages("2s:8,3s:0"))
    assert (ramp.target, ramp.duration) == (Stages("2s:8,3s:0"), 5.0)
    replayed = with_arrivals(PLAIN._replace(poisson=1.0), (0.0, 1.0, 4.0))
    assert (replayed.target, replayed.duration, replayed.poisson) == (0.75, 5.0, 0.0)
    assert replayed.arrivals == (0.0, 1.0, 4.0)
    said = PLAIN._replace(summary="half of the target")
    another = "half of the target (here under another load)"
    assert with_stages(said, Stages("2s:8")).summary == another
    assert with_arrivals(said, (0.0, 1.0)).summary == another
    assert (ramp.summary, replayed.summary) == ("", "")
    with pytest.raises(InputError, match="arrivals are empty"):
        with_arrivals(PLAIN, ())


def asked(*words: str, of: Sequence[str] = ("healthy", "overload")) -> list[Scenario]:
    parser = argparse.ArgumentParser()
    common.add_trace(parser)
    parser.add_argument("--tps", type=float)
    args = parser.parse_args(words)
    found = common.scenarios(args, of)
    for note in args.notes:
        assert note in NOTED
    return found


NOTED = {
    "arrivals.csv: 2 start times from 'start_s'; 1 row is earlier than one above, so all were"
    " sorted"
}


def test_the_command_line_gives_every_scenario_the_load(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = asked("--stages", "1s:5,1m:5")
    assert [(s.target, s.duration) for s in stages] == [(Stages("1s:5,1m:5"), 61.0)] * 2
    path = write(tmp_path, "start_s\n1\n2\n")
    assert [s.arrivals for s in asked("--arrivals", str(path))] == [(0.0, 1.0)] * 2
    assert [s.target for s in asked("--tps", "7")] == [7.0, 7.0]
    assert "start_s" not in capsys.readouterr().err  # nothing to say
    asked("--arrivals", str(write(tmp_path, "start_s\n2\n1\n\n")))
    assert capsys.readouterr().err == "".join(f"tpssim: {note}\n" for note in NOTED)
    with pytest.raises(InputError, match="--tps and --stages; allowed: one of them"):
        asked("--tps", "7", "--stages", "1s:5")
    with pytest.raises(InputError, match="'1s' is not duration:target"):
        asked("--stages", "1s")


def test_a_file_need_not_say_what_the_load_of_the_command_line_says(tmp_path: Path) -> None:
    """Calls at 0, 1.5 and 3 s: 3 calls in 3 s, and a second for the last one to end."""
    service = tmp_path / "mine.toml"
    service.write_text('[service]\nkind = "constant"\nmean = 0.01\n')
    path = str(write(tmp_path, "start_s\n10\n11.5\n13\n"))
    name = str(service)
    short, longer = asked("--arrivals", path, of=[name, f"{name}:duration=9"])
    assert (short.arrivals, short.target, short.duration) == ((0.0, 1.5, 3.0), 1.0, 4.0)
    assert (longer.arrivals, longer.duration) == ((0.0, 1.5, 3.0), 9.0)
    staged, cut = asked("--stages", "2s:5,3s:5", of=[name, f"{name}:duration=4"])
    assert [(s.target, s.duration) for s in (staged, cut)] == [
        (Stages("2s:5,3s:5"), 5.0),
        (Stages("2s:5,3s:5"), 4.0),
    ]
    (plain,) = asked("--tps", "7", of=[f"{name}:duration=3"])
    assert (plain.target, plain.duration) == (7.0, 3.0)
    (alone,) = asked(of=[f"{name}:target=6,duration=3"])
    assert (alone.target, alone.duration) == (6.0, 3.0)
    with pytest.raises(InputError, match=r"mine\.toml: duration is missing"):
        asked("--tps", "7", of=[name])


@pytest.mark.parametrize("load", [("--tps", "7"), ("--stages", "1s:5"), ("--arrivals", "FILE")])
def test_a_load_does_not_take_the_place_of_a_target_in_silence(
    tmp_path: Path, load: tuple[str, str]
) -> None:
    option, value = load
    value = str(write(tmp_path, "start_s\n1\n2\n")) if value == "FILE" else value
    with pytest.raises(InputError, match="target=50 with a load that takes its place; allowed: on"):
        asked(option, value, of=["healthy:target=50"])


def test_what_is_left_of_a_second_at_the_end_is_no_rate_of_its_own() -> None:
    """Ten a second for 2 s, and one call 1 ms before the end at 2.004 s: in the last 1.004 s there
    are the calls at 1 s to 1.9 s, one at 2 s and that one."""
    times = (*(k / 10.0 for k in range(21)), 2.003)
    replayed = with_arrivals(PLAIN, times)._replace(duration=2.004)
    assert wanted(replayed, 0.5) == 10.0
    assert wanted(replayed, 1.5) == wanted(replayed, 2.0035) == pytest.approx(12.0 / 1.004)
    assert most_wanted(replayed) == pytest.approx(12.0 / 1.004)
    brief = with_arrivals(PLAIN, (0.0, 0.1))._replace(duration=0.2)
    assert wanted(brief, 0.1) == pytest.approx(10.0)


def test_a_target_does_not_take_the_place_of_arrivals_in_silence() -> None:
    replayed = with_arrivals(PLAIN, (0.0, 1.0, 4.0))
    with pytest.raises(InputError, match="target with recorded arrivals, which take its place"):
        with_parameters(replayed, {"target": 5.0})
    assert with_parameters(with_stages(PLAIN, Stages("2s:8")), {"target": 5.0}).target == 5.0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            PLAIN._replace(arrivals=(0.0, 1.0), target=Stages("2s:8")),
            "target=2s:8 with arrivals, which take its place; allowed: one of them",
        ),
        (
            PLAIN._replace(arrivals=(10.0, 11.0)),
            "the first arrival is at 10 s, after the end of the run at 10 s; allowed: a longer",
        ),
        (
            PLAIN._replace(target=Stages("20s:0,1s:5")),
            "stages 20s:0,1s:5 want no call before the end of the run at 10 s; allowed: a longer",
        ),
    ],
)
def test_a_load_that_cannot_be_is_refused_in_one_line(changed: Scenario, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as error:
        checked_scenario(changed)
    assert "\n" not in str(error.value)


def test_arrivals_after_the_end_are_counted() -> None:
    cut = with_arrivals(PLAIN, (0.0, 1.0, 2.0, 3.5, 4.0))._replace(duration=3.5)
    assert (after_end(cut), shown_target(cut)) == (2, "3 of 5 recorded arrivals")
    assert after_end(cut._replace(duration=4.5)) == 0
    part = scenario_part(cut, "", {})
    assert (part["arrivals"], part["arrivals_after_end"]) == (5, 2)
    assert "arrivals_after_end" not in scenario_part(cut._replace(duration=4.5), "", {})


def test_the_record_has_what_was_made_of_arrivals() -> None:
    league = Path(__file__).parents[2] / "results" / "reference-league" / "summary.json"
    record = from_dict(json.loads(league.read_text(encoding="utf-8")))
    assert record.notes == []
    assert "notes" not in record.to_dict()
    noted = dataclasses.replace(record, notes=["sorted"]).to_dict()
    assert noted["notes"] == from_dict(noted).notes == ["sorted"]


def test_list_shows_stages_as_the_default_of_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    ramp = with_stages(PLAIN, Stages("2s:8,3s:0"))
    monkeypatch.setitem(SCENARIOS, "s", ramp)
    found = entries("scenarios", "s")
    about = found["scenarios"]["s"]
    assert "2s:8,3s:0" in text(found, "s")
    assert about["parameters"]["target"]["default"] == "2s:8,3s:0"
    assert [part["start"] for part in about["capacity"]] == [0.0, 2.0]


def test_numbers_of_the_size_of_today_are_times_since_1970(tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    path.write_text("began_at,lasted\n1700000000000,5\n1700000000500,5\n1700000001000,7\n")
    for columns in ({"start": "began_at"}, {"start": "began_at", "latency": "lasted"}):
        assert start_times(path, columns=columns).times == (0.0, 0.5, 1.0)
