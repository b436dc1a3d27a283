"""Any table of calls: columns by name, units that are said, rows in any order; our own files."""

from __future__ import annotations

import argparse
import codecs
import gzip
import json
import math
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tpssim
from tpssim import read_recording
from tpssim.cli.commands import common
from tpssim.cli.main import main
from tpssim.core.errors import InputError
from tpssim.core.types import FAILED, OK, REFUSED, REJECTED, TIMED_OUT, UNFINISHED
from tpssim.live.playback import play, read_journal
from tpssim.scenarios.recordings import read_service_times
from tpssim.scenarios.recordings.calls import Recording

FAULTS = ROOT.parent / "shared" / "faults"
COLUMNS = ("start", "completion", "outcome", "cost", "name")


def write(folder: Path, text: str, encoding: str = "utf-8", mark: bytes = b"") -> Path:
    path = folder / "calls"
    path.write_bytes(mark + text.encode(encoding))
    return path


def same(one: Recording, other: Recording) -> None:
    assert one.names == other.names
    for column in COLUMNS:
        np.testing.assert_array_equal(getattr(one, column), getattr(other, column))


ROWS = st.lists(
    st.tuples(
        st.integers(0, 10**6),
        st.integers(0, 10**6),
        st.sampled_from([200, 429, 500]),
        st.integers(1, 9),
        st.sampled_from("ab"),
    ),
    min_size=1,
    max_size=30,
)
NAMES = ("start_us", "latency_us", "status", "cost", "name")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS, st.permutations(range(5)), st.randoms(), st.sampled_from(",;\t"))
def test_any_order_of_rows_and_columns_gives_the_same_table(
    tmp_path: Path,
    rows: list[tuple[int, int, int, int, str]],
    order: list[int],
    dice: object,
    mark: str,
) -> None:
    def text(rows: list[tuple[int, int, int, int, str]], order: list[int], mark: str) -> str:
        table = [NAMES, *rows]
        return "".join(mark.join(str(row[i]) for i in order) + "\n" for row in table)

    plain = read_recording(write(tmp_path, text(rows, [0, 1, 2, 3, 4], ",")))
    shuffled = list(rows)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    same(plain, read_recording(write(tmp_path, text(shuffled, order, mark))))
    first = min(row[0] for row in rows)
    codes = {200: OK, 429: REJECTED, 500: FAILED}
    found = zip(plain.start, plain.latency, plain.outcome, strict=True)
    assert sorted((round(s * 1e6), round(t * 1e6), int(o)) for s, t, o in found) == sorted(
        (row[0] - first, row[1], codes[row[2]]) for row in rows
    )


def test_the_csv_of_a_run_comes_back(tmp_path: Path) -> None:
    trace = tpssim.simulate("refusing:duration=20", "sre-throttling", seed=3, engine="simpy")
    path = tmp_path / "a"
    trace.to_csv(path)
    seen = read_recording(path)
    assert seen.source.format == "calls of tpssim"
    start = np.where(trace.outcome == REFUSED, trace.scheduled, trace.released)
    first = start.min()
    order = np.argsort(start, kind="stable")
    np.testing.assert_array_equal(seen.start, start[order] - first)
    np.testing.assert_array_equal(np.sort(seen.completion), np.sort(trace.completed - first))
    np.testing.assert_array_equal(np.bincount(seen.outcome), np.bincount(trace.outcome))


def test_a_journal_has_the_calls_that_its_law_decided(tmp_path: Path) -> None:
    path = tmp_path / "run"
    tpssim.run(lambda item: None, range(60), 400.0, workers=2, record=path)
    calls = play(read_journal(path)).calls
    seen = read_recording(path)
    assert seen.source.format == "journal of tpssim"
    assert len(seen) == 60
    released = sorted(call.released for call in calls)
    assert seen.start.tolist() == pytest.approx([t - released[0] for t in released], abs=1e-9)
    assert seen.latency.sum() == pytest.approx(sum(c.completed - c.released for c in calls))
    assert abs(seen.began - path.stat().st_mtime) < 60.0
    assert any("worker" in note for note in seen.source.notes)


def test_a_journal_that_is_damaged_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    lines = [
        '{"e": "header", "format": 1, "began": "2026-11-28T10:00:00+00:00"}',
        '{"e": "start", "t": 5.0, "tps": 10.0, "calls": "async", "rate": 10.0}',
        '{"e": "release", "t": 5.5, "call": 0, "due": 5.5, "rate": 10.0, "cost": 3.0}',
        '{"e": "release", "t": 6.0, "call": 1, "due": 6.0, "rate": 10.0}',
        '{"e": "refuse", "t": 6.5, "call": 2, "due": 6.5, "rate": 10.0}',
        '{"e": "end", "t": 6.25, "call": 0, "outcome": 2, "rate": 10.0}',
        '{"e": "end", "t": 6.2',
    ]
    seen = read_recording(write(tmp_path, "\n".join(lines)))
    assert seen.start.tolist() == [0.0, 0.5, 1.0]
    assert seen.completion[0] == 0.75
    assert np.isnan(seen.completion[1:]).all()
    assert seen.outcome.tolist() == [TIMED_OUT, UNFINISHED, REFUSED]
    assert seen.cost is not None
    assert seen.cost.tolist() == [3.0, 1.0, 1.0]
    assert seen.began == 1795860000.5
    assert seen.source.first_unreadable.startswith("row 7: it is no event")


