"""ghz: `ghz -O json`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tpssim.scenarios.recordings.chunks import Chunk, Format, batches
from tpssim.scenarios.recordings.csv_files import Lost
from tpssim.scenarios.recordings.json_items import items
from tpssim.scenarios.recordings.moments import dates, since
from tpssim.scenarios.recordings.statuses import Outcomes
from tpssim.scenarios.recordings.texts import Text


def recognised(text: Text) -> bool:
    head = text.head
    return head.lstrip()[:1] == b"{" and b'"endReason"' in head and b'"count"' in head


def chunks(text: Text, lost: Lost) -> Iterator[Chunk]:
    outcomes = Outcomes()
    for batch in batches(items(text.blocks(), "details", lost)):
        lost.rows += len(batch)
        lines: list[int] = []
        rows: list[tuple[str, float, int]] = []
        for number, call in batch:
            try:
                outcome = outcomes[str(call["status"]), str(call.get("error", ""))]
                rows.append((str(call["timestamp"]), float(call["latency"]) / 1e9, outcome))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                lost.add(number, f"it is no call of ghz ({type(error).__name__})")
            else:
                lines.append(number)
        if rows:
            stamps, taken, came = zip(*rows, strict=True)
            start = dates(stamps)
            yield Chunk(lines, start, since(start, np.array(taken)), np.array(came, np.int8))


FORMAT = Format("ghz JSON", recognised, chunks)
