"""Recordings as other tools write them: what is read, what is said of it, what is refused."""

from __future__ import annotations

import codecs
import gzip
import math
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT

from tpssim.cli.main import main
from tpssim.core.errors import InputError
from tpssim.core.states import of_users
from tpssim.scenarios.builtin import trace_scenario
from tpssim.scenarios.capacity import mean_service
from tpssim.scenarios.recordings import overlapping, read, read_service_times
from tpssim.scenarios.scenario import code
from tpssim.scenarios.service_times import Recorded

FAULTS = ROOT.parent / "shared" / "faults"
QUOTED = '"latency_ms","url"\r\n"9.891","http://x/?a=1,2"\r\n"31.164","http://x/"\r\n'


def written(folder: Path, text: str, encoding: str = "utf-8", mark: bytes = b"") -> Path:
    path = folder / "calls.csv"
    path.write_bytes(mark + text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""),
        ("utf-8", codecs.BOM_UTF8),
        ("utf-16-le", codecs.BOM_UTF16_LE),  # as PowerShell's > writes it
        ("utf-16-be", codecs.BOM_UTF16_BE),
        ("utf-16-le", b""),
        ("utf-16-be", b""),
        ("utf-32-le", codecs.BOM_UTF32_LE),
    ],
)
def test_every_encoding_of_a_quoted_header_is_read(
    encoding: str, mark: bytes, tmp_path: Path
) -> None:
    path = written(tmp_path, QUOTED, encoding, mark)
    assert read_service_times(path) == pytest.approx((0.009891, 0.031164))
    assert read_service_times(path, column="latency_ms") == pytest.approx((0.009891, 0.031164))


