"""Files of other tools that hold no calls: which they are, and what to ask the tool for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tpssim.core.errors import InputError
from tpssim.scenarios.recordings.column_names import stem
from tpssim.scenarios.recordings.tables import header
from tpssim.scenarios.recordings.texts import Text

_NO_STARTS = "has no start times, so which calls overlapped is lost"


def _starts_with(*marks: bytes) -> Callable[[Text], bool]:
    return lambda text: text.head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(marks)


def _has(*names: str) -> Callable[[Text], bool]:
    return lambda text: {*header(text)} >= {*names}


def _is_interval(name: str) -> bool:
    return stem(name) in ("interval", "intervalstart")


def _is_text(text: Text) -> bool:
    try:
        return bool(text.encoding)
    except InputError:
        return not Path(text.path).is_file()  # whoever reads it says why it cannot be


#: What it is, what is allowed instead, and how it is recognised: binary ones first.
BINARY: tuple[tuple[str, str, Callable[[Text], bool]], ...] = (
    (
        "is a .npz archive",
        "the CSV of Trace.to_csv",
        _starts_with(b"PK"),
    ),
    (
        "is what vegeta attack writes",
        "vegeta encode --to csv FILE",
        lambda text: b"Result" in text.head[:200] and b"Attack" in text.head[:400],
    ),
    (
        "is binary",
        "text, or Parquet (Gatling writes a binary log since 3.13, which only Gatling reads)",
        lambda text: not _is_text(text),
    ),
)
TEXTS: tuple[tuple[str, str, Callable[[Text], bool]], ...] = (
    (f"is ghz's CSV: it {_NO_STARTS}", "ghz -O json", _has("duration (ms)", "status", "error")),
    (
        "counts latencies in intervals of time: it has no start of each call",
        "a table with a row for each call",
        lambda text: "count" in header(text) and any(map(_is_interval, header(text))),
    ),
    (
        f"is a table of Locust's statistics: it {_NO_STARTS}",
        "a log of requests, which tpssim.live.integrations.locust_log writes",
        lambda text: (
            {*header(text)} >= {"Type", "Name", "Request Count"}
            or {*header(text)} >= {"Timestamp", "User Count"}
        ),
    ),
    (
        f"is Prometheus' text: it {_NO_STARTS}",
        "a log or trace of single calls",
        _starts_with(b"# HELP", b"# TYPE"),
    ),
    (
        "is JMeter's XML",
        "-Jjmeter.save.saveservice.output_format=csv",
        lambda text: b"<testResults" in text.head[:400],
    ),
    (
        "is k6's summary: it has no single requests",
        "k6 run --out csv=FILE with K6_CSV_TIME_FORMAT=unix_nano",
        lambda text: (
            text.head[:1] == b"{" and b'"metrics"' in text.head and b'"root_group"' in text.head
        ),
    ),
)


def refuse(text: Text, kinds: tuple[tuple[str, str, Callable[[Text], bool]], ...]) -> None:
    """Raise `InputError` for a file that holds no calls."""
    for what, allowed, recognised in kinds:
        if recognised(text):
            raise InputError(f"{text.shown} {what}; allowed: {allowed}")
