"""What a page tells of a result: a function for each verb whose results are known, one for all
others.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

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
    number,
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
from tpssim.output.verdict_words import GROWING, WORDS, merit


def sweep(result: Result, progress: Progress) -> Iterator[str]:
    summary, definitions = result.summary, result.definitions()
    points, factors = summary["points"], summary["factors"]
    words = Counter(point["verdict"] for point in points)
    count = "".join(
        f"<li>{badge(word)} at {words[word]} of {len(points)} points</li>"
        for word in (*reversed(WORDS), "failed")
        if words[word]
    )
    calls = sum(point["calls"] for point in points)
    lead = (
        f"<p><b>{text(summary['controller'])}</b> on <b>{text(summary['scenario'])}</b>:"
        f" {len(points)} points of {text(' x '.join(factors))}, {summary['replications']}"
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
        (path for path in result.folder.glob("*.png") if path.is_file()),
        key=lambda path: (path.stem != "heatmap-verdict", path.stem),
    )
    for done, path in enumerate(pictures, start=1):
        heat = path.stem.removeprefix("heatmap-")
        found = (
            drawings.heat(summary, heat, definitions)
            if heat != path.stem
            else drawings.line(summary, path.stem, definitions)
        )
        caption = text(drawings.caption(path.stem, factors, definitions))
        drawn.append(drawings.figure(found or drawings.embedded(path, path.stem), caption, "wide"))
        progress(done, len(pictures))
    if drawn:
        yield section("Pictures", drawings.figures(drawn, "pictures"))
    if summary["failures"]:
        failed = [f"<li>{text(f['type'])}: {text(f['message'])}</li>" for f in summary["failures"]]
        yield section("Points that failed", f"<ul>{''.join(failed)}</ul>")
    yield section("Points", _points(result))


def _merit(point: Mapping[str, Any]) -> tuple[float, float, float]:
    return merit(
        *(point[name] for name in ("verdict", "verdict_share", "achieved", "response_p99"))
    )


def _points(result: Result) -> str:
    summary, definitions = result.summary, result.definitions()
    shown = {**SHOWN, "lateness_p99": ("late us", 1e6, 0)}
    columns = [
        *(
            Column(
                name, f"{name} ({unit}): a factor of the sweep" if unit else "a factor of the sweep"
            )
            for name, unit in summary["factors"].items()
        ),
        Column("verdict", "what the majority of the runs came to, and how many of them"),
        *(Column(head, about(metric, definitions)) for metric, (head, _, _) in shown.items()),
    ]
    runs = summary["replications"]
    rows = []
    for point in summary["points"]:
        row = [
            Cell(text(f"{v:.4g}" if isinstance(v, float) else v), v, head=True)
            for v in (point[name] for name in summary["factors"])
        ]
        row.append(
            verdict(
                point["verdict"], f"{round(point['verdict_share'] * runs)}/{runs}", point["failure"]
            )
        )
        for metric, (_, scale, digits) in shown.items():
            mean, low, high = (point[name] for name in (metric, f"{metric}_low", f"{metric}_high"))
            never = point.get(f"{metric}_never", 0)
            n = point.get(f"{metric}_n", runs - never)
            found = {"mean": mean, "low": low, "high": high, "n": n, "never": never}
            row.append(estimate(found, scale, digits))
        rows.append(row)
    more = (
        "<p>Every measure of every point, with its interval, is in points.csv beside the"
        " summary.</p>"
    )
    return table(columns, rows, "points", "tall") + more


def live(result: Result, progress: Progress) -> Iterator[str]:
    summary, definitions = result.summary, result.definitions()
    report = summary["report"]
    n = {name: number(value) for name, value in report.items() if name != "verdict"}
    told = [
        ("verdict", f"<b>{text(report['verdict'])}</b>"),
        ("law", text(summary["controller"])),
        ("calls", f"{n['released']} in {n['seconds']} s: {n['ok']} ok, {n['errors']} failed"),
        ("rate", f"{n['rate']}/s; commanded {n['commanded']}, wanted {n['target']}"),
    ]
    if summary["stopped"]:
        told.append(("stopped by", text(summary["stopped"])))
    if summary["failed"]:
        told.append(("conditions that failed it", text(", ".join(summary["failed"]))))
    yield section("At a glance", facts(told))
    progress(0, 1)
    picture, png = read_picture(result.folder / "live.npz"), result.folder / "rate.png"
    drawn = ""
    if picture is not None:
        drawn = drawings.overlay(picture, "commanded and delivered rate over time", "live")
    elif png.is_file():
        drawn = drawings.embedded(png, "commanded and delivered rate over time")
    if drawn:
        yield section("Rates", drawings.figure(drawn, "", "wide"))
    progress(1, 1)
    yield section(
        "Numbers", measures({k: v for k, v in report.items() if k != "verdict"}, definitions)
    )
    if summary["failures"]:
        rows = [[name_cell(k), Cell(f"{n:,}", float(n))] for k, n in summary["failures"].items()]
        yield section("Failures", table([Column("failure"), Column("calls")], rows, "failures"))


def simulate(result: Result, progress: Progress) -> Iterator[str]:
    summary = result.summary
    found = summary["verdict"]
    yield section(
        "At a glance",
        facts(
            [
                ("verdict", f"{badge(found['word'])} {text(found['reason'])}"),
                ("law", text(summary["controller"])),
                ("scenario", text(summary["scenario"])),
                (
                    "parameters",
                    text(
                        ", ".join(f"{k}={v:g}" for k, v in summary["parameters"].items())
                        or "as it is printed"
                    ),
                ),
            ]
        ),
    )
    picture, png = read_picture(result.folder / "trace.npz"), result.folder / "rate.png"
    label = f"{summary['controller']} on {summary['scenario']}: rates over time"
    if picture is not None:
        drawn = drawings.legend(len(picture[0].each), picture[0].limited()) + drawings.figure(
            drawings.panel(picture, label, drawings.shared_top([picture])), "", "wide"
        )
        yield section("Rates", drawn)
    elif png.is_file():
        yield section("Rates", drawings.figure(drawings.embedded(png, label), "", "wide"))
    from tpssim.metrics.measure import METRICS

    told = {name: metric._asdict() for name, metric in METRICS.items()}
    never = dict.fromkeys(summary.get("never", ()), math.inf)
    yield section("Measures", measures({**summary["metrics"], **never}, told))


def other(result: Result, progress: Progress) -> Iterator[str]:
    """The pictures of the folder, and whatever a summary says, as it says it."""
    hidden = ("tpssim", "command", "metrics")
    pictures = [
        drawings.figure(drawings.embedded(path, path.stem), text(path.stem), "wide")
        for path in sorted(result.folder.glob("*.png"))
        if path.is_file()
    ]
    if pictures:
        yield section("Pictures", drawings.figures(pictures, "pictures"))
    yield section(
        "Results",
        generic({k: v for k, v in result.summary.items() if k not in hidden}, result.definitions()),
    )


KINDS: dict[str, Callable[[Result, Progress], Iterator[str]]] = {
    "compare": compare,
    "league": league,
    "sweep": sweep,
    "live": live,
    "simulate": simulate,
    "tune": tune,
    "replay": replay,
}
