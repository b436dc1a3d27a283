"""What a page tells of a result: a function for each verb whose results are known, one for all
others.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from tpssim.output.format import number
from tpssim.output.html import drawings
from tpssim.output.html.compared import SHOWN, Progress, compare
from tpssim.output.html.generic import cell, generic
from tpssim.output.html.markup import (
    Cell,
    Column,
    about,
    badge,
    estimate,
    facts,
    measures,
    name_cell,
    section,
    table,
    text,
    verdict,
)
from tpssim.output.html.ranked import league
from tpssim.output.html.reading import Result
from tpssim.output.html.replayed import replay
from tpssim.output.html.tuned import tune
from tpssim.output.pictures import read_picture
from tpssim.output.records import LiveRecord, Record, SimulateRecord, SweepRecord
from tpssim.output.records.parts import Figure
from tpssim.output.verdict_words import GROWING, WORDS, merit


def sweep(result: Result[SweepRecord], progress: Progress) -> Iterator[str]:
    summary = result.record
    points, factors = summary.points, summary.factors
    words = Counter(point["verdict"] for point in points)
    count = "".join(
        f"<li>{badge(word)} at {words[word]} of {len(points)} points</li>"
        for word in (*reversed(WORDS), "failed")
        if words[word]
    )
    calls = sum(point["calls"] for point in points)
    lead = (
        f"<p><b>{text(summary.controller)}</b> on <b>{text(summary.scenario)}</b>:"
        f" {len(points)} points of {text(' x '.join(factors))}, {summary.replications}"
        f" replications each, {calls:,} calls.</p>"
    )
    best = min(points, key=_merit)
    if best["achieved"] is not None:
        at = ", ".join(f"{name}={cell(best[name]).shown}" for name in factors)
        word, p99 = best["verdict"], best["response_p99"]
        came = f"{badge(word)}, achieved {100.0 * best['achieved']:.1f} %"
        came += "" if p99 is None else f", response {number(p99)} s at p99"
        by = "the shortest response at p99" if word in GROWING else "its share and what it achieves"
        none = "" if word == "converges" else "no point converges; "
        count += f"<li>{none}best by verdict, then by {by}: <b>{at}</b>, {came}</li>"
    yield section("At a glance", f'{lead}<ul class="words">{count}</ul>')
    drawn = []
    pictures = sorted(
        summary.figures, key=lambda figure: (figure.get("measure") != "verdict", figure["file"])
    )
    for done, figure in enumerate(pictures, start=1):
        found = drawings.of_sweep(summary, figure) or _embedded(result, figure)
        if found:
            caption = text(drawings.caption(figure, summary))
            drawn.append(drawings.figure(found, caption, "wide"))
        progress(done, len(pictures))
    if drawn:
        yield section("Pictures", drawings.figures(drawn, "pictures"))
    if summary.failures:
        failed = [f"<li>{text(f['type'])}: {text(f['message'])}</li>" for f in summary.failures]
        yield section("Points that failed", f"<ul>{''.join(failed)}</ul>")
    yield section("Points", _points(result))


def _embedded(result: Result[Any], figure: Figure, label: str = "") -> str:
    """The picture as it lies in the folder; "" where it does not."""
    path = result.folder / figure["file"]
    return drawings.embedded(path, label or figure["name"]) if path.is_file() else ""


def _merit(point: Mapping[str, Any]) -> tuple[float, float, float]:
    return merit(
        *(point[name] for name in ("verdict", "verdict_share", "achieved", "response_p99"))
    )


def _points(result: Result[SweepRecord]) -> str:
    summary, definitions = result.record, result.record.defined()
    shown = {**SHOWN, "lateness_p99": ("late us", 1e6, 0)}
    shown = {metric: how for metric, how in shown.items() if metric in definitions}
    columns = [
        *(
            Column(
                name, f"{name} ({unit}): a factor of the sweep" if unit else "a factor of the sweep"
            )
            for name, unit in summary.factors.items()
        ),
        Column("verdict", "what the majority of the runs came to, and how many of them"),
        *(Column(head, about(metric, definitions)) for metric, (head, _, _) in shown.items()),
    ]
    runs = summary.replications
    rows = []
    for point in summary.points:
        row = [
            Cell(text(f"{v:.4g}" if isinstance(v, float) else v), v, head=True)
            for v in (point[name] for name in summary.factors)
        ]
        row.append(
            verdict(
                point["verdict"], f"{round(point['verdict_share'] * runs)}/{runs}", point["failure"]
            )
        )
        for metric, (_, scale, digits) in shown.items():
            mean, low, high = (point[name] for name in (metric, f"{metric}_low", f"{metric}_high"))
            never = point.get(f"{metric}_never", 0)
            n = point[f"{metric}_n"]
            found = {"mean": mean, "low": low, "high": high, "n": n, "never": never}
            row.append(estimate(found, scale, digits))
        rows.append(row)
    more = (
        "<p>Every measure of every point, with its interval, is in points.csv beside the"
        " summary.</p>"
    )
    return table(columns, rows, "points", "tall") + more


def live(result: Result[LiveRecord], progress: Progress) -> Iterator[str]:
    summary, definitions = result.record, result.record.defined()
    report: Mapping[str, Any] = summary.report
    n = {name: number(value) for name, value in report.items() if name != "verdict"}
    told = [
        ("verdict", f"<b>{text(report['verdict'])}</b>"),
        ("law", text(summary.controller)),
        ("calls", f"{n['released']} in {n['seconds']} s: {n['ok']} ok, {n['errors']} failed"),
        ("rate", f"{n['rate']}/s; commanded {n['commanded']}, wanted {n['target']}"),
    ]
    if summary.stopped:
        told.append(("stopped by", text(summary.stopped)))
    if summary.failed:
        told.append(("conditions that failed it", text(", ".join(summary.failed))))
    yield section("At a glance", facts(told))
    progress(0, 1)
    label = "commanded and delivered rate over time"
    for figure in summary.figures:
        picture = _run_of(result, figure)
        drawn = _embedded(result, figure, label)
        if picture is not None:
            drawn = drawings.overlay(picture, label, "live")
        if drawn:
            yield section("Rates", drawings.figure(drawn, "", "wide"))
    progress(1, 1)
    yield section(
        "Numbers", measures({k: v for k, v in report.items() if k != "verdict"}, definitions)
    )
    if summary.failures:
        rows = [[name_cell(k), Cell(f"{n:,}", float(n))] for k, n in summary.failures.items()]
        yield section("Failures", table([Column("failure"), Column("calls")], rows, "failures"))


def _run_of(result: Result[Any], figure: Figure) -> drawings.Picture | None:
    """The run that a picture is drawn from, where it is in the folder."""
    files = figure.get("traces", {}).values()
    found = (read_picture(result.folder / file) for file in files)
    return next((run for run in found if run is not None), None)


def simulate(result: Result[SimulateRecord], progress: Progress) -> Iterator[str]:
    summary = result.record
    found = summary.verdict
    yield section(
        "At a glance",
        facts(
            [
                ("verdict", f"{badge(found['word'])} {text(found['reason'])}"),
                ("law", text(summary.controller)),
                ("scenario", text(summary.scenario)),
                (
                    "parameters",
                    text(
                        ", ".join(f"{k}={v:g}" for k, v in summary.parameters.items())
                        or "as it is printed"
                    ),
                ),
            ]
        ),
    )
    label = f"{summary.controller} on {summary.scenario}: rates over time"
    for figure in summary.figures:
        picture, drawn = _run_of(result, figure), _embedded(result, figure, label)
        if picture is not None:
            drawn = drawings.panel(picture, label, drawings.shared_top([picture]))
            lines = drawings.legend(len(picture[0].each), picture[0].limited())
            yield section("Rates", lines + drawings.figure(drawn, "", "wide"))
        elif drawn:
            yield section("Rates", drawings.figure(drawn, "", "wide"))
    never = dict.fromkeys(summary.never, math.inf)
    yield section("Measures", measures({**summary.metrics, **never}, summary.defined()))


def other(result: Result[Record], progress: Progress) -> Iterator[str]:
    """The pictures of a record, and whatever it says, as it says it."""
    hidden = ("kind", "schema_version", "tpssim", "command", "figures")
    record = result.record
    pictures = [
        drawings.figure(drawn, text(PurePosixPath(figure["file"]).stem), "wide")
        for figure in record.figures
        if (drawn := _embedded(result, figure))
    ]
    if pictures:
        yield section("Pictures", drawings.figures(pictures, "pictures"))
    shown = {k: v for k, v in record.to_dict().items() if k not in hidden}
    yield section("Results", generic(shown, record.defined()))


#: By kind of record; what is not here is shown as it is.
KINDS: dict[str, Callable[[Result[Any], Progress], Iterator[str]]] = {
    "compare": compare,
    "league": league,
    "sweep": sweep,
    "live": live,
    "simulate": simulate,
    "tune": tune,
    "replay": replay,
}
