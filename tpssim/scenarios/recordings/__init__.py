"""Recorded service times: reading them from any table and from what `read_recording` reads, and
the one recording that ships with the package.

This module knows files and numbers; it knows no scenario. Standard library only, for tables.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from tpssim.core.errors import InputError
from tpssim.core.types import record
from tpssim.core.validation import LONGEST_SERVICE
from tpssim.scenarios.recordings.column_names import KNOWN_COLUMNS, UNITS, stem, unit_of
from tpssim.scenarios.recordings.csv_files import MISSING, Table, number_in
from tpssim.scenarios.recordings.outcomes import LeftOut, Outcomes
from tpssim.scenarios.recordings.texts import Text

#: Of a call, as `live` names them.
ENDS = ("released", "completed")

SQLITE_COMMITS = Path(__file__).parent / "sqlite_commits.csv"


@record
class ServiceTimes(NamedTuple):
    """The service times of a file, and what was made of it."""

    times: tuple[float, ...]  #: s, in the order of the rows
    column: str  #: where they stand; a number, from 1, in a file without a header row
    unit: str  #: that they were read in
    because: str  #: why that unit
    first: str  #: the first row, where it is no header row; else ""
    commas: bool  #: whether numbers have a decimal comma
    failed: int  #: rows without a latency
    first_failed: str  #: the first of them: its number, and what stands there
    left_out: LeftOut  #: rows with a latency of calls that did not go well
    ignored: tuple[str, ...]  #: the other columns
    #: share of the calls that were released before all earlier ones had completed; nan: unknown
    overlap: float
    #: what each of them cost, by the column that was asked for; empty if none was
    costs: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()  #: what was guessed, and what the format cannot say

    def said(self, path: str | Path) -> str:
        """What was made of the file, in one line.

        >>> read(SQLITE_COMMITS).said("c.csv")
        "c.csv: 4,000 service times from 'service_s', in s (its name says so); not used: start_s"
        """
        where = f"column {self.column}" if self.first else repr(self.column)
        text = f"{Path(path).name}: {len(self.times):,} service times from {where}"
        text += f", in {self.unit} ({self.because})"
        if self.first:
            text += f"; no header row: the first row, {self.first!r}, is read as values"
        if self.commas:
            text += "; commas are read as decimal signs"
        if self.failed:
            rows = "row has" if self.failed == 1 else "rows have"
            text += (
                f"; {self.failed:,} {rows} no latency ({self.first_failed}): failed calls, left out"
            )
        if self.left_out.columns:
            text += f"; {self.left_out.said()}"
        if self.ignored:
            text += f"; not used: {', '.join(self.ignored)}"
        return "; ".join((text, *(note.rstrip(".") for note in self.notes)))


def read_service_times(
    path: str | Path, *, column: str | None = None, unit: str | None = None
) -> tuple[float, ...]:
    """The service times of a CSV file (also gzipped), in s and in the order of its rows; of any
    other recording that `read_recording` knows, those of the calls that went well.

    Any usual encoding and separator, decimal commas, with or without a header row. Without `column`
    the first of `KNOWN_COLUMNS` that is there is taken, or the only one; in a file without a header
    row columns are named by their number, from 1. Without `unit` the one that the column's name
    ends in, else seconds. Rows without a latency are left out, and rows of calls that did not go
    well by a column `outcome`, `status`, `success`, `error` (`COLUMNS` of `recordings.outcomes`);
    `read` says how many. Raises `InputError` for a file that cannot be read, a column that is not
    there, an empty file, and a value that is no number from 0 to 1e6 s.
    """
    return read(path, column=column, unit=unit).times


def read(
    path: str | Path,
    *,
    column: str | None = None,
    unit: str | None = None,
    cost: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> ServiceTimes:
    """`read_service_times` and what was made of the file, in one pass; `cost`: a column of what the
    calls cost, numbers of 0 or more; `columns`: as `read_recording` has them.
    """
    from tpssim.scenarios.recordings.reading import known, read_recording
    from tpssim.scenarios.recordings.tables import table_in

    if unit is not None and unit not in UNITS:
        raise InputError(f"unit {unit!r} is not known; allowed: {', '.join(UNITS)}")
    shown = f"trace {str(path)!r}"
    with closing(Text(path, shown)) as text:
        if columns or ({column, unit, cost} == {None} and known(text)):
            from tpssim.scenarios.recordings.as_service_times import service_times_of

            return service_times_of(read_recording(path, columns=columns, unit=unit), shown)
        table = table_in(text)
        chosen = _choose(shown, table, column)
        said = unit_of(chosen, table.columns)
        if unit is not None:
            found, because = unit, "as given"
        elif said:
            found, because = said, "its name says so"
        else:
            found, because = "s", "its name says no unit"
        costs = None if cost is None else _choose(shown, table, cost)
        return _walked(shown, table, chosen, found, because, costs)


def overlapping(
    path: str | Path, *, column: str | None = None, columns: Mapping[str, str] | None = None
) -> float:
    """The share of calls that were released before all earlier ones had completed.

    Read from the columns `released` and `completed`, as `live` writes them; nan if they are not
    there, or if the column that `read_service_times` takes holds times of service. Raises
    `InputError`.
    """
    return read(path, column=column, columns=columns).overlap


def _walked(
    shown: str, table: Table, chosen: str, unit: str, because: str, cost: str | None
) -> ServiceTimes:
    """All rows, once."""
    # In one piece: it runs for every row of files of millions.
    index, scale, names = table.columns.index(chosen), UNITS[unit], table.columns
    most = LONGEST_SERVICE / scale
    spans = not stem(chosen).startswith("service") and {*ENDS} <= {*names}
    begun, ended = (names.index(name) if spans else 0 for name in ENDS)
    times: list[float] = []
    costs: list[float] = []
    paid = -1 if cost is None else names.index(cost)
    calls: list[tuple[float, float]] = []
    commas: set[int] = set()  # which of the times have one
    failed, first_failed = 0, ""
    outcomes = Outcomes(names, [stem(name) for name in names], index, {*ENDS} <= {*names})
    for number, row in table.rows:
        if spans:
            ends = _span(row, begun, ended)
            if ends is not None:
                calls.append(ends)
        cell = row[index] if index < len(row) else ""
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not 0.0 <= value <= most:
            if cell.strip().lower() in MISSING:
                failed += 1
                first_failed = (
                    first_failed or f"the first is row {table.skipped + number}, {cell!r}"
                )
                continue
            found = number_in(cell)
            if found is None or not 0.0 <= found <= most:
                allowed = f"a finite number >= 0, at most {most:g} {unit}"
                raise InputError(
                    f"{shown}, row {table.skipped + number}: {chosen}={cell!r}; allowed: {allowed}"
                )
            value = found
            commas.add(len(times))
        times.append(value * scale)
        outcomes.add(row)
        if paid >= 0:
            costs.append(_cost(shown, table.skipped + number, names[paid], row, paid))
    if commas and any(
        not (time / scale).is_integer() for at, time in enumerate(times) if at not in commas
    ):
        raise InputError(
            f"{shown}: {chosen} has commas in some numbers and points in others; allowed: one"
            " decimal sign"
        )
    costs, _ = outcomes.well(costs) if costs else (costs, None)
    times, left_out = outcomes.well(times)
    _check(shown, times, chosen, failed, left_out)
    used = {chosen, cost, *left_out.columns}
    return ServiceTimes(
        tuple(times),
        chosen,
        unit,
        because,
        table.first,
        bool(commas),
        failed,
        first_failed,
        left_out,
        tuple(name or f"column {i}" for i, name in enumerate(names, 1) if name not in used),
        _overlap(calls) if spans else math.nan,
        tuple(costs),
    )


def _cost(shown: str, number: int, name: str, row: list[str], index: int) -> float:
    """What a call cost; raises `InputError`."""
    cell = row[index] if index < len(row) else ""
    found = number_in(cell)
    if found is None or not 0.0 <= found <= LONGEST_SERVICE:
        allowed = f"a cost from 0 to {LONGEST_SERVICE:g}"
        raise InputError(f"{shown}, row {number}: {name}={cell!r}; allowed: {allowed}")
    return found


def _check(shown: str, times: Sequence[float], column: str, failed: int, left_out: LeftOut) -> None:
    if not times and left_out.rows:
        raise InputError(
            f"{shown}: no call went well: {left_out.said()}; allowed: at least one that did"
        )
    if not times and failed:
        raise InputError(f"{shown}: no row has a number under {column}; allowed: at least one")
    if not times:
        raise InputError(f"{shown} has no rows; allowed: at least one value")
    if not any(times):
        raise InputError(f"{shown}: every {column} is 0; allowed: service times above 0")


def _span(row: list[str], begun: int, ended: int) -> tuple[float, float] | None:
    """When a call began and ended; None of one without an end."""
    try:
        released, completed = float(row[begun]), float(row[ended])
    except (ValueError, IndexError):
        return None
    return (released, completed) if math.isfinite(released) and math.isfinite(completed) else None


def _overlap(calls: list[tuple[float, float]]) -> float:
    latest, found = -math.inf, 0
    for released, completed in sorted(calls):
        found += released < latest
        latest = max(latest, completed)
    return found / len(calls) if calls else math.nan


def _choose(shown: str, table: Table, column: str | None) -> str:
    names = table.columns
    listed = ", ".join(names) + (
        "" if not table.first else " (their numbers, for there is no header row)"
    )
    if column is not None:
        wanted = column.strip().lower()
        found = [name for name in names if name == column] or [
            name for name in names if name.lower() == wanted
        ]
        if not found:
            raise InputError(f"{shown} has no column {column!r}; allowed: {listed}")
        return found[0]
    stems = {stem(name): name for name in reversed(names)}
    for word in KNOWN_COLUMNS:
        if word in stems:
            return stems[word]
    if len(names) == 1:
        return names[0]
    raise InputError(f"{shown}: which column holds the service times? Name it; allowed: {listed}")
