"""What a page tells of a result: a function for each verb whose results are known, one for all
others.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from tpssim.core.statistics import Estimate
from tpssim.output import format
from tpssim.output.columns import columns as columns_of
from tpssim.output.format import number
from tpssim.output.html import drawings
from tpssim.output.html.blocks import (
    Block,
    Facts,
    Figure,
    Figures,
    Items,
    Legend,
    Paragraph,
    Section,
    Sortable,
)
from tpssim.output.html.cells import heads, measures, names, numbers, verdict, words
from tpssim.output.html.compared import SHOWN, Progress, compare, over_draws
from tpssim.output.html.fitted import fit
from tpssim.output.html.generic import generic
from tpssim.output.html.over_services import over_services
from tpssim.output.html.ranked import league
from tpssim.output.html.reading import Result
from tpssim.output.html.recommended import recommend
from tpssim.output.html.replayed import replay
from tpssim.output.html.tuned import tune
from tpssim.output.over_draws import draws_table
from tpssim.output.pictures import read_picture
from tpssim.output.records import LiveRecord, Record, SimulateRecord, SweepRecord, parts
from tpssim.output.spans import Span, Text, strong
from tpssim.output.tables import Table, Value
from tpssim.output.verdict_words import GROWING, WORDS, merit

FACTOR = "a factor of the sweep"


def sweep(result: Result[SweepRecord], progress: Progress) -> Iterator[Section]:
    summary = result.record
    points, factors = summary.points, summary.factors
    counts = Counter(point["verdict"] for point in points)
    items: list[Text] = [
        [Span(word, "verdict"), Span(f" at {counts[word]} of {len(points)} points")]
        for word in (*reversed(WORDS), "failed")
        if counts[word]
    ]
    calls = sum(point["calls"] for point in points)
    lead = Paragraph(
        [
            strong(summary.controller),
            Span(" on "),
            strong(summary.scenario),
            Span(
                f": {len(points)} points of {' x '.join(factors)}, {summary.replications}"
                f" replications each, {calls:,} calls."
            ),
        ]
    )
    best = min(points, key=_merit)
    if best["achieved"] is not None:
        items.append(_best(best, factors))
    yield Section("At a glance", [lead, Items(items, "words")])
    drawn = []
    pictures = sorted(
        summary.figures, key=lambda figure: (figure.get("measure") != "verdict", figure["file"])
    )
    for done, figure in enumerate(pictures, start=1):
        found = drawings.of_sweep(summary, figure) or _embedded(result, figure)
        if found:
            drawn.append(Figure(found, drawings.caption(figure, summary), "wide"))
        progress(done, len(pictures))
    if drawn:
        yield Section("Pictures", [Figures(drawn, "pictures")])
    if summary.failures:
        failed = [f"{f['type']}: {f['message']}" for f in summary.failures]
        yield Section("Points that failed", [Items(failed)])
    if summary.over_draws:
        heads = [names(name) for name in factors]
        levels = [[_level(point[name]) for name in factors] for point in points]
        table = draws_table(summary.scenario, heads, zip(levels, summary.over_draws, strict=True))
        yield Section("Services that may have been it", over_draws(table))
    yield Section("Points", _points(result))


def _best(best: Mapping[str, Any], factors: Iterable[str]) -> list[Span]:
    """Where a sweep did best, and by what that is judged."""
    word, p99 = best["verdict"], best["response_p99"]
    by = "the shortest response at p99" if word in GROWING else "its share and what it achieves"
    none = "" if word == "converges" else "no point converges; "
    at = (f"{name}={_level(best[name])}" for name in factors)
    achieved = f", achieved {format.fixed(best['achieved'], 1, 100.0)} %"
    response = "" if p99 is None else f", response {number(p99)} s at p99"
    return [
        Span(f"{none}best by verdict, then by {by}: "),
        strong(", ".join(at)),
        Span(", "),
        Span(word, "verdict"),
        Span(achieved + response),
    ]


def _level(value: float | str) -> str:
    """The value of a factor."""
    return value if isinstance(value, str) else number(value)


def _embedded(result: Result[Any], figure: parts.Figure, label: str = "") -> str:
    """The picture as it lies in the folder; "" where it does not."""
    path = result.folder / figure["file"]
    return drawings.embedded(path, label or figure["name"]) if path.is_file() else ""


def _merit(point: Mapping[str, Any]) -> tuple[float, float, float]:
    return merit(
        *(point[name] for name in ("verdict", "verdict_share", "achieved", "response_p99"))
    )


def _points(result: Result[SweepRecord]) -> list[Block]:
    summary, definitions = result.record, result.record.defined()
    shown = {**SHOWN, **columns_of("lateness_p99")}
    shown = {metric: how for metric, how in shown.items() if metric in definitions}
    columns = [
        *(
            names(name, f"{name} ({unit}): {FACTOR}" if unit else FACTOR)
            for name, unit in summary.factors.items()
        ),
        words("verdict", "what the majority of the runs came to, and how many of them"),
        *heads(shown, definitions),
    ]
    runs = summary.replications
    rows = []
    for point in summary.points:
        row: list[Value] = [point[name] for name in summary.factors]
        row.append(
            verdict(point["verdict"], format.out_of(point["verdict_share"], runs), point["failure"])
        )
        for metric in shown:
            mean, low, high = (point[name] for name in (metric, f"{metric}_low", f"{metric}_high"))
            never = point.get(f"{metric}_never", 0)
            row.append(Estimate(mean, low, high, point[f"{metric}_n"], never))
        rows.append(row)
    more = "Every measure of every point, with its interval, is in points.csv beside the summary."
    return [Sortable(Table("points", columns, rows), "tall"), Paragraph(more)]


def live(result: Result[LiveRecord], progress: Progress) -> Iterator[Section]:
    summary, definitions = result.record, result.record.defined()
    report: Mapping[str, Any] = summary.report
    n = {name: number(value) for name, value in report.items() if name != "verdict"}
    shown: list[tuple[Text, Text]] = [
        ("verdict", [strong(report["verdict"])]),
        ("law", summary.controller),
        ("calls", f"{n['released']} in {n['seconds']} s: {n['ok']} ok, {n['errors']} failed"),
        ("rate", f"{n['rate']}/s; commanded {n['commanded']}, wanted {n['wanted']}"),
    ]
    if summary.stopped:
        shown.append(("interrupted by", summary.stopped))
    if summary.failed:
        shown.append(("conditions that failed it", ", ".join(summary.failed)))
    yield Section("At a glance", [Facts(shown)])
    progress(0, 1)
    label = "commanded and delivered rate over time"
    for figure in summary.figures:
        picture = _run_of(result, figure)
        drawn = _embedded(result, figure, label)
        if picture is not None:
            drawn = drawings.overlay(picture, label, "live")
        if drawn:
            yield Section("Rates", [Figure(drawn, "", "wide")])
    progress(1, 1)
    found = {k: v for k, v in report.items() if k != "verdict"}
    yield Section("Numbers", [Sortable(measures(found, definitions))])
    if summary.failures:
        counts: list[list[Value]] = [[k, float(calls)] for k, calls in summary.failures.items()]
        table = Table("failures", [names("failure"), numbers("calls")], counts)
        yield Section("Failures", [Sortable(table)])


def _run_of(result: Result[Any], figure: parts.Figure) -> drawings.Picture | None:
    """The run that a picture is drawn from, where it is in the folder."""
    files = figure.get("traces", {}).values()
    found = (read_picture(result.folder / file) for file in files)
    return next((run for run in found if run is not None), None)


def simulate(result: Result[SimulateRecord], progress: Progress) -> Iterator[Section]:
    summary = result.record
    found = summary.verdict
    shown: list[tuple[Text, Text]] = [
        ("verdict", [Span(found["word"], "verdict"), Span(f" {found['reason']}")]),
        ("law", summary.controller),
        ("scenario", summary.scenario),
        ("parameters", format.settings(summary.parameters) or "as it is printed"),
    ]
    yield Section("At a glance", [Facts(shown)])
    label = f"{summary.controller} on {summary.scenario}: rates over time"
    for figure in summary.figures:
        picture, drawn = _run_of(result, figure), _embedded(result, figure, label)
        if picture is not None:
            drawn = drawings.panel(picture, label, drawings.shared_axes([picture]))
            lines = Legend(drawings.legend([picture]))
            yield Section("Rates", [lines, Figure(drawn, "", "wide")])
        elif drawn:
            yield Section("Rates", [Figure(drawn, "", "wide")])
    never = dict.fromkeys(summary.never, math.inf)
    table = measures({**summary.metrics, **never}, summary.defined())
    yield Section("Measures", [Sortable(table)])


def other(result: Result[Record], progress: Progress) -> Iterator[Section]:
    """The pictures of a record, and whatever it says, as it says it."""
    hidden = ("kind", "schema_version", "tpssim", "command", "figures")
    record = result.record
    pictures = [
        Figure(drawn, PurePosixPath(figure["file"]).stem, "wide")
        for figure in record.figures
        if (drawn := _embedded(result, figure))
    ]
    if pictures:
        yield Section("Pictures", [Figures(pictures, "pictures")])
    shown = {k: v for k, v in record.to_dict().items() if k not in hidden}
    yield Section("Results", generic(shown, record.defined()))


#: By kind of record; what is not here is shown as it is.
KINDS: dict[str, Callable[[Result[Any], Progress], Iterator[Section]]] = {
    "compare": compare,
    "league": league,
    "services": over_services,
    "sweep": sweep,
    "live": live,
    "simulate": simulate,
    "tune": tune,
    "replay": replay,
    "fit": fit,
    "recommend": recommend,
}
