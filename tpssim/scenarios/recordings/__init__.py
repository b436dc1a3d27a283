"""Recorded service times: reading them from any CSV, and the one recording that ships with the
package.

This module knows files and numbers; it knows no scenario. Standard library only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tpssim.core.errors import InputError
from tpssim.core.types import record
from tpssim.core.validation import LONGEST_SERVICE
from tpssim.scenarios.recordings.csv_files import MISSING, Table, number_in, opened
from tpssim.scenarios.recordings.outcomes import LeftOut, Outcomes

UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0}

#: What a column of service times is called, without its unit, in lower case and without signs; the
#: first that is there is taken.
KNOWN_COLUMNS = (
    "service",
    "servicetime",
    "latency",
    "duration",
    "responsetime",
    "elapsed",
    "elapsedtime",
    "took",
    "timetaken",
    "rtt",
    "generatedtokens",
)
#: A generated token counts 1 ms: the length of a language model's answer sets how long it works,
#: and 1 ms a token is a fast, batched server.
TOKENS = "generatedtokens"
#: How a name says its unit: at its end, behind a sign or in brackets, or as in `durationMs`.
_UNIT_WORDS = {
    "s": "s",
    "sec": "s",
    "secs": "s",
    "second": "s",
    "seconds": "s",
    "ms": "ms",
    "msec": "ms",
    "msecs": "ms",
    "millis": "ms",
    "millisecond": "ms",
    "milliseconds": "ms",
    "us": "us",
    "µs": "us",
    "μs": "us",
    "usec": "us",
    "usecs": "us",
    "micros": "us",
    "microsecond": "us",
    "microseconds": "us",
    "ns": "ns",
    "nsec": "ns",
    "nanos": "ns",
    "nanosecond": "ns",
    "nanoseconds": "ns",
    "min": "min",
    "mins": "min",
    "minute": "min",
    "minutes": "min",
}
_WORDS = re.compile(r"[^\W\d_]+|\d+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
#: Columns beside which `latency_min` is the least one, and no number of minutes.
_STATISTICS = frozenset(
    ("max", "avg", "mean", "median", "p50", "p90", "p95", "p99", "std", "stddev")
)

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
        return text


def read_service_times(
    path: str | Path, *, column: str | None = None, unit: str | None = None
) -> tuple[float, ...]:
    """The service times of a CSV file (also gzipped), in s and in the order of its rows.

    Any usual encoding and separator, decimal commas, with or without a header row. Without `column`
    the first of `KNOWN_COLUMNS` that is there is taken, or the only one; in a file without a header
    row columns are named by their number, from 1. Without `unit` the one that the column's name
    ends in, else seconds. Rows without a latency are left out, and rows of calls that did not go
    well by a column `outcome`, `status`, `success`, `error` (`COLUMNS` of `recordings.outcomes`);
    `read` says how many. Raises `InputError` for a file that cannot be read, a column that is not
    there, an empty file, and a value that is no number from 0 to 1e6 s.
    """
    return read(path, column=column, unit=unit).times


def read(path: str | Path, *, column: str | None = None, unit: str | None = None) -> ServiceTimes:
    """`read_service_times` and what was made of the file, in one pass."""
    if unit is not None and unit not in UNITS:
        raise InputError(f"unit {unit!r} is not known; allowed: {', '.join(UNITS)}")
    table = opened(path)
    shown = f"trace {str(path)!r}"
    chosen = _choose(shown, table, column)
    said = _unit_of(chosen, table.columns)
    if unit is not None:
        found, because = unit, "as given"
    elif said:
        found, because = said, "its name says so"
    else:
        found, because = "s", "its name says no unit"
    return _walked(shown, table, chosen, found, because)


def overlapping(path: str | Path, *, column: str | None = None) -> float:
    """The share of calls that were released before all earlier ones had completed.

    Told by the columns `released` and `completed`, as `live` writes them; nan if they are not
    there, or if the column that `read_service_times` takes holds times of service. Raises
    `InputError`.
    """
    return read(path, column=column).overlap


def _walked(shown: str, table: Table, chosen: str, unit: str, because: str) -> ServiceTimes:
    """All rows, once."""
    # In one piece: it runs for every row of files of millions.
    index, scale, names = table.columns.index(chosen), UNITS[unit], table.columns
    most = LONGEST_SERVICE / scale
    spans = not _stem(chosen).startswith("service") and {*ENDS} <= {*names}
    begun, ended = (names.index(name) if spans else 0 for name in ENDS)
    times: list[float] = []
    calls: list[tuple[float, float]] = []
    commas: set[int] = set()  # which of the times have one
    failed, first_failed = 0, ""
    outcomes = Outcomes(names, [_stem(name) for name in names], index, {*ENDS} <= {*names})
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
    if commas and any(
        not (time / scale).is_integer() for at, time in enumerate(times) if at not in commas
    ):
        raise InputError(
            f"{shown}: {chosen} has commas in some numbers and points in others; allowed: one"
            " decimal sign"
        )
    times, left_out = outcomes.well(times)
    _check(shown, times, chosen, failed, left_out)
    used = {chosen, *left_out.columns}
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
    )


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
    stems = {_stem(name): name for name in reversed(names)}
    for stem in KNOWN_COLUMNS:
        if stem in stems:
            return stems[stem]
    if len(names) == 1:
        return names[0]
    raise InputError(f"{shown}: which column holds the service times? Name it; allowed: {listed}")


def _words(name: str) -> list[str]:
    """The words of a name, in lower case.

    >>> _words("responseTime (ms)"), _words("latency_us")
    (['response', 'time', 'ms'], ['latency', 'us'])
    """
    return [word.lower() for word in _WORDS.findall(_HUMP.sub(" ", name))]


def _stem(name: str) -> str:
    """A name without its unit.

    >>> _stem("Response_Time_ms"), _stem("latency"), _stem("s")
    ('responsetime', 'latency', 's')
    """
    words = _words(name)
    if len(words) > 1 and words[-1] in _UNIT_WORDS:
        words.pop()
    return "".join(words)


def _unit_of(name: str, names: Sequence[str]) -> str:
    """The unit that a name says; "" if it says none.

    >>> both = ["latency_min", "latency_max"]
    >>> _unit_of("duration_min", ["duration_min"]), _unit_of("latency_min", both)
    ('min', '')
    """
    words = _words(name)
    if _stem(name) == TOKENS:
        return "ms"
    unit = _UNIT_WORDS.get(words[-1], "") if words else ""
    if unit == "min" and any(_STATISTICS & {*_words(other)} for other in names):
        return ""
    return unit
