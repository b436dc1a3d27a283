"""Recorded service times: reading them from any CSV, and the one recording that ships with the package.

This room knows files and numbers; it knows no scenario. Standard library only.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
from collections.abc import Iterator
from pathlib import Path

from tpssim.core import InputError

UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}

#: Columns taken when none is named, with the unit they are in. A generated token counts 1 ms: the length of
#: a language model's answer sets how long it works, and 1 ms a token is a fast, batched server.
KNOWN_COLUMNS = {
    "service_s": "s",
    "service": "s",
    "latency_s": "s",
    "latency": "s",
    "duration_s": "s",
    "duration": "s",
    "service_ms": "ms",
    "latency_ms": "ms",
    "duration_ms": "ms",
    "service_us": "us",
    "latency_us": "us",
    "duration_us": "us",
    "GeneratedTokens": "ms",
}

#: Of a call, as `live` names them.
ENDS = ("released", "completed")

SQLITE_COMMITS = Path(__file__).parent / "sqlite_commits.csv"


def read_service_times(
    path: str | Path, *, column: str | None = None, unit: str | None = None
) -> tuple[float, ...]:
    """The service times of a CSV file with a header row (also gzipped), in s and in the order of its rows.

    Without `column` the first of `KNOWN_COLUMNS` that is there is taken, or the only one; without `unit`
    the unit of that known column, else seconds. Raises `InputError` for a file that cannot be read, a
    column that is not there, an empty file, and a value that is no finite number >= 0.
    """
    if unit is not None and unit not in UNITS:
        raise InputError(f"unit {unit!r} is not known; allowed: {', '.join(UNITS)}")
    header, rows = _table(path)
    chosen = _choose(str(path), header, column)
    scale = UNITS[unit or KNOWN_COLUMNS.get(chosen, "s")]
    times = tuple(_values(str(path), rows, header.index(chosen), chosen, scale))
    if not times:
        raise InputError(f"trace {str(path)!r} has no rows; allowed: a header row and at least one value")
    if not any(times):
        raise InputError(f"trace {str(path)!r}: every {chosen} is 0; allowed: service times above 0")
    return times


def overlapping(path: str | Path, *, column: str | None = None) -> float:
    """The share of calls that were released before all earlier ones had completed.

    Told by the columns `released` and `completed`, as `live` writes them; nan if they are not there, or if
    the column that `read_service_times` takes holds times of service. Raises `InputError`.
    """
    header, rows = _table(path)
    if _choose(str(path), header, column).startswith("service") or not {*ENDS} <= {*header}:
        return math.nan
    begun, ended = (header.index(name) for name in ENDS)
    calls = []
    for row in rows[1:]:
        try:
            calls.append((float(row[begun]), float(row[ended])))
        except (ValueError, IndexError):
            continue  # a call without an end
    calls = sorted(call for call in calls if math.isfinite(call[0]) and math.isfinite(call[1]))
    latest, found = -math.inf, 0
    for released, completed in calls:
        found += released < latest
        latest = max(latest, completed)
    return found / len(calls) if calls else math.nan


def _table(path: str | Path) -> tuple[list[str], list[list[str]]]:
    """(names of the columns, all rows) of a CSV file; raises `InputError`."""
    try:
        text = _text(Path(path))
    except (OSError, EOFError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text file"
        raise InputError(f"trace {str(path)!r} cannot be read: {reason}; allowed: a CSV file") from error
    try:
        rows = list(csv.reader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise InputError(f"trace {str(path)!r} is no CSV: {error}; allowed: a CSV file") from error
    if not rows or not any(rows[0]):
        raise InputError(f"trace {str(path)!r} is empty; allowed: a header row and at least one value")
    return [name.strip().lstrip("\ufeff") for name in rows[0]], rows


def _text(path: Path) -> str:
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    return data.decode("utf-8")


def _choose(path: str, header: list[str], column: str | None) -> str:
    listed = ", ".join(header)
    if column is not None:
        if column not in header:
            raise InputError(f"trace {path!r} has no column {column!r}; allowed: {listed}")
        return column
    for name in KNOWN_COLUMNS:
        if name in header:
            return name
    if len(header) == 1:
        return header[0]
    raise InputError(f"trace {path!r}: which column holds the service times? Name it; allowed: {listed}")


def _values(path: str, rows: list[list[str]], index: int, column: str, scale: float) -> Iterator[float]:
    for number, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        cell = row[index] if index < len(row) else ""
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value >= 0.0):
            raise InputError(
                f"trace {path!r}, row {number}: {column}={cell!r}; allowed: a finite number >= 0"
            )
        yield value * scale
