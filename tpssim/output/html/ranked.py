"""What a page tells of a league."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tpssim.core.statistics import CONFIDENCE
from tpssim.output import format
from tpssim.output.html import drawings
from tpssim.output.html.blocks import (
    Cell,
    Column,
    Figure,
    Paragraph,
    Section,
    Span,
    Table,
    estimate,
    name_cell,
    number_cell,
    spans,
    strong,
    verdict,
    word_cell,
)
from tpssim.output.html.reading import Result
from tpssim.output.records import LeagueRecord
from tpssim.output.records.comparisons import Standing

Progress = Callable[[int, int], None]

#: What no single ± of the page is.
BEHIND = f"{format.share(CONFIDENCE)} for all of a table together"


def league(result: Result[LeagueRecord], progress: Progress) -> Iterator[Section]:
    """The standings, the matrix of throttle by scenario, and every cell of it."""
    summary = result.record
    first = summary.standings[0]
    lead = Paragraph(
        [
            Span(f"First of {len(summary.standings)}: "),
            strong(first["throttle"]),
            Span(", a score of "),
            *spans(estimate(first["score"], 1.0, 3).shown),
            Span(f" on {first['scenarios']} scenarios, those where its actuator acts."),
        ]
    )
    yield Section("At a glance", [lead, _standings(summary, summary.standings, "standings")])
    for path in (result.folder / figure["file"] for figure in summary.figures):
        if not path.is_file():
            continue
        drawn = drawings.embedded(path, "score and verdict of every throttle on every scenario")
        yield Section("Matrix", [Figure(drawn, "", "wide")])
    progress(1, 1)
    if summary.held_out:
        table = _standings(summary, summary.held_out, "held out")
        yield Section("Held-out scenarios alone", [table])
    yield Section("Every throttle on every scenario", [_cells(summary)])


def _standings(summary: LeagueRecord, rows: list[Standing], label: str) -> Table:
    parts = summary.parts
    halves = list(dict.fromkeys(summary.halves.values()))
    columns = [
        Column("throttle"),
        Column("rank"),
        Column("actuator", "what the law commands"),
        Column("on", "scenarios where its actuator acts"),
        Column("score", "weighted geometric mean of its parts, from 0 to 1 (best)"),
        Column("behind", f"score of the first - its own, on the scenarios of both; ±: {BEHIND}"),
        *(
            Column(name, f"{part['definition']}; weight {part['weight']:g}")
            for name, part in parts.items()
        ),
        *(Column(name, f"mean score on the {name} scenarios") for name in halves),
    ]
    return Table(
        columns,
        [
            [
                name_cell(row["throttle"]),
                number_cell(float(row["rank"])),
                word_cell(row["actuator"]),
                number_cell(float(row["scenarios"])),
                estimate(row["score"], 1.0, 3),
                estimate(row["behind"], 1.0, 3),
                *(_score(row["parts"][name]) for name in parts),
                *(_score(row["halves"].get(name)) for name in halves),
            ]
            for row in rows
        ],
        label,
    )


def _cells(summary: LeagueRecord) -> Table:
    names = [*summary.parts]
    columns = [
        Column(head) for head in ("scenario", "half", "throttle", "verdict", "score", *names)
    ]
    cells: list[Mapping[str, Any]] = [*summary.cells]
    rows = [
        [
            name_cell(row["scenario"]),
            word_cell(row["half"]),
            word_cell(row["throttle"]),
            verdict(row["verdict"], "", ""),
            *(_score(row[name]) for name in ("score", *names)),
        ]
        for row in cells
    ]
    return Table(columns, rows, "cells", "tall")


def _score(value: float | None) -> Cell:
    return Cell(format.fixed(value, 2), value)
