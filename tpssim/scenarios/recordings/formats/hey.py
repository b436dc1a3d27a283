"""hey (`hey -o csv`) and oha (`oha --output-format csv`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from tpssim.scenarios.recordings.chunks import Chunk, Format
from tpssim.scenarios.recordings.csv_files import Lost
from tpssim.scenarios.recordings.moments import floats
from tpssim.scenarios.recordings.statuses import Outcomes
from tpssim.scenarios.recordings.tables import columns_of, header, table
from tpssim.scenarios.recordings.texts import Text

NOTES = (
    "It has only requests that were answered: timeouts and failed connections are not in it.",
    "Its times are those since its start: what day it was is not known.",
)


def _read(start: str, took: str, status: str) -> Callable[[Text, Lost], Iterator[Chunk]]:
    """Columns of these names, in s."""

    def chunks(text: Text, lost: Lost) -> Iterator[Chunk]:
        outcomes = Outcomes()
        for lines, columns in columns_of(table(text, lost), lost, whole=True):
            begun = floats(columns[start])
            cells = ((code, "") for code in columns[status])
            yield Chunk(
                lines,
                begun,
                begun + floats(columns[took]),
                np.fromiter(map(outcomes.__getitem__, cells), np.int8, len(lines)),
            )

    return chunks


HEY = Format(
    "hey CSV",
    lambda text: {*header(text)} >= {"response-time", "status-code", "offset"},
    _read("offset", "response-time", "status-code"),
    NOTES,
)
OHA = Format(
    "oha CSV",
    lambda text: {*header(text)} >= {"request-start", "request-duration", "status"},
    _read("request-start", "request-duration", "status"),
    NOTES,
)
