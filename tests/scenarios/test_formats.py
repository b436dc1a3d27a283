"""What other tools write, as their documentation has it: what is read, and what is said of it.

The real tools' own files are in `test_recorded_files`.
"""

from __future__ import annotations

import base64
import gzip
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT

import tpssim
from tpssim import read_recording
from tpssim.core.errors import InputError
from tpssim.core.types import FAILED, OK, REFUSED, REJECTED, TIMED_OUT, UNFINISHED
from tpssim.scenarios.recordings.calls import Recording

DATA = ROOT / "tests" / "data" / "recordings"
TEN = 1795860000.0  # 2026-11-28 10:00:00 UTC


def read(folder: Path, text: str | bytes, **options: object) -> Recording:
    path = folder / "calls"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_recording(path, **options)  # type: ignore[arg-type]


def check(
    seen: Recording, start: list[float], latency: list[float], outcome: list[int], kind: str
) -> None:
    assert seen.source.format == kind
    np.testing.assert_allclose(seen.start, start, rtol=0.0, atol=1e-9)
    np.testing.assert_allclose(seen.latency, latency, rtol=0.0, atol=1e-9)
    assert seen.outcome.tolist() == outcome


K6_CSV = """\
metric_name,timestamp,metric_value,check,error,error_code,group,method,name,status,extra_tags
http_reqs,1795860000100000000,1.000000,,,,,GET,http://h/a,200,
http_req_duration,1795860000100000000,100.000000,,,,,GET,http://h/a,200,
http_req_failed,1795860000100000000,0.000000,,,,,GET,http://h/a,200,
http_req_duration,1795860000120000000,70.500000,,,1503,,GET,http://h/b,503,
http_req_duration,1795860060000000000,60000.000000,,request timeout,1050,,GET,http://h/a,0,
vus,1795860001000000000,2.000000,,,,,,,,
"""


def test_k6_csv(tmp_path: Path) -> None:
    seen = read(tmp_path, gzip.compress(K6_CSV.encode()))
    latency, outcomes = [0.1, 60.0, 0.0705], [OK, TIMED_OUT, REJECTED]
    check(seen, [0.0, 0.0, 0.0495], latency, outcomes, "k6 CSV")
    assert seen.names == ("http://h/a", "http://h/b")
    assert seen.began == TEN
    assert "k6 stamps the end of a request" in seen.source.notes[0]
    assert seen.resolution == 1e-4


def test_k6_csv_of_whole_seconds_says_what_is_lost(tmp_path: Path) -> None:
    seen = read(tmp_path, re.sub(r"(17958600\d\d)\d{9}", r"\1", K6_CSV))
    assert seen.resolution == 1.0
    assert any("whole seconds" in note for note in seen.source.notes)


def test_k6_json(tmp_path: Path) -> None:
    lines = [
        '{"metric":"http_req_duration","type":"Metric","data":{"name":"http_req_duration"}}',
        '{"metric":"http_req_duration","type":"Point","data":'
        '{"time":"2026-11-28T10:00:00.112345678Z","value":12.345678,"tags":{"name":"a","status":"200","error_code":""}}}',
        '{"metric":"http_req_failed","type":"Point","data":{"time":"2026-11-28T10:00:00.1Z",'
        '"value":0,"tags":{"status":"200"}}}',
        '{"metric":"http_req_duration","type":"Point","data":{"time":"2026-11-28T11:00:00.2+01:00",'
        '"value":20,"tags":{"name":"a","status":"0","error_code":"1050"}}}',
        '{"metric":"http_req_duration","type":"Point","data":{"time"',
    ]
    seen = read(tmp_path, "\n".join(lines))
    check(seen, [0.0, 0.08], [0.012345678, 0.02], [OK, TIMED_OUT], "k6 JSON")
    assert (seen.source.rows, seen.source.unreadable) == (3, 1)  # the last line is cut off


