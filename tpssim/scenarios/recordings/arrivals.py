"""Recorded start times of calls, from any table and from what `read_recording` reads."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from tpssim.core.errors import InputError
from tpssim.core.types import record
from tpssim.scenarios.recordings.column_names import STARTS, UNITS, stem, unit_of
from tpssim.scenarios.recordings.csv_files import MISSING, Table, number_in
from tpssim.scenarios.recordings.texts import Text


@record
class StartTimes(NamedTuple):
    """The start times of a file, and what was made of it."""

    times: tuple[float, ...]  #: s since the first of them, in order
    column: str  #: where they stand
    left_out: int  #: rows without a time
    moved: int  #: rows whose time is before that of a row above

    def said(self, path: str | Path) -> str:
        """What was left out or put in order, in one line; "" if nothing was.

        >>> StartTimes((0.0, 2.0), "start", left_out=1, moved=0).said("a.csv")
        "a.csv: 2 start times from 'start'; 1 row has no time and was left out"
        """
        said = []
        if self.left_out:
            rows = "row has no time and was" if self.left_out == 1 else "rows have no time and were"
            said.append(f"{self.left_out:,} {rows} left out")
        if self.moved:
            rows = "row is" if self.moved == 1 else "rows are"
            said.append(f"{self.moved:,} {rows} earlier than one above, so all were sorted")
        start = f"{Path(path).name}: {len(self.times):,} start times from {self.column!r}"
        return "; ".join([start, *said]) if said else ""


def read_arrivals(path: str | Path, *, column: str | None = None) -> tuple[float, ...]:
    """The start times of the calls of a CSV file, s since the first of them, in order of time.

    Numbers, in the unit that the column's name ends in, else seconds; or dates and times as ISO
    8601 has them. Without `column` the first known name is taken (`released`, `start`, `timestamp`,
    ...), or the only column. Rows without a time are left out; `start_times` says how many. Of any
    other recording that `read_recording` knows the starts of all calls. Raises `InputError`.

    >>> from tpssim.scenarios.recordings import SQLITE_COMMITS
    >>> arrivals = read_arrivals(SQLITE_COMMITS)
    >>> len(arrivals), arrivals[:2]
    (4000, (0.0, 0.0061))
    """
    return start_times(path, column=column).times


def start_times(
    path: str | Path,
    *,
    column: str | None = None,
    columns: Mapping[str, str] | None = None,
    unit: str | None = None,
) -> StartTimes:
    """As `read_arrivals`, with what was made of the file; `columns`, `unit`: as `read_recording`
    has them, but that the column of starts alone is enough. Raises `InputError`.
    """
    from tpssim.scenarios.recordings.moments import epoch_unit
    from tpssim.scenarios.recordings.reading import known, read_recording
    from tpssim.scenarios.recordings.tables import table_in

    shown = f"arrivals {str(path)!r}"
    with closing(Text(path, shown)) as text:
        if columns is not None and {*columns} == {"start"}:
            column, columns = columns["start"], None
        if columns or (column is None and known(text)):
            recording = read_recording(path, columns=columns, unit=unit)
            starts = tuple(round(time, 9) for time in recording.start.tolist())
            return StartTimes(starts, "start", recording.source.unreadable, 0)
        table = table_in(text)
        chosen = _chosen(shown, table, column)
        index, unit = table.columns.index(chosen), unit_of(chosen, table.columns) or "s"
        times: list[float] = []
        left_out, moved, latest = 0, 0, -math.inf
        for number, row in table.rows:
            cell = row[index].strip() if index < len(row) else ""
            if cell.lower() in MISSING:
                left_out += 1
                continue
            if not times:  # numbers of the size of today's date say their unit
                unit = epoch_unit(number_in(cell) or 0.0) or unit
            time = _moment(cell, UNITS[unit])
            if not abs(time) < math.inf:
                raise InputError(
                    f"{shown}, row {table.skipped + number}: {chosen}={cell!r}; allowed: a finite"
                    " number, or a date and time such as 2026-11-16T18:17:03.5"
                )
            moved += time < latest
            latest = max(time, latest)
            times.append(time)
        if not times:
            raise InputError(f"{shown}: no row has a time under {chosen}; allowed: at least one")
        first = min(times)
        sound = tuple(sorted(round(time - first, 9) for time in times))
        return StartTimes(sound, chosen, left_out, moved)


def _chosen(shown: str, table: Table, column: str | None) -> str:
    """The column of start times; raises `InputError`."""
    names = table.columns
    if column is not None:
        wanted = column.strip().lower()
        found = next((name for name in names if name.lower() == wanted), None)
        if found is None:
            raise InputError(f"{shown} has no column {column!r}; allowed: {', '.join(names)}")
        return found
    stems = {stem(name): name for name in reversed(names)}
    known = next((stems[word] for word in STARTS if word in stems), None)
    if known is None and len(names) > 1:
        raise InputError(
            f"{shown}: none of the columns {', '.join(names)} is known to hold start times;"
            f" allowed: {', '.join(STARTS)}, or a file of one column"
        )
    return known or names[0]


def _moment(cell: str, scale: float) -> float:
    """A cell as a time, s; nan if it is none."""
    number = number_in(cell)
    if number is not None:
        return number * scale
    try:
        moment = datetime.fromisoformat(cell)
    except ValueError:
        return math.nan
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()
