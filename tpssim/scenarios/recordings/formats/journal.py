"""The journal of a live run, as `live --record` and `record=` write it (NDJSON)."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterator
from typing import Any

import numpy as np

from tpssim.core.types import OUTCOMES, REFUSED, UNFINISHED
from tpssim.scenarios.recordings.chunks import Chunk, Format
from tpssim.scenarios.recordings.csv_files import Lost
from tpssim.scenarios.recordings.moments import NEVER, dates
from tpssim.scenarios.recordings.texts import Text

POOL = "Calls went to a pool: what they waited for a worker is part of their latency."


def recognised(text: Text) -> bool:
    return text.head.startswith(b'{"e": "header"')


def chunks(text: Text, lost: Lost) -> Iterator[Chunk]:
    """All calls at once: a call ends long after the line of its release."""
    run = _Run()
    for number, line in enumerate(text.lines(), 1):
        try:
            event = json.loads(line)
            kind = event["e"]
            lost.rows += kind in ("release", "refuse")
            run.add(number, kind, event)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            lost.rows += 1
            lost.add(number, f"it is no event of a run ({type(error).__name__})")
    yield run.chunk()


class _Run:
    """The calls of a run so far."""

    def __init__(self) -> None:
        self.lines, self.start, self.end = array("q"), array("d"), array("d")
        self.outcome, self.cost = array("b"), array("d")
        self.retry_after, self._asked = array("d"), False
        self._open: dict[int, int] = {}  # which row a call has, by its number
        self._began, self._first, self._pool = "", math.nan, False

    def add(self, number: int, kind: str, event: dict[str, Any]) -> None:
        """An event; raises an error that says what is missing."""
        if kind in ("release", "refuse"):
            if kind == "release":
                self._open[int(event["call"])] = len(self.start)
            self.start.append(float(event["t"]))
            self.end.append(math.nan)
            self.outcome.append(UNFINISHED if kind == "release" else REFUSED)
            self.cost.append(float(event.get("cost", 1.0)))
            self.retry_after.append(math.nan)
            self.lines.append(number)
        elif kind == "end":
            outcome = int(event["outcome"])
            row = self._open.pop(int(event["call"]))
            if not 0 <= outcome < len(OUTCOMES):
                raise ValueError("no such outcome")
            self.outcome[row] = outcome
            if outcome != UNFINISHED:
                self.end[row] = float(event["t"])
            if "retry_after" in event:
                self.retry_after[row], self._asked = float(event["retry_after"]), True
        elif kind == "header":
            self._began = str(event.get("began", ""))
        elif kind == "start":
            self._first, self._pool = float(event["t"]), str(event["calls"]).startswith("pool")

    def chunk(self) -> Chunk:
        began = int(dates([self._began])[0])
        return Chunk(
            self.lines,
            np.array(self.start),
            np.array(self.end),
            np.array(self.outcome, np.int8),
            cost=np.array(self.cost),
            retry_after=np.array(self.retry_after) if self._asked else None,
            notes=(POOL,) if self._pool else (),
            origin=math.nan if began == NEVER else began / 1e9 - self._first,
        )


FORMAT = Format("journal of tpssim", recognised, chunks)
