"""Chunks put together to a recording: checked, counted, sorted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tpssim.core.errors import InputError
from tpssim.core.types import OK, UNFINISHED
from tpssim.scenarios.recordings.calls import Recording, Source, arranged
from tpssim.scenarios.recordings.chunks import Chunk
from tpssim.scenarios.recordings.csv_files import Lost
from tpssim.scenarios.recordings.moments import NEVER

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_NAMES = 10_000  # addresses with numbers in them are no names
NANOSECOND = 1e-9
STEPS = (10**9, 10**8, 10**7, 10**6, 10**5, 10**4, 10**3)  # ns, that stamps can have


def gathered(chunks: Iterable[Chunk], lost: Lost, source: Source, shown: str) -> Recording:
    """The recording of a file; raises `InputError` where most of its rows cannot be read."""
    table = _Columns(lost)
    for chunk in chunks:
        table.add(chunk)
    if lost.count * 2 > max(lost.rows, 1):
        raise InputError(
            f"{shown}: {lost.count:,} of {lost.rows:,} rows cannot be read as {source.format}"
            f" ({lost.first}); allowed: a file in which most can"
        )
    if not table.rows:
        raise InputError(f"{shown} holds no call ({source.format}); allowed: at least one")
    return table.recording(source)


class _Columns:
    """The columns of all chunks so far."""

    def __init__(self, lost: Lost) -> None:
        self._lost = lost
        self._parts: dict[str, list[NDArray[Any]]] = {}
        self._names: dict[str, int] = {}
        self._named = True
        self._resolution, self._origin = 0.0, math.nan
        self._latest, self._longest, self._back = -math.inf, 0.0, 0.0
        self._notes: dict[str, None] = {}
        self.rows = 0

    def add(self, chunk: Chunk) -> None:
        """Those of its rows that can be."""
        start, end = chunk.start, chunk.completion
        whole = start.dtype == np.int64
        stamped = start != NEVER if whole else np.isfinite(start)
        ended = end != NEVER if whole else np.isfinite(end)
        back = stamped & ended & (end < start)
        self._count(chunk.lines, np.flatnonzero(~stamped), "it has no time that can be read")
        self._count(
            chunk.lines, np.flatnonzero(back), "it ends before its start: the clock went back"
        )
        good = stamped & ~back
        start, end, ended = start[good], end[good], ended[good]
        outcome = chunk.outcome[good]
        outcome[~ended & (outcome == OK)] = UNFINISHED
        self._order(start, end, ended, NANOSECOND if whole else 1.0)
        columns = {"start": start, "completion": end, "outcome": outcome}
        for what in ("cost", "retry_after"):
            values = getattr(chunk, what)
            if values is not None:
                columns[what] = values[good]
        if chunk.name is not None and self._named:
            columns["name"] = self._indices(chunk.name)[good]
        for what, values in columns.items():
            self._parts.setdefault(what, []).append(values)
        self.rows += len(start)
        self._resolution = max(self._resolution, chunk.resolution)
        self._origin = chunk.origin
        self._notes |= dict.fromkeys(chunk.notes)

    def _count(self, lines: Sequence[int], rows: NDArray[np.intp], reason: str) -> None:
        if len(rows):
            self._lost.add(lines[int(rows[0])], reason, len(rows))

    def _indices(self, names: Sequence[str]) -> NDArray[np.int32]:
        known = self._names
        found = [known.setdefault(name, len(known)) for name in names]
        if len(known) > MOST_NAMES:
            self._named = False
            self._parts.pop("name", None)
            self._notes[f"There are more than {MOST_NAMES:,} names: they are left out."] = None
        return np.array(found, np.int32)

    def _order(
        self, start: NDArray[Any], end: NDArray[Any], ended: NDArray[np.bool_], scale: float
    ) -> None:
        """How far the stamps go back in the order of the file."""
        if not len(start):
            return
        before = np.maximum.accumulate(start)
        back = max(float((before - start).max()), self._latest - float(start.min()))
        self._back = max(self._back, back * scale)
        self._latest = max(self._latest, float(before[-1]))
        if ended.any():
            longest = float((end[ended] - start[ended]).max()) * scale
            self._longest = max(self._longest, longest)

    def recording(self, source: Source) -> Recording:
        joined = {what: _joined(self._parts.pop(what)) for what in [*self._parts]}
        start, end = joined["start"], joined["completion"]
        origin = self._origin
        resolution = self._resolution or _resolution(start)
        if start.dtype == np.int64:
            first = int(start.min())
            origin = first / 1e9
            joined["completion"] = np.where(end == NEVER, np.nan, (end - first) / 1e9)
            joined["start"] = (start - first) / 1e9
        if "cost" in joined and (joined["cost"] == 1.0).all():
            del joined["cost"]
        if len(self._names) < 2 or not self._named:
            joined.pop("name", None)
        if self._back > self._longest + 1.0:
            self._notes[
                f"Stamps go back by {self._back:,.1f} s: a clock was set back, or files were joined"
                " or sorted otherwise."
            ] = None
        lost = self._lost
        notes = (*source.notes, *self._notes)
        source = source._replace(
            rows=lost.rows, unreadable=lost.count, first_unreadable=lost.first, notes=notes
        )
        names = tuple(self._names) if "name" in joined else ()
        return arranged(joined, names, origin, resolution, source)


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _resolution(start: NDArray[Any]) -> float:
    """The step of the stamps, s: a power of ten; 0 if it is finer than 1 us, or not to be seen."""
    if start.dtype == np.int64:
        whole = start - start.min()
    else:
        span = float(np.ptp(start))
        if not 0.0 < span < 1e6:
            return 0.0
        whole = np.rint((start - start.min()) * 1e9).astype(np.int64)
    step = int(np.gcd.reduce(whole))
    return next((size / 1e9 for size in STEPS if step and step % size == 0), 0.0)
