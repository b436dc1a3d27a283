"""What a page tells of a recorded live run that was decided again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tpssim.output.format import number, settings
from tpssim.output.html import drawings
from tpssim.output.html.blocks import Block, Facts, Figure, Paragraph, Section, Sortable
from tpssim.output.html.cells import measures, names, numbers, words
from tpssim.output.html.compared import Progress
from tpssim.output.html.reading import Result
from tpssim.output.records import ReplayRecord
from tpssim.output.records.live_runs import Between
from tpssim.output.spans import Span, Text, strong
from tpssim.output.tables import Cell, Table, Value

RESPONSE = "of completion - scheduled release, of calls that went well"
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
    "response_p50": ("response p50", 1e3, "ms", f"median {RESPONSE}"),
    "response_p99": ("response p99", 1e3, "ms", f"99th percentile {RESPONSE}"),
}
PREDICTED = ("throughput", "response_p50", "response_p99")
CAVEAT = (
    "Simulated calls take as long as recorded ones of the same moment did. That the service may"
    " have been slow because of the calls themselves is not in it: a law that sends more is"
    " flattered."
)


def replay(result: Result[ReplayRecord], progress: Progress) -> Iterator[Section]:
    summary = result.record
    recording = summary.recording
    shown: list[tuple[Text, Text]] = [
        ("replay", [strong(summary.said())]),
        ("law", recording["controller"]),
        ("its parameters", settings(recording["parameters"]) or "none"),
        ("calls", str(summary.calls)),
        ("recording", "complete" if summary.complete else "cut off before the end of the run"),
    ]
    blocks: list[Block] = [Facts(shown), Sortable(_laws(summary.numbers))]
    if summary.flattered:
        names = strong(", ".join(summary.flattered))
        what = "of a service that was never full" if summary.twin else "of calls that overlapped"
        more = f": more than was recorded, {what}. Do not rely on it."
        blocks.append(Paragraph([names, Span(more)]))
    if not summary.twin:
        blocks.append(Paragraph(CAVEAT))
    if summary.without:
        blocks.append(Paragraph(summary.without))
    yield Section("At a glance", blocks)
    if summary.twin:
        yield Section("What the laws would come to", _predicted(summary))
    for picture in (result.folder / figure["file"] for figure in summary.figures):
        if not picture.is_file():
            continue
        label = "commanded and delivered rate over time: live, and what each law would have done"
        yield Section("Rates", [Figure(drawings.embedded(picture, label), label, "wide")])
    progress(1, 1)
    if live := {k: v for k, v in summary.report.items() if k in summary.definitions}:
        table = measures(live, summary.definitions)
        yield Section("The live run in numbers", [Sortable(table)])


def _predicted(summary: ReplayRecord) -> list[Block]:
    """The intervals over services that may have been the recorded one."""
    about = (
        "The calls overlapped, so the simulated ones are on a service fitted to them,"
        f" {summary.twin}, and on others that may have been it. In 95 of 100 such runs the numbers"
        " are between these, which hold what is open of the service and what is chance."
    )
    columns = [names("law")]
    for name in PREDICTED:
        head, _, unit, shown = NUMBERS[name]
        columns.append(words(f"{head} {unit}", f"{head}, {unit}: {shown}"))
    rows: list[list[Value]] = [
        [label, *(_between(row[name], NUMBERS[name][1]) for name in PREDICTED)]
        for label, row in summary.predicted.items()
    ]
    return [Paragraph(about), Sortable(Table("what the laws would come to", columns, rows))]


def _between(found: Between, scale: float) -> Cell:
    """An interval, sorted by its middle."""
    ends = [None if end is None else number(scale * end) for end in (found["low"], found["high"])]
    return Cell(" to ".join("-" if end is None else end for end in ends), found["middle"])


def _laws(laws: Mapping[str, Mapping[str, Any]]) -> Table:
    columns = [
        names("law", "live: as it went; simulated: on the service of the recording"),
        *(
            numbers(head, f"{head}, {unit}: {shown}", unit, scale)
            for head, scale, unit, shown in NUMBERS.values()
        ),
    ]
    rows = [[label, *(row[name] for name in NUMBERS)] for label, row in laws.items()]
    return Table("what each law comes to", columns, rows)
