"""What a page holds, as plain records: a template of the same name writes each kind of block."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from tpssim.core.statistics import Estimate
from tpssim.core.types import record
from tpssim.output import format, tables
from tpssim.output.format import number
from tpssim.output.verdict_words import WORDS

#: What the words mean, in a line each; the exact rules stand in `tpssim.metrics.verdicts`.
WORD_MEANINGS = {
    "inert": "no actuator of the law acted: the run shows the schedule, not the law",
    "exceeds": "released calls a tenth faster than it was asked to",
    "stuck": "settled below 80 % of the achievable rate",
    "oscillates": (
        "the rate swings by more than half of its mean, or regularly by more than a tenth"
    ),
    "saturated": "asks for more than the consumer can sustain: the lag grows while that lasts",
    "drifts": "loses its schedule although the consumer is free",
    "converges": "settled at 80 % of the achievable rate or above",
}
#: Units of a time, from long to short, with how many a second has.
SECONDS = ((1.0, "s"), (1e3, "ms"), (1e6, "us"))


@record
class Span(NamedTuple):
    """Some words of a text, and how they stand out."""

    text: str
    kind: str = ""  #: "", strong, small, verdict, or name (which may be broken at : , _)


Text: TypeAlias = "str | Sequence[Span]"


@record
class Cell(NamedTuple):
    """A cell: what it shows; what it is sorted by; what is detail about it on demand."""

    shown: Text
    key: float | str | None = None
    detail: str = ""
    head: bool = False  #: of its row

    def wordy(self) -> bool:
        """Whether it is text rather than a number."""
        marked = not isinstance(self.shown, str) and any(s.kind == "verdict" for s in self.shown)
        return self.head or isinstance(self.key, str) or marked


@record
class Column(NamedTuple):
    name: str
    detail: str = ""  #: the definition of its numbers


@record
class Table(NamedTuple):
    """A table that a click on a column's name sorts, inside a box that scrolls."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    label: str
    kind: str = ""

    def left(self) -> list[bool]:
        """Which columns hold words."""
        return [any(row[i].wordy() for row in self.rows) for i in range(len(self.columns))]


@record
class Paragraph(NamedTuple):
    text: Text
    second: Text = ""  #: in a line of its own


@record
class Items(NamedTuple):
    """A list."""

    items: Sequence[Text]
    kind: str = ""


@record
class Facts(NamedTuple):
    """Names and what they are, in two columns."""

    pairs: Sequence[tuple[Text, Text]]
    kind: str = ""


@record
class Heading(NamedTuple):
    text: str


@record
class Command(NamedTuple):
    """A line that may be pasted."""

    text: str


@record
class Figure(NamedTuple):
    """A drawing with its caption."""

    drawn: str  #: SVG, or an image: the only markup that a template takes as it is
    caption: Text
    kind: str = ""


@record
class Figures(NamedTuple):
    figures: Sequence[Figure]
    kind: str


@record
class Key(NamedTuple):
    """A line of a legend."""

    name: str
    colour: str
    style: str


@record
class Legend(NamedTuple):
    """What the lines of the drawings below it are."""

    keys: Sequence[Key]


@record
class Folded(NamedTuple):
    """What is there on demand; on paper it is open."""

    title: str
    blocks: Sequence[Block]
    kind: str = ""


Block: TypeAlias = (
    "Table | Paragraph | Items | Facts | Heading | Command | Figure | Figures | Legend | Folded"
)


@record
class Section(NamedTuple):
    """A part of the page, to which its name leads."""

    title: str
    blocks: Sequence[Block]


def spans(text: Text) -> Sequence[Span]:
    """A text in its parts."""
    return [Span(text)] if isinstance(text, str) else text


def strong(text: str) -> Span:
    return Span(text, "strong")


def about(name: str, definitions: Mapping[str, Mapping[str, Any]]) -> str:
    """The definition of a measure in a line; empty if there is none."""
    known = definitions.get(name)
    return f"{name} ({known.get('unit', '')}): {known['definition']}" if known else ""


def verdict(word: str, share: str, reason: str = "") -> Cell:
    """A verdict with how many runs came to it; sorted from good to bad."""
    key = float(-WORDS.index(word)) if word in WORDS else 1.0
    detail = WORD_MEANINGS.get(word, "")
    shown = [Span(word, "verdict"), Span(" "), Span(share, "small")]
    return Cell(shown, key, f"{word}: {detail}. {reason}".rstrip(". "))


def name_cell(name: str, detail: str = "") -> Cell:
    """The head of a row, which may be broken where a long name allows it."""
    return Cell([Span(name, "name")], name, detail, head=True)


def word_cell(word: str) -> Cell:
    """A word, by which its column is sorted."""
    return Cell(word, word)


def number_cell(value: float | None) -> Cell:
    """A number, by which its column is sorted."""
    return Cell(number(value), value)


def scaled(unit: str) -> tuple[float, str]:
    """By what a measure of that unit is multiplied to be read, and the unit then."""
    return (100.0, "%") if unit == "share" else (1.0, unit)


def estimate(value: Mapping[str, Any], scale: float = 1.0, digits: int | None = None) -> Cell:
    """A mean with the half-width of its interval, rounded alike."""
    found = Estimate(*(value[name] for name in Estimate._fields))
    if digits is None:
        digits = format.decimals(found.mean and found.mean * scale)
    shown: Text = format.mean(found, digits, scale)
    if half := format.half(found, digits, scale):
        shown = [Span(f"{shown} "), Span(half, "small")]
    often = found.never / max(found.never + found.n, 1)  # never is worse than late
    return Cell(shown, math.inf if often == 1.0 else 1e300 * often if often else found.mean)


def measured(value: Mapping[str, Any], how: tables.Column) -> Cell:
    """An estimate as the column of its measure writes it."""
    return estimate(value, how.scale, how.digits)


def heads(
    shown: Mapping[str, tables.Column], definitions: Mapping[str, Mapping[str, Any]]
) -> list[Column]:
    """The columns of these measures, with their definitions."""
    return [Column(how.title(), about(metric, definitions)) for metric, how in shown.items()]


def measures(values: Mapping[str, Any], definitions: Mapping[str, Mapping[str, Any]]) -> Table:
    """A row for each measure of one run, with its definition."""
    rows = []
    for name, value in values.items():
        detail = definitions.get(name, {"unit": "", "definition": ""})
        scale, unit = scaled(detail["unit"])
        if unit == "s" and value:
            scale, unit = next((x for x in SECONDS if abs(value) * x[0] >= 1.0), SECONDS[-1])
        shown = Cell(number(value if value is None else value * scale), value)
        rows.append(
            [
                name_cell(name, about(name, definitions)),
                shown,
                word_cell(unit),
                word_cell(detail["definition"]),
            ]
        )
    heads = [Column(head) for head in ("measure", "value", "unit", "definition")]
    return Table(heads, rows, "measures")
