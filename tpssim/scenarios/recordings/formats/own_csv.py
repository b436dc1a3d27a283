"""The calls of a run, as `Trace.to_csv` and `live` write them (`calls.csv`)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tpssim.core.types import OK, OUTCOMES, REFUSED, UNFINISHED
from tpssim.scenarios.recordings.chunks import Chunk, Format
from tpssim.scenarios.recordings.csv_files import Lost
from tpssim.scenarios.recordings.moments import floats
from tpssim.scenarios.recordings.tables import columns_of, header, table
from tpssim.scenarios.recordings.texts import Text

COLUMNS = {"scheduled", "released", "completed", "latency", "outcome"}


def recognised(text: Text) -> bool:
    return {*header(text)} >= COLUMNS


def chunks(text: Text, lost: Lost) -> Iterator[Chunk]:
    """Numbers read back to the same bits."""
    for lines, columns in columns_of(table(text, lost), lost, whole=True):
        released, completed = floats(columns["released"]), floats(columns["completed"])
        codes = floats(columns["outcome"])
        known = (codes >= OK) & (codes < len(OUTCOMES))
        outcome = np.where(known, codes, UNFINISHED).astype(np.int8)
        start = np.where(outcome == REFUSED, floats(columns["scheduled"]), released)
        yield Chunk(
            lines,
            np.where(known, start, np.nan),
            completed,
            outcome,
            cost=floats(columns["cost"]) if "cost" in columns else None,
            name=columns.get("producer"),
        )


FORMAT = Format("calls of tpssim", recognised, chunks)
