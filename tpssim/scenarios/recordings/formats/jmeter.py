"""JMeter: its results as CSV (`jmeter -n -l FILE.jtl`), with or without the header row."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from tpssim.scenarios.recordings.chunks import Chunk, Format
from tpssim.scenarios.recordings.csv_files import Lost
from tpssim.scenarios.recordings.moments import dates, floats, integers, scaled, since
from tpssim.scenarios.recordings.statuses import Outcomes
from tpssim.scenarios.recordings.tables import columns_of, header, table
from tpssim.scenarios.recordings.texts import Text

#: The first columns of every version, as they are by default.
ORDER = (
    "timeStamp",
    "elapsed",
    "label",
    "responseCode",
    "responseMessage",
    "threadName",
    "dataType",
    "success",
)
NOTES = (
    "The stamps are taken as starts, as JMeter writes them unless sampleresult.timestamp.start is"
    " false.",
)
ZONE = "The stamps are dates without a zone, taken as UTC."
#: What a transaction controller adds: the sum of requests that are rows themselves.
SUMS = "Number of samples in transaction"


def recognised(text: Text) -> bool:
    cells = header(text)
    if {*cells} >= {"timeStamp", "elapsed"}:
        return True
    stamped = re.fullmatch(r"\d{13}|\d+/\d+/\d+ .*|\d{4}-\d\d-\d\d .*", cells[0]) is not None
    return (
        len(cells) >= len(ORDER)
        and stamped
        and cells[1].isdigit()
        and cells[7] in ("true", "false")
    )


def chunks(text: Text, lost: Lost) -> Iterator[Chunk]:
    found = table(text, lost)
    if found.first:
        names = (*ORDER, *found.columns[len(ORDER) :])
        found = found._replace(columns=names)
    outcomes = Outcomes()
    keep = None
    if "responseMessage" in found.columns:
        at = found.columns.index("responseMessage")

        def keep(row: list[str]) -> bool:
            return not row[at].startswith(SUMS)

    for lines, columns in columns_of(found, lost, True, keep):
        none = ("",) * len(lines)
        stamps = columns["timeStamp"]
        whole = stamps[0].isdigit()
        start = scaled(integers(stamps), "ms") if whole else dates(stamps)
        codes = columns.get("responseCode", none)
        cells = (
            ("", "") if went == "true" else (code, "failed" if went == "false" else "")
            for code, went in zip(codes, columns.get("success", none), strict=True)
        )
        yield Chunk(
            lines,
            start,
            since(start, floats(columns["elapsed"]) / 1e3),
            np.fromiter(map(outcomes.__getitem__, cells), np.int8, len(lines)),
            name=columns.get("label"),
            notes=() if whole else (ZONE,),
        )


FORMAT = Format("JMeter CSV", recognised, chunks, NOTES)
