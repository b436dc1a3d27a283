"""Any JSON as lists and tables, for results that no other function knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tpssim.core.statistics import Estimate
from tpssim.output.format import number
from tpssim.output.html.markup import (
    WORD_MEANINGS,
    Cell,
    Column,
    about,
    badge,
    estimate,
    facts,
    folded,
    name_cell,
    table,
    text,
)
from tpssim.output.records.checks import fault
from tpssim.output.records.parts import Interval

Definitions = Mapping[str, Mapping[str, Any]]


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


def cell(value: Any, told: str = "") -> Cell:
    """A value that is no table itself."""
    if _estimate(value):
        return estimate(value)._replace(told=told)
    if isinstance(value, bool) or value is None or isinstance(value, str):
        shown = (
            value or "-" if isinstance(value, str) else {True: "yes", False: "no", None: "-"}[value]
        )
        return Cell(badge(shown) if shown in WORD_MEANINGS else text(shown), text(shown), told)
    if isinstance(value, Mapping):
        shown = ", ".join(f"<small>{text(k)}</small> {cell(v).shown}" for k, v in value.items())
        return Cell(shown or "-", text(value), told)
    if isinstance(value, list) and len(value) == 1:
        return cell(value[0], told)
    if isinstance(value, list):
        return Cell(", ".join(cell(v).shown for v in value) or "-", text(value), told)
    return Cell(number(float(value)), float(value), told)


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
) -> str:
    """A JSON object: what is plain as a list, records as tables, the rest folded, level by
    level.
    """
    told = definitions or {}
    plain = [(name, cell(v, about(name, told)).shown) for name, v in value.items() if _cellwise(v)]
    parts = [facts(plain)] if plain else []
    for name, inner in value.items():
        if _cellwise(inner):
            continue
        body = _inner(name, inner, told, depth)
        parts.append(
            folded(name, body) if depth or len(body) > 200_000 else f"<h3>{text(name)}</h3>{body}"
        )
    return "\n".join(parts)


def _named(records: Sequence[Any]) -> list[tuple[str, Any]]:
    """The records of a list by their scenario, if that tells them apart, else by their place."""
    known = [str(r["scenario"]) for r in records if isinstance(r, Mapping) and "scenario" in r]
    names = known if len(set(known)) == len(records) else [str(i) for i in range(len(records))]
    return list(zip(names, records, strict=True))


def _inner(name: str, value: Any, told: Definitions, depth: int) -> str:
    rows = _rows(value)
    if rows:
        heads = list(dict.fromkeys(key for _, row in rows for key in row))
        named = isinstance(value, Mapping)
        columns = [
            *([Column(name)] if named else []),
            *(Column(head, about(head, told)) for head in heads),
        ]
        lines = [
            [*([name_cell(key)] if named else []), *(cell(row.get(head)) for head in heads)]
            for key, row in rows
        ]
        return table(columns, lines, name, "tall" if len(lines) > 40 else "")
    items = list(value.items()) if isinstance(value, Mapping) else _named(value)
    return generic(dict(items), told, depth + 1)
