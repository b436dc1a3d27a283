"""Recorded live runs on the bench: service times worked by hand, and the command."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from tpssim import CONTROLLERS, InputError, simulate, throttle
from tpssim.cli.main import main
from tpssim.core.clocks import VirtualClock
from tpssim.core.types import FAILED, OK, REFUSED, TIMED_OUT, UNFINISHED
from tpssim.experiments.replay import (
    ceiling,
    consumer_of,
    flattered,
    left_out,
    numbers,
    scenario_of,
    service_times,
    trace_of,
    without,
)
from tpssim.live.playback import Call, play, read_journal
from tpssim.metrics.measure import METRICS, measure
from tpssim.scenarios.plant import Async, Blocking, Pool
from tpssim.scenarios.scenario import Scenario
from tpssim.scenarios.service_times import Constant

INF = math.inf


def test_how_the_calls_were_made() -> None:
    assert consumer_of("blocking") == Blocking()
    assert consumer_of("pool(3)") == Pool(3.0)
    assert consumer_of("async(7)") == Pool(7.0)
    assert consumer_of("async") == consumer_of("permits") == Async(0.0, "completion")


def call(released: float, completed: float, outcome: int = OK) -> Call:
    return Call(released, released, completed, INF, INF, 1.0, outcome)


def test_the_service_times_of_a_pool_are_without_the_wait_for_a_worker() -> None:
    # Two workers; the third call waits until 0.3, the fourth until 0.5; the fifth failed, the last
    # is open.
    calls = [
        call(0.0, 0.5),
        call(0.1, 0.3),
        call(0.2, 0.9),
        call(0.25, 0.75),
        call(1.0, 1.1, FAILED),
    ]
    calls += [call(math.nan, math.nan, REFUSED), call(1.05, math.nan, UNFINISHED)]
    found = service_times(calls, Pool(2.0))
    assert [begun for begun, _ in found] == [0.0, 0.1, 0.3, 0.5]
    assert [took for _, took in found] == pytest.approx([0.5, 0.2, 0.6, 0.25])
    assert [took for _, took in service_times(calls, Blocking())] == pytest.approx(
        [0.5, 0.2, 0.7, 0.5]
    )


def record(path: Path, controller: str) -> VirtualClock:
    """A hundred calls a second wanted for 20 s: 1 ms each, but 40 ms from 5 s to 10 s."""
    clock = VirtualClock()
    for _ in throttle(range(100_000), 100.0, clock=clock, controller=controller, record=path):
        now = clock.time()
        if now > 20.0:
            break
        clock.set(now + (0.04 if 5.0 <= now < 10.0 else 0.001))
    return clock


@pytest.mark.usefixtures("draws_of_the_model")
@pytest.mark.parametrize("name", list(CONTROLLERS))
def test_the_simulation_of_a_recording_is_the_recorded_run(name: str, tmp_path: Path) -> None:
    path = tmp_path / "run.ndjson"
    record(path, name)
    recording = read_journal(path)
    back = play(recording)
    assert back.difference == ""
    scenario = scenario_of(recording, back.calls)
    assert scenario.target == 100.0
    assert scenario.duration == pytest.approx(20.0, abs=0.1)
    live = trace_of(recording, back, scenario)
    again = simulate(scenario, CONTROLLERS[name](), engine="simpy")
    # A call of the stretch in which the service changed may take the other time, and where the
    # article's law gets stuck hangs on a few such calls; until then they are alike.
    t = np.linspace(0.0, 9.9, 200)
    assert np.mean(np.abs(live.commanded(t) - again.commanded(t))) < 1.0
    made, simulated = (int((trace.completed < 9.9).sum()) for trace in (live, again))
    assert abs(made - simulated) <= 6


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "run.ndjson"
    record(path, "ewma-deadzone")
    assert main(["replay", "run.ndjson", "--controllers", "headroom,aimd:dec_rate=0.5"]) == 0
    said = capsys.readouterr().out
    assert "The replay equals the recording: " in said
    assert "aimd:dec_rate=0.5" in said
    folder = tmp_path / "results" / "replay-run"
    assert {file.name for file in folder.iterdir()} == {
        "live.csv",
        "replay.png",
        "run.json",
        "summary.json",
    }
    assert main(["replay", "run.ndjson", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["difference"] == ""
    assert document["calls"] == "blocking"
    assert document["complete"] is True
    # 100 a second for 5 s, 25 for 5 s, and what is commanded after that: stuck below, live and
    # simulated.
    numbers = document["numbers"]
    for label in ("ewma-deadzone (live)", "ewma-deadzone (simulated)"):
        assert 31.0 < numbers[label]["throughput"] < 75.0
    assert document["report"]["ok"] > 600
    lines = path.read_text().splitlines(keepends=True)
    bent = json.loads(lines[500]) | {"rate": 1.5}
    path.write_text("".join([*lines[:500], json.dumps(bent) + "\n", *lines[501:]]))
    assert main(["replay", "run.ndjson"]) == 1
    assert "The replay differs from the recording: event" in capsys.readouterr().out


def outage(path: Path) -> None:
    """Three calls, none of which goes well."""
    for _, permit in throttle(range(3), 10.0, clock=VirtualClock(), record=path).permits():
        permit.fail()


def test_an_outage_is_decided_again_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    outage(tmp_path / "run.ndjson")
    assert main(["replay", "run.ndjson"]) == 0
    said = capsys.readouterr().out
    # the start, three releases, three ends
    assert "The replay equals the recording: 7 decisions, to the bit" in said
    assert "No call went well" in said
    assert said.endswith("Written to results/replay-run: live.csv, summary.json\n")
    folder = tmp_path / "results" / "replay-run"
    assert {file.name for file in folder.iterdir()} == {"live.csv", "run.json", "summary.json"}
    with (folder / "live.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["released"]) for row in rows] == pytest.approx([0.0, 0.1, 0.2])
    assert {row["outcome"] for row in rows} == {str(FAILED)}


def test_the_spread_is_of_the_whole_run_and_no_measure() -> None:
    """The rate is 10 for 9 s, then 30 for 1 s: 95th percentile 30, 5th 10, mean 12."""
    scenario = Scenario("x", Constant(0.01), 30.0, 10.0, Async(0.0, "completion"))
    trace = simulate(scenario, "fixed")
    rate = np.where(trace.released < 9.0, 10.0, 30.0)
    found = numbers(trace._replace(rate=rate))
    assert found["spread"] == pytest.approx(20.0 / 12.0, rel=0.01)
    assert set(found) & set(METRICS) == {"throughput", "response_p50", "response_p99"}
    same = measure(trace._replace(rate=rate))
    for name in set(found) & set(METRICS):  # one name, one number
        assert found[name] == pytest.approx(same[name])


def test_who_completes_more_than_was_recorded_of_calls_that_overlapped_is_marked() -> None:
    alone = Call(0.0, 0.0, 0.1, 10.0, math.inf, 1.0, OK)
    table = {
        "a (live)": {"throughput": 100.0},
        "b": {"throughput": 101.0},
        "c": {"throughput": 150.0},
    }
    assert flattered([alone, alone._replace(in_flight=2.0)], table) == ["c"]
    assert flattered([alone, alone], table) == []
    assert flattered([], {}) == []


def test_calls_that_did_not_go_well_are_counted_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every eighth of 80 calls fails, one more is forgotten."""
    monkeypatch.chdir(tmp_path)
    clock = VirtualClock()
    handle = throttle(range(80), 100.0, clock=clock, record=tmp_path / "run.ndjson")
    for number, permit in handle.permits():
        clock.set(clock.time() + 0.02)
        if number == 1:
            permit.forget()
        elif number % 8 == 0:
            permit.fail()
        else:
            permit.done()
    assert main(["replay", "run.ndjson"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "11 of 80 recorded calls did not go well (10 failed, 1 unfinished): they and the time they"
        " took are left out of what is simulated, where every call goes well." in said
    )
    assert "refused" not in said
    assert main(["replay", "run.ndjson", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["left_out"] == {"failed": 10, "unfinished": 1}
    assert main(["report", "results/replay-run"]) == 0
    assert "11 of 80 recorded calls did not go well" in next(tmp_path.rglob("*.html")).read_text()


def test_a_quota_is_in_no_service_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every second of 200 calls is refused, at once, and the law slows down. Where no call is
    refused it does not, and completes more than the 100 % more that the refused half would have
    been."""
    monkeypatch.chdir(tmp_path)
    clock = VirtualClock()
    live = throttle(
        range(200), 100.0, clock=clock, controller="headroom", record=tmp_path / "run.ndjson"
    )
    for number, permit in live.permits():
        clock.set(clock.time() + (0.001 if number % 2 else 0.005))
        permit.refused() if number % 2 else permit.done()
    assert main(["replay", "run.ndjson"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "100 of 200 recorded calls did not go well (100 rejected by the service)" in printed
    assert "service times cannot tell its quota: nothing simulated is refused" in printed
    assert "more for that alone" not in printed
    assert main(["replay", "run.ndjson", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["numbers"]
    ok = {label: row["throughput"] for label, row in found.items()}
    assert ok["headroom (simulated)"] > 2.5 * ok["headroom (live)"], (
        "no share of refused calls bounds it"
    )


@pytest.mark.parametrize(
    ("left", "said"),
    [
        ({}, "achievable by the recorded service times"),
        ({"failed": 3}, "achievable by the recorded service times"),
        ({"rejected by the service": 3}, "by service times alone, had no call been refused"),
    ],
)
def test_what_a_service_refused_is_not_achievable(left: dict[str, int], said: str) -> None:
    scenario = Scenario("x", Constant(0.01), 30.0, 10.0, Pool(2.0))
    assert ceiling(scenario, left) == said
    assert ceiling(scenario._replace(consumer=Async(0.0, "completion")), left) == "wanted"


def test_what_a_law_refused_was_no_call() -> None:
    calls = [call(0.0, 0.1), call(math.nan, math.nan, REFUSED), call(0.1, 0.2, TIMED_OUT)]
    assert left_out(calls) == {"timed out": 1}
    assert without({}, 2) == ""
    assert without({"failed": 2}, 2) == "", "nothing is simulated"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("replay nothing.ndjson", "nothing.ndjson cannot be read"),
        ("replay run.ndjson --controllers pidd", "no controller 'pidd'"),
        ("replay run.ndjson --seed -1", "seed=-1; allowed"),
        ("replay failing.ndjson --controllers aimd", "no call of the recording went well"),
    ],
)
def test_bad_input(
    words: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    record(tmp_path / "run.ndjson", "fixed")
    outage(tmp_path / "failing.ndjson")
    assert main(words.split()) == 2
    assert said in capsys.readouterr().err


def test_a_law_of_ones_own_cannot_be_made_again(tmp_path: Path) -> None:
    path = tmp_path / "run.ndjson"
    record(path, "fixed")
    text = path.read_text().replace('"controller": "fixed"', '"controller": "mine"', 1)
    path.write_text(text)
    with pytest.raises(InputError, match="'mine' is not built in"):
        play(read_journal(path))


@pytest.mark.parametrize("name", ["limited", "held"])
def test_what_the_limit_held_back_is_known_of_earlier_recordings_too(
    name: str, tmp_path: Path
) -> None:
    """Earlier versions called it `held`."""
    path = tmp_path / "run.ndjson"
    clock = VirtualClock()
    for _ in throttle(range(20), 100.0, clock=clock, record=path):
        clock.set(clock.time() + 0.02)
    text = path.read_text(encoding="utf-8")
    assert text.count('"limited": 0') == 1
    path.write_text(text.replace('"limited": 0', f'"{name}": 7'), encoding="utf-8")
    recording = read_journal(path)
    back = play(recording)
    trace = trace_of(recording, back, scenario_of(recording, back.calls))
    assert measure(trace)["limited"] == pytest.approx(7.0)
