"""Tables: plain text for people, CSV and frames for programs. Knows strings, numbers and estimates only."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tpssim.statistics import Estimate

LONGEST_LABEL = 16


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 2) -> str:
    """The rows under their header: the first columns to the left, the others to the right.

    A label longer than `LONGEST_LABEL` gets a line of its own, so that the columns stay narrow.
    """
    fitting = [header, *(row for row in rows if len(row[0]) <= LONGEST_LABEL)]
    widths = [max(len(row[0]) for row in fitting)]
    widths += [max(len(row[i]) for row in [header, *rows]) for i in range(1, len(header))]
    lines = []
    for row in [header, *rows]:
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


def starred(text: str) -> str:
    """The text with a line that explains the asterisk of `number`, if it has one."""
    if "*" not in text:
        return text
    return f"{text}\n* the mean of those replications in which it happened; in others it never did"


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