def test_vegeta_csv(tmp_path: Path) -> None:
    asked = base64.b64encode(b"Content-Length: 9\r\nRetry-After: 2\r\n").decode()
    text = (
        "1795860000000000000,200,12345678,0,17,,,run1,0,GET,http://h/a?x=1,\n"
        "1795860000010000000,503,2345678,0,9,503 Service Unavailable,Ym9keQ==,"
        f"run1,1,GET,http://h/a,{asked}\n"
        '1795860000020000000,0,30000000000,0,0,"Get ""http://h/a"": context deadline exceeded",,'
        "run1,2,GET,http://h/b,\n"
        "1795860000030000000,0,50000,0,0,connection refused,,run1,3,GET,http://h/b,\n"
    )
    seen = read(tmp_path, text)
    latency = [0.012345678, 0.002345678, 30.0, 5e-5]
    check(seen, [0, 0.01, 0.02, 0.03], latency, [OK, REJECTED, TIMED_OUT, FAILED], "Vegeta CSV")
    assert seen.names == ("http://h/a", "http://h/b")
    assert seen.retry_after is not None
    assert seen.retry_after[1] == 2.0
    assert np.isnan(seen.retry_after[[0, 2, 3]]).all()
    assert len(seen.named("http://h/b")) == len(read(tmp_path, text, name="http://h/b")) == 2


def test_vegeta_json(tmp_path: Path) -> None:
    hit = {"attack": "a", "seq": 0, "code": 200, "timestamp": "2026-11-28T10:00:00.000000001Z"}
    more = {"latency": 12345678, "error": "", "url": "http://h/a", "headers": None, "method": "GET"}
    refused = {"code": 429, "timestamp": "2026-11-28T10:00:01Z", "headers": {"Retry-After": ["3"]}}
    lines = [json.dumps({**hit, **more}), json.dumps({**hit, **more, **refused}), '{"attack": 5}']
    seen = read(tmp_path, "\n".join(lines))
    check(seen, [0.0, 0.999999999], [0.012345678] * 2, [OK, REJECTED], "Vegeta JSON")
    assert seen.retry_after is not None
    assert seen.retry_after[1] == 3.0
    assert (seen.source.rows, seen.source.unreadable) == (3, 1)
    assert seen.source.first_unreadable.startswith("row 3: it is no hit of Vegeta")


JMETER = (DATA / "jmeter-5-by-hand.jtl").read_text(encoding="utf-8")


def test_jmeter_and_its_dates(tmp_path: Path) -> None:
    start, latency = [0.0, 0.01, 0.02, 0.03], [0.002, 0.031, 0.009, 0.008]
    outcomes = [REJECTED, OK, FAILED, OK]
    check(read(tmp_path, JMETER), start, latency, outcomes, "JMeter CSV")
    dates = JMETER
    for ms in (0, 10, 20, 30):
        dates = dates.replace(f"17958600000{ms:02}", f"2026/11/28 10:00:00.0{ms:02}")
    seen = read(tmp_path, dates.replace(",", ";"))
    check(seen, start, latency, outcomes, "JMeter CSV")
    assert seen.began == TEN
    assert any("without a zone" in note for note in seen.source.notes)


def test_ohas_csv_and_ghzs_json(tmp_path: Path) -> None:
    text = (
        "request-start,DNS,DNS+dialup,Response-delay,request-duration,bytes,status\n"
        "0.5,0,0.0009,0.0121,0.0125,17,200\n0.625,0,0,0.0319,0.25,9,503\n"
    )
    check(read(tmp_path, text), [0.0, 0.125], [0.0125, 0.25], [OK, REJECTED], "oha CSV")
    call = {"timestamp": "2026-11-28T10:00:00.5Z", "latency": 2000000, "error": ""}
    ghz = {
        "count": 3,
        "endReason": "normal",
        "details": [
            {**call, "status": "OK"},
            {**call, "status": "Unavailable", "error": "rpc error: code = Unavailable"},
            {**call, "status": "DeadlineExceeded", "error": "rpc error"},
        ],
    }
    seen = read(tmp_path, json.dumps(ghz, indent=1))
    check(seen, [0.0] * 3, [0.002] * 3, [OK, TIMED_OUT, REJECTED], "ghz JSON")


def test_envoys_log(tmp_path: Path) -> None:
    def line(stamp: str, code: int, flags: str, took: int, upstream: str) -> str:
        return (
            f'[2026-11-28T10:00:{stamp}Z] "GET /a?x=1 HTTP/1.1" {code} {flags} 0 17 {took}'
            f' {upstream} "-"'
            ' "curl/8" "b2c1" "svc" "10.0.0.2:80"\n'
        )

    text = line("00.000", 200, "-", 31, "30") + line("00.010", 503, "UO", 0, "-")
    text += line("00.020", 504, "UT", 1000, "-") + line("00.030", 0, "DC", 5, "-")
    seen = read(tmp_path, text + "not a line of it\n")
    latency, outcomes = [0.031, 0.0, 1.0, 0.005], [OK, REJECTED, TIMED_OUT, TIMED_OUT]
    check(seen, [0.0, 0.01, 0.02, 0.03], latency, outcomes, "Envoy access log")
    assert (seen.source.unreadable, seen.source.first_unreadable[:6]) == (1, "row 5:")


