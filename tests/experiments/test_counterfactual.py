"""What a law would have done, by a recording of another: the truth is that of the same service."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import pytest
from helpers.recordings import CROWD

import tpssim
from tpssim import Backend, Stages
from tpssim.cli.main import main
from tpssim.experiments.counterfactual import (
    Range,
    _range,
    overlapping,
    predicted,
    recording_of,
    twins,
)
from tpssim.experiments.replay import Replay, numbers
from tpssim.live.playback import Call
from tpssim.output.format import number
from tpssim.output.html.page import page
from tpssim.output.html.replayed import CAVEAT
from tpssim.simulation.trace import Trace

#: 8 servers take 160 a second of what rises to 240.
SERVICE = CROWD._replace(
    target=Stages("10s:240,5s:240,5s:60,10s:60"), duration=30.0, backend=Backend(servers=8.0)
)


def calls_of(trace: Trace) -> list[Call]:
    """The calls of a run as a journal has them."""
    names = ("scheduled", "released", "completed", "rate", "limit", "in_flight", "outcome", "cost")
    columns = [getattr(trace, name).tolist() for name in names]
    return [Call(*row) for row in zip(*columns, strict=True)]


def test_another_law_is_predicted_from_what_one_recorded() -> None:
    calls = calls_of(tpssim.simulate(SERVICE, "fixed", seed=5))  # which fills all servers
    assert overlapping(calls)
    found, services = twins(calls, SERVICE._replace(backend=Backend()), draws=12)
    assert found.estimates["backend.servers"].value == 8.0
    assert len(services) == 13
    assert services[0].target == SERVICE.target  # called as the recorded one was
    said = predicted(services[1:], {"headroom": "headroom"})["headroom"]
    truth = [numbers(tpssim.simulate(SERVICE, "headroom", seed=k)) for k in range(6, 12)]
    for name, allowed in (("throughput", 0.03), ("response_p99", 0.15)):
        middle = sorted(row[name] for row in truth)[3]
        assert said[name].low <= said[name].middle <= said[name].high
        assert said[name].middle == pytest.approx(middle, rel=allowed)
        assert said[name].low * (1.0 - allowed) < middle < said[name].high * (1.0 + allowed)


def test_a_range_holds_the_next_run() -> None:
    """Of 40 values the next one is between the least and the greatest with 39 / 41 = 95.1 %; nan is
    no value."""
    values = [math.nan, *(float(k) for k in range(1, 41))]
    assert _range(values) == Range(20.5, 1.0, 40.0)
    assert math.isnan(_range([math.nan]).low)


def test_what_a_law_refused_is_no_call_of_the_recording() -> None:
    calls = calls_of(tpssim.simulate(SERVICE._replace(duration=5.0), "fixed"))
    refused = calls[0]._replace(released=float("nan"), completed=float("nan"), outcome=4)
    assert len(recording_of([refused, *calls])) == len(calls)
    assert not overlapping([call._replace(in_flight=1.0) for call in calls])


def test_the_page_of_a_replay_has_what_the_laws_would_come_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each call takes 20 to 38 ms, and as many are in flight as workers: no own times are taken."""
    path = tmp_path / "run.ndjson"

    def call(item: int) -> None:
        time.sleep(0.02 + 0.002 * (7 * item % 10))

    tpssim.run(call, range(150), 200.0, workers=8, record=path)
    given = ["replay", str(path), "--controllers", "aimd", "--draws", "3"]
    assert main([*given, "--out", str(tmp_path / "twin")]) == 0
    assert "The calls overlapped" in capsys.readouterr().out
    text = page(tmp_path / "twin")
    predicted = json.loads((tmp_path / "twin" / "summary.json").read_text())["predicted"]
    assert [*predicted] == ["fixed (simulated)", "aimd"]
    ends = predicted["aimd"]["throughput"]
    assert ends["low"] <= ends["middle"] <= ends["high"]
    assert "What the laws would come to" in text
    assert f"{number(ends['low'])} to {number(ends['high'])}" in text
    assert CAVEAT not in text
    assert main([*given, "--own-times", "--out", str(tmp_path / "own")]) == 0
    text = page(tmp_path / "own")
    assert "What the laws would come to" not in text
    assert CAVEAT in text


def test_what_a_service_that_was_never_full_would_do_for_more_calls_is_marked() -> None:
    """Of 10 a second that never waited: 12 a second may be more than the service takes."""
    nothing: Any = None
    said = {
        law: {"throughput": Range(rate, 0.9 * rate, 1.1 * rate)}
        for law, rate in (("slower", 8.0), ("alike", 10.1), ("more", 12.0))
    }
    table = {"aimd (live)": {"throughput": 10.0}}
    for full, marked in ((False, ["more"]), (True, [])):
        found = Replay(nothing, nothing, {}, "a twin", said, full)
        assert found._flattered(table) == marked
