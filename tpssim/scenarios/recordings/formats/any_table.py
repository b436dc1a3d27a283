"""Any table with a start and a latency or an end: its columns named, or known by their names."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tpssim.core.errors import InputError
from tpssim.core.types import OK, UNFINISHED, record
from tpssim.scenarios.recordings.chunks import Chunk
from tpssim.scenarios.recordings.column_names import (
    KNOWN_COLUMNS,
    STARTS,
    TOKENS,
    UNITS,
    stem,
    unit_of,
)
from tpssim.scenarios.recordings.csv_files import MISSING, Lost, Table
from tpssim.scenarios.recordings.moments import (
    NEVER,
    dates,
    epoch_unit,
    floats,
    integers,
    scaled,
    since,
    zoned,
)
from tpssim.scenarios.recordings.outcomes import COLUMNS as SAYS
from tpssim.scenarios.recordings.statuses import outcome_of
from tpssim.scenarios.recordings.tables import Columns, columns_of, header, table
from tpssim.scenarios.recordings.texts import Text

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAME = "table"
#: What a column is called, without its unit, for each thing that a call has.
KNOWN: dict[str, tuple[str, ...]] = {
    "start": (*STARTS, "requeststart", "startedat", "intervalstart"),
    "latency": (*KNOWN_COLUMNS[:-1], "requesttime", TOKENS),
    "end": ("completed", "completion", "end", "endtime", "finish", "finished", "endedat"),
    "status": tuple(SAYS),
    "cost": ("cost", "tokens", "totaltokens"),
    "retry_after": ("retryafter",),
    "name": ("name", "endpoint", "route", "label", "operation", "url", "path", "method"),
}
TIMES = ("start", "latency", "end")  #: two of them are needed
#: More calls in flight on average than this: whole numbers are no seconds.
CROWDED = 500.0


@record
class Roles(NamedTuple):
    """Which column holds what; "" if none does."""

    start: str = ""
    latency: str = ""
    end: str = ""
    status: str = ""
    cost: str = ""
    retry_after: str = ""
    name: str = ""

    def said(self) -> str:
        found = {role: column for role, column in self._asdict().items() if column}
        return ", ".join(f"{role} from {column!r}" for role, column in found.items())


def roles(text: Text, columns: Mapping[str, str] | None) -> Roles:
    """The columns, as given or by their names; raises `InputError`."""
    names = header(text)
    given = dict(columns or {})
    for role in given:
        if role not in KNOWN:
            raise InputError(f"columns: {role!r} is not known; allowed: {', '.join(KNOWN)}")
    if {"start", "latency", "end"} <= {*given}:
        raise InputError("columns: start, latency and end are all given; allowed: two of them")
    known = table(text, Lost()).columns
    found = {role: _named(text, known, column) for role, column in given.items()}
    stems = {stem(name): name for name in reversed(names)} if known == names else {}
    for role, words in KNOWN.items():
        enough = len({"start", "latency", "end"} & {*found}) == 2
        if role not in found and not (role in TIMES and enough):
            column = next((stems[word] for word in words if word in stems), "")
            if column and column not in found.values():
                found[role] = column
    missing = [role for role in TIMES if role not in found]
    if len(missing) > 1:
        which = "start" if "start" in missing else "latency or end"
        raise InputError(
            f"{text.shown}: which column holds the {which} of the calls? Name it with columns"
            f" (--columns start=NAME,latency=NAME); allowed: {', '.join(known)}"
        )
    return Roles(**found)


def _named(text: Text, names: Sequence[str], column: str) -> str:
    wanted = column.strip().lower()
    found = next((name for name in names if name.lower() == wanted), None)
    if found is None:
        raise InputError(f"{text.shown} has no column {column!r}; allowed: {', '.join(names)}")
    return found


def chunks(
    text: Text, lost: Lost, columns: Mapping[str, str] | None, unit: str | None
) -> Iterator[Chunk]:
    """Raises `InputError` for columns that are not there, and for units that are not known."""
    if unit is not None and unit not in UNITS:
        raise InputError(f"unit {unit!r} is not known; allowed: {', '.join(UNITS)}")
    which, all_ = roles(text, columns), table(text, lost)
    reading: _Reading | None = None
    for lines, cells in columns_of(all_, lost):
        if reading is None:
            _check_numbers(text, which, cells, columns or {})
            reading = _Reading(which, all_, cells, unit)
        yield reading.chunk(lines, cells)


def _check_numbers(text: Text, which: Roles, cells: Columns, given: Mapping[str, str]) -> None:
    """Raise `InputError` for a column of numbers or times that holds neither."""
    for role in (*TIMES, *({"cost", "retry_after"} & {*given})):
        column = getattr(which, role)
        said = [cell for cell in cells.get(column, ()) if cell.strip().lower() not in MISSING]
        if not column or not said or np.isfinite(floats(said)).any():
            continue
        if role in ("start", "end") and (dates(said) != NEVER).any():
            continue
        kind = "times" if role in ("start", "end") else "numbers"
        raise InputError(
            f"{text.shown}: {role} from {column!r}, which has no number in it, but {said[0]!r:.60},"
            f" say; allowed: a column of {kind}"
        )


class _Reading:
    """How the cells of a table are read: decided by its first rows."""

    def __init__(self, which: Roles, rows: Table, cells: Columns, unit: str | None) -> None:
        self._which, self._names = which, rows.columns
        notes = [f"Read as a table: {which.said()}."]
        self._units: dict[str, str] = {}
        for column in filter(None, (which.start, which.end)):
            self._units[column], said = self._stamps(column, cells)
            notes.append(said)
        if which.latency:
            self._unit, said = self._latencies(cells, unit)
            notes.append(said)
        self._statuses, said = _statuses(which.status, cells)
        self.notes = tuple(note for note in (*notes, said) if note)

    def _stamps(self, column: str, cells: Columns) -> tuple[str, str]:
        """The unit of a column of times; "" for dates. And what is said of it."""
        values = [cell for cell in cells[column] if cell.strip().lower() not in MISSING]
        numbers = floats(values[:1000])
        moments = dates(values[:1000]) if np.isnan(numbers).any() else np.array([NEVER])
        if (moments != NEVER).mean() > 0.5:
            return "", "" if zoned(values[0]) else f"{column!r} has no zone and is taken as UTC."
        known = numbers[np.isfinite(numbers)]
        found = epoch_unit(float(np.median(known))) if len(known) else ""
        if found:
            return f"{found} since 1970", f"{column!r} is taken as {found} since 1970."
        named = unit_of(column, self._names)
        if named:
            return named, f"{column!r} is in {named} (its name says so)."
        return "s", f"{column!r} is taken as s: its name says no unit."

    def _latencies(self, cells: Columns, unit: str | None) -> tuple[str, str]:
        column = self._which.latency
        if unit is not None:
            return unit, f"{column!r} is in {unit} (as given)."
        if stem(column) == TOKENS:
            return "ms", f"{column!r} counts 1 ms each: there is no other latency."
        named = unit_of(column, self._names)
        if named:
            return named, f"{column!r} is in {named} (its name says so)."
        values = floats(cells[column])
        start = self._times(self._which.start or self._which.end, cells)
        known = (start != NEVER) if start.dtype == np.int64 else np.isfinite(start)
        span = float(np.ptp(start[known])) if known.any() else 0.0
        span /= 1e9 if start.dtype == np.int64 else 1.0
        in_flight = float(np.nansum(values)) / span if span > 0.0 else 0.0
        if in_flight > CROWDED and np.all((values == np.rint(values)) | np.isnan(values)):
            why = f"as s, {in_flight:,.0f} calls would be in flight"
            return "ms", f"{column!r} is taken as ms: its name says no unit, and {why}."
        return "s", f"{column!r} is taken as s: its name says no unit."

    def _times(self, column: str, cells: Columns) -> NDArray[Any]:
        """Times in ns since 1970, or in s of a clock of the file's own."""
        unit = self._units[column]
        if not unit:
            return dates(cells[column])
        if not unit.endswith("1970"):
            return floats(cells[column]) * UNITS[unit]
        word = unit.partition(" ")[0]
        whole = integers(cells[column])
        if (whole != NEVER).any():
            return scaled(whole, word)
        values = floats(cells[column]) * UNITS[word]
        micro = np.rint(np.where(np.isfinite(values), values, 0.0) * 1e6)
        return np.where(np.isfinite(values), micro.astype(np.int64) * 1000, NEVER)

    def _span(self, cells: Columns) -> tuple[NDArray[Any], NDArray[Any]]:
        """Starts and ends, of one kind; raises `InputError`."""
        which = self._which
        if which.start and which.end:
            start, end = self._times(which.start, cells), self._times(which.end, cells)
            if end.dtype != start.dtype:
                raise InputError(
                    f"{which.start} is a date and {which.end} is none, or the other way round;"
                    " allowed: two of a kind"
                )
            return start, end
        took = floats(cells[which.latency]) * UNITS[self._unit]
        took = np.where(took >= 0.0, took, math.nan)
        at = self._times(which.start or which.end, cells)
        if which.end:
            took = -took
        other = since(at, took) if at.dtype == np.int64 else at + took
        return (other, at) if which.end else (at, other)

    def chunk(self, lines: Sequence[int], cells: Columns) -> Chunk:
        which = self._which
        start, end = self._span(cells)
        lost_ = (end == NEVER) if end.dtype == np.int64 else np.isnan(end)
        outcome = np.where(lost_, np.int8(UNFINISHED), np.int8(OK))
        if self._statuses is not None:
            said = [self._statuses(cell) for cell in cells[which.status]]
            outcome = np.array(said, np.int8)
            outcome[lost_ & (outcome == OK)] = UNFINISHED
        return Chunk(
            lines,
            start,
            end,
            outcome,
            cost=floats(cells[which.cost]) if which.cost else None,
            retry_after=floats(cells[which.retry_after]) if which.retry_after else None,
            name=cells[which.name] if which.name else None,
            notes=self.notes,
        )


def _statuses(column: str, cells: Columns) -> tuple[Any, str]:
    """How a status is read, and what is said of it; None if nobody can know."""
    if not column:
        return None, "No column says what came of the calls: those with an end went well."
    kind = stem(column)
    read = SAYS.get(kind, SAYS["status"])
    written = {cell.strip().lower() for cell in cells[column]}
    if not any(read(cell) is not None for cell in written - {""}):
        return None, f"{column!r} is not used: its values tell nothing that is known."

    def outcome(cell: str) -> int:
        word = cell.strip().lower()
        if read(word):
            return OK
        code = outcome_of("" if kind.startswith("error") else word, word)
        return outcome_of("", "failed") if code == OK else code

    return outcome, ""