@pytest.mark.parametrize(
    ("encoding", "mark", "pack"),
    [
        ("utf-8", b"", False),
        ("utf-8", codecs.BOM_UTF8, False),
        ("utf-16-le", codecs.BOM_UTF16_LE, False),
        ("utf-16-be", b"", False),
        ("cp1252", b"", False),
        ("utf-8", b"", True),
    ],
)
def test_encodings_line_ends_and_decimal_commas(
    encoding: str, mark: bytes, pack: bool, tmp_path: Path
) -> None:
    text = "Start (s);Größe;Dauer ms;Status\r\n1,5;1;10,25;ok\r\n0,5;2;1.000,5;failed\r\n"
    path = write(tmp_path, text, encoding, mark)
    if pack:
        path.write_bytes(gzip.compress(path.read_bytes()))
    columns = {"start": "start (s)", "latency": "dauer MS", "status": "Status"}
    seen = read_recording(path, columns=columns)
    assert seen.start.tolist() == [0.0, 1.0]
    assert seen.latency.tolist() == pytest.approx([1.0005, 0.01025])
    assert seen.outcome.tolist() == [FAILED, OK]


@pytest.mark.parametrize(
    ("head", "rows", "starts", "latencies", "said"),
    [
        ("timestamp,latency", ["1795860000,0.5", "1795860001,1"], [0, 1], [0.5, 1], "s since 1970"),
        ("ts,took_ms", ["1795860000500,5", "1795860000250,7"], [0, 0.25], [0.007, 0.005], "ms si"),
        ("ts,took_us", ["1795860000.25,5", "1795860000.5,7"], [0, 0.25], [5e-6, 7e-6], "s since"),
        (
            "time,duration_s",
            ["2026-11-28 10:00:00.5,1", "2026-11-28T11:00:00+01:00,2"],
            [0, 0.5],
            [2, 1],
            "no zone and is taken as UTC",
        ),
        ("start_ms,end_ms,x", ["2000,2500,1", "1000,4000,1"], [0, 1], [3, 0.5], "its name says so"),
        ("end,latency_s", ["10,4", "9,1"], [0, 2], [4, 1], "'end' is taken as s"),
        # Whole numbers that would be 30 s each, 1000 a second: nobody has 3,000 calls in flight.
        (
            "start_s,latency",
            [f"{i / 1000},{30 + i % 2}" for i in range(100)],
            [i / 1000 for i in range(100)],
            [(30 + i % 2) / 1000 for i in range(100)],
            "taken as ms: its name says no unit, and as s, 30,808 calls would be in flight",
        ),
    ],
)
def test_units_are_guessed_and_said(
    head: str,
    rows: list[str],
    starts: list[float],
    latencies: list[float],
    said: str,
    tmp_path: Path,
) -> None:
    seen = read_recording(write(tmp_path, "\n".join([head, *rows])))
    assert seen.start.tolist() == pytest.approx(starts)
    assert seen.latency.tolist() == pytest.approx(latencies)
    assert said in seen.source.said()


