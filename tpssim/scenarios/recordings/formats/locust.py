"""Locust: a line for each request, as `tpssim.live.integrations.locust_log` writes it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tpssim.scenarios.recordings.chunks import Chunk, Format
from tpssim.scenarios.recordings.csv_files import Lost
from tpssim.scenarios.recordings.moments import NEVER, floats, since
from tpssim.scenarios.recordings.statuses import Outcomes
from tpssim.scenarios.recordings.tables import columns_of, header, table
from tpssim.scenarios.recordings.texts import Text


def recognised(text: Text) -> bool:
    return {*header(text)} >= {"start_time", "response_time", "request_type"}


def chunks(text: Text, lost: Lost) -> Iterator[Chunk]:
    outcomes = Outcomes()
    for lines, columns in columns_of(table(text, lost), lost, whole=True):
        none = ("",) * len(lines)
        stamps = floats(columns["start_time"])
        known = np.isfinite(stamps)
        whole = np.rint(np.where(known, stamps, 0.0) * 1e6).astype(np.int64) * 1000
        start = np.where(known, whole, NEVER)
        cells = zip(columns.get("status", none), columns.get("error", none), strict=True)
        yield Chunk(
            lines,
            start,
            since(start, floats(columns["response_time"]) / 1e3),
            np.fromiter(map(outcomes.__getitem__, cells), np.int8, len(lines)),
            retry_after=floats(columns["retry_after"]) if "retry_after" in columns else None,
            name=columns.get("name"),
        )


FORMAT = Format("Locust request log", recognised, chunks)