def test_western_europes_spreadsheets_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, "Größe;Duration (µs)\r\n1;9,5\r\n2;1.234,5\r\n", "cp1252")
    found = read(path)
    assert found.times == pytest.approx((9.5e-6, 1234.5e-6))
    assert (found.column, found.unit, found.commas) == ("Duration (µs)", "us", True)


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("timestamp;latency_ms\n2024;9.891\n2024;31.164\n", (0.009891, 0.031164)),
        ("timestamp;latency_ms\n2024;9,891\n2024;31,164\n", (0.009891, 0.031164)),
        (
            "timestamp\tlatency_ms\n2024\t9.5\n2024\t31,25\n2024\t1\n",
            None,
        ),  # a comma here, a point there
        ("timestamp\tlatency_ms\n2024\t9,5\n2024\t31,25\n2024\t1\n", (0.0095, 0.03125, 0.001)),
        ("timestamp|latency_ms\n2024|9.5\n", (0.0095,)),
        ("latency_ms\n9,891\n31,164\n5,04\n", (0.009891, 0.031164, 0.00504)),
        ('a,latency_ms\n1,"9,5"\n2,"1,5"\n', (0.0095, 0.0015)),
        ("sep=;\r\na;latency_ms\r\n1;2\r\n", (0.002,)),
        ("# made by a tool\na,latency_ms\n1,2\n", (0.002,)),
        ("latency_ms, url\n 2.5, x\n 3.5, y\n", (0.0025, 0.0035)),
        ("latency_ms,note\n2,\n3,\n", (0.002, 0.003)),
        ("a,latency_ms\r1,2\r2,3\r", (0.002, 0.003)),  # of an old Macintosh
        (",0\n0,1.5\n1,2.5\n", "2"),  # a series of pandas: its names, no values
    ],
)
def test_separators_and_decimal_signs(text: str, times: Any, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    if times is None:
        with pytest.raises(InputError, match="has commas in some numbers and points in others"):
            read(path)
    elif times == "2":
        assert read_service_times(path, column="0") == (1.5, 2.5)
    else:
        assert read_service_times(path) == pytest.approx(times)


def test_a_file_without_a_header_row_keeps_its_first_value_and_says_so(tmp_path: Path) -> None:
    found = read(written(tmp_path, "0.25\n0.5\n"))
    assert found.times == (0.25, 0.5)
    assert (
        found.said("calls.csv")
        == "calls.csv: 2 service times from column 1, in s (its name says no unit); "
        "no header row: the first row, '0.25', is read as values"
    )
    path = written(tmp_path, "2024,0.25\n2025,0.5\n")
    assert read_service_times(path, column="2") == (0.25, 0.5)
    with pytest.raises(InputError, match=r"Name it; allowed: 1, 2 \(their numbers"):
        read(path)
    with pytest.raises(InputError, match="'9,891' is two numbers, or one with a decimal comma"):
        read(written(tmp_path, "9,891\n31,164\n"))


@pytest.mark.parametrize("cell", ["", "nan", "NaN", "NULL", "None", "-", "N/A", " ", "timeout"])
def test_calls_that_failed_without_a_latency_are_counted_and_named(
    cell: str, tmp_path: Path
) -> None:
    path = written(tmp_path, f"id,latency_ms\n0,9\n1,{cell}\n2,11\n3,{cell}\n")
    found = read(path)
    assert found.times == pytest.approx((0.009, 0.011))
    assert found.failed == 2
    assert "2 rows have no latency (the first is row 3" in found.said(path)
    scenario = trace_scenario(path)
    assert scenario.summary == "2 recorded service times from calls.csv; 2 failed calls left out"
    assert scenario.service.mean == pytest.approx(0.010)


def test_a_file_in_which_every_call_failed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no row has a number under latency_ms"):
        read(written(tmp_path, "id,latency_ms\n0,nan\n1,\n"))


OURS = (
    "released,completed,latency,outcome\n"
    "0,0.02,0.02,0\n1,1.001,0.001,3\n2,2.5,0.5,2\n3,3.03,0.03,0\n"
)


@pytest.mark.parametrize(
    ("text", "times", "said"),
    [
        (  # as `live` writes it: 17 refusals of 1 ms pulled the mean down
            OURS,
            (0.02, 0.03),
            (
                "left out by 'outcome': 2 calls that did not go well (1 rejected by the service, 1"
                " timed out); not used: released, completed"
            ),
        ),
        (
            "latency_ms,outcome\n20,ok\n1,rejected by the service\n30,OK\n",
            (0.02, 0.03),
            (
                "left out by 'outcome': 1 call that did not go well (1 outcome=rejected by the"
                " service)"
            ),
        ),
        (
            "latency_ms,status\n20,200\n1,429\n1,0\n2,503\n30,304\n40,\n",
            (0.02, 0.03, 0.04),
            (
                "left out by 'status': 3 calls that did not go well (1 status=429, 1 status=0, 1"
                " status=503)"
            ),
        ),
        (
            "elapsed,responseCode,success,url\n20,200,true,x\n1,429,false,x\n"
            "30,200,true,x\n31,200,false,x\n",
            (20.0, 30.0),
            (
                "left out by 'responseCode', 'success': 2 calls that did not go well "
                "(1 responseCode=429, 1 success=false); not used: url"
            ),
        ),
        (
            "latency_ms,error\n20,\n1,connection refused\n30,None\n1,connection refused\n",
            (0.02, 0.03),
            "left out by 'error': 2 calls that did not go well (2 error=connection refused)",
        ),
        ("latency_ms,success\n20,1\n1,0\n", (0.02,), "(1 success=0)"),
        # What no one can know is not used: are these errors of gRPC, or successes?
        ("latency_ms,status\n20,1\n30,0\n", (0.02, 0.03), "; not used: status"),
        ("latency_ms,outcome\n20,1\n30,0\n", (0.02, 0.03), "; not used: outcome"),
        ("latency_ms,error\n20,0.5\n30,0.25\n", (0.02, 0.03), "; not used: error"),
    ],
)
def test_calls_that_did_not_go_well_give_no_service_time(
    text: str, times: tuple[float, ...], said: str, tmp_path: Path
) -> None:
    path = written(tmp_path, text)
    found = read(path)
    assert found.times == pytest.approx(times)
    assert found.said(path).endswith(said)
    lost = found.left_out.rows
    assert len(times) + lost == text.count("\n") - 1
    assert (f"; {lost} failed call" in trace_scenario(path).summary) == bool(lost)


def test_a_refused_call_overlapped_all_the_same(tmp_path: Path) -> None:
    text = "released,completed,latency,outcome\n0,9,9,0\n1,2,1,3\n"
    assert read(written(tmp_path, text)).overlap == 0.5


def test_a_file_in_which_no_call_went_well_says_why(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"no call went well: left out by 'status': 2 calls .*\(2 status=503\)"
    ):
        read(written(tmp_path, "latency_ms,status\n1,503\n2,503\n"))


@pytest.mark.parametrize(
    ("name", "unit", "scale"),
    [
        ("latency_ns", "ns", 1e-9),
        ("latencyNanos", "ns", 1e-9),
        ("latency_us", "us", 1e-6),
        ("Latency (µs)", "us", 1e-6),
        ("latency[ms]", "ms", 1e-3),
        ("responseTimeMs", "ms", 1e-3),
        ("duration_seconds", "s", 1.0),
        ("duration_min", "min", 60.0),
        ("elapsed minutes", "min", 60.0),
    ],
)
def test_the_unit_is_what_the_columns_name_ends_in(
    name: str, unit: str, scale: float, tmp_path: Path
) -> None:
    found = read(written(tmp_path, f"id,{name}\n1,3\n2,5\n"))
    assert (found.column, found.unit) == (name, unit)
    assert found.times == pytest.approx((3.0 * scale, 5.0 * scale))
    assert f"in {unit} (its name says so)" in found.said("x")
    given = read(written(tmp_path, f"id,{name}\n1,3\n2,5\n"), unit="ms")
    assert given.times == pytest.approx((0.003, 0.005))
    assert "in ms (as given)" in given.said("x")


def test_the_least_latency_is_no_number_of_minutes(tmp_path: Path) -> None:
    path = written(tmp_path, "latency_min,latency_max\n1,2\n")
    assert read(path, column="latency_min").unit == "s"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("url,latency_ms\nhttp://x/?a=1,2,9.8\n", "row 2: 3 cells under 2 names"),
        ('id,latency_ms\n1,"2\n3,4\n', "it is no CSV: unexpected end of data"),
        ("id,latency_ms\n1,9.8 ms\n", "row 2: latency_ms='9.8 ms'; allowed: a finite number"),
        ("id,latency_ms\n1,1_000\n2,x\n", "row 3: latency_ms='x'"),
        ("latency\n" + "1e308\n" * 30, "row 2: latency='1e308'"),
        ("\n\n", "is empty"),
    ],
)
def test_what_is_no_recording_is_refused_in_one_line(
    text: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as error:
        read(written(tmp_path, text))
    assert "\n" not in str(error.value)


def test_a_torn_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv.gz"
    path.write_bytes(gzip.compress(b"latency\n" + b"0.5\n" * 1000)[:-12])
    with pytest.raises(InputError, match="cannot be read"):
        read(path)


@pytest.mark.parametrize(
    ("name", "count", "failed"),
    [
        ("powershell.csv", 59, 0),
        ("no_header.csv", 60, 0),
        ("semicolon.csv", 59, 0),
        ("failed_without_latency.csv", 38, 1),
    ],
)
def test_the_files_that_were_refused(name: str, count: int, failed: int) -> None:
    path = FAULTS / name
    if not path.exists():
        pytest.skip(f"{name} is not here")
    found = read(path)
    assert (len(found.times), found.failed) == (count, failed)
    assert found.times[0] == 0.009891


def test_what_is_not_used_of_a_file_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, "timestamp,latency_ms,status\n1,20,200\n2,,503\n3,30,200\n")
    options = ["--controllers", "fixed", "--replications", "1", "--workers", "1"]
    assert main(["compare", "--trace", str(path), *options, "--out", str(tmp_path / "out")]) == 0
    assert (
        capsys.readouterr().err.splitlines()[0]
        == "tpssim: calls.csv: 2 service times from 'latency_ms', in ms (its name says so); "
        "1 row has no latency (the first is row 3, ''): failed calls, left out; "
        "left out by 'status': none; not used: timestamp"
    )


