"""OpenTelemetry spans as OTLP JSON: a file exporter's lines, or one document."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from tpssim.scenarios.recordings.chunks import Chunk, Format, batches
from tpssim.scenarios.recordings.csv_files import Lost
from tpssim.scenarios.recordings.json_items import items
from tpssim.scenarios.recordings.statuses import Outcomes
from tpssim.scenarios.recordings.texts import Text

KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
#: Of which kind calls are, the best first.
PREFERRED = ("client", "server", "consumer", "producer", "internal", "unspecified")
_KIND = re.compile(r'"kind"\s*:\s*(?:"SPAN_KIND_(\w+)"|(\d))')
#: Attributes that hold a status, today's names first.
STATUSES = ("http.response.status_code", "http.status_code", "rpc.grpc.status_code")
_GRPC = {
    "0": "ok",
    "1": "canceled",
    "4": "deadline exceeded",
    "8": "unavailable",
    "14": "unavailable",
}
SERVER = "The spans are the server's: the way there and back, and queues before it, are not in it."


def recognised(text: Text) -> bool:
    head = "".join(text.start(20))
    return head[:1] in "{[" and re.search(r'"(resourceSpans|batches|scopeSpans)"', head) is not None


def chunks(text: Text, lost: Lost) -> Iterator[Chunk]:
    kind, notes = _kind_of(text)
    outcomes = Outcomes()
    spans = (
        (number, span)
        for number, span in items(text.blocks(), "spans", lost)
        if not isinstance(span, dict) or _kind(span.get("kind", 0)) == kind
    )
    for batch in batches(spans):
        lost.rows += len(batch)
        lines: list[int] = []
        rows: list[tuple[int, int, int, str]] = []
        for number, span in batch:
            try:
                start, end = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
                rows.append((start, end, _outcome(span, outcomes), str(span.get("name", ""))))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                lost.add(number, f"it is no span ({type(error).__name__})")
            else:
                lines.append(number)
        if rows:
            starts, ends, came, names = zip(*rows, strict=True)
            yield Chunk(
                lines,
                np.array(starts, np.int64),
                np.array(ends, np.int64),
                np.array(came, np.int8),
                name=names,
                notes=notes,
            )


def _kind_of(text: Text) -> tuple[str, tuple[str, ...]]:
    """Of which kind the spans are that are taken, and what is said of it."""
    counts: Counter[str] = Counter()
    for line in text.blocks():
        counts.update(_kind(number or word) for word, number in _KIND.findall(line))
    kind = next((kind for kind in PREFERRED if counts[kind]), "unspecified")
    others = ", ".join(f"{counts[other]:,} {other}" for other in PREFERRED[1:] if counts[other])
    note = f"Of the spans those of kind {kind} are taken"
    note += f", not {others}." if others and kind == PREFERRED[0] else "."
    return kind, (note, *([SERVER] if kind == "server" else []))


def _kind(value: Any) -> str:
    word = str(value).removeprefix("SPAN_KIND_").lower()
    return KINDS[int(word)] if word.isdigit() and int(word) < len(KINDS) else word


def _outcome(span: dict[str, Any], outcomes: Outcomes) -> int:
    """By the status of HTTP or gRPC among its attributes, else by its own."""
    values = {one["key"]: one["value"] for one in span.get("attributes") or ()}
    own = span.get("status") or {}
    failed = str(own.get("code", 0)) in ("2", "STATUS_CODE_ERROR")
    error = str(own.get("message") or _text(values.get("error.type")) or "error") if failed else ""
    for key in STATUSES:
        if key in values:
            status = _text(values[key])
            if key == STATUSES[-1]:
                status = _GRPC.get(status, "failed")
            return outcomes[status, "" if status.isdigit() and int(status) < 400 else error]
    return outcomes["" if failed else "ok", error]


def _text(value: Any) -> str:
    """An attribute's value."""
    return str(next(iter(value.values()), "")) if isinstance(value, dict) else ""


FORMAT = Format("OTLP JSON", recognised, chunks)
