"""Recordings that cannot have been: one line that names the line, never a run of them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tpssim import throttle
from tpssim.cli.main import main
from tpssim.core.clocks import VirtualClock
from tpssim.live.events import events
from tpssim.live.journal import number
from tpssim.live.playback import read_journal

Lines = list[str]


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Lines:
    """A header, the start at 0 s, eight calls of 0.3 s, the stop."""
    path = tmp_path_factory.mktemp("recordings") / "run.ndjson"
    clock = VirtualClock()
    for _ in throttle(range(8), 2.0, clock=clock, record=path, controller="aimd", late="burst"):
        clock.set(clock.time() + 0.3)
    return path.read_text().splitlines()


def changed(number: int, raw: str = "", **values: Any) -> Callable[[Lines], Lines]:
    """A change of that line; `raw` stands for the value "RAW"."""

    def change(given: Lines) -> Lines:
        text = json.dumps(json.loads(given[number - 1]) | values).replace('"RAW"', raw)
        return [*given[: number - 1], text, *given[number:]]

    return change


def put(number: int, text: str) -> Callable[[Lines], Lines]:
    return lambda given: [*given[: number - 1], text, *given[number - 1 :]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda given: [], " is empty"),
        (lambda given: given + given, "line 20: an event 'header' behind 'stop'"),
        (lambda given: given[:1] + given, "line 2: an event 'header' where 'start' is missing"),
        (lambda given: given[1:], "line 1: it is not a recording"),
        (lambda given: given[:9] + given[-1:] + given[9:], "line 11: an event"),
        (changed(2, calls="pool(x"), "line 2: calls='pool(x'"),
        (changed(2, calls="pool(0)"), "line 2: calls='pool(0)'"),
        (changed(2, calls="pool(1e300)"), "line 2: calls='pool(1e300)'"),
        (changed(2, tps=-3), "line 2: tps=-3"),
        (changed(1, seed=-1), "line 1: seed=-1"),
        (changed(1, late="never"), "line 1 of the recording: there is no late policy"),
        (changed(1, controller="mine"), "line 1 of the recording: the recorded law 'mine'"),
        (put(5, "[" * 100_000 + "]" * 100_000), "line 5: "),
        (put(5, '{"e":' + "[" * 100_000), "line 5: "),
        (changed(5, raw=str(10**400), t="RAW"), "line 5: t=1000"),
        (changed(5, raw="NaN", t="RAW"), "line 5: "),
        (changed(5, raw="1e999", t="RAW"), "line 5: t=inf"),
        (changed(5, t=True), "line 5: t=True"),
        (changed(5, t=-0.5), "line 5: t=-0.5"),
        (changed(7, t=0.25), "line 7: t=0.25, which goes back"),  # a release before the one before
        (changed(8, t=0.75), "line 8: t=0.75, which goes back"),  # an end before its call's release
        (changed(7, call=9), "line 8: call=2 is ended, and not in flight"),
        (changed(5, call=0), "line 6: call=1 is ended, and not in flight"),
        (lambda given: given[:3] + given[2:], "line 4: call=0 is released twice"),
        (lambda given: given[:4] + given[3:], "line 5: call=0 is ended, and not in flight"),
        (changed(2, calls="limiter"), "such as pool(8), async(8)"),
        (changed(5, limit=-1), "line 5: limit=-1"),
        (changed(5, raw=str(10**400), rate="RAW"), "line 5: rate=1000"),
        (changed(5, rate=-1), "line 5: rate=-1"),
        (changed(5, reject=7), "line 5: reject=7"),
        (changed(5, in_flight=-3), "line 5: in_flight=-3"),
        (changed(5, call=-1), "line 5: call=-1"),
        (changed(6, outcome=99), "line 6: outcome=99"),
        (changed(19, spin_cpu="x"), "line 19: spin_cpu='x'"),
    ],
)
def test_a_damaged_recording_is_refused_in_one_line_with_its_number(
    change: Callable[[Lines], Lines],
    message: str,
    lines: Lines,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "bad.ndjson"
    path.write_text("".join(f"{line}\n" for line in change(lines)))
    assert main(["replay", str(path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_table_of_calls_is_told_what_a_recording_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "calls.csv"
    path.write_text("start,end,status\n1.0,1.1,200\n1.1,1.2,200\n", "utf-8")
    assert main(["replay", str(path), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.endswith("; allowed: a file of live --record, or of record=\n")


def test_two_threads_may_write_times_of_the_same_moment_in_either_order(
    lines: Lines, tmp_path: Path
) -> None:
    """One reads the clock and is stopped; the other's call ends and is written down first."""
    end, release = json.loads(lines[5]), json.loads(lines[6])
    assert (end["e"], release["e"]) == ("end", "release")
    path = tmp_path / "shared.ndjson"
    late = changed(6, t=release["t"] + 0.01)(lines)
    path.write_text("".join(f"{line}\n" for line in late))
    assert read_journal(path).events[3]["t"] > read_journal(path).events[4]["t"]


def test_no_wanted_rate_is_written_as_json_has_it(tmp_path: Path, lines: Lines) -> None:
    assert (number(math.inf), number(2.0)) == ("null", "2.0")
    path = tmp_path / "open.ndjson"
    path.write_text(
        "".join(f"{line}\n" for line in changed(2, tps=None)(changed(1, tps=None)(lines)))
    )
    assert [event["e"] for event in events(path)][:2] == ["header", "start"]
    assert read_journal(path).start["tps"] is None
