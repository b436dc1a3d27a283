"""Files that the real tools wrote (`tests/data/recordings`), against other readers of them."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT

from tpssim import read_recording
from tpssim.core.errors import InputError
from tpssim.core.types import FAILED, OK, REJECTED, TIMED_OUT
from tpssim.live.integrations.locust_log import COLUMNS, RequestLog
from tpssim.scenarios.recordings import read, read_service_times
from tpssim.scenarios.recordings.arrivals import read_arrivals
from tpssim.scenarios.recordings.calls import Recording

DATA = ROOT / "tests" / "data" / "recordings"
#: File, format, and how many calls have which outcome: as counted with
#: other tools.
FILES = [
    ("hey.csv", "hey CSV", {OK: 131, REJECTED: 169}),
    ("locust.csv", "Locust request log", {OK: 14, TIMED_OUT: 4, REJECTED: 1}),
    ("jmeter.jtl", "JMeter CSV", {OK: 154, TIMED_OUT: 83, REJECTED: 3}),
    ("jmeter-bare.jtl", "JMeter CSV", {OK: 153, TIMED_OUT: 85, REJECTED: 2}),
    ("nginx-timed.log", "access log", {OK: 146, REJECTED: 52}),
    ("nginx.ndjson", "table", {OK: 146, REJECTED: 52}),
    ("apache.log", "access log", {OK: 76, REJECTED: 74}),
    ("chromium.har.gz", "HAR", {OK: 37, FAILED: 1}),
    ("otlp.json", "OTLP JSON", {OK: 38, TIMED_OUT: 10}),
]


@pytest.mark.parametrize(("name", "kind", "outcomes"), FILES, ids=[f[0] for f in FILES])
def test_it_is_recognised_by_its_content(
    name: str, kind: str, outcomes: dict[int, int], tmp_path: Path
) -> None:
    other = tmp_path / "x.bin"
    other.write_bytes((DATA / name).read_bytes())
    seen = read_recording(other)
    assert seen.source.format == kind
    assert Counter(seen.outcome.tolist()) == outcomes
    assert (seen.source.unreadable, seen.source.rows) == (0, len(seen))
    assert len(seen.source.digest) == 64
    assert (np.diff(seen.start) >= 0.0).all()


def pairs(recording: Recording) -> list[tuple[float, float]]:
    """Starts and latencies, to the microsecond."""
    began = 0.0 if np.isnan(recording.began) else recording.began
    rows = zip(recording.start + began, recording.latency, strict=True)
    return sorted((round(start, 5), round(took, 5)) for start, took in rows)


def expected(rows: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return sorted((round(start, 5), round(took, 5)) for start, took in rows)


def test_heys_offsets_are_starts() -> None:
    with open(DATA / "hey.csv", encoding="utf-8") as file:
        rows = [(float(row["offset"]), float(row["response-time"])) for row in csv.DictReader(file)]
    first = min(rows)[0]
    assert pairs(read_recording(DATA / "hey.csv")) == expected([(s - first, t) for s, t in rows])


@pytest.mark.parametrize(("name", "mark"), [("jmeter.jtl", ","), ("jmeter-bare.jtl", ";")])
def test_jmeters_transactions_are_no_calls(name: str, mark: str) -> None:
    with open(DATA / name, encoding="utf-8", newline="") as file:
        rows = [row for row in csv.reader(file, delimiter=mark) if row[2] not in ("tx", "label")]
    seen = read_recording(DATA / name)
    assert pairs(seen) == expected([(int(row[0]) / 1e3, int(row[1]) / 1e3) for row in rows])
    assert seen.names == ('a, of "tg"', "b")
    assert seen.resolution == 1e-3
    assert len(seen.named("b")) == 120


def test_nginx_stamps_ends() -> None:
    text = (DATA / "nginx-timed.log").read_text(encoding="utf-8")
    found = re.findall(r"rt=([\d.]+) msec=([\d.]+)", text)
    rows = [(float(end) - float(took), float(took)) for took, end in found]
    assert pairs(read_recording(DATA / "nginx-timed.log")) == expected(rows)
    columns = {"end": "msec", "latency": "request_time"}
    assert pairs(read_recording(DATA / "nginx.ndjson", columns=columns)) == expected(rows)


def test_apache_stamps_starts() -> None:
    lines = (DATA / "apache.log").read_text(encoding="utf-8").splitlines()
    seen = read_recording(DATA / "apache.log")
    taken = sorted(int(line.split()[-1]) / 1e6 for line in lines)
    assert sorted(seen.latency.tolist()) == pytest.approx(taken, abs=1e-9)
    assert seen.resolution == 1.0


def test_a_browsers_entries() -> None:
    har = json.loads(gzip.decompress((DATA / "chromium.har.gz").read_bytes()))
    took = sorted(entry["time"] / 1e3 for entry in har["log"]["entries"])
    seen = read_recording(DATA / "chromium.har.gz")
    assert sorted(seen.latency.tolist()) == pytest.approx(took, abs=1e-8)
    stamps = sorted(entry["startedDateTime"] for entry in har["log"]["entries"])
    assert float(stamps[-1][17:23]) - float(stamps[0][17:23]) == pytest.approx(seen.start[-1])


def test_client_spans_are_the_calls() -> None:
    spans = [
        span
        for line in (DATA / "otlp.json").read_text(encoding="utf-8").splitlines()
        for resource in json.loads(line)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
        if span["kind"] == 3
    ]
    nano = [(int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])) for span in spans]
    seen = read_recording(DATA / "otlp.json")
    assert seen.latency.sum() == pytest.approx(sum(end - start for start, end in nano) / 1e9)
    assert seen.completion.max() == pytest.approx((max(nano)[1] - min(nano)[0]) / 1e9, abs=0.1)
    assert seen.names == ("GET /a", "GET /b")


def test_what_has_no_calls() -> None:
    with pytest.raises(InputError, match="Locust's statistics"):
        read_recording(DATA / "locust_stats.csv")
    with pytest.raises(InputError, match="without the time that a request took"):
        read_recording(DATA / "nginx-combined.log")


def test_locusts_log_is_written_line_by_line(tmp_path: Path) -> None:
    class Response:
        def __init__(self, status: int, **headers: str) -> None:
            self.status_code, self.headers = status, headers

    path = tmp_path / "log.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        log = RequestLog(file)
        log.add("GET", "a", 12.3456, 1e9, response=Response(200), context={}, url="http://h/")
        refused = Response(429, **{"Retry-After": "2"})
        log.add("GET", "a", 1.0, 1e9 + 0.5, response=refused, exception=OSError("429"))
        log.add("GET", "a", 4.0, 1e9 + 1.0, exception=TimeoutError("read timed out"))
    log.add("GET", "late", 1.0, 1e9)  # a request that ends after Locust has quit
    assert path.read_text(encoding="utf-8").splitlines()[0] == ",".join(COLUMNS)
    seen = read_recording(path)
    assert seen.outcome.tolist() == [OK, REJECTED, TIMED_OUT]
    assert seen.latency.tolist() == pytest.approx([0.012346, 0.001, 0.004])
    assert seen.retry_after is not None
    assert seen.retry_after.tolist()[1] == 2.0
    assert seen.began == 1e9


def test_traces_and_arrivals_are_read_from_them() -> None:
    times = read_service_times(DATA / "hey.csv")
    assert len(times) == 131
    said = read(DATA / "hey.csv").said("hey.csv")
    assert said.startswith("hey.csv: 131 service times from 'latency', in s (as hey CSV has it);")
    assert "left out by 'outcome': 169 calls that did not go well (169 rejected by" in said
    assert "timeouts and failed connections are not in it" in said
    arrivals = read_arrivals(DATA / "hey.csv")
    assert len(arrivals) == 300
    assert arrivals[0] == 0.0
    assert len(read_arrivals(DATA / "otlp.json")) == 48
