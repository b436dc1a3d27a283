"""Pieces of a page as strings. Whatever comes from outside goes through `text`."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tpssim.core.statistics import Estimate
from tpssim.core.types import record
from tpssim.output import format
from tpssim.output.format import number
from tpssim.output.results_dir import file_name
from tpssim.output.verdict_words import WORDS

#: What the words mean, in a line each; the exact rules stand in `tpssim.metrics.verdicts`.
WORD_MEANINGS = {
    "inert": "no actuator of the law acted: the run shows the schedule, not the law",
    "exceeds": "released calls a tenth faster than it was asked to",
    "stuck": "settled below 80 % of the achievable rate",
    "oscillates": (
        "the rate swings by more than half of its mean, or regularly by more than a tenth"
    ),
    "saturated": "asks for more than the consumer bears: the lag grows for as long as that lasts",
    "drifts": "loses its schedule although the consumer is free",
    "converges": "settled at 80 % of the achievable rate or above",
}
#: Units of a time, from long to short, with how many a second has.
SECONDS = ((1.0, "s"), (1e3, "ms"), (1e6, "us"))


@record
class Cell(NamedTuple):
    """A cell: what it shows, as markup; what it is sorted by; what is told about it on demand."""

    shown: str
    key: float | str | None = None
    told: str = ""
    head: bool = False  #: of its row


@record
class Column(NamedTuple):
    name: str
    told: str = ""  #: the definition of its numbers


def text(value: object) -> str:
    """Anything as text for a page."""
    return html.escape(str(value))


def about(name: str, definitions: Mapping[str, Mapping[str, Any]]) -> str:
    """The definition of a measure in a line; empty if there is none."""
    known = definitions.get(name)
    return f"{name} ({known.get('unit', '')}): {known['definition']}" if known else ""


def _attributes(told: str, key: float | str | None = None) -> str:
    sort = (
        "" if key is None else f' data-key="{text(repr(key) if isinstance(key, float) else key)}"'
    )
    return sort + (f' title="{text(told)}"' if told else "")


def _wordy(cell: Cell) -> bool:
    """Whether it is text rather than a number."""
    return cell.head or isinstance(cell.key, str) or "class=" in cell.shown


def table(
    columns: Sequence[Column], rows: Iterable[Sequence[Cell]], label: str, kind: str = ""
) -> str:
    """A table that a click on a column's name sorts, inside a box that scrolls."""
    listed = [list(row) for row in rows]
    left = [
        " class=left" if any(_wordy(row[i]) for row in listed) else "" for i in range(len(columns))
    ]
    heads = [
        f'<th scope="col"{side}{_attributes(column.told)}>'
        f'<button type="button">{text(column.name)}</button></th>'
        for side, column in zip(left, columns, strict=True)
    ]
    lines = []
    for row in listed:
        cells = []
        for side, cell in zip(left, row, strict=True):
            tag, scope = ("th", ' scope="row"') if cell.head else ("td", "")
            cells.append(
                f"<{tag}{scope}{side}{_attributes(cell.told, cell.key)}>{cell.shown}</{tag}>"
            )
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<div class="scroll {kind}" role="region" aria-label="{text(label)}" tabindex="0"><table>'
        f"<thead><tr>{''.join(heads)}</tr></thead><tbody>\n"
        + "\n".join(lines)
        + "\n</tbody></table></div>"
    )


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and what they are (markup), in two columns."""
    return (
        "<dl>"
        + "".join(f"<dt>{text(name)}</dt><dd>{shown}</dd>" for name, shown in pairs)
        + "</dl>"
    )


def section(title: str, body: str) -> str:
    """A part of the page, which its name leads to."""
    return f'<section id="{text(file_name(title))}"><h2>{text(title)}</h2>\n{body}\n</section>'


def folded(title: str, body: str, kind: str = "") -> str:
    """What is there on demand; on paper it is open."""
    return (
        f"<details{kind and f' class={kind}'}><summary>{text(title)}</summary>\n{body}\n</details>"
    )


def badge(word: str) -> str:
    known = word if word in WORDS else "other"
    return f'<span class="word {known}">{text(word)}</span>'


def verdict(word: str, share: str, reason: str = "") -> Cell:
    """A verdict with how many runs came to it; sorted from good to bad."""
    key = float(-WORDS.index(word)) if word in WORDS else 1.0
    told = WORD_MEANINGS.get(word, "")
    return Cell(
        f"{badge(word)} <small>{text(share)}</small>", key, f"{word}: {told}. {reason}".rstrip(". ")
    )


def name_cell(name: str) -> Cell:
    """The head of a row, which may be broken where a long name allows it."""
    return Cell(re.sub(r"([_:,])(?!$)", r"\1<wbr>", text(name)), name, head=True)


def scaled(unit: str) -> tuple[float, str]:
    """By what a measure of that unit is multiplied to be read, and the unit then."""
    return (100.0, "%") if unit == "share" else (1.0, unit)


def estimate(value: Mapping[str, Any], scale: float = 1.0, digits: int | None = None) -> Cell:
    """A mean with the half-width of its interval, rounded alike."""
    found = Estimate(*(value[name] for name in Estimate._fields))
    if digits is None:
        digits = format.decimals(found.mean and found.mean * scale)
    shown, plus, half = format.interval(found, digits, scale).partition(" ±")
    often = found.never / max(found.never + found.n, 1)  # never is worse than late
    key = math.inf if often == 1.0 else 1e300 * often if often else found.mean
    return Cell(f"{shown} <small>±{half}</small>" if plus else shown, key)


def measures(values: Mapping[str, Any], definitions: Mapping[str, Mapping[str, Any]]) -> str:
    """A row for each measure of one run, with its definition."""
    rows = []
    for name, value in values.items():
        told = definitions.get(name, {"unit": "", "definition": ""})
        scale, unit = scaled(told["unit"])
        if unit == "s" and value:
            scale, unit = next((x for x in SECONDS if abs(value) * x[0] >= 1.0), SECONDS[-1])
        shown = Cell(number(value if value is None else value * scale), value)
        words = [Cell(text(word), word) for word in (unit, told["definition"])]
        rows.append([name_cell(name)._replace(told=about(name, definitions)), shown, *words])
    return table(
        [Column(head) for head in ("measure", "value", "unit", "definition")], rows, "measures"
    )
