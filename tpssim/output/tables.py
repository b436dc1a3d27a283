"""Tables: one record that is written as plain text, in a notebook and on a page; CSV and frames for
programs.

Knows strings, numbers and estimates only.
"""

from __future__ import annotations

import csv
import importlib.util
import os
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from tpssim.core.types import record
from tpssim.output import format
from tpssim.output.spans import Text, plain

if TYPE_CHECKING:
    from tpssim.core.statistics import Estimate

LONGEST_LABEL = 16
LEAST_ROOM = 20  # characters for words beside the other columns
WIDTH = 80  # characters of a line, where no terminal says otherwise


@record
class Column(NamedTuple):
    """A column of a table: what its head says, and how what is in it is written."""

    name: str  #: a line break is where it may be broken; within a word after a soft hyphen
    unit: str = ""
    left: bool = False  #: words stand to the left, numbers to the right
    digits: int | None = 0  #: decimals of its numbers; None for as many as each of them needs
    scale: float = 1.0  #: of its numbers in that unit
    spread: bool = False  #: whether the mean of an estimate has its interval beside it
    fills: bool = False  #: of the last one: words that fill what is left of the line, in several
    names: bool = False  #: what is in it names the row
    detail: str = ""  #: the definition of its numbers, which a page shows on demand

    def head(self) -> str:
        """Name and unit in the lines of a narrow column.

        >>> Column("p99", "s").head(), Column("recov\\xad\\ners", "s").head(), Column("fair").head()
        ('p99\\ns', 'recov\\xad\\ners s', 'fair')
        """
        between = " " if "\n" in self.name else "\n"
        return f"{self.name}{between}{self.unit}" if self.unit else self.name

    def title(self) -> str:
        """Name and unit in one line.

        >>> Column("recov\\xad\\ners", "s").title(), Column("behind\\nfirst").title()
        ('recovers s', 'behind first')
        """
        name = self.name.replace("\xad\n", "").replace("-\n", "-").replace("\n", " ")
        return f"{name} {self.unit}".rstrip()

    def write(self, value: Value) -> str:
        """A cell of this column as text; what is text already stays as it is.

        >>> Column("achieved", "%", digits=1, scale=100.0).write(0.98765)
        '98.8'
        """
        if isinstance(value, str):
            return value
        if isinstance(value, Cell):
            return plain(value.shown)
        if value is None or isinstance(value, int | float):
            if self.digits is None:
                return format.number(None if value is None else value * self.scale)
            return format.fixed(value, self.digits, self.scale)
        write = format.interval if self.spread else format.mean
        return write(value, self.decimals(value), self.scale)

    def decimals(self, value: Estimate) -> int:
        """Decimals of a mean in this column."""
        if self.digits is None:
            return format.decimals(value.mean and value.mean * self.scale)
        return self.digits


@record
class Cell(NamedTuple):
    """Words in place of a value, with what a page needs of it besides."""

    shown: Text
    key: float | str | None = None  #: what it is sorted by; None at the end
    detail: str = ""  #: more about it, on demand


@record
class Table(NamedTuple):
    """Rows of data under columns that say how they are written, as text here and in HTML."""

    title: str  #: the lines above it; "" for none
    columns: Sequence[Column]
    rows: Sequence[Sequence[Value]]
    notes: Sequence[Note] = ()
    label: int = LONGEST_LABEL  #: characters that the first column may have, or it has a line

    def heads(self) -> list[str]:
        """The heads, each in one line."""
        return [column.title() for column in self.columns]

    def written(self) -> list[list[str]]:
        """The rows as text."""
        return [
            [column.write(value) for column, value in zip(self.columns, row, strict=True)]
            for row in self.rows
        ]

    def text(self) -> str:
        """For a terminal: its title, the columns, its notes, in lines that fit the screen.

        >>> columns = [Column("law", left=True), Column("p99", "s", digits=1)]
        >>> print(Table("two laws", columns, [["fixed", 0.1], ["aimd", 12.0]]).text())
        two laws
                p99
        law       s
        -----------
        fixed   0.1
        aimd   12.0
        """
        above = [filled(line) for line in self.title.splitlines()]
        return "\n".join([*above, _aligned(self), *map(noted, self.notes)])


#: A paragraph below a table: the mark that it explains ("±:", "*", "" for none), and what it says.
Note = tuple[str, str]
#: What a table holds: words, a number, a mean with its interval, nothing, or what is shown instead.
Value: TypeAlias = "str | float | Estimate | Cell | None"


def noted(note: Note) -> str:
    """A note in lines that fit, the further ones under the first word after its mark."""
    mark, text = note
    first = f"{mark} " if mark else ""
    return filled(text, first, " " * (len(first) or 2))


