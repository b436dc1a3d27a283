"""Any JSON as lists and tables, for results that no other function knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tpssim.core.statistics import Estimate
from tpssim.output.html.blocks import Block, Facts, Folded, Heading, Sortable
from tpssim.output.html.cells import WORD_MEANINGS, about, cell, estimate, names, numbers
from tpssim.output.records.checks import fault
from tpssim.output.records.parts import Interval
from tpssim.output.spans import Span, Text, spans
from tpssim.output.tables import Cell, Column, Table, Value

Definitions = Mapping[str, Mapping[str, Any]]
MOST_CELLS = 2000  # more of them are folded


def _flat(value: Any, depth: int = 0) -> bool:
    """Whether it goes into one cell: a plain value, an estimate, a few of them in a list or by
    name.
    """
    if not isinstance(value, Mapping | list) or _estimate(value):
        return True
    inner = list(value.values()) if isinstance(value, Mapping) else value
    return depth < 2 and len(inner) <= 12 and all(_flat(v, depth + 1) for v in inner)


def _estimate(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and value.keys() == set(Estimate._fields)
        and not fault(value, Interval, "")
    )


def _value(value: Any) -> Value:
    """A value that is no table itself, as one of a table."""
    if _estimate(value):
        return estimate(value)
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, str):
        return Cell([Span(value, "verdict")], value) if value in WORD_MEANINGS else value or "-"
    if isinstance(value, Mapping):
        named = [[Span(str(k), "small"), Span(" "), *spans(_shown(v))] for k, v in value.items()]
        return Cell(_listed(named), str(value))
    if isinstance(value, list) and len(value) == 1:
        return _value(value[0])
    if isinstance(value, list):
        return Cell(_listed([spans(_shown(v)) for v in value]), str(value))
    return float(value)


def _shown(value: Any) -> Text:
    """A value that is no table itself, as text."""
    return cell(_value(value), numbers("")).shown


def _listed(texts: Sequence[Sequence[Span]]) -> list[Span]:
    """Texts with commas between them; "-" without any."""
    found = [span for text in texts for span in (Span(", "), *text)]
    return found[1:] or [Span("-")]


def _rows(value: Any) -> list[tuple[str, Mapping[str, Any]]]:
    """The rows of a list of records, or of a mapping of records; none if it is no table."""
    if not isinstance(value, Mapping | list):
        return []
    named = list(value.items()) if isinstance(value, Mapping) else [("", v) for v in value]
    if not named or not all(isinstance(v, Mapping) and v and not _estimate(v) for _, v in named):
        return []
    return named if all(_flat(v) for _, row in named for v in row.values()) else []


def _cellwise(value: Any) -> bool:
    """Whether it is shown in one line: several records are a table."""
    return _flat(value) and len(_rows(value)) < 2


def generic(
    value: Mapping[str, Any], definitions: Definitions | None = None, depth: int = 0
) -> list[Block]:
    """A JSON object: what is plain as a list, records as tables, the rest folded, level by
    level.
    """
    detail = definitions or {}
    plain = [(name, _shown(v)) for name, v in value.items() if _cellwise(v)]
    blocks: list[Block] = [Facts(plain)] if plain else []
    for name, inner in value.items():
        if _cellwise(inner):
            continue
        body = _inner(name, inner, detail, depth)
        if depth or sum(map(_size, body)) > MOST_CELLS:
            blocks.append(Folded(name, body))
        else:
            blocks += [Heading(name), *body]
    return blocks


def _size(block: Block) -> int:
    """How many cells it has."""
    if isinstance(block, Sortable):
        return len(block.table.rows) * len(block.table.columns)
    return sum(map(_size, block.blocks)) if isinstance(block, Folded) else 1


def _named(records: Sequence[Any]) -> list[tuple[str, Any]]:
    """The records of a list by their scenario, if that tells them apart, else by their place."""
    known = [str(r["scenario"]) for r in records if isinstance(r, Mapping) and "scenario" in r]
    names = known if len(set(known)) == len(records) else [str(i) for i in range(len(records))]
    return list(zip(names, records, strict=True))


def _inner(name: str, value: Any, detail: Definitions, depth: int) -> list[Block]:
    rows = _rows(value)
    if rows:
        heads = list(dict.fromkeys(key for _, row in rows for key in row))
        inside = [[_value(row.get(head)) for head in heads] for _, row in rows]
        columns = [
            _column(head, about(head, detail), [row[i] for row in inside])
            for i, head in enumerate(heads)
        ]
        if isinstance(value, Mapping):
            columns = [names(name), *columns]
            inside = [[key, *row] for (key, _), row in zip(rows, inside, strict=True)]
        kind = "tall" if len(inside) > 40 else ""
        return [Sortable(Table(name, columns, inside), kind)]
    items = list(value.items()) if isinstance(value, Mapping) else _named(value)
    return generic(dict(items), detail, depth + 1)


def _column(head: str, detail: str, values: Sequence[Value]) -> Column:
    """The column of these values, to the left if any of them is words."""
    column = numbers(head, detail)
    return column._replace(left=any(isinstance(cell(v, column).key, str) for v in values))
