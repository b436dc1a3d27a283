"""What a page tells of a service that was learned from a recording."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tpssim.output.fit_words import estimate, in_words, meaning, quota_in_words
from tpssim.output.format import number
from tpssim.output.html import drawings
from tpssim.output.html.blocks import (
    Block,
    Command,
    Facts,
    Figure,
    Folded,
    Paragraph,
    Section,
    Sortable,
)
from tpssim.output.html.cells import named
from tpssim.output.html.compared import Progress
from tpssim.output.html.reading import Result
from tpssim.output.records import FitRecord
from tpssim.output.spans import Span, Text, strong
from tpssim.output.tables import Column, Table, Value

PICTURE = "recorded against simulated: answers over calls in flight, latencies over time"


def fit(result: Result[FitRecord], progress: Progress) -> Iterator[Section]:
    summary = result.record
    check = summary.check
    word = strong("The twin holds" if check["holds"] else "The twin does not hold")
    said = Span(check["said"].partition("hold")[2].removeprefix("s"))
    recording = summary.recording
    shown: list[tuple[Text, Text]] = [
        ("the service", summary.said),
        ("recording", f"{recording['path']}: {recording['format']}, {summary.calls:,} calls"),
        *(("of the file", note) for note in recording["notes"]),
        *(("its quota", quota_in_words(quota)) for quota in summary.quotas),
    ]
    blocks: list[Block] = [Paragraph([word, said]), Facts(shown)]
    for figure in summary.figures:
        picture = result.folder / figure["file"]
        if picture.is_file():
            blocks.append(Figure(drawings.embedded(picture, PICTURE), PICTURE, "wide"))
    yield Section("At a glance", blocks)
    progress(1, 1)
    yield Section("What the recording says", [Sortable(_estimates(summary)), *_changes(summary)])
    if summary.unidentified:
        yield Section("What it does not say", list(_unknown(summary)))
    yield Section("The check", [Sortable(_check(check)), Paragraph(check["said"])])
    file = Command(summary.toml.rstrip())
    yield Section("The file", [Folded("the service as a scenario's file", [file])])


def _estimates(summary: FitRecord) -> Table:
    columns = [
        Column("number", left=True, names=True, detail="pointed at: its name in a scenario"),
        Column("estimate", digits=None),
        Column("unit", left=True),
        Column("95 % interval", left=True, detail="or a bound"),
    ]
    rows: list[list[Value]] = []
    for name, found in {"plateau": summary.plateau, **summary.estimates}.items():
        words, unit, scale = meaning(name)
        known = estimate(found, scale)
        rows.append([named(words, name), known, unit or "ratio", in_words(found, scale)])
    return Table("", columns, rows)


def _changes(summary: FitRecord) -> Iterator[Block]:
    for change in summary.changes:
        since, factor = number(change["time"]), number(change["factor"])
        yield Paragraph(f"From {since} s on it takes {factor} times as long.")


def _unknown(summary: FitRecord) -> Iterator[Block]:
    for missing in summary.unidentified:
        because = f": {missing['because']}. This would tell:"
        yield Paragraph([strong(missing["name"]), Span(because)])
        yield Command(missing["experiment"])


def _check(check: Mapping[str, Any]) -> Table:
    detail = f"in 95 % of the runs of the twin, by {check['runs']} of them"
    columns = [
        Column("number", left=True, names=True),
        Column("unit", left=True),
        Column("recorded", digits=None),
        Column("simulated", digits=None),
        Column("from", digits=None, detail=detail),
        Column("to", digits=None, detail=detail),
        Column("allowed", digits=None, detail="difference from the recorded number"),
        Column("holds", left=True),
    ]
    rows = []
    for row in check["rows"]:
        scale = {"ms": 1e3, "%": 100.0}.get(row["unit"], 1.0)
        names = ("recorded", "simulated", "low", "high", "allowed")
        numbers = [None if row[name] is None else scale * row[name] for name in names]
        word = "yes" if row["holds"] else "no"
        rows.append([row["name"], row["unit"], *numbers, word])
    return Table("", columns, rows)
