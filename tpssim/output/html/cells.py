"""What a page shows of the values of a table, and the columns that say so."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tpssim.core.statistics import Estimate
from tpssim.output import format
from tpssim.output.format import number
from tpssim.output.spans import Span, Text
from tpssim.output.tables import Cell, Column, Table, Value
from tpssim.output.verdict_words import WORDS

#: What the words mean, in a line each; the exact rules stand in `tpssim.metrics.verdicts`.
WORD_MEANINGS = {
    "inert": "no actuator of the law acted: the run shows the schedule, not the law",
    "exceeds": "released calls a tenth faster than it was asked to",
    "stuck": "settled below 80 % of the achievable rate",
    "oscillates": (
        "the rate swings by more than half of its mean, or regularly by more than a tenth"
    ),
    "saturated": (
        "asks for more than can be sustained: the lag grows while that lasts, or calls are refused"
        " by the service, time out or pile up there"
    ),
    "drifts": "loses its schedule although the consumer is free",
    "converges": "settled at 80 % of the achievable rate or above",
}
#: Units of a time, from long to short, with how many a second has.
SECONDS = ((1.0, "s"), (1e3, "ms"), (1e6, "us"))


def names(name: str, detail: str = "") -> Column:
    """A column of what names the rows."""
    return Column(name, left=True, digits=None, names=True, detail=detail)


def words(name: str, detail: str = "") -> Column:
    """A column of words."""
    return Column(name, left=True, detail=detail)


def numbers(name: str, detail: str = "", unit: str = "", scale: float = 1.0) -> Column:
    """A column of numbers, each with as many digits as it needs."""
    return Column(name, unit, digits=None, scale=scale, detail=detail)


def heads(
    shown: Mapping[str, Column], definitions: Mapping[str, Mapping[str, Any]]
) -> list[Column]:
    """The columns of these measures, with their definitions."""
    return [how._replace(detail=about(metric, definitions)) for metric, how in shown.items()]


def every(definitions: Mapping[str, Mapping[str, Any]]) -> list[Column]:
    """A column for each measure that is defined."""
    columns = []
    for metric, definition in definitions.items():
        scale, unit = scaled(definition["unit"])
        detail = about(metric, definitions)
        columns.append(numbers(metric, detail, "" if unit == "1" else unit, scale))
    return columns


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


def scaled(unit: str) -> tuple[float, str]:
    """By what a measure of that unit is multiplied to be read, and the unit then."""
    return (100.0, "%") if unit == "share" else (1.0, unit)


def estimate(value: Mapping[str, Any]) -> Estimate:
    """A mean with its interval, as a record holds it."""
    return Estimate(*(value[name] for name in Estimate._fields))


def cell(value: Value, column: Column) -> Cell:
    """What a page shows of a value in a column, and what the column is sorted by.

    >>> cell(0.98765, Column("achieved", "%", digits=1, scale=100.0))
    Cell(shown='98.8', key=0.98765, detail='')
    """
    if isinstance(value, Cell):
        return value
    if isinstance(value, str):
        return named(value) if column.names else Cell(value, value)
    if isinstance(value, Estimate):
        return _mean(value, column)
    return Cell(column.write(value), value)


def _mean(value: Estimate, column: Column) -> Cell:
    """A mean with the half-width of its interval, rounded alike."""
    digits = column.decimals(value)
    shown: Text = format.mean(value, digits, column.scale)
    if half := format.half(value, digits, column.scale):
        shown = [Span(f"{shown} "), Span(half, "small")]
    often = value.never / max(value.never + value.n, 1)  # never is worse than late
    return Cell(shown, math.inf if often == 1.0 else 1e300 * often if often else value.mean)


def named(name: str, detail: str = "") -> Cell:
    """The name of a row, which may be broken where a long one allows it."""
    return Cell([Span(name, "name")], name, detail)


def measures(values: Mapping[str, Any], definitions: Mapping[str, Mapping[str, Any]]) -> Table:
    """A row for each measure of one run, with its definition."""
    rows: list[list[Value]] = []
    for name, value in values.items():
        detail = definitions.get(name, {"unit": "", "definition": ""})
        scale, unit = scaled(detail["unit"])
        if unit == "s" and value:
            scale, unit = next((x for x in SECONDS if abs(value) * x[0] >= 1.0), SECONDS[-1])
        shown = Cell(number(value if value is None else value * scale), value)
        rows.append([named(name, about(name, definitions)), shown, unit, detail["definition"]])
    columns = [names("measure"), numbers("value"), words("unit"), words("definition")]
    return Table("measures", columns, rows)
