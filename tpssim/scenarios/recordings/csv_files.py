"""CSV as people have it: any usual encoding, separator and decimal sign, with a header row or
without one.
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from tpssim.core.errors import InputError
from tpssim.core.types import record
from tpssim.scenarios.recordings.texts import Text

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
#: Cells that stand for no value, in lower case.
MISSING = frozenset(
    ("", "-", "--", "nan", "na", "n/a", "#n/a", "null", "none", "nil", "failed", "error", "timeout")
)
BATCH = 1 << 12  # rows that are turned into columns at once
NONE = "\x1f"  # the separator of a file of one column: none
SAMPLE = 50  # rows that tell the separator
_GROUPS = re.compile(r"[+-]?\d{1,3}(?:[.,' \u00a0\u202f]\d{3})+(?:[.,]\d+)?")


class Lost:
    """Rows that could not be read: how many, and the first of them; `rows`: how many there are."""

    def __init__(self) -> None:
        self.count, self.rows, self.first = 0, 0, ""

    def add(self, line: int, reason: str, count: int = 1) -> None:
        """Count a row, or several of which this is the first."""
        self.count += count
        self.first = self.first or f"row {line:,}: {reason}"


@record
class Table(NamedTuple):
    """A CSV file that has been opened: its rows can be walked over once."""

    columns: tuple[str, ...]  #: their names; of a file without a header row their numbers, from 1
    first: str  #: the first row, if that holds values; "" if it holds the names
    skipped: int  #: lines above it
    rows: Iterator[tuple[int, list[str]]]  #: (number of the line, without those, and cells)
    reader: Any = None  #: of the rows after the first, where they are read many at once


def table_of(text: Text) -> Table:
    """A text as a table; raises `InputError`, while its rows are walked over too."""
    shown = text.shown
    begun = text.lines()
    skipped, separator = 0, ""
    for (
        line
    ) in begun:  # what stands above the table: comments, and what a spreadsheet says of itself
        if line.strip() and not line.startswith("#") and not line.lower().startswith("sep="):
            break
        separator = line[4:5] if line.lower().startswith("sep=") else separator
        skipped += 1
    else:
        raise InputError(f"{shown} is empty; allowed: a CSV file with at least one value")
    sample = [line, *itertools.islice(begun, SAMPLE)]
    separator = separator or _separator(sample, shown)
    rest = itertools.islice(text.lines(), skipped, None)
    reader = csv.reader(rest, delimiter=separator, skipinitialspace=True, strict=True)
    try:
        first = next(reader)
    except csv.Error as error:
        raise InputError(
            f"{shown}, row {skipped + 1}: it is no CSV: {error}; allowed: a CSV file"
        ) from error
    rows = _rows(reader, len(first), skipped, shown)
    if _is_header(first):
        return Table(tuple(cell.strip() for cell in first), "", skipped, rows, reader)
    names = tuple(str(i + 1) for i in range(len(first)))
    all_rows = itertools.chain([(1, first)], rows)
    return Table(names, separator.join(first), skipped, all_rows, itertools.chain([first], reader))


def _is_header(cells: list[str]) -> bool:
    """Whether a first row holds names: no cell is a number, or they are those that pandas gives."""
    unnamed = ["", *(str(i) for i in range(len(cells) - 1))]
    return (len(cells) > 1 and cells == unnamed) or all(number_in(cell) is None for cell in cells)


def _separator(sample: list[str], shown: str) -> str:
    """What separates the cells: that which cuts the lines into the most cells, as many in each.

    `csv.Sniffer` takes a letter for one in a file of a single column, and a decimal comma.
    """
    widths = {}
    for mark in SEPARATORS:
        with contextlib.suppress(csv.Error):
            cut = [len(row) for row in csv.reader(sample, delimiter=mark) if row]
            width, rows = Counter(cut).most_common(1)[0]
            if width > 1 and cut[0] > 1:
                widths[mark] = (cut[0] == width and rows >= 0.8 * len(cut), width)
    if set(widths) == {","} and widths[","][1] == 2:
        cells = [cell for row in csv.reader(sample) for cell in row]
        if all(cell.strip().isdigit() for cell in cells):
            raise InputError(
                f"{shown}: {sample[0].strip()!r} is two numbers, or one with a decimal comma;"
                " allowed: a header row, or a semicolon between the cells"
            )
    return max(widths, key=lambda mark: widths[mark], default=NONE)


def _rows(reader: Any, width: int, skipped: int, shown: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are left, with their lines' numbers; raises `InputError` for one that is no row
    of these.

    One with more cells than there are columns would have them under the wrong names.
    """
    try:
        for row in reader:
            if len(row) == width:
                yield reader.line_num, row
            elif len(row) > width and any(row[width:]):
                raise InputError(
                    f"{shown}, row {skipped + reader.line_num}: {len(row)} cells under {width}"
                    " names; allowed: as many, with quotes around a cell that holds the separator"
                )
            elif row:
                yield reader.line_num, row
    except csv.Error as error:
        line = skipped + reader.line_num
        raise InputError(
            f"{shown}, row {line}: it is no CSV: {error}; allowed: a CSV file"
        ) from error


def number_in(cell: str) -> float | None:
    """The number that a cell holds, with a decimal comma and marks between thousands too; None if
    none.

    >>> number_in("9,891"), number_in("1.234,5"), number_in("1,234.5"), number_in("fast")
    (9.891, 1234.5, 1234.5, None)
    """
    text = cell.strip()
    try:
        return None if "_" in text else float(text)
    except ValueError:
        pass
    if text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    elif _GROUPS.fullmatch(text):
        last = max(text.rfind("."), text.rfind(","))
        whole, decimals = text, ""
        if last >= 0 and text.count(text[last]) == 1:  # the sign that stands once, at the end
            whole, decimals = text[:last], text[last + 1 :]
        text = re.sub(r"[^\d+-]", "", whole) + "." + decimals
    try:
        return float(text)
    except ValueError:
        return None
