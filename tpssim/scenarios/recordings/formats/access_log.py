"""Access logs of nginx and Apache in the combined form, with the time that a request took."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from tpssim.core.errors import InputError
from tpssim.core.types import record
from tpssim.scenarios.recordings.chunks import Chunk, Format, batches
from tpssim.scenarios.recordings.csv_files import Lost
from tpssim.scenarios.recordings.moments import NEVER, dates, floats, integers, scaled, since
from tpssim.scenarios.recordings.statuses import Outcomes
from tpssim.scenarios.recordings.texts import Text

#: Address, stamp, request, status, and what stands behind the size.
_LINE = re.compile(r'\S+ \S+ .*?\[([^]]+)\] "((?:[^"\\]|\\.)*)" (\d{3}) \S+(.*)')
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_NAMED = re.compile(r"\b(?:rt|request_time|duration|time)=\"?(\d+(?:\.\d+)?)")
_BARE = re.compile(r'(?:^|\s)"?(\d+(?:\.\d+)?)"?\s*$')
_MILLISECONDS = re.compile(r"\bmsec=\"?(\d{10}\.\d{3})")
SERVER = "It is the server's view: the way there and back, and queues before it, are not in it."
GAVE_UP = "499"  # nginx: the client closed the connection before the answer


@record
class Style(NamedTuple):
    """How a log writes the time that a request took."""

    unit: str
    ends: bool  #: whether the stamps are those of the ends
    because: str


def recognised(text: Text) -> bool:
    first = text.start(10)
    return sum(_LINE.match(line) is not None for line in first) > len(first) / 2


def chunks(text: Text, lost: Lost) -> Iterator[Chunk]:
    style = _style(text)
    outcomes = Outcomes()
    notes = (style.because, SERVER)
    for batch in batches((n, line) for n, line in enumerate(text.lines(), 1) if line.strip()):
        lost.rows += len(batch)
        lines: list[int] = []
        rows: list[tuple[str, str, str, str, str]] = []
        for number, line in batch:
            found = _LINE.match(line)
            took = None if found is None else _took(found[4])
            if found is None or took is None:
                lost.add(number, "it has no time that the request took" if found else "no request")
                continue
            lines.append(number)
            exact = _MILLISECONDS.search(found[4])
            rows.append((exact[1] if exact else "", found[1], found[2], found[3], took))
        if rows:
            yield _chunk(lines, rows, style, outcomes, notes)


def _chunk(
    lines: Sequence[int],
    rows: Sequence[tuple[str, str, str, str, str]],
    style: Style,
    outcomes: Outcomes,
    notes: tuple[str, ...],
) -> Chunk:
    exact, stamps, requests, statuses, taken = zip(*rows, strict=True)
    fine = all(exact)
    when = (
        scaled(integers([cell.replace(".", "") for cell in exact]), "ms") if fine else dates(stamps)
    )
    took = floats(taken) * {"s": 1.0, "us": 1e-6}[style.unit]
    start = since(when, -took) if style.ends else when
    cells = ((code, "timeout" if code == GAVE_UP else "") for code in statuses)
    cells = (("", said) if said else (code, said) for code, said in cells)
    return Chunk(
        lines,
        start,
        when if style.ends else np.where(when == NEVER, NEVER, since(when, took)),
        np.fromiter(map(outcomes.__getitem__, cells), np.int8, len(rows)),
        name=[request.partition("?")[0].removesuffix(" HTTP/1.1") for request in requests],
        resolution=1e-3 if fine else 1.0,
        notes=notes,
    )


def _took(rest: str) -> str | None:
    """The time that a request took, as it is written; None if there is none."""
    found = _NAMED.search(rest) or _BARE.search(_QUOTED.sub(" ", rest) + " ")
    return found[1] if found else None


def _style(text: Text) -> Style:
    """Raises `InputError` for a log without such a time."""
    found = [match for line in text.start(1000) if (match := _LINE.match(line))]
    taken = [took for match in found if (took := _took(match[4])) is not None]
    if len(taken) * 2 < len(found):
        raise InputError(
            f"{text.shown} is an access log without the time that a request took; allowed: one with"
            " it, such as nginx's rt=$request_time msec=$msec, or Apache's \"%D\" at the end"
        )
    stamped = "" if _MILLISECONDS.search(found[0][4]) else " and stamps are whole seconds"
    if any("." in took for took in taken) or _NAMED.search(found[0][4]):
        return Style("s", True, f"Times are taken as nginx's: in s; it stamps the end{stamped}.")
    if max(map(int, taken)) < 100:
        return Style(
            "s", False, "Times are taken as Apache's %T: whole seconds, as the stamps are."
        )
    return Style(
        "us", False, f"Times are taken as Apache's %D: in us; it stamps the start{stamped}."
    )


FORMAT = Format("access log", recognised, chunks)
