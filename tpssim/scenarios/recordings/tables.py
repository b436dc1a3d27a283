"""Tables whatever they are kept in: CSV, JSON lines, Parquet; their cells as text."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import compress, islice
from typing import Any

from tpssim.core.errors import InputError
from tpssim.scenarios.recordings.chunks import batches
from tpssim.scenarios.recordings.csv_files import BATCH, SEPARATORS, Lost, Table, table_of
from tpssim.scenarios.recordings.texts import Text

PARQUET = b"PAR1"
Columns = dict[str, tuple[str, ...]]


def table(text: Text, lost: Lost) -> Table:
    """The table that a file holds; raises `InputError`."""
    if text.head.startswith(PARQUET):
        return _parquet(text)
    return _json_lines(text, lost) if is_json_lines(text) else table_of(text)


def table_in(text: Text) -> Table:
    """`table` of a file whose every row counts."""
    return table(text, Lost())


def header(text: Text) -> tuple[str, ...]:
    """The cells of the first row, whatever separates them."""
    if text.head.startswith(PARQUET):
        return _parquet(text).columns
    if is_json_lines(text):
        found = _object(text.start(1)[0]) or {}
        return tuple(found)
    first = next((line for line in text.start() if line[:1] != "#" and line[:4] != "sep="), "")
    cut = [next(csv.reader([first], delimiter=mark), []) for mark in SEPARATORS]
    return tuple(cell.strip() for cell in max(cut, key=len))


def columns_of(
    rows: Table, lost: Lost, whole: bool = False, keep: Callable[[list[str]], bool] | None = None
) -> Iterator[tuple[Sequence[int], Columns]]:
    """The columns of a table by name, some thousand rows at a time, and the lines of the rows.

    Missing cells at the end of a row are empty; where every row is `whole`, one that is shorter was
    cut off. `keep`: which rows are calls.
    """
    width = len(rows.columns)
    for numbers, texts in _batches(rows, lost):
        if min(map(len, texts)) != width or max(map(len, texts)) != width:
            numbers, texts = _of_width(width, numbers, texts, lost, whole)
        if keep is not None:
            kept = [*map(keep, texts)]
            numbers, texts = [*compress(numbers, kept)], [*compress(texts, kept)]
        lost.rows += len(texts)
        if texts:
            yield numbers, dict(zip(rows.columns, zip(*texts, strict=True), strict=True))


def _batches(rows: Table, lost: Lost) -> Iterator[tuple[Sequence[int], list[list[str]]]]:
    """Rows and the numbers of their lines; rows that are no CSV are counted."""
    if rows.reader is None:
        for batch in batches(rows.rows):
            yield [number for number, _ in batch], [row for _, row in batch]
        return
    line = 1 + rows.skipped + (not rows.first)
    while True:
        texts: list[list[str]] = []
        error = None
        try:
            texts.extend(islice(rows.reader, BATCH))  # what was read before an error stays
        except csv.Error as found:
            error = found
        if texts:
            yield range(line, line + len(texts)), texts
        line += len(texts)
        if error is not None:
            lost.rows += 1
            lost.add(line, str(error))
            line += 1
        elif not texts:
            return


def _of_width(
    width: int, numbers: Sequence[int], texts: list[list[str]], lost: Lost, whole: bool
) -> tuple[list[int], list[list[str]]]:
    """Rows of as many cells as there are columns; what is no row of them is counted."""
    kept: list[tuple[int, list[str]]] = []
    for number, row in zip(numbers, texts, strict=True):
        if len(row) > width and any(row[width:]):
            lost.rows += 1
            lost.add(number, f"{len(row)} cells under {width} names")
        elif whole and 0 < len(row) < width:
            lost.rows += 1
            lost.add(number, "it is cut off")
        elif row:
            kept.append((number, (row + [""] * width)[:width]))
    return [number for number, _ in kept], [row for _, row in kept]


def is_json_lines(text: Text) -> bool:
    """Whether the first two lines are an object each, with nothing but single values."""
    found = [_object(line) for line in text.start(2)]
    return bool(found) and all(
        one and not any(isinstance(value, dict | list) for value in one.values()) for one in found
    )


def _object(line: str) -> dict[str, Any] | None:
    """The object of a line of JSON; None if it holds none."""
    if line[:1] != "{":
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _json_lines(text: Text, lost: Lost) -> Table:
    names = header(text)

    def rows() -> Iterator[tuple[int, list[str]]]:
        for number, line in enumerate(text.lines(), 1):
            found = _object(line)
            if found is not None:
                yield number, [_cell(found.get(name)) for name in names]
            elif line.strip():
                lost.rows += 1
                lost.add(number, "it is no JSON")

    return Table(names, "", 0, rows())


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _parquet(text: Text) -> Table:
    """Raises `InputError` without pyarrow."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise InputError(
            f"{text.shown} is Parquet, which needs pyarrow: pip install 'tpssim[parquet]'; allowed"
            " without it: CSV"
        ) from error
    try:
        file = parquet.ParquetFile(text.path)
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(
            f"{text.shown} cannot be read: {str(error).splitlines()[0]}; allowed: a Parquet file"
        ) from error

    def rows() -> Iterator[tuple[int, list[str]]]:
        numbers = itertools.count(1)
        with file:
            for batch in file.iter_batches(batch_size=1 << 14):
                texts = [column.cast(pyarrow.string()).fill_null("") for column in batch.columns]
                cells = zip(*(column.to_pylist() for column in texts), strict=True)
                yield from ((next(numbers), list(row)) for row in cells)

    return Table(tuple(file.schema_arrow.names), "", 0, rows())