def test_logs_with_tabs(tmp_path: Path) -> None:
    phout = (
        "1795860000.000\t\t31200\t120\t30\t30800\t250\t31150\t120\t170\t0\t200\n"
        "1795860000.010\ta#1\t2100\t0\t20\t2000\t80\t2080\t120\t150\t0\t503\n"
        "1795860000.020\ta#2\t2100\t0\t20\t2000\t80\t2080\t120\t150\t110\t0\n"
    )
    seen = read(tmp_path, phout)
    outcomes = [OK, REJECTED, TIMED_OUT]
    check(seen, [0, 0.01, 0.02], [0.0312, 0.0021, 0.0021], outcomes, "phout.log of Yandex.Tank")
    gatling = (
        "RUN\texample.Sim\tsim\t1795860000000\t \t3.9.5\n"
        "REQUEST\t\ta\t1795860000010\t1795860000041\tOK\t \n"
        "REQUEST\t\ta\t1795860000020\t1795860000022\tKO\tfound 503\n"
        "REQUEST\t7\t\ta\t1795860000030\t1795860000060\tKO\tRequest timeout\n"  # as 3.3 has it
    )
    seen = read(tmp_path, gatling)
    check(seen, [0, 0.01, 0.02], [0.031, 0.002, 0.03], outcomes, "simulation.log of Gatling")


COMBINED = (
    '10.0.0.1 - - [28/Nov/2026:10:00:0{s} +0000] "GET /a?x=1 HTTP/1.1" {code} 17 "-" "cu rl/8"'
    " {took}\n"
)


def test_nginx_stamps_the_end_and_apache_the_start(tmp_path: Path) -> None:
    rows = [(2, 200, 1.5), (3, 499, 2.0), (3, 429, 0.001)]
    nginx = "".join(COMBINED.format(s=s, code=code, took=f"{t:.3f}") for s, code, t in rows)
    seen = read(tmp_path, nginx)
    check(seen, [0.0, 0.5, 2.499], [1.5, 2.0, 0.001], [OK, TIMED_OUT, REJECTED], "access log")
    assert (seen.began, seen.resolution) == (TEN + 0.5, 1.0)
    apache = "".join(COMBINED.format(s=s, code=code, took=int(t * 1e6)) for s, code, t in rows)
    seen = read(tmp_path, apache)
    assert seen.start.tolist() == [0.0, 1.0, 1.0]
    assert sorted(seen.latency.tolist()) == pytest.approx([0.001, 1.5, 2.0])
    assert seen.began == TEN + 2.0


def test_spans(tmp_path: Path) -> None:
    def span(kind: object, start: int, end: int, **more: object) -> dict[str, object]:
        nano = {"startTimeUnixNano": str(10**18 + start), "endTimeUnixNano": str(10**18 + end)}
        return {"name": "GET", "kind": kind, **nano, **more}

    def attribute(key: str, value: object) -> dict[str, object]:
        return {"attributes": [{"key": key, "value": value}]}

    spans = [
        span(3, 0, 31, **attribute("http.response.status_code", {"intValue": "200"})),
        span(3, 10, 12, **attribute("http.status_code", {"intValue": "503"}), status={"code": 2}),
        span(3, 20, 25, **attribute("error.type", {"stringValue": "Timeout"}), status={"code": 2}),
        span(3, 30, 31, **attribute("rpc.grpc.status_code", {"intValue": "14"})),
        span(2, 1, 30),
    ]
    lines = [json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [one]}]}]}) for one in spans]
    seen = read(tmp_path, "\n".join(lines))
    outcomes = [OK, REJECTED, TIMED_OUT, REJECTED]
    check(seen, [0, 1e-8, 2e-8, 3e-8], [3.1e-8, 2e-9, 5e-9, 1e-9], outcomes, "OTLP JSON")
    assert "not 1 server" in seen.source.notes[0]
    named = [span("SPAN_KIND_SERVER", 0, 5), span("SPAN_KIND_INTERNAL", 1, 2)]
    document = {"batches": [{"instrumentationLibrarySpans": [{"spans": named}]}]}
    seen = read(tmp_path, json.dumps(document, indent=2))
    check(seen, [0.0], [5e-9], [OK], "OTLP JSON")
    assert any("server's" in note for note in seen.source.notes)


