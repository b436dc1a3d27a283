"""What a page tells of a recorded live run that was decided again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tpssim.output.format import number, settings
from tpssim.output.html import drawings
from tpssim.output.html.compared import Progress
from tpssim.output.html.markup import (
    Cell,
    Column,
    facts,
    measures,
    name_cell,
    section,
    table,
    text,
)
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


def replay(result: Result[ReplayRecord], progress: Progress) -> Iterator[str]:
    summary = result.record
    recording = summary.recording
    decided = f"<b>{summary.decisions:,} decisions, all as recorded, to the bit</b>"
    if summary.difference:
        decided = f"<b>not as recorded</b>: {text(summary.difference)}"
    given = settings(recording["parameters"])
    told = [
        ("decided again", decided),
        ("law", text(recording["controller"])),
        ("its parameters", text(given or "none")),
        ("calls", text(summary.calls)),
        ("recording", "complete" if summary.complete else "cut off before the end of the run"),
    ]
    laws = _laws(summary.numbers)
    if flattered := summary.flattered:
        names = text(", ".join(flattered))
        laws += (
            f"<p><b>{names}</b>: more than was recorded, of calls that overlapped. Do not rely on"
            " it.</p>"
        )
    without = f"<p>{text(summary.without)}</p>" if summary.without else ""
    yield section("At a glance", facts(told) + laws + f"<p>{CAVEAT}</p>{without}")
    for picture in (result.folder / figure["file"] for figure in summary.figures):
        if not picture.is_file():
            continue
        label = "commanded and delivered rate over time: live, and what each law would have done"
        yield section(
            "Rates", drawings.figure(drawings.embedded(picture, label), text(label), "wide")
        )
    progress(1, 1)
    if live := {k: v for k, v in summary.report.items() if k in summary.definitions}:
        yield section("The live run in numbers", measures(live, summary.definitions))


def _laws(numbers: Mapping[str, Mapping[str, Any]]) -> str:
    columns = [
        Column("law", "live: as it went; simulated: on the service times of the recording"),
        *(
            Column(f"{head} {unit}", f"{head}, {unit}: {told}")
            for head, _, unit, told in NUMBERS.values()
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
    return table(columns, rows, "what each law comes to")