def test_a_file_is_read_once_for_times_and_overlap(tmp_path: Path) -> None:
    path = written(tmp_path, "released,completed,latency\n2,3,1\n0,9,9\n1,2,1\n9,10,1\n")
    found = read(path)
    assert found.overlap == overlapping(path) == 0.5
    assert found.times == (1.0, 9.0, 1.0, 1.0)
    assert math.isnan(read(written(tmp_path, "latency\n1\n")).overlap)


def test_a_long_recording_is_looked_through_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its mean is asked for all the time, and its parts are no code of the user's."""
    scenario = trace_scenario(written(tmp_path, "service_s\n" + "0.02\n0.04\n" * 1000))
    assert scenario.service.mean == pytest.approx(0.03)
    sums = 0

    def fsum(numbers: Any) -> float:
        nonlocal sums
        sums += 1
        return float(sum(numbers))

    monkeypatch.setattr(math, "fsum", fsum)
    assert [mean_service(scenario, 0.0) for _ in range(100)] == [pytest.approx(0.03)] * 100
    assert code(scenario) == ()
    assert sums == 0
    monkeypatch.setattr("builtins.map", None, raising=False)
    assert isinstance(scenario.service, Recorded)
    assert list(of_users([scenario.service.recording])) == []  # known: not walked over again


def test_recordings_that_another_process_sent_are_one_object() -> None:
    service = Recorded(tuple(float(i) for i in range(100)), "x")
    one, other = (pickle.loads(pickle.dumps(service)) for _ in range(2))
    assert one == other == service
    assert one.recording is other.recording


def test_what_was_guessed_of_a_file_is_said_with_what_is_wrong_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """400,000 ms that were read as seconds: 6,000 such calls are longer than a run may be."""
    path = tmp_path / "calls.csv"
    path.write_text("took\n400000\n401000\n", "utf-8")
    assert main(["compare", "--trace", str(path), "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "duration=" in line
    assert line.endswith("from 'took', in s (its name says no unit)")
