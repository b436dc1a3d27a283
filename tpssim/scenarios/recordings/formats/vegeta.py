"""Vegeta: `vegeta encode --to csv` and `--to json` of what `vegeta attack` wrote."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from tpssim.core.types import REFUSALS
from tpssim.scenarios.recordings.chunks import Chunk, Format, batches
from tpssim.scenarios.recordings.csv_files import Lost
from tpssim.scenarios.recordings.moments import dates, floats, integers, since
from tpssim.scenarios.recordings.statuses import Outcomes
from tpssim.scenarios.recordings.tables import columns_of, header, table
from tpssim.scenarios.recordings.texts import Text

STAMP, CODE, LATENCY, ERROR, NAME, URL, HEADERS = "1", "2", "3", "6", "8", "11", "12"
NOTES = ("Requests that Vegeta did not send, for it had no worker, are not in it.",)
_REFUSALS = frozenset(map(str, REFUSALS))


def _in_csv(text: Text) -> bool:
    cells = header(text)
    return len(cells) == 12 and re.fullmatch(r"\d{19}", cells[0]) is not None


def _of_csv(text: Text, lost: Lost) -> Iterator[Chunk]:
    outcomes = Outcomes()
    for lines, columns in columns_of(table(text, lost), lost, whole=True):
        start, took = integers(columns[STAMP]), floats(columns[LATENCY]) / 1e9
        codes = columns[CODE]
        # The error of an answer that came is its status again.
        said = (
            (code, "" if code[:1] in "123" else error)
            for code, error in zip(codes, columns[ERROR], strict=True)
        )
        yield Chunk(
            lines,
            start,
            since(start, took),
            np.fromiter(map(outcomes.__getitem__, said), np.int8, len(lines)),
            retry_after=np.fromiter(map(_asked, codes, columns[HEADERS]), np.float64, len(lines)),
            name=[url.partition("?")[0] for url in columns[URL]],
        )


def _asked(code: str, headers: str) -> float:
    """What an answer asked to wait, s, by its headers in base64; nan if nothing."""
    if code not in _REFUSALS or not headers:
        return math.nan
    try:
        found = re.search(rb"(?i)^retry-after: *(\d+)", base64.b64decode(headers), re.MULTILINE)
    except binascii.Error:
        return math.nan
    return float(found[1]) if found else math.nan


def _in_json(text: Text) -> bool:
    first = text.start(1)[0]
    return first.startswith("{") and '"attack"' in first and '"latency"' in first


def _of_json(text: Text, lost: Lost) -> Iterator[Chunk]:
    outcomes = Outcomes()
    for batch in batches(enumerate(text.lines(), 1)):
        lost.rows += len(batch)
        lines: list[int] = []
        rows: list[tuple[str, float, int, float, str]] = []
        for number, line in batch:
            try:
                hit = json.loads(line)
                took, code = float(hit["latency"]) / 1e9, int(hit["code"])
                error = "" if 100 <= code < 400 else str(hit.get("error", ""))
                outcome = outcomes[str(code), error]
                url = str(hit.get("url", "")).partition("?")[0]
                rows.append((str(hit["timestamp"]), took, outcome, _wait(hit), url))
            except (ValueError, KeyError, TypeError, AttributeError) as error_:
                lost.add(number, f"it is no hit of Vegeta ({type(error_).__name__})")
            else:
                lines.append(number)
        if rows:
            stamps, taken, came, waits, names = zip(*rows, strict=True)
            start = dates(stamps)
            yield Chunk(
                lines,
                start,
                since(start, np.array(taken)),
                np.array(came, np.int8),
                retry_after=np.array(waits),
                name=names,
            )


def _wait(hit: dict[str, Any]) -> float:
    """What an answer asked to wait, s; nan if nothing."""
    if int(hit["code"]) not in REFUSALS:
        return math.nan
    for key, values in (hit.get("headers") or {}).items():
        if key.lower() == "retry-after" and values and str(values[0]).strip().isdigit():
            return float(values[0])
    return math.nan


CSV = Format("Vegeta CSV", _in_csv, _of_csv, NOTES)
JSON = Format("Vegeta JSON", _in_json, _of_json, NOTES)
