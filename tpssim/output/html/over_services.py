"""What a page tells of throttles on services at random."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tpssim.core.statistics import CONFIDENCE
from tpssim.output import format
from tpssim.output.html import drawings
from tpssim.output.html.blocks import Figure, Paragraph, Section, Sortable
from tpssim.output.html.cells import cell, estimate, names, numbers, words
from tpssim.output.html.reading import Result
from tpssim.output.records import ServicesRecord
from tpssim.output.records.services import Standing
from tpssim.output.spans import Span, spans, strong
from tpssim.output.tables import Column, Table, Value

Progress = Callable[[int, int], None]

SHARE = Column("share", digits=3, detail="mean share of the oracle's goodput")
BEHIND = f"share of the first - its own, in pairs; ±: {format.share(CONFIDENCE)} for all together"
COLUMNS = (
    names("throttle"),
    numbers("on", "services on which its actuator acts"),
    SHARE,
    Column("behind", digits=3, detail=BEHIND),
    numbers("near", "services on which it is within 2 % of the best throttle there", "%", 100.0),
    numbers("below 0.9", "services on which it is below 0.9 of that", "%", 100.0),
    numbers("below 0.7", "services on which it is below 0.7 of that", "%", 100.0),
    words("worst", "the service on which it is farthest behind the best"),
    Column("of the best", digits=2, detail="its share of the best on the worst service"),
)


def over_services(result: Result[ServicesRecord], progress: Progress) -> Iterator[Section]:
    """The standings on all services and by family, the picture, and every share."""
    summary = result.record
    first, number = summary.standings[0], len({row["service"] for row in summary.services})
    lead = Paragraph(
        [
            Span(f"First of {len(summary.standings)}: "),
            strong(first["throttle"]),
            Span(", a share of "),
            *spans(cell(estimate(first["share"]), SHARE).shown),
            Span(f" of the oracle's goodput on {number} services of {len(summary.families)}"),
            Span(" families."),
        ]
    )
    table = Table("standings", COLUMNS, _rows(summary.standings))
    yield Section("At a glance", [lead, Sortable(table)])
    for path in (result.folder / figure["file"] for figure in summary.figures):
        if path.is_file():
            drawn = drawings.embedded(path, "share of every throttle on every family")
            yield Section("Families", [Figure(drawn, "", "wide")])
    progress(1, 1)
    by_family: list[list[Value]] = [
        [name or "others", summary.kinds[name], *row]
        for name, standings in summary.families.items()
        for row in _rows(standings)
    ]
    about = (names("family"), words("for", "tuning or judging"), words("throttle"), *COLUMNS[1:])
    table = Table("by family", about, by_family)
    yield Section("Every throttle on every family", [Sortable(table, "tall")])
    columns = [names("service"), words("throttle"), SHARE, Column("of the best", digits=2)]
    rows: list[list[Value]] = [
        [s["service"], s["throttle"], s["share"], s["of_best"]] for s in summary.services
    ]
    table = Table("services", columns, rows)
    yield Section("Every throttle on every service", [Sortable(table, "tall")])


def _rows(standings: Sequence[Standing]) -> list[list[Value]]:
    return [
        [
            row["throttle"],
            float(row["services"]),
            estimate(row["share"]),
            estimate(row["behind"]),
            row["near"],
            row["below_90"],
            row["below_70"],
            row["worst"]["service"],
            row["worst"]["share_of_best"],
        ]
        for row in standings
    ]
