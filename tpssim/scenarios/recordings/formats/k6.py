"""k6: `k6 run --out csv=FILE` (packed or not) and `--out json=FILE`."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

from tpssim.scenarios.recordings.chunks import Chunk, Format, batches
from tpssim.scenarios.recordings.csv_files import Lost
from tpssim.scenarios.recordings.moments import dates, epoch_unit, floats, integers, scaled, since
from tpssim.scenarios.recordings.statuses import Outcomes
from tpssim.scenarios.recordings.tables import columns_of, header, table
from tpssim.scenarios.recordings.texts import Text

#: One row of these is one request; k6 writes seven more of each.
METRICS = frozenset(("http_req_duration", "grpc_req_duration"))
TIMED_OUT = "1050"  # k6's code of an error
NOTES = (
    "k6 stamps the end of a request: starts are ends less durations.",
    "The wait for a connection (http_req_blocked, connecting, tls_handshaking) is not in it.",
)
WHOLE_SECONDS = (
    "The stamps are whole seconds, so which calls overlapped is lost: K6_CSV_TIME_FORMAT=unix_nano,"
    " or --out json."
)


def _in_csv(text: Text) -> bool:
    return {*header(text)} >= {"metric_name", "timestamp", "metric_value"}


def _of_csv(text: Text, lost: Lost) -> Iterator[Chunk]:
    all_ = table(text, lost)
    which = all_.columns.index("metric_name")
    outcomes, nothing = Outcomes(), ("",)
    for lines, columns in columns_of(all_, lost, True, lambda row: row[which] in METRICS):
        none = nothing * len(lines)
        stamps = columns["timestamp"]
        unit = epoch_unit(float(stamps[0])) if stamps[0].isdigit() else ""
        end = scaled(integers(stamps), unit) if unit else dates(stamps)
        took = floats(columns["metric_value"]) / 1e3
        errors = zip(columns.get("error", none), columns.get("error_code", none), strict=True)
        said = ["timeout" if code == TIMED_OUT else text or code for text, code in errors]
        cells = zip(columns.get("status", none), said, strict=True)
        yield Chunk(
            lines,
            since(end, -took),
            end,
            np.fromiter(map(outcomes.__getitem__, cells), np.int8, len(lines)),
            name=columns.get("name"),
            resolution=1.0 if unit == "s" else 0.0,
            notes=(WHOLE_SECONDS,) if unit == "s" else (),
        )


def _in_json(text: Text) -> bool:
    first = text.start(1)[0]
    return (
        first.startswith("{")
        and '"metric"' in first
        and ('"Metric"' in first or '"Point"' in first)
    )


def _of_json(text: Text, lost: Lost) -> Iterator[Chunk]:
    marks = [f'"metric":"{name}"' for name in METRICS]
    points = (
        (number, line)
        for number, line in enumerate(text.lines(), 1)
        if any(mark in line for mark in marks) and '"Point"' in line
    )
    outcomes = Outcomes()
    for batch in batches(points):
        lost.rows += len(batch)
        lines, stamps, values, cells, names = [], [], [], [], []
        for number, line in batch:
            try:
                data = json.loads(line)["data"]
                tags = data.get("tags") or {}
                took, stamp = float(data["value"]), str(data["time"])
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                lost.add(number, f"it is no point of k6 ({type(error).__name__})")
                continue
            timed_out = tags.get("error_code") == TIMED_OUT
            error_text = "timeout" if timed_out else tags.get("error") or tags.get("error_code", "")
            lines.append(number)
            stamps.append(stamp)
            values.append(took)
            cells.append((str(tags.get("status", "")), str(error_text)))
            names.append(str(tags.get("name", "")))
        end = dates(stamps)
        yield Chunk(
            lines,
            since(end, np.array(values) / -1e3),
            end,
            np.array([outcomes[cell] for cell in cells], np.int8),
            name=names,
        )


CSV = Format("k6 CSV", _in_csv, _of_csv, NOTES)
JSON = Format("k6 JSON", _in_json, _of_json, NOTES)