def test_a_unit_that_is_given_counts(tmp_path: Path) -> None:
    path = write(tmp_path, "start_s,latency\n0,5\n1,6\n")
    assert read_recording(path, unit="ms").latency.tolist() == pytest.approx([0.005, 0.006])
    with pytest.raises(InputError, match=r"unit 'h' is not known; allowed: s, ms"):
        read_recording(path, unit="h")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"begin": "a"}, r"columns: 'begin' is not known; allowed: start, latency, end"),
        ({"start": "z"}, r"has no column 'z'; allowed: a, b, c"),
        ({"start": "a", "end": "b", "latency": "c"}, "are all given; allowed: two of them"),
        ({"start": "a"}, r"holds the latency or end of the calls\?"),
    ],
)
def test_columns_that_cannot_be(columns: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read_recording(write(tmp_path, "a,b,c\n1,2,3\n"), columns=columns)


def test_rows_that_cannot_be_read_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    rows = ["start_s,end_s,status", *(f"{i},{i}.5,200" for i in range(20))]
    rows[4] = "soon,1,200"
    rows[6] = "5,4.5,200"  # a clock went back
    rows[8] = "7,7.5,200,more"
    seen = read_recording(write(tmp_path, "\n".join(rows)))
    assert (len(seen), seen.source.rows, seen.source.unreadable) == (17, 20, 3)
    assert seen.source.first_unreadable == "row 9: 4 cells under 3 names"
    rows[8] = "7,7.5,200"
    seen = read_recording(write(tmp_path, "\n".join(rows)))
    assert seen.source.first_unreadable == "row 5: it has no time that can be read"
    for i in range(1, 12):
        rows[i] = "soon,1,200"
    with pytest.raises(InputError, match=r"11 of 20 rows cannot be read as table \(row 2: it has"):
        read_recording(write(tmp_path, "\n".join(rows)))


def test_a_call_without_an_end_is_no_success(tmp_path: Path) -> None:
    text = "start_s,latency_ms,status\n0,5,200\n1,,200\n2,,503\n3,timeout,0\n4,9,500\n"
    seen = read_recording(write(tmp_path, text))
    assert seen.outcome.tolist() == [OK, UNFINISHED, REJECTED, FAILED, FAILED]
    assert np.isnan(seen.latency[1:4]).all()


def test_stamps_that_go_back_are_said(tmp_path: Path) -> None:
    ordered = "start_s,latency_s\n" + "".join(f"{i},0.5\n" for i in range(10))
    assert "go back" not in read_recording(write(tmp_path, ordered)).source.said()
    joined = ordered + "".join(f"{i}.25,0.5\n" for i in range(10))
    assert "Stamps go back by 9.0 s" not in read_recording(write(tmp_path, joined)).source.said()
    assert "Stamps go back by 8.8 s" in read_recording(write(tmp_path, joined)).source.said()


def test_addresses_with_numbers_in_them_are_no_names(tmp_path: Path) -> None:
    rows = "".join(f"{i},0.5,/item/{i}\n" for i in range(10_001))
    seen = read_recording(write(tmp_path, "start_s,latency_s,path\n" + rows))
    assert seen.name is None
    assert seen.names == ()
    assert "more than 10,000 names" in seen.source.said()


def test_lines_of_json_and_parquet_are_tables(tmp_path: Path) -> None:
    rows = [{"start_s": i, "latency_s": 0.5 + i, "status": 200 + 229 * (i % 2)} for i in range(6)]
    rows[3]["latency_s"] = None  # type: ignore[assignment]
    text = "start_s,latency_s,status\n" + "".join(
        ",".join("" if value is None else str(value) for value in row.values()) + "\n"
        for row in rows
    )
    plain = read_recording(write(tmp_path, text))
    same(plain, read_recording(write(tmp_path, "\n".join(map(json.dumps, rows)))))
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    path = tmp_path / "calls"
    pandas.DataFrame(rows).to_parquet(path)
    same(plain, read_recording(path))
    trace = tpssim.simulate("blocking-steady:duration=5", "fixed", engine="simpy")
    trace.to_csv(tmp_path / "trace.csv")
    trace.to_pandas().to_parquet(tmp_path / "trace.parquet")
    same(read_recording(tmp_path / "trace.csv"), read_recording(tmp_path / "trace.parquet"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    text = "start_s,latency_s\n0,1\n1,2\n"
    writer = threading.Thread(target=lambda: path.write_text(text, encoding="utf-8"))
    writer.start()
    seen = read_recording(path)
    writer.join()
    assert seen.latency.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("name", ["semicolon.csv", "powershell.csv", "no_header.csv"])
def test_the_files_that_were_refused_once(name: str) -> None:
    path = FAULTS / name
    if not path.exists():
        pytest.skip(f"{name} is not here")
    if name == "semicolon.csv":
        assert len(read_recording(path)) == 59
        return
    with pytest.raises(InputError, match=r"which column holds the start"):
        read_recording(path)
    assert len(read_service_times(path)) >= 59


def test_columns_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "sent,took,code\n0,20,200\n1,30,200\n2,1,429\n")
    parser = argparse.ArgumentParser()
    common.add_trace(parser)
    parser.add_argument("--tps", type=float)
    which = "start=sent,latency=took,status=code"
    given = ["--trace", str(path), "--columns", which, "--unit", "ms"]
    (scenario,) = common.scenarios(parser.parse_args(given), [])
    assert scenario.service.mean == pytest.approx(0.025)
    said = capsys.readouterr().err.splitlines()[0]
    assert said.startswith("tpssim: calls: 2 service times from 'latency', in s (as table has it)")
    assert "1 rejected by the service" in said
    for words, message in (
        (["--trace", str(path), "--columns", "sent"], r"--columns 'sent'; allowed: start=NAME"),
        (["--columns", which], "--columns belongs to --trace FILE"),
        ([*given, "--column", "took"], "--columns with --column or --cost; allowed: one of them"),
    ):
        with pytest.raises(InputError, match=message):
            common.scenarios(parser.parse_args(words), [])


@pytest.mark.parametrize("role", ["start", "latency", "cost"])
def test_a_column_of_numbers_without_any_is_named(tmp_path: Path, role: str) -> None:
    path = write(tmp_path, "sent,took,route\n0,20,-\n1,30,/slow\n2,1,/slow\n")
    columns = {"start": "sent", "latency": "took", role: "route"}
    told = f"{role} from 'route', which has no number in it, but '/slow', say; allowed: a column of"
    with pytest.raises(InputError, match=told):
        tpssim.read_recording(path, columns=columns)


def test_replay_wants_the_decisions_of_a_law(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, "response-time,status-code,offset\n0.1,200,0\n")
    assert main(["replay", str(path)]) == 2
    assert "is a recording (hey CSV) without the decisions of a law" in capsys.readouterr().err
    assert math.isnan(read_recording(path).began)
