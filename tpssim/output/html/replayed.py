"""What a page tells of a recorded live run that was decided again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tpssim.output.format import number, settings
from tpssim.output.html import drawings
from tpssim.output.html.blocks import (
    Block,
    Cell,
    Column,
    Facts,
    Figure,
    Paragraph,
    Section,
    Span,
    Table,
    Text,
    measures,
    name_cell,
    strong,
)
from tpssim.output.html.compared import Progress
from tpssim.output.html.reading import Result
from tpssim.output.records import ReplayRecord

#: The numbers of a law: their name here, scale, unit, definition.
NUMBERS = {
    "throughput": ("throughput", 1.0, "1/s", "calls that went well a second"),
    "commanded": ("commanded", 1.0, "1/s", "mean of the commanded rate over time"),
    "spread": (
        "spread",
        100.0,
        "%",
        "95th - 5th percentile of the commanded rate of the whole run, over its mean",
    ),
    "response_p50": ("response p50", 1e3, "ms", "median of completion - scheduled release"),
    "response_p99": (
        "response p99",
        1e3,
        "ms",
        "99th percentile of completion - scheduled release",
    ),
}
CAVEAT = (
    "Simulated calls take as long as recorded ones of the same moment did. That the service may"
    " have been slow because of the calls themselves is not in it: a law that sends more is"
    " flattered."
)


def replay(result: Result[ReplayRecord], progress: Progress) -> Iterator[Section]:
    summary = result.record
    recording = summary.recording
    decided: Text = [strong(f"{summary.decisions:,} decisions, all as recorded, to the bit")]
    if summary.difference:
        decided = [strong("not as recorded"), Span(f": {summary.difference}")]
    shown: list[tuple[Text, Text]] = [
        ("decided again", decided),
        ("law", recording["controller"]),
        ("its parameters", settings(recording["parameters"]) or "none"),
        ("calls", str(summary.calls)),
        ("recording", "complete" if summary.complete else "cut off before the end of the run"),
    ]
    blocks: list[Block] = [Facts(shown), _laws(summary.numbers)]
    if summary.flattered:
        names = strong(", ".join(summary.flattered))
        more = ": more than was recorded, of calls that overlapped. Do not rely on it."
        blocks.append(Paragraph([names, Span(more)]))
    blocks.append(Paragraph(CAVEAT))
    if summary.without:
        blocks.append(Paragraph(summary.without))
    yield Section("At a glance", blocks)
    for picture in (result.folder / figure["file"] for figure in summary.figures):
        if not picture.is_file():
            continue
        label = "commanded and delivered rate over time: live, and what each law would have done"
        yield Section("Rates", [Figure(drawings.embedded(picture, label), label, "wide")])
    progress(1, 1)
    if live := {k: v for k, v in summary.report.items() if k in summary.definitions}:
        yield Section("The live run in numbers", [measures(live, summary.definitions)])


def _laws(numbers: Mapping[str, Mapping[str, Any]]) -> Table:
    columns = [
        Column("law", "live: as it went; simulated: on the service times of the recording"),
        *(
            Column(f"{head} {unit}", f"{head}, {unit}: {shown}")
            for head, _, unit, shown in NUMBERS.values()
        ),
    ]
    rows = [
        [
            name_cell(label),
            *(
                Cell(number(None if row[name] is None else row[name] * scale), row[name])
                for name, (_, scale, _, _) in NUMBERS.items()
            ),
        ]
        for label, row in numbers.items()
    ]
    return Table(columns, rows, "what each law comes to")
