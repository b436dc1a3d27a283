"""HAR 1.2: what a browser's network panel saves."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tpssim.scenarios.recordings.chunks import Chunk, Format, batches
from tpssim.scenarios.recordings.csv_files import Lost
from tpssim.scenarios.recordings.json_items import items
from tpssim.scenarios.recordings.moments import dates, since
from tpssim.scenarios.recordings.statuses import outcome_of
from tpssim.scenarios.recordings.texts import Text

NOTES = (
    "A browser holds requests back itself: what they waited for a connection is part of the time.",
)


def recognised(text: Text) -> bool:
    head = "".join(text.start(20))
    return (
        head.startswith("{")
        and '"log"' in head[:200]
        and ('"creator"' in head or '"entries"' in head)
    )


def chunks(text: Text, lost: Lost) -> Iterator[Chunk]:
    for batch in batches(items(text.blocks(), "entries", lost)):
        lost.rows += len(batch)
        lines: list[int] = []
        rows: list[tuple[str, float, int, float, str]] = []
        for number, entry in batch:
            try:
                rows.append(_row(entry))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                lost.add(number, f"it is no entry of a HAR ({type(error).__name__})")
            else:
                lines.append(number)
        if rows:
            stamps, taken, outcomes, waits, names = zip(*rows, strict=True)
            start = dates(stamps)
            yield Chunk(
                lines,
                start,
                since(start, np.array(taken)),
                np.array(outcomes, np.int8),
                retry_after=np.array(waits),
                name=names,
            )


def _row(entry: dict[str, Any]) -> tuple[str, float, int, float, str]:
    """Start, s taken, outcome, s asked to wait, address."""
    answer, took = entry["response"], float(entry["time"])
    error = str(entry.get("_error") or answer.get("_error") or "")
    outcome = outcome_of(str(answer["status"]), error)
    url = str(entry["request"]["url"]).partition("?")[0]
    wait = math.nan
    for header in answer.get("headers") or ():
        if header["name"].lower() == "retry-after" and header["value"].isdigit():
            wait = float(header["value"])
    return str(entry["startedDateTime"]), max(took, 0.0) / 1e3, outcome, wait, url


FORMAT = Format("HAR", recognised, chunks, NOTES)
