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
from typing import Any

LONGEST_LABEL = 16
WIDTH = 80  # characters of a line, where no terminal says otherwise


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 2) -> str:
    """The rows under their header: the first columns to the left, the others to the right.

    A head may have several lines; where one is broken within a word it has a soft hyphen. To fit
    the screen the columns stand closer, then a long label gets a line of its own; if that is not
    enough the columns follow in blocks, each beside the first `left` ones.

    >>> print(aligned(["law", "p99\\ns"], [["fixed", "0.1"], ["aimd", "12"]], left=1))
           p99
    law      s
    ----------
    fixed  0.1
    aimd    12
    """
    heads = _heads(header)
    widths = [max(len(row[i]) for row in [*heads, *rows]) for i in range(len(header))]
    widths[0], gap = _fitted([row[0] for row in heads], [row[0] for row in rows], widths[1:])
    blocks: list[list[int]] = [[]]
    start = sum(widths[:left]) + gap * (left - 1)
    for i in range(left, len(header)):
        taken = start + sum(widths[k] + gap for k in [*blocks[-1], i])
        if blocks[-1] and taken > screen():
            blocks.append([])
        blocks[-1].append(i)
    lines = [*heads, *rows]
    chosen = [[*range(left), *block] for block in blocks]
    return "\n\n".join(
        _block(
            [[row[i] for i in some] for row in lines],
            [widths[i] for i in some],
            left,
            len(heads),
            gap,
        )
        for some in chosen
    )


def _heads(header: Sequence[str]) -> list[list[str]]:
    """Heads of several lines as rows; the shorter ones stand at the bottom."""
    parts = [head.replace("\xad", "-").split("\n") for head in header]
    most = max(map(len, parts))
    return [
        list(row) for row in zip(*([""] * (most - len(part)) + part for part in parts), strict=True)
    ]


def _fitted(heads: Sequence[str], labels: Sequence[str], others: Sequence[int]) -> tuple[int, int]:
    """The width of the first column, and the space between columns: the widest with which all
    fits.
    """
    least = max(map(len, heads))
    lengths = sorted(
        {least, *(len(label) for label in labels if least < len(label) <= LONGEST_LABEL)}
    )
    ways = [(lengths[-1], 2), *((width, 1) for width in reversed(lengths))]
    for width, gap in ways:
        if width + sum(gap + other for other in others) <= screen():
            return width, gap
    return lengths[-1], 1


def screen() -> int:
    """Characters that a line may have: those of the terminal that is written to, else `WIDTH`."""
    if not sys.stdout.isatty():
        return WIDTH
    return (
        os.get_terminal_size(sys.stdout.fileno()).columns or WIDTH
    )  # one may not say how wide it is


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
    rows: Sequence[Sequence[str]], widths: Sequence[int], left: int, heads: int, gap: int
) -> str:
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
        lines.append((" " * gap).join(cells).rstrip())
    lines.insert(heads, "-" * max(len(line) for line in lines))
    return "\n".join(lines)


def in_html(
    header: Sequence[str], rows: Sequence[Sequence[str]], caption: str, left: int = 2
) -> str:
    """The same as an element of a notebook, in whatever colours it has; each line of the caption is
    one.

    A head has one line there.

    >>> in_html(["law", "n"], [["a<b", "2"]], "few", left=1)[:46]
    '<table><caption style="text-align:left">few</c'
    """

    def line(tag: str, cells: Sequence[str]) -> str:
        sides = ["left" if i < left else "right" for i in range(len(cells))]
        return "".join(
            f'<{tag} style="text-align:{side}">{html.escape(cell)}</{tag}>'
            for side, cell in zip(sides, cells, strict=True)
        )

    header = [head.replace("\xad\n", "").replace("-\n", "-").replace("\n", " ") for head in header]
    lines = "<br>".join(html.escape(text) for text in caption.splitlines())
    body = "\n".join(f"<tr>{line('td', row)}</tr>" for row in rows)
    return (
        f'<table><caption style="text-align:left">{lines}</caption>'
        f"<thead><tr>{line('th', header)}</tr></thead><tbody>\n{body}\n</tbody></table>"
    )


def split_note(n: int) -> str:
    """What is below a table in which `format.verdict` says how many."""
    return f"/{n}: the verdict on so many of {n} replications; without a number, on all"


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