def _aligned(table: Table) -> str:
    """The rows under their heads: the first columns to the left, the others to their side.

    To fit the screen the columns stand closer, then a long label gets a line of its own; if that is
    not enough the columns follow in blocks, each beside those to the left.
    """
    columns = table.columns
    heads = _heads([column.head() for column in columns])
    rows = _filled(columns, heads, table.written())
    lines = [*heads, *rows]
    widths = [max(len(row[i]) for row in lines) for i in range(len(columns))]
    head, labels = max(len(row[0]) for row in heads), [len(row[0]) for row in rows]
    widths[0], gap = _fitted(head, labels, widths[1:], table.label)
    left = next((i for i, column in enumerate(columns) if not column.left), len(columns))
    blocks: list[list[int]] = [[]]
    start = sum(widths[:left]) + gap * (left - 1)
    for i in range(left, len(columns)):
        taken = start + sum(widths[k] + gap for k in [*blocks[-1], i])
        if blocks[-1] and taken > screen():
            blocks.append([])
        blocks[-1].append(i)
    return "\n\n".join(
        _block(lines, [*range(left), *block], widths, [c.left for c in columns], len(heads), gap)
        for block in blocks
    )


def _heads(header: Sequence[str]) -> list[list[str]]:
    """Heads of several lines as rows; the shorter ones stand at the bottom."""
    parts = [head.replace("\xad", "-").split("\n") for head in header]
    most = max(map(len, parts))
    return [
        list(row) for row in zip(*([""] * (most - len(part)) + part for part in parts), strict=True)
    ]


def _filled(
    columns: Sequence[Column], heads: Sequence[Sequence[str]], rows: Sequence[list[str]]
) -> list[list[str]]:
    """The rows, with a last column that fills the line in as many of them as its words take.

    >>> row = ["alpha", f"weight{chr(10)}of a value"]
    >>> _filled([Column("", left=True), Column("", left=True, fills=True)], [["", ""]], [row])
    [['alpha', 'weight'], ['', 'of a value']]
    """
    if not columns[-1].fills:
        return [*rows]
    before = range(len(columns) - 1)
    taken = sum(max(len(row[i]) for row in [*heads, *rows]) + 2 for i in before)
    room = max(min(100, screen()) - taken, LEAST_ROOM)
    every = []
    for row in rows:
        lines = [
            part
            for line in row[-1].splitlines()
            for part in textwrap.wrap(line, room, break_on_hyphens=False, break_long_words=False)
        ]
        every.append([*row[:-1], *(lines[:1] or [""])])
        every += [[*([""] * len(before)), line] for line in lines[1:]]
    return every


def _fitted(head: int, labels: Sequence[int], others: Sequence[int], most: int) -> tuple[int, int]:
    """The width of the first column, and the space between columns: the widest with which all
    fits.
    """
    lengths = sorted({head, *(length for length in labels if head < length <= most)})
    ways = [(lengths[-1], 2), *((width, 1) for width in reversed(lengths))]
    for width, gap in ways:
        if width + sum(gap + other for other in others) <= screen():
            return width, gap
    return lengths[-1], 1


def screen() -> int:
    """Characters that a line may have: those of the terminal that is written to, else `WIDTH`."""
    if not sys.stdout.isatty():
        return WIDTH
    # one may not say how wide it is
    return os.get_terminal_size(sys.stdout.fileno()).columns or WIDTH


def filled(text: str, first: str = "", further: str = "") -> str:
    """A paragraph in lines that fit the screen, at most 100 characters; words (paths, names) stay
    whole.
    """
    wrapper = textwrap.TextWrapper(
        max(min(100, screen()), len(further) + 20),
        initial_indent=first,
        subsequent_indent=further,
        break_on_hyphens=False,
        break_long_words=False,
    )
    return wrapper.fill(text)


def _block(
    lines: Sequence[Sequence[str]],
    chosen: Sequence[int],
    widths: Sequence[int],
    left: Sequence[bool],
    heads: int,
    gap: int,
) -> str:
    """The chosen columns, with a rule below the heads."""
    shown = []
    for row in lines:
        first = row[0]
        if len(first) > widths[0]:
            shown.append(first)
            first = ""
        cells = [first, *(row[i] for i in chosen[1:])]
        padded = [
            cell.ljust(widths[i]) if left[i] else cell.rjust(widths[i])
            for i, cell in zip(chosen, cells, strict=True)
        ]
        shown.append((" " * gap).join(padded).rstrip())
    shown.insert(heads, "-" * max(len(line) for line in shown))
    return "\n".join(shown)


def split_note(n: int) -> Note:
    """What is below a table in which `format.verdict` says how many."""
    return f"/{n}:", f"the verdict on so many of {n} replications; without a number, on all"


def write_csv(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows of equal keys under a header; None becomes an empty cell."""
    listed = list(rows)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, listed[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(listed)


def frame(rows: Any) -> Any:
    """Rows, or columns by name, as a DataFrame (needs pandas)."""
    import pandas

    return pandas.DataFrame(rows)


def writes_parquet() -> bool:
    """Whether a DataFrame can be written as Parquet here."""
    return all(importlib.util.find_spec(name) is not None for name in ("pandas", "pyarrow"))