def test_a_har_of_the_specification(tmp_path: Path) -> None:
    entry = {"time": 31.5, "request": {"url": "http://h/a?b=1"}, "response": {"status": 200}}
    entries = [
        {"startedDateTime": "2026-11-28T11:00:00.000+01:00", **entry},
        {"startedDateTime": "2026-11-28T10:00:00.010Z", **entry, "response": {"status": 0}},
    ]
    refused = {"status": 429, "headers": [{"name": "retry-after", "value": "7"}]}
    entries.append({"startedDateTime": "2026-11-28T10:00:00.020Z", **entry, "response": refused})
    har = {"log": {"version": "1.2", "creator": {"name": "x"}, "entries": entries}}
    seen = read(tmp_path, "\ufeff" + json.dumps(har))
    check(seen, [0.0, 0.01, 0.02], [0.0315] * 3, [OK, FAILED, REJECTED], "HAR")
    assert seen.retry_after is not None
    assert seen.retry_after[2] == 7.0


SPAN = '{"kind": 3, "startTimeUnixNano": "5", "endTimeUnixNano": "8"}'
ENTRY = (
    '{"startedDateTime": "2026-11-28T10:00:00Z", "time": 31.5, "request": {"url": "http://h/"},'
    ' "response": {"status": 200}}'
)
DETAIL = '{"timestamp": "2026-11-28T10:00:00Z", "latency": 5, "status": "OK"}'


@pytest.mark.parametrize(
    ("start", "item"),
    [
        ('{"resourceSpans": [{"scopeSpans": [{"spans": [', SPAN),
        ('{"log": {"creator": {}, "entries": [', ENTRY),
        ('{"count": 3, "endReason": "normal", "details": [', DETAIL),
    ],
    ids=["OTLP", "HAR", "ghz"],
)
def test_a_call_that_is_cut_off_at_the_end_is_counted_and_named(
    start: str, item: str, tmp_path: Path
) -> None:
    for cut in (1, len(item) // 2, len(item) - 1):
        seen = read(tmp_path, f"{start}{item}, {item},\n{item[:cut]}")
        assert (len(seen), seen.source.rows, seen.source.unreadable) == (2, 3, 1)
        assert seen.source.first_unreadable == "row 3: the file is cut off in it"
    seen = read(tmp_path, f"{start}{item}, {item}]")  # nothing of a call is lost
    assert (len(seen), seen.source.rows, seen.source.unreadable) == (2, 2, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("duration (ms),status,error\n1.2,OK,\n", "is ghz's CSV: it has no start times"),
        ("# HELP x y\n# TYPE x histogram\nx_bucket 1\n", "is Prometheus' text"),
        ("Type,Name,Request Count\n,Aggregated,3\n", "Locust's statistics.*locust_log"),
        (COMBINED.format(s=1, code=200, took=""), "without the time that a request took"),
        (
            '<?xml version="1.0"?>\n<testResults version="1.2">',
            "is JMeter's XML; allowed: -Jjmeter",
        ),
        ('{"metrics": {}, "root_group": {"name": ""}}', "is k6's summary"),
        (b"\x00\x01sim\x00\x00\x00", "is binary; allowed: text, or Parquet \\(Gatling"),
        (b"\x41\x7f\x03\x01\x01\x06Result\x01\xff\x80\x00\x01\x0c\x01\x06Attack", "vegeta encode"),
        (b"PK\x03\x04", "is a .npz archive; allowed: the CSV of Trace.to_csv"),
        ("interval_start_s,latency_s,count\n0,0.01,7\n1,0.02,9\n", "counts latencies in intervals"),
        ("", "is empty"),
        ("latency_ms\n1\n2\n", r"holds the start of the calls\? Name it with columns"),
        ("start_s,x\n1,2\n2,2\n", r"holds the latency or end of the calls\?"),
    ],
)
def test_what_holds_no_calls_is_refused_in_one_line(
    text: str | bytes, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message) as error:
        read(tmp_path, text)
    assert "\n" not in str(error.value)


def test_it_is_public_and_says_what_it_is(tmp_path: Path) -> None:
    seen = read(tmp_path, "start_s,latency_ms\n5,20\n4,10\n")
    assert isinstance(seen, tpssim.Recording)
    assert math.isnan(seen.began)
    assert (seen.cost, seen.retry_after, seen.name) == (None, None, None)
    assert {UNFINISHED, REFUSED}.isdisjoint(seen.outcome.tolist())
