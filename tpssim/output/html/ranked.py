"""What a page tells of a league."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tpssim.core.statistics import CONFIDENCE
from tpssim.output import format
from tpssim.output.html import drawings
from tpssim.output.html.blocks import Figure, Paragraph, Section, Sortable
from tpssim.output.html.cells import cell, estimate, names, numbers, verdict, words
from tpssim.output.html.reading import Result
from tpssim.output.records import LeagueRecord
from tpssim.output.records.comparisons import Standing
from tpssim.output.spans import Span, spans, strong
from tpssim.output.tables import Column, Table, Value

Progress = Callable[[int, int], None]

SCORE = Column("score", digits=3, detail="weighted geometric mean of its parts, from 0 to 1 (best)")

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
            *spans(cell(estimate(first["score"]), SCORE).shown),
            Span(f" on {first['scenarios']} scenarios, those where its actuator acts."),
        ]
    )
    table = _standings(summary, summary.standings, "standings")
    yield Section("At a glance", [lead, Sortable(table)])
    for path in (result.folder / figure["file"] for figure in summary.figures):
        if not path.is_file():
            continue
        drawn = drawings.embedded(path, "score and verdict of every throttle on every scenario")
        yield Section("Matrix", [Figure(drawn, "", "wide")])
    progress(1, 1)
    if summary.held_out:
        table = _standings(summary, summary.held_out, "held out")
        yield Section("Held-out scenarios alone", [Sortable(table)])
    yield Section("Every throttle on every scenario", [Sortable(_cells(summary), "tall")])


def _standings(summary: LeagueRecord, standings: list[Standing], title: str) -> Table:
    parts = summary.parts
    halves = list(dict.fromkeys(summary.halves.values()))
    behind = f"score of the first - its own, on the scenarios of both; ±: {BEHIND}"
    columns = [
        names("throttle"),
        numbers("rank"),
        words("actuator", "what the law commands"),
        numbers("on", "scenarios where its actuator acts"),
        SCORE,
        Column("behind", digits=3, detail=behind),
        *(
            _score(name, f"{part['definition']}; weight {part['weight']:g}")
            for name, part in parts.items()
        ),
        *(_score(name, f"mean score on the {name} scenarios") for name in halves),
    ]
    rows: list[list[Value]] = [
        [
            row["throttle"],
            float(row["rank"]),
            row["actuator"],
            float(row["scenarios"]),
            estimate(row["score"]),
            estimate(row["behind"]),
            *(row["parts"][name] for name in parts),
            *(row["halves"].get(name) for name in halves),
        ]
        for row in standings
    ]
    return Table(title, columns, rows)


def _cells(summary: LeagueRecord) -> Table:
    scores = ["score", *summary.parts]
    columns = [
        names("scenario"),
        *map(words, ("half", "throttle", "verdict")),
        *map(_score, scores),
    ]
    cells: list[Mapping[str, Any]] = [*summary.cells]
    rows = [
        [
            row["scenario"],
            row["half"],
            row["throttle"],
            verdict(row["verdict"], "", ""),
            *(row[name] for name in scores),
        ]
        for row in cells
    ]
    return Table("cells", columns, rows)


def _score(name: str, detail: str = "") -> Column:
    return Column(name, digits=2, detail=detail)
