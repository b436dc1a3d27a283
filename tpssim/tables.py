"""Tables: plain text and HTML for people, CSV and frames for programs.

Knows strings, numbers and estimates only.
"""

from __future__ import annotations

import csv
import html
import importlib.util
import os
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tpssim.statistics import Estimate

LONGEST_LABEL = 16


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 2) -> str:
    """The rows under their header: the first columns to the left, the others to the right.

    A label longer than `LONGEST_LABEL` gets a line of its own, so that the columns stay narrow. On a terminal
    that is too narrow for them the columns follow in blocks, each beside the first `left` ones.
    """
    fitting = [header, *(row for row in rows if len(row[0]) <= LONGEST_LABEL)]
    widths = [max(len(row[0]) for row in fitting)]
    widths += [max(len(row[i]) for row in [header, *rows]) for i in range(1, len(header))]
    blocks: list[list[int]] = [[]]
    start = sum(widths[:left]) + 2 * left - 1
    for i in range(left, len(header)):
        taken = start + sum(widths[k] + 1 for k in [*blocks[-1], i])
        if blocks[-1] and taken > screen(taken):
            blocks.append([])
        blocks[-1].append(i)
    return "\n\n".join(
        _block(
            [[row[i] for i in (*range(left), *block)] for row in [header, *rows]],
            [widths[i] for i in (*range(left), *block)],
            left,
        )
        for block in blocks
    )


def screen(otherwise: int) -> int:
    """Characters that a line may have: those of the terminal that is written to, else `otherwise`."""
    return os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else otherwise


def filled(text: str, first: str = "", further: str = "") -> str:
    """A paragraph in lines of 100 characters, fewer on a narrow terminal; words with hyphens stay whole."""
    width = max(min(100, screen(100)), len(further) + 20)
    return textwrap.fill(text, width, initial_indent=first, subsequent_indent=further, break_on_hyphens=False)


def _block(rows: Sequence[Sequence[str]], widths: Sequence[int], left: int) -> str:
    lines = []
    for row in rows:
        first = row[0]
        if len(first) > widths[0]:
            lines.append(first)
            first = ""
        cells = [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip([first, *row[1:]], widths, strict=True))
        ]
        # Numbers stand close: with their headers the nine columns of a comparison then fit 100 characters.
        lines.append(
            ("  ".join(cells[: left + 1]) + "".join(f" {cell}" for cell in cells[left + 1 :])).rstrip()
        )
    lines.insert(1, "-" * max(len(line) for line in lines))
    return "\n".join(lines)


def in_html(header: Sequence[str], rows: Sequence[Sequence[str]], caption: str, left: int = 2) -> str:
    """The same as an element of a notebook, in whatever colours it has; each line of the caption is one.

    >>> in_html(["law", "n"], [["a<b", "2"]], "few", left=1)[:46]
    '<table><caption style="text-align:left">few</c'
    """

    def line(tag: str, cells: Sequence[str]) -> str:
        sides = ["left" if i < left else "right" for i in range(len(cells))]
        return "".join(
            f'<{tag} style="text-align:{side}">{html.escape(cell)}</{tag}>'
            for side, cell in zip(sides, cells, strict=True)
        )

    told = starred_note(rows)
    lines = "<br>".join(html.escape(text) for text in caption.splitlines())
    body = "\n".join(f"<tr>{line('td', row)}</tr>" for row in rows)
    return (
        f'<table><caption style="text-align:left">{lines}</caption>'
        f"<thead><tr>{line('th', header)}</tr></thead><tbody>\n{body}\n</tbody></table>"
        + (f"<small>{html.escape(told)}</small>" if told else "")
    )


NEVER = "* the mean of those replications in which it happened; in others it never did"


def starred_note(rows: Sequence[Sequence[str]]) -> str:
    """What explains the asterisk of `number`, if a cell has one."""
    return NEVER if any(cell.endswith("*") for row in rows for cell in row) else ""


def starred(text: str) -> str:
    """The text with a line that explains the asterisk of `number`, if it has one."""
    return f"{text}\n{NEVER}" if "*" in text else text


def number(value: Estimate, scale: float, digits: int) -> str:
    """A mean in a unit of choice; "-" where there is none, "never" where every replication was infinite."""
    if value.mean is None:
        return "never" if value.never else "-"
    text = f"{value.mean * scale:.{digits}f}"
    if float(text) == 0.0:
        text = text.lstrip("-")
    return f"{text}*" if value.never else text


def interval(value: Estimate, scale: float, digits: int) -> str:
    """A mean with the half-width of its confidence interval."""
    text = number(value, scale, digits)
    if value.mean is None or value.high is None:
        return text
    return f"{text} ±{(value.high - value.mean) * scale:.{digits}f}"


def counted(n: int, noun: str) -> str:
    """So many of something.

    >>> counted(1, "call"), counted(2000, "call")
    ('1 call', '2,000 calls')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


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
